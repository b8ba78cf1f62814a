"""The sections of finops.toml: each setting with its type, its default and what it means."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator

from finops_assets.core.bill.dimension_keys import MOST_KEYS, check_key, dimension_value, is_of_bill
from finops_assets.settings.kinds import (
    AccountId,
    AddressOrDomain,
    BucketName,
    Cron,
    CurrencyCode,
    DailyCron,
    Host,
    Key,
    MailAddress,
    Namespace,
    Region,
    RoleArn,
    SecretWebAddress,
    Size,
    TopicArn,
    WebAddress,
    Workgroup,
    listed,
)
from finops_assets.settings.paths import LocalPath, PathText
from finops_assets.settings.section import Section


class AccountsSettings(Section):
    """Which linked account belongs to which organizational unit."""

    path: LocalPath = Field(
        "",
        description="`accounts.csv`. Empty: on AWS the organization itself; on the embedded platform the bill's own "
        "account names, all `Unassigned`.",
    )
    ou_level: Literal["full"] | Annotated[int, Field(ge=1)] = Field(
        "full", description="Levels of the OU path that are shown: `full`, or 1 (top level), 2, ..."
    )
    history: Literal["as_was", "as_is"] = Field(
        "as_was", description="`as_was`: the OU an account was in on the day; `as_is`: its newest OU for every day."
    )
    unassigned_limit_percent: float = Field(
        5.0, ge=0, le=100, description="Share of a day's cost in `Unassigned` above which the check warns."
    )

    @field_validator("ou_level", mode="before")
    @classmethod
    def _level(cls, value: Any) -> Any:
        level = int(value) if isinstance(value, str) and value.isdecimal() else value
        if level != "full" and (not isinstance(level, int) or isinstance(level, bool) or level < 1):
            raise ValueError("must be full, or a number of levels from 1 on")
        return level


class DimensionsSettings(Section):
    """What else costs are shown by: tags, cost categories and attributes of accounts, beside OUs."""

    keys: tuple[str, ...] = Field(
        (),
        description="`tag:team` (a cost allocation tag; `tag:aws:createdBy` of AWS's own), `cost_category:Product`, or "
        "`account:business_unit` (a further column of the account map, or a tag of the accounts in AWS Organizations, "
        f"in capitals or not); at most {MOST_KEYS} (a comma-separated list). Archived days get them by `finops "
        "backfill FIRST LAST`.",
    )

    @field_validator("keys", mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        keys = listed(value)
        if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
            return keys
        checked = [check_key(key.strip()) for key in keys]
        named = tuple(key if is_of_bill(key) else key.lower() for key in checked)  # columns of tables have no case
        if doubled := sorted({key for key in named if named.count(key) > 1}):
            raise ValueError(f"has {doubled[0]} twice")
        if len(named) > MOST_KEYS:
            raise ValueError(f"has {len(named)} keys, and may have {MOST_KEYS}")
        return named


class MailSettings(Section):
    """Who gets the digest, and from whom."""

    sender: MailAddress = Field("finops-assets@localhost", description="Address the digest is sent from.")
    recipients: tuple[MailAddress, ...] = Field(
        ("finops@localhost",),
        description="Addresses the digest goes to, one message each (a comma-separated list).",
    )
    executives: tuple[MailAddress, ...] = Field(
        (), description="Addresses that get the digest with the two-page PDF attached (a comma-separated list)."
    )
    by_ou: dict[str, tuple[MailAddress, ...]] = Field(
        {},
        description='OU path -> addresses that get its part alone: `[mail.by_ou]`, then `"Workloads/Prod" = '
        '["lead@example.com"]`; in the environment one JSON object.',
    )
    by_value: dict[str, tuple[MailAddress, ...]] = Field(
        {},
        description="Value of a dimension -> addresses that get its part alone: `[mail.by_value]`, then "
        '`"account:team=platform" = ["lead@example.com"]`; its key stands in `dimensions.keys`; in the environment one '
        "JSON object.",
    )
    resend_to: tuple[AddressOrDomain, ...] = Field(
        (),
        description="Addresses, or whole domains as `@example.com`, that `finops resend --to` and the job "
        "`resend_digest` may send a digest to, beside those above (a comma-separated list).",
    )
    subject_prefix: str = Field("[FinOps]", max_length=100, description="First words of every subject.")
    backend: Literal["auto", "eml", "ses", "smtp"] = Field(
        "auto",
        description="`eml` (files in the home's outbox), `ses` or `smtp`; `auto`: `ses` on AWS, `eml` elsewhere.",
    )
    max_megabytes: float = Field(
        9.0,
        gt=0.1,
        le=40,
        description="Size of a message as it is sent; a CSV too large for it is gzipped, then linked. "
        "SES takes 40, many mail servers 10.",
    )
    tell_change_percent: float = Field(
        0.5, ge=0, le=1e12, description="A mailed day that has moved by more than this is told in the next digest."
    )
    correct_change_percent: float = Field(
        5.0,
        ge=0,
        le=1e12,
        description="A mailed day that has moved by more than this is corrected by a revision of its digest.",
    )
    change_amount: float = Field(
        1.0, ge=0, le=1e12, description="Moves of less than this, in the currency shown, are not told at all."
    )
    link_days: int = Field(7, ge=1, le=7, description="Days that a link to a CSV too large to attach lasts, at most.")
    bounces: LocalPath = Field(
        "",
        description="Folder with returned mail, where the backend is `eml` or `smtp`: deliver or export the sender's "
        "mailbox there, e.g. by fetchmail or getmail; a Maildir's `new/` and `cur/` work too. Empty: `bounces` in the "
        "home.",
    )

    _split = field_validator("recipients", "executives", "resend_to", mode="before")(listed)

    @property
    def everybody(self) -> tuple[str, ...]:
        """Who gets the digest, or a part of it, each once."""
        of_parts = (one for addresses in (*self.by_ou.values(), *self.by_value.values()) for one in addresses)
        return tuple(dict.fromkeys((*self.recipients, *self.executives, *of_parts)))

    @field_validator("by_ou", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        value = _object(value)
        if not isinstance(value, dict) or not all(path.strip("/ ") for path in value):
            raise ValueError("must give addresses for each OU path, such as Workloads/Prod")
        trimmed = [path.strip("/ ") for path in value]
        if twice := sorted({path for path in trimmed if trimmed.count(path) > 1}):
            raise ValueError(f"must name each OU path once: {twice[0]} is there twice")
        return {path.strip("/ "): listed(addresses) for path, addresses in value.items()}

    @field_validator("by_value", mode="before")
    @classmethod
    def _lists_of_values(cls, value: Any) -> Any:
        value = _object(value)
        if not isinstance(value, dict) or not all(dimension_value(text.strip()) for text in value):
            raise ValueError("must give addresses for each value of a dimension, such as account:team=platform")
        trimmed = [text.strip() for text in value]
        if twice := sorted({text for text in trimmed if trimmed.count(text) > 1}):
            raise ValueError(f"must name each value once: {twice[0]} is there twice")
        return {text.strip(): listed(addresses) for text, addresses in value.items()}


def _object(value: Any) -> Any:
    """A mapping that may be given as JSON, as in the environment; None for text that is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


