"""What is asked of the bill: its days, the summary by OU, the breakdown of a day, its accounts; each one SELECT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

from finops_assets.core.bill.bill_format import NO_TEXT, BillFormat, Columns, quoted
from finops_assets.core.bill.charge_kinds import EFFECTIVE_SUM, KIND_KEYS, kind_sums
from finops_assets.core.bill.charges import EARLIEST, LATEST, charge_expressions
from finops_assets.core.bill.commitments import COMMITMENT_KEYS, COMMITMENT_SUMS
from finops_assets.core.bill.dimensions import dimension_columns, shown_value_sql
from finops_assets.core.bill.rules import Rules
from finops_assets.core.bill.service_names import join_names
from finops_assets.core.schemas import CHARGES_OF_ROW, MAY_BE_UNKNOWN, UNASSIGNED

NO_NAMES: Mapping[str, str] = MappingProxyType({})

SHOWN_COLUMNS = ("usage_type", "region")
SHOWN_OF_SKU = ", ".join(f"MAX({name}) AS {name}" for name in SHOWN_COLUMNS)
"""What people are shown of a SKU. Lines of it that do not name their region, such as a discount's, do not part it."""


def survey_sql(fmt: BillFormat, columns: Columns, rules: Rules, table: str = "bill", by: Sequence[str] = ()) -> str:
    """The whole bill by billing currency as written and absent columns: lines, on a 1st, and whether all have a date.

    It reads few columns, as every bill is asked: `closer_survey_sql` is for what is unusual (`refusals.is_unusual`).
    Where lines name their service themselves, there are further rows, with `taught` = 1, of each product code and name.

    Args:
        fmt, columns, rules: as for the charges.
        table: the bill.
        by: expressions that part the rows further, and are their last columns.
    """
    charge = charge_expressions(fmt, columns, rules)
    earliest, latest = (f"TIMESTAMP '{day} 00:00:00'" for day in (EARLIEST, LATEST))
    lacks, currency = charge["lacks"], fmt.currency or "''"
    if lacks != NO_TEXT:
        lacks = f"CASE WHEN {charge['left_out']} IS NULL THEN {lacks} END"
    counts = f"""COUNT(*) AS lines,
    COUNT(CASE WHEN EXTRACT(DAY FROM {fmt.start}) = 1 THEN 1 END) AS on_first,
    COUNT(*) = COUNT({fmt.start}) AND MIN({fmt.start}) >= {earliest} AND MAX({fmt.start}) < {latest} AS dated"""
    parts = [f"part_{number}" for number in range(len(by))]
    parted = "".join(f", {expression} AS {part}" for expression, part in zip(by, parts, strict=True))
    if "service_name" not in charge:
        groups = ", ".join(map(str, (1, 2, *range(9, 9 + len(by)))))
        return f"""SELECT {currency} AS currency, {lacks} AS lacks, {counts},
    NULL AS service_code, NULL AS service_name, 0 AS taught{parted}
FROM {table} GROUP BY {groups} ORDER BY 1, 2"""
    # In one pass: a second one would parse CSV files once more.
    of_parts = "".join(f", {part}" for part in parts)
    return f"""SELECT currency, lacks, {counts}, service_code, service_name, GROUPING(currency) AS taught{of_parts}
FROM (
    SELECT {currency} AS currency, {lacks} AS lacks, {fmt.start}, {charge["service_code"]} AS service_code,
        {charge["service_name"]} AS service_name{parted}
    FROM {table}
) AS lines
GROUP BY GROUPING SETS ((currency, lacks{of_parts}), (service_code, service_name))
ORDER BY 1, 2"""


AMOUNTS = "COUNT(CASE WHEN cost <> 0 THEN 1 END) AS amounts"
"""How many lines have a cost that is not zero."""

GRANULARITY = """COUNT(granularity) AS usage, COUNT(CASE WHEN granularity = 'month' THEN 1 END) AS month_long"""
"""How many lines are usage, and how many of those are of a whole month."""


def closer_survey_sql(fmt: BillFormat, columns: Columns, rules: Rules, table: str = "bill") -> str:
    """The whole bill by billing currency: lines with an amount, usage, and month-long usage."""
    charge = charge_expressions(fmt, columns, rules)
    used = ", ".join(f"{charge[name]} AS {name}" for name in ("currency", "cost", "granularity"))
    return f"""SELECT currency, {AMOUNTS}, {GRANULARITY}
FROM (SELECT {used} FROM {table}) AS charges
GROUP BY currency ORDER BY currency"""


