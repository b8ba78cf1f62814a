"""QuickSight data sets and SPICE ingestions: their life cycle, limits and failures. Dashboards are in dashboards.py."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import botocore.session
from werkzeug import Response

from standin.dashboards import Boards
from standin.data_sets import BYTES_PER_ROW, DataSet, Ingestion, filling_sql, input_columns, invalid, page, summary
from standin.faults import Call, ServiceError
from standin.others import denied, unknown

if TYPE_CHECKING:
    from standin.protocols import Answer
    from standin.server import StandIn

NEXT = {"INITIALIZED": "QUEUED", "QUEUED": "RUNNING", "RUNNING": "COMPLETED"}
MANUAL_REFRESHES = {"ENTERPRISE": 32, "STANDARD": 8}  # of a data set in a rolling 24 hours
TYPES = {
    **dict.fromkeys(("double", "float", "real", "decimal"), "DECIMAL"),
    **dict.fromkeys(("tinyint", "smallint", "int", "integer", "bigint"), "INTEGER"),
    **dict.fromkeys(("date", "timestamp"), "DATETIME"),
    "boolean": "BIT",
}
"""Athena's types as QuickSight takes them; anything else is a STRING."""


class QuickSight:
    """The API. For tests the knobs: fail_next, drop_next, hold_running, ignore_cancels, edition, refreshes_allowed,
    seconds_per_step.

    Without `seconds_per_step` an unfinished ingestion goes a step further at each DescribeIngestion of its data set,
    so that a client that polls sees every state and a test waits for none.
    """

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        self.edition = "ENTERPRISE"
        self.refreshes_allowed: int | None = None
        self.seconds_per_step: float | None = None
        self.data_sets: dict[str, DataSet] = {}
        self.ingestions: list[Ingestion] = []
        self._failures: list[dict[str, str]] = []
        self._drops: list[int] = []
        self._held = False
        self.ignore_cancels = False
        self.boards = Boards(self._arn, self._stand_in.clock, lambda: self.data_sets)

    def add_data_set(
        self,
        data_set_id: str,
        name: str = "",
        table: str = "finops_db.ou_breakdown",
        *,
        mode: str = "SPICE",
        sql: str = "",
    ) -> DataSet:
        """A data set over a table (or a query) that is there already, without an initial ingestion."""
        data_set = DataSet(
            id=data_set_id,
            name=name or data_set_id,
            sql=sql or f"SELECT * FROM {table}",
            arn=self._arn(f"dataset/{data_set_id}"),
            created=self._stand_in.clock(),
            mode=mode,
        )
        self.data_sets[data_set_id] = data_set
        return data_set

    def fail_next(self, error_type: str, message: str = "The data source refused the query.") -> None:
        """The next ingestion that would complete fails with this ErrorInfo."""
        if error_type not in _error_types():
            raise ValueError(f"{error_type} is not an IngestionErrorType of QuickSight")
        self._failures.append({"Type": error_type, "Message": message})

    def drop_next(self, rows: int) -> None:
        """The next ingestion that completes drops this many of its rows."""
        self._drops.append(rows)

    def hold_running(self, held: bool = True) -> None:
        """Ingestions stay RUNNING until they are let go with `hold_running(False)`."""
        self._held = held

    def answer(self, call: Call) -> Answer:
        operations = {
            "CreateDataSet": self._create_data_set,
            "UpdateDataSet": self._update_data_set,
            "DescribeDataSet": self._describe_data_set,
            "DeleteDataSet": self._delete_data_set,
            "ListDataSets": self._list_data_sets,
            "CreateIngestion": self._create_ingestion,
            "DescribeIngestion": self._describe_ingestion,
            "ListIngestions": self._list_ingestions,
            "CancelIngestion": self._cancel_ingestion,
        }
        operation = operations.get(call.operation) or self.boards.operation(call.operation)
        if operation is None:
            raise unknown(self._stand_in, call)
        with self._lock:
            self._check_account(call)
            self.boards.refuse_unsubscribed(call.operation)
            return operation(call.params)

    def _check_account(self, call: Call) -> None:
        account = call.params["AwsAccountId"]
        if not re.fullmatch("[0-9]{12}", account):
            raise invalid(_pattern_message(account, "awsAccountId", "^[0-9]{12}$"))
        if account != self._stand_in.account:
            path = "/".join(
                part
                for part in (
                    "dataset/" + call.params.get("DataSetId", "*"),
                    "ingestion/" + call.params["IngestionId"] if "IngestionId" in call.params else "",
                )
                if part
            )
            arn = f"arn:aws:quicksight:{self._stand_in.region}:{account}:{path}"
            raise denied(call, arn, because="no resource-based policy allows")

    def _create_data_set(self, params: dict[str, Any]) -> Answer:
        data_set_id = params["DataSetId"]
        if data_set_id in self.data_sets:
            raise ServiceError(
                "ResourceExistsException", f"DataSet {data_set_id} already exists", 409, {"ResourceType": "DATA_SET"}
            )
        self._check_rules(params)
        data_set = self.add_data_set(data_set_id, params["Name"], mode=params["ImportMode"], sql=filling_sql(params))
        data_set.request = params
        answer = {"Arn": data_set.arn, "DataSetId": data_set_id}
        if data_set.mode == "SPICE":
            ingestion = self._start(data_set, str(uuid4()), "INITIAL_INGESTION")
            answer |= {"IngestionArn": ingestion.arn, "IngestionId": ingestion.id}
        return _created(answer)

    def _update_data_set(self, params: dict[str, Any]) -> Answer:
        """What is not said again is gone; a SPICE data set is filled anew."""
        data_set = self._data_set(params)
        self._check_rules(params)
        data_set.name, data_set.mode, data_set.sql = params["Name"], params["ImportMode"], filling_sql(params)
        data_set.request = params
        answer = {"Arn": data_set.arn, "DataSetId": data_set.id}
        if data_set.mode == "SPICE":
            ingestion = self._start(data_set, str(uuid4()), "EDIT")
            answer |= {"IngestionArn": ingestion.arn, "IngestionId": ingestion.id}
        return answer | {"RequestId": str(uuid4())}

    def _check_rules(self, params: dict[str, Any]) -> None:
        """A data set with row-level security needs the rules' own, with the columns by which they are read."""
        secured = params.get("RowLevelPermissionDataSet")
        if secured is None:
            return
        rules = next((each for each in self.data_sets.values() if each.arn == secured["Arn"]), None)
        if rules is None:
            raise invalid(f"The row level permission dataset {secured['Arn']} is not found")
        if rules.request.get("UseAs") != "RLS_RULES":
            raise invalid("A row level permission dataset must be made with UseAs RLS_RULES")
        own = next(iter(params["PhysicalTableMap"].values()))
        names = {one["Name"] for of in own.values() for one in input_columns(of)}
        if not {"UserName", "GroupName"} & rules.columns or not rules.columns - {"UserName", "GroupName"} <= names:
            raise invalid(f"The row level permission dataset has the columns {sorted(rules.columns)}")

    def _describe_data_set(self, params: dict[str, Any]) -> Answer:
        data_set = self._data_set(params)
        return {
            "DataSet": summary(data_set)
            | {
                "PhysicalTableMap": data_set.request.get("PhysicalTableMap", {}),
                **{
                    name: data_set.request[name]
                    for name in ("LogicalTableMap", "RowLevelPermissionDataSet")
                    if name in data_set.request
                },
                "ConsumedSpiceCapacityInBytes": data_set.spice_rows * BYTES_PER_ROW,
            },
            "RequestId": str(uuid4()),
        }

    def _delete_data_set(self, params: dict[str, Any]) -> Answer:
        data_set = self._data_set(params)
        del self.data_sets[data_set.id]
        for ingestion in self._of(data_set):
            if not ingestion.finished:
                self._fail(ingestion, {"Type": "DATA_SET_DELETED", "Message": "The data set was deleted."})
        return {"Arn": data_set.arn, "DataSetId": data_set.id, "RequestId": str(uuid4())}

    def _list_data_sets(self, params: dict[str, Any]) -> Answer:
        return page([summary(each) for each in self.data_sets.values()], "DataSetSummaries", params)

    def _create_ingestion(self, params: dict[str, Any]) -> Answer:
        ingestion_id, request_type = params["IngestionId"], params.get("IngestionType", "FULL_REFRESH")
        if not re.fullmatch("[a-zA-Z0-9-_]{1,128}", ingestion_id):
            raise invalid(_pattern_message(ingestion_id, "ingestionId", "^[a-zA-Z0-9-_]+$"))
        data_set = self._data_set(params)
        if data_set.mode != "SPICE":
            raise invalid(f"DataSet {data_set.id} is not a SPICE dataset: it cannot be ingested")
        if request_type == "INCREMENTAL_REFRESH":
            raise invalid(f"DataSet {data_set.id} has no incremental refresh configured")
        if any(each.id == ingestion_id for each in self._of(data_set)):
            raise ServiceError(
                "ResourceExistsException",
                f"Ingestion {ingestion_id} already exists",
                409,
                {"ResourceType": "INGESTION"},
            )
        day_ago = self._stand_in.clock() - timedelta(hours=24)
        manual = [
            each
            for each in self._of(data_set)
            if each.request_type not in ("INITIAL_INGESTION", "EDIT") and each.created > day_ago
        ]
        limit = self.refreshes_allowed or MANUAL_REFRESHES[self.edition]
        if len(manual) >= limit:
            raise ServiceError(
                "LimitExceededException",
                f"The limit of {limit} manual refreshes of a dataset in 24 hours is exceeded",
                409,
                {"ResourceType": "INGESTION"},
            )
        ingestion = self._start(data_set, ingestion_id, request_type)
        return _created({"Arn": ingestion.arn, "IngestionId": ingestion_id, "IngestionStatus": ingestion.status})

    def _describe_ingestion(self, params: dict[str, Any]) -> Answer:
        data_set = self._data_set(params)
        ingestion = self._ingestion(data_set, params["IngestionId"])
        self._tick(data_set)
        return {"Ingestion": self._description(ingestion), "RequestId": str(uuid4())}

    def _list_ingestions(self, params: dict[str, Any]) -> Answer:
        data_set = self._data_set(params)
        if self.seconds_per_step is not None:
            self._tick(data_set)
        newest_first = reversed(self._of(data_set))
        return page([self._description(each) for each in newest_first], "Ingestions", params)

    def _cancel_ingestion(self, params: dict[str, Any]) -> Answer:
        ingestion = self._ingestion(self._data_set(params), params["IngestionId"])
        if not ingestion.finished and not self.ignore_cancels:
            ingestion.status, ingestion.ended = "CANCELLED", self._stand_in.clock()
            ingestion.error = {"Type": "INGESTION_CANCELED", "Message": "The ingestion was cancelled."}
        return {"Arn": ingestion.arn, "IngestionId": ingestion.id, "RequestId": str(uuid4())}

    def _start(self, data_set: DataSet, ingestion_id: str, request_type: str) -> Ingestion:
        now = self._stand_in.clock()
        if not self._unfinished(data_set):
            data_set.ticked_at = now
        ingestion = Ingestion(ingestion_id, data_set, now, request_type)
        self.ingestions.append(ingestion)
        return ingestion

    def _tick(self, data_set: DataSet) -> None:
        """Go on by one step, or by as many as the time that went by allows."""
        steps = 1
        if self.seconds_per_step is not None:
            now, since = self._stand_in.clock(), data_set.ticked_at or data_set.created
            steps = int((now - since).total_seconds() // self.seconds_per_step)
            data_set.ticked_at = since + timedelta(seconds=steps * self.seconds_per_step)
        for _ in range(steps):
            if not (unfinished := self._unfinished(data_set)):
                return
            for waiting in unfinished[1:]:
                waiting.status = "QUEUED"
            self._step(unfinished[0])

    def _step(self, ingestion: Ingestion) -> None:
        if ingestion.status != "RUNNING":
            ingestion.status = NEXT[ingestion.status]
        elif self._failures:
            self._fail(ingestion, self._failures.pop(0))
        elif not self._held:
            self._complete(ingestion)

    def _complete(self, ingestion: Ingestion) -> None:
        try:
            self._check_columns(ingestion.data_set)
            [(rows,)] = self._stand_in.athena.rows_of(f"SELECT count(*) FROM ({ingestion.data_set.sql}) AS ingested")
        except Exception as error:  # noqa: BLE001 - whatever the query dies of is what the ingestion fails with
            kind = "SQL_TABLE_NOT_FOUND" if re.search("(TABLE|SCHEMA)_NOT_FOUND", str(error)) else "SQL_EXCEPTION"
            kind = "SQL_SCHEMA_MISMATCH_ERROR" if str(error).startswith("SQL_SCHEMA: ") else kind
            self._fail(ingestion, {"Type": kind, "Message": str(error)})
            return
        ingestion.dropped = min(self._drops.pop(0), rows) if self._drops else 0
        ingestion.rows = ingestion.data_set.spice_rows = rows - ingestion.dropped
        ingestion.status, ingestion.ended = "COMPLETED", self._stand_in.clock()

    def _check_columns(self, data_set: DataSet) -> None:
        """The query must give the columns that the data set was made with, in their types."""
        declared = [
            one
            for table in data_set.request.get("PhysicalTableMap", {}).values()
            for one in input_columns(table.get("CustomSql", {}))
        ]
        if not declared:
            return
        actual = self._stand_in.athena.describe(data_set.sql)
        for one in declared:
            kind = TYPES.get(re.split(r"[(<]", actual.get(one["Name"], "none"))[0], "STRING")
            if one["Name"] not in actual or kind != one["Type"]:
                raise ValueError(f"SQL_SCHEMA: column {one['Name']} is {actual.get(one['Name'])}, not {one['Type']}")

    def _fail(self, ingestion: Ingestion, error: dict[str, str]) -> None:
        ingestion.status, ingestion.ended, ingestion.error = "FAILED", self._stand_in.clock(), error

    def _description(self, ingestion: Ingestion) -> dict[str, Any]:
        described: dict[str, Any] = {
            "Arn": ingestion.arn,
            "IngestionId": ingestion.id,
            "IngestionStatus": ingestion.status,
            "CreatedTime": ingestion.created.timestamp(),
            "RequestSource": "MANUAL",
            "RequestType": ingestion.request_type,
        }
        if ingestion.ended:
            described["IngestionTimeInSeconds"] = int((ingestion.ended - ingestion.created).total_seconds())
        if ingestion.rows is not None:
            described["IngestionSizeInBytes"] = ingestion.rows * BYTES_PER_ROW
            described["RowInfo"] = {
                "RowsIngested": ingestion.rows,
                "RowsDropped": ingestion.dropped,
                "TotalRowsInDataset": ingestion.rows,
            }
        if ingestion.error:
            described["ErrorInfo"] = ingestion.error
        unfinished = self._unfinished(ingestion.data_set)
        if ingestion in unfinished[1:]:
            # The model's own words: WaitingOnIngestion is the one that waits, QueuedIngestion the one that runs.
            described["QueueInfo"] = {"WaitingOnIngestion": ingestion.id, "QueuedIngestion": unfinished[0].id}
        return described

    def _of(self, data_set: DataSet) -> list[Ingestion]:
        return [each for each in self.ingestions if each.data_set is data_set]

    def _unfinished(self, data_set: DataSet) -> list[Ingestion]:
        return [each for each in self._of(data_set) if not each.finished]

    def _data_set(self, params: dict[str, Any]) -> DataSet:
        data_set_id = params["DataSetId"]
        if data_set_id not in self.data_sets:
            raise ServiceError(
                "ResourceNotFoundException", f"DataSet {data_set_id} is not found", 404, {"ResourceType": "DATA_SET"}
            )
        return self.data_sets[data_set_id]

    def _ingestion(self, data_set: DataSet, ingestion_id: str) -> Ingestion:
        for ingestion in self._of(data_set):
            if ingestion.id == ingestion_id:
                return ingestion
        raise ServiceError(
            "ResourceNotFoundException", f"Ingestion {ingestion_id} is not found", 404, {"ResourceType": "INGESTION"}
        )

    def _arn(self, path: str) -> str:
        return f"arn:aws:quicksight:{self._stand_in.region}:{self._stand_in.account}:{path}"


def _created(answer: dict[str, Any]) -> Response:
    body = answer | {"RequestId": str(uuid4())}
    return Response(json.dumps(body), status=201, content_type="application/json")


def _pattern_message(value: str, name: str, pattern: str) -> str:
    return (
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}"
    )


@cache
def _error_types() -> frozenset[str]:
    model = botocore.session.get_session().get_service_model("quicksight")
    return frozenset(model.shape_for("IngestionErrorType").enum)
