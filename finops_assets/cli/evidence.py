"""`finops evidence`: a month in one zip with checksums: make, verify, list."""

from __future__ import annotations

import sys
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from finops_assets.cli import common
from finops_assets.cli.errors import FAILED
from finops_assets.cli.terminal import complain, print_json, print_table, say, tell

if TYPE_CHECKING:
    from finops_assets.core.operations.evidence import Evidence


@click.group()
def evidence() -> None:
    """A month's evidence in one zip with checksums: make, verify, list."""


@evidence.command()
@click.argument("month", type=common.MONTH)
@common.as_json
def make(month: str, as_json: bool) -> None:
    """Bundle the evidence of MONTH, unless the newest bundle holds the same."""
    from finops_assets.core.calendar import in_words
    from finops_assets.core.errors import SettingsError
    from finops_assets.core.operations.evidence import check_over, read
    from finops_assets.defs.run import make_evidence

    platform = common.open_platform()
    first = f"{platform.settings.bill.first_day:%Y-%m}"
    check_over(month, common.now().date())
    if month < first:
        raise SettingsError(
            f"{month} is before the first month that is kept, {first}",
            where="bill.first_day (FINOPS_BILL__FIRST_DAY)",
            fix="Set it to a day of that month or of an earlier one.",
        )
    before = read(platform.archive, month)
    outcome = make_evidence(platform, month, tell=tell, clock=lambda: common.now())
    after = read(platform.archive, month)
    for message in outcome.errors:
        complain(message)
    if as_json:
        print_json({"succeeded": not outcome.errors, "changed": after != before, "evidence": after and asdict(after)})
    elif after and not outcome.errors:
        say(f"{month}: {after.bundle}{'' if after != before else ', as it was'}, {_evidence_words(after)}")
        for why in dict.fromkeys(after.faults.values()):
            tell(f"not whole: {in_words([day for day, fault in after.faults.items() if fault == why])}, {why}")
    if outcome.errors:
        sys.exit(FAILED)


@evidence.command()
@click.argument("month", type=common.MONTH)
@common.as_json
def verify(month: str, as_json: bool) -> None:
    """Check the bundle of MONTH file by file, and tell what has changed in the archive since it was made."""
    from finops_assets.core.operations.evidence import verify as verify_month

    done = verify_month(common.open_platform().archive, month)
    bundle = done.evidence
    since = {"changed": done.changed, "new": done.new, "gone": done.gone}
    if as_json:
        facts = {"bundle": bundle.bundle, "sha256": bundle.sha256, "made_at": bundle.made_at}
        print_json({**facts, "verified": not done.fault, "damage": done.damage, "since": since})
    else:
        if not done.fault:
            say(f"{bundle.bundle} is whole: {_evidence_words(bundle)}, made {bundle.made_at}")
        for what, paths in since.items():
            for path in paths:
                say(f"{what} since: {path}")
        if not any(since.values()):
            say("The archive is as it was then.")
    if done.fault:
        raise done.fault


@evidence.command("list")
@common.as_json
def list_evidence(as_json: bool) -> None:
    """Every month that has evidence."""
    from finops_assets.core.operations.evidence import read_all

    months = read_all(common.open_platform().archive)
    if as_json:
        print_json([{k: v for k, v in vars(month).items() if k not in ("days", "members")} for month in months])
    else:
        print_table(
            ("month", "version", "made", "days", "missing", "total", "currency", "basis", "bundle"),
            [
                (
                    *(e.month, e.version, e.made_at, e.days_archived, len(e.days_missing)),
                    *("" if e.total is None else common.amount(Decimal(e.total)), e.currency, e.cost_basis, e.bundle),
                )
                for e in months
            ],
            right={1, 3, 4, 5},
        )


def _evidence_words(evidence: Evidence) -> str:
    total = (
        ""
        if evidence.total is None
        else f", {common.amount(Decimal(evidence.total))} {evidence.currency} ({evidence.cost_basis})"
    )
    return f"{len(evidence.members)} files, {evidence.days_archived} days{total}"