def half_filled_sql(fmt: BillFormat, columns: Columns, rules: Rules, place: str, table: str) -> str:
    """Places where some lines have the cost basis's own column and others count by another (`CostBasis.or_else`).

    A file, or a billing period, has net costs on all of its lines or on none: an empty one beside others is a fault.
    It selects the place and the number of empty ones with an amount; empty where the basis has no other column.

    Args:
        fmt, columns, rules: as for the charges.
        place: the SQL of what a line lies in.
        table: the bill.
    """
    basis = fmt.bases[rules.cost_basis]
    if basis.column not in columns or basis.or_else not in columns:
        return ""
    kept = f"{charge_expressions(fmt, columns, rules)['left_out']} IS NULL"
    empty = f"COUNT(CASE WHEN {basis.column} IS NULL AND {basis.or_else} <> 0 THEN 1 END)"
    return f"""SELECT {place} AS place, {empty} AS bare_lines FROM {table} WHERE {kept}
GROUP BY {place} HAVING COUNT({basis.column}) > 0 AND {empty} > 0 ORDER BY 1"""


def source_days_sql(charges: str) -> str:
    """What the bill says of each day, by currency, category, reason for leaving out and provider, without OUs."""
    return f"""SELECT charge_date, currency, COALESCE(charge_category, '') AS charge_category, scheduled, left_out,
    COUNT(*) AS lines, COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total, {AMOUNTS}, provider
FROM ({charges}) AS charges
GROUP BY charge_date, currency, COALESCE(charge_category, ''), scheduled, left_out, provider
ORDER BY 1, 2, 3, 4, 5, 10"""


OF_SOURCE, OF_ROWS, OF_NAMES, OF_SKUS, OF_COMMITMENTS = "source", "rows", "names", "skus", "commitments"
"""What a row of `one_pass_sql` is: its column `is_of`."""


def one_pass_sql(
    charges: str,
    *,
    teaches: bool = False,
    dimensions: int = 0,
    skus: Sequence[str] | None = None,
    skus_since: date = LATEST,
    commitments: bool = False,
) -> str:
    """All sums of the bill in one pass over it, for an engine that charges by the bytes it scans.

    Rows of OF_SOURCE are those of `source_days_sql`; those of OF_ROWS are the lines that count, summed by account,
    service, the bill's own OU and what the money is, for `breakdown_sql` to join with the account map. The engine makes
    each kind from the lines themselves, so that the first proves the second.

    Args:
        charges: of the days, with the columns of `core.bill.charge_kinds`.
        teaches: whether there are rows of OF_NAMES: each product code and name of a service
            (`core.bill.service_names`).
        dimensions: how many there are. Each line that counts is summed once more for each of them, in rows of OF_ROWS
            that `by_dimension_sql` tells.
        skus: the columns that name what was used, where there are rows of OF_SKUS: the sums of
            `core.bill.drivers_sql`. The charges have the columns of `sku_expressions`, then, and their part. None of
            them where there are no such rows.
        skus_since: the first day of those.
        commitments: whether there are rows of OF_COMMITMENTS: each commitment by account (`core.bill.commitments`).
    """
    labels = dimension_columns(dimensions)
    of_labels = "".join(f"{name}, " for name in (*labels, _of_dimension(labels))) if labels else ""
    sets = "".join(f",\n    (charge_date, left_out, ou, service, linkedaccount, {name})" for name in labels)
    names, otherwise, kept = "", f"'{OF_ROWS}'", []
    if teaches:
        names, sets = "service_code, service_name, ", f"{sets},\n    (service_code, service_name)"
    if skus is not None:
        of_sku = ", ".join(("part", "committed", *skus))
        names = f"{names}{of_sku}, {SHOWN_OF_SKU}, SUM(quantity) AS quantity, "
        sets = f"{sets},\n    (charge_date, left_out, ou, service, linkedaccount, {of_sku})"
        otherwise = f"CASE WHEN GROUPING(part) = 0 THEN '{OF_SKUS}' ELSE {otherwise} END"
        kept.append(f"(GROUPING(part) = 1 OR charge_date >= DATE '{skus_since}')")
    if commitments:
        names = f"{names}commitment_kind, commitment_id, {COMMITMENT_SUMS}, "
        sets = f"{sets},\n    ({', '.join(COMMITMENT_KEYS)})"
        otherwise = f"CASE WHEN GROUPING(commitment_id) = 0 THEN '{OF_COMMITMENTS}' ELSE {otherwise} END"
        kept.append("(GROUPING(commitment_id) = 1 OR commitment_id IS NOT NULL)")
    having = f"\nHAVING {' AND '.join(kept)}" if kept else ""
    return f"""SELECT charge_date, currency, charge_category, scheduled, left_out, provider, ou, service, linkedaccount,
    commitment, {of_labels}{names}CASE GROUPING(charge_date, linkedaccount) WHEN 1 THEN '{OF_SOURCE}'
        WHEN 3 THEN '{OF_NAMES}' ELSE {otherwise} END AS is_of,
    COUNT(*) AS lines, COUNT(*) - COUNT(cost) AS without_cost, SUM(cost) AS total, {EFFECTIVE_SUM} AS effective,
    {AMOUNTS}, {GRANULARITY}, MAX(lacks) AS lacks
FROM ({charges}) AS charges
GROUP BY GROUPING SETS (
    (charge_date, currency, charge_category, scheduled, left_out, provider),
    (charge_date, left_out, ou, service, linkedaccount, {", ".join(KIND_KEYS)}){sets}
){having}"""


