"""The outbox: a digest is mailed once to each recipient, through any crash, and again only when somebody asks."""

from __future__ import annotations

import dataclasses
import email
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from finops_assets.adapters.local.mailer import EmlOutbox
from finops_assets.adapters.shared.archive import ObjectArchive, folder_store
from finops_assets.core.delivery.outbox import Outbox
from finops_assets.core.delivery.recipients import Recipients
from finops_assets.core.delivery.stored_digests import Statements
from finops_assets.core.errors import ArchiveError, DamagedError, FinopsError, SettingsError, UnknownDeliveryError
from finops_assets.core.reports.digest import Digest, ou_hash
from finops_assets.core.values import Delivery, Refused

DAY = date(2025, 9, 10)
AT = datetime(2025, 9, 11, 7, 0, tzinfo=UTC)
RECIPIENTS = ("ann@example.com", "bob@example.com", "cyd@example.com")


class CrashError(Exception):
    """The process is gone."""


class Archive:
    """Objects in memory; crashes before the put that it is told to, counted from one."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self.crash_at = 0
        self.links = 0

    def put(self, path: str, data: bytes) -> str:
        self.puts += 1
        if self.puts == self.crash_at:
            raise CrashError(path)
        self.objects[path] = data
        return "1"

    def create(self, path: str, data: bytes) -> bool:
        if path in self.objects:
            return False
        self.put(path, data)
        return True

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.objects.pop(path, None)

    def get(self, path: str) -> bytes | None:
        return self.objects.get(path)

    def list(self, prefix: str) -> list[str]:
        return sorted(path for path in self.objects if path.startswith(prefix))

    def link(self, path: str, *, valid: timedelta) -> str:
        self.links += 1
        return f"https://s3.example/{path}?days={valid.days}&n={self.links}"


class Mailer:
    """Records what it sends; refuses an address, or crashes before the message it is told to.

    One that is not repeatable may lose an answer: an address is served, but nobody hears of it.
    """

    def __init__(self, *, crash_at: int = 0, refuses: str = "", loses: str = "", repeatable: bool = True) -> None:
        self.sent: list[tuple[str, str, bytes]] = []
        self.crash_at = crash_at
        self.refuses = refuses
        self.loses = loses
        self.repeatable = repeatable

    def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
        if len(self.sent) + 1 == self.crash_at:
            raise CrashError(recipient)
        if recipient == self.refuses:
            raise FinopsError("the address is suppressed", where=recipient, fix="Take it off the list.")
        self.sent.append((recipient, delivery_id, message.as_bytes()))
        if recipient == self.loses:
            raise UnknownDeliveryError("the connection was cut", where=recipient)
        return Delivery(recipient, message["Message-ID"], "memory")

    def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
        return {}

    @property
    def recipients(self) -> list[str]:
        return [recipient for recipient, *_ in self.sent]


def digest(revision: int = 1, total: str = "3412.77", day: date = DAY) -> Digest:
    return Digest(
        day=day,
        subject=f"[FinOps] {total} USD",
        html="<p>größe</p>\n",
        text="größe\n",
        csv=b"\xef\xbb\xbfBillingDate\r\n",
        csv_name=f"ou_breakdown_{day}.csv",
        pictures={"chart": b"\x89PNG"},
        revision=revision,
        total=Decimal(total),
        currency="USD",
    )


def ticking() -> Iterator[datetime]:
    at = AT
    while True:
        yield at
        at += timedelta(seconds=1)


def outbox(
    archive: Archive | ObjectArchive,
    mailer: Mailer | EmlOutbox,
    recipients: tuple[str, ...] = RECIPIENTS,
    *,
    later: timedelta = timedelta(),
    **settings: float,
) -> Outbox:
    clock = ticking()
    return Outbox(
        archive,
        mailer,
        Recipients("FinOps <finops@example.com>", recipients),
        clock=lambda: next(clock) + later,
        **settings,
    )


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def mailer() -> Mailer:
    return Mailer()


def test_a_stored_digest_comes_back_as_it_was(archive: Archive, mailer: Mailer) -> None:
    """What is stored is what was rendered, described by a manifest that is written last."""
    box = outbox(archive, mailer)
    stored = box.digests.store(digest(), "f1", AT)
    assert box.digests.latest(DAY) == stored
    assert box.digests.load(stored) == digest()
    assert list(archive.objects)[-1] == "digests/2025-09-10/r1/manifest.json"
    manifest = json.loads(archive.objects["digests/2025-09-10/r1/manifest.json"])
    assert manifest["total"] == "3412.77"
    assert manifest["fingerprint"] == "f1"
    assert manifest["recipients"] == list(RECIPIENTS)
    assert set(manifest["parts"]) == {"digest.html", "digest.txt", "chart.png", "ou_breakdown_2025-09-10.csv"}
    assert {"sha256", "size"} == set(manifest["parts"]["chart.png"])


def test_a_digest_that_another_run_stores_meanwhile_is_not_damaged(archive: Archive, mailer: Mailer) -> None:
    """Seen by a second listing alone, it looks like one whose manifest cannot be read."""
    box, whole = outbox(archive, mailer), archive.list

    def list_then_store(prefix: str) -> list[str]:
        listed = whole(prefix)
        archive.list = whole  # type: ignore[method-assign]
        outbox(archive, mailer).digests.store(digest(), "f1", AT)
        return listed

    archive.list = list_then_store  # type: ignore[method-assign]
    with pytest.raises(ArchiveError) as refused:
        box.digests.require(DAY)
    assert not isinstance(refused.value, DamagedError)
    assert box.digests.require(DAY).fingerprint == "f1"


def test_storing_again_changes_nothing(archive: Archive, mailer: Mailer) -> None:
    """The same revision of the same data stays as first rendered; of other data it is refused."""
    box = outbox(archive, mailer)
    stored = box.digests.store(digest(), "f1", AT)
    before = dict(archive.objects)
    assert box.digests.store(digest(total="9"), "f1", AT + timedelta(1)) == stored
    assert archive.objects == before
    with pytest.raises(ArchiveError, match="Render revision 2"):
        box.digests.store(digest(total="9"), "f2", AT)
    assert (box.digests.next_revision(DAY, "f1"), box.digests.next_revision(DAY, "f2")) == (1, 2)


def test_each_recipient_gets_one_message(archive: Archive, mailer: Mailer) -> None:
    """One message per recipient, a receipt for each; a second delivery sends nothing."""
    box = outbox(archive, mailer, (*RECIPIENTS, "ANN@example.com"))
    assert str(box.records.mailed(DAY)) == "not mailed"
    box.digests.store(digest(), "f1", AT)
    assert str(box.records.mailed(DAY)) == "revision 1 stored, not mailed"
    deliveries = box.deliver(DAY)
    assert [d.recipient for d in deliveries] == mailer.recipients == list(RECIPIENTS)
    assert box.deliver(DAY) == []
    assert len(mailer.sent) == 3
    assert not any("@" in path for path in archive.objects)  # addresses are not in paths
    state = box.records.mailed(DAY)
    assert (state.state, state.revision, state.recipients) == ("sent", 1, RECIPIENTS)
    assert str(state).startswith("mailed 2025-09-11 07:00 UTC to ann@example.com, ")


def test_a_finished_digest_is_not_sent_to_who_comes_later(archive: Archive, mailer: Mailer) -> None:
    """A new recipient in the settings does not make old days go out again."""
    outbox(archive, mailer).digests.store(digest(), "f1", AT)
    outbox(archive, mailer).deliver(DAY)
    assert outbox(archive, mailer, (*RECIPIENTS, "new@example.com")).deliver(DAY) == []
    assert len(mailer.sent) == 3


def test_a_crash_after_the_second_message_sends_only_the_third(archive: Archive) -> None:
    """A retry sends what has no receipt, and nothing else."""
    broken, mended = Mailer(crash_at=3), Mailer()
    outbox(archive, broken).digests.store(digest(), "f1", AT)
    with pytest.raises(CrashError):
        outbox(archive, broken).deliver(DAY)
    state = outbox(archive, mended).records.mailed(DAY)
    assert (state.state, state.recipients) == ("partial", RECIPIENTS[:2])
    outbox(archive, mended).deliver(DAY)
    assert broken.recipients + mended.recipients == list(RECIPIENTS)
    assert outbox(archive, mended).records.mailed(DAY).state == "sent"


@pytest.mark.parametrize("step", range(1, 10))
def test_a_crash_at_any_write_loses_and_doubles_nothing(step: int, archive: Archive, tmp_path: Path) -> None:
    """Whichever object was not written, a retry leaves exactly one message per recipient, all of them the same digest.

    Storing and delivering to three writes nine objects: four parts, the manifest, three receipts, the end marker.
    """
    archive.crash_at = step
    mailer = Mailer()

    class Both:
        repeatable = True

        def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
            mailer.send(message, recipient, delivery_id)
            return EmlOutbox(tmp_path / "outbox").send(message, recipient, delivery_id)

        def refused(self, recipients: Sequence[str]) -> dict[str, Refused]:
            return {}

    def work() -> None:
        box = Outbox(archive, Both(), Recipients("finops@example.com", RECIPIENTS))
        box.digests.store(digest(), "f1", AT)
        box.deliver(DAY)

    with pytest.raises(CrashError):
        work()
    assert archive.puts == step
    work()
    work()
    files = sorted((tmp_path / "outbox").iterdir())
    read = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    assert sorted(mail["To"] for mail in read) == list(RECIPIENTS)
    # The one message whose receipt was lost is repeated under the same id, byte for byte; no other is.
    assert len(mailer.sent) - len(set(mailer.sent)) == (1 if step in (6, 7, 8) else 0)
    assert len(set(mailer.sent)) == 3


def test_no_message_goes_out_when_an_address_is_malformed(archive: Archive, mailer: Mailer) -> None:
    """All addresses are looked at before the first message; the error names the address and the setting."""
    box = outbox(archive, mailer, (*RECIPIENTS, "no address"))
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(SettingsError, match=r"mail\.recipients: 'no address' is not"):
        box.deliver(DAY)
    with pytest.raises(SettingsError, match=r"mail\.recipients: names nobody"):
        outbox(archive, mailer, ()).deliver(DAY)
    with pytest.raises(SettingsError, match=r"mail\.sender: 'nobody' is not"):
        Outbox(archive, mailer, Recipients("nobody", RECIPIENTS)).deliver(DAY)
    assert mailer.sent == []
    outbox(archive, mailer).deliver(DAY)  # the setting is mended: the same stored digest goes out
    assert len(mailer.sent) == 3


def test_one_refused_recipient_does_not_hold_up_the_others(archive: Archive) -> None:
    """The refusal is raised after the others have their mail; a retry tries only the one that is missing."""
    refusing, mended = Mailer(refuses=RECIPIENTS[0]), Mailer()
    outbox(archive, refusing).digests.store(digest(), "f1", AT)
    with pytest.raises(FinopsError, match="suppressed"):
        outbox(archive, refusing).deliver(DAY)
    assert refusing.recipients == list(RECIPIENTS[1:])
    outbox(archive, mended).deliver(DAY)
    assert mended.recipients == [RECIPIENTS[0]]


# --- messages that may have been accepted


def open_notes(archive: Archive) -> list[str]:
    return [path for path in archive.objects if path.endswith(".sending.json")]


def test_a_message_that_may_have_gone_out_is_not_sent_again_by_itself(archive: Archive) -> None:
    """The others are served; then the error names who, which day and why, and how a person settles it; a retry too."""
    mailer = Mailer(loses=RECIPIENTS[1], repeatable=False)
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    for _ in range(2):
        with pytest.raises(UnknownDeliveryError) as caught:
            box.deliver(DAY)
        assert str(caught.value) == (
            "the digest of 2025-09-10: it is not known who has it: bob@example.com (the connection was cut). "
            "`finops resend 2025-09-10 --to bob@example.com` sends it, "
            "`finops resend 2025-09-10 --to bob@example.com --received` records that it has arrived."
        )
        assert mailer.recipients == list(RECIPIENTS)
    state = box.records.mailed(DAY)
    assert (state.state, state.recipients, state.unknown) == (
        "unknown",
        ("ann@example.com", "cyd@example.com"),
        RECIPIENTS[1:2],
    )
    assert str(state).endswith("(revision 1); not known whether to bob@example.com")
    assert box.records.mailed_days([DAY]) == {DAY: "unknown"}
    assert len(open_notes(archive)) == 1


@pytest.mark.parametrize(("settled_by", "messages"), [("resend", 4), ("settle", 3)])
def test_a_person_settles_what_was_not_known(settled_by: str, messages: int, archive: Archive) -> None:
    """Sending it again, or recording that it has arrived, ends the doubt: the day is mailed, and nothing goes out."""
    mailer = Mailer(loses=RECIPIENTS[1], repeatable=False)
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(UnknownDeliveryError):
        box.deliver(DAY)
    mailer.loses = ""
    (settled,) = getattr(box, settled_by)(DAY, [RECIPIENTS[1].upper()])
    assert settled.recipient.lower() == RECIPIENTS[1]
    assert open_notes(archive) == []
    assert box.records.mailed(DAY).state == "sent"
    assert box.records.mailed_days([DAY]) == {DAY: "sent"}
    assert box.deliver(DAY) == box.settle(DAY, [RECIPIENTS[1]]) == []
    assert len(mailer.sent) == messages


def test_one_who_never_had_a_message_cannot_have_received_it(archive: Archive) -> None:
    """A wrong address is not recorded as served, and nobody beside it is."""
    box = outbox(archive, Mailer(loses=RECIPIENTS[0], repeatable=False))
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(UnknownDeliveryError):
        box.deliver(DAY)
    with pytest.raises(FinopsError, match=r"no message to auditor@example\.com was begun"):
        box.settle(DAY, [RECIPIENTS[0], "auditor@example.com"])
    with pytest.raises(SettingsError, match="to: 'x' is not"):
        box.settle(DAY, [RECIPIENTS[0], "x"])
    assert box.records.mailed(DAY).unknown == RECIPIENTS[:1]


def test_a_refused_message_leaves_no_doubt(archive: Archive) -> None:
    """What was surely not sent is sent by a retry; it and what is not known are told in one error."""
    mailer = Mailer(refuses=RECIPIENTS[0], loses=RECIPIENTS[2], repeatable=False)
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(UnknownDeliveryError) as caught:
        box.deliver(DAY)
    assert "ann@example.com: the address is suppressed" in str(caught.value)
    assert "cyd@example.com (the connection was cut)" in str(caught.value)
    mailer.refuses = ""
    with pytest.raises(UnknownDeliveryError, match="cyd"):
        box.deliver(DAY)
    assert mailer.recipients == ["bob@example.com", "cyd@example.com", "ann@example.com"]


# Storing and delivering to three writes twelve objects: four parts, the manifest, a note and a receipt for each of
# three, the end marker.
@pytest.mark.parametrize("step", range(1, 13))
def test_no_crash_sends_a_message_twice_or_forgets_one(step: int, archive: Archive) -> None:
    """Whichever object was not written, nobody gets two messages by retries, and who may have none is named."""
    archive.crash_at = step
    mailer = Mailer(repeatable=False)

    def work() -> None:
        outbox(archive, mailer).digests.store(digest(), "f1", AT)
        outbox(archive, mailer, later=timedelta(hours=1)).deliver(DAY)

    with pytest.raises(CrashError):
        work()
    doubts = []
    for _ in range(2):
        try:
            work()
        except UnknownDeliveryError as error:
            doubts.append(str(error))
    # The three writes of a receipt: its message is out by then.
    in_doubt = {7: RECIPIENTS[0], 9: RECIPIENTS[1], 11: RECIPIENTS[2]}.get(step)
    assert len(doubts) == (2 if in_doubt else 0)
    assert all(in_doubt in doubt for doubt in doubts)
    assert sorted(mailer.recipients) == list(RECIPIENTS)
    box = outbox(archive, mailer)
    box.settle(DAY, box.records.mailed(DAY).unknown or RECIPIENTS)
    assert box.records.mailed(DAY).state == "sent"


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (timedelta(minutes=9), "another run is sending it since 07:00:0"),
        (timedelta(minutes=11), "a run was interrupted while it sent it at 2025-09-11 07:00:0"),
    ],
)
def test_a_run_that_was_killed_while_it_sent_is_told_from_one_that_sends(
    later: timedelta, words: str, archive: Archive
) -> None:
    """A message begun minutes ago may still be on its way; one begun long ago is not."""
    outbox(archive, Mailer()).digests.store(digest(), "f1", AT)
    killed, retry = Mailer(crash_at=2, repeatable=False), Mailer(repeatable=False)
    with pytest.raises(CrashError):
        outbox(archive, killed).deliver(DAY)
    with pytest.raises(UnknownDeliveryError, match=words):
        outbox(archive, retry, later=later).deliver(DAY)
    assert killed.recipients + retry.recipients == ["ann@example.com", "cyd@example.com"]


def test_two_runs_of_one_day_at_once_send_one_message_each(archive: Archive) -> None:
    """While one run hands a message over, another leaves it alone; when both have ended, everybody has one."""

    class Slow(Mailer):
        def send(self, message: EmailMessage, recipient: str, delivery_id: str) -> Delivery:
            if recipient == RECIPIENTS[0]:
                with pytest.raises(UnknownDeliveryError, match=r"ann@example\.com \(another run is sending it"):
                    outbox(archive, other).deliver(DAY)
            return super().send(message, recipient, delivery_id)

    first, other = Slow(repeatable=False), Mailer(repeatable=False)
    outbox(archive, first).digests.store(digest(), "f1", AT)
    outbox(archive, first).deliver(DAY)
    assert (first.recipients, other.recipients) == (["ann@example.com"], ["bob@example.com", "cyd@example.com"])
    assert outbox(archive, first).records.mailed(DAY).state == "sent"


def test_a_run_that_looked_before_another_finished_sends_nothing(archive: Archive) -> None:
    """Receipts are looked for once more after the right to send is won: the list may be a moment old."""

    class Overtaken(Archive):
        def list(self, prefix: str) -> list[str]:
            paths = super().list(prefix)
            if prefix.endswith("receipts/") and not first.sent:
                outbox(archive, first).deliver(DAY)
            return paths

    first, second = Mailer(repeatable=False), Mailer(repeatable=False)
    late = Overtaken()
    late.objects = archive.objects
    outbox(archive, first).digests.store(digest(), "f1", AT)
    assert outbox(late, second).deliver(DAY) == []
    assert (len(first.sent), second.sent) == (3, [])
    assert open_notes(archive) == []


def test_a_repeatable_mailer_needs_no_notes_but_heeds_them(archive: Archive, mailer: Mailer) -> None:
    """Files are replaced, so they are written again; what another mailer may have sent is still for a person."""
    outbox(archive, mailer).digests.store(digest(), "f1", AT)
    with pytest.raises(UnknownDeliveryError):
        outbox(archive, Mailer(loses=RECIPIENTS[0], repeatable=False)).deliver(DAY)
    with pytest.raises(UnknownDeliveryError, match="ann"):
        outbox(archive, mailer).deliver(DAY)
    assert mailer.sent == []
    outbox(archive, mailer).digests.store(digest(day=DAY - timedelta(1)), "f1", AT)
    mailer.refuses = RECIPIENTS[0]
    with pytest.raises(FinopsError, match="suppressed"):
        outbox(archive, mailer).deliver(DAY - timedelta(1))
    assert not any(path.startswith("digests/2025-09-09") for path in open_notes(archive))


def test_a_day_covered_by_a_mail_in_doubt_says_so(archive: Archive) -> None:
    """The days of a backfill share the doubt about its one mail."""
    box = outbox(archive, Mailer(loses=RECIPIENTS[0], repeatable=False), RECIPIENTS[:1])
    box.digests.store(digest(), "f1", AT)
    box.cover([DAY - timedelta(1)], DAY, 1)
    with pytest.raises(UnknownDeliveryError):
        box.deliver(DAY)
    assert (
        str(box.records.mailed(DAY - timedelta(1))) == f"covered by the mail of {DAY}, which may have been sent or not"
    )
    assert str(box.records.mailed(DAY)) == "revision 1 stored, not mailed; not known whether to ann@example.com"
    assert box.records.mailed_days([DAY - timedelta(1)]) == {DAY - timedelta(1): "unknown"}


# --- a CSV too large to attach


def test_a_link_is_made_anew_for_each_message(archive: Archive, mailer: Mailer) -> None:
    """The stored digest keeps the plain CSV and no link; each message has its own, and says until when."""
    box = outbox(archive, mailer, RECIPIENTS[:1], max_megabytes=0.1, link_days=3)
    large = dataclasses.replace(digest(), csv=random.Random(1).randbytes(200_000))
    box.digests.store(large, "f1", AT)
    box.deliver(DAY)
    box.resend(DAY)
    texts = [
        email.message_from_bytes(data, policy=default).get_body(("plain",)).get_content() for *_, data in mailer.sent
    ]
    for number, text in enumerate(texts, 1):
        assert f"https://s3.example/digests/2025-09-10/r1/{large.csv_name}?days=3&n={number}" in text
        assert "until 2025-09-14 07:00 UTC at the latest" in text
    assert box.digests.load(box.digests.latest(DAY)) == large


# --- what is stored


@pytest.mark.parametrize("part", ["digest.html", "digest.txt", "chart.png", "ou_breakdown_2025-09-10.csv"])
def test_a_tampered_digest_is_never_sent(part: str, archive: Archive, mailer: Mailer) -> None:
    """A part that is changed or gone is named, and nothing goes out."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    path = f"digests/2025-09-10/r1/{part}"
    archive.objects[path] += b"!"
    for send in (box.deliver, box.resend):
        with pytest.raises(ArchiveError, match=rf"{part}: is not what was stored"):
            send(DAY)
    del archive.objects[path]
    with pytest.raises(ArchiveError, match=rf"{part}: is gone"):
        box.resend(DAY)
    assert mailer.sent == []


