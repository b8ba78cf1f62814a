"""The heartbeat's channels, for both platforms: a request to a monitor's address, or a short mail."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from datetime import date
from urllib.parse import urlsplit

from finops_assets import __version__
from finops_assets.core.errors import FinopsError
from finops_assets.core.ports import Alerts

TIMEOUT = 10.0
SETTING = "alerts.heartbeat_url (FINOPS_ALERTS__HEARTBEAT_URL)"


class UrlHeartbeat:
    """Requests an address by GET, as healthchecks.io and its like expect; any answer of 2xx is taken.

    Args:
        url: http or https. Its path is often a secret: messages name the host alone.
        timeout: seconds that the server may take for each of its answers.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        self._url, self._timeout = url, timeout
        self._host = urlsplit(url).netloc.rpartition("@")[2]
        # Not urllib's own opener, which also knows files and ftp, to which a server could redirect.
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler,
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPRedirectHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPErrorProcessor,
            urllib.request.UnknownHandler,
        ):
            self._opener.add_handler(handler())

    def beat(self, day: date) -> str:
        """Request the address.

        Raises:
            FinopsError: it did not answer with 2xx.
        """
        request = urllib.request.Request(self._url, headers={"User-Agent": f"finops_assets/{__version__}"})  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return f"{self._host}: {answer.status}"
        except urllib.error.HTTPError as error:
            outcome = f"answered {error.code}"
            error.close()
        except urllib.error.URLError as error:
            outcome = f"did not answer ({error.reason})"
        except (OSError, http.client.HTTPException) as error:
            outcome = f"did not answer ({error or type(error).__name__})"
        raise FinopsError(
            f"the heartbeat of {day} was not sent: {self._host} {outcome}",
            where=SETTING,
            fix="It is tried again; if that lasts, mend the address.",
        )


class MailHeartbeat:
    """A short mail through the digest's own mailer.

    Args:
        mails: sends a message to alerts.heartbeat_recipients.
        runbook: where docs/runbook.md is.
    """

    def __init__(self, mails: Alerts, runbook: str) -> None:
        self._mails, self._runbook = mails, runbook

    def beat(self, day: date) -> str:
        """Send the mail.

        Raises:
            FinopsError: a recipient was not reached.
        """
        text = (
            f"{day} is archived, registered, on the dashboard and mailed.\n\n"
            f"This comes once each morning. If it does not: {self._runbook}#the-heartbeat-is-missing\n"
        )
        return self._mails.send(f"FinOps: {day} is done", text, f"heartbeat-{day}")
