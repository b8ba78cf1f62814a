"""Anomalies: days that cost what nobody expected, drawn together into episodes that each have one id and one alert.

A day is judged with the days up to it alone (core.deviations says how), so that what is said of it stays true as days
pass, and all days of a backfill are judged at once. OUs with what lies below them, their services and their accounts
are all judged; one cause shows in several of them and is told once, of the smallest part that explains most of it.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.accounts.ous import ALL, within
from finops_assets.core.analytics.deviations import LEVEL, SCORE, SHARE, WEEK, Deviations, deviations
from finops_assets.core.analytics.events import Event, planned
from finops_assets.core.money import CENT, change, money, percent

if TYPE_CHECKING:
    import numpy as np

RISE, DROP, DRIFT, NEW, VANISHED = KINDS = ("rise", "drop", "drift", "new", "vanished")
OPEN, GROWING, CLOSED, WITHDRAWN, PLANNED = STATES = ("open", "growing", "closed", "withdrawn", "planned")

HISTORY = 200
"""Days before the first day of interest that are best given: three firsts of a month, each with its own level."""

RECENT = 28
"""Days after its last that an episode is still reported: as long as the level remembers it."""

GAP = 3
"""Quiet days inside an episode: a weekend between two bad days does not make them two."""

MOST = 0.7
"""Of an excess, that a part must explain for the episode to be about the part alone."""

PARTS = 3
"""OUs at most that a day of the OU above them is told as; what is in more of them is one cause, told once."""

NOTHING = 0.01
"""Of what was expected, up to which something is gone."""

TWICE = (1.6, 3.4)
"""Times of what was expected that count as doubled, if nearly everything is: a file delivered two or three times."""

NEARLY_ALL = 0.8
"""Of the expected cost, that must be doubled, or odd for a day to be so as a whole."""

LEAST_DOUBLED = 3
"""Series that must be doubled: one or two alone are an anomaly."""

RESTATED = 0.5
"""Of a day's excess, from which on a restatement explains it."""

TEN = 10
"""Times of what was expected from which on a percentage says less than the amounts."""

USUAL_NOW = 7
"""Days after an episode that say whether it went on, and counts as usual now."""

LARGEST = 50
"""Services of accounts that are judged however little they cost, for the look at doubled days."""

Key = tuple[str, str, str]
"""OU path, service and account; service and account are empty where it is about all of them."""


@dataclass(frozen=True)
class Episode:
    """Consecutive days on which one thing costs more or less than expected, with one cause and one id.

    Attributes:
        id: short, stable from day to day while the episode lasts, e.g. `A-3f9c21`.
        ou: the OU's path; `service` and `account` narrow it down, and are empty where it is about all of them.
        kind: one of KINDS.
        state: one of STATES.
        first, last: its days.
        expected, actual: the cost of its days together, as it was expected and as it was.
        score: of its worst day, in usual deviations.
        reason: one sentence, with expected, actual and what it can be compared with; plain text.
        planned: the event of the calendar that explains it; empty where none does.
        peak: actual less expected of its worst day; negative for a drop.
        worst: the largest share of what was expected that one of its days was off; 0 where nothing was expected.
    """

    id: str
    ou: str
    service: str
    account: str
    kind: str
    state: str
    first: date
    last: date
    expected: Decimal
    actual: Decimal
    score: float
    reason: str
    planned: str = ""
    peak: Decimal = Decimal()
    worst: float = 0.0

    @property
    def impact(self) -> Decimal:
        return self.actual - self.expected

    @property
    def key(self) -> Key:
        return self.ou, self.service, self.account

    @property
    def rises(self) -> bool:
        return self.kind not in (DROP, VANISHED)


@dataclass(frozen=True)
class Band:
    """What an OU was expected to cost on a day, and how far off it was, in usual deviations (negative: below)."""

    low: Decimal
    high: Decimal
    score: float


@dataclass(frozen=True)
class Doubled:
    """A day on which nearly everything costs twice what was expected: something to check, no anomaly."""

    day: date
    expected: Decimal
    actual: Decimal