def test_a_damaged_manifest_is_named(archive: Archive, mailer: Mailer) -> None:
    """One that is no manifest is an error, not an unsent day: its revision stays taken, and a copy is kept."""
    box, path = outbox(archive, mailer), "digests/2025-09-10/r1/manifest.json"
    box.digests.store(digest(), "f1", AT)
    for damage in (b"", b"[]", b'{"day": "2025-09-10"}', b"\xff"):
        archive.objects[path] = damage
        for send in (box.deliver, box.resend):
            with pytest.raises(DamagedError, match=r"revision 1 cannot be sent again.*resend 2025-09-10 --refresh"):
                send(DAY)
        assert (box.digests.latest(DAY), box.digests.newest_revision(DAY), box.digests.next_revision(DAY, "f1")) == (
            None,
            1,
            2,
        )
        assert damage in [archive.objects[copy] for copy in archive.list(f"damaged/{path}")]
        with pytest.raises(DamagedError):
            box.digests.store(digest(), "f1", AT)
    box.digests.store(digest(2), "f1", AT)
    assert len(box.deliver(DAY)) == 3
    assert mailer.sent[0][0] == RECIPIENTS[0]


def test_the_state_of_a_mail_survives_its_manifest(archive: Archive, mailer: Mailer) -> None:
    """Who has the digest is in its receipts: a damaged manifest makes no sent day an unsent one."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    box.deliver(DAY)
    archive.objects["digests/2025-09-10/r1/manifest.json"] = b""
    before = box.records.mailed(DAY)
    assert box.digests.latest(DAY) is None
    assert box.records.mailed(DAY) == before
    assert box.records.mailed_days([DAY]) == {DAY: "sent"}


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b"\xff\xfe", b'{"recipient": "ann@exa'])
def test_a_damaged_receipt_is_a_mail_in_doubt(archive: Archive, damage: bytes) -> None:
    """Nobody is mailed twice for it: the run says who is in doubt, and a person settles it, as any other doubt."""
    flaky = Mailer(refuses=RECIPIENTS[2])
    box = outbox(archive, flaky)
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(FinopsError, match="suppressed"):
        box.deliver(DAY)
    receipts = archive.list("digests/2025-09-10/r1/receipts/")
    (path,) = [p for p in receipts if json.loads(archive.objects[p])["recipient"] == RECIPIENTS[0]]
    archive.objects[path] = damage
    flaky.refuses = ""
    with pytest.raises(UnknownDeliveryError, match=r"ann@example\.com \(its receipt was damaged\)"):
        box.deliver(DAY)
    assert flaky.recipients == ["ann@example.com", "bob@example.com", "cyd@example.com"]
    assert (box.records.mailed(DAY).state, box.records.mailed(DAY).unknown) == ("unknown", (RECIPIENTS[0],))
    assert box.records.mailed_days([DAY]) == {DAY: "unknown"}
    (copy,) = archive.list("damaged/")
    assert archive.objects[copy] == damage
    box.settle(DAY, [RECIPIENTS[0]])
    assert box.records.mailed(DAY).state == "sent"
    assert len(flaky.sent) == 3


def test_what_everybody_has_is_not_in_doubt(archive: Archive, mailer: Mailer) -> None:
    """Once all have it, that is noted by name: a receipt that is damaged later puts nobody in doubt."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    box.deliver(DAY)
    archive.objects[archive.list("digests/2025-09-10/r1/receipts/")[0]] = b""
    found = box.records.mailed(DAY)
    assert (found.state, found.recipients, found.unknown) == ("sent", RECIPIENTS, ())
    assert box.deliver(DAY) == []


