"""What became of a day's digest in a run, in words for people and as a record for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    from finops_assets.core.delivery.mail_states import MailState
    from finops_assets.core.delivery.stored_digests import Stored
    from finops_assets.core.values import Delivery

SENT, ALREADY_SENT, SENT_IN_PART, NOT_SENT = "sent", "already sent", "sent in part", "not sent"
"""What became of a day's digest in a run: the states of `Sent` and `record_after_failure`."""


@dataclass(frozen=True)
class Sent:
    """What a run did about the digest of its last day.

    Attributes:
        day: the run's last day.
        stored: the digest that was delivered: the day's own, or that of an earlier day that was corrected; None
            where no mail goes out for the day.
        deliveries: the messages that this run sent.
        outdated: somebody has the digest, and its day has changed since.
        changed_days: the other days whose totals the digest tells.
        covered_by: the day whose mail covers this one; None where the day's own mail does.
        newer_is_mailed: that mail was out before it could name this day: the next digest does, if it is of these weeks.
        mailed: who has the digest since when, where this run sent none of it.
    """

    day: date
    stored: Stored | None
    deliveries: tuple[Delivery, ...]
    outdated: bool
    changed_days: tuple[date, ...] = ()
    covered_by: date | None = None
    newer_is_mailed: bool = False
    mailed: MailState | None = None

    @property
    def state(self) -> str:
        """SENT, ALREADY_SENT or NOT_SENT."""
        if self.deliveries:
            return SENT
        return ALREADY_SENT if self.stored or self.mailed else NOT_SENT

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who got a message from this run."""
        return tuple(sorted({delivery.recipient for delivery in self.deliveries}))

    def __str__(self) -> str:
        if self.stored is None and self.mailed is None:
            why = f"the mail of {self.covered_by} speaks for it"
            if self.newer_is_mailed:
                why = f"the newer day {self.covered_by} is mailed already"
            return f"{NOT_SENT}: {why} (finops resend {self.day} sends its own)"
        if self.deliveries and self.stored:
            what = f" of {self.stored.day}" if self.stored.day != self.day else ""
            revision = f"revision {self.stored.revision}{what}, " if what or self.stored.revision > 1 else ""
            return f"{revision}{SENT} to {len(self.recipients)} recipient(s)"
        mailed = self.mailed
        when = f" {mailed.when:%Y-%m-%d %H:%M} UTC" if mailed and mailed.when else ""
        to = f" to {', '.join(mailed.recipients)}" if mailed and mailed.recipients else ""
        why = "has moved by too little for another" if self.outdated else "is as it was"
        return f"{ALREADY_SENT}{when}{to}; the day {why} (finops resend {self.day} --refresh sends it anew)"

    def as_record(self) -> dict[str, Any]:
        """The same for programs, as plain JSON values."""
        return {
            "state": self.state,
            "words": str(self),
            "day": self.day.isoformat(),
            "digest_of": self.stored.day.isoformat() if self.stored else None,
            "revision": self.stored.revision if self.stored else None,
            "messages": len(self.deliveries),
            "recipients": list(self.recipients),
            "spoken_for_by": self.covered_by.isoformat() if self.covered_by else None,
        }


def record_after_failure(day: date, mailed: MailState) -> dict[str, Any]:
    """What is true of a day's digest after a run that failed, in the form of `Sent.as_record`."""
    state = SENT_IN_PART if mailed.state in ("partial", "unknown") and not mailed.covered_by else NOT_SENT
    words = f"{state}: {mailed}" if state == SENT_IN_PART else f"{state}: the run failed; {mailed}"
    return {
        "state": state,
        "words": words,
        "day": day.isoformat(),
        "digest_of": day.isoformat() if state == SENT_IN_PART else None,
        "revision": mailed.revision if state == SENT_IN_PART else None,
        "messages": 0,
        "recipients": [],
        "spoken_for_by": mailed.covered_by.isoformat() if mailed.covered_by else None,
    }
