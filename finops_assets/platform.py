"""The platform: settings -> adapters -> the objects that do the work. The only composition, and without Dagster.

The assets, the sensors and the command work with the same objects; each is made once, when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property, partial
from typing import cast

from finops_assets.adapters.shared import dagster_records as dagster_records  # for defs/, which knows no adapter
from finops_assets.adapters.shared.folder import require_writable
from finops_assets.adapters.shared.memory import memory_limit
from finops_assets.adapters.shared.shown_bill import ShownBill
from finops_assets.composition.adapters import Adapters
from finops_assets.composition.parts import archive_age, bills_in_words
from finops_assets.core.analytics.plan import PlanFiles
from finops_assets.core.analytics.scoring import Scoring, ScoringRules
from finops_assets.core.archive.age import Age, deadline_by
from finops_assets.core.archive.display import rates_words
from finops_assets.core.archive.journal import Journal
from finops_assets.core.bill.dimension_keys import DimensionValue, dimension_value
from finops_assets.core.delivery.changes import Thresholds
from finops_assets.core.delivery.digest_service import DigestForm, DigestService
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Recipients
from finops_assets.core.errors import DamagedError
from finops_assets.core.operations import memory
from finops_assets.core.operations.alerting import Alerting
from finops_assets.core.operations.bill_inspection import InspectionRules
from finops_assets.core.operations.heartbeat import Heartbeat
from finops_assets.core.operations.incidents import Incidents
from finops_assets.core.operations.inspector import Inspector
from finops_assets.core.operations.state_notes import state_notes
from finops_assets.core.operations.verification import known_damaged
from finops_assets.core.operations.watch import Watch
from finops_assets.core.ports import Archive, Warehouse
from finops_assets.core.reports.drawing import Drawing
from finops_assets.core.values import PublishedDay
from finops_assets.settings.model import Settings


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Platform(Adapters):
    """The adapters, and the objects that are made of them.

    Attributes:
        outbox: digests, and who has them.
        clock: the time for records (aware, UTC).
        drawing: draws charts and pages; by default in this process.
        memory_limit: bytes that this process and those that it starts may use; None where that is not known.
    """

    outbox: Outbox
    clock: Callable[[], datetime] = utc_now
    drawing: Drawing = field(default_factory=Drawing)
    memory_limit: Callable[[], int | None] = memory_limit

    def with_clock(self, clock: Callable[[], datetime]) -> Platform:
        """The same platform, whose objects go by another clock."""
        return replace(self, clock=clock)

    @property
    def deadline(self) -> Callable[[date], datetime]:
        """When a day's digest is due."""
        return deadline_by(self.settings.schedule.cron)

    def age(self, now: datetime) -> Age | None:
        """How old the archive's data are at a time (aware, UTC); None where nothing is archived."""
        return archive_age(self.settings, self.archive, now)

    def require_memory(self, accounts: int, days: int) -> None:
        """Refuse a run that would not fit into the memory (warehouse.check_memory).

        Args:
            accounts: of the account map, which tell the size of a day where none is archived.
            days: of the run.

        Raises:
            MemoryShortError: it takes more than there is.
        """
        if not self.settings.warehouse.check_memory:
            return
        described: list[PublishedDay] = []
        with suppress(DamagedError):  # which is for the run to mend
            described = list(self.archive.history.describe(self.archive.days()[-1:]).values())
        rows = described[0].rows if described else accounts * memory.SERVICES
        memory.require(rows, days, self.memory_limit())

    @cached_property
    def shown_archive(self) -> Archive:
        """The archive in the currency that costs are shown in; what shows a cost reads days from it."""
        return self.display.archive(self.archive)

    @cached_property
    def shown_bill(self) -> Warehouse:
        """The bill, whose control totals and reasons for a move are in that currency."""
        return (
            cast(Warehouse, ShownBill(self.warehouse, self.archive, self.display)) if self.display else self.warehouse
        )

    @cached_property
    def journal(self) -> Journal:
        """How final days are."""
        return Journal(self.archive, self.settings.bill.stable_after)

    @cached_property
    def incidents(self) -> Incidents:
        """What is wrong, and who was told."""
        ui = self.settings.alerts.dagster_url or self.links.get("Dagster", "")
        return Incidents(
            self.archive,
            self.alerts,
            clock=self.clock,
            run_link=lambda run_id: f"{ui.rstrip('/')}/runs/{run_id}" if ui else run_id,
            runbook=self.settings.alerts.runbook_url,
        )

    @cached_property
    def inspector(self) -> Inspector:
        """The state of each day."""
        bill = self.settings.bill
        return Inspector(
            warehouse=self.shown_bill,
            archive=self.archive,
            catalog=self.catalog,
            outbox=self.outbox,
            shown=lambda: self.preflight.shown(),
            known_damaged=lambda: known_damaged(self.incidents),
            rules=InspectionRules(
                first_day=bill.first_day,
                complete_after=bill.complete_after_hours,
                cost_basis=bill.cost_basis,
                change_closed=bill.change_closed_days,
                bill_rules=bills_in_words(self.settings),
            ),
            display=self.display,
        )

    @cached_property
    def scoring(self) -> Scoring:
        """Scorecards."""
        settings = self.settings
        return Scoring(
            self.shown_bill,
            self.shown_archive,
            self.journal,
            PlanFiles(
                budgets=self.budgets,
                events=self.events,
                budgets_at=settings.budgets.path,
                events_at=settings.anomalies.events,
                editions=settings.mail.by_ou,
                values=self._values,
                dimensions=settings.dimensions.keys,
            ),
            ScoringRules(
                amber=settings.budgets.amber_percent / 100,
                least_share=settings.anomalies.least_percent / 100,
                least_amount=Decimal(str(settings.anomalies.least_amount)),
            ),
            restated_as=self.display.restated,
        )

    @property
    def _values(self) -> list[DimensionValue]:
        """The values of dimensions that somebody gets an edition of."""
        keys = self.settings.dimensions.keys
        return [value for text in self.settings.mail.by_value if (value := dimension_value(text, keys))]

    @cached_property
    def digests(self) -> DigestService:
        """Digests, made and sent."""
        mail = self.settings.mail
        thresholds = Thresholds(mail.tell_change_percent, mail.correct_change_percent, mail.change_amount)
        return DigestService(
            self.shown_archive,
            self.outbox,
            DigestForm(mail.subject_prefix, self.links, mail.by_ou, thresholds, values=self._values),
            drawing=self.drawing,
            journal=self.journal,
            notes=partial(state_notes, self.inspector),
            age=self.age,
        )

    @cached_property
    def alerting(self) -> Alerting:
        """What is told when something breaks, and when it heals."""
        return Alerting(
            archive=self.archive,
            warehouse=self.warehouse,
            outbox=self.outbox,
            digests=self.digests,
            incidents=self.incidents,
            deadline=self.deadline,
            rates=self._rates_of,
        )

    def _rates_of(self, day: date) -> str:
        """The exchange rates that a day is shown by, in a sentence; empty where none is used."""
        published = self.shown_archive.describe(day) if self.display else None
        return rates_words([published]) if published else ""

    @cached_property
    def watch(self) -> Watch:
        """What looks after the days: news, states, incidents."""
        return Watch(
            inspector=self.inspector,
            warehouse=self.warehouse,
            archive=self.archive,
            outbox=self.outbox,
            digests=self.digests,
            journal=self.journal,
            alerting=self.alerting,
        )

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """The sign of life once a day."""
        return Heartbeat(self.archive, self.heartbeats, faults=self.watch.faults_of_the_morning, deadline=self.deadline)


