"""The stand-in's HTTP side: recognises each call, lets a service or moto answer it, and refuses what nobody knows.

What the services do is in their own modules. moto's state belongs to the process: one StandIn at a time.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from http.server import ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from botocore.parsers import PROTOCOL_PARSERS as ANSWER_PARSERS
from botocore.serialize import CBORSerializer
from moto.backends import list_of_moto_modules
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.model_instances import reset_model_data
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug import Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound
from werkzeug.http import parse_set_header
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wsgi import LimitedStream

from standin.athena import Athena
from standin.faults import Call, Calls, ConnectionCut, Faults, ServiceError
from standin.glue import Glue
from standin.infrastructure import Infrastructure
from standin.mail import Mail
from standin.organizations import Organizations
from standin.others import Metrics, Topics
from standin.quicksight import QuickSight

__all__ = ["Answer", "Call", "Service", "ServiceError", "StandIn", "utc_now"]

Answer = dict[str, Any] | Response
SIGNED_AS = {"monitoring": "cloudwatch", "ses": "sesv2"}
"""Services that sign with another name than botocore's; version 1 of SES signs as `ses` too, and is not known here."""

CREDENTIAL = re.compile(r"[^/=\s]+/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9.-]+)/aws4_request")
RPC_PATH = re.compile(r"/service/[^/]+/operation/(\w+)")
"""Path of smithy-rpc-v2-cbor, which botocore speaks to CloudWatch and moto does not know."""

HEADERS = "stand_in.headers"
"""The headers as they came: a WSGI environment confuses `_` and `-`, which S3's metadata tell apart."""

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Service(Protocol):
    """What answers the calls of one AWS service; `None` lets moto answer."""

    def answer(self, call: Call) -> Answer | None: ...

    def reset(self) -> None: ...