def test_a_damaged_note_of_a_begun_message_still_holds_it_back(archive: Archive) -> None:
    """It says no longer who and when, and is no leave to send."""
    lost = Mailer(loses=RECIPIENTS[0], repeatable=False)
    box = outbox(archive, lost)
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(UnknownDeliveryError):
        box.deliver(DAY)
    (note,) = open_notes(archive)
    archive.objects[note] = b""
    assert box.records.mailed(DAY).unknown == (RECIPIENTS[0],)
    with pytest.raises(UnknownDeliveryError, match=r"ann@example\.com \(the note that it was begun was damaged\)"):
        box.deliver(DAY)
    assert len(lost.sent) == 3


def test_what_readers_were_told_begins_anew_where_it_is_damaged(archive: Archive, mailer: Mailer) -> None:
    """The damaged note is put aside, what is told from now on is remembered, and mails go out."""
    box = outbox(archive, mailer)
    for path in ("digests/_told.json", "digests/_told_by_ou.json"):
        archive.objects[path] = b"{"
    assert (box.mailed_totals(), box.mailed_totals("Prod")) == ({}, {})
    assert len(archive.list("damaged/digests/")) == 2
    archive.objects["digests/_told.json"] = b'{"2025-09-10": "much"}'
    box.digests.store(digest(), "f1", AT)
    box.deliver(DAY)
    assert box.mailed_totals() == {DAY: Decimal("3412.77")}


