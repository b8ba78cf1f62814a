"""The account-to-OU map: read, checked, effective-dated, cut to the OU level that is shown.

Adapters fetch it from an organization or a file.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from finops_assets.core.accounts.account_ids import AccountIdError, account_id, as_other_provider
from finops_assets.core.accounts.ous import not_ours
from finops_assets.core.csv_tables import CsvError, CsvRow, CsvTable
from finops_assets.core.errors import AccountsError, SettingsError
from finops_assets.core.schemas import ACCOUNT_OU_MAP, UNASSIGNED

if TYPE_CHECKING:
    import pyarrow as pa

ALWAYS, FOREVER = date(1970, 1, 1), date(9999, 12, 31)
COLUMNS = ("account_id", "account_name", "ou_path", "valid_from", "valid_to")


@dataclass(frozen=True)
class Membership:
    """One linked account in one OU from valid_from (inclusive) to valid_to (exclusive); `line` is where it stands.

    `attributes` are (name, value) of what else is known of it, such as its business unit; an empty value is none.
    """

    account_id: str
    account_name: str
    ou_path: str
    valid_from: date = ALWAYS
    valid_to: date = FOREVER
    line: int = field(default=0, compare=False)
    attributes: tuple[tuple[str, str], ...] = ()


def read_accounts_csv(data: bytes, where: str, attributes: Sequence[str] | None = ()) -> list[Membership]:
    """The memberships in an accounts.csv: account_id, account_name, ou_path, and optionally valid_from and valid_to.

    A row without valid_from is valid since always, one without valid_to until the account's next row begins. Slashes
    separate the levels of ou_path; `Root` stands for accounts directly below the root, and an account whose ou_path is
    not filled in is Unassigned.

    Args:
        data: the file.
        where: it is, for errors.
        attributes: further columns that are kept, which it must have; None keeps all that it has.

    Raises:
        AccountsError: a missing column, a malformed line, an account that is in two OUs on one day.
    """
    try:
        table = CsvTable(data)
        header = table.header
        missing = [c for c in COLUMNS[:3] if c not in header]
        if missing:
            raise AccountsError(
                f"has no column {', '.join(missing)}",
                where=where,
                fix="Its first line must be account_id,account_name,ou_path and optionally valid_from,valid_to.",
            )
        if attributes is None:
            attributes = [c for c in header if c and c not in COLUMNS]
        if absent := [name for name in attributes if name not in header]:
            raise AccountsError(
                f"has no column {', '.join(absent)}, which dimensions.keys names",
                where=where,
                fix="Add it, with a value for each account that has one; or take account:... out of [dimensions].",
            )
        doubled = sorted({c for c in header if c and header.count(c) > 1})
        if doubled:
            raise AccountsError(f"has the column {', '.join(doubled)} twice", where=where, fix="Delete one of them.")
        rows = [each for row in table.rows() if not row.is_blank for each in _memberships(row, where, attributes)]
    except CsvError as error:
        if error.line is None:
            raise AccountsError(f"is not UTF-8: {error}", where=where, fix="Save it as UTF-8.") from None
        raise AccountsError(f"is not CSV: {error}", where=f"{where}, line {error.line}", fix="Mend it.") from None
    if not rows:
        raise AccountsError("names no account", where=where, fix="Add a line for each linked account.")
    return _effective(rows, where)


def _memberships(row: CsvRow, where: str, attributes: Sequence[str]) -> Iterator[Membership]:
    """What a row says; of a number that may be AWS's without its zeros, or another provider's own, of both."""
    membership = _membership(row, where, attributes)
    yield membership
    if other := as_other_provider(row.stripped("account_id")):
        yield replace(membership, account_id=other)


def _membership(row: CsvRow, file: str, attributes: Sequence[str]) -> Membership:
    where = f"{file}, line {row.line}"
    if not row.complete:
        raise AccountsError("has more or fewer values than the header", where=where, fix="Quote values with commas.")
    values = {name: row.stripped(name) for name in COLUMNS}
    try:
        account = account_id(values["account_id"])
    except AccountIdError as error:
        raise AccountsError(str(error), where=where, fix="Write its 12 digits, as text.") from None
    if not account:
        raise AccountsError("account_id is empty", where=where, fix="Write the account's id.")
    path = "/".join(part.strip() for part in values["ou_path"].split("/") if part.strip())
    if not path and values["ou_path"]:
        raise AccountsError("ou_path is empty", where=where, fix="Write Root for an account directly below the root.")
    dates = {}
    for name, default in (("valid_from", ALWAYS), ("valid_to", FOREVER)):
        try:
            dates[name] = date.fromisoformat(values[name]) if values[name] else default
        except ValueError:
            raise AccountsError(
                f"{name} {values[name]!r} is not a date", where=where, fix="Write it as YYYY-MM-DD."
            ) from None
    if dates["valid_from"] >= dates["valid_to"]:
        raise AccountsError("valid_to is not after valid_from", where=where, fix="Swap or mend the dates.")
    further = tuple((name, row.stripped(name)) for name in sorted(attributes))
    ou = not_ours(path) if path else UNASSIGNED
    return Membership(account, values["account_name"], ou, **dates, line=row.line, attributes=further)


def _effective(rows: list[Membership], where: str) -> list[Membership]:
    by_account: dict[str, list[Membership]] = defaultdict(list)
    for row in rows:
        by_account[row.account_id].append(row)
    result = []
    for account, memberships in by_account.items():
        memberships.sort(key=lambda m: (m.valid_from, m.line))
        for i, this in enumerate(memberships):
            if i + 1 < len(memberships):
                after = memberships[i + 1]
                if this.valid_from == after.valid_from:
                    raise AccountsError(
                        f"account {account} is there twice"
                        + ("" if this.valid_from == ALWAYS else f" from {this.valid_from}"),
                        where=f"{where}, lines {this.line} and {after.line}",
                        fix="Delete one of them, or give the later one a valid_from.",
                    )
                if this.valid_to == FOREVER:
                    this = replace(this, valid_to=after.valid_from)
                elif this.valid_to > after.valid_from:
                    raise AccountsError(
                        f"account {account} is in {this.ou_path} until {this.valid_to} and in {after.ou_path} "
                        f"from {after.valid_from}: the dates overlap",
                        where=f"{where}, lines {this.line} and {after.line}",
                        fix="End the first where the second begins.",
                    )
            result.append(this)
    return result


def write_accounts_csv(memberships: Iterable[Membership]) -> bytes:
    """An accounts.csv that read_accounts_csv reads back unchanged; the same memberships give the same bytes."""
    rows = sorted(memberships, key=lambda m: (m.account_id, m.valid_from))
    attributes = sorted({name for row in rows for name, _ in row.attributes})
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow((*COLUMNS, *attributes))
    for row in rows:
        start = "" if row.valid_from == ALWAYS else row.valid_from.isoformat()
        end = "" if row.valid_to == FOREVER else row.valid_to.isoformat()
        further = map(dict(row.attributes).get, attributes)
        path = "" if row.ou_path == UNASSIGNED else row.ou_path
        writer.writerow((row.account_id, row.account_name, path, start, end, *further))
    return out.getvalue().encode()


def merge_snapshot(
    history: Iterable[Membership], snapshot: Iterable[Membership], day: date, *, last: date = ALWAYS
) -> list[Membership]:
    """The history with one more snapshot of the organization; the dates of the snapshot's memberships do not matter.

    An account that is new to the history belongs to its OU since always. One that is in another OU than before leaves
    the old one and joins the new one on `day`; of two snapshots of one day the later one is valid. A renamed OU is a
    move of its accounts: their earlier days keep the OU's old name. A renamed account takes its new name and stays in
    its OU. An account that is missing in the snapshot keeps its last membership, for late charges. An attribute of
    another value is a move, too; one that the history does not know yet has its value since always.

    Args:
        history: at most one membership per account and day.
        snapshot: one membership per account.
        day: when the snapshot was taken.
        last: when the one before it was taken.

    Raises:
        AccountsError: `day` is before `last`, or before a membership began.
    """
    of_account: dict[str, list[Membership]] = defaultdict(list)
    for row in sorted(history, key=lambda m: m.valid_from):
        of_account[row.account_id].append(row)
    newest = max((rows[-1].valid_from for rows in of_account.values()), default=ALWAYS)
    if day < max(newest, last):
        raise AccountsError(
            f"a snapshot of {day} cannot follow one of {max(newest, last)}",
            fix="Set the clock right; if that day is wrong, mend the history's valid_from.",
        )
    for seen in snapshot:
        of_account[seen.account_id] = _merged(of_account[seen.account_id], seen, day)
    return [row for account in sorted(of_account) for row in of_account[account]]


def _merged(rows: list[Membership], seen: Membership, day: date) -> list[Membership]:
    """The memberships of one account, ascending, with the one of a snapshot of `day`; none of them begins later."""
    if not rows:
        return [replace(seen, valid_from=ALWAYS, valid_to=FOREVER)]
    rows = [_with_attributes(row, seen.attributes) for row in rows]
    *before, newest = rows
    of = dict(newest.attributes)
    same = newest.ou_path == seen.ou_path and all(of[name] == value for name, value in seen.attributes)
    if same and newest.valid_to > day:
        return [*before, replace(newest, account_name=seen.account_name)]
    joined = replace(seen, valid_from=day, valid_to=FOREVER)
    if newest.valid_from < day:
        return [*before, replace(newest, valid_to=min(newest.valid_to, day)), joined]
    # An earlier snapshot of the same day is undone.
    if before and before[-1].valid_to == day:
        return _merged([*before[:-1], replace(before[-1], valid_to=FOREVER)], seen, day)
    return [*before, joined]


def _with_attributes(row: Membership, seen: tuple[tuple[str, str], ...]) -> Membership:
    """The membership with those attributes that it does not know yet."""
    return replace(row, attributes=tuple(sorted({**dict(seen), **dict(row.attributes)}.items())))


def account_map(
    memberships: Iterable[Membership], *, ou_level: str | int, history: str, attributes: Sequence[str] = ()
) -> pa.Table:
    """The map in the ACCOUNT_OU_MAP schema, and a column more for each attribute.

    Args:
        memberships: at most one per account and day.
        ou_level: "full", or how many levels of the path are shown; a shorter path is shown whole.
        history: "as_was", or "as_is" for the newest OU and attributes of an account on every day.
        attributes: that are kept.

    Raises:
        SettingsError: no OU has as many levels as ou_level.
    """
    import pyarrow as pa

    rows = list(memberships)
    if history == "as_is":
        newest: dict[str, Membership] = {}
        for row in rows:
            if row.account_id not in newest or row.valid_from > newest[row.account_id].valid_from:
                newest[row.account_id] = row
        rows = [replace(row, valid_from=ALWAYS, valid_to=FOREVER) for row in newest.values()]
    deepest = max((row.ou_path.count("/") + 1 for row in rows if row.ou_path != UNASSIGNED), default=0)
    if isinstance(ou_level, int) and deepest and ou_level > deepest:
        raise SettingsError(
            f"no OU is {ou_level} levels deep; the deepest has {deepest}",
            where="accounts.ou_level (FINOPS_ACCOUNTS__OU_LEVEL)",
            fix=f"Set it to full or to a number from 1 to {deepest}.",
        )
    rows.sort(key=lambda row: (row.account_id, row.valid_from))
    return pa.Table.from_pylist(
        [
            {
                "account_id": row.account_id,
                "account_name": row.account_name,
                "ou": row.ou_path if ou_level == "full" else "/".join(row.ou_path.split("/")[: int(ou_level)]),
                "ou_path": row.ou_path,
                "valid_from": row.valid_from,
                "valid_to": row.valid_to,
                **{name: dict(row.attributes).get(name) or None for name in attributes},
            }
            for row in rows
        ],
        schema=pa.schema([*ACCOUNT_OU_MAP, *(pa.field(name, pa.string()) for name in sorted(attributes))]),
    )


def from_map(table: pa.Table) -> list[Membership]:
    """The memberships, with all their attributes, that `account_map` made a map of."""
    attributes = table.column_names[len(ACCOUNT_OU_MAP) :]
    return [
        Membership(
            **{name: row[name] for name in COLUMNS},
            attributes=tuple((name, row[name] or "") for name in sorted(attributes)),
        )
        for row in table.to_pylist()
    ]


def from_bill(accounts: pa.Table) -> list[Membership]:
    """The accounts that the bill names, all Unassigned: for a platform without an account map."""
    return [
        Membership(account_id=row["account_id"], account_name=row["account_name"] or "", ou_path=UNASSIGNED)
        for row in accounts.to_pylist()
    ]


def counts(table: pa.Table) -> dict[str, int]:
    """Accounts per OU as of the newest membership of each."""
    newest = {row["account_id"]: row["ou"] for row in table.to_pylist()}
    return dict(sorted(Counter(newest.values()).items()))


def to_parquet(table: pa.Table) -> bytes:
    """The map as the object that is published; the same map gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy")
    return sink.getvalue().to_pybytes()
