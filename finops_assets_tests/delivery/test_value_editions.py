"""Editions by the value of a dimension: a team's own rows and figures, and nothing of the others'."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.core.analytics.scheduled import Booked
from finops_assets.core.analytics.value_scores import ValueBasis, ValueScoring
from finops_assets.core.archive.journal import Journal
from finops_assets.core.bill.dimension_keys import DimensionValue
from finops_assets.core.delivery import digest_collector
from finops_assets.core.delivery.digest_service import DigestForm, DigestService
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Post, Recipients
from finops_assets.core.errors import FinopsError, SettingsError
from finops_assets.core.reports.digest import Digest
from finops_assets.core.reports.drawing import Drawing
from finops_assets.settings.load import load_settings
from finops_assets_tests.analytics.test_value_scores import FIRST, MOVING, SECOND, TEAM, THIRD, plan
from finops_assets_tests.analytics.test_value_scores import archive as archive
from finops_assets_tests.delivery.test_outbox import Mailer

NOW = datetime(2025, 9, 4, 7, tzinfo=UTC)
LEAD = "lead@example.com"


def service(archive: ObjectArchive, mailer: Mailer, *values: str) -> DigestService:
    of = [DimensionValue(TEAM, value) for value in values]
    recipients = Recipients("finops@example.com", ("ann@example.com",), by_value={str(value): (LEAD,) for value in of})
    drawing = Drawing(lambda _: b"", lambda *_: b"")
    return DigestService(archive, Outbox(archive, mailer, recipients), DigestForm(values=of), drawing=drawing)


def edition(archive: ObjectArchive, value: str, day: date = THIRD) -> Digest:
    made = service(archive, Mailer(), value)
    stored = made.send([day], NOW).stored
    assert stored
    return Outbox(archive, Mailer(), Recipients("f@example.com", ("a@example.com",))).digests.load(
        stored, f"{TEAM}={value}"
    )


def rows(digest: Digest) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(digest.csv.decode("utf-8-sig"))))


def test_its_reader_gets_the_rows_of_the_team_alone(archive: ObjectArchive) -> None:
    """As the account map was on the day: the account that has moved here is in it, and is told."""
    digest = edition(archive, "b")
    assert digest.total == Decimal("15.000000000001")
    assert sorted(row["DailyCost"] for row in rows(digest)) == ["10", "5.000000000001"]
    assert f"{TEAM}=b only" in digest.subject
    assert f"here, and of another {TEAM} then: {MOVING} (a)" in " ".join(digest.text.split())
    assert "16.00" not in digest.text  # the whole
    assert digest.csv_name == "ou_breakdown_2025-09-03_account-team-b.csv"


def test_a_team_that_lost_its_account_is_told_so(archive: ObjectArchive) -> None:
    """A day of nothing is compared with what it was; the month says which day it lacks."""
    digest = edition(archive, "a")
    text = " ".join(digest.text.split())
    assert digest.total == 0
    assert rows(digest) == []
    assert f"and of another {TEAM} now: {MOVING} (b)" in text
    assert "-10.00" in text
    assert f"1 day of the month, archived without {TEAM}: what of them is {TEAM}=a is not known" in text


def test_the_remainder_has_readers_too(archive: ObjectArchive) -> None:
    assert edition(archive, "(untagged)").total == 1


def test_a_value_that_nobody_has_is_told(archive: ObjectArchive) -> None:
    digest = edition(archive, "nobody")
    assert digest.total == 0
    assert f"Nothing of these days has {TEAM}=nobody" in digest.text


def test_its_light_is_the_values_own(archive: ObjectArchive) -> None:
    """No amount of OUs, and no anomaly of theirs."""
    from finops_assets.core.analytics.scoring import Scoring

    archived = {day: of for day in archive.days() if (of := archive.describe(day))}
    Scoring(_NoBill(), archive, Journal(archive)).score([THIRD], NOW)  # type: ignore[arg-type]
    basis = ValueBasis(archived, archived[THIRD], plan(f"{TEAM}=b,default,20,USD"), ())
    ValueScoring(archive, Journal(archive), 0.9).score([THIRD], basis)
    digest = edition(archive, "b")
    assert "red" in digest.subject
    assert "budget for account:team=b of 20.00 USD was passed on Wed 3 Sep" in " ".join(digest.text.split())
    assert "By organizational unit" in digest.text
    assert "No anomaly is open" not in digest.text
    assert f"Anomalies are found by OU, service and account, and not by {TEAM}." in " ".join(digest.text.split())
    box = Outbox(archive, Mailer(), Recipients("f@example.com", ("a@example.com",)))
    whole = box.digests.load(box.digests.require(THIRD))
    (row,) = (line for line in whole.text.splitlines() if line.startswith(f"{TEAM}=b ") and "■" in line)
    assert row.split()[1:] == ["■", "red", "20.00", "20.00"]  # the month to date, and the budget


def test_a_refund_of_the_whole_is_not_told_to_a_team(archive: ObjectArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whose it is; the whole's digest names it."""
    from finops_assets.core.analytics.scoring import Scoring

    scored = Scoring(_NoBill(), archive, Journal(archive)).score([THIRD], NOW)  # type: ignore[arg-type]
    card = replace(scored.cards[THIRD], booked=(Booked("Eng", "RDS", "refund", Decimal("-7.77")),))
    monkeypatch.setattr(digest_collector, "read_scorecard", lambda *_: card)
    archived = {day: of for day in archive.days() if (of := archive.describe(day))}
    basis = ValueBasis(archived, archived[THIRD], plan(f"{TEAM}=b,default,20,USD"), ())
    ValueScoring(archive, Journal(archive), 0.9).score([THIRD], basis)
    digest = edition(archive, "b")
    box = Outbox(archive, Mailer(), Recipients("f@example.com", ("a@example.com",)))
    whole = box.digests.load(box.digests.require(THIRD))
    assert ["7.77" in each.text for each in (whole, digest)] == [True, False]


