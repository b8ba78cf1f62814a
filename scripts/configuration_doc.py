"""Writes docs/configuration.md from the settings themselves, so that the two cannot part ways.

Usage: python scripts/configuration_doc.py > docs/configuration.md
"""

from __future__ import annotations

from pydantic.fields import FieldInfo

from finops_assets.settings.load import env_name
from finops_assets.settings.model import Settings
from finops_assets.settings.sections import Section

HEAD = """# Configuration

Settings come from `finops.toml` in the working directory (or the file that `FINOPS_SETTINGS` names), and the
environment wins over it: `bill.cost_basis` is `FINOPS_BILL__COST_BASIS`. An unknown or malformed setting is an error
that names it. Every setting has a default; only `bill.path` must be set to run on your own bill. This page is made from
the settings by `scripts/configuration_doc.py`, and a test holds both together.

A list in the environment is JSON (`["a@example.com", "b@example.com"]`) or separated by commas; `mail.by_ou` is one
JSON object. Each value is checked when the settings are read, by every command: addresses, cron expressions (five
fields, in UTC), names of AWS, numbers, and that a file is no folder. An error shows the value, unless it may hold a
secret: `smtp.password`, `alerts.heartbeat_url`, an address with a login in it. `FINOPS_DEBUG=1` is no setting: it has
the command print stack traces.

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

The bill is one export: one file, or one folder (two exports in it are refused, as charges would count twice). Where an
export keeps older versions of a month, its manifests say which files count, and each file that they name must be there:
a month that is not wanted goes with its manifest. CSV may be plain, `.gz`, `.zst` or `.zip`; the same content in two
files is refused. Files beside the bill that are not read (older versions, hidden ones, links to folders) are named by
`finops doctor`. Every line must have a date, a currency and a cost;
currencies are checked over the whole bill. A CSV line may have 2 MB; account ids that a tool stored as numbers get
their leading zeros back (12 digits).

`accounts.csv` has the columns `account_id`, `account_name`, `ou_path` and, if you like, `valid_from` and `valid_to`
(ISO dates, the second exclusive). An account that moves has a row for each OU; one that is not there is `Unassigned`:

```csv
account_id,account_name,ou_path,valid_from
111122223333,shop-prod,Workloads/Prod,
444455556666,search,Workloads/Dev,
444455556666,search,Workloads/Prod,2025-09-10
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
            sections.append((f"[{name}]", f"{name}.", list(field.annotation.model_fields.items())))
        else:
            top.append((name, field))
    return [("Top level", "", top), *sections]


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, tuple):
        value = ", ".join(value)
    return f"`{value}`" if str(value) else "empty"


if __name__ == "__main__":
    main()
