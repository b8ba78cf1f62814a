"""How much memory this process, and those that it starts, may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""A container's limit, as Linux's two kinds of control groups show it in the container."""


def memory_limit(groups: Path = CONTROL_GROUPS) -> int | None:
    """Bytes: the container's limit, or the machine's memory where that is less; None where neither is known.

    Args:
        groups: where the control group of this process is shown.
    """
    limits = []
    for name in LIMITS:
        with suppress(OSError, ValueError):  # no such kind, or no limit: `max`
            limits.append(int((groups / name).read_text(encoding="ascii")))
    with suppress(OSError, ValueError, AttributeError):  # a system that does not say
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)