class _NoBill:
    """Tells no reason."""

    def drivers(self, day: date, against: date) -> None:
        raise FinopsError("there is none")

    def keep_sums(self, day: date) -> None: ...


def test_a_day_without_the_key_has_no_edition(archive: ObjectArchive) -> None:
    """The others get theirs; the error says whose is missing, and how it is made."""
    mailer = Mailer()
    with pytest.raises(FinopsError, match=f"has no edition of {TEAM}=a for {LEAD}") as caught:
        service(archive, mailer, "a").send([FIRST], NOW)
    assert mailer.recipients == ["ann@example.com"]
    assert f"finops backfill {FIRST} {FIRST}`" in caught.value.fix


def test_a_mailed_value_that_has_changed_is_told(archive: ObjectArchive, tmp_path: Path) -> None:
    """By the team's own amounts."""
    from finops_assets_tests.support.bills import archive_days, at, line, open_bill, rows_of, write_rows

    mailer = Mailer()
    service(archive, mailer, "a").send([SECOND], NOW)
    costs = {day: "10" if day == THIRD else "14" for day in (SECOND, THIRD)}
    lines = [line(cost, start=at(day), account=MOVING) for day, cost in costs.items()]
    bill = open_bill(write_rows(tmp_path / "later" / "focus.parquet", rows_of(lines, "focus")))
    assert archive_days(bill, archive, [SECOND]).refused == {}
    service(archive, mailer, "a").send([THIRD], NOW)
    stored = Outbox(archive, mailer, Recipients("f@example.com", ("a@example.com",))).digests.latest(THIRD)
    assert stored
    assert stored.editions[f"{TEAM}=a"].says == {SECOND: Decimal(14), THIRD: Decimal(0)}


@pytest.mark.parametrize(
    ("posts", "kept"),
    [
        (["", "account:team=a"], [""]),
        (["account:team=a", "account:team=a/b"], ["account:team=a", "account:team=a/b"]),
        (["Eng", "account:team=Eng"], ["Eng", "account:team=Eng"]),
    ],
)
def test_a_value_is_in_the_whole_alone(posts: Sequence[str], kept: Sequence[str]) -> None:
    """A slash in it is no path, and an OU contains none."""
    given = {
        "recipients": [LEAD] if "" in posts else [],
        "by_ou": {name: [LEAD] for name in posts if name and "=" not in name},
        "by_value": {name: [LEAD] for name in posts if "=" in name},
    }
    recipients = Recipients("finops@example.com", **given)  # type: ignore[arg-type]
    assert [post.ou for post in recipients.posts()] == kept
    assert recipients.addresses == (LEAD,)
    assert Post(LEAD).contains(Post(LEAD, "account:team=a", by_value=True))


def test_an_edition_by_a_key_that_is_not_set_is_refused() -> None:
    """It could never be made."""
    given = {"FINOPS_MAIL__BY_VALUE": f'{{"{TEAM}=a": ["{LEAD}"]}}'}
    with pytest.raises(SettingsError) as caught:
        load_settings(given)
    assert "FINOPS_MAIL__BY_VALUE" in caught.value.where
    settings = load_settings(given | {"FINOPS_DIMENSIONS__KEYS": TEAM, "FINOPS_MAIL__RECIPIENTS": ""})
    assert settings.mail.everybody == (LEAD,)