def contains(whole: Key, part: Key) -> bool:
    """Whether one thing is the other or a part of it; an OU contains what lies below it, its services do not."""
    if whole[1] or whole[2]:
        return whole[0] == part[0] and whole[1] in ("", part[1]) and whole[2] in ("", part[2])
    return whole[0] == ALL or within(part[0], whole[0])


def shared(one: Key, other: Key) -> Key | None:
    """What two things have in common; None where that is nothing."""
    if contains(one, other):
        return other
    if contains(other, one):
        return one
    common = one[0], one[1] or other[1], one[2] or other[2]
    return common if contains(one, common) and contains(other, common) else None


def largest(episodes: Iterable[Episode], ou: str, day: date) -> Episode | None:
    """The episode of an OU, or of something in it, that moved most money and has the day in it; None without one."""
    found = [
        episode
        for episode in episodes
        if episode.state != WITHDRAWN and episode.first <= day <= episode.last and contains((ou, "", ""), episode.key)
    ]
    return max(found, key=lambda episode: (abs(episode.impact), episode.id), default=None)


def judge(
    costs: Mapping[Key, Mapping[date, Decimal]],
    days: Collection[date],
    *,
    currency: str,
    floor: Decimal,
    share: float = SHARE,
    unsettled: Collection[date] = (),
    restated: Mapping[date, Mapping[Key, Decimal]] | None = None,
    events: Sequence[Event] = (),
    names: Mapping[str, str] | None = None,
) -> Findings:
    """Judge every day, as of that day.

    Args:
        costs: (OU path, service, account) -> day -> cost, exact; best `HISTORY` days before the first day of interest.
        days: the days that are archived. One between them that is not is a hole and is not judged; what has no cost
            on an archived day cost nothing.
        currency: of every cost.
        floor: money that a day must be off at least; what never costs so much is not judged, except OUs.
        share: of what was expected, that a day must be off at least.
        unsettled: days that may still be incomplete; a drop on them is not told.
        restated: day -> key -> by how much a cost was changed after its day had settled; days that are odd by that
            alone are not told.
        events: what is planned.
        names: account id -> name.
    """
    archived = sorted(days)
    calendar = [archived[0] + timedelta(days=n) for n in range((archived[-1] - archived[0]).days + 1)] if days else []
    findings = Findings(
        currency=currency,
        share=share,
        calendar=calendar,
        archived=archived,
        settled=sorted(set(archived) - set(unsettled)),
        costs=costs,
        events=tuple(events),
        names=dict(names or {}),
    )
    if not archived or not costs:
        return findings
    table = findings.table = _table(costs, set(archived), calendar, float(floor))
    known = set(archived)
    changed = {day: deltas for day, deltas in (restated or {}).items() if day in known}
    findings.judged = judged = _judged_without_doubled(table, findings, float(floor), changed)
    _leave_out(table, judged, findings, changed)
    findings.runs = _Walk(table, judged, share, float(floor)).runs()
    return findings


