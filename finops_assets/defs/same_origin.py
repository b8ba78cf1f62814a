"""Which requests Dagster's UI answers: those of its own pages, and of programs that are no browser.

Dagster's webserver has no login, checks neither host name nor origin, and executes what any POST that a foreign page
may send asks for. `SameOriginMiddleware` stands before it in every process of ours that serves the UI
(defs/webserver.py); it is not cli/dev_guard.py, which ends the processes of `finops dev`.

A request's *own origin* is the scheme, name and port at which it was made. It is known only if its Host is

- that of the address at which people open the UI (`alerts.dagster_url`), whose scheme is used: behind a load balancer
  that ends TLS, the webserver sees plain HTTP, and X-Forwarded-Proto is not needed;
- localhost, 127.0.0.1, [::1], or what the webserver was told to listen at, with any port: a tunnel may begin at another
  one, and the port is compared with the Origin's;
- the address of this machine at which the connection came in, as a load balancer's health check names it.

| request | answer |
|---|---|
| another Host: DNS rebinding, a scan | 421 |
| Host, Origin, Content-Type or a Sec-Fetch-* header twice | 400 |
| WebSocket of another origin | 403 |
| `query` in the address of /graphql, whoever asks: Dagster executes it, mutations too | 403 |
| GET or HEAD of another origin: script, image, frame, fetch | 403 |
| a link on another site to a page, opened in a tab (Sec-Fetch-Mode `navigate`, Sec-Fetch-Dest `document`) | passes |
| POST, OPTIONS and all other methods of another origin: form, fetch, preflight | 403 |
| POST and all other methods except OPTIONS, with another content type than application/json | 415 |
| everything else: the UI's own pages; curl, dagster-graphql, health checks | passes |

*Of another origin* is a request whose Origin is not its own origin, or whose Sec-Fetch-Site is neither `same-origin`
nor `none` (an address that was typed). A browser sends Origin with each POST, preflight and WebSocket of a foreign
page, and no page can set it. A request with neither header comes from a program, or reads what no page gets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finops_assets.core.errors import SettingsError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
READS = frozenset({"GET", "HEAD"})
ONCE = ("host", "origin", "content-type", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest")
"""Headers that are decided by: with two of one name, Dagster might read the other one."""

_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status, and a sentence for the person who sees it."""

    status: int
    sentence: str


@dataclass(frozen=True)
class Origin:
    """Scheme, name and port of an address; no port where it is the scheme's own."""

    scheme: str
    name: str
    port: str

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """The origin that is written so (`https://name:8443`); None for anything else, as `null` is."""
        match = _ORIGIN.fullmatch(text.lower())
        if match is None:
            return None
        scheme, name, port = match["scheme"], match["name"], match["port"] or ""
        return cls(scheme, name, "" if port == _DEFAULT_PORTS[scheme] else port)


def public_origin(url: str, setting: str) -> Origin | None:
    """The origin of the address at which people open the UI; None where it is empty.

    Args:
        url: the address, with or without a path.
        setting: where it is written, for the error.

    Raises:
        SettingsError: it is no address of a web page.
    """
    if not url:
        return None
    scheme, _, rest = url.partition("://")
    origin = Origin.parse(f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}")
    if origin is None:
        raise SettingsError(
            f"{url!r} is not the address of a web page",
            where=setting,
            fix="Write it as it is opened, such as https://finops.example.com.",
        )
    return origin


class SameOriginMiddleware:
    """Answers what the table above refuses, and hands everything else to the app.

    Args:
        app: what is served.
        listening_at: the host name or address that the webserver was told to listen at.
        public: the origin at which people open the UI, where that is not this machine's own address.
    """

    def __init__(self, app: ASGIApp, listening_at: str = "127.0.0.1", public: Origin | None = None) -> None:
        self.app = app
        self.names = LOOPBACK | {_bracketed(listening_at.lower())}
        self.public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_protected(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _protect(MutableHeaders(scope=message))
            await send(message)

        refusal = self.refusal(scope)
        answer = self.app if refusal is None else PlainTextResponse(f"{refusal.sentence}\n", refusal.status)
        await answer(scope, receive, send_protected)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why the request is not answered; None where it is."""
        headers = Headers(scope=scope)
        for name in ONCE:
            if len(headers.getlist(name)) > 1:
                return Refusal(400, f"The request has the header {name} more than once.")
        own = self._own_origin(headers.get("host", ""), scope.get("server"))
        if own is None:
            return Refusal(
                421,
                "The Dagster UI does not answer to this host name. Open it at localhost; or set alerts.dagster_url (on "
                "AWS, Terraform's ui.host) to the address at which it is opened, and start it again.",
            )
        foreign = _is_foreign(headers, own)
        if scope["type"] == "websocket":
            return _OTHER_ORIGIN if foreign else None
        if scope["path"].rstrip("/").endswith("/graphql") and "query" in QueryParams(scope["query_string"]):
            return Refusal(403, "A GraphQL query is taken from the body of a POST, as JSON, and not from the address.")
        if scope["method"] in READS:
            return _OTHER_ORIGIN if foreign and not _is_link(headers) else None
        if foreign:
            return _OTHER_ORIGIN
        if scope["method"] != "OPTIONS" and _media_type(headers) != "application/json":
            return Refusal(415, "The Dagster UI takes application/json only.")
        return None

    def _own_origin(self, host: str, server: tuple[str, Any] | None) -> Origin | None:
        if self.public is not None and Origin.parse(f"{self.public.scheme}://{host}") == self.public:
            return self.public
        own = Origin.parse(f"http://{host}")
        reached_at = () if server is None else (_bracketed(server[0].removeprefix("::ffff:")),)
        return own if own is not None and own.name in self.names.union(reached_at) else None


_OTHER_ORIGIN = Refusal(403, "The Dagster UI answers its own pages only; this request comes from another one.")


def _is_foreign(headers: Headers, own: Origin) -> bool:
    origin = headers.get("origin")
    if origin is not None and Origin.parse(origin) != own:
        return True
    return headers.get("sec-fetch-site", "none").lower() not in ("same-origin", "none")


def _is_link(headers: Headers) -> bool:
    """Whether a tab opens a page; with an Origin, it is a script that reads it."""
    return (
        "origin" not in headers
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _bracketed(host: str) -> str:
    """A host as it is written in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _protect(headers: MutableHeaders) -> None:
    """No page of another origin shows the answer in a frame, or loads it as a script or an image."""
    headers.append("content-security-policy", "frame-ancestors 'self'")  # Dagster's own has no such word
    headers["x-frame-options"] = "SAMEORIGIN"
    headers["cross-origin-resource-policy"] = "same-origin"
    headers["x-content-type-options"] = "nosniff"
