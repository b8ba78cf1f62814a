"""Draws charts as PNG and the executives' pages as PDF: here, or in a process of its own that starts early."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any

from finops_assets.core.interrupts import started_without_ctrl_c
from finops_assets.core.reports.charts.images import to_png, to_svg
from finops_assets.core.reports.typesetting import load_fonts, to_pdf

Spec = Mapping[str, Any]

REMEMBERED = 6
"""Pictures and PDFs that are kept: those of one digest."""


def typeset(data: Mapping[str, Any], specs: Mapping[str, Spec]) -> bytes:
    """The executives' two pages as PDF, of `snapshot_data` and the specs of their charts."""
    return to_pdf(data, {name: to_svg(spec) for name, spec in specs.items()})


@dataclass(frozen=True)
class Drawing:
    """What draws: `to_png` a chart's spec, `to_pdf` the executives' pages of their data and specs.

    What was drawn just now is not drawn again: the mail's pictures are those that Dagster's UI shows, and its PDF is
    the one that the archive keeps.
    """

    to_png: Callable[[Spec], bytes] = to_png
    to_pdf: Callable[[Mapping[str, Any], Mapping[str, Spec]], bytes] = typeset
    _drawn: dict[str, bytes] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def chart(self, spec: Spec) -> bytes:
        return self._once(self.to_png, spec)

    def pages(self, data: Mapping[str, Any], specs: Mapping[str, Spec]) -> bytes:
        return self._once(self.to_pdf, data, specs)

    def _once(self, draw: Callable[..., bytes], *what: Any) -> bytes:
        key = json.dumps(what, sort_keys=True)
        with self._lock:  # a digest is rendered beside the run
            if key not in self._drawn:
                if len(self._drawn) >= REMEMBERED:
                    self._drawn.pop(next(iter(self._drawn)))
                self._drawn[key] = draw(*what)
            return self._drawn[key]


def _warm() -> None:
    """Load what the first chart and the first page would wait for."""
    to_png({"mark": "point", "data": {"values": []}, "width": 1, "height": 1})
    load_fonts(of_the_machine=False)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: after a killed run it would wait for ever."""
    from multiprocessing import parent_process

    def wait() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


@contextmanager
def drawing_beside() -> Iterator[Drawing]:
    """A `Drawing` in a process of its own, which starts now.

    The first chart of a process takes 0.5 s and holds the interpreter's lock; beside a run it costs the run nothing.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        with started_without_ctrl_c():
            pool.submit(_warm)

        def beside(work: Callable[..., bytes]) -> Callable[..., bytes]:
            def done(*what: Any) -> bytes:
                try:
                    return pool.submit(work, *what).result()
                except BrokenProcessPool:  # it was killed, or could not start: a digest is not lost for that
                    return work(*what)

            return done

        yield Drawing(beside(to_png), beside(typeset))
