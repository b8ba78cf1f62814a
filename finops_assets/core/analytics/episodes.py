"""The ledger of episodes: which anomalies were notified, so that each is notified once, again if it doubles, withdrawn.

One object of the archive, `anomalies/episodes.json`. What is notified depends on it and on the history alone: the same
run twice notifies once, and a run about a past day changes nothing. The days that could not be judged are kept in it,
too: what is found on one of them once it is archived is notified then, as found late.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_assets.core.analytics.anomalies import (
    CLOSED,
    GROWING,
    OPEN,
    PLANNED,
    STATES,
    WITHDRAWN,
    Episode,
    newest_first,
    shared,
)
from finops_assets.core.analytics.anomaly_history import RECENT, AnomalyHistory
from finops_assets.core.analytics.episode_builder import GAP
from finops_assets.core.errors import DamagedError
from finops_assets.core.money import money
from finops_assets.core.notes import FIX, read_note
from finops_assets.core.records import RecordType

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

LEDGER = "anomalies/episodes.json"

GROWN = 2
"""Times of its worst day when it was last notified, at which an episode is notified again: of what that day was off
and, where it rises, of its cost, as a share of what was expected. A drift that is told at +30 % always comes to twice
that; it is told again at +160 %."""

WORSE = 1.25
"""Times of the share that a drop was off, by which it must be off, too: a service that is gone at the weekend is still
gone on weekdays, at more money and the same share."""

LATE = 62
"""Days back in which anomalies of a hole that is filled are notified: two months, which AWS may still change. An older
one is history that is read for the first time."""

FOUND_LATE = "; found late, as not all of its days could be judged at first"

KEPT = 400
"""Days after its last that an episode stays in the ledger: a year's episodes can be looked up."""


@dataclass(frozen=True)
class Notification:
    """An episode as it was last seen, and what people were notified of.

    Attributes:
        times: how often it was notified; 0 for what is only kept.
        peak, worst: of the episode when it was last notified; what has to grow for it to be notified again.
        on: the day whose run notified it last; None where none did.
        late: it was found on days that were archived late, and notified as that.
    """

    episode: Episode
    times: int = 0
    peak: Decimal = Decimal()
    worst: float = 0.0
    on: date | None = None
    late: bool = False


@dataclass(frozen=True)
class Ledger:
    """What was notified, and up to which day.

    Attributes:
        rises, drops: the newest days that either was looked for on.
        notifications: the episodes; `told` where it is stored.
        missing: days up to the newest that neither was looked for on, as they were not archived, or doubled.
    """

    rises: date | None = None
    drops: date | None = None
    notifications: tuple[Notification, ...] = ()
    missing: tuple[date, ...] = ()


def _from_version_0(facts: dict[str, Any]) -> dict[str, Any]:
    """A ledger of a release before records had versions: its episodes were called `told`."""
    return {**facts, "notifications": facts["told"]}


RECORD = RecordType[Ledger](Ledger, "a ledger of episodes", upgrade=_from_version_0)


@dataclass(frozen=True)
class Reconciled:
    """What a run has to do: notify the episodes, and keep `ledger`; each is a tuple of episodes as they stand now.

    Attributes:
        ledger: to be written once the rest was notified.
        alerts: to notify, for they are new (OPEN, or CLOSED if they came and went unseen) or have doubled (GROWING).
        closed: notified before, and over now.
        withdrawn: notified before, and no anomaly any more, as the data has changed.
        current: the recent episodes, with the states and ids of the ledger, the newest and largest first.
    """

    ledger: Ledger
    alerts: tuple[Episode, ...] = ()
    closed: tuple[Episode, ...] = ()
    withdrawn: tuple[Episode, ...] = ()
    current: tuple[Episode, ...] = ()


