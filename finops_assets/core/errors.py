"""The one family of errors that people are meant to read: what happened, to what, and what to do."""

from __future__ import annotations

from finops_assets.core.text import shortened_inside


class FinopsError(Exception):
    """Something a person can mend.

    Args:
        what: what happened, one sentence without a full stop.
        where: the file, column, setting or day it happened to.
        fix: what to do about it, in the imperative.

    Each is cut inside beyond 2,000 characters: a name, a path or an engine's answer in it may be without end.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = map(shortened_inside, (what, where, fix))
        super().__init__(self.what, self.where, self.fix)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}. {self.fix}" if self.fix else text


class SettingsError(FinopsError):
    """A setting is missing, malformed or contradicts another; `where` names it as in finops.toml."""


class BillError(FinopsError):
    """The bill cannot be read as money; `where` names the file and column."""


class MissingDaysError(BillError):
    """The bill does not have these days, or not whole. Empty is a finding, never a green empty day."""

    def __init__(self, what: str, *, days: tuple = (), where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.days = days


class BeingWrittenError(BillError):
    """The bill's files may be half there, as they were changed just now: no fault, they are read once left alone."""


class AccountsError(FinopsError):
    """The account-to-OU map is contradictory or does not fit the settings."""


class ArchiveError(FinopsError):
    """The archive, the catalog or the outbox cannot be written, or holds what it should not."""


class DamagedError(ArchiveError):
    """An object of the archive cannot be read, or is not what was written."""


class ColdObjectError(ArchiveError):
    """An object is in cold storage: it cannot be read until somebody has it restored, which takes hours."""


class UnknownDeliveryError(FinopsError):
    """A message may have been accepted or not: it is not sent again until a person says what became of it."""


class RecordsError(FinopsError):
    """Dagster's own records cannot be read or written; the days do not need them, as the archive holds all state."""