def test_resend_sends_the_same_bytes_again(archive: Archive, mailer: Mailer) -> None:
    """A resent message differs from the first in its Message-ID alone, and is recorded apart from it."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    box.deliver(DAY)
    box.resend(DAY)
    box.resend(DAY, [RECIPIENTS[0]])
    first, again, third = (data for recipient, _, data in mailer.sent if recipient == RECIPIENTS[0])
    ids = [email.message_from_bytes(data)["Message-ID"] for data in (first, again, third)]
    assert len(set(ids)) == 3
    assert first.replace(ids[0].encode(), b"") == again.replace(ids[1].encode(), b"")
    assert len(archive.list("digests/2025-09-10/r1/resends/")) == 4
    assert len(archive.list("digests/2025-09-10/r1/receipts/")) == 3
    assert box.deliver(DAY) == []


ALLOWED = [
    ("ann@example.com", (), True, "a recipient"),
    ("ANN@Example.COM", (), True, "in other letters it is the same address"),
    ("Ann <ann@example.com>", (), True, "a name beside it changes nothing"),
    ("auditor@example.com", (), False, "of the recipients' domain, and not allowed all the same"),
    ("auditor@audit.example", ("auditor@audit.example",), True, "an address that is allowed"),
    ("Auditor@Audit.Example", ("AUDITOR@audit.example",), True, "in other letters"),
    ("other@audit.example", ("auditor@audit.example",), False, "an address allows nobody beside it"),
    ("other@audit.example", ("@AUDIT.example",), True, "a domain allows all of its addresses"),
    ("x@mail.audit.example", ("@audit.example",), False, "and none of the domains below it"),
    ("x@evilaudit.example", ("@audit.example",), False, "nor one that ends like it"),
    ("ann@example.com <x@evil.example>", (), False, "the name is no address"),
]


@pytest.mark.parametrize(("to", "resend_to", "sent", "reason"), ALLOWED, ids=[case[-1] for case in ALLOWED])
def test_a_digest_is_sent_again_to_addresses_of_the_settings_only(
    archive: Archive, mailer: Mailer, to: str, resend_to: tuple[str, ...], sent: bool, reason: str
) -> None:
    """Whom no setting names gets nothing; the refusal names the setting that would allow it."""
    box = Outbox(archive, mailer, Recipients("finops@example.com", RECIPIENTS, resend_to=resend_to))
    box.digests.store(digest(), "f1", AT)
    if sent:
        assert [delivery.recipient.lower() for delivery in box.resend(DAY, [to])] == [
            to.lower().removeprefix("ann <").removesuffix(">")
        ]
    else:
        with pytest.raises(SettingsError) as refused:
            box.resend(DAY, ["ann@example.com", to])
        assert refused.value.where == "mail.resend_to (FINOPS_MAIL__RESEND_TO)"
    assert len(mailer.sent) == sent
    assert box.records.mailed(DAY).state == "none"


@pytest.mark.parametrize("to", ["x", "ann@example.com\r\nBcc: x@evil.example", "ann@example.com,x@evil.example", ""])
def test_what_is_no_address_is_refused_by_name(archive: Archive, mailer: Mailer, to: str) -> None:
    """A malformed address, or one that would add a header or another recipient, sends nothing to anybody."""
    box = Outbox(archive, mailer, Recipients("finops@example.com", RECIPIENTS, resend_to=("@evil.example",)))
    box.digests.store(digest(), "f1", AT)
    with pytest.raises(SettingsError, match=r"to: .* is not an e-mail address"):
        box.resend(DAY, ["ann@example.com", to])
    assert mailer.sent == []


def test_a_late_day_is_covered_by_the_mail_that_brings_its_costs(archive: Archive, mailer: Mailer) -> None:
    """Its readers only know that it was late; the next day's mail speaks for it, and both views say so."""
    late, next_day = DAY, DAY + timedelta(1)
    box = outbox(archive, mailer)
    box.digests.store(digest(), "late", AT, statements=Statements({}, late=True))
    box.deliver(late)
    assert box.records.mailed(late).state == "late"
    box.cover([late], by=next_day, revision=1)
    box.digests.store(digest(day=next_day), "f1", AT)
    box.deliver(next_day)
    assert (box.records.mailed(late).state, box.records.mailed(late).covered_by) == ("sent", next_day)
    assert box.records.mailed_days([late, next_day]) == {late: "sent", next_day: "sent"}


