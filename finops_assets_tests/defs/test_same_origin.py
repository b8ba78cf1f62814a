"""The Dagster UI answers its own pages and programs that are no browser, and no page of another origin."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from finops_assets.cli.main import main
from finops_assets.core.errors import SettingsError
from finops_assets.defs import private
from finops_assets.defs.same_origin import SameOriginMiddleware, public_origin

ROOT = Path(__file__).parents[2]
PUBLIC = "https://finops.example.com"
JSON = {"content-type": "application/json"}
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
FRAME = LINK | {"sec-fetch-dest": "iframe"}
PASSES = 200


@dataclass
class App:
    """In the place of Dagster's app: it notes which requests it gets."""

    got: list[str] = field(default_factory=list)

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        self.got.append(scope["type"])
        prefix = "websocket.http" if scope["type"] == "websocket" else "http"
        await send({"type": f"{prefix}.response.start", "status": PASSES, "headers": []})
        await send({"type": f"{prefix}.response.body", "body": b"the bill"})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    reached: bool


def ask(
    method: str,
    target: str,
    headers: dict[str, str] | list[tuple[str, str]],
    *,
    kind: str = "http",
    server: str = "127.0.0.1",
    listening_at: str = "127.0.0.1",
    public: str = "",
) -> Answer:
    """One request to the middleware, as the server hands it over."""
    app, sent = App(), []
    path, _, query = target.partition("?")
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    if "host" not in dict(pairs):
        pairs = [("host", "127.0.0.1:3000"), *pairs]
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in pairs],
        "server": (server, 3000),
        "extensions": {"websocket.http.response": {}},
    }

    async def send(message: dict) -> None:
        sent.append(message)

    async def receive() -> dict:
        raise AssertionError("nothing of the body is needed to decide")

    asyncio.run(SameOriginMiddleware(app, listening_at, public_origin(public, "url"))(scope, receive, send))
    answered = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], answered, bool(app.got))