@dataclass
class Findings:
    """What `judge` found: ask it for the episodes as of a day, and for an OU's band on a day.

    Attributes:
        archived: the days, ascending.
        settled: those on which a drop is told.
        doubled: days that cost twice what was expected, all over, and that no event explains. They are not judged, and
            other days are judged as if these had cost what was expected.
    """

    currency: str
    share: float
    calendar: list[date]
    archived: list[date]
    settled: list[date]
    costs: Mapping[Key, Mapping[date, Decimal]]
    events: tuple[Event, ...]
    names: dict[str, str]
    doubled: tuple[Doubled, ...] = ()
    table: _Table | None = None
    judged: Deviations | None = None
    runs: list[_Run] = field(default_factory=list)
    _sums: dict[tuple[int, int], Decimal] = field(default_factory=dict)

    def column(self, day: date) -> int:
        return (day - self.calendar[0]).days

    def newest(self, as_of: date, *, rises: bool) -> date | None:
        """The newest day up to `as_of` on which a rise, or a drop, can be told."""
        days = self.archived if rises else self.settled
        doubled = {found.day for found in self.doubled}
        at = bisect_right(days, as_of)
        while at and days[at - 1] in doubled:
            at -= 1
        return days[at - 1] if at else None

    def not_judged(self, as_of: date, back: int) -> tuple[date, ...]:
        """The holes and doubled days among so many days up to `as_of`; none while the history is too short to judge."""
        if self.table is None or not self.archived:
            return ()
        column = self.column(as_of)
        whole = self.table.row((ALL, "", ""), column)
        if whole is None or math.isnan(self.judged.expected[whole, column]):
            return ()
        judged = set(self.archived) - {found.day for found in self.doubled}
        return tuple(day for day in self.calendar if day <= as_of < day + timedelta(days=back) and day not in judged)

    def was_found_on(self, episode: Episode, days: Collection[date]) -> bool:
        """Whether one of these days was itself an anomaly that the episode is made of."""
        columns = {self.column(day) for day in days if episode.first <= day <= episode.last}
        sign = 1 if episode.rises else -1
        return any(columns.intersection(run.hits) for run in self.runs if (run.key, run.sign) == (episode.key, sign))

    def episodes(self, as_of: date, recent: int = RECENT) -> tuple[Episode, ...]:
        """The episodes as they stood on a day, the newest and largest first.

        Args:
            as_of: later days count for nothing.
            recent: days before it, within which an episode must have had its last day.
        """
        found = []
        for run in self.runs:
            hits = run.hits[: bisect_right(run.hits, self.column(as_of))]
            if hits and self.calendar[hits[-1]] >= as_of - timedelta(days=recent):
                found.append(self._episode(run, hits, as_of))
        return tuple(sorted(found, key=lambda found: (-found.last.toordinal(), -abs(found.impact), found.id)))

    def band(self, ou: str, day: date) -> Band | None:
        """What a day of an OU (or `All`) was expected to cost; None where that cannot be said.

        A day outside it is an anomaly, unless such days come again and again or the money is too little.
        """
        if self.table is None or not self.calendar[0] <= day <= self.calendar[-1]:
            return None
        known = self._known((ou, "", ""), self.column(day))
        if known is None:
            return None
        row, _, expected = known
        wide = max(SCORE * float(self.judged.deviation[row, self.column(day)]), self.share * abs(expected))
        if math.isnan(wide):
            return None
        low = expected - wide if expected < 0 else max(expected - wide, 0.0)
        return Band(_cents(low), _cents(expected + wide), float(self.judged.score[row, self.column(day)]))

    def cost(self, key: Key, first: date, last: date) -> Decimal:
        """What something costs on these days together, exactly."""
        return sum(
            (cost for part, of in self.costs.items() if contains(key, part) for day, cost in of.items()
             if first <= day <= last),
            Decimal(),
        )  # fmt: skip

    def _episode(self, run: _Run, hits: list[int], as_of: date) -> Episode:
        expected, actual, peak, score, worst = 0.0, Decimal(), 0.0, 0.0, 0.0
        for column in range(hits[0], hits[-1] + 1):
            known = self._known(run.key, column)
            if known is None:
                continue
            row, cost, usual = known
            expected += usual
            actual += self._exact(row, column)
            if column in hits:
                off = cost - usual
                peak = off if off * run.sign > peak * run.sign else peak
                score = max(score, abs(float(self.judged.score[row, column])))
                worst = max(worst, abs(off / usual)) if usual else worst
        first, last = self.calendar[hits[0]], self.calendar[hits[-1]]
        kind = self._kind(run, hits, gone=abs(actual) <= Decimal(repr(NOTHING * abs(expected))))
        plan = planned(self.events, run.key[0], run.key[1], first, last)
        state = OPEN if last == self.newest(as_of, rises=run.sign > 0) else CLOSED
        return Episode(
            run.id(self.calendar),
            *run.key,
            kind,
            PLANNED if plan else state,
            first,
            last,
            _cents(expected),
            actual,
            round(score, 1),
            self._reason(run, kind, first, last, _cents(expected), actual)
            + (
                "; that has gone on, and counts as usual now"
                if state == CLOSED and self._goes_on(run.key, first, last, as_of, expected, actual)
                else ""
            ),
            str(plan or ""),
            _cents(peak),
            round(worst, 4),
        )

    def _known(self, key: Key, column: int) -> tuple[int, float, float] | None:
        """Its row, cost and expected cost; None on a hole, and where nothing can be said."""
        row = self.table.row(key, column)
        if row is None:
            return None
        cost, expected = float(self.table.values[row, column]), float(self.judged.expected[row, column])
        return None if math.isnan(cost) or math.isnan(expected) else (row, cost, expected)

    def _exact(self, row: int, column: int) -> Decimal:
        if (row, column) not in self._sums:
            day, members = self.calendar[column], self.table.members[row]
            self._sums[row, column] = sum((self.costs[key].get(day, Decimal()) for key in members), Decimal())
        return self._sums[row, column]

    def _kind(self, run: _Run, hits: list[int], *, gone: bool) -> str:
        if run.sign < 0:
            return VANISHED if gone else DROP
        row = self.table.row(run.key, hits[0])
        if row is not None and self.judged.new[row, hits[0]]:
            return NEW
        by_week = (self.judged.drift[row, n] for n in hits if (row := self.table.row(run.key, n)) is not None)
        return DRIFT if all(by_week) else RISE

    def _reason(self, run: _Run, kind: str, first: date, last: date, expected: Decimal, actual: Decimal) -> str:
        days = f"on {first}" if first == last else f"in the {(last - first).days + 1} days from {first} to {last}"
        what, cost = self._what(run.key), money(actual, self.currency)
        usual = money(expected, self.currency)
        if kind == NEW:
            said = f"{what} is new: it cost {cost} {days}, and nothing in the {LEVEL} days before"
        elif kind == VANISHED:
            said = f"{what} is gone: it cost {cost} {days}, where {usual} was expected from the four weeks before"
        else:
            grows = " has been growing:" if kind == DRIFT else ""
            off = change(actual - expected, self.currency)
            if 0 <= actual < TEN * expected:
                off = f"{off}, {percent(actual, expected)}"
            said = (
                f"{what}{grows}{' it' if grows else ''} cost {cost} {days}, where {usual} was expected "
                f"from the same weekdays of the four weeks before ({off})"
            )
        part = self._largest(run, first, last)
        return f"{said}; most of it is {part}" if part else said

    def _goes_on(self, key: Key, first: date, last: date, as_of: date, expected: float, actual: Decimal) -> bool:
        """Whether the days after it cost rather what its days did than what was expected of those."""
        start = self.column(last) + 1
        row, end = self.table.row(key, start - 1), min(self.column(as_of), start + USUAL_NOW - 1) + 1
        known = [] if row is None else [cost for cost in self.table.values[row, start:end].tolist() if cost == cost]
        if not known:
            return False
        days = (last - first).days + 1
        usual, was = expected / days, float(actual) / days
        now = sum(known) / len(known)
        return (now - usual) * (was - usual) > (was - usual) ** 2 / 2

    def _what(self, key: Key) -> str:
        ou, service, account = (" ".join(part.split()) for part in key)
        name = " ".join(self.names.get(key[2], "").split()) or account
        if service and account:
            return f"{service} in {name} ({ou})"
        if account:
            return f"Account {name} ({ou})"
        if service:
            return f"{service} in {ou}"
        return "The whole organization" if ou == ALL else ou

    def _largest(self, run: _Run, first: date, last: date) -> str:
        """The part that most of an OU's, a service's or an account's excess comes from; empty where there is none."""
        if run.key[1] and run.key[2]:
            return ""
        start, end = self.column(first), self.column(last) + 1
        whole, (parts, rows) = self.table.row(run.key, end - 1), self.table.parts(run.key, end - 1)
        if whole is None or not parts:
            return ""
        off = self._off(rows, start, end) * run.sign
        most = off.argmax()
        return self._what(parts[most]) if off[most] >= self._off(whole, start, end) * run.sign / 2 > 0 else ""

    def _off(self, rows: int | list[int], start: int, end: int) -> np.ndarray:
        """How much more than expected these days cost together."""
        import numpy as np

        return np.nansum(self.table.values[rows, start:end] - self.judged.expected[rows, start:end], axis=-1)


