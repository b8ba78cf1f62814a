"""What the platform measures of itself, in CloudWatch. Alarms on it are set up outside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.core.ports import METRICS

NAMESPACE_SETTING = "aws.metrics_namespace (FINOPS_AWS__METRICS_NAMESPACE)"


class CloudWatchMetrics:
    """Puts values into one namespace, without dimensions: there is one platform to an account and region."""

    def __init__(self, session: AwsSession, namespace: str) -> None:
        self._session, self._namespace = session, namespace

    def emit(self, values: Mapping[str, float]) -> None:
        """Record values as of now; older ones would take CloudWatch up to two days to show.

        Raises:
            KeyError: a name that is not in METRICS.
            ValueError: a value that is no finite number.
            AwsError: CloudWatch refused them.
        """
        now = datetime.now(UTC)
        data = [
            {"MetricName": name, "Unit": METRICS[name], "Value": float(value), "Timestamp": now}
            for name, value in values.items()
        ]
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {float(value)}, which no alarm can compare")
        if not data:
            return
        cloudwatch = self._session.client("cloudwatch")
        fixes = {"InvalidParameterValue": f"Set {NAMESPACE_SETTING} to a name that does not begin with AWS/."}
        with explained("cloudwatch:PutMetricData", where=NAMESPACE_SETTING, fixes=fixes):
            cloudwatch.put_metric_data(Namespace=self._namespace, MetricData=data)