def build_platform(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Platform:
    """The platform that the settings name. It asks nothing of AWS, and reads, makes and writes no file.

    Args:
        settings: which platform, and what it is given.
        clock: the time for records (aware, UTC).

    Raises:
        SettingsError: a setting that the platform needs is missing.
    """
    if settings.platform == "aws":
        from finops_assets.composition.aws import aws_adapters as adapters_of  # boto3 takes a third of a second
    else:
        from finops_assets.composition.local import local_adapters as adapters_of
    adapters, mail = adapters_of(settings, clock), settings.mail
    recipients = Recipients(
        mail.sender,
        mail.recipients,
        by_ou=mail.by_ou,
        by_value=mail.by_value,
        executives=mail.executives,
        resend_to=mail.resend_to,
    )
    outbox = Outbox(
        adapters.archive,
        adapters.mailer,
        recipients,
        max_megabytes=mail.max_megabytes,
        link_days=mail.link_days,
        clock=clock,
    )
    return Platform(
        outbox=outbox, clock=clock, **{each.name: getattr(adapters, each.name) for each in fields(adapters)}
    )


def require_home(settings: Settings) -> None:
    """Prove that the home, which is the archive of the embedded platform, can be written before a run needs it.

    Raises:
        ArchiveError: it cannot.
    """
    if settings.platform == "local":
        require_writable(settings.home)