class SmtpSettings(Section):
    """The mail server, where `mail.backend` is `smtp`."""

    host: Host = Field("", description="Name of the server. Required for `smtp`.")
    port: int = Field(0, ge=0, le=65535, description="0: 587 with `starttls`, 465 with `tls`, 25 with `none`.")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="How the connection is encrypted.")
    username: str = Field("", description="Empty: no login.")
    password: SecretStr = Field(SecretStr(""), description="Better set in the environment: FINOPS_SMTP__PASSWORD.")
    timeout_seconds: float = Field(30.0, gt=0, le=3600, description="How long an answer of the server is waited for.")


class CurrencySettings(Section):
    """The one currency that costs are shown in, over bills in several; the archive stays in the billing currency."""

    display: CurrencyCode = Field(
        "",
        description="Currency that all costs are shown in, e.g. `EUR`; budgets are in it, too. Empty: the billing "
        "currency, which must then be one.",
    )
    rates: PathText = Field(
        "",
        description="`rates.csv`: month, currency, rate (what one of the currency is worth in currency.display); a "
        "file, or `s3://bucket/key`. A month that is shown must have its rate.",
    )


class DashboardSettings(Section):
    """What the dashboard holds."""

    days: int = Field(400, ge=1, le=36_600, description="Newest archived days that the dashboard shows.")
    max_cells: int = Field(
        400_000,
        ge=1000,
        le=1_000_000_000,
        description="Numbers it embeds at most; past that, the smallest accounts are folded. Costs by dimension take a "
        "quarter more.",
    )


