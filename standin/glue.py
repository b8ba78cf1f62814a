"""Glue's catalog as strict as AWS's: batch limits, errors per partition, pages, folded names. The rest is moto's."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from moto.backends import get_backend
from moto.core.exceptions import JsonRESTError
from werkzeug import Response

from standin.faults import Call, ServiceError

if TYPE_CHECKING:
    from botocore.model import Shape

    from standin.protocols import Answer
    from standin.server import StandIn

Values = tuple[str, ...]

NAMED = frozenset(  # operations whose member Name is a database's or a table's
    f"{verb}{noun}" for verb in ("Get", "Delete", "Update") for noun in ("Database", "Table")
)
BATCHES = {  # operation: its list, where an item keeps its values, and what the answer calls them
    "BatchCreatePartition": ("PartitionInputList", "Values", "PartitionValues"),
    "BatchUpdatePartition": ("Entries", "PartitionValueList", "PartitionValueList"),
    "BatchDeletePartition": ("PartitionsToDelete", "Values", "PartitionValues"),
}
LISTS = {  # operation: what it lists, and the most that Glue puts on a page
    "GetPartitions": ("Partitions", 1000),
    "GetTables": ("TableList", 100),
    "GetDatabases": ("DatabaseList", 100),
}


class Glue:
    """The strict layer, and for tests the knobs `page_size` and `fail_partitions`."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.page_size: int | None = None
        self._failures: dict[Values, tuple[str, int]] = {}

    def fail_partitions(self, failures: Mapping[Sequence[str], str], times: int = 1) -> None:
        """Batches answer these partitions with these error codes, so many times, and carry out the others."""
        self._failures |= {tuple(values): (code, times) for values, code in failures.items()}

    def answer(self, call: Call) -> Answer | Response:
        _check_limits(call)
        params = _folded(call.params)
        if call.operation in NAMED and "Name" in params:
            params["Name"] = params["Name"].lower()
        folded = _with(call, params)
        if call.operation in BATCHES:
            return self._batch(folded)
        if call.operation in LISTS:
            return self._list(folded)
        if call.operation in ("CreatePartition", "UpdatePartition"):
            self._check_values(params, [params["PartitionInput"].get("Values", [])])
        response = self._stand_in.moto(folded)
        if response.status_code == 400 and re.fullmatch("(Get|Update|Delete)Table", call.operation):
            return _reworded(response)
        return response

    def _batch(self, call: Call) -> Answer | Response:
        items, values_in_item, values_in_error = BATCHES[call.operation]
        asked = call.params[items]
        if call.operation != "BatchDeletePartition":
            self._check_values(call.params, [item[values_in_item] for item in asked])
        errors = []
        carried_out = []
        for item in asked:
            values = item[values_in_item]
            if code := self._failure(tuple(values)):
                detail = {"ErrorCode": code, "ErrorMessage": f"{code} while the batch was carried out"}
                errors.append({values_in_error: values, "ErrorDetail": detail})
            else:
                carried_out.append(item)
        if not carried_out:
            return {"Errors": errors}
        response = self._stand_in.moto(_with(call, call.params | {items: carried_out}))
        if response.status_code != 200:
            return response
        answer = json.loads(response.get_data())
        errors += answer.get("Errors") or []
        return {"Errors": errors} if errors else {}

    def _failure(self, values: Values) -> str | None:
        with self._lock:
            code, times = self._failures.get(values, ("", 0))
            if times:
                self._failures[values] = (code, times - 1)
            return code if times else None

    def _check_values(self, params: dict[str, Any], asked: list[list[str]]) -> None:
        catalog = get_backend("glue")[self._stand_in.account][self._stand_in.region]
        try:
            table = catalog.get_table(params["DatabaseName"], params["TableName"]).as_dict()
        except JsonRESTError:
            return  # moto answers that it is not there
        if any(len(values) != len(table.get("PartitionKeys", [])) for values in asked):
            raise ServiceError(
                "InvalidInputException", "The number of partition keys do not match the number of partition values"
            )

    def _list(self, call: Call) -> Answer | Response:
        name, most = LISTS[call.operation]
        response = self._stand_in.moto(call)
        if response.status_code != 200:
            return response
        listed = json.loads(response.get_data())[name]
        if call.operation == "GetTables" and (expression := call.params.get("Expression")):
            pattern = re.compile(re.sub(r"(?<![.\])])\*", ".*", expression))
            listed = [table for table in listed if pattern.fullmatch(table["Name"])]
        if call.params.get("ExcludeColumnSchema"):
            for partition in listed:
                partition.get("StorageDescriptor", {}).pop("Columns", None)
        if segment := call.params.get("Segment"):
            listed = listed[segment["SegmentNumber"] :: segment["TotalSegments"]]
        return self._page(listed, name, call.params, most)

    def _page(self, listed: list[Any], name: str, params: dict[str, Any], most: int) -> Answer:
        size = min(params.get("MaxResults", most), self.page_size or most)
        try:
            start = int(base64.b64decode(params.get("NextToken") or "", validate=True) or 0)
        except ValueError as error:
            raise ServiceError("InvalidInputException", "Invalid NextToken") from error
        page: Answer = {name: listed[start : start + size]}
        if start + size < len(listed):
            page["NextToken"] = base64.b64encode(str(start + size).encode()).decode()
        return page


