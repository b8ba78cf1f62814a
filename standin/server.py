"""The stand-in: recognises each call, lets a service or moto answer it, and refuses what nobody knows.

What the services do is in their own modules. moto's state belongs to the process: one StandIn at a time.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import unescape

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from moto.backends import list_of_moto_modules
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.model_instances import reset_model_data
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug import Response
from werkzeug.exceptions import NotFound

from standin import listings  # noqa: F401 - which moto uses from here on
from standin.athena import Athena
from standin.connections import Server
from standin.faults import Call, Calls, ConnectionCut, Faults, ServiceError
from standin.glue import Glue
from standin.infrastructure import Infrastructure
from standin.mail import Mail
from standin.organizations import Organizations
from standin.others import Metrics, Topics
from standin.protocols import (
    HEADERS,
    REGION,
    RPC_PATH,
    Answer,
    answer_response,
    cbor,
    error_response,
    is_rpc,
    json_value,
    parameters,
    rpc_from_json,
    service_of,
)
from standin.quicksight import QuickSight

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def utc_now() -> datetime:
    return datetime.now(UTC)


class Service(Protocol):
    """What answers the calls of one AWS service; `None` lets moto answer."""

    def answer(self, call: Call) -> Answer | None: ...

    def reset(self) -> None: ...


class StandIn:
    """An AWS in this process. Clients reach it by `environ`, or by `client()`."""

    region = REGION
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
        self._server = Server(self._port, self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="stand-in", daemon=True).start()

    def stop(self) -> None:
        self.reset()
        self._services["athena"].close()  # a test may have put another one for the other services to ask
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
        if is_rpc(request):
            # moto knows CloudWatch in the JSON protocol only, so the call is told to it in that.
            path, body = "/", json.dumps(call.params, default=json_value).encode()
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
        return rpc_from_json(call, response) if is_rpc(request) else response

    def respond(self, request: Request) -> Response:
        """Answer one HTTP request.

        Raises:
            ConnectionCut: the connection is to be cut instead.
        """
        service = "s3"
        request.get_data()  # kept from here on: a form that is parsed first would use the body up
        try:
            service, region = service_of(request)
            again = _invocation(request)
            if again in self._answered:
                return self._answered[again]
            call = self._recognise(request, service, region)
            self.calls.add(call)
            with self.faults.around(call):
                answer = self.infrastructure.answer(call)
                if answer is None and service in self._services:
                    answer = self._services[service].answer(call)
                response = self.moto(call) if answer is None else answer_response(call, answer)
                if again and response.status_code < 300:
                    self._answered[again] = response
        except ServiceError as error:
            return error_response(request, service, error)
        except ConnectionCut:
            raise
        except Exception as error:  # noqa: BLE001 - a 500 would be retried by clients, and the defect hidden
            self.refused.append(f"{service}: {error!r}")
            return error_response(
                request, service, ServiceError("StandInFailed", f"The stand-in AWS failed: {error!r}")
            )
        return response

    def _recognise(self, request: Request, service: str, region: str) -> Call:
        try:
            model = get_service_model(service)
        except UnknownServiceError:
            raise self._unknown(service, request.headers.get("X-Amz-Target", request.path)) from None
        if is_rpc(request):
            operation = RPC_PATH.fullmatch(request.path)[1]
            params = cbor(request.get_data())
        else:
            try:
                found, uri_params = get_service_router(service).match(request)
            except NotFound:
                what = request.headers.get("X-Amz-Target") or request.values.get("Action") or request.path
                raise self._unknown(service, what) from None
            operation = found.name
            params = parameters(request, found, determine_request_protocol(model, request.content_type), uri_params)
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