@dataclass
class _Table:
    """Everything that is judged: rows of cost by consecutive day, NaN where there is no data.

    An account that moves between OUs is no cause: from that day on its old and its new OU have rows of their own, with
    costs as if it had always been where it is now. `spans` says for each key which row counts from which column on.
    """

    values: np.ndarray
    keys: list[Key]
    members: list[list[Key]]
    spans: dict[Key, list[tuple[int, int, int]]]
    _parts: dict[Key, list[Key]] = field(default_factory=dict)

    def row(self, key: Key, column: int) -> int | None:
        for start, end, row in self.spans.get(key, ()):
            if start <= column < end:
                return row
        return None

    def parts(self, key: Key, column: int) -> tuple[list[Key], list[int]]:
        """The services of accounts in it, and their rows."""
        if key not in self._parts:
            self._parts[key] = [part for part in self.spans if part[1] and part[2] and contains(key, part)]
        rows = [(part, row) for part in self._parts[key] if (row := self.row(part, column)) is not None]
        return [part for part, _ in rows], [row for _, row in rows]


def _table(
    costs: Mapping[Key, Mapping[date, Decimal]], archived: set[date], calendar: list[date], floor: float
) -> _Table:
    import numpy as np

    column = {day: n for n, day in enumerate(calendar)}
    keys = list(costs)
    leaves = np.zeros((len(keys), len(calendar)))
    for row, of in enumerate(costs.values()):
        for day, cost in of.items():
            if day in column:
                leaves[row, column[day]] = float(cost)
    leaves[:, [day not in archived for day in calendar]] = np.nan
    enough = min(floor, float(np.sort(np.nanmax(np.abs(leaves), axis=1))[-LARGEST:][0]))
    values, names, members = [], [], []
    spans: dict[Key, list[tuple[int, int, int]]] = defaultdict(list)
    moves = _moves(costs, column)
    for start, owners, touched in _epochs(moves):
        groups: dict[Key, list[int]] = defaultdict(list)
        for row, (ou, service, account) in enumerate(keys):
            owner = owners.get(account, ou)
            for key in _levels(owner, service, account):
                if touched is None or (key[0] in touched and key[0] != ALL):
                    groups[key].append(row)
        ended = [key for key in spans if touched is not None and key[0] in touched and key[0] != ALL]
        for key in ended:
            first, _, row = spans[key][-1]
            spans[key][-1] = (first, min(start, spans[key][-1][1]), row)
        for key, rows in groups.items():
            if bool(key[1]) != bool(key[2]) and len(rows) == 1:
                continue  # an account's only service, or a service's only account: the same as the two together
            cost = leaves[rows].sum(axis=0) if len(rows) > 1 else leaves[rows[0]]
            if (key[1] or key[2]) and not np.nanmax(np.abs(cost)) >= (enough if key[1] and key[2] else floor):
                continue
            spans[key].append((start, len(calendar), len(values)))
            values.append(cost)
            names.append(key)
            members.append([keys[row] for row in rows])
    return _Table(np.array(values), names, members, dict(spans))