def _with(call: Call, params: dict[str, Any]) -> Call:
    """The same call asking for something else."""
    body = json.dumps(params).encode()
    environ = {key: value for key, value in call.request.environ.items() if not key.startswith("werkzeug.")}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return replace(call, params=params, request=type(call.request)(environ))


def _folded(value: Any, name: str = "") -> Any:
    """Names of databases, tables and columns in lower case, as Glue keeps them."""
    if isinstance(value, dict):
        return {key: _folded(each, key) for key, each in _lower_name(value, name).items()}
    if isinstance(value, list):
        return [_folded(each, name) for each in value]
    return value.lower() if name in ("DatabaseName", "TableName", "TablesToDelete") else value


def _lower_name(value: dict[str, Any], name: str) -> dict[str, Any]:
    if name in ("DatabaseInput", "TableInput", "Columns", "PartitionKeys") and "Name" in value:
        return value | {"Name": value["Name"].lower()}
    return value


def _reworded(response: Response) -> Response:
    """GetTable, UpdateTable and DeleteTable do not name the table that they miss."""
    body = json.loads(response.get_data())
    if re.fullmatch("Table .* not found.", body.get("message", "")):
        response.set_data(json.dumps(body | {"message": "Entity Not Found", "Message": "Entity Not Found"}))
    return response


def _check_limits(call: Call) -> None:
    """The limits of the service's own model on lists and numbers, in AWS's words."""
    input_shape = _model().operation_model(call.operation).input_shape
    faults = [
        f"Value '{_as_java(call.params[name], shape)}' at '{name[0].lower()}{name[1:]}' failed to satisfy constraint: "
        + fault
        for name, shape in input_shape.members.items()
        if name in call.params and (fault := _fault(call.params[name], shape))
    ]
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected"
        raise ServiceError("ValidationException", f"{count}: {'; '.join(faults)}")


def _fault(value: Any, shape: Shape) -> str | None:
    measured, what = {
        "list": (lambda: len(value), "length"),
        "integer": (lambda: value, "value"),
    }.get(shape.type_name, (lambda: None, ""))
    size, least, most = measured(), shape.metadata.get("min"), shape.metadata.get("max")
    if size is None:
        return None
    if most is not None and size > most:
        return f"Member must have {what} less than or equal to {most}"
    if least is not None and size < least:
        return f"Member must have {what} greater than or equal to {least}"
    return None


def _as_java(value: Any, shape: Shape) -> str:
    if shape.type_name != "list":
        return str(value)
    return f"[{', '.join(f'{shape.member.name}({_values(each)})' for each in value)}]"


def _values(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return f"values=[{', '.join(item.get('Values') or item.get('PartitionValueList') or ())}]"


@cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("glue")