def test_nothing_stored_says_what_to_do(archive: Archive, mailer: Mailer) -> None:
    """Delivering or resending a day that was never rendered tells how to make it."""
    for send in (outbox(archive, mailer).deliver, outbox(archive, mailer).resend):
        with pytest.raises(ArchiveError, match=r"no stored digest of 2025-09-10\. `finops resend 2025-09-10` makes"):
            send(DAY)


def test_a_changed_day_is_mailed_as_a_new_revision(archive: Archive, mailer: Mailer) -> None:
    """Each recipient gets revision 2 once; revision 1 stays as it was."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    box.deliver(DAY)
    box.digests.store(digest(revision=2, total="3500"), "f2", AT)
    assert box.records.mailed(DAY).state == "none"
    box.deliver(DAY)
    box.deliver(DAY)
    assert len(mailer.sent) == 6
    assert box.digests.latest(DAY).revision == 2
    assert (box.records.mailed(DAY).state, box.records.mailed(DAY).revision) == ("sent", 2)


def test_revisions_are_numbers(archive: Archive, mailer: Mailer) -> None:
    """Revision 10 is newer than revision 9."""
    box = outbox(archive, mailer)
    for revision in (9, 10):
        box.digests.store(digest(revision=revision), f"f{revision}", AT)
    assert box.digests.latest(DAY).revision == 10


def test_an_unfinished_digest_does_not_exist(archive: Archive, mailer: Mailer) -> None:
    """Parts without a manifest are no digest: the earlier revision is the newest."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    archive.crash_at = archive.puts + 5  # the manifest
    with pytest.raises(CrashError):
        box.digests.store(digest(revision=2), "f2", AT)
    assert box.digests.latest(DAY).revision == 1


