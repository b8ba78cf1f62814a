"""Who may see which OUs on a shared dashboard: a small file of rules, checked against the known OUs."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from finops_assets.core.accounts.ous import ALL, lineage, within
from finops_assets.core.csv_tables import CsvError, CsvRow, CsvTable
from finops_assets.core.errors import SettingsError
from finops_assets.core.schemas import UNASSIGNED

COLUMNS = ("user", "group", "ou")


@dataclass(frozen=True)
class Rule:
    """One user or one group (the other is empty) may see an OU and all below it; `All` is everything."""

    user: str
    group: str
    ou: str

    @property
    def who(self) -> str:
        return f"user {self.user}" if self.user else f"group {self.group}"


def read_permissions(data: bytes, where: str, known: Iterable[str]) -> list[Rule]:
    """The rules of an ou_permissions.csv: user, group, ou; sorted, each once.

    Args:
        data: the file; in a row either user or group is given, and ou is a path or `All`.
        where: its name, for messages.
        known: paths of the existing OUs; those above them are known, too.

    Raises:
        SettingsError: it is no such file, has no rule, an unknown OU, or the same rule twice.
    """
    try:
        table = CsvTable(data)
        rows = [row for row in table.rows() if not row.is_blank]
    except CsvError as error:
        raise SettingsError(f"is not CSV in UTF-8: {error}", where=where, fix="Mend it.") from None
    if sorted(table.header) != sorted(COLUMNS):
        raise SettingsError(
            f"has the columns {', '.join(table.header) or 'none'}",
            where=where,
            fix="Its first line must be user,group,ou.",
        )
    ous = with_those_above(known) | {ALL, UNASSIGNED}
    seen: dict[Rule, int] = {}
    for row in rows:
        rule = _rule(row, f"{where}, line {row.line}", ous)
        if rule in seen:
            raise SettingsError(
                f"{rule.who} is given {rule.ou} twice",
                where=f"{where}, lines {seen[rule]} and {row.line}",
                fix="Delete one of them.",
            )
        seen[rule] = row.line
    if not seen:
        raise SettingsError("gives nobody anything", where=where, fix="Write a line for each user or group.")
    return sorted(seen, key=lambda rule: (rule.group, rule.user, rule.ou))


def _rule(row: CsvRow, where: str, ous: Set[str]) -> Rule:
    if not row.complete:
        raise SettingsError("has more or fewer values than the header", where=where, fix="Quote values with commas.")
    user, group, ou = map(row.stripped, COLUMNS)
    if bool(user) == bool(group):
        raise SettingsError(
            "names both a user and a group" if user else "names neither a user nor a group",
            where=where,
            fix="Give exactly one of them in a line.",
        )
    path = "/".join(part.strip() for part in ou.split("/") if part.strip())
    if path not in ous:
        raise SettingsError(
            f"gives {ou!r}, which is no OU of the account map" if ou else "gives no OU",
            where=where,
            fix=f"Write the path of one, such as {min(ous - {ALL, UNASSIGNED}, default='Engineering')}, or {ALL}.",
        )
    return Rule(user, group, path)


def with_those_above(paths: Iterable[str]) -> set[str]:
    """The OUs and every OU above them: `a/b` gives `a` and `a/b`."""
    return {above for path in paths for above in lineage(path)}


def visible(rule: Rule, ous: Iterable[str]) -> list[str]:
    """Those of these OUs that the rule permits."""
    return sorted(ou for ou in ous if rule.ou == ALL or within(ou, rule.ou))
