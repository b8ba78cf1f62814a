"""The ledger of episodes: which anomalies were told, so that each is told once, again if it doubles, and taken back.

One object of the archive, `anomalies/episodes.json`. What is told depends on it and on the findings alone: the same
run twice tells once, and a run about a past day changes nothing. The days that could not be judged are kept in it, too:
what is found on one of them once it is archived is told then, as found late.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_assets.core.analytics.anomalies import CLOSED, GROWING, OPEN, PLANNED, STATES, WITHDRAWN, Episode, shared
from finops_assets.core.analytics.anomaly_history import RECENT, AnomalyHistory
from finops_assets.core.analytics.episode_builder import GAP
from finops_assets.core.money import money, plain
from finops_assets.core.notes import parsing, read_note

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

LEDGER = "anomalies/episodes.json"

GROWN = 2
"""Times of its worst day when it was last told, at which an episode is told again."""

WORSE = 1.25
"""Times of the share that it was off, by which it must be off too: a service that is gone is gone on weekdays too."""

LATE = 62
"""Days back in which a hole that is filled is told of: two months, which AWS may still change. An older one is history
that is read for the first time."""

FOUND_LATE = "; found late, as not all of its days could be judged at first"

KEPT = 400
"""Days after its last that an episode stays in the ledger: a year's episodes can be looked up."""


@dataclass(frozen=True)
class Told:
    """An episode as it was last seen, and what was said of it.

    Attributes:
        times: how often it was told; 0 for what is only remembered.
        peak, worst: of the episode when it was last told; what has to grow for it to be told again.
        on: the day whose run told it last; None where none did.
        late: it was found on days that were archived late, and told as that.
    """

    episode: Episode
    times: int = 0
    peak: Decimal = Decimal()
    worst: float = 0.0
    on: date | None = None
    late: bool = False


@dataclass(frozen=True)
class Ledger:
    """All that is remembered.

    Attributes:
        rises, drops: the newest days that either was looked for on.
        told: the episodes.
        missing: days up to the newest that neither was looked for on, as they were not archived, or doubled.
    """

    rises: date | None = None
    drops: date | None = None
    told: tuple[Told, ...] = ()
    missing: tuple[date, ...] = ()


@dataclass(frozen=True)
class Reconciled:
    """What a run has to do: keep `ledger`, and tell the others; each a tuple of episodes as they stand now.

    Attributes:
        ledger: to be written once the rest was told.
        alerts: told now, for they are new (OPEN, or CLOSED if they came and went unseen) or have doubled (GROWING).
        closed: told before, and over now.
        withdrawn: told before, and no anomaly any more, as the data has changed.
        current: the recent episodes, with the states and ids of the ledger, the newest and largest first.
    """

    ledger: Ledger
    alerts: tuple[Episode, ...] = ()
    closed: tuple[Episode, ...] = ()
    withdrawn: tuple[Episode, ...] = ()
    current: tuple[Episode, ...] = ()


def reconcile(ledger: Ledger, findings: AnomalyHistory, as_of: date) -> Reconciled:
    """What is to be told as of a day, given what was told.

    An episode is told if a day of it could not be judged before: a history that is read for the first time is not
    told, only what its newest days are part of. As of a day before the ledger's, nothing is told and nothing changes.
    """
    missing = findings.not_judged(as_of, LATE)
    filled = set(ledger.missing) - set(missing)
    now = _reported(findings, as_of, filled)
    rises, drops = findings.newest(as_of, rises=True), findings.newest(as_of, rises=False)
    if rises is None or (ledger.rises and as_of < ledger.rises):
        return Reconciled(ledger, current=now)
    # An incomplete day may hide its rise until it has settled: what was seen of it does not count as judged.
    unseen = {True: _unseen(ledger.drops or ledger.rises, rises), False: _unseen(ledger.drops, drops or rises)}
    ids = {found.id for found in now}
    alerts, closed, seen = [], [], {}
    for found in now:
        before = _before(found, [told for told in ledger.told if told.episode.id not in seen], ids)
        told = before or Told(found)
        doubled = told.times > 0 and _has_grown(told, found)
        is_new = found.last >= unseen[found.rises] and (before is None or found.last > before.episode.last)
        # An episode that was told as over, and goes on in days that were filled since, is told once more.
        goes_on = told.times > 0 and told.episode.state == CLOSED and found.last > told.episode.last and not told.late
        is_late = (not told.times or goes_on) and findings.was_found_on(found, filled)
        late = told.late or is_late
        episode = replace(found, id=told.episode.id, reason=found.reason + (FOUND_LATE if late else ""))
        if episode.state == PLANNED:
            entry = replace(told, episode=episode)
        elif doubled or is_late or (not told.times and is_new):
            episode = replace(episode, state=GROWING if doubled and episode.state == OPEN else episode.state)
            entry = Told(episode, told.times + 1, episode.peak, episode.worst, as_of, late)
            alerts.append(episode)
        else:
            if told.times > 1 and episode.state == OPEN:
                episode = replace(episode, state=GROWING)
            entry = replace(told, episode=episode)
            if told.times and episode.state == CLOSED and told.episode.state in (OPEN, GROWING):
                closed.append(episode)
        seen[entry.episode.id] = entry
    gone, withdrawn = [], []
    for told in ledger.told:
        if told.episode.id in seen:
            continue
        if _is_withdrawn(told.episode, findings, as_of):
            told = replace(told, episode=_withdrawn(told.episode, findings))
            withdrawn += [told.episode] if told.times else []
        elif told.episode.state in (OPEN, GROWING):
            told = replace(told, episode=replace(told.episode, state=CLOSED))
            closed += [told.episode] if told.times else []
        gone.append(told)
    kept = [told for told in (*seen.values(), *gone) if told.episode.last >= as_of - timedelta(days=KEPT)]
    kept.sort(key=lambda told: (told.episode.first, told.episode.id))
    current = [told.episode for told in seen.values()]
    current += [
        told.episode for told in gone if told.episode.state == WITHDRAWN and told.times and _recent(told, as_of)
    ]
    current.sort(key=lambda found: (-found.last.toordinal(), -abs(found.impact), found.id))
    after = Ledger(
        max(filter(None, (rises, ledger.rises))),
        max(filter(None, (drops, ledger.drops)), default=None),
        tuple(kept),
        missing,
    )
    return Reconciled(after, tuple(alerts), tuple(closed), tuple(withdrawn), tuple(current))