OWN = "http://127.0.0.1:3000"
DECIDED = [
    # what a browser does for the UI's own pages
    ("a page that was typed", "GET", "/runs", {"sec-fetch-site": "none"}, PASSES),
    ("a script of its page", "GET", "/x.js", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "no-cors"}, PASSES),
    ("a question", "POST", "/graphql", JSON | {"origin": OWN, "sec-fetch-site": "same-origin"}, PASSES),
    ("a charset", "POST", "/graphql", {"content-type": "Application/JSON; charset=utf-8", "origin": OWN}, PASSES),
    ("a link from a mail or a chat", "GET", "/runs/1", LINK, PASSES),
    ("a page for GraphQL", "GET", "/graphql", {"accept": "text/html", "sec-fetch-site": "none"}, PASSES),
    # programs
    ("curl", "POST", "/graphql", JSON, PASSES),
    ("a health check", "GET", "/server_info", {}, PASSES),
    # changes that a foreign page asks for
    ("a form", "POST", "/graphql", {"content-type": "text/plain", "origin": "http://evil.example"}, 403),
    ("a form without Origin", "POST", "/graphql", {"content-type": "text/plain"}, 415),
    ("JSON by its name only", "POST", "/graphql", {"content-type": "text/plain; application/json"}, 415),
    ("JSON by its start only", "POST", "/graphql", {"content-type": "application/json-seq"}, 415),
    ("two types in one", "POST", "/graphql", {"content-type": "application/json, text/plain"}, 415),
    ("the old GraphQL type", "POST", "/graphql", {"content-type": "application/graphql"}, 415),
    ("a form with files", "POST", "/graphql", {"content-type": "multipart/form-data; boundary=x"}, 415),
    ("no type", "POST", "/report_asset_materialization/digest_email", {}, 415),
    ("JSON from elsewhere", "POST", "/graphql", JSON | {"origin": "http://evil.example"}, 403),
    ("from another port here", "POST", "/graphql", JSON | {"origin": "http://127.0.0.1:8000"}, 403),
    ("from localhost to 127.0.0.1", "POST", "/graphql", JSON | {"origin": "http://localhost:3000"}, 403),
    ("from https to http", "POST", "/graphql", JSON | {"origin": "https://127.0.0.1:3000"}, 403),
    ("a sandboxed frame", "POST", "/graphql", JSON | {"origin": "null"}, 403),
    ("a name that begins alike", "POST", "/graphql", JSON | {"origin": f"{OWN}.evil.example"}, 403),
    ("a sibling by Sec-Fetch-Site", "POST", "/graphql", JSON | {"sec-fetch-site": "same-site"}, 403),
    ("a stranger by Sec-Fetch-Site", "POST", "/graphql", JSON | {"origin": OWN, "sec-fetch-site": "cross-site"}, 403),
    ("a form that opens a page", "POST", "/graphql", JSON | LINK, 403),
    ("a preflight", "OPTIONS", "/graphql", {"origin": "http://evil.example"}, 403),
    ("another method", "PUT", "/graphql", JSON | {"origin": "http://evil.example"}, 403),
    # changes by an address: Dagster executes them, whoever asks
    ("a mutation as an image", "GET", "/graphql?query=mutation%7Bx%7D", {}, 403),
    ("a question by address", "GET", "/graphql?query=%7B__typename%7D", {"sec-fetch-site": "same-origin"}, 403),
    ("a link with a question", "GET", "/graphql?query=", LINK, 403),
    ("a key in code", "GET", "/graphql?%71uery=mutation%7Bx%7D", {}, 403),
    ("behind a prefix", "GET", "/dagster/graphql/?a=1&query=x", {}, 403),
    ("in a POST", "POST", "/graphql?query=mutation%7Bx%7D", JSON, 403),
    ("a search of a page", "GET", "/runs?query=x", {}, PASSES),
    # reading
    ("an image", "GET", "/favicon.png", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
    ("a frame", "GET", "/", FRAME, 403),
    ("a script that reads", "GET", "/server_info", {"origin": "http://evil.example"}, 403),
    ("a script that poses as a link", "GET", "/", LINK | {"origin": "http://evil.example"}, 403),
    ("a head", "HEAD", "/", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
    # another name: DNS rebinding
    ("a rebound name", "GET", "/", {"host": "evil.example:3000"}, 421),
    ("and its own origin", "POST", "/graphql", JSON | {"host": "evil.example", "origin": "http://evil.example"}, 421),
    ("a name that ends alike", "GET", "/", {"host": "evil-localhost:3000"}, 421),
    ("a name below", "GET", "/", {"host": "127.0.0.1.evil.example:3000"}, 421),
    ("a user in the name", "GET", "/", {"host": "localhost@evil.example"}, 421),
    ("an address that is not its own", "GET", "/", {"host": "192.0.2.7:3000"}, 421),
    ("no name", "GET", "/", {"host": ""}, 421),
    ("localhost", "GET", "/", {"host": "LocalHost:3000"}, PASSES),
    ("IPv6", "POST", "/graphql", JSON | {"host": "[::1]:3000", "origin": "http://[::1]:3000"}, PASSES),
    ("a tunnel", "POST", "/graphql", JSON | {"host": "localhost:9000", "origin": "http://localhost:9000"}, PASSES),
]


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"), [c[1:] for c in DECIDED], ids=[c[0] for c in DECIDED]
)
def test_each_request_is_answered_as_the_table_says(method: str, target: str, headers: dict, status: int) -> None:
    """What is refused never reaches Dagster; what is answered goes to it."""
    answer = ask(method, target, headers)
    assert (answer.status, answer.reached) == (status, status == PASSES)