class StandIn:
    """An AWS in this process. Clients reach it by `environ`, or by `client()`."""

    region = "us-east-1"
    account = "123456789012"

    def __init__(self, folder: Path, *, port: int = 0, clock: Callable[[], datetime] = utc_now) -> None:
        self.folder, self.clock = Path(folder), clock
        self.calls, self.faults, self.refused = Calls(), Faults(), []
        self.moto_lock = threading.RLock()
        self.athena, self.quicksight, self.mail = Athena(self), QuickSight(self), Mail(self)
        self.organizations, self.glue = Organizations(self), Glue(self)
        self.topics, self.metrics = Topics(self), Metrics(self)
        self.infrastructure = Infrastructure(self)
        self._services: dict[str, Service] = {
            "athena": self.athena,
            "quicksight": self.quicksight,
            "sesv2": self.mail,
            "organizations": self.organizations,
            "glue": self.glue,
            "sns": self.topics,
            "cloudwatch": self.metrics,
        }
        self._moto = BotocoreStubber()
        self._port, self._server = port, None
        self._clients: dict[tuple[str, str], Any] = {}
        self._answered: dict[str, Response] = {}
        self._session = boto3.Session()  # one for all clients: each session reads the service models anew

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        """What an unmodified client needs in its environment to reach this and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEYS[0],
            "AWS_SECRET_ACCESS_KEY": KEYS[1],
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def __enter__(self) -> StandIn:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reset()
        self._server = _Server(self._port, self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="stand-in", daemon=True).start()

    def stop(self) -> None:
        self.reset()
        if self._server:
            self._server.shutdown()
            self._server.close()
            self._server = None

    def reset(self) -> None:
        """Empty everything: buckets, tables, queries, mails, counts and faults."""
        self.faults.reset()
        for service in (*self._services.values(), self.infrastructure):
            service.reset()
        with self.moto_lock:
            BackendDict.reset()
            reset_model_data()
        self.calls.reset()
        self.refused.clear()
        self._answered.clear()

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client of this stand-in; `config` are settings of botocore's Config."""
        plain = (service, self.url) if not config else None  # making one costs more than most calls
        if plain in self._clients:
            return self._clients[plain]
        client = self._session.client(
            service,
            region_name=config.pop("region_name", self.region),
            endpoint_url=self.url,
            aws_access_key_id=KEYS[0],
            aws_secret_access_key=KEYS[1],
            config=Config(**config),
        )
        if plain:
            self._clients[plain] = client
        return client

    def moto(self, call: Call) -> Response:
        """moto's answer to the call, in the protocol that the call came in."""
        model, request, body = get_service_model(call.service), call.request, call.request.get_data()
        headers = {name: value for name, value in request.environ[HEADERS] if name.lower() != "content-length"}
        path = Request(request.environ).raw_path
        if _is_rpc(request):
            # moto knows CloudWatch in the JSON protocol only, so the call is told to it in that.
            path, body = "/", json.dumps(call.params, default=_json).encode()
            target = f"{model.metadata['targetPrefix']}.{call.operation}"
            headers |= {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
        # moto's own server needs Flask; what it does within a process needs the address that AWS would have.
        url = f"https://{model.endpoint_prefix}.{call.region}.amazonaws.com{path}"
        url += f"?{request.query_string.decode()}" if request.query_string else ""
        with self.moto_lock:
            try:
                status, headers, body = self._moto.process_request(
                    AWSPreparedRequest(request.method, url, headers, body, stream_output=False)
                )
            except NotImplementedError:
                raise self._unknown(call.service, call.operation) from None
        response = Response(body, status, headers)
        if request.method == "HEAD" and "content-length" in headers:
            response.headers["Content-Length"] = headers["content-length"]
        return _rpc_from_json(call, response) if _is_rpc(request) else response

    def respond(self, request: Request) -> Response:
        """Answer one HTTP request.

        Raises:
            ConnectionCut: the connection is to be cut instead.
        """
        service = "s3"
        request.get_data()  # kept from here on: a form that is parsed first would use the body up
        try:
            service, region = _service_of(request)
            again = _invocation(request)
            if again in self._answered:
                return self._answered[again]
            call = self._recognise(request, service, region)
            self.calls.add(call)
            with self.faults.around(call):
                answer = self.infrastructure.answer(call)
                if answer is None and service in self._services:
                    answer = self._services[service].answer(call)
                response = self.moto(call) if answer is None else _encoded(call, answer)
                if again and response.status_code < 300:
                    self._answered[again] = response
        except ServiceError as error:
            return _error(request, service, error)
        except ConnectionCut:
            raise
        except Exception as error:  # noqa: BLE001 - a 500 would be retried by clients, and the defect hidden
            self.refused.append(f"{service}: {error!r}")
            return _error(request, service, ServiceError("StandInFailed", f"The stand-in AWS failed: {error!r}"))
        return response

    def _recognise(self, request: Request, service: str, region: str) -> Call:
        try:
            model = get_service_model(service)
        except UnknownServiceError:
            raise self._unknown(service, request.headers.get("X-Amz-Target", request.path)) from None
        if _is_rpc(request):
            operation = RPC_PATH.fullmatch(request.path)[1]
            params = _cbor(request.get_data())
        else:
            try:
                found, uri_params = get_service_router(service).match(request)
            except NotFound:
                what = request.headers.get("X-Amz-Target") or request.values.get("Action") or request.path
                raise self._unknown(service, what) from None
            operation = found.name
            params = _params(request, found, determine_request_protocol(model, request.content_type), uri_params)
            if (service, operation) == ("s3", "DeleteObjects"):  # which alone names its objects in its body
                params["Keys"] = [
                    unescape(key) for key in re.findall("<Key>(.*?)</Key>", request.get_data(as_text=True))
                ]
        known = self.infrastructure.knows(service, operation) or service in self._services
        if not known and service not in _modules_of_moto():
            raise self._unknown(service, operation)
        return Call(service, operation, params, region, self.clock(), request)

    def _unknown(self, service: str, operation: str) -> ServiceError:
        self.refused.append(f"{service} {operation}")
        return ServiceError("StandInDoesNotKnow", f"The stand-in AWS does not know {operation} of {service}.")


@cache
def _modules_of_moto() -> frozenset[str]:
    """They are folders: looking through them at each call would be a twentieth of the tests' time."""
    return frozenset(list_of_moto_modules())


def _invocation(request: Request) -> str:
    """The name of a call of Terraform's, the same when it is tried again; of other clients nothing.

    Now and then Terraform does not get an answer that was given (in 3 of 60 applies on a busy machine; why is not
    known), asks again, and would be told that what it makes is there. On AWS a person would import it.
    """
    from_terraform = "terraform" in request.headers.get("User-Agent", "").lower()
    return request.headers.get("Amz-Sdk-Invocation-Id", "") if from_terraform else ""


def _service_of(request: Request) -> tuple[str, str]:
    """Service and region of the request's signature; a request without one can only be S3's."""
    signed = request.headers.get("Authorization") or unquote(request.args.get("X-Amz-Credential", ""))
    if not (scope := CREDENTIAL.search(signed)):
        return "s3", StandIn.region
    service = scope["service"]
    if service == "ses" and not request.path.startswith("/v2/email"):
        return "ses", scope["region"]
    return SIGNED_AS.get(service, service), scope["region"]


def _is_rpc(request: Request) -> bool:
    return request.headers.get("smithy-protocol") == "rpc-v2-cbor"


def _params(request: Request, operation: Any, protocol: str, uri_params: dict[str, Any]) -> dict[str, Any]:
    """The call's members by their API names: those of a JSON body as they are in it, S3's bodies left out."""
    body = request.get_data()
    told = json.loads(body) if body and protocol in ("json", "rest-json") else {}
    if protocol == "json":
        return told
    parsed = PROTOCOL_PARSERS[protocol](operation).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": b"",
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return {name: value for name, value in parsed.items() if value not in (None, b"")} | told


def _cbor(body: bytes) -> dict[str, Any]:
    parser = ANSWER_PARSERS["smithy-rpc-v2-cbor"]()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}


