"""The checks of the morning: from the deadline on, is yesterday published, shown and mailed, whatever was backfilled?

Each is a check of the asset that it is about, and can be executed alone from the UI. The job `morning_checks` executes
all of them each morning, fails where one is broken, and tells of it. A run that makes these assets for other days
evaluates them too, and does not fail for them.
"""

# Without `from __future__ import annotations`: Dagster reads the checks' annotations as they are.

from typing import Any

import dagster as dg

from finops_assets.core.operations import alerting as promises
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.watch import Watch
from finops_assets.core.text import tidy_lines
from finops_assets.defs import keys, metadata
from finops_assets.defs.alerts import NOTIFIED, give_sign_of_life
from finops_assets.defs.steps import Clock

PROMISES = {
    keys.REGISTERED: {
        promises.PUBLISHED: "The newest day that is due is archived and registered where queries find it.",
        promises.WHOLE: "No older day is missing, damaged, other than in the bill, or seen by no query.",
        promises.COVERED: "Every line of the bill is in an archived day, or there is a reason why it is in none.",
    },
    keys.SHOWN: {promises.SHOWN: "The dashboard was refreshed after the newest archived day was written."},
    keys.MAILED: {
        promises.MAILED: "Every recipient has the digest of the newest day that is due.",
        promises.NOTIFIED: "Every open incident has reached the alert channel.",
    },
}
"""Asset -> check -> what it promises."""


@dg.multi_asset_check(
    name="morning",
    specs=[
        dg.AssetCheckSpec(name, asset=asset, description=text)
        for asset, texts in PROMISES.items()
        for name, text in texts.items()
    ],
    can_subset=True,
)
def checks_of_the_morning(
    context: dg.AssetCheckExecutionContext,
    watch: dg.ResourceParam[Watch],
    heartbeat: dg.ResourceParam[Heartbeat],
    clock: dg.ResourceParam[Clock],
) -> Any:
    """All of them, or those that were selected, by one inspection."""
    now = clock()
    faults = watch.freshness(now)
    # A run of other days is not the place to fail for yesterday: it shows what is broken.
    makes_assets = bool(context.run.asset_selection)
    severity = dg.AssetCheckSeverity.WARN if makes_assets else dg.AssetCheckSeverity.ERROR
    facts = {"day": str(watch.alerting.due_day(now)), **metadata.age(watch.age(now))}
    for key in context.selected_asset_check_keys:
        yield metadata.check_result(key.name, faults[key.name], severity, metadata=facts, asset=key.asset_key)
    if context.run.job_name != keys.CHECKS_JOB:
        return
    watch.alerting.report_broken_promises(faults, now)
    watch.incidents.close("job_failed", [keys.CHECKS_JOB])
    broken = {name: fault for name, fault in faults.items() if fault}
    if broken:
        text = tidy_lines("; ".join(f"{name}: {fault}" for name, fault in broken.items()))
        raise dg.Failure(text, metadata={NOTIFIED: "not_fresh, or what explains it"}, allow_retries=False)
    give_sign_of_life(heartbeat, now, context.log.warning)