def test_a_backfill_is_covered_by_one_mail(archive: Archive, mailer: Mailer) -> None:
    """A year's backfill is one small object, and each of its days knows the mail that speaks for it."""
    box = outbox(archive, mailer)
    days = [DAY - timedelta(n) for n in range(365)]
    box.digests.store(digest(), "f1", AT)
    box.cover(days, DAY, 1)
    assert len(archive.list("digests/_covered/")) == 1
    assert str(box.records.mailed(days[100])) == f"covered by the mail of {DAY}, which is not sent yet"
    box.deliver(DAY)
    assert str(box.records.mailed(days[100])) == f"covered by the mail of {DAY}"
    assert box.records.mailed(DAY).covered_by is None
    assert box.records.mailed(DAY - timedelta(365)).state == "none"
    outside = DAY + timedelta(1)
    assert box.records.mailed_days([*days, outside]) == dict.fromkeys(days, "sent") | {outside: "none"}


def test_covered_days_with_a_hole_do_not_cover_it(archive: Archive, mailer: Mailer) -> None:
    """Days that were not part of the run are not covered by its mail; a day's own mail comes first."""
    box = outbox(archive, mailer)
    own, hole = DAY - timedelta(1), DAY - timedelta(3)
    box.digests.store(digest(day=own), "f0", AT)
    box.deliver(own)
    box.digests.store(digest(), "f1", AT)
    box.cover([own, DAY - timedelta(2), DAY - timedelta(4)], DAY, 1)
    box.deliver(DAY)
    assert box.records.mailed(hole).state == "none"
    assert box.records.mailed(DAY - timedelta(4)).covered_by == DAY
    assert box.records.mailed(own).covered_by is None


def test_states_of_many_days_agree_with_each_day(archive: Archive) -> None:
    """The quick listing and the thorough look say the same."""
    partly = DAY - timedelta(2)
    box = outbox(archive, Mailer())
    box.digests.store(digest(), "f1", AT)
    box.deliver(DAY)
    box.digests.store(digest(day=partly), "f1", AT)
    with pytest.raises(CrashError):
        outbox(archive, Mailer(crash_at=2)).deliver(partly)
    days = [DAY - timedelta(n) for n in range(4)]
    assert box.records.mailed_days(days) == {day: box.records.mailed(day).state for day in days}
    assert list(box.records.mailed_days(days).values()) == ["sent", "none", "partial", "none"]


def test_the_embedded_platform_mails_once(tmp_path: Path) -> None:
    """On a real folder, a digest becomes one .eml per recipient; again is nothing, a resend is one file more."""
    archive = ObjectArchive(folder_store(str(tmp_path / "archive")))
    box = outbox(archive, EmlOutbox(tmp_path / "deep" / "outbox"))
    box.digests.store(digest(), "f1", AT)
    deliveries = box.deliver(DAY)
    assert box.deliver(DAY) == []
    assert sorted(d.location for d in deliveries) == sorted(map(str, (tmp_path / "deep" / "outbox").iterdir()))
    data = Path(deliveries[0].location).read_bytes()
    assert b"\n" not in data.replace(b"\r\n", b"")
    mail = email.message_from_bytes(data, policy=default)
    assert mail["To"] == RECIPIENTS[0]
    assert mail.get_body(("plain",)).get_content() == "größe\r\n"
    again = box.resend(DAY, [RECIPIENTS[0]])
    assert again[0].location.endswith("-resend-1.eml")
    assert len(list((tmp_path / "deep" / "outbox").iterdir())) == 4
    assert box.records.mailed(DAY).state == "sent"
    assert box.records.mailed_days([DAY]) == {DAY: "sent"}


def test_eml_outbox_refuses_ids_that_are_paths(tmp_path: Path) -> None:
    """No delivery id writes outside the outbox, and a folder that cannot be written is named."""
    message = EmailMessage()
    for bad in ("../x", "a/b", "", ".hidden"):
        with pytest.raises(ArchiveError, match="cannot be a file name"):
            EmlOutbox(tmp_path).send(message, "a@example.com", bad)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArchiveError, match="cannot be written"):
        EmlOutbox(tmp_path / "file").send(message, "a@example.com", "x")


# --- editions of OUs, and the executives' PDF

PROD, PLATFORM = "Workloads/Prod", "Platform"
PDF = b"%PDF-1.7 two pages"
LEAD, EXECUTIVE = "lead@example.com", "cfo@example.com"


def edition(ou: str, total: str = "12.34", **changed: object) -> Digest:
    plain = dataclasses.replace(
        digest(total=total),
        subject=f"{ou} only",
        text=f"{ou}\n",
        csv=f"{ou}\r\n".encode(),
        pictures={"chart": b"\x89PNG", "month": b"\x89M"},
        ou=ou,
    )
    return dataclasses.replace(plain, csv_name=f"ou_breakdown_{DAY}_part.csv", **changed)


def shared(archive: Archive, mailer: Mailer, **lists: object) -> Outbox:
    """An outbox whose stored digest has two editions and a PDF."""
    given = {"recipients": ("ann@example.com",), "by_ou": {PROD: (LEAD,)}, "executives": (EXECUTIVE,)} | lists
    clock = ticking()
    box = Outbox(archive, mailer, Recipients("finops@example.com", **given), clock=lambda: next(clock))
    ous = (PROD, PLATFORM, "Workloads")
    box.digests.store(digest(), "f1", AT, editions={ou: edition(ou) for ou in ous}, pdf=PDF)
    return box