def _levels(ou: str, service: str, account: str) -> Iterator[Key]:
    yield from ((ou, service, account), (ou, service, ""), (ou, "", account), (ou, "", ""), (ALL, "", ""))
    yield from ((ou[:at], "", "") for at, character in enumerate(ou) if character == "/")


def _moves(costs: Mapping[Key, Mapping[date, Decimal]], column: Mapping[date, int]) -> dict[str, list[tuple[int, str]]]:
    """The accounts that moved: where each was from which column on. One that is in two OUs at once did not move."""
    ous: dict[str, set[str]] = defaultdict(set)
    for ou, _, account in costs:
        ous[account].add(ou)
    moved: dict[str, dict[int, str]] = {account: {} for account, of in ous.items() if len(of) > 1 and account}
    twice = set()
    for (ou, _, account), of in costs.items():
        where = moved.get(account)
        if where is not None:
            for day in of:
                if day in column and where.setdefault(column[day], ou) != ou:
                    twice.add(account)
    made = {}
    for account, where in moved.items():
        if account not in twice:
            known = sorted(where.items())
            made[account] = [
                (at, ou) for n, (at, ou) in enumerate(known) if n == 0 or known[n - 1][1] != ou
            ]  # fmt: skip
    return {account: path for account, path in made.items() if len(path) > 1}