@pytest.mark.parametrize("name", ["host", "origin", "content-type", "sec-fetch-site"])
def test_a_header_that_decides_is_there_once(name: str) -> None:
    """Dagster takes the first of two content types; nobody has to know which one of two is looked at."""
    right = {"host": "127.0.0.1:3000", "origin": OWN, "content-type": "application/json", "sec-fetch-site": "none"}
    assert ask("POST", "/graphql", right).status == PASSES
    twice = ask("POST", "/graphql", [*right.items(), (name, "evil.example")])
    assert (twice.status, twice.reached) == (400, False)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": OWN}, PASSES),
        ({}, PASSES),  # no browser
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:8000"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example:3000", "origin": "http://evil.example:3000"}, 421),
    ],
)
def test_a_live_connection_is_made_by_own_pages_only(headers: dict, status: int) -> None:
    """A WebSocket is not held to one origin by the browser: the server has to look."""
    answer = ask("GET", "/graphql", headers, kind="websocket")
    assert (answer.status, answer.reached) == (status, status == PASSES)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("finops.example.com", "https://finops.example.com", PASSES),
        ("finops.example.com:443", "https://finops.example.com", PASSES),
        ("FinOps.example.com", None, PASSES),
        ("finops.example.com", "http://finops.example.com", 403),  # what somebody in the network may put there
        ("finops.example.com", "https://finops.example.com:8443", 403),
        ("finops.example.com", "https://sibling.example.com", 403),
        ("finops.example.com:8443", None, 421),
        ("sibling.example.com", None, 421),
        ("10.40.1.7:3000", None, PASSES),  # the load balancer's health check: the address of the task
        ("10.40.1.8:3000", None, 421),
        ("127.0.0.1:3000", None, PASSES),  # the container's own, and a tunnel
    ],
)
def test_behind_a_load_balancer_the_own_origin_is_the_configured_one(
    host: str, origin: str | None, status: int
) -> None:
    """The webserver sees plain HTTP: the scheme is that of the configured address, whatever a header says."""
    headers = JSON | {"host": host, "x-forwarded-proto": "http", "x-forwarded-host": "sibling.example.com"}
    headers |= {} if origin is None else {"origin": origin}
    behind = {"server": "10.40.1.7", "listening_at": "0.0.0.0", "public": f"{PUBLIC}/"}
    answer = ask("POST", "/graphql", headers, **behind)
    assert (answer.status, answer.reached) == (status, status == PASSES)


@pytest.mark.parametrize(
    ("listening_at", "server", "host", "status"),
    [
        ("box.lan", "192.168.1.5", "box.lan:3000", PASSES),
        ("0.0.0.0", "192.168.1.5", "192.168.1.5:3000", PASSES),
        ("0.0.0.0", "127.0.0.1", "0.0.0.0:3000", PASSES),  # the address that Dagster prints
        ("::", "::ffff:192.168.1.5", "192.168.1.5:3000", PASSES),
        ("::", "fd00::5", "[fd00::5]:3000", PASSES),
        ("0.0.0.0", "192.168.1.5", "box.lan:3000", 421),
        ("127.0.0.1", "127.0.0.1", "box.lan:3000", 421),
    ],
)
def test_what_it_was_told_to_listen_at_is_a_name_of_it(listening_at: str, server: str, host: str, status: int) -> None:
    """`finops dev --host`: that name, and the address at which a connection comes in."""
    assert ask("GET", "/", {"host": host}, listening_at=listening_at, server=server).status == status


@pytest.mark.parametrize("headers", [{}, {"host": "evil.example"}])
def test_no_answer_can_be_framed_or_read_by_another_origin(headers: dict[str, str]) -> None:
    """Each answer says so, those of Dagster and the refusals; none lets another origin in."""
    told = ask("GET", "/", headers).headers
    assert ("x-frame-options", "SAMEORIGIN") in told
    assert ("content-security-policy", "frame-ancestors 'self'") in told
    assert ("cross-origin-resource-policy", "same-origin") in told
    assert not [name for name, _ in told if name.startswith("access-control-")]


