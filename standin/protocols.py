"""The protocols of AWS's services: which service and operation a request is for, and answers and errors in its form."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from botocore.parsers import PROTOCOL_PARSERS as ANSWER_PARSERS
from botocore.serialize import CBORSerializer
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request
from moto.core.utils import get_service_model
from werkzeug import Response
from werkzeug.datastructures import Headers

from standin.faults import Call, ServiceError

Answer = dict[str, Any] | Response


SIGNED_AS = {"monitoring": "cloudwatch", "ses": "sesv2"}
"""Services that sign with another name than botocore's; version 1 of SES signs as `ses` too, and is not known here."""


CREDENTIAL = re.compile(r"[^/=\s]+/\d{8}/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9.-]+)/aws4_request")
REGION = "us-east-1"
RPC_PATH = re.compile(r"/service/[^/]+/operation/(\w+)")
"""Path of smithy-rpc-v2-cbor, which botocore speaks to CloudWatch and moto does not know."""


HEADERS = "stand_in.headers"
"""The headers as they came: a WSGI environment confuses `_` and `-`, which S3's metadata tell apart."""


def service_of(request: Request) -> tuple[str, str]:
    """Service and region of the request's signature; a request without one can only be S3's."""
    signed = request.headers.get("Authorization") or unquote(request.args.get("X-Amz-Credential", ""))
    if not (scope := CREDENTIAL.search(signed)):
        return "s3", REGION
    service = scope["service"]
    if service == "ses" and not request.path.startswith("/v2/email"):
        return "ses", scope["region"]
    return SIGNED_AS.get(service, service), scope["region"]


def is_rpc(request: Request) -> bool:
    return request.headers.get("smithy-protocol") == "rpc-v2-cbor"


def parameters(request: Request, operation: Any, protocol: str, uri_params: dict[str, Any]) -> dict[str, Any]:
    """The call's members by their API names: those of a JSON body as they are in it, S3's bodies left out."""
    body = request.get_data()
    from_body = json.loads(body) if body and protocol in ("json", "rest-json") else {}
    if protocol == "json":
        return from_body
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
    return {name: value for name, value in parsed.items() if value not in (None, b"")} | from_body


def cbor(body: bytes) -> dict[str, Any]:
    parser = ANSWER_PARSERS["smithy-rpc-v2-cbor"]()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}


def json_value(value: object) -> float | str:
    """Timestamps are seconds since the epoch in AWS's JSON protocols."""
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} has no place in an answer")


def answer_response(call: Call, answer: Answer) -> Response:
    """The answer in the protocol of the call."""
    if isinstance(answer, Response):
        return answer
    if is_rpc(call.request):
        return _rpc(call, answer)
    kind = "application/x-amz-json-1.1" if "X-Amz-Target" in call.request.headers else "application/json"
    return Response(json.dumps(answer, default=json_value), content_type=kind)


def _rpc(call: Call, answer: dict[str, Any]) -> Response:
    body, serializer = bytearray(), CBORSerializer()
    shape = get_service_model(call.service).operation_model(call.operation).output_shape
    if shape is not None:
        serializer._serialize_data_item(body, answer, shape)  # noqa: SLF001  (botocore has no public CBOR)
    return Response(bytes(body), content_type="application/cbor", headers={"smithy-protocol": "rpc-v2-cbor"})


def rpc_from_json(call: Call, response: Response) -> Response:
    answer = json.loads(response.get_data() or b"{}")
    if response.status_code >= 400:
        code = str(answer.get("__type", "InternalError")).rpartition("#")[2]
        return error_response(
            call.request, call.service, ServiceError(code, answer.get("message", ""), response.status_code, {})
        )
    return _rpc(call, answer)


def error_response(request: Request, service: str, error: ServiceError) -> Response:
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
    fields = {"__type": error.code, "message": error.message, "Message": error.message, **error.fields}
    if is_rpc(request):
        headers["smithy-protocol"] = "rpc-v2-cbor"
        return Response(_cbor_map(fields), error.status, headers, content_type="application/cbor")
    return Response(
        json.dumps(fields, default=json_value), error.status, headers, content_type="application/x-amz-json-1.1"
    )


def _cbor_map(texts: dict[str, Any]) -> bytes:
    """A map of texts, which no shape of botocore's describes, as CBOR."""

    def text(value: str) -> bytes:
        return b"\x7a" + len(value.encode()).to_bytes(4, "big") + value.encode()

    return b"\xba" + len(texts).to_bytes(4, "big") + b"".join(text(k) + text(str(v)) for k, v in texts.items())
