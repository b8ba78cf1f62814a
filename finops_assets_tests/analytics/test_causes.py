"""One cause is told once: an account's rise in several services, a holiday, lasting drops, doubled days, blind days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from finops_assets.core.analytics.anomalies import DROP, Key
from finops_assets.core.analytics.anomaly_history import AnomalyHistory
from finops_assets.core.analytics.detection import Threshold, detect
from finops_assets.core.analytics.episodes import Ledger, Reconciled, reconcile
from finops_assets.core.archive.cost_history import CostHistory

LAST = date(2025, 9, 25)
"""A Thursday."""

DAYS = tuple(LAST - timedelta(days=n) for n in reversed(range(200)))
SHOP, PAY, LAKE = "111000000001", "111000000002", "111000000003"
SERVICES = ("Amazon EC2", "Amazon S3", "Amazon RDS", "AWS Lambda")
TEAM = {SHOP: "Work/Prod", PAY: "Work/Prod", LAKE: "Data"}

Costs = dict[Key, np.ndarray]


def bill(noise: float = 0.04) -> Costs:
    """Four services of each of three accounts, less at weekends, with noise of so much."""
    rng = np.random.default_rng(3)
    weekdays = np.array([0.5 if day.weekday() >= 5 else 1.0 for day in DAYS])
    sizes = dict(zip(SERVICES, (200, 120, 90, 60), strict=True))
    return {
        (ou, service, account): sizes[service] * weekdays * rng.lognormal(0, noise, len(DAYS))
        for account, ou in TEAM.items()
        for service in SERVICES
    }


def at(before: int) -> int:
    """The column of so many days before LAST."""
    return len(DAYS) - 1 - before


def scaled(costs: Costs, factor: float, columns: slice | list[int], *keys: Key) -> Costs:
    changed = {key: values.copy() for key, values in costs.items()}
    for key in keys or costs:
        changed[key][columns] *= factor
    return changed


def judged(costs: Costs, days: tuple[date, ...] = DAYS, **more: object) -> AnomalyHistory:
    table = np.round(np.array(list(costs.values())), 6)[:, [DAYS.index(day) for day in days]]
    return detect(CostHistory(days, tuple(costs), {}, table), Threshold("USD", Decimal(20)), **more)


def mornings(history: AnomalyHistory, back: int) -> list[Reconciled]:
    """A run for each of the last days."""
    ledger, runs = Ledger(), []
    for day in DAYS[at(back) :]:
        runs.append(reconcile(ledger, history, day))
        ledger = runs[-1].ledger
    return runs


def drifting() -> Costs:
    """EC2 of one account grows from 20 days ago on, S3 four days later, RDS nine days later, to twice their cost."""
    costs = bill()
    for service, start in ((SERVICES[0], 20), (SERVICES[1], 16), (SERVICES[2], 11)):
        ramp = 1 + np.clip(np.arange(start + 1) / 10, 0, 1)
        costs["Work/Prod", service, SHOP][at(start) :] *= ramp
    return costs


def test_growth_of_one_account_that_shows_in_several_services_is_told_once() -> None:
    """Told when the first service shows it; it becomes the account's as the others follow, under the same id."""
    runs = mornings(judged(drifting()), 25)
    (told,) = [episode for run in runs for episode in run.alerts]
    assert told.account == SHOP
    (now,) = [episode for episode in runs[-1].current if episode.rises]
    assert (now.id, now.key) == (told.id, ("Work/Prod", "", SHOP))


def test_what_an_episode_was_known_to_be_about_stays_true_of_its_day() -> None:
    """As of each past day, one judgement of all days says what a judgement on that day said."""
    costs = drifting()
    history = judged(costs)
    for back in (18, 14, 12, 8, 0):
        then = judged(costs, DAYS[: at(back) + 1])
        assert history.episodes(DAYS[at(back)]) == then.episodes(DAYS[at(back)])


def test_two_accounts_that_rise_are_two_causes() -> None:
    """One after the other, in one OU."""
    costs = scaled(bill(), 2.5, slice(at(6), None), ("Work/Prod", SERVICES[0], SHOP))
    costs = scaled(costs, 2.5, slice(at(3), None), ("Work/Prod", SERVICES[1], PAY))
    told = [episode.account for run in mornings(judged(costs), 10) for episode in run.alerts]
    assert told == [SHOP, PAY]


