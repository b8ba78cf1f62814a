"""Doctor: the topic of alerts and its subscriptions."""

from __future__ import annotations

from collections.abc import Iterator

from finops_assets.adapters.aws.alerts import TOPIC_SETTING
from finops_assets.adapters.aws.doctor.denied import unless_denied
from finops_assets.adapters.aws.session import AwsSession, explained
from finops_assets.core.findings import Finding
from finops_assets.settings.model import Settings


def alerts(settings: Settings, session: AwsSession) -> Iterator[Finding]:
    """Whether somebody receives what is published to the topic."""
    topic = settings.aws.sns_topic_arn
    if not topic:
        folder = settings.alerts_folder
        yield Finding("alerts", "skip", f"aws.sns_topic_arn is not set: alerts are files in {folder}")
    else:
        yield from unless_denied("alerts", _topic(topic, session))


def _topic(topic: str, session: AwsSession) -> Iterator[Finding]:
    fixes = {
        "NotFound": f"Set {TOPIC_SETTING} to one of `aws sns list-topics`.",
        "InvalidParameter": f"Set {TOPIC_SETTING} to the ARN of a topic in the region of aws.region.",
    }
    with explained("sns:ListSubscriptionsByTopic", where=topic, fixes=fixes):
        pages = session.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        subscriptions = [subscription for page in pages for subscription in page["Subscriptions"]]
    waiting = [each["Endpoint"] for each in subscriptions if not each["SubscriptionArn"].startswith("arn:")]
    confirmed = len(subscriptions) - len(waiting)
    names = ", ".join(waiting)
    if waiting:
        fix = f"Let {names} follow the link in the mail from AWS Notifications; subscribing again sends it again."
        detail = f"{confirmed} confirmed, not confirmed: {names}"
        yield Finding("alerts", "warn" if confirmed else "fail", f"{topic}: {detail}", fix)
    elif not confirmed:
        yield Finding(
            "alerts",
            "fail",
            f"{topic}: nobody is subscribed",
            f"`aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint ADDRESS`",
        )
    else:
        yield Finding("alerts", "ok", f"{topic}: {confirmed} confirmed subscription(s)")