def reconcile(ledger: Ledger, history: AnomalyHistory, as_of: date) -> Reconciled:
    """What is to be notified as of a day, given what was notified.

    An episode is notified if a day of it could not be judged before: of a history that is read for the first time, only
    what its newest days are part of. As of a day before the ledger's, nothing is notified and nothing changes.
    """
    missing = history.not_judged(as_of, LATE)
    filled = set(ledger.missing) - set(missing)
    episodes = _reported(history, as_of, filled)
    rises, drops = history.newest(as_of, rises=True), history.newest(as_of, rises=False)
    if rises is None or (ledger.rises and as_of < ledger.rises):
        return Reconciled(ledger, current=episodes)
    # An incomplete day may hide its rise until it has settled: what was seen of it does not count as judged.
    unseen = {True: _unseen(ledger.drops or ledger.rises, rises), False: _unseen(ledger.drops, drops or rises)}
    ids = {episode.id for episode in episodes}
    alerts: list[Episode] = []
    closed: list[Episode] = []
    seen: dict[str, Notification] = {}
    for episode in episodes:
        before = _known_as(episode, [known for known in ledger.notifications if known.episode.id not in seen], ids)
        is_new = episode.last >= unseen[episode.rises] and (before is None or episode.last > before.episode.last)
        after = _updated(before or Notification(episode), episode, history.was_found_on(episode, filled), is_new, as_of)
        seen[after.episode.id] = after
        if after.times > (before.times if before else 0):
            alerts.append(after.episode)
        elif before and _has_closed(before, after):
            closed.append(after.episode)
    gone = [(before, _gone(before, history, as_of)) for before in ledger.notifications if before.episode.id not in seen]
    closed += [after.episode for before, after in gone if _has_closed(before, after)]
    withdrawn = [
        after.episode
        for before, after in gone
        if before.times and after.episode.state == WITHDRAWN != before.episode.state
    ]
    entries = [*seen.values(), *(after for _, after in gone)]
    kept = [entry for entry in entries if entry.episode.last >= as_of - timedelta(days=KEPT)]
    kept.sort(key=lambda entry: (entry.episode.first, entry.episode.id))
    current = [entry.episode for entry in seen.values()]
    current += [
        entry.episode
        for _, entry in gone
        if entry.episode.state == WITHDRAWN and entry.times and _is_recent(entry.episode, as_of)
    ]
    current.sort(key=newest_first)
    after_all = Ledger(
        max(filter(None, (rises, ledger.rises))),
        max(filter(None, (drops, ledger.drops)), default=None),
        tuple(kept),
        missing,
    )
    return Reconciled(after_all, tuple(alerts), tuple(closed), tuple(withdrawn), tuple(current))


def _reported(history: AnomalyHistory, as_of: date, filled: Collection[date]) -> tuple[Episode, ...]:
    """The recent episodes, and older ones that were found on days that have been filled."""
    if not filled:
        return history.episodes(as_of)
    episodes = history.episodes(as_of, max(RECENT, (as_of - min(filled)).days))
    return tuple(episode for episode in episodes if _is_recent(episode, as_of) or history.was_found_on(episode, filled))


def _updated(known: Notification, episode: Episode, found_on_filled: bool, is_new: bool, as_of: date) -> Notification:
    """An episode's entry as of a day; notified once more if it is new, has doubled, or was found late.

    Args:
        known: its entry so far; one that was never notified for an episode that is not in the ledger.
        episode: as it stands now.
        found_on_filled: it was found on a day that could not be judged before.
        is_new: it has days that nobody saw.
        as_of: the day of this run.
    """
    has_doubled = known.times > 0 and _has_grown(known, episode)
    # An episode that was notified as over, and goes on in days that were filled since, is notified once more.
    goes_on = known.times > 0 and known.episode.state == CLOSED and episode.last > known.episode.last and not known.late
    is_late = (not known.times or goes_on) and found_on_filled
    late = known.late or is_late
    episode = replace(episode, id=known.episode.id, reason=episode.reason + (FOUND_LATE if late else ""))
    if episode.state == PLANNED:
        return replace(known, episode=episode)
    if has_doubled or is_late or (not known.times and is_new):
        if has_doubled and episode.state == OPEN:
            episode = replace(episode, state=GROWING)
        return Notification(episode, known.times + 1, episode.peak, episode.worst, as_of, late)
    if known.times > 1 and episode.state == OPEN:
        episode = replace(episode, state=GROWING)
    return replace(known, episode=episode)


