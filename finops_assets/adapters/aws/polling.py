"""Waiting for something that AWS does: looked at again after pauses, until it is done or the time is over."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

State = TypeVar("State")


def wait_until(
    done: Callable[[State], bool],
    state: State,
    look: Callable[[State], State],
    *,
    seconds_left: Callable[[], float],
    pause: Callable[[], float],
    sleep: Callable[[float], None],
    too_late: Callable[[State], Exception] | None = None,
) -> State:
    """The state in which something is done.

    Args:
        done: whether a state is the last one.
        state: the first one, as it was just seen.
        look: the state after this one; asks AWS.
        seconds_left: until the deadline.
        pause: seconds until the next look.
        sleep: waits so many seconds.
        too_late: the error that names what was waited for in vain; without it, the last state is returned.

    Raises:
        Exception: `too_late`'s, when the deadline has passed and the last look did not find it done.
    """
    while not done(state):
        if seconds_left() <= 0:
            if too_late:
                raise too_late(state)
            return state
        sleep(pause())
        state = look(state)
    return state


def jittered(seconds: float) -> float:
    """About so many seconds, so that processes that wait for the same thing do not all ask at once."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311  (jitter, not a secret)


def growing(first: float, longest: float) -> Callable[[], float]:
    """Pauses from `first` to `longest` seconds, each half as long again as the one before."""
    pause = first

    def next_pause() -> float:
        nonlocal pause
        current, pause = pause, min(pause * 1.5, longest)
        return jittered(current)

    return next_pause
