# ruff: noqa: INP001  (a script of the image, in no package)
"""Whether a process of the deployment does its work: `healthcheck.py code|webserver|daemon|started`; exit code 0 or 1.

`started` is the one that `start` began in this container; a run, or a command, has none and is well.

Each check also asks the database by a way of its own. A password that was rotated is in the environment of tasks
that start afterwards, and not of this one: it fails here, and is replaced.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import urllib.request
from pathlib import Path

SECONDS = 10


def code() -> str:
    """The gRPC server serves, and the database lets its sensors in."""
    import grpc
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
    from grpc_health.v1.health_pb2_grpc import HealthStub

    try:
        with grpc.insecure_channel(f"127.0.0.1:{os.environ.get('DAGSTER_GRPC_PORT', '4000')}") as channel:
            answer = HealthStub(channel).Check(HealthCheckRequest(service="DagsterApi"), timeout=SECONDS)
    except grpc.RpcError as error:
        return f"the code server does not answer: {error.code().name}"
    serving = answer.status == HealthCheckResponse.SERVING
    return database() if serving else "the code server does not serve yet"


def webserver() -> str:
    """The webserver answers a question that takes the database."""
    question = json.dumps({"query": "{ runsOrError(limit: 1) { __typename } }"}).encode()
    url = f"http://127.0.0.1:{os.environ.get('DAGSTER_WEBSERVER_PORT', '3000')}/graphql"
    request = urllib.request.Request(url, question, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310  (our own address)
            answer = json.load(response)
    except (OSError, ValueError) as error:
        return f"the webserver does not answer: {error}"
    found = (answer.get("data") or {}).get("runsOrError", {}).get("__typename")
    return database() if found == "Runs" else f"the webserver cannot list runs: {answer}"


def daemon() -> str:
    """Every part of the daemon has left a heartbeat in the database lately."""
    from dagster import DagsterInstance

    from finops_assets.defs.private import all_daemons_live

    with DagsterInstance.get() as instance:
        return "" if all_daemons_live(instance, 300) else "a daemon's heartbeat is missing"


def database() -> str:
    """A new connection can be made."""
    import psycopg2

    place = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DB"}
    try:
        psycopg2.connect(
            **{word: os.environ[f"DAGSTER_POSTGRES_{name}"] for word, name in place.items()}, connect_timeout=SECONDS
        ).close()
    except psycopg2.OperationalError as error:
        return f"the database does not let in: {error}".strip()
    return ""


def started() -> str:
    """What was started does its work."""
    note = Path(tempfile.gettempdir()) / "started"
    return CHECKS[note.read_text(encoding="utf-8").strip()]() if note.is_file() else ""


CHECKS = {"code": code, "webserver": webserver, "daemon": daemon, "started": started}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in CHECKS:
        sys.exit(f"healthcheck: name one of {', '.join(CHECKS)}")
    if fault := CHECKS[sys.argv[1]]():
        sys.exit(fault)
