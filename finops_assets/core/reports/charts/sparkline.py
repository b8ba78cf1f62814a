"""Numbers as bars in an SVG of a few hundred characters, where a chart has no room."""

from __future__ import annotations

from collections.abc import Sequence

STEP, WIDTH, HEIGHT = 8, 6, 40
"""Pixels from bar to bar, of a bar, and from the lowest number to the highest."""

EARLIER, LAST = "#9ab", "#147"


def sparkline(numbers: Sequence[float]) -> str:
    """The SVG: bars from zero, the last one darker; what is below zero goes downwards.

    Args:
        numbers: two or more.
    """
    top, bottom = max(*numbers, 0.0), min(*numbers, 0.0)
    scale = HEIGHT / ((top - bottom) or 1.0)
    bars = [f"v{-round(number * scale)}" for number in numbers]
    zero = round(top * scale)
    moves = [f"M{i * STEP + WIDTH // 2} {zero}{bar}" for i, bar in enumerate(bars)]
    box = f"0 0 {len(numbers) * STEP} {HEIGHT}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{len(numbers) * STEP}" height="{HEIGHT}" '
        f'fill="none" stroke-width="{WIDTH}"><path stroke="{EARLIER}" d="{"".join(moves[:-1])}"/>'
        f'<path stroke="{LAST}" d="{moves[-1]}"/></svg>'
    )