def summed_by_dimension_sql(charges: str, dimensions: int) -> str:
    """The charges that count, summed as `one_pass_sql` sums them: by what their money is, and by each dimension."""
    base, labels = "charge_date, ou, service, linkedaccount", dimension_columns(dimensions)
    sets = ", ".join(f"({base}, {of_set})" for of_set in (", ".join(KIND_KEYS), *labels))
    keys = ", ".join((base, *KIND_KEYS, *labels))
    # Lines first, by all of these at once: sets over millions of lines would take DuckDB half as long again.
    return f"""SELECT {keys}, {_of_dimension(labels)},
    CAST(NULL AS VARCHAR) AS left_out, SUM(cost) AS cost, {EFFECTIVE_SUM} AS effective
FROM (
    SELECT {keys}, SUM(cost) AS cost, {EFFECTIVE_SUM} AS effective
    FROM ({charges}) AS charges
    WHERE left_out IS NULL
    GROUP BY {keys}
) AS lines
GROUP BY GROUPING SETS ({sets})"""


def by_dimension_sql(sums: str, keys: Sequence[str]) -> str:
    """Sums by dimension with two more columns: the key of the dimension, and the value.

    Both are empty on the sums by what the money is.

    Args:
        sums: as `summed_by_dimension_sql` or `one_pass_sql` makes them, of as many dimensions.
        keys: of the dimensions.
    """
    labels = dimension_columns(len(keys))
    every = 2 ** len(keys) - 1
    marks = [every - 2 ** (len(keys) - 1 - number) for number in range(len(keys))]
    key = " ".join(f"WHEN {mark} THEN {quoted(of)}" for mark, of in zip(marks, keys, strict=True))
    value = " ".join(f"WHEN {mark} THEN {shown_value_sql(of)}" for mark, of in zip(marks, labels, strict=True))
    return f"""SELECT sums.*, CASE of_dimension {key} ELSE '' END AS dimension,
    CASE of_dimension {value} ELSE '' END AS value
FROM ({sums}) AS sums"""


def _of_dimension(labels: Sequence[str]) -> str:
    """Which dimension a row of grouping sets is of: a bit for each, 0 of its own one."""
    return f"GROUPING({', '.join(labels)}) AS of_dimension"


def summary_sql(charges: str, account_map: str = "account_ou_map", names: Mapping[str, str] = NO_NAMES) -> str:
    """finops_daily_summary: billingdate, ou, service, linkedaccount, cost, through the effective-dated map.

    Args:
        charges: as `charges_sql` selects them.
        account_map: its table.
        names: product code -> name of the service (`core.bill.service_names`).
    """
    return _through_map(charges, account_map, names, (), {"cost": "SUM(cost)"})


def breakdown_sql(
    charges: str,
    account_map: str = "account_ou_map",
    names: Mapping[str, str] = NO_NAMES,
    *,
    dimensions: bool = False,
) -> str:
    """The day's OU x Service x LinkedAccount cost, in archive order, and what each row is made of.

    `cost` is exact, `dailycost` its double; the columns after it are those of CHARGES_OF_ROW. With `dimensions`, two
    more are `dimension` and `value`: both empty on these rows, which then come before those of each dimension's values.

    Args:
        charges: as `charges_sql` selects them, with the columns of `core.bill.charge_kinds`.
        account_map: its table.
        names: product code -> name of the service (`core.bill.service_names`).
        dimensions: whether the charges are those of `by_dimension_sql`.
    """
    of = DIMENSION_KEYS if dimensions else ()
    kept = (*KIND_KEYS, *of)
    sums = _through_map(charges, account_map, names, kept, {"cost": "SUM(cost)", "effective": EFFECTIVE_SUM})
    kinds = ",\n    ".join([*(f"{sql} AS {name}" for name, sql in kind_sums().items()), *of])
    keys = ("billingdate", *of[:1], "ou", "service", "linkedaccount", *of[1:])
    return f"""SELECT billingdate, ou, service, linkedaccount, CAST(SUM(cost) AS DOUBLE) AS dailycost,
    SUM(cost) AS cost,
    {kinds}
FROM ({sums}) AS finops_daily_summary
GROUP BY {", ".join(keys)}
ORDER BY {", ".join(keys)}"""


