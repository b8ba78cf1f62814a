"""Anomalies: what is told of a day that costs what nobody expected, how often, and what is never told."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest

from finops_assets.core.analytics.anomalies import (
    CLOSED,
    DRIFT,
    DROP,
    GROWING,
    NEW,
    OPEN,
    PLANNED,
    RISE,
    VANISHED,
    WITHDRAWN,
    Doubled,
    Episode,
    Key,
    contains,
    largest,
    shared,
)
from finops_assets.core.analytics.anomaly_history import AnomalyHistory
from finops_assets.core.analytics.detection import Threshold, detect
from finops_assets.core.analytics.deviations import SHARE
from finops_assets.core.analytics.doubling import questions
from finops_assets.core.analytics.episodes import FOUND_LATE, Ledger, Reconciled, read_ledger, reconcile, write_ledger
from finops_assets.core.analytics.events import Event, read_events
from finops_assets.core.archive.cost_history import CostHistory
from finops_assets.core.errors import DamagedError

LAST = date(2025, 9, 25)
DAYS = [LAST - timedelta(days=n) for n in reversed(range(150))]
WEEK = (1.0, 1.0, 1.02, 1.0, 0.98, 0.4, 0.4)
EC2, S3, RDS = "Amazon EC2", "Amazon S3", "Amazon RDS"
SHOP, PAY, LAKE = "111000000001", "111000000002", "111000000003"
SHOP_EC2 = ("Work/Prod", EC2, SHOP)
USUAL = {
    SHOP_EC2: 200,
    ("Work/Prod", S3, SHOP): 60,
    ("Work/Prod", RDS, SHOP): 80,
    ("Work/Prod", EC2, PAY): 180,
    ("Work/Prod", RDS, PAY): 90,
    ("Data", S3, LAKE): 150,
    ("Data", EC2, LAKE): 70,
}

Costs = dict[Key, dict[date, Decimal]]


def bill(until: date = LAST, days: Collection[date] = DAYS) -> Costs:
    """Every service of every account, by its weekday and some noise of up to 4 %."""
    return {
        key: {day: usual_cost(key, day) for day in days if day <= until}
        for key in USUAL
    }  # fmt: skip


def usual_cost(key: Key, day: date) -> Decimal:
    noise = 1 + ((day.toordinal() * 7919 + len("".join(key)) * 104729 + USUAL[key]) % 81 - 40) / 1000
    return Decimal(str(round(USUAL[key] * WEEK[day.weekday()] * noise, 4)))


def day(before: int) -> date:
    return LAST - timedelta(days=before)


def add(costs: Costs, key: Key, amount: float, days: Collection[date]) -> Costs:
    """So much more on each of these days."""
    of = dict(costs.get(key, {}))
    of.update({day: of.get(day, Decimal()) + Decimal(str(amount)) for day in days})
    return {**costs, key: of}


def scale(costs: Costs, factor: str, days: Collection[date]) -> Costs:
    return {
        key: {day: cost * (Decimal(factor) if day in days else 1) for day, cost in of.items()}
        for key, of in costs.items()
    }


def judged(costs: Mapping[Key, Mapping[date, Decimal]], until: date = LAST, **more: object) -> AnomalyHistory:
    """As of a day: what comes after it is not there yet."""
    days = [day for day in more.pop("days", DAYS) if day <= until]
    known = {key: {day: cost for day, cost in of.items() if day <= until} for key, of in costs.items()}
    threshold = Threshold("USD", more.pop("floor", Decimal(20)), more.pop("share", SHARE))
    return detect(CostHistory.of(known, days), threshold, **more)


def episodes(costs: Mapping[Key, Mapping[date, Decimal]], until: date = LAST, **more: object) -> list[Episode]:
    return list(judged(costs, until, **more).episodes(until))


def mornings(costs: Costs, days: Collection[date], **more: object) -> list[Reconciled]:
    """A run for each day, with the ledger of the run before, through its bytes."""
    made, ledger = [], None
    for of in days:
        done = reconcile(read_ledger(ledger), judged(costs, of, **more), of)
        ledger = write_ledger(done.ledger)
        made.append(done)
    return made


def alerts(runs: Collection[Reconciled]) -> list[tuple[str, str]]:
    return [(episode.id, episode.state) for run in runs for episode in run.alerts]


def test_an_ordinary_bill_has_no_episodes_on_any_day() -> None:
    """Weekends, month ends and noise are told on none of 100 days."""
    findings = judged(bill())
    assert [findings.episodes(of) for of in DAYS[50:]] == [()] * 100


def test_a_spike_is_one_episode_of_the_service_and_account_that_it_is_in() -> None:
    """It shows in the account, its service, its OU, the OU above and the whole, and is told once, with exact sums."""
    costs = add(bill(), SHOP_EC2, 900, [day(2), day(1), day(0)])
    (found,) = episodes(costs, names={SHOP: "shop-prod"})
    assert found.key == SHOP_EC2
    assert (found.kind, found.state, found.first, found.last) == (RISE, OPEN, day(2), day(0))
    assert found.actual == sum(costs[SHOP_EC2][day(n)] for n in range(3))
    assert abs(found.impact - 2700) < 60
    assert abs(found.peak - 900) < 30
    assert found.score > 4


def test_the_reason_says_what_was_expected_what_came_when_and_against_what() -> None:
    """One sentence with both amounts, the currency, the days, the change and what it is compared with."""
    (found,) = episodes(add(bill(), SHOP_EC2, 900, [day(1), day(0)]), names={SHOP: "shop-prod"})
    assert found.reason == (
        f"Amazon EC2 in shop-prod (Work/Prod) cost {found.actual:,.2f} USD "
        "in the 2 days from 2025-09-24 to 2025-09-25, "
        f"where {found.expected:,.2f} USD was expected from the same weekdays of the four weeks before "
        f"({found.impact:+,.2f} USD, {found.impact / found.expected * 100:+.1f} %)"
    )


def test_a_spike_is_told_once_though_it_lasts_for_three_mornings() -> None:
    """Alert on the first morning, silence while it goes on, closed once when it is over."""
    runs = mornings(add(bill(), SHOP_EC2, 900, [day(5), day(4), day(3)]), [day(n) for n in range(7, -1, -1)])
    ((told, state),) = alerts(runs)
    assert state == OPEN
    assert [[episode.id for episode in run.closed] for run in runs] == [[], [], [], [], [], [told], [], []]


def test_the_id_and_first_day_stay_the_same_as_days_pass() -> None:
    """What the episode is called on its first day it is called on each, and when it is over."""
    costs = add(bill(), SHOP_EC2, 900, [day(6), day(5), day(4)])
    of_each_day = [episodes(costs, day(n)) for n in range(6, -1, -1)]
    assert {(found.id, found.first) for (found,) in of_each_day} == {(of_each_day[0][0].id, day(6))}
    assert [found.state for (found,) in of_each_day] == [OPEN] * 3 + [CLOSED] * 4


def test_days_of_the_past_are_judged_by_what_was_known_then() -> None:
    """One judgement of all days says of each what a judgement on that day said: a backfill changes nothing."""
    costs = add(add(bill(), SHOP_EC2, 300, DAYS[-30:]), ("Data", S3, LAKE), 400, DAYS[-12:-10])
    findings = judged(costs)
    for of in DAYS[-34::3]:
        then = judged(costs, of)
        assert findings.episodes(of) == then.episodes(of)
        assert [findings.band(ou, of) for ou in ("All", "Work", "Data")] == [
            then.band(ou, of) for ou in ("All", "Work", "Data")
        ]


def test_an_episode_that_doubles_is_told_once_more_as_growing() -> None:
    """Told when it begins, and again when its worst day is twice that; a day as bad as that adds nothing."""
    costs = add(add(bill(), SHOP_EC2, 400, [day(3), day(2)]), SHOP_EC2, 1100, [day(1), day(0)])
    runs = mornings(costs, [day(n) for n in range(5, -1, -1)])
    ((first, opened), (again, grown)) = alerts(runs)
    assert first == again
    assert (opened, grown) == (OPEN, GROWING)
    assert [bool(run.alerts) for run in runs] == [False, False, True, False, True, False]
    assert [episode.state for run in runs[4:] for episode in run.current] == [GROWING] * 2


def test_the_same_run_twice_tells_once_and_writes_the_same_ledger() -> None:
    """A run that is tried again finds that it has told; the ledger's bytes are the same."""
    findings = judged(add(bill(), SHOP_EC2, 900, [day(0)]))
    once = reconcile(Ledger(), findings, LAST)
    again = reconcile(read_ledger(write_ledger(once.ledger)), findings, LAST)
    assert len(once.alerts) == 1
    assert again.alerts == ()
    assert write_ledger(again.ledger) == write_ledger(once.ledger)
    assert again.ledger == once.ledger


