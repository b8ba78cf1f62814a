"""What a tag or a cost category says of a line's money, as SQL over the bill's columns.

The keys are those of `core.bill.dimension_keys`; the values stand in a map, or in a column each (`LabelColumns`).
AWS writes a label's name in several ways: as it is, `user:CostCenter`, and as Athena's columns are named,
`user_cost_center`. Both are looked for, and the first one that has a value counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finops_assets.core.bill.bill_format import NO_TEXT, BillFormat, Columns, quoted
from finops_assets.core.bill.charges import named_in
from finops_assets.core.bill.dimension_keys import TAG, UNTAGGED
from finops_assets.core.bill.recognition import athena_name
from finops_assets.core.bill.rules import Rules
from finops_assets.core.errors import SettingsError


def shown_value_sql(text: str) -> str:
    """`shown_value` of a column, as SQL."""
    own = f"REPLACE({text}, CHR(92), '') = {quoted(UNTAGGED)}"
    return (
        f"CASE WHEN COALESCE({text}, '') = '' THEN {quoted(UNTAGGED)} "
        f"WHEN {own} THEN CONCAT(CHR(92), {text}) ELSE {text} END"
    )


def label_expressions(fmt: BillFormat, columns: Columns, rules: Rules) -> dict[str, str]:
    """The columns `dimension_0`, `dimension_1`, ... of a charge: what it has of each of the rules' dimensions.

    NULL, or an empty text, where it has none.
    """
    return {
        name: label_sql(fmt, columns, key)
        for name, key in zip(dimension_columns(len(rules.dimensions)), rules.dimensions, strict=True)
    }


def dimension_columns(count: int) -> tuple[str, ...]:
    """The names of the columns of a charge that hold what it has of so many dimensions."""
    return tuple(f"dimension_{number}" for number in range(count))


def label_sql(fmt: BillFormat, columns: Columns, key: str) -> str:
    """The value of a dimension on a line, as SQL over the bill's columns."""
    found = [f"NULLIF({sql}, '')" for sql in _places(fmt, columns, key)]
    return NO_TEXT if not found else found[0] if len(found) == 1 else f"COALESCE({', '.join(found)})"


def absent_columns(fmt: BillFormat, columns: Columns, key: str) -> tuple[str, ...]:
    """The columns that could hold a dimension, of a bill that has none of them; empty where it has one.

    A column that is there may still have no line with the key: days then say that nothing of them is tagged.
    """
    if next(_places(fmt, columns, key), None):
        return ()
    kind, _, name = key.partition(":")
    labels = fmt.labels.get(kind)
    if labels is None:
        return ("of tags or cost categories",)
    return (*labels.maps, *([labels.prefix + athena_name(_full_name(kind, name))] if labels.prefix else []))


def refuse_doubled_labels(fmt: BillFormat, columns: Columns, doubled: Sequence[str], rules: Rules) -> None:
    """Refuse a dimension whose column a file has twice, as one of two tags that differ only in case and signs.

    Raises:
        SettingsError: which one.
    """
    for key in rules.dimensions:
        for name in named_in(label_sql(fmt, columns, key), columns):
            if name in doubled:
                raise SettingsError(
                    f"{key} is in two columns of the bill, both named {name} where Athena reads them",
                    where="dimensions.keys (FINOPS_DIMENSIONS__KEYS)",
                    fix="Leave it out, or export the bill as CUR 2.0.",
                )


def _full_name(kind: str, name: str) -> str:
    """A tag's name as AWS writes it: `user:team`, or `aws:createdBy`; a cost category's is its own."""
    return name if kind != TAG or name.startswith(("user:", "aws:")) else f"user:{name}"


def _places(fmt: BillFormat, columns: Columns, key: str) -> Iterator[str]:
    """The SQL of each place of a line where the value of a dimension may stand."""
    kind, _, name = key.partition(":")
    labels = fmt.labels.get(kind)
    if labels is None:
        return
    full = _full_name(kind, name)
    column = labels.prefix + athena_name(full)
    if labels.prefix and column in columns:
        yield column
    of_maps = next((name for name in labels.maps if name in columns), "")
    type_ = columns.get(of_maps, "").upper()
    bare = [full.removeprefix("user:")] if of_maps in labels.bare else []
    for spelling in dict.fromkeys((athena_name(full), full, *bare)):
        inside = labels.inside.get(of_maps, "") + spelling
        if type_.startswith("MAP"):
            yield f"element_at({of_maps}, {quoted(inside)})"
        elif type_ in ("VARCHAR", "STRING"):  # as CSV a map is JSON text
            place = quoted(f'$["{inside}"]')
            yield f"CASE WHEN {of_maps} LIKE '{{%' THEN json_extract_scalar({of_maps}, {place}) END"
