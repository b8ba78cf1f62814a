"""The front page: mail, PDF and dashboard say the same headline, red OUs and anomalies; percentages become `12 x`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from finops_assets.adapters.shared.archive import ObjectArchive
from finops_assets.adapters.shared.dashboard_page import DashboardPage, PageSources
from finops_assets.core.analytics.budgets import RED
from finops_assets.core.analytics.scoring import Scoring
from finops_assets.core.archive.journal import Journal
from finops_assets.core.money import percent
from finops_assets.core.reports.dashboard import read_outlook
from finops_assets.core.reports.digest import front_page, render
from finops_assets.core.reports.snapshot.content import snapshot_data
from finops_assets.core.schemas import moved_parts_path
from finops_assets_tests.analytics.test_kept_parts import DAYS, lines, scored
from finops_assets_tests.analytics.test_value_scores import THIRD
from finops_assets_tests.analytics.test_value_scores import archive as archive
from finops_assets_tests.delivery.test_outbox import Mailer
from finops_assets_tests.delivery.test_value_editions import NOW, _NoBill, service
from finops_assets_tests.reports.test_digest_scores import RED as OVER
from finops_assets_tests.reports.test_digest_scores import card, episode, figures, score, words
from finops_assets_tests.support.bills import DAY, new_archive


def test_the_page_of_the_archive_says_what_its_mail_says(archive: ObjectArchive) -> None:
    """Both are made of one archive, with an OU that is red and an anomaly that is open."""
    Scoring(_NoBill(), archive, Journal(archive)).score([THIRD], NOW)  # type: ignore[arg-type]
    known = read_outlook(archive, archive.days())
    assert known
    first, *others = known.newest.scores
    red = replace(others[0], light=RED, budget=Decimal(1), reason="over")
    odd = episode(red.ou, first=THIRD, last=THIRD)
    changed = replace(known.newest, scores=(first, red, *others[1:]), episodes=(odd,))
    written: list[bytes] = []
    sources = PageSources(outlook=lambda _: replace(known, newest=changed, episodes=(odd,)))
    DashboardPage(archive, written.append, "page", days=10, max_cells=9999, sources=sources, clock=lambda: NOW).refresh(
        "r"
    )
    page = written[0].decode()
    shown = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])["front"]  # type: ignore[index]
    made = service(archive, Mailer())._inputs.figures(archive.describe(THIRD), NOW)("")  # type: ignore[arg-type]
    assert made.card
    front = front_page(replace(made, card=replace(changed, drivers=made.card.drivers)))
    assert shown == json.loads(json.dumps(front.as_json()))
    assert [row["ou"] for row in shown["red"]] == [red.ou]
    assert [row["id"] for row in shown["anomalies"]] == [odd.id]
    assert front.headline in words(page)


def test_the_page_names_the_causes_that_its_mail_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have them from the parts that are kept of the day."""
    archive = new_archive(tmp_path)
    scored(tmp_path / "1", archive, lines(), DAYS[:2])
    scored(tmp_path / "2", archive, lines(), [DAY])
    written: list[bytes] = []
    sources = PageSources(outlook=lambda _: read_outlook(archive, archive.days()))
    read: list[str] = []
    get = archive.get
    monkeypatch.setattr(archive, "get", lambda path: read.append(path) or get(path))
    DashboardPage(archive, written.append, "page", days=10, max_cells=9999, sources=sources, clock=lambda: NOW).refresh(
        "r"
    )
    assert read.count(moved_parts_path(DAY)) == 1
    shown = json.loads(re.search(r'id="data">(.*?)</script>', written[0].decode(), re.DOTALL)[1])["front"]  # type: ignore[index]
    made = service(archive, Mailer())._inputs.figures(archive.describe(DAY), NOW)("")  # type: ignore[arg-type]
    assert shown == json.loads(json.dumps(front_page(made).as_json()))
    assert [row["because"] for row in shown["moved"]] == ["cause: new service of Requests, +30.00"]


def test_mail_and_pdf_say_the_front_page() -> None:
    ous = {ou: score(ou, "60.10", **OVER) for ou in ("Workloads/Prod",)}
    made = figures(card=card(ous, episodes=(episode(),)))
    front, digest, pdf = front_page(made), render(made), snapshot_data(made, made.card)
    assert front.because == "because 60.10 USD where 48.00 was expected"
    assert pdf["headline"] == front.headline
    for shown in (" ".join(digest.text.split()), words(digest.html), " ".join(pdf["matters"])):
        assert front.because[1:] in shown
        assert "Workloads/Prod" in shown
        assert "+100.00" in shown
        assert episode().id in shown
        assert "+12.10" in shown
    for shown in (" ".join(digest.text.split()), words(digest.html)):
        assert front.headline in shown
        assert shown.index(front.headline) < shown.index("+100.00") < shown.index("All amounts in")


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [("10", "1", "+900.0 %"), ("12", "1", "12 x"), ("999.4", "1", "999 x"), ("50", "0.01", "over 999 x")],
)
def test_a_change_over_ten_times_is_told_in_times(now: str, before: str, said: str) -> None:
    assert percent(Decimal(now), Decimal(before)) == said