def test_a_history_that_is_read_for_the_first_time_tells_nothing_old() -> None:
    """The first run remembers what is over, and tells what its newest day is part of."""
    costs = add(add(bill(), SHOP_EC2, 900, [day(9), day(8)]), ("Data", S3, LAKE), 700, [day(1), day(0)])
    done = reconcile(Ledger(), judged(costs), LAST)
    assert [found.key for found in done.alerts] == [("Data", S3, LAKE)]
    assert sorted(told.times for told in done.ledger.notifications) == [0, 1]
    assert reconcile(done.ledger, judged(costs), LAST).alerts == ()


def test_what_came_and_went_while_no_run_was_made_is_still_told() -> None:
    """After three days without a run, an episode of the days between is told, as closed."""
    costs = add(bill(), SHOP_EC2, 900, [day(2)])
    before, after = mornings(costs, [day(4), day(0)])
    assert before.alerts == ()
    assert [(found.first, found.state) for found in after.alerts] == [(day(2), CLOSED)]


HOLE = [day(n) for n in range(19, 11, -1)]


def late(costs: Costs, *archived: Collection[date]) -> list[Reconciled]:
    """Looks at the newest day, each with the days that are archived by then."""
    made, ledger = [], None
    for days in archived:
        done = reconcile(read_ledger(ledger), judged(costs, days=days), LAST)
        ledger = write_ledger(done.ledger)
        made.append(done)
    return made


