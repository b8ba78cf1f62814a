"""pytest's fixtures of a stand-in AWS; a `conftest.py` imports those that its tests use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from standin.server import StandIn


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A stand-in AWS for the tests of a module."""
    from standin.server import StandIn

    with StandIn(tmp_path_factory.mktemp("aws")) as aws:
        yield aws


@pytest.fixture
def aws(running: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """An empty account, to which AWS's own variables lead."""
    running.reset()
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)
    return running