def _epochs(moves: Mapping[str, list[tuple[int, str]]]) -> Iterator[tuple[int, dict[str, str], set[str] | None]]:
    """From each column on which accounts moved: where those are now, and the OUs that are touched, with parents."""
    owners = {account: path[0][1] for account, path in moves.items()}
    yield 0, dict(owners), None
    by_column: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for account, path in moves.items():
        for at, ou in path[1:]:
            by_column[at].append((account, ou))
    for at in sorted(by_column):
        touched = set()
        for account, ou in by_column[at]:
            touched |= {key[0] for name in (owners[account], ou) for key in _levels(name, "", "")}
            owners[account] = ou
        yield at, dict(owners), touched


def _judged_without_doubled(
    table: _Table, findings: Findings, floor: float, restated: Mapping[date, Mapping[Key, Decimal]]
) -> Deviations:
    """How far each day is off, once the doubled days are found and count as what was expected of them.

    Where the history is too short to expect anything, what a restated day had before counts as expected.

    A pass finds the doubled days that the median still tells apart, two weeks of a stretch; the days after those show
    when these are put right. Of the table, doubled days are taken out.
    """
    import numpy as np

    def judge_again(values: np.ndarray) -> Deviations:
        return deviations(values, findings.calendar, share=findings.share, floor=floor)

    judged = judge_again(table.values)
    nothing_expected = ~np.isfinite(judged.expected[_leaves(table)]).any(axis=0)
    young = {day: deltas for day, deltas in restated.items() if nothing_expected[findings.column(day)]}
    before = _before(table, findings, young)
    doubled: dict[int, Doubled] = {}
    while True:
        found = {findings.column(each.day): each for each in _doubled(table, judged, findings, before)}
        is_complete = found.keys() <= doubled.keys()
        doubled |= found
        if is_complete:
            break
        once = table.values.copy()
        for column, each in doubled.items():
            once[:, column] *= float(each.expected / each.actual)
        judged = judge_again(once)
    if doubled:
        findings.doubled = tuple(doubled[column] for column in sorted(doubled))
        table.values[:, list(doubled)] = float("nan")
        for flags in (judged.rise, judged.drop, judged.drift, judged.new):
            flags[:, list(doubled)] = False
    return judged


def _leaves(table: _Table) -> np.ndarray:
    """Which rows are one service of one account."""
    import numpy as np

    return np.array([bool(key[1] and key[2]) for key in table.keys])


def _changed_by(deltas: Mapping[Key, Decimal], members: Iterable[Key]) -> Decimal:
    """By how much a restatement has changed these costs together."""
    return sum((deltas[key] for key in members if key in deltas), Decimal())


def _before(
    table: _Table, findings: Findings, restated: Mapping[date, Mapping[Key, Decimal]]
) -> dict[int, tuple[np.ndarray, Decimal]]:
    """What the rows of restated days, and these days in all, cost before: column -> (floats, exact total)."""
    import numpy as np

    before = {}
    for day, deltas in restated.items():
        column = findings.column(day)
        off = [float(_changed_by(deltas, members)) for members in table.members]
        whole = findings._exact(table.row((ALL, "", ""), column), column) - sum(deltas.values(), Decimal())
        before[column] = table.values[:, column] - np.array(off), whole
    return before


