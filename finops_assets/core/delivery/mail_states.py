"""Whether a day was mailed, by the records of its digest or of the mail that covers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from finops_assets.core.delivery import receipts
from finops_assets.core.delivery.receipts import RECEIPT, RECEIPTS, SENDING, SENT, Begun, Receipt
from finops_assets.core.delivery.recipients import Recipients
from finops_assets.core.delivery.stored_digests import LATE, PREFIX, Stored, digest_folder, newest_revisions
from finops_assets.core.errors import SettingsError

if TYPE_CHECKING:
    from finops_assets.core.ports import Archive

COVERED = PREFIX + "_covered/"
UNMAILED = ("none", "late")
"""States of a day whose costs nobody was sent."""

_COVERED_PATH = re.compile(rf"{COVERED}([\d-]{{10}})_([\d-]{{10}})_by_([\d-]{{10}})_r(\d+)\.json")


@dataclass(frozen=True)
class MailState:
    """Whether a day was mailed.

    Attributes:
        state: `none`, `partial` (some recipients have it), `unknown` (a message may have gone out or not), `late` (they
            know that its bill is late) or `sent`.
        revision: of the digest that the state is about; None where nothing is stored.
        when: when the last message went out (UTC).
        recipients: who has it.
        covered_by: the day whose mail covers this one, where it has none of its own.
        unknown: who may have it or not.
    """

    state: str
    revision: int | None = None
    when: datetime | None = None
    recipients: tuple[str, ...] = ()
    covered_by: date | None = None
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.covered_by:
            missing = {
                "sent": "",
                "partial": ", which not everybody has yet",
                "none": ", which is not sent yet",
                "unknown": ", which may have been sent or not",
                "late": ", which said that its bill is late",
            }
            return f"covered by the mail of {self.covered_by}{missing[self.state]}"
        doubt = f"; not known whether to {', '.join(self.unknown)}" if self.unknown else ""
        if self.when is None:
            stored = "not mailed" if self.revision is None else f"revision {self.revision} stored, not mailed"
            return stored + doubt
        words = {"sent": "mailed", "late": "told to be late"}.get(self.state, "mailed only in part")
        to = ", ".join(self.recipients)
        return f"{words} {self.when:%Y-%m-%d %H:%M} UTC to {to} (revision {self.revision}){doubt}"


class MailRecords:
    """Reads the records of mails.

    Args:
        archive: where they are kept.
        recipients: whose names stand in for those that a damaged record does not say.
        clock: when damage is found.
    """

    def __init__(self, archive: Archive, recipients: Recipients, clock: Callable[[], datetime]) -> None:
        self._archive, self._recipients, self._clock = archive, recipients, clock

    def is_undelivered(self, day: date) -> bool:
        """Whether nobody has a digest of the day's own: there is none, or no message of it was begun."""
        return self._own_state(day, None).state == "none"

    def mailed(self, day: date) -> MailState:
        """Whether the day was mailed: by its own newest digest, or covered by another day's mail.

        A day of which people only know that its bill was late is covered by the mail that brings its costs.
        """
        own = self._own_state(day, None)
        if own.state not in UNMAILED:
            return own
        by, revision = _covering(self._archive.list(COVERED)).get(day, (None, 0))
        if by is None:
            return own
        mail = self._own_state(by, revision)
        return MailState(mail.state, revision, mail.when, mail.recipients, covered_by=by)

    def mailed_days(self, days: Iterable[date], *, own: bool = False) -> dict[date, str]:
        """The state, as in MailState, of many days, from one listing of the archive.

        Args:
            days: which.
            own: of their own digests alone; by default that of the mail that covers a day without one.
        """
        paths = self._archive.list(PREFIX)
        newest, covering = newest_revisions(paths), _covering(paths)
        existing = set(paths)
        unknown = {path.split(RECEIPTS)[0] for path in receipts.unsettled(paths)}
        partial = {path.split(RECEIPTS)[0] for path in receipts.receipts_of(paths)}

        def state_of(day: date, revision: int) -> str:
            folder = digest_folder(day, revision)
            if folder + SENT in existing:
                return "late" if folder + LATE in existing else "sent"
            return "unknown" if folder in unknown else "partial" if folder in partial else "none"

        states = {day: state_of(day, newest[day]) if day in newest else "none" for day in days}
        if own:
            return states
        return {
            day: state_of(*covering[day]) if state in UNMAILED and day in covering else state
            for day, state in states.items()
        }

    def _own_state(self, day: date, revision: int | None) -> MailState:
        paths = self._archive.list(digest_folder(day))
        revision = revision or newest_revisions(paths).get(day)
        if revision is None:
            return MailState("none")
        folder = digest_folder(day, revision)
        within = [path for path in paths if path.startswith(folder)]
        records = [self.receipt(path) for path in receipts.receipts_of(within)]
        sent = [record for record in records if isinstance(record, Receipt)]
        in_doubt = [record for record in records if isinstance(record, Begun)]
        in_doubt += [note for path in receipts.unsettled(within) if (note := self.begun(path))]
        everybody: tuple[str, ...] = ()
        if in_doubt and folder + SENT in within:  # what it says is known, whatever became of a receipt
            everybody = receipts.sent_to_all(self._archive, folder + SENT)
        doubted = {note.recipient for note in in_doubt}
        if folder + SENT in within:
            state = "late" if folder + LATE in within else "sent"
        else:
            state = "unknown" if in_doubt else "partial" if sent else "none"
        return MailState(
            state=state,
            revision=revision,
            when=max((receipt.at for receipt in sent), default=None),
            recipients=tuple(sorted({receipt.recipient for receipt in sent} | doubted & set(everybody))),
            unknown=tuple(sorted(doubted - set(everybody))),
        )

    def of(self, stored: Stored) -> frozenset[str]:
        """The paths of a digest's receipts and notes, each receipt read: a damaged one counts as a note."""
        paths = frozenset(self._archive.list(stored.path + RECEIPTS))
        damaged = {path for path in receipts.receipts_of(paths) if isinstance(self.receipt(path), Begun)}
        return paths - damaged | {path.removesuffix(RECEIPT) + SENDING for path in damaged}

    def receipt(self, path: str) -> Receipt | Begun:
        return receipts.receipt(self._archive, path, self._who, self._clock())

    def begun(self, path: str) -> Begun | None:
        return receipts.begun(self._archive, path, self._who, self._clock())

    def _who(self, path: str) -> tuple[str, str]:
        """Recipient and OU of a receipt or a note by its name, as far as the settings know them."""
        name = path.rpartition("/")[2].removesuffix(SENDING).removesuffix(RECEIPT)
        try:
            posts = self._recipients.posts()
        except SettingsError:
            posts = []
        known = {post.name: (post.address, post.ou) for post in posts}
        return known.get(name, (f"a recipient that the settings no longer name ({name[:8]})", ""))


def _covering(paths: Iterable[str]) -> dict[date, tuple[date, int]]:
    """Day -> (the day whose mail covers it, its revision); the latest mail where there are several."""
    covered: dict[date, tuple[date, int]] = {}
    for match in filter(None, map(_COVERED_PATH.fullmatch, paths)):
        first, last, by = map(date.fromisoformat, match.groups()[:3])
        for n in range((last - first).days + 1):
            day = first + timedelta(n)
            covered[day] = max((by, int(match[4])), covered.get(day, (date.min, 0)))
    return covered