def _gone(known: Notification, history: AnomalyHistory, as_of: date) -> Notification:
    """The entry of an episode that is not found any more: withdrawn, or over."""
    if _is_withdrawn(known.episode, history, as_of):
        return replace(known, episode=_withdrawn(known.episode, history))
    if known.episode.state in (OPEN, GROWING):
        return replace(known, episode=replace(known.episode, state=CLOSED))
    return known


def _has_closed(before: Notification, after: Notification) -> bool:
    """Whether an episode that was notified is over now, and was not before."""
    return before.times > 0 and before.episode.state in (OPEN, GROWING) and after.episode.state == CLOSED


def _has_grown(known: Notification, episode: Episode) -> bool:
    if abs(episode.peak) < GROWN * abs(known.peak):
        return False
    if not known.worst:
        return True
    return 1 + episode.worst >= GROWN * (1 + known.worst) if episode.rises else episode.worst >= WORSE * known.worst


def _is_recent(episode: Episode, as_of: date) -> bool:
    return episode.last >= as_of - timedelta(days=RECENT)


def _unseen(before: date | None, newest: date) -> date:
    """The first day that was not judged before; of a history that is new as a whole, its newest."""
    return newest if before is None else before + timedelta(days=1)


def _known_as(episode: Episode, known: Sequence[Notification], ids: Collection[str]) -> Notification | None:
    """The entry of an episode: by its id, or where late data has moved its first day or its level, by its cause.

    Args:
        episode: as it stands now.
        known: entries that no other episode was recognised as.
        ids: those of all episodes now; an entry with one of them has not been moved.
    """
    same = [entry for entry in known if entry.episode.id == episode.id]
    near = timedelta(days=GAP + 1)
    related = [
        entry
        for entry in known
        if entry.episode.id not in ids
        and entry.episode.rises == episode.rises
        and entry.episode.state != WITHDRAWN
        and shared(entry.episode.key, episode.key) in (entry.episode.key, episode.key)
        and entry.episode.first <= episode.last + near
        and episode.first <= entry.episode.last + near
    ]
    related.sort(
        key=lambda entry: (entry.episode.key != episode.key, -entry.episode.last.toordinal(), entry.episode.id)
    )
    return next(iter((*same, *related)), None)


def _is_withdrawn(episode: Episode, history: AnomalyHistory, as_of: date) -> bool:
    """Whether it would still be reported, had its data not changed."""
    is_judged = bool(history.archived) and history.archived[0] <= episode.first - timedelta(days=RECENT)
    return is_judged and episode.state != WITHDRAWN and _is_recent(episode, as_of)


def _withdrawn(episode: Episode, history: AnomalyHistory) -> Episode:
    days = f"on {episode.first}" if episode.first == episode.last else f"from {episode.first} to {episode.last}"
    cost = history.cost(episode.key, episode.first, episode.last)
    before, now = money(episode.actual, history.currency), money(cost, history.currency)
    why = (
        f"the data has changed, and it cost {now} {days}, not {before}"
        if cost != episode.actual
        else f"the data around it has changed, and {before} {days} is not unusual any more"
    )
    return replace(episode, state=WITHDRAWN, actual=cost, reason=f"Withdrawn, as {why}; it had said: {episode.reason}")


def read(archive: Archive) -> Ledger:
    """The ledger of an archive; an empty one where there is none, and where a damaged one was put aside.

    With an empty one nothing of the past is notified, and the episodes of the newest day may be notified again.
    """
    return read_note(archive, LEDGER, read_ledger, Ledger())


def read_ledger(data: bytes | None) -> Ledger:
    """The ledger of its object; without one, an empty one.

    Raises:
        DamagedError: it is none, or of a version that is not known here.
    """
    if data is None:
        return Ledger()
    ledger = RECORD.decode(data, LEDGER)
    for notification in ledger.notifications:
        if notification.episode.state not in STATES:
            state = notification.episode.state
            raise DamagedError(f"has an episode whose state is {state!r}", where=LEDGER, fix=FIX)
    return ledger


def write_ledger(ledger: Ledger) -> bytes:
    """The ledger as the bytes of its object: the same ones for the same ledger."""
    return RECORD.encode(ledger) + b"\n"