def _doubled(
    table: _Table, judged: Deviations, findings: Findings, before: Mapping[int, tuple[np.ndarray, Decimal]]
) -> Iterator[Doubled]:
    import numpy as np

    leaves = _leaves(table)
    expected = np.where(np.isfinite(table.values), judged.expected, np.nan)[leaves]
    for column, (costs, _) in before.items():
        expected[:, column] = costs[leaves]
    usable = np.isfinite(expected) & (expected > 0)
    with np.errstate(all="ignore"):
        times = table.values[leaves] / expected
        twice = usable & (times >= TWICE[0]) & (times <= TWICE[1])
        known, sums = np.where(usable, expected, 0.0), np.where(twice, expected, 0.0)
        found = (sums.sum(axis=0) >= NEARLY_ALL * known.sum(axis=0)) & (twice.sum(axis=0) >= LEAST_DOUBLED)
    for column in np.flatnonzero(found):
        row = table.row((ALL, "", ""), column)
        usual = float(judged.expected[row, column])
        if not math.isnan(usual):
            expected_in_all = _cents(usual)
        elif column in before:
            expected_in_all = before[column][1]
        else:
            continue
        day = findings.calendar[column]
        if not planned(findings.events, ALL, "", day, day):
            yield Doubled(day, expected_in_all, findings._exact(row, column))


def _leave_out(
    table: _Table, judged: Deviations, findings: Findings, restated: Mapping[date, Mapping[Key, Decimal]]
) -> None:
    """Take back drops of days that may be incomplete, and what a restatement explains."""
    import numpy as np

    settled = set(findings.settled)
    judged.drop[:, [day not in settled for day in findings.calendar]] = False
    for day, deltas in restated.items():
        column = findings.column(day)
        for row in np.flatnonzero(judged.rise[:, column] | judged.drop[:, column]):
            delta = float(_changed_by(deltas, table.members[row]))
            off = table.values[row, column] - judged.expected[row, column]
            if delta * off > 0 and abs(delta) >= RESTATED * abs(off):
                judged.rise[row, column] = judged.drop[row, column] = False


