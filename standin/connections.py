"""HTTP connections of the stand-in: kept open between requests, cut where a fault asks for it."""

from __future__ import annotations

import gzip
import socket
from http.server import ThreadingHTTPServer
from io import BytesIO
from typing import TYPE_CHECKING, Any

from moto.core.request import Request
from werkzeug.http import parse_set_header
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wsgi import LimitedStream

from standin.faults import ConnectionCut
from standin.protocols import HEADERS

if TYPE_CHECKING:
    from standin.server import StandIn


class Handler(WSGIRequestHandler):
    """HTTP with connections that stay open: werkzeug's own handler waits 10 ms and closes after each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = Request(self._read())
        try:
            response = self.server.stand_in.respond(request)
        except ConnectionCut:
            self.close_connection = True
            return
        chunks, status, headers = response.get_wsgi_response(request.environ)
        body = b"".join(chunks)
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name, _ in headers} and int(code) != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _read(self) -> dict[str, Any]:
        """The WSGI environment with the whole body read, so that the next request can follow on the connection."""
        environ = self.make_environ()
        if "chunked" in parse_set_header(environ.pop("HTTP_TRANSFER_ENCODING", None)):
            body = environ["wsgi.input"].read()
        else:
            body = LimitedStream(environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0)).read()
        headers = list(self.headers.items())
        if environ.get("HTTP_CONTENT_ENCODING") == "gzip" and "/s3/" not in environ.get("HTTP_AUTHORIZATION", ""):
            # Clients compress long requests; what S3 is given compressed it keeps so.
            body = gzip.decompress(body)
            del environ["HTTP_CONTENT_ENCODING"]
            headers = [(name, value) for name, value in headers if name.lower() != "content-encoding"]
        environ.pop("wsgi.input_terminated", None)
        return environ | {HEADERS: headers, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Calls are counted, not printed."""


class Server(ThreadingHTTPServer):
    """A thread a connection; closing it closes the connections that clients keep open, too."""

    daemon_threads = True
    block_on_close = False
    multithread, multiprocess, ssl_context, _server_version = True, False, None, "stand-in"
    request_queue_size = 128

    def __init__(self, port: int, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close(self) -> None:
        self.server_close()
        for connection in list(self._open):
            self.shutdown_request(connection)