def test_a_rise_in_a_hole_that_is_filled_is_told_once_as_found_late() -> None:
    """Eight days are archived at once, two weeks late, one service 84 % dearer: one alert, and none on later looks."""
    costs = scale({SHOP_EC2: bill()[SHOP_EC2]}, "1.84", HOLE) | {k: v for k, v in bill().items() if k != SHOP_EC2}
    without = [of for of in DAYS if of not in HOLE]
    before, filled, again = late(costs, without, DAYS, DAYS)
    assert (before.alerts, before.ledger.missing) == ((), tuple(HOLE))
    (found,) = filled.alerts
    assert (found.key, found.state, found.first) == (SHOP_EC2, CLOSED, HOLE[0])
    assert found.reason.endswith(FOUND_LATE)
    assert (again.alerts, again.ledger.missing) == ((), ())
    assert again.current[0].reason.endswith(FOUND_LATE), "it is called so as long as it is shown"


def test_a_hole_that_is_filled_day_by_day_is_told_once() -> None:
    """Each run brings one of the days: the first that is odd tells, the others make the same episode longer."""
    costs = add(bill(), SHOP_EC2, 900, HOLE)
    without = [of for of in DAYS if of not in HOLE]
    looks = [[*without, *HOLE[:n]] for n in range(9)]
    runs = late(costs, *looks)
    assert [len(run.alerts) for run in runs] == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert [(told.times, told.episode.first) for told in runs[-1].ledger.notifications] == [(1, HOLE[0])]


def test_an_episode_that_went_on_in_a_hole_is_told_once_more() -> None:
    """Told on its day, over, and then the days after it turn out to be as dear: told again, as found late."""
    costs = add(bill(), SHOP_EC2, 900, [HOLE[0] - timedelta(days=1), *HOLE])
    ledger = reconcile(Ledger(), judged(costs, HOLE[0] - timedelta(days=1)), HOLE[0] - timedelta(days=1)).ledger
    over = reconcile(ledger, judged(costs, days=[of for of in DAYS if of not in HOLE]), LAST)
    assert [found.state for found in over.closed] == [CLOSED]
    filled = reconcile(over.ledger, judged(costs), LAST)
    assert [(found.last, found.reason.endswith(FOUND_LATE)) for found in filled.alerts] == [(HOLE[-1], True)]
    assert reconcile(filled.ledger, judged(costs), LAST).alerts == ()


def test_a_hole_that_is_filled_as_usual_tells_nothing() -> None:
    """Late days at the usual cost are no news, and no holes any more."""
    before, filled = late(bill(), [of for of in DAYS if of not in HOLE], DAYS)
    assert (before.ledger.missing, filled.ledger.missing) == (tuple(HOLE), ())
    assert filled.alerts == ()


def test_a_history_that_is_archived_afterwards_is_no_hole() -> None:
    """A first run of two days, and then a backfill of the months before: none of their anomalies is told."""
    costs = add(bill(), SHOP_EC2, 900, [day(9), day(8)])
    first, filled = late(costs, [day(40), day(0)], DAYS)
    assert (first.ledger.missing, first.alerts, filled.alerts) == ((), (), ())


