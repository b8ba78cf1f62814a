"""What a run is part of: the days that were asked for together, and whether their mail was asked for.

Written into a run's tags by whoever launches several runs for one request: the command and the sensors. A backfill of
Dagster's own has them in its record. One mail speaks for all days of a request, that of its newest day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import dagster as dg

from finops_assets.core.calendar import days_between
from finops_assets.core.errors import FinopsError
from finops_assets.defs import keys
from finops_assets.defs.private import BACKFILL_ID_TAG

ASKED_TAG = "finops/asked_for"
"""All days of the request, as stretches: `2025-09-01..2025-09-10 2025-09-12..2025-09-12`."""

MAIL_TAG = "finops/mail"
"""With the value `yes`: the digest is sent although another day's mail may speak for the run's last day."""

REASON_TAG = "finops/reason"
"""Of a run that a sensor asked for: why."""

DIGEST = dg.AssetKey(keys.MAILED)


def asked_for(stretches: Iterable[tuple[date, date]]) -> dict[str, str]:
    """The tags of each run of a request for these stretches of days, (first, last)."""
    return {ASKED_TAG: " ".join(f"{first}..{last}" for first, last in stretches)}


def mail_asked_for(tags: Mapping[str, str]) -> bool:
    """Whether somebody asked for the mail of a run with these tags."""
    return tags.get(MAIL_TAG, "").lower() == "yes"


def days_asked_for(context: dg.AssetExecutionContext) -> Sequence[date]:
    """All days that were asked for together with those of this run; none where nobody has written them down.

    Raises:
        FinopsError: the tag is not in the form in which it is written.
    """
    tags = context.run.tags
    if ASKED_TAG in tags:
        return _parsed(tags[ASKED_TAG])
    if BACKFILL_ID_TAG in tags:
        return _days_of_backfill(context, tags[BACKFILL_ID_TAG])
    return ()


def _parsed(text: str) -> list[date]:
    try:
        ends = [[date.fromisoformat(end) for end in stretch.split("..")] for stretch in text.split()]
        return [day for first, last in ends for day in days_between(first, last)]
    except ValueError:
        raise FinopsError(
            f"{text!r} is no list of days",
            where=f"the tag {ASKED_TAG}",
            fix="Write it as 2025-09-01..2025-09-10 2025-09-12..2025-09-12, or launch the run without it.",
        ) from None


def _days_of_backfill(context: dg.AssetExecutionContext, backfill_id: str) -> list[date]:
    """The days of digest_email in a backfill of a job or of assets, which has a run for each stretch of them.

    Not public in Dagster: `get_backfill` and what it returns. It goes once a run can ask for its backfill's partitions.
    """
    backfill = context.instance.get_backfill(backfill_id)
    if backfill is None:
        return []
    keys = backfill.partition_names or ()
    if backfill.asset_backfill_data:
        subsets = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key
        keys = subsets[DIGEST].get_partition_keys() if DIGEST in subsets else ()
    return [date.fromisoformat(key) for key in keys]
