"""The benchmarks measure what they say: each case runs on a small bill, to the same total."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks import cases
from benchmarks.analytics import culprits
from benchmarks.bills import bill_folder


def test_every_case_of_the_backfill_reads_the_same_bill(tmp_path: Path) -> None:
    """Cases that call the product break unseen when it changes: nothing else runs them."""
    folder = str(bill_folder(tmp_path, 20_000))
    totals = {name: cases.CASES[name](folder)["total"] for name in ("work", "reading", "control_totals")}
    assert len(set(map(Decimal, totals.values()))) == 1, totals


@pytest.mark.parametrize(("kind", "seed"), list(zip(culprits.KINDS, range(8), strict=True)))
def test_a_planted_cause_is_named_first(kind: str, seed: int) -> None:
    """One change of each kind, in both formats; the benchmark has five of each, and others."""
    assert culprits.is_named_first(kind, seed, replace(culprits.PARTS[culprits.CHOSEN_ON], accounts=3))