@dataclass
class _Run:
    """An episode while it is drawn together: the columns on which it was found."""

    key: Key
    sign: int
    hits: list[int]

    def id(self, calendar: list[date]) -> str:
        text = "\0".join((*self.key, "up" if self.sign > 0 else "down", str(calendar[self.hits[0]])))
        return f"A-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class _Walk:
    """Day by day, the odd rows of the table become episodes: one for a cause, of the part that explains most of it.

    What an episode explained stays explained as long as it goes on, unless it doubles: an OU remembers a service's
    spike for longer than the service itself does.
    """

    def __init__(self, table: _Table, judged: Deviations, share: float, floor: float) -> None:
        import numpy as np

        self._table, self._judged, self._share, self._floor = table, judged, share, floor
        with np.errstate(all="ignore"):
            self._off = np.nan_to_num(table.values - judged.expected)
        whole = table.values[table.spans[(ALL, "", "")][-1][2]]
        self._known = np.cumsum(np.isfinite(whole))
        self._explained: dict[tuple[Key, int], tuple[int, float]] = {}

    def runs(self) -> list[_Run]:
        import numpy as np

        runs: list[_Run] = []
        for sign, flags in ((1, self._judged.rise), (-1, self._judged.drop)):
            mine: list[_Run] = []
            for column in np.flatnonzero(flags.any(axis=0)):
                quiet = [(run, self._quiet(run.hits[-1], column)) for run in mine]
                going = [run for run, days in quiet if days <= GAP]
                usual = [run for run, days in quiet if GAP < days <= LEVEL and self._is_usual(run, int(column))]
                rows = np.flatnonzero(flags[:, column])
                odd = {
                    self._table.keys[row]: row for row in rows if self._table.row(self._table.keys[row], column) == row
                }
                mine += self._day(int(column), sign, odd, going, usual)
            runs += mine
        return runs

    def _quiet(self, last: int, column: int) -> int:
        """Days with data between the two."""
        return int(self._known[column] - self._known[last]) - 1

    def _is_usual(self, run: _Run, column: int) -> bool:
        """Whether an episode went on after its last day, and this one is no worse: a step that weekends still show.

        The week from its first day on still knows what was expected before it.
        """
        start, row = run.hits[0], self._table.row(run.key, column)
        if row is None or start + WEEK > column:
            return False
        usual = self._judged.expected[row, start : start + WEEK]
        cost = self._table.values[row, run.hits[-1] + 1 : column]
        before = usual[[(n - start) % WEEK for n in range(run.hits[-1] + 1, column)]]
        worst = max(self._excess(run.key, n, run.sign) for n in run.hits)
        off = [float(value) for value in (cost - before) * run.sign if value == value]
        return bool(off) and sum(off) / len(off) >= worst / 2 and self._excess(run.key, column, run.sign) <= worst

    def _day(self, column: int, sign: int, odd: dict[Key, int], going: list[_Run], usual: list[_Run]) -> list[_Run]:
        opened: list[_Run] = []
        for run in going:
            if run.key in odd:
                run.hits.append(column)
        if self._is_everywhere(column, odd) and not any(run.key == (ALL, "", "") for run in going):
            opened.append(_Run((ALL, "", ""), sign, [column]))
        for key in sorted(odd, key=lambda key: (-self._excess(key, column, sign), key)):
            off = self._excess(key, column, sign)
            if not self._is_explained(key, column, sign, [*going, *opened], usual):
                before = self._explained.get((key, sign))
                if before and self._quiet(before[0], column) <= GAP and off <= 2 * before[1]:
                    self._explained[key, sign] = (column, before[1])
                    continue
                for cause in self._causes(key, column, sign, odd):
                    if not self._is_explained(cause, column, sign, [*going, *opened], usual):
                        opened.append(_Run(cause, sign, [column]))
            self._explained[key, sign] = (column, max(off, self._explained.get((key, sign), (0, 0.0))[1]))
        return opened

    def _excess(self, key: Key, column: int, sign: int) -> float:
        row = self._table.row(key, column)
        return 0.0 if row is None else float(self._off[row, column]) * sign

    def _is_explained(
        self, key: Key, column: int, sign: int, runs: Iterable[_Run], usual: Collection[_Run] = ()
    ) -> bool:
        rest = off = self._excess(key, column, sign)
        for run in (*runs, *usual):
            if contains(run.key, key) and (run.hits[-1] == column or run.key == key or run in usual):
                return True  # a whole that is quiet today explains no part of it
            common = shared(run.key, key)
            rest -= max(self._excess(common, column, sign), 0.0) if common else 0.0
        row = self._table.row(key, column)
        enough = max(self._floor, self._share * abs(float(self._judged.expected[row, column])))
        return rest < off and (rest < enough or rest < (1 - MOST) * off)

    def _causes(self, key: Key, column: int, sign: int, odd: Mapping[Key, int]) -> list[Key]:
        """The smallest odd part that explains most of it; else a few OUs that do together; else itself."""
        off = self._excess(key, column, sign)
        parts = {part: self._excess(part, column, sign) for part in odd if part != key and contains(key, part)}
        enough = [part for part, of in parts.items() if of >= MOST * off]
        if enough:
            return [max(enough, key=lambda part: (_depth(part), parts[part], part))]
        if key[1] or key[2]:
            return [key]
        ous = sorted((part for part in parts if not part[1] and not part[2]), key=lambda part: (-parts[part], part))
        chosen: list[Key] = []
        for part in ous:
            if len(chosen) < PARTS and not any(shared(part, other) for other in chosen):
                chosen.append(part)
        if sum(parts[part] for part in chosen) < MOST * off:
            return [key]
        return [cause for part in chosen for cause in self._causes(part, column, sign, odd)]

    def _is_everywhere(self, column: int, odd: Mapping[Key, int]) -> bool:
        """Whether the OUs below the root that are odd have nearly all of the expected cost."""
        there = {}
        for key in self._table.spans:
            row = None if any(key[1:]) or "/" in key[0] or key[0] == ALL else self._table.row(key, column)
            expected = math.nan if row is None else abs(float(self._judged.expected[row, column]))
            if not math.isnan(expected):
                there[key] = expected
        hit = [expected for key, expected in there.items() if key in odd]
        return (ALL, "", "") in odd and len(hit) > PARTS and sum(hit) >= NEARLY_ALL * sum(there.values())


def _depth(key: Key) -> tuple[int, int]:
    return bool(key[1]) + bool(key[2]), -1 if key[0] == ALL else key[0].count("/")


def _cents(amount: float) -> Decimal:
    return Decimal(repr(float(amount))).quantize(CENT) + 0
