"""One typed Settings: finops.toml, then the environment (FINOPS_<SECTION>__<KEY>); errors name the setting.

Nothing is read at import. `load_settings()` is called once by each entry point (the command, the code location).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    field_validator,
)

from finops_assets.settings.bill_section import BillSettings
from finops_assets.settings.section import Section
from finops_assets.settings.sections import (
    AccountsSettings,
    AlertsSettings,
    AnomaliesSettings,
    AwsSettings,
    BudgetsSettings,
    CurrencySettings,
    DashboardSettings,
    DimensionsSettings,
    MailSettings,
    ScheduleSettings,
    SmtpSettings,
    WarehouseSettings,
)

DEFAULT_HOME = ".finops"


class Settings(Section):
    """Everything that can be set.

    A relative path of finops.toml is relative to the folder of that file, one of the environment to the working
    directory. The default of `home` stands beside finops.toml, too, or in the working directory where there is none.
    """

    platform: Literal["local", "aws"] = Field("local", description="`local` (embedded) or `aws`.")
    home: Path = Field(
        Path(DEFAULT_HOME),
        description="Folder of the embedded platform: Dagster, archive, catalog, outbox, dashboard. On AWS: Dagster's "
        "folder where DAGSTER_HOME names none, and what does not fit in memory.",
    )
    bill: BillSettings = BillSettings()
    currency: CurrencySettings = CurrencySettings()
    accounts: AccountsSettings = AccountsSettings()
    dimensions: DimensionsSettings = DimensionsSettings()
    mail: MailSettings = MailSettings()
    smtp: SmtpSettings = SmtpSettings()
    dashboard: DashboardSettings = DashboardSettings()
    budgets: BudgetsSettings = BudgetsSettings()
    anomalies: AnomaliesSettings = AnomaliesSettings()
    alerts: AlertsSettings = AlertsSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    warehouse: WarehouseSettings = WarehouseSettings()
    aws: AwsSettings = AwsSettings()

    @field_validator("home", mode="before")
    @classmethod
    def _somewhere(cls, value: Any) -> Any:
        if not isinstance(value, str | Path) or not str(value):
            raise ValueError("must name a folder")
        if "://" in str(value):
            raise ValueError("must be a folder of this machine")
        if any(sign in str(Path(value).absolute()) for sign in "?%"):
            raise ValueError("must have no ? and no % in its path, which the address of a SQLite database cannot have")
        return value

    @property
    def archive_folder(self) -> Path:
        return self.home / "archive"

    @property
    def catalog_file(self) -> Path:
        return self.home / "catalog.sqlite"

    @property
    def outbox_folder(self) -> Path:
        return self.home / "outbox"

    @property
    def bounces_folder(self) -> Path:
        return Path(self.mail.bounces) if self.mail.bounces else self.home / "bounces"

    @property
    def alerts_folder(self) -> Path:
        return self.home / "alerts"

    @property
    def dashboard_file(self) -> Path:
        return self.home / "dashboard.html"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def sample_folder(self) -> Path:
        return self.home / "sample-bill"