def received(mailer: Mailer) -> list[tuple[str, str, list[str]]]:
    """Recipient, subject and file names of each message."""
    mails = [(to, email.message_from_bytes(data, policy=default)) for to, _, data in mailer.sent]
    return [(to, mail["Subject"], [part.get_filename() for part in mail.iter_attachments()]) for to, mail in mails]


WHOLE = ("[FinOps] 3412.77 USD", ["ou_breakdown_2025-09-10.csv"])
WITH_PDF = (WHOLE[0], [*WHOLE[1], "executive_snapshot_2025-09-10.pdf"])
OF_PROD = ("Workloads/Prod only", ["ou_breakdown_2025-09-10_part.csv"])


def test_editions_and_the_pdf_are_stored_with_the_digest(archive: Archive, mailer: Mailer) -> None:
    """Each part below the digest's folder with its hash; the OU is in the manifest, not in the path."""
    box = shared(archive, mailer)
    stored = box.digests.latest(DAY)
    assert box.digests.store(digest(), "f1", AT) == stored
    assert list(archive.objects)[-1] == "digests/2025-09-10/r1/manifest.json"
    assert archive.objects["digests/2025-09-10/r1/executive_snapshot.pdf"] == box.digests.pdf(stored) == PDF
    assert box.digests.load(stored) == digest()
    assert box.digests.load(stored, PROD) == edition(PROD)
    assert set(stored.editions) == {PROD, PLATFORM, "Workloads"}
    assert stored.editions[PROD].total == Decimal("12.34")
    below = [path for path in archive.objects if "/editions/" in path]
    assert len(below) == 15
    assert not any("Workloads" in path or "Platform" in path for path in below)
    assert {path.removeprefix(stored.path) for path in archive.objects} == {*stored.parts, "manifest.json"}
    with pytest.raises(ArchiveError, match="has no edition of Data"):
        box.digests.load(stored, "Data")


def test_a_manifest_of_an_earlier_version_is_read(archive: Archive, mailer: Mailer) -> None:
    """A digest stored before there were editions is loaded and sent as ever."""
    box = outbox(archive, mailer)
    box.digests.store(digest(), "f1", AT)
    path = "digests/2025-09-10/r1/manifest.json"
    old = json.loads(archive.objects[path])
    del old["editions"], old["says"], old["late"]
    archive.objects[path] = json.dumps(old).encode()
    stored = box.digests.latest(DAY)
    assert (stored.editions, box.digests.pdf(stored), box.digests.load(stored)) == ({}, b"", digest())
    assert len(box.deliver(DAY)) == 3


def test_each_list_gets_what_is_its_own(archive: Archive, mailer: Mailer) -> None:
    """The whole, the whole with the PDF, an edition: one message each, with a receipt each."""
    box = shared(archive, mailer)
    box.deliver(DAY)
    assert received(mailer) == [("ann@example.com", *WHOLE), (EXECUTIVE, *WITH_PDF), (LEAD, *OF_PROD)]
    assert box.deliver(DAY) == []
    assert box.records.mailed(DAY).recipients == ("ann@example.com", EXECUTIVE, LEAD)
    receipts = [json.loads(archive.objects[path]) for path in archive.list("digests/2025-09-10/r1/receipts/")]
    assert {receipt["recipient"]: receipt.get("ou", "") for receipt in receipts} == {
        "ann@example.com": "",
        EXECUTIVE: "",
        LEAD: PROD,
    }
    assert not any("@" in path for path in archive.objects)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"executives": ("Ann <ANN@example.com>",), "by_ou": {PROD: ("ann@example.com",)}}, [WITH_PDF]),
        ({"executives": (), "by_ou": {PROD: ("ann@example.com",)}}, [WHOLE]),
        ({"recipients": (), "executives": ("ann@example.com",), "by_ou": {PROD: ("ann@example.com",)}}, [WITH_PDF]),
        (
            {"recipients": (), "executives": (), "by_ou": dict.fromkeys((PROD, PLATFORM), ("ann@example.com",))},
            [OF_PROD, ("Platform only", OF_PROD[1])],
        ),
        (
            {"recipients": (), "executives": (), "by_ou": dict.fromkeys((PROD, "Workloads"), ("ann@example.com",))},
            [("Workloads only", OF_PROD[1])],
        ),
    ],
    ids=["all three", "recipients and an OU", "executives and an OU", "two OUs", "an OU and one below it"],
)
def test_nobody_gets_what_another_mail_of_theirs_contains(
    lists: dict, expected: list, archive: Archive, mailer: Mailer
) -> None:
    """One mail for somebody in several lists; of two OUs apart from each other, a message for each."""
    shared(archive, mailer, **lists).deliver(DAY)
    assert [mail[1:] for mail in received(mailer)] == expected
    assert len({delivery_id for _, delivery_id, _ in mailer.sent}) == len(expected)


def test_two_editions_of_one_reader_are_settled_and_resent_together(archive: Archive) -> None:
    """Who is in doubt is named once; each message has its own receipt; a resend brings both again."""
    mailer = Mailer(loses=LEAD, repeatable=False)
    box = shared(archive, mailer, by_ou=dict.fromkeys((PROD, PLATFORM), (LEAD,)))
    with pytest.raises(UnknownDeliveryError) as caught:
        box.deliver(DAY)
    assert str(caught.value).count(LEAD) == 3  # who, and the two commands
    assert (box.records.mailed(DAY).state, box.records.mailed(DAY).unknown) == ("unknown", (LEAD,))
    assert len(open_notes(archive)) == 2
    assert len(box.settle(DAY, [LEAD])) == 2
    assert box.records.mailed(DAY).state == "sent"
    mailer.loses = ""
    before = {to + subject: data for (to, subject, _), (*_, data) in zip(received(mailer), mailer.sent, strict=True)}
    assert len(box.resend(DAY, [LEAD])) == 2
    for (to, subject, _), (*_, again) in list(zip(received(mailer), mailer.sent, strict=True))[-2:]:
        first = before[to + subject]
        ids = [email.message_from_bytes(data)["Message-ID"].encode() for data in (first, again)]
        assert ids[0] != ids[1]
        assert first.replace(ids[0], b"") == again.replace(ids[1], b"")