def _reported(findings: AnomalyHistory, as_of: date, filled: Collection[date]) -> tuple[Episode, ...]:
    """The recent episodes, and older ones that were found on days that have been filled."""
    if not filled:
        return findings.episodes(as_of)
    found = findings.episodes(as_of, max(RECENT, (as_of - min(filled)).days))
    return tuple(
        each for each in found if each.last >= as_of - timedelta(days=RECENT) or findings.was_found_on(each, filled)
    )


def _has_grown(told: Told, episode: Episode) -> bool:
    return abs(episode.peak) >= GROWN * abs(told.peak) and (not told.worst or episode.worst >= WORSE * told.worst)


def _recent(told: Told, as_of: date) -> bool:
    return told.episode.last >= as_of - timedelta(days=RECENT)


def _unseen(before: date | None, newest: date) -> date:
    """The first day that was not judged before; of a history that is new as a whole, its newest."""
    return newest if before is None else before + timedelta(days=1)


def _before(found: Episode, known: Sequence[Told], ids: Collection[str]) -> Told | None:
    """What is known of an episode: by its id, or where late data has moved its first day or its level, by its cause.

    Args:
        found: the episode as it stands now.
        known: what no other episode was recognised as.
        ids: those of all episodes now; what has one of them has not been moved.
    """
    same = [told for told in known if told.episode.id == found.id]
    near = timedelta(days=GAP + 1)
    related = [
        told
        for told in known
        if told.episode.id not in ids
        and told.episode.rises == found.rises
        and told.episode.state != WITHDRAWN
        and shared(told.episode.key, found.key) in (told.episode.key, found.key)
        and told.episode.first <= found.last + near
        and found.first <= told.episode.last + near
    ]
    related.sort(key=lambda told: (told.episode.key != found.key, -told.episode.last.toordinal(), told.episode.id))
    return next(iter((*same, *related)), None)


def _is_withdrawn(episode: Episode, findings: AnomalyHistory, as_of: date) -> bool:
    """Whether it would still be reported, had its data not changed."""
    looked = bool(findings.archived) and findings.archived[0] <= episode.first - timedelta(days=RECENT)
    return looked and episode.state != WITHDRAWN and episode.last >= as_of - timedelta(days=RECENT)


def _withdrawn(episode: Episode, findings: AnomalyHistory) -> Episode:
    days = f"on {episode.first}" if episode.first == episode.last else f"from {episode.first} to {episode.last}"
    cost = findings.cost(episode.key, episode.first, episode.last)
    said, now = money(episode.actual, findings.currency), money(cost, findings.currency)
    why = (
        f"the data has changed, and it cost {now} {days}, not {said}"
        if cost != episode.actual
        else f"the data around it has changed, and {said} {days} is not unusual any more"
    )
    return replace(episode, state=WITHDRAWN, actual=cost, reason=f"Withdrawn, as {why}; it had said: {episode.reason}")


def read(archive: Archive) -> Ledger:
    """The ledger of an archive; an empty one where there is none, and where a damaged one was put aside.

    Of an empty one nothing of the past is told, and the episodes of the newest day may be told again.
    """
    return read_note(archive, LEDGER, read_ledger, Ledger())


def read_ledger(data: bytes | None) -> Ledger:
    """The ledger of its object; without one, an empty one.

    Raises:
        DamagedError: it is none, or of a version that is not known here.
    """
    if data is None:
        return Ledger()
    with parsing("a ledger of episodes", LEDGER):
        facts = json.loads(data)
        if facts["version"] != 1:
            raise ValueError(f"version {facts['version']}")
        return Ledger(
            _day(facts["rises"]),
            _day(facts["drops"]),
            tuple(_told(told) for told in facts["told"]),
            tuple(map(date.fromisoformat, facts.get("missing", ()))),  # of a ledger before it was kept: none
        )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _told(facts: dict) -> Told:
    episode = dict(facts["episode"])
    for name in ("first", "last"):
        episode[name] = date.fromisoformat(episode[name])
    for name in ("expected", "actual", "peak"):
        episode[name] = Decimal(episode[name])
    if episode["state"] not in STATES or episode.keys() != {name.name for name in fields(Episode)}:
        raise ValueError(f"episode {episode.get('id')}")
    return Told(
        Episode(**episode),
        int(facts["times"]),
        Decimal(facts["peak"]),
        float(facts["worst"]),
        _day(facts["on"]),
        bool(facts.get("late", False)),
    )


def write_ledger(ledger: Ledger) -> bytes:
    """The ledger as the bytes of its object: the same ones for the same ledger."""
    facts = {"version": 1, "rises": ledger.rises, "drops": ledger.drops, "told": _facts(ledger.told)}
    facts["missing"] = ledger.missing
    return (json.dumps(facts, ensure_ascii=False, indent=1, default=_text) + "\n").encode()


def _facts(all_told: Sequence[Told]) -> list[dict]:
    return [asdict(told) for told in all_told]


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