def test_a_ledger_from_before_holes_were_kept_is_read() -> None:
    """It has none, and its episodes were found in time."""
    facts = json.loads(write_ledger(reconcile(Ledger(), judged(add(bill(), SHOP_EC2, 900, [day(0)])), LAST).ledger))
    del facts["missing"], facts["notifications"][0]["late"]
    ledger = read_ledger(json.dumps(facts).encode())
    assert (ledger.missing, ledger.notifications[0].late) == ((), False)


@pytest.mark.parametrize("long", [1, 20, 40])
def test_each_day_of_a_stretch_that_has_doubled_is_found(long: int) -> None:
    """However long it lasts: the doubled days do not become what is expected, and the days after it are no drop."""
    days = [day(n) for n in range(long + 1, 1, -1)]
    findings = judged(scale(bill(), "2", days))
    assert [found.day for found in findings.doubled] == [of for of in days if of.day != 1 or of in findings.archived]
    (question,) = questions(findings.doubled, LAST)
    assert (question.first, question.last, question.days) == (days[0], day(2), long)
    assert 1.8 < question.times < 2.2
    assert question.answer == f"{days[0]},{day(2)},All,,the cost is real"
    assert findings.episodes(LAST) == ()


def test_a_short_history_that_a_restatement_doubles_is_found_by_what_it_cost_before() -> None:
    """Ten days are too few to expect anything; each came to twice what it was archived with, as the ledger says."""
    once = {key: {of: cost for of, cost in costs.items() if of > day(10)} for key, costs in bill().items()}
    twice = {key: {of: 2 * cost for of, cost in costs.items()} for key, costs in once.items()}
    changed = {day(n): {key: costs[day(n)] for key, costs in once.items()} for n in range(10)}
    days = sorted({of for costs in once.values() for of in costs})
    findings = detect(CostHistory.of(twice, days), Threshold("USD", Decimal(20)), restated=changed)
    assert [found.day for found in findings.doubled] == days
    assert {found.actual / found.expected for found in findings.doubled} == {Decimal(2)}
    assert detect(CostHistory.of(twice, days), Threshold("USD", Decimal(20))).doubled == ()
    (key, *_) = changed[day(3)]
    alone = {day(3): {key: changed[day(3)][key]}}
    assert detect(CostHistory.of(once, days), Threshold("USD", Decimal(20)), restated=alone).doubled == ()


def test_a_doubled_day_is_judged_as_of_itself() -> None:
    """Days that come later change nothing: a backfill finds the same days as the mornings did."""
    costs = scale(bill(), "2", [day(n) for n in range(20)])
    then = {found.day for found in judged(costs, day(10)).doubled}
    assert then == {found.day for found in judged(costs).doubled if found.day <= day(10)}


def test_an_event_over_all_answers_and_one_of_an_ou_does_not() -> None:
    """The doubled days of the event are judged as any: planned episodes; an OU's event explains no doubled bill."""
    costs = scale(bill(), "2", [day(1), day(0)])
    (question,) = questions(judged(costs).doubled, LAST)
    assert question.answer == f"{day(1)},{LAST + timedelta(days=28)},All,,the cost is real"
    (event,) = read_events(f"first,last,ou,service,what\n{question.answer}\n".encode(), "events.csv")
    answered = judged(costs, events=[event])
    assert answered.doubled == ()
    assert {found.state for found in answered.episodes(LAST)} == {PLANNED}
    assert len(judged(costs, events=[Event(day(9), LAST, "Work", "", "A sale")]).doubled) == 2


def test_stretches_are_questions_of_their_own_and_are_asked_for_four_weeks() -> None:
    """Two stretches a week apart are two; one that ended 29 days ago is not asked any more."""
    doubled = [Doubled(day(n), Decimal(100), Decimal(200)) for n in (40, 29, 12, 11)]
    found = questions(doubled, LAST)
    assert [(each.first, each.last, each.is_asked) for each in found] == [
        (day(40), day(40), False),
        (day(29), day(29), False),
        (day(12), day(11), True),
    ]
    assert questions(doubled, day(12))[-1].actual == 200


def test_a_run_about_a_past_day_tells_nothing_and_changes_nothing() -> None:
    """A backfill of old days has their episodes for the scorecard, and leaves the ledger as it is."""
    costs = add(bill(), SHOP_EC2, 900, [day(9), day(8)])
    ledger = reconcile(Ledger(), judged(costs), LAST).ledger
    past = reconcile(ledger, judged(costs), day(8))
    assert [found.state for found in past.current] == [OPEN]
    assert (past.alerts, past.closed, past.withdrawn) == ((), (), ())
    assert past.ledger is ledger