def test_a_spike_that_is_over_has_nothing_to_do_with_the_next() -> None:
    """Another service of the account, eight days later, is told by itself."""
    costs = scaled(bill(), 4, [at(12)], ("Work/Prod", SERVICES[0], SHOP))
    costs = scaled(costs, 4, [at(3)], ("Work/Prod", SERVICES[1], SHOP))
    told = [episode.service for run in mornings(judged(costs), 15) for episode in run.alerts]
    assert told == [SERVICES[0], SERVICES[1]]


@pytest.mark.parametrize("noise", [0.04, 0.12])
def test_a_drop_that_lasts_is_told_as_a_rise_is(noise: float) -> None:
    """40 % less from a day on, in noise of 12 %, too: within a week, and once."""
    gone = ("Data", SERVICES[0], LAKE)
    runs = mornings(judged(scaled(bill(noise), 0.6, slice(at(9), None), gone)), 12)
    told = [episode for run in runs[:10] for episode in run.alerts if episode.ou == "Data"]
    assert [(episode.key, episode.kind) for episode in told] == [(gone, DROP)]


def test_a_holiday_is_one_note_and_no_drop() -> None:
    """All services cost 45 % less on a Tuesday and are back on Wednesday: told from Wednesday on, for a week."""
    holiday = DAYS[at(9)]
    history = judged(scaled(bill(), 0.55, [at(9)]))
    assert [history.episodes(day) for day in DAYS[at(9) :]] == [()] * 10
    notes = [history.notes(day) for day in DAYS[at(9) :]]
    assert [len(of) for of in notes] == [0] + [1] * 7 + [0] * 2
    assert f"Tuesday {holiday}" in notes[1][0]
    assert "holiday" in notes[1][0]


def test_a_drop_of_everything_that_lasts_is_told_from_its_second_day_on() -> None:
    """On the first it may be a holiday."""
    history = judged(scaled(bill(), 0.55, slice(at(3), None)))
    assert history.episodes(DAYS[at(3)]) == ()
    assert {episode.kind for episode in history.episodes(DAYS[at(2)])} == {DROP}
    assert history.notes(LAST) == ()


@pytest.mark.parametrize("times", [2, 3])
def test_a_doubled_day_is_found_in_noise(times: int) -> None:
    """With noise of 20 % some services look trebled, and some not doubled at all."""
    history = judged(scaled(bill(0.2), times, [at(5)]))
    assert [each.day for each in history.doubled] == [DAYS[at(5)]]


def test_a_rise_of_six_tenths_in_noise_is_no_doubled_day() -> None:
    """Real growth all over is an anomaly."""
    assert judged(scaled(bill(0.1), 1.5, [at(5)])).doubled == ()


def test_after_a_long_hole_it_says_that_it_is_blind() -> None:
    """For 28 days after 35 that are not archived; a hole of four weeks is remembered across."""
    days = DAYS[:100] + DAYS[135:]
    history = judged(bill(), days)
    notes = [history.notes(day) for day in DAYS[134:165]]
    assert [len(of) for of in notes] == [0] + [1] * 28 + [0] * 2
    assert f"{DAYS[100]} to {DAYS[134]}" in notes[1][0]
    assert str(DAYS[162]) in notes[1][0]
    assert judged(bill(), DAYS[:100] + DAYS[128:]).blind == ()


def test_a_day_of_the_whole_that_costs_far_more_is_told_though_it_is_noisy() -> None:
    """One service alone, with noise of 20 %: 60 % more than expected is little by its noise, and much money."""
    rng = np.random.default_rng(7)
    costs = {("Work", "Amazon EC2", SHOP): 1000 * rng.lognormal(0, 0.2, len(DAYS))}
    usual = judged(costs)
    row = usual.table.whole_row(at(2))
    costs["Work", "Amazon EC2", SHOP][at(2)] = 1.6 * usual.judged.expected[row, at(2)]
    history = judged(costs)
    assert history.judged.score[row, at(2)] < 4
    assert any(episode.rises and episode.last == DAYS[at(2)] for episode in history.episodes(DAYS[at(2)]))


def test_a_quarterly_charge_is_told_twice_and_not_again() -> None:
    """18 March, 18 June, 18 September."""
    key = ("Data", "A contract", LAKE)
    costs = {**bill(), key: np.zeros(len(DAYS))}
    charged = [n for n, day in enumerate(DAYS) if day.day == 18 and day.month in (3, 6, 9)]
    assert len(charged) == 3
    costs[key][charged] = 2000
    history = judged(costs)
    assert [len(history.episodes(DAYS[n], recent=0)) for n in charged[1:]] == [1, 0]