@pytest.mark.parametrize("url", ["finops.example.com", "ftp://finops.example.com", "https://", "https://a b"])
def test_an_address_of_the_ui_that_is_none_is_refused_by_name(url: str, tmp_path: Path) -> None:
    """`finops dev` says so in one line, before it starts anything."""
    with pytest.raises(SettingsError) as refused:
        public_origin(url, "alerts.dagster_url")
    assert refused.value.where == "alerts.dagster_url"
    done = CliRunner().invoke(main, ["dev"], env={"FINOPS_HOME": str(tmp_path), "FINOPS_ALERTS__DAGSTER_URL": url})
    assert done.exit_code == 2
    assert "alerts.dagster_url" in done.output


def test_dagster_dev_starts_no_webserver_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The webserver is replaced; a release of Dagster that starts another process than is known does not start."""
    from dagster._cli import dev

    started: list[list[str]] = []

    def as_dagster_does() -> None:
        for module in ("dagster_webserver", "dagster._daemon"):
            dev.open_ipc_subprocess([sys.executable, "-m", module, "--port", "1"])
        with pytest.raises(RuntimeError, match="dagster_ui"):
            dev.open_ipc_subprocess([sys.executable, "-m", "dagster_ui"])

    monkeypatch.setattr(dev, "open_ipc_subprocess", lambda command, **_: started.append(command))
    monkeypatch.setattr(dev, "dev_command", lambda prog_name: as_dagster_does())
    private.run_dev_command("finops_assets.defs.webserver")
    assert [command[2:] for command in started] == [
        ["finops_assets.defs.webserver", "--port", "1"],
        ["dagster._daemon", "--port", "1"],
    ]


# --- the image's webserver, with Dagster behind it -------------------------------------------------------------------


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of `deploy/start webserver`, without code location and database server."""
    home = tmp_path_factory.mktemp("webserver")
    (home / "workspace.yaml").write_text("load_from: []\n")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(home),
        "DAGSTER_HOME": str(home),
        "DAGSTER_UI_URL": PUBLIC,
        "DAGSTER_WEBSERVER_HOST": "127.0.0.1",
        "DAGSTER_WEBSERVER_PORT": str(port),
    }
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [ROOT / "deploy" / "start", "webserver"], cwd=home, env=environ, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.1)
        yield port
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM), "ECS's signal reaches the webserver, and ends it"
    finally:
        process.kill()
        process.wait()


TYPENAME = json.dumps({"query": "{ __typename }"})
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OTAxMjM0NQ==",
    "Sec-WebSocket-Protocol": "graphql-ws",
}


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/server_info", {}, 200),
        ("POST", "/graphql", JSON, 200),
        ("POST", "/graphql", JSON | {"Host": "finops.example.com", "Origin": PUBLIC}, 200),
        ("GET", "/graphql", UPGRADE, 101),
        ("GET", "/graphql", UPGRADE | {"Host": "finops.example.com", "Origin": PUBLIC}, 101),
        ("GET", "/runs", LINK, 200),
        ("GET", "/server_info", {"Host": "evil.example"}, 421),
        ("POST", "/graphql", {"Content-Type": "text/plain; application/json"}, 415),
        ("POST", "/graphql", JSON | {"Origin": "http://evil.example"}, 403),
        ("GET", "/graphql?query=%7B__typename%7D", {}, 403),
        ("GET", "/%67raphql?query=%7B__typename%7D", {}, 403),
        ("GET", "/graphql", UPGRADE | {"Origin": "http://evil.example"}, 403),
        ("GET", "/graphql", UPGRADE | {"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    ],
)
def test_the_image_serves_dagster_behind_it(
    webserver: int, method: str, target: str, headers: dict[str, str], status: int
) -> None:
    """Real requests, of which Dagster itself answers those that pass."""
    connection = http.client.HTTPConnection("127.0.0.1", webserver, timeout=30)
    connection.request(method, target, TYPENAME if method == "POST" else None, headers)
    response = connection.getresponse()
    body = b"" if response.status == 101 else response.read()
    connection.close()
    assert response.status == status
    answered = b'"__typename":"Query"' in body
    assert answered == (method == "POST" and status == 200)