@pytest.mark.parametrize("since", [LAST.replace(month=5), LAST.replace(month=8)], ids=["always", "for the first time"])
def test_a_fee_on_the_first_of_the_month_is_no_anomaly(since: date) -> None:
    """Support, tax and plans are booked on day 1, ten times a day's cost: learned, and silent when they begin."""
    costs = add(bill(), SHOP_EC2, 2000, [of for of in DAYS if of.day == 1 and of >= since])
    findings = judged(costs)
    assert [findings.episodes(of) for of in DAYS[50:]] == [()] * 100


def test_a_fee_that_is_known_is_part_of_what_the_first_is_expected_to_cost() -> None:
    """The band of the 1st has the fee in it; that of the 2nd has not."""
    costs = add(bill(), SHOP_EC2, 2000, [of for of in DAYS if of.day == 1])
    findings = judged(costs)
    first, second = (findings.band("Work/Prod", date(2025, 9, n)) for n in (1, 2))
    assert first.low < findings.cost(("Work/Prod", "", ""), date(2025, 9, 1), date(2025, 9, 1)) < first.high
    assert first.low > 1500 > second.high


@pytest.mark.parametrize("complete", ["0.85", "0.4", "0"])
def test_a_newest_day_that_is_not_complete_is_no_drop(complete: str) -> None:
    """While a day may still grow, what is missing of it is not told."""
    costs = scale(bill(), complete, [day(0)])
    assert episodes(costs, unsettled=[day(0)]) == []


def test_a_drop_is_told_when_its_day_has_settled() -> None:
    """It waits while the day is unsettled, and then is told once, though other days came after."""
    costs = add(bill(), SHOP_EC2, -150, [of for of in DAYS if of >= day(4)])
    runs = [
        [judged(costs, day(n), unsettled=[day(n), day(n + 1)]), day(n)] for n in range(5, -1, -1)
    ]  # fmt: skip
    ledger, told = Ledger(), []
    for findings, of in runs:
        done = reconcile(ledger, findings, of)
        ledger, told = done.ledger, [*told, [(found.kind, found.first) for found in done.alerts]]
    assert told == [[], [], [], [(DROP, day(4))], [], []]


def test_a_newest_day_may_rise_before_it_has_settled() -> None:
    """What is over the expected already will not become less."""
    costs = add(scale(bill(), "0.8", [day(0)]), SHOP_EC2, 900, [day(0)])
    (found,) = episodes(costs, unsettled=[day(0), day(1)])
    assert (found.key, found.state) == (SHOP_EC2, OPEN)


def test_a_rise_that_shows_only_when_its_day_is_complete_is_told_then() -> None:
    """The first look at the day was too early, and its episode is over: it is told nevertheless."""
    costs = add(bill(), SHOP_EC2, 900, [day(1)])
    early = judged(bill(), day(1), unsettled=[day(1), day(2)])
    ledger = reconcile(Ledger(), early, day(1)).ledger
    done = reconcile(ledger, judged(costs, unsettled=[day(0), day(1)]), day(0))
    assert [(found.key, found.first) for found in done.alerts] == [(SHOP_EC2, day(1))]


def test_a_restatement_of_a_settled_day_is_no_anomaly() -> None:
    """What late data alone makes odd is not told; what is odd without it still is."""
    costs = add(bill(), SHOP_EC2, 600, [day(9)])
    assert len(episodes(costs)) == 1
    assert episodes(costs, restated={day(9): {SHOP_EC2: Decimal(600)}}) == []
    assert len(episodes(costs, restated={day(9): {SHOP_EC2: Decimal(60), ("Data", S3, LAKE): Decimal(600)}})) == 1


def test_an_episode_that_late_data_undoes_is_withdrawn_with_a_word() -> None:
    """Told, and then the day costs as usual: withdrawn once, with both amounts; it stays so on the next morning."""
    told = reconcile(Ledger(), judged(add(bill(), SHOP_EC2, 900, [day(2)]), day(2)), day(2))
    after = reconcile(told.ledger, judged(bill(), day(1)), day(1))
    (gone,) = after.withdrawn
    assert gone.id == told.alerts[0].id
    assert gone.state == WITHDRAWN
    assert f"it cost {bill()[SHOP_EC2][day(2)]:,.2f} USD on 2025-09-23, not" in gone.reason
    assert after.current == (gone,)
    later = reconcile(after.ledger, judged(bill()), LAST)
    assert (later.alerts, later.withdrawn, later.current) == ((), (), (gone,))