def _json(value: object) -> float | str:
    """Timestamps are seconds since the epoch in AWS's JSON protocols."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} has no place in an answer")


def _encoded(call: Call, answer: Answer) -> Response:
    """The answer in the protocol of the call."""
    if isinstance(answer, Response):
        return answer
    if _is_rpc(call.request):
        return _rpc(call, answer)
    kind = "application/x-amz-json-1.1" if "X-Amz-Target" in call.request.headers else "application/json"
    return Response(json.dumps(answer, default=_json), content_type=kind)


def _rpc(call: Call, answer: dict[str, Any]) -> Response:
    body, serializer = bytearray(), CBORSerializer()
    shape = get_service_model(call.service).operation_model(call.operation).output_shape
    if shape is not None:
        serializer._serialize_data_item(body, answer, shape)
    return Response(bytes(body), content_type="application/cbor", headers={"smithy-protocol": "rpc-v2-cbor"})


def _rpc_from_json(call: Call, response: Response) -> Response:
    told = json.loads(response.get_data() or b"{}")
    if response.status_code >= 400:
        code = str(told.get("__type", "InternalError")).rpartition("#")[2]
        return _error(call.request, call.service, ServiceError(code, told.get("message", ""), response.status_code, {}))
    return _rpc(call, told)


def _error(request: Request, service: str, error: ServiceError) -> Response:
    """The error in the form of the request's protocol."""
    code, message = escape(error.code), escape(error.message)
    if service == "s3":
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Response("" if request.method == "HEAD" else body, error.status, content_type="application/xml")
    if request.content_type and request.content_type.startswith("application/x-www-form-urlencoded"):
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>"
        )
        return Response(body, error.status, content_type="text/xml")
    # The awsQueryCompatible services (SQS, CloudWatch) name the code clients see in a header of its own.
    headers = Headers({"x-amzn-errortype": error.code, "x-amzn-query-error": f"{error.code};Sender"})
    told = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
    if _is_rpc(request):
        headers["smithy-protocol"] = "rpc-v2-cbor"
        return Response(_cbor_map(told), error.status, headers, content_type="application/cbor")
    return Response(json.dumps(told, default=_json), error.status, headers, content_type="application/x-amz-json-1.1")


def _cbor_map(texts: dict[str, Any]) -> bytes:
    """A map of texts, which no shape of botocore's describes, as CBOR."""

    def text(value: str) -> bytes:
        return b"\x7a" + len(value.encode()).to_bytes(4, "big") + value.encode()

    return b"\xba" + len(texts).to_bytes(4, "big") + b"".join(text(k) + text(str(v)) for k, v in texts.items())


class _Handler(WSGIRequestHandler):
    """HTTP with connections that stay open: werkzeug's own handler waits 10 ms and closes after each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

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


class _Server(ThreadingHTTPServer):
    """A thread a connection; closing it closes the connections that clients keep open, too."""

    daemon_threads = True
    block_on_close = False
    multithread, multiprocess, ssl_context, _server_version = True, False, None, "stand-in"
    request_queue_size = 128

    def __init__(self, port: int, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

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
