"""Requests held to AWS's own description of the API, before any call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from finops_assets.adapters.aws.quicksight.requests import Request
from finops_assets.core.errors import FinopsError


def faults(request: Request, account: str) -> list[str]:
    """Where a request does not fit AWS's own description of the API."""
    from botocore.validate import ParamValidator

    shape = _model().operation_model(f"Create{request.noun}").input_shape
    body = {"AwsAccountId": account, f"{request.noun}Id": request.id, **request.body}
    report = ParamValidator().validate(body, shape)
    return [*filter(None, report.generate_report().splitlines()), *_beyond(shape, body, "")]


@cache
def _model() -> Any:
    """Read once: it takes botocore a third of a second."""
    import botocore.session

    return botocore.session.get_session().get_service_model("quicksight")


def _beyond(shape: Any, value: Any, at: str) -> Iterator[str]:
    """What botocore leaves to the server to check: enumerations, patterns and lengths."""
    limits = shape.metadata
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, member in shape.members.items():
            if name in value:
                yield from _beyond(member, value[name], f"{at}.{name}")
        return
    if shape.type_name == "map" and isinstance(value, Mapping):
        for name, one in value.items():
            yield from _beyond(shape.value, one, f"{at}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _beyond(shape.member, one, f"{at}[{number}]")
    elif isinstance(value, str):
        yield from _beyond_text(shape, value, at)
    size = len(value) if isinstance(value, str | list | Mapping) else value
    if "max" in limits and isinstance(size, int | float) and not isinstance(size, bool) and size > limits["max"]:
        yield f"{at}: {size} is more than {limits['max']}"


def _beyond_text(shape: Any, value: str, at: str) -> Iterator[str]:
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{at}: {value!r} is none of {', '.join(shape.enum)}"
    # The model writes patterns for Java, which anchors them.
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern.removeprefix("^").removesuffix("$"), value):
        yield f"{at}: {value[:60]!r} does not match {pattern}"


def hold_to_model(planned: Sequence[Request], account: str) -> None:
    """Raise where a request does not fit the API; nothing was called."""
    for request in planned:
        if problems := faults(request, account):
            raise FinopsError(
                f"what would be sent does not fit AWS's API: {'; '.join(problems[:3])}"
                + (f" and {len(problems) - 3} more" if len(problems) > 3 else ""),
                where=request.where,
                fix="Update boto3, if this version is older than the API; otherwise please report it.",
            )