def test_an_episode_whose_first_day_late_data_moves_keeps_its_id_and_is_not_told_again() -> None:
    """The data of its first day changes: the same cause, the same episode."""
    costs = add(bill(), SHOP_EC2, 900, [day(3), day(2), day(1)])
    told = reconcile(Ledger(), judged(costs, day(2)), day(2))
    moved = {**costs, SHOP_EC2: {**costs[SHOP_EC2], day(3): bill()[SHOP_EC2][day(3)]}}
    after = reconcile(told.ledger, judged(moved, day(1)), day(1))
    assert (after.alerts, after.withdrawn) == ((), ())
    assert [(found.id, found.first) for found in after.current] == [(told.alerts[0].id, day(2))]


def test_what_is_planned_is_shown_with_its_event_and_not_told() -> None:
    """An episode inside an event of the calendar names it; one that outlasts it is told on that day."""
    costs = add(bill(), SHOP_EC2, 900, [day(3), day(2), day(1), day(0)])
    event = Event(day(4), day(1), "Work", "", "Load test")
    (found,) = episodes(costs, day(1), events=[event])
    assert (found.state, found.planned) == (PLANNED, f"Load test, planned from {day(4)} to {day(1)}")
    runs = mornings(costs, [day(4), day(3), day(2), day(1), day(0)], events=[event])
    assert [[found.state for found in run.alerts] for run in runs] == [[], [], [], [], [OPEN]]


def test_a_hole_is_no_drop_and_nothing_is_judged_by_it() -> None:
    """Days that are not archived are not days without cost, and the days after them are judged as ever."""
    hole = [day(n) for n in range(5, 15)]
    costs = add(scale(bill(), "0", hole), SHOP_EC2, 900, [day(0)])
    found = episodes(costs, days=[of for of in DAYS if of not in hole])
    assert [(episode.key, episode.first) for episode in found] == [(SHOP_EC2, day(0))]


def test_a_doubled_file_is_a_finding_about_the_data_and_no_episode() -> None:
    """A day on which everything costs twice as much is named for a check, and judged by nothing."""
    findings = judged(scale(bill(), "2", [day(2)]))
    (doubled,) = findings.doubled
    assert doubled.day == day(2)
    assert doubled.actual == 2 * sum(of[day(2)] for of in bill().values())
    assert abs(doubled.actual / doubled.expected - 2) < Decimal("0.2")
    assert findings.episodes(LAST) == ()


def test_a_service_that_begins_is_new_and_is_so_for_a_week() -> None:
    """Nothing for weeks, then cost: told once, and a week later it is judged by itself."""
    key = ("Data", "Amazon Bedrock", LAKE)
    runs = mornings(add(bill(), key, 60, DAYS[-12:]), [day(n) for n in range(13, -1, -1)])
    assert [(found.key, found.kind) for run in runs for found in run.alerts] == [(key, NEW)]
    assert [found.last for run in runs for found in run.closed] == [day(5)]
    (found,) = runs[0].current or runs[-1].current
    assert found.reason.startswith(f"Amazon Bedrock in {LAKE} (Data) is new: it cost 420.00 USD in the 7 days from")
    assert found.reason.endswith("and nothing in the 28 days before; that has gone on, and counts as usual now")


def test_an_account_that_begins_with_several_services_is_one_episode() -> None:
    """Three services that are new in one account are the account, whose largest part is named if it is most of it."""
    costs = bill()
    for service, amount in ((EC2, 45), (S3, 40), (RDS, 35)):
        costs = add(costs, ("Unassigned", service, "111000000099"), amount, [day(1), day(0)])
    (found,) = episodes(costs)
    assert (found.key, found.kind) == (("Unassigned", "", "111000000099"), NEW)


def test_a_service_that_ends_has_vanished() -> None:
    """It was there every day and is not any more: told once, with what was expected."""
    costs = bill()
    gone = ("Work/Prod", RDS, PAY)
    costs[gone] = {of: cost for of, cost in costs[gone].items() if of < day(4)}
    (found,) = episodes(costs)
    assert (found.key, found.kind, found.actual) == (gone, VANISHED, Decimal())
    assert "is gone: it cost 0.00 USD in the 5 days from 2025-09-21 to 2025-09-25" in found.reason
    assert len(alerts(mornings(costs, [day(n) for n in range(6, -1, -1)]))) == 1


