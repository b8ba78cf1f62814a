"""Writes docs/configuration.md from the settings themselves, so that the two cannot part ways.

Usage: python scripts/configuration_doc.py > docs/configuration.md
"""

from __future__ import annotations

from pydantic.fields import FieldInfo

from finops_assets.settings.load import env_name
from finops_assets.settings.model import Settings
from finops_assets.settings.section import Section

HEAD = """# Configuration

Settings come from `finops.toml` in the working directory (or the file that `FINOPS_SETTINGS` names), and the
environment wins over it: `bill.cost_basis` is `FINOPS_BILL__COST_BASIS`. An unknown or malformed setting is an error
that names it. Every setting has a default; only `bill.path` must be set to run on your own bill. This page is made from
the settings by `scripts/configuration_doc.py`, and a test holds both together.

A list in the environment is JSON (`["a@example.com", "b@example.com"]`) or separated by commas; `mail.by_ou` and
`mail.by_value` are one JSON object each. Each value is checked when the settings are read, by every command:
addresses, cron expressions (five fields, in UTC), names of AWS, numbers, and that a file is no folder. An error shows
the value, unless it may hold a secret: `smtp.password`, `alerts.heartbeat_url`, an address with a login in it.
`FINOPS_DEBUG=1` is no setting: it has the command print stack traces.

The home is made for its owner alone (mode 0700), and keeps the rights that it has. Its path has no `?` and no `%`.

Relative paths in `finops.toml`, and the default of `home`, are relative to the folder of that file: a cron job that
sets `FINOPS_SETTINGS=/srv/finops/finops.toml` finds the same home and bill from any folder. Relative paths in the
environment are relative to the working directory.

```toml
# finops.toml
[bill]
path = "exports/focus"
cost_basis = "effective"

[accounts]
path = "accounts.csv"
ou_level = 2

[mail]
recipients = ["finops@example.com", "cfo@example.com"]
```

The bill is one file, or one folder in any layout in which AWS, Hive's tools or a copy leave an export. Several exports
in it are one bill where no billing period is in two of them (an old export and its successor) or each is of another
payer; else they are refused, as charges would count twice. Where a period has a manifest, the newest one says which
files count, and each file that it names must be there: a month that is not wanted goes with its manifest. Folders of
Delta Lake, Iceberg and Hudi are refused. Links are followed. CSV may be plain, `.gz`, `.zst` or `.zip`; the same
content in two files is refused. Files beside the bill that are not read (older versions, leftovers, hidden ones) are
named by `finops doctor`. Every line must have a date, a currency and a cost; currencies are checked over the whole
bill. A CSV line may have 2 MB.

Account ids of the bill and of `accounts.csv` have one form. What a spreadsheet or a data tool has made of an id of AWS
(`12345678901`, `1.2345678901E+10`, `12345678901.0`, `0123-4567-8901`, `="012345678901"`, blanks, an apostrophe) is
`012345678901` again. One that has lost digits (`1.23457E+10`), `0`, and at AWS more than 12 digits or letters are
refused with their place. A FOCUS export says whose an account is; ids of other providers are text and only trimmed.
Of an account that the map does not know, `finops doctor` and the digest name the one that it may be meant to be.

A Cost and Usage Report names each service as Cost Explorer does. Lines that have a product's code alone (discounts,
fees, a CUR 2.0 without the `product` map) get the code's name: from other lines of the bill, else from AWS's price
list.

Several bills are read as one: exports of several payers, an export and its successor, another cloud's FOCUS export
beside AWS. Each is a `[[bill]]` with a name (a table `[bill.azure]` means the same); in the environment it is
`FINOPS_BILL__AZURE__PATH` for the bill `azure` (`Payer 1` is `PAYER_1`), with or without a settings file. On AWS each
has a `table`. The other settings of `[bill]` are of all bills: write them once, in any of the entries.

```toml
[[bill]]
name = "payer-1"
path = "exports/payer-1"
cost_basis = "effective"

[[bill]]
name = "azure"
path = "exports/azure"
```

All bills are in one currency, or are shown in one (see below); else `bill.currency` chooses, and the lines in others
are left out and counted. A month of a payer that two bills have is refused, with both names: payers are told by
`bill_payer_account_id` and `BillingAccountId`, which each bill must have. A day is archived once each bill was
written after it and, where a bill has lines on every day, has some on this one; for two days it waits for that. A
bill that has ended is not waited for: one whose payers go on in another bill, or that has a `last_day`. Each day's
metadata, coverage, the digest and a small CSV beside its CSV say what is of which bill. Each bill is queried by
itself: two bills take twice the queries on AWS.

Costs in several billing currencies, of several bills or of one, are shown in `currency.display` by the rates of
`currency.rates`. The archive stays as it is billed, and so do the tables `ou_breakdown`, `ou_charges`,
`dimension_breakdown`, `commitments`, `finops_daily_summary` and `restatements`, which have no sum over several
currencies; scorecards and all else that is shown or mailed are in the display currency and name the rates that they
used. A day
is archived once each of its currencies has a rate for the month; other rates later change what is made from then on,
and no archived day. An account has one currency on a day, else it is refused. What settings leave out stays in the
currency that it is billed in, and needs no rate. Amounts of budgets and thresholds are in the display currency.
QuickSight's data set has the archive's rows: `aws.quicksight_data_set` stays empty beside it.

```csv
month,currency,rate
2025-09,USD,0.9234
2025-10,USD,0.9301
```

`accounts.csv` has the columns `account_id`, `account_name`, `ou_path` and, if you like, `valid_from` and `valid_to`
(ISO dates, the second exclusive). An account that moves has a row for each OU; one that is not there is `Unassigned`.
`Unassigned` and `All` are words of ours: an OU of yours that is called so is shown as `Unassigned (OU)` or `All (OU)`.

```csv
account_id,account_name,ou_path,valid_from
111122223333,shop-prod,Workloads/Prod,
444455556666,search,Workloads/Dev,
444455556666,search,Workloads/Prod,2025-09-10
```

`[dimensions]` names what costs are shown by beside OUs. A tag is looked for as AWS writes it: `tag:CostCenter` is
`user_cost_center` or `user:CostCenter` in the maps of CUR 2.0 and FOCUS (`resource_tags`, `Tags`), the column
`resource_tags_user_cost_center` of a legacy report. A cost category is in `cost_category`, `x_CostCategories` or
`cost_category_product`; AWS's FOCUS 1.2 has none. An attribute of accounts is a further column of `accounts.csv`, with
the row's dates, or a tag of the account in AWS Organizations. What has no value is `(untagged)`: tax, credits, fees and
whatever nobody has tagged; so is an empty value. A value of your own that reads `(untagged)` gets a backslash in front.

```toml
[dimensions]
keys = ["tag:team", "cost_category:Product", "account:business_unit"]
```

A day gets its dimensions when it is run, and keeps them: a change of the setting makes no archived day wrong, and
`finops backfill FIRST LAST` has it count for old days. So does a change of `accounts.csv`, unless it moves
OUs. `finops doctor` names days that lack a key, a key that nothing of the day has, and a column that the bill lacks
(all is `(untagged)` then). Rows of two dimensions have the same money twice: a query says which one it wants,
`SELECT value, SUM(cost) FROM dimension_breakdown WHERE dimension = 'tag:team' GROUP BY 1`.

A value has a budget where `budgets.csv` names it in place of an OU, as `account:team=platform,default,12000,USD`; what
has no value is `account:team=(untagged)`. The table `dimension_scorecard` has each value's month, budget, forecast and
light. A month with days that lack the key says how many, and is never green.

`[mail.by_value]` sends such a value its part of the digest: figures, movers, light and a CSV of its own rows, as
`[mail.by_ou]` does for an OU. Accounts that have come or gone are named. A day that is archived without the key has no
such edition: the others get theirs, and the error says what makes it. `finops doctor` names a value with an edition or
a budget that nothing of the last 31 archived days has.

```toml
[mail.by_value]
"account:business_unit=Commerce" = ["lead@example.com"]
"tag:team=(untagged)" = ["finops@example.com"]
```
"""


def main() -> None:
    print(HEAD)
    for title, prefix, fields in _sections():
        print(f"## {title}\n")
        print("| setting | environment | default | what it is |")
        print("|---|---|---|---|")
        for name, field in fields:
            setting = f"{prefix}{name}"
            print(f"| `{setting}` | `{env_name(setting)}` | {_default(field)} | {field.description} |")
        print()


def _sections() -> list[tuple[str, str, list[tuple[str, FieldInfo]]]]:
    top, sections = [], []
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            fields = [(key, of) for key, of in field.annotation.model_fields.items() if not of.exclude]
            sections.append((f"[{name}]", f"{name}.", fields))
        else:
            top.append((name, field))
    return [("Top level", "", top), *sections]


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, tuple):
        value = ", ".join(value)
    return f"`{value}`" if value is not None and str(value) else "empty"


if __name__ == "__main__":
    main()