def test_resending_keeps_to_the_settings(archive: Archive, mailer: Mailer) -> None:
    """Somebody of an OU gets its edition again, not the whole; somebody of mail.resend_to alone gets the whole."""
    box = shared(archive, mailer, resend_to=("auditor@example.com",))
    box.resend(DAY, [LEAD, EXECUTIVE, "auditor@example.com"])
    assert received(mailer) == [(LEAD, *OF_PROD), (EXECUTIVE, *WITH_PDF), ("auditor@example.com", *WHOLE)]
    box.resend(DAY)
    assert len(mailer.sent) == 6


def test_an_edition_that_was_not_made_does_not_hold_up_the_others(archive: Archive, mailer: Mailer) -> None:
    """The others are served; the error says whose is missing and what makes it; nobody gets the whole instead."""
    box = shared(archive, mailer, by_ou={"Data": (LEAD,), PROD: ("pat@example.com",)})
    for _ in range(2):
        with pytest.raises(FinopsError, match=r"has no edition of Data for lead@example\.com.*--refresh"):
            box.deliver(DAY)
    assert [to for to, *_ in received(mailer)] == ["ann@example.com", EXECUTIVE, "pat@example.com"]
    assert box.records.mailed(DAY).state == "partial"


@pytest.mark.parametrize("part", ["executive_snapshot.pdf", "month.png", "digest.txt"])
def test_no_part_of_an_edition_or_pdf_is_sent_that_was_tampered_with(
    part: str, archive: Archive, mailer: Mailer
) -> None:
    """It is named, and nothing goes out to anybody."""
    box = shared(archive, mailer)
    path = next(path for path in reversed(archive.list("digests/2025-09-10/r1/")) if path.endswith(part))
    if part != "executive_snapshot.pdf":
        path = f"digests/2025-09-10/r1/editions/{ou_hash(PROD)}/{part}"
    archive.objects[path] += b"!"
    for send in (box.deliver, box.resend):
        with pytest.raises(ArchiveError, match=rf"{part}: is not what was stored"):
            send(DAY)
    assert mailer.sent == []


# Storing writes 4 parts, the PDF, 3 editions of 5 and the manifest, 21 objects; then there are a note and a receipt for
# each of three, what all know, what the edition's readers know, and the end marker.
@pytest.mark.parametrize("step", range(20, 31))
def test_no_crash_sends_an_edition_twice_or_forgets_one(step: int, archive: Archive) -> None:
    """Whichever object was not written, every message goes out once, and who may have none is named."""
    mailer = Mailer(repeatable=False)
    archive.crash_at = step
    with pytest.raises(CrashError):
        shared(archive, mailer).deliver(DAY)
    for _ in range(2):
        box = shared(archive, mailer)
        box._clock = lambda: AT + timedelta(hours=1)
        try:
            box.deliver(DAY)
        except UnknownDeliveryError:
            box.settle(DAY, box.records.mailed(DAY).unknown)
    assert sorted(received(mailer)) == [("ann@example.com", *WHOLE), (EXECUTIVE, *WITH_PDF), (LEAD, *OF_PROD)]
    assert box.records.mailed(DAY).state == "sent"
    assert (box.mailed_totals(), box.mailed_totals(PROD)) == ({DAY: Decimal("3412.77")}, {DAY: Decimal("12.34")})


def test_what_an_editions_readers_were_told_is_remembered_apart(archive: Archive, mailer: Mailer) -> None:
    """Their subtotals, those of restated days too; of an OU without readers nothing; a late one tells no subtotal."""
    box = shared(archive, mailer)
    assert box.mailed_totals(PROD) == {}
    box.deliver(DAY)
    assert (box.mailed_totals(PROD), box.mailed_totals(PLATFORM)) == ({DAY: Decimal("12.34")}, {})
    says = {PROD: {DAY: Decimal("13"), DAY - timedelta(1): Decimal("9")}}
    second = {PROD: edition(PROD, "13", revision=2)}
    box.digests.store(digest(revision=2), "f2", AT, editions=second, statements=Statements(of_editions=says))
    box.deliver(DAY)
    assert box.mailed_totals(PROD) == {DAY: Decimal("13"), DAY - timedelta(1): Decimal("9")}
    late = DAY + timedelta(1)
    box.digests.store(
        digest(day=late),
        "late",
        AT,
        statements=Statements({}, late=True),
        editions={PROD: dataclasses.replace(edition(PROD), day=late)},
    )
    box.deliver(late)
    assert late not in box.mailed_totals(PROD)


def test_addresses_of_all_lists_are_looked_at_first(archive: Archive, mailer: Mailer) -> None:
    """A malformed one is told with its setting, and nothing goes out; an empty list beside others is none."""
    for lists, where in (
        ({"executives": ("nobody",)}, r"mail\.executives: 'nobody'"),
        ({"by_ou": {PROD: ("nobody",)}}, r"mail\.by_ou \(Workloads/Prod\): 'nobody'"),
        ({"recipients": (), "executives": (), "by_ou": {PROD: ()}}, r"mail\.recipients: names nobody"),
    ):
        with pytest.raises(SettingsError, match=where):
            shared(archive, mailer, **lists).deliver(DAY)
    assert mailer.sent == []
    box = shared(archive, mailer, recipients=())
    assert box.recipients.addresses == (EXECUTIVE, LEAD)
    box.deliver(DAY)
    assert [to for to, *_ in received(mailer)] == [EXECUTIVE, LEAD]


def test_a_large_editions_link_is_to_its_own_csv(archive: Archive, mailer: Mailer) -> None:
    """Too large to attach, each message links the file that it would have had, the PDF too."""
    noise = random.Random(1).randbytes(200_000)
    box = Outbox(
        archive,
        mailer,
        Recipients("finops@example.com", (), by_ou={PROD: (LEAD,)}, executives=(EXECUTIVE,)),
        max_megabytes=0.1,
    )
    box.digests.store(
        dataclasses.replace(digest(), csv=noise), "f1", AT, editions={PROD: edition(PROD, csv=noise)}, pdf=noise
    )
    box.deliver(DAY)
    texts = {
        to: email.message_from_bytes(data, policy=default).get_body(("plain",)).get_content()
        for to, _, data in mailer.sent
    }
    assert "r1/ou_breakdown_2025-09-10.csv?" in texts[EXECUTIVE]
    assert "r1/executive_snapshot.pdf?" in texts[EXECUTIVE]
    assert f"r1/editions/{ou_hash(PROD)}/ou_breakdown_2025-09-10_part.csv?" in texts[LEAD]
    assert "pdf" not in texts[LEAD]
    assert [files for *_, files in received(mailer)] == [[], []]