def test_growth_that_no_day_shows_is_a_drift() -> None:
    """A noisy service that doubles over five weeks is told, though each day is within its noise."""
    key = ("Data", EC2, LAKE)
    costs = bill()
    for n, of in enumerate(DAYS):
        noise = ((of.toordinal() * 7919) % 101 - 50) * 1.0
        costs[key][of] = Decimal(str(round((100 + max(n - 115, 0) * 5) * WEEK[of.weekday()] + noise, 2)))
    found = [episode for episode in episodes(costs) if contains(("Data", "", ""), episode.key)]
    assert [(episode.key, episode.kind) for episode in found] == [(key, DRIFT)]
    assert " has been growing: it cost " in found[0].reason


def test_an_ou_whose_parts_all_rise_is_one_episode_of_the_ou() -> None:
    """Where no part explains most of it, the OU is told, and not each of its services and accounts."""
    costs = bill()
    for key in USUAL:
        if key[0] == "Work/Prod":
            costs = scale({key: costs[key]}, "1.6", [day(0)]) | {k: v for k, v in costs.items() if k != key}
    (found,) = episodes(costs)
    assert found.key == ("Work/Prod", "", "")


def test_two_causes_in_two_ous_are_two_episodes() -> None:
    """A spike here and one there on the same day are both told, and the whole above them is not."""
    costs = add(add(bill(), SHOP_EC2, 900, [day(0)]), ("Data", S3, LAKE), 700, [day(0)])
    assert {found.key for found in episodes(costs)} == {SHOP_EC2, ("Data", S3, LAKE)}


def test_an_account_that_moves_to_another_ou_is_no_anomaly() -> None:
    """Its cost is in another OU from a day on: nothing is new, and nothing is gone."""
    costs = {key: dict(of) for key, of in bill().items() if key[2] != PAY}
    for key, of in bill().items():
        if key[2] == PAY:
            costs[key] = {on: cost for on, cost in of.items() if on < day(6)}
            costs["Data", key[1], PAY] = {on: cost for on, cost in of.items() if on >= day(6)}
    findings = judged(costs)
    assert [findings.episodes(day(n)) for n in range(10)] == [()] * 10
    assert findings.band("Data", day(0)).low > findings.band("Data", day(7)).low + 150
    (found,) = episodes(add(costs, ("Data", EC2, PAY), 900, [day(0)]))
    assert found.key == ("Data", EC2, PAY)
    assert abs(found.expected - 180) < 15


@pytest.mark.parametrize(
    "costs_on",
    [
        lambda of: 300 if of.weekday() == 6 else 0,
        lambda of: 900 if of.day == 17 else 0,
        lambda of: (of.toordinal() * 7919) % 19,
    ],
    ids=["a job on Sundays", "a charge each month", "noise below the floor"],
)
def test_what_comes_again_and_again_and_what_is_small_is_not_told(costs_on: Callable[[date], int]) -> None:
    """Weekly jobs, monthly charges and small money are usual from the second month on."""
    costs = bill()
    costs["Data", "Amazon EMR", LAKE] = {of: Decimal(costs_on(of)) for of in DAYS if costs_on(of)}
    findings = judged(costs)
    assert [findings.episodes(of) for of in DAYS[-60:]] == [()] * 60


def test_less_than_the_share_or_the_floor_is_not_told() -> None:
    """A fifth more on a steady service is significant, and nothing to act on; so is little money."""
    costs = add(bill(), SHOP_EC2, 45, [day(1)])
    assert episodes(costs) == []
    assert len(episodes(costs, share=0.15)) == 1
    assert len(episodes(add(bill(), SHOP_EC2, 100, [day(1)]))) == 1
    assert episodes(add(bill(), SHOP_EC2, 100, [day(1)]), floor=Decimal(150)) == []


def test_a_step_becomes_usual_and_its_end_says_so() -> None:
    """After some weeks the new level is what is expected; the closed episode does not read as if it were over."""
    found = episodes(add(bill(), SHOP_EC2, 200, DAYS[-24:]))
    assert [(episode.state, episode.first) for episode in found] == [(CLOSED, day(23))]
    assert found[0].reason.endswith("; that has gone on, and counts as usual now")


