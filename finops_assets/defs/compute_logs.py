"""What a step prints, captured as Dagster does it, by processes that Ctrl-C leaves alone.

A terminal sends Ctrl-C to every process of the command. The two that Dagster starts for each capture end with the
command anyway; the signal would only have each of them print a stack trace of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from finops_assets.core.interrupts import started_without_ctrl_c
from finops_assets.defs.private import ConfigurableClassData, LocalComputeLogManager


class ShieldedComputeLogManager(LocalComputeLogManager):
    """LocalComputeLogManager whose processes are started with Ctrl-C blocked."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> ShieldedComputeLogManager:
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[Any]:
        with ExitStack() as capturing:
            with started_without_ctrl_c():
                captured = capturing.enter_context(super().capture_logs(log_key))
            yield captured