class BudgetsSettings(Section):
    """What each OU, or each value of a dimension, may cost in a month."""

    path: PathText = Field(
        "",
        description="`budgets.csv`: ou (or a value, as `account:team=web`), month, amount, currency; a file, or "
        "`s3://bucket/key`. Empty: no budgets.",
    )
    amber_percent: float = Field(
        90.0, gt=0, le=100, description="Share of a budget that a month is expected to take from which on it is amber."
    )


class AnomaliesSettings(Section):
    """From when on a cost that nobody expected is an anomaly."""

    least_percent: float = Field(
        25.0, ge=0, le=1e12, description="A day that is off by less than this from what was expected is no anomaly."
    )
    least_amount: float = Field(
        10.0, ge=0, le=1e12, description="Nor is one that is off by less than this, in the currency shown."
    )
    events: PathText = Field(
        "",
        description="`events.csv`: first, last, ou, service, what; days whose cost is planned, which alert nobody; one "
        "over `All` answers that a doubled bill is real; a file, or `s3://bucket/key`. Empty: none.",
    )


class AlertsSettings(Section):
    """Who is told when something breaks and when it heals."""

    backend: Literal["auto", "eml", "mail", "sns"] = Field(
        "auto",
        description="`sns` (aws.sns_topic_arn), `mail` (as the digest is sent, to alerts.recipients) or `eml` (files "
        "in the home's alerts folder); `auto`: `sns` where there is a topic, else `mail` where there are recipients.",
    )
    recipients: tuple[MailAddress, ...] = Field((), description="Addresses of `mail` (a comma-separated list).")
    dagster_url: WebAddress = Field(
        "",
        description="Address at which people open the Dagster UI, for links to runs; `finops dev` answers to its name, "
        "beside localhost. Empty: http://127.0.0.1:3000; no links on AWS.",
    )
    runbook_url: str = Field("docs/runbook.md", description="Where your people find the runbook, for links to it.")
    heartbeat_url: SecretWebAddress = Field(
        SecretStr(""),
        description="Address (http or https) that is requested once a day, when yesterday is done, so that somebody "
        "else's alarm notices silence: healthchecks.io and the like. Empty: none.",
    )
    heartbeat_recipients: tuple[MailAddress, ...] = Field(
        (), description="Addresses that get a short mail once a day, when yesterday is done (a comma-separated list)."
    )

    _split = field_validator("recipients", "heartbeat_recipients", mode="before")(listed)


class ScheduleSettings(Section):
    """When the platform works by itself; cron expressions in UTC."""

    cron: Cron = Field("0 7 * * *", description="The daily job, for the day before: the digest's deadline.")
    checks_cron: DailyCron = Field(
        "30 7 * * *",
        description="The checks that yesterday is published, shown and mailed; at most once a day.",
    )
    doctor_cron: Cron = Field("30 6 * * *", description="The check-up of everything that the settings use.")
    verify_cron: Cron = Field("0 4 * * *", description="The proof that every archived day holds what was written.")
    evidence_cron: Cron = Field(
        "0 9 16 * *",
        description="The monthly evidence, for the month before; by default on the first day on which that is closed.",
    )
    retry_seconds: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="Wait before a step that failed unexpectedly is tried again; the second wait is double.",
    )
    repair_days: int = Field(31, ge=1, le=10_000, description="Days that the missing_days sensor runs at most at once.")
    repair_minutes: float = Field(
        15.0,
        gt=0,
        le=1440,
        description="Wait before a day is repaired again; it doubles with each attempt, up to a day.",
    )