def test_the_band_is_around_what_was_expected_and_needs_history() -> None:
    """An ordinary day lies inside it, an anomaly outside; too young a history, a hole and a stranger have none."""
    findings = judged(add(bill(), SHOP_EC2, 900, [day(0)]))
    usual, odd = findings.band("Work", day(1)), findings.band("Work", day(0))
    assert usual.low < findings.cost(("Work", "", ""), day(1), day(1)) < usual.high
    assert findings.cost(("Work", "", ""), day(0), day(0)) > odd.high
    assert abs(usual.score) < 4 < odd.score
    assert findings.band("Work", DAYS[5]) is None
    assert findings.band("Nowhere", day(0)) is None
    assert findings.band("All", LAST + timedelta(days=1)) is None


def test_the_largest_episode_of_an_ou_may_lie_below_it() -> None:
    """An OU's row shows what moved most money in it on that day, and nothing of its neighbours."""
    found = episodes(add(add(bill(), SHOP_EC2, 900, [day(0)]), ("Data", S3, LAKE), 700, [day(0)]))
    of = {ou: largest(found, ou, day(0)) for ou in ("All", "Work", "Work/Prod", "Data", "Wor")}
    assert {ou: episode and episode.key for ou, episode in of.items()} == {
        "All": SHOP_EC2,
        "Work": SHOP_EC2,
        "Work/Prod": SHOP_EC2,
        "Data": ("Data", S3, LAKE),
        "Wor": None,
    }
    assert largest(found, "All", day(1)) is None


def test_what_two_things_share_is_what_lies_in_both() -> None:
    """A service of an OU and an account of it share the service in the account; other OUs share nothing."""
    assert shared(("A", "S", ""), ("A", "", "1")) == ("A", "S", "1")
    assert shared(("A", "", ""), ("A/B", "S", "")) == ("A/B", "S", "")
    assert shared(("A", "S", ""), ("A/B", "S", "")) is None
    assert shared(("A", "S", "1"), ("A", "S", "2")) is None
    assert contains(("All", "", ""), ("A", "S", "1"))
    assert not contains(("A", "", ""), ("AB", "", ""))


@pytest.mark.parametrize(
    "hostile", ["<b>EC2</b>", "a\n\nb", '=HYPERLINK("x")', "\u202etxt", "*_#[x](y)", "Zürich 東京"]
)
def test_names_are_kept_as_text_and_the_reason_is_one_line(hostile: str) -> None:
    """Names of the bill come back as they are, through the ledger too; whoever shows them escapes them."""
    key = (hostile, hostile, SHOP)
    costs = add(bill(), key, 300, [day(0)])
    done = reconcile(Ledger(), judged(costs, names={SHOP: hostile}), LAST)
    (found,) = read_ledger(write_ledger(done.ledger)).notifications
    assert found.episode == done.alerts[0]
    assert found.episode.key == key
    assert " ".join(hostile.split()) in found.episode.reason
    assert "\n" not in found.episode.reason


def test_an_empty_archive_and_a_short_one_say_nothing() -> None:
    """Without days there is nothing to judge, and a month is too little."""
    assert detect(CostHistory.of({}, []), Threshold("USD", Decimal(1))).episodes(LAST) == ()
    assert reconcile(Ledger(), detect(CostHistory.of({}, []), Threshold("USD", Decimal(1))), LAST) == Reconciled(
        Ledger()
    )
    short = DAYS[-25:]
    costs = add(bill(days=short), SHOP_EC2, 900, [day(0)])
    assert episodes(costs, days=short) == []


def test_the_ledger_forgets_after_a_year_and_keeps_what_is_younger() -> None:
    """An episode stays in it for 400 days after its last."""
    told = reconcile(Ledger(), judged(add(bill(), SHOP_EC2, 900, [day(0)])), LAST)
    for after, kept in ((400, 1), (401, 0)):
        days = [of + timedelta(days=after) for of in DAYS]
        costs = {key: {of + timedelta(days=after): cost for of, cost in all_.items()} for key, all_ in bill().items()}
        later = detect(CostHistory.of(costs, days), Threshold("USD", Decimal(20)))
        assert len(reconcile(told.ledger, later, days[-1]).ledger.notifications) == kept


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"version": 2}', b'{"version": 1, "rises": "x", "drops": null, "told": []}']
)
def test_a_damaged_ledger_is_named_with_what_to_do(data: bytes) -> None:
    """Its reader is told that it is none; `episodes.read` puts it aside."""
    with pytest.raises(DamagedError) as raised:
        read_ledger(data)
    assert raised.value.where == "anomalies/episodes.json"
    assert "earlier version" in raised.value.fix
