"""What every test starts from: an environment without this machine's settings."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No FINOPS_ setting and no DAGSTER_HOME of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("FINOPS_") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)