class WarehouseSettings(Section):
    """The embedded warehouse."""

    memory: Size = Field("800MB", description="Memory that DuckDB may use before it spills to disk.")
    threads: int = Field(0, ge=0, le=1024, description="Threads that DuckDB may use; 0: one per core.")
    check_memory: bool = Field(
        True,
        description="Refuse a run, on either platform, that takes more memory than there is, by what was measured.",
    )


class AwsSettings(Section):
    """The platform on AWS. Credentials come from AWS's default chain: environment, profile, or the task's role."""

    region: Region = Field("", description="Region. Empty: the profile's or environment's.")
    profile: str = Field("", description="Profile of the AWS configuration files. Empty: the default chain.")
    role_arn: RoleArn = Field("", description="Role that is assumed for everything. Empty: none.")
    endpoint_url: WebAddress = Field(
        "", description="Another endpoint for every service, such as a stand-in. Empty: AWS."
    )
    bucket: BucketName = Field("", description="The archive's bucket (versioned). Required on AWS.")
    workgroup: Workgroup = Field("primary", description="Athena workgroup.")
    athena_results: str = Field(
        "", description="`s3://bucket/prefix/` of query results. Empty: the workgroup's own location."
    )
    query_timeout_seconds: int = Field(
        1800, ge=10, le=86_400, description="A query that takes longer, waiting included, is stopped."
    )
    price_per_terabyte: float = Field(
        5.0, ge=0, le=1e6, description="USD per terabyte that Athena scans, for the estimates."
    )
    quicksight_data_set: Key = Field(
        "", description="Id of the SPICE data set. Empty: no QuickSight; `dashboard/dashboard.html` in the bucket."
    )
    quicksight_scorecard_data_set: Key = Field(
        "", description="Id of the SPICE data set of `ou_scorecard`, such as finops-ou-scorecard. Empty: none."
    )
    quicksight_permissions: PathText = Field(
        "",
        description="`ou_permissions.csv`: user, group, ou: who may see which OU in QuickSight; a file, or "
        "`s3://bucket/key`. Empty: everybody sees all.",
    )
    quicksight_account: AccountId = Field(
        "", description="AWS account of QuickSight. Empty: the account that runs this."
    )
    quicksight_edition: Literal["enterprise", "standard"] = Field(
        "enterprise", description="`enterprise` allows 32 refreshes in 24 hours, `standard` 8."
    )
    # Refreshes of a data set of this size take seconds to minutes. A run at the deadline (07:00 UTC) that gives one up
    # after a quarter of an hour has mailed its digest before the checks of 07:30 ask for it.
    quicksight_timeout_seconds: int = Field(
        900,
        ge=10,
        le=86_400,
        description="How long a refresh may take: then it is cancelled, and the digest goes out without it.",
    )
    organizations_role_arn: RoleArn = Field(
        "", description="Role in the management account that may read the organization. Empty: none is assumed."
    )
    ses_configuration_set: Key = Field("", description="SES configuration set of the digests. Empty: none.")
    sns_topic_arn: TopicArn = Field("", description="Topic of the alerts. Empty: alerts are files in the home.")
    metrics_namespace: Namespace = Field("FinopsAssets", description="CloudWatch namespace. Empty: no metrics.")

    @field_validator("athena_results")
    @classmethod
    def _s3_folder(cls, value: str) -> str:
        if value and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}/.*", value):
            raise ValueError("must be a place such as s3://bucket/prefix/")
        return value if not value or value.endswith("/") else f"{value}/"
