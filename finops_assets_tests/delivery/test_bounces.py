"""Returned mail: what mail servers write is understood, what anybody else writes does no harm."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from finops_assets.adapters.local.mailer import EmlOutbox
from finops_assets.adapters.shared import bounces
from finops_assets.adapters.shared.bounces import Bounces
from finops_assets.adapters.shared.smtp import SMTPMailer
from finops_assets.core.errors import FinopsError
from finops_assets.core.values import Refused

ANN, BOB = "ann@example.com", "bob@example.com"

DIGEST = """\
From: finops@example.org
To: bob@example.com
Subject: [FinOps] Wed 10 Sep: 3,412.77 USD
Date: Thu, 11 Sep 2025 07:00:03 +0000
Message-ID: <2025-09-10-r1-0a1b2c3d4e5f6071@example.org>
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="finops-0a1b-0"

--finops-0a1b-0
Content-Type: text/plain; charset="utf-8"

3,412.77 USD
--finops-0a1b-0--
"""

POSTFIX = f"""\
Return-Path: <>
X-Original-To: finops@example.org
Delivered-To: finops@example.org
Received: by mail.example.org (Postfix)
\tid 4cMtXW2qVpz1f; Thu, 11 Sep 2025 09:00:05 +0200 (CEST)
Date: Thu, 11 Sep 2025 09:00:05 +0200 (CEST)
From: MAILER-DAEMON@mail.example.org (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: finops@example.org
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4cMtXV5LJnz1c.1757574005/mail.example.org"
Content-Transfer-Encoding: 8bit
Message-Id: <4cMtXW2qVpz1f@mail.example.org>

This is a MIME-encapsulated message.

--4cMtXV5LJnz1c.1757574005/mail.example.org
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mail.example.org.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<bob@example.com>: host mx.example.com[192.0.2.25] said: 550 5.1.1
    <bob@example.com>: Recipient address rejected: User unknown in virtual
    mailbox table (in reply to RCPT TO command)

--4cMtXV5LJnz1c.1757574005/mail.example.org
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.org
X-Postfix-Queue-ID: 4cMtXV5LJnz1c
X-Postfix-Sender: rfc822; finops@example.org
Arrival-Date: Thu, 11 Sep 2025 09:00:04 +0200 (CEST)

Final-Recipient: rfc822; bob@example.com
Original-Recipient: rfc822;bob@example.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; 550 5.1.1 <bob@example.com>: Recipient address
    rejected: User unknown in virtual mailbox table

--4cMtXV5LJnz1c.1757574005/mail.example.org
Content-Description: Undelivered Message
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

{DIGEST}
--4cMtXV5LJnz1c.1757574005/mail.example.org--
"""

EXIM = f"""\
Return-path: <>
Envelope-to: finops@example.org
Delivery-date: Thu, 11 Sep 2025 07:00:06 +0000
Received: from mailnull by mail.example.org with local (Exim 4.98)
\tid 1uwbLu-00000001abc-1XyZ
\tfor finops@example.org;
\tThu, 11 Sep 2025 07:00:06 +0000
X-Failed-Recipients: bob@example.com
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mail.example.org>
To: finops@example.org
References: <2025-09-10-r1-0a1b2c3d4e5f6071@example.org>
Content-Type: multipart/report; report-type=delivery-status; boundary=1757574006-eximdsn-1297144799
MIME-Version: 1.0
Subject: Mail delivery failed: returning message to sender
Message-Id: <E1uwbLu-00000001abc-1XyZ@mail.example.org>
Date: Thu, 11 Sep 2025 07:00:06 +0000

--1757574006-eximdsn-1297144799
Content-type: text/plain; charset=us-ascii

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  bob@example.com
    host mx.example.com [192.0.2.25]
    SMTP error from remote mail server after RCPT TO:<bob@example.com>:
    550 No such user here

--1757574006-eximdsn-1297144799
Content-type: message/delivery-status

Reporting-MTA: dns; mail.example.org

Action: failed
Final-Recipient: rfc822;bob@example.com
Status: 5.0.0
Remote-MTA: dns; mx.example.com
Diagnostic-Code: smtp; 550 No such user here

--1757574006-eximdsn-1297144799
Content-type: message/rfc822

Return-path: <finops@example.org>
{DIGEST}
--1757574006-eximdsn-1297144799--
"""

MICROSOFT_365 = f"""\
Received: from PAVPR04MB1234.eurprd04.prod.outlook.com
 ([fe80::1234:abcd:5678:ef01]) by PAVPR04MB1234.eurprd04.prod.outlook.com
 ([fe80::1234:abcd:5678:ef01%4]) with mapi id 15.20.9094.021; Thu, 11 Sep 2025
 07:00:07 +0000
MIME-Version: 1.0
From: <postmaster@example.com>
To: <finops@example.org>
Date: Thu, 11 Sep 2025 07:00:07 +0000
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="39c1a7d4-8a11-4d6d-9b0e-4a35cd5d4f17"
X-MS-Exchange-Message-Is-Ndr:
Content-Language: en-US
Message-ID:
 <7c1d0a34-3a8b-4b40-9f60-1a3e2f1d5c11@PAVPR04MB1234.eurprd04.prod.outlook.com>
In-Reply-To: <2025-09-10-r1-0a1b2c3d4e5f6071@example.org>
Subject: Undeliverable: [FinOps] Wed 10 Sep: 3,412.77 USD
Auto-Submitted: auto-replied

--39c1a7d4-8a11-4d6d-9b0e-4a35cd5d4f17
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="b1f9e1f8-5b4e-4b71-9a0c-0d3f4a9f0c55"

--b1f9e1f8-5b4e-4b71-9a0c-0d3f4a9f0c55
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Delivery has failed to these recipients or groups:

bob@example.com<mailto:bob@example.com>
The email address you entered couldn't be found. Please check the recipient=
's email address and try to resend the message.

--b1f9e1f8-5b4e-4b71-9a0c-0d3f4a9f0c55
Content-Type: text/html; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

<html><body><p>Delivery has failed to these recipients or groups:</p></body></html>

--b1f9e1f8-5b4e-4b71-9a0c-0d3f4a9f0c55--

--39c1a7d4-8a11-4d6d-9b0e-4a35cd5d4f17
Content-Type: message/delivery-status

Reporting-MTA: dns;PAVPR04MB1234.eurprd04.prod.outlook.com
Received-From-MTA: dns;mail.example.org
Arrival-Date: Thu, 11 Sep 2025 07:00:06 +0000

Final-Recipient: rfc822;bob@example.com
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup

--39c1a7d4-8a11-4d6d-9b0e-4a35cd5d4f17
Content-Type: message/rfc822

{DIGEST}
--39c1a7d4-8a11-4d6d-9b0e-4a35cd5d4f17--
"""

AMAZON_SES = f"""\
Return-Path: <>
Received: from a48-90.smtp-out.amazonses.com (a48-90.smtp-out.amazonses.com [192.0.2.90])
\tby mail.example.org with ESMTP id v26si2749526pfg
\tfor <finops@example.org>; Thu, 11 Sep 2025 07:00:08 +0000
From: MAILER-DAEMON@amazonses.com
To: finops@example.org
Message-ID: <0100019937d0e9f4-3eca50af-5e0d-4fea-9127-48ade2309e3d-000000@email.amazonses.com>
Subject: Delivery Status Notification (Failure)
MIME-Version: 1.0
Content-Type: multipart/report;\x20
\tboundary="----=_Part_510465_2083698533.1757574008079";\x20
\treport-type=delivery-status
Date: Thu, 11 Sep 2025 07:00:08 +0000
X-SES-Outgoing: 2025.09.11-192.0.2.90

------=_Part_510465_2083698533.1757574008079
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit
Content-Description: Notification

An error occurred while trying to deliver the mail to the following recipients:
bob@example.com
------=_Part_510465_2083698533.1757574008079
Content-Type: message/delivery-status
Content-Transfer-Encoding: 7bit
Content-Description: Delivery Status Notification

Reporting-MTA: dns; a48-90.smtp-out.amazonses.com

Action: failed
Final-Recipient: rfc822; bob@example.com
Diagnostic-Code: smtp; 550 5.1.1 user unknown
Status: 5.1.1


------=_Part_510465_2083698533.1757574008079
Content-Type: message/rfc822
Content-Description: Undelivered Message

{DIGEST}
------=_Part_510465_2083698533.1757574008079--
"""

COMPLAINT = f"""\
From: <abusedesk@example.com>
Date: Thu, 11 Sep 2025 17:40:36 +0200
Subject: FW: [FinOps] Wed 10 Sep: 3,412.77 USD
To: <finops@example.org>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report;
\tboundary="part1_13d.2e68ed54_boundary"

--part1_13d.2e68ed54_boundary
Content-Type: text/plain; charset="US-ASCII"
Content-Transfer-Encoding: 7bit

This is an email abuse report for an email message received from IP
192.0.2.1 on Thu, 11 Sep 2025 07:00:04 +0000.

--part1_13d.2e68ed54_boundary
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <finops@example.org>
Original-Rcpt-To: <bob@example.com>
Arrival-Date: Thu, 11 Sep 2025 07:00:04 +0000
Reporting-MTA: dns; mail.example.com
Source-IP: 192.0.2.1

--part1_13d.2e68ed54_boundary
Content-Type: message/rfc822
Content-Disposition: inline

{DIGEST}
--part1_13d.2e68ed54_boundary--
"""

SAMPLES = {
    "Postfix": (
        POSTFIX,
        "550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
        datetime(2025, 9, 11, 7, 0, 4, tzinfo=UTC),
    ),
    "Exim": (EXIM, "550 No such user here", datetime(2025, 9, 11, 7, 0, 6, tzinfo=UTC)),
    "Microsoft 365": (
        MICROSOFT_365,
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        datetime(2025, 9, 11, 7, 0, 6, tzinfo=UTC),
    ),
    "Amazon SES": (AMAZON_SES, "550 5.1.1 user unknown", datetime(2025, 9, 11, 7, 0, 8, tzinfo=UTC)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bounces").mkdir()
    return tmp_path / "bounces"


def refused(folder: Path, *messages: str, by: str = BOB) -> Refused | None:
    """What there is of a recipient once these messages lie in the folder."""
    for number, message in enumerate(messages):
        (folder / f"{number}.eml").write_text(message, encoding="utf-8")
    return Bounces(folder).refused([ANN, by]).get(by)


# --- what mail servers write ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", SAMPLES)
def test_a_bounce_is_understood_whoever_writes_it(server: str, folder: Path) -> None:
    """The recipient, the server's own words, when the message came in, and which file to remove once it is mended."""
    message, said, at = SAMPLES[server]
    found = refused(folder, message)
    assert (found.kind, found.reason, found.since) == ("bounce", f"the mail came back ({said})", at)
    assert BOB in found.fix
    assert str(folder / "0.eml") in found.fix
    assert Bounces(folder).refused([ANN]) == {}


@pytest.mark.parametrize("server", SAMPLES)
def test_line_ends_do_not_matter(server: str, folder: Path) -> None:
    """As a mail server writes them, as Unix does, and as old exports do."""
    message, said, _ = SAMPLES[server]
    for end in (b"\r\n", b"\n", b"\r"):
        (folder / "0.eml").write_bytes(message.encode().replace(b"\n", end))
        assert said in Bounces(folder).refused([BOB])[BOB].reason


def test_an_address_is_the_same_in_any_case(folder: Path) -> None:
    """Servers and settings write it as they like; the answer is by the settings' own writing."""
    found = refused(folder, POSTFIX.replace("; bob@", "; BOB@").replace(";bob@", ";BOB@"), by="Bob@Example.com")
    assert found.kind == "bounce"


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded", ""])
def test_only_what_failed_counts(action: str, folder: Path) -> None:
    """A delayed message may still arrive, and a delivered one has."""
    assert refused(folder, POSTFIX.replace("Action: failed", f"Action: {action}".strip())) is None


def test_each_recipient_of_a_report_has_an_own_action(folder: Path) -> None:
    """One failed, the other was delivered; a comment, a name in capitals and a missing word of the server are taken."""
    other = f"\nFinal-Recipient: RFC822; <{ANN}>\nAction: Failed (mailbox full)\nStatus: 5.2.2\n"
    message = POSTFIX.replace("Action: failed", "Action: delivered").replace(
        "mailbox table\n\n--", f"table\n{other}\n--"
    )
    assert refused(folder, message, by=ANN).reason == "the mail came back (status 5.2.2)"
    assert refused(folder, message) is None


def test_a_forwarded_message_is_still_the_recipients(folder: Path) -> None:
    """It came back from another address: the one that it was sent to is named by Original-Recipient."""
    assert refused(folder, POSTFIX.replace("Final-Recipient: rfc822; bob@", "Final-Recipient: rfc822; robert@"))


def test_of_several_reports_the_newest_speaks_and_all_have_to_go(folder: Path) -> None:
    """The reason is today's, the date the first one's; the files are named, or counted where there are many."""
    later = POSTFIX.replace("11 Sep", "12 Sep").replace("User unknown", "Mailbox closed")
    found = refused(folder, later, POSTFIX)
    assert "Mailbox closed" in found.reason
    assert found.since == datetime(2025, 9, 11, 7, 0, 4, tzinfo=UTC)
    assert all(str(folder / name) in found.fix for name in ("0.eml", "1.eml"))
    assert "2 more" in refused(folder, *[later] * 5).fix
    for file in folder.iterdir():
        file.unlink()
    assert Bounces(folder).refused([BOB]) == {}


# --- complaints -------------------------------------------------------------------------------------------------------


def test_a_complaint_is_told_apart(folder: Path) -> None:
    """The provider's word for it, when, and that the recipient is to be asked."""
    found = refused(folder, COMPLAINT)
    assert found.kind == "complaint"
    assert found.reason == "a digest was reported as unwanted (abuse)"
    assert found.since == datetime(2025, 9, 11, 7, 0, 4, tzinfo=UTC)
    assert found.fix.startswith(f"Ask {BOB}")


@pytest.mark.parametrize("part", ["message/rfc822", "text/rfc822-headers"])
def test_who_complained_may_be_told_by_the_returned_digest_only(part: str, folder: Path) -> None:
    """Some providers leave the address out of the report, and return the message or its head."""
    message = COMPLAINT.replace("Original-Rcpt-To: <bob@example.com>\n", "").replace("message/rfc822", part)
    assert refused(folder, message).kind == "complaint"


@pytest.mark.parametrize("feedback", ["not-spam", "auth-failure", ""])
def test_feedback_of_other_kinds_is_no_complaint(feedback: str, folder: Path) -> None:
    """That it is no spam, or that its signature was broken on the way (DMARC)."""
    assert refused(folder, COMPLAINT.replace("Type: abuse", f"Type: {feedback}")) is None


# --- what anybody may write -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\r", "\n ", "\r\n\t", "\u2028", "\x85", "\x0b", "\x1b[2J", "\u202e"])
def test_a_hostile_diagnosis_is_one_line_of_text(end: str, folder: Path) -> None:
    """No line end, control or direction mark is left of it; markup stays text, and it has an end."""
    said = f"smtp; 550{end}<script>alert(1)</script>{end}Bcc: thief@example.net {'x' * 5000}"
    (folder / "0.eml").write_bytes(EXIM.replace("smtp; 550 No such user here", said).encode())
    found = Bounces(folder).refused([BOB])[BOB]
    assert found.reason.isprintable()
    assert len(found.reason) < 350
    assert found.reason.startswith("the mail came back (550")
    assert end.strip(" ") not in found.reason


NO_REPORTS = {
    "an empty file": "",
    "no message": "\x00\xff\x00" * 100,
    "a message of people": DIGEST,
    "a vacation notice": DIGEST.replace("multipart/mixed", "multipart/report; report-type=disposition-notification"),
    "no boundary": POSTFIX.replace("boundary=", "bound="),
    "a boundary in an unknown charset": POSTFIX.replace("boundary=", "boundary*=\x00''"),
    "another boundary": POSTFIX.replace("boundary=", "boundary=not-"),
    "no recipient": POSTFIX.replace("-Recipient:", "-Nobody:"),
    "no action": POSTFIX.replace("Action:", "Auction:"),
    "a report inside of another message": POSTFIX.replace("multipart/report", "multipart/mixed"),
    "cut off before the status": POSTFIX[: POSTFIX.index("Reporting-MTA")],
}


@pytest.mark.parametrize("what", NO_REPORTS)
def test_what_is_no_report_is_skipped(what: str, folder: Path) -> None:
    """And the report beside it is read all the same."""
    assert refused(folder, NO_REPORTS[what]) is None
    assert refused(folder, NO_REPORTS[what], EXIM).kind == "bounce"


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Sep 2025", "Fri, 31 Dec 9999 23:59:59 -2300", "1 " * 5000])
def test_a_date_that_is_none_leaves_the_report(date: str, folder: Path) -> None:
    """That it came back is known, if not when."""
    message = EXIM.replace("Date: Thu, 11 Sep 2025 07:00:06 +0000\n\n", f"Date: {date}\n\n")
    found = refused(folder, message)
    assert (found.kind, found.since) == ("bounce", None)


def test_no_damage_to_a_report_is_an_error(folder: Path) -> None:
    """Bytes cut, doubled, moved and overwritten at random: it is read or skipped."""
    dice = random.Random(1)
    originals = [message.encode() for message in (POSTFIX, EXIM, MICROSOFT_365, AMAZON_SES, COMPLAINT)]
    for number in range(600):
        data = bytearray(dice.choice(originals))
        for _ in range(dice.randint(1, 8)):
            at, length = dice.randrange(len(data)), dice.randint(1, 60)
            piece = dice.choice((b"", bytes(dice.randrange(256) for _ in range(length)), data[at : at + length] * 2))
            data[at : at + length] = piece or b':;\n\x00"'
        (folder / f"{number}.eml").write_bytes(data)
    assert Bounces(folder).refused([BOB, ANN])


BOMBS = {
    "a header without end": 'Content-Type: multipart/report; boundary=x; a="' + ";" * 900_000,
    "quotes": "Content-Type: multipart/report; boundary=x; " + '";' * 400_000,
    "folded lines": "Content-Type: multipart/report; boundary=x; " + ";\n " * 300_000,
    "many headers": "A: b\n" * 180_000,
    "parts in parts": "".join(f"Content-Type: multipart/report; boundary={n}\n\n--{n}\n" for n in range(15_000)),
    "many parts": "Content-Type: multipart/report; boundary=x\n\n" + "--x\n\n" * 180_000,
    "many recipients": "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    + "Action: failed\n\n" * 60_000,
    "a long address": "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    "Action: failed\nFinal-Recipient: " + "a" * 900_000,
    "empty lines": "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
    + "\n \t" * 300_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_message_takes_long_to_read(bomb: str, folder: Path) -> None:
    """What makes the standard library's parser work for minutes, or recurse without end, is not given to it."""
    began = time.process_time()  # this process's own: what else the machine does is no matter
    assert refused(folder, BOMBS[bomb]) is None
    assert time.process_time() - began < 5


def test_a_large_file_is_read_up_to_a_limit(folder: Path) -> None:
    """The report is at its beginning; what follows may be hundreds of megabytes of returned mail."""
    with (folder / "0.eml").open("w") as file:
        file.write(POSTFIX.replace("3,412.77 USD\n--finops", "x" * 2_000_000 + "\n--finops"))
        file.truncate(400_000_000)
    assert Bounces(folder).refused([BOB])
    (folder / "0.eml").write_text("X: " + "x" * bounces.LONGEST_FILE + "\n" + POSTFIX)
    assert Bounces(folder).refused([BOB]) == {}


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_maildir_is_read_whatever_its_files_are_called(folder: Path) -> None:
    """new/ and cur/, flags in the names, an index beside them, and what is no file at all."""
    for name in ("new/1757574005.M1P2.mail", "cur/1757574006.M1P2.mail:2,S", "dovecot.index", ".Archive/cur/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "new" / "1757574005.M1P2.mail").write_text(POSTFIX)
    (folder / "cur" / "1757574006.M1P2.mail:2,S").write_text(COMPLAINT.replace(BOB, ANN))
    (folder / "dovecot.index").write_bytes(b"\x07\x00\xff")
    (folder / "gone").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "a pipe")
    found = Bounces(folder).refused([ANN, BOB, "cyd@example.com"])
    assert {who: why.kind for who, why in found.items()} == {ANN: "complaint", BOB: "bounce"}


def test_a_file_name_is_shown_as_text(folder: Path) -> None:
    """Whatever bytes it has."""
    (folder / os.fsdecode(b"Empf\xe4nger\n\x1b[2J.eml")).write_text(POSTFIX)
    fix = Bounces(folder).refused([BOB])[BOB].fix
    assert fix.isprintable()
    assert "Empf" in fix


def test_a_folder_that_is_not_there_has_no_reports(tmp_path: Path) -> None:
    """Nobody delivers returned mail: nothing is known."""
    assert Bounces(None).refused([BOB]) == {}
    assert Bounces(tmp_path / "none").refused([BOB]) == {}


def test_a_folder_that_cannot_be_read_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No report and no sight of one are not the same: what cannot be read is named."""
    (folder / "0.eml").write_text(POSTFIX)
    with pytest.raises(FinopsError, match=r"0\.eml \(mail\.bounces\): cannot be read: Not a directory"):
        Bounces(folder / "0.eml").refused([BOB])

    def forbid(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", forbid)
    with pytest.raises(FinopsError, match=r"0\.eml .*Permission denied.*Mend its rights"):
        Bounces(folder).refused([BOB])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened."""
    names: list[str] = []
    before = Path.open

    def counted(self: Path, *args: object, **kwargs: object) -> object:
        names.append(self.name)
        return before(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", counted)
    return names


def test_each_message_is_read_once(folder: Path, opened: list[str]) -> None:
    """A second look reads what is new or has changed, and forgets what is gone."""
    seen = Bounces(folder)
    for name, message in (("a", POSTFIX), ("b", DIGEST), ("c", COMPLAINT)):
        (folder / name).write_text(message)
    opened.clear()
    assert [seen.refused([BOB]) for _ in range(3)] == [Bounces(folder).refused([BOB])] * 3
    assert opened == ["a", "b", "c"] * 2  # once by either
    (folder / "c").unlink()
    (folder / "b").write_text(POSTFIX.replace(BOB, ANN))
    (folder / "d").write_text(DIGEST)
    opened.clear()
    assert sorted(seen.refused([ANN, BOB])) == [ANN, BOB]
    assert opened == ["b", "d"]


MAILERS = {
    "files": lambda folder: EmlOutbox(folder / "outbox", folder),
    "SMTP": lambda folder: SMTPMailer("localhost", bounces=folder),
}


@pytest.mark.parametrize("mailer", MAILERS)
def test_both_mailers_that_send_by_mail_servers_see_what_came_back(mailer: str, folder: Path) -> None:
    """The .eml files that somebody sends on, and SMTP: without asking the server anything."""
    make: Callable = MAILERS[mailer]
    (folder / "0.eml").write_text(POSTFIX)
    assert list(make(folder).refused([ANN, BOB])) == [BOB]
    assert make(folder / "none").refused([ANN, BOB]) == {}