DIMENSION_KEYS = ("dimension", "value")


def _through_map(
    charges: str, account_map: str, names: Mapping[str, str], kept: Sequence[str], sums: Mapping[str, str]
) -> str:
    """The charges that count, summed by account and service, each with the OU of its account on its day.

    Lines are summed by account before the map is looked up: an account's day meets one row of the map, so the join
    can neither lose nor double money, and the reconciliation with `source_days_sql` proves it.

    Args:
        charges, account_map, names: as for `summary_sql`.
        kept: further columns of a charge by which sums are kept apart.
        sums: name of a sum -> its SQL.
    """
    join, service = join_names(names, "c.service")
    keys = ", ".join(("charge_date", "ou", "service", "linkedaccount", *kept))
    of_charge = "".join(f", c.{name}" for name in (*kept, *sums))
    return f"""SELECT c.charge_date AS billingdate, COALESCE(c.ou, m.ou, '{UNASSIGNED}') AS ou, {service} AS service,
    c.linkedaccount{of_charge}
FROM (
    SELECT {keys}, {", ".join(f"{sql} AS {name}" for name, sql in sums.items())}
    FROM ({charges}) AS charges
    WHERE left_out IS NULL
    GROUP BY {keys}
) AS c{join}
LEFT JOIN {account_map} AS m
    ON c.linkedaccount = m.account_id AND c.charge_date >= m.valid_from AND c.charge_date < m.valid_to"""


def fingerprints_sql(breakdown: str, *, dimensions: bool = False) -> str:
    """A line a day of a breakdown: its rows' fingerprints (`core.archive.breakdown`), number and exact total.

    With `dimensions`, a further column names the dimension, empty of the day itself: a line for each, whose fingerprint
    is that of its values.
    """
    of = ("dimension",) if dimensions else ()
    keys = [f"'\"', REPLACE({name}, '\"', '\"\"'), '\",'" for name in ("ou", "service", "linkedaccount")]

    def units(name: str) -> str:
        return f"CAST(CAST({name} * 1000000000000 AS DECIMAL(38, 0)) AS VARCHAR)"

    if dimensions:  # the value is a key of its own rows, and no part of the others
        keys.append("CASE WHEN dimension <> '' THEN CONCAT('\"', REPLACE(value, '\"', '\"\"'), '\",') ELSE '' END")

    def fingerprint(*fields: str) -> str:
        row = f"CONCAT({', '.join((*keys, *fields))}, CHR(10))"
        order = ", ".join(("ou", "service", "linkedaccount", *(["value"] if dimensions else [])))
        rows = f"ARRAY_JOIN(ARRAY_AGG({row} ORDER BY {order}), '')"
        return f"LOWER(TO_HEX(SHA256(TO_UTF8({rows}))))"

    # A column that is not known on one row is not on any of the day's (`core.archive.breakdown`).
    of_day = f"OVER (PARTITION BY {', '.join(('billingdate', *of))})"
    columns = ", ".join(
        f"CASE WHEN COUNT({name}) {of_day} = COUNT(*) {of_day} THEN {name} END AS {name}"
        if name in MAY_BE_UNKNOWN
        else name
        for name in CHARGES_OF_ROW
    )
    charges = [f"COALESCE({units(name)}, '')" for name in CHARGES_OF_ROW]
    separated = [part for field in charges for part in (field, "','")][:-1]
    return f"""SELECT billingdate, {fingerprint(units("cost"))} AS fingerprint, SUM(cost) AS total,
    COUNT(*) AS row_count, {fingerprint(*separated)} AS charges{"".join(f", {name}" for name in of)}
FROM (
    SELECT billingdate, ou, service, linkedaccount, cost, {columns}{"".join(f", {n}" for n in DIMENSION_KEYS if of)}
    FROM ({breakdown}) AS ou_breakdown
) AS ou_charges
GROUP BY {", ".join(("billingdate", *of))}
ORDER BY {", ".join(("billingdate", *of))}"""


def accounts_sql(charges: str) -> str:
    """The linked accounts that the bill names, each with its newest name."""
    return f"""SELECT linkedaccount AS account_id, COALESCE(MAX_BY(account_name, charge_date), '') AS account_name
FROM ({charges}) AS charges GROUP BY linkedaccount ORDER BY 1"""
