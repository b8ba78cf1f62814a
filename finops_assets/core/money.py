"""Money as people read it: decimals rounded once, when they are shown, with the currency beside them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

DIGITS, PLACES = 38, 12
"""Of every sum: bills carry up to 11 decimals, and no line is near 10^26."""

CENT = Decimal("0.01")


def to_cents(amount: Decimal) -> Decimal:
    """The amount rounded to cents, half to even; never minus zero."""
    rounded = amount.quantize(CENT, rounding=ROUND_HALF_EVEN)
    return abs(rounded) if rounded == 0 else rounded


def money(amount: Decimal, currency: str = "") -> str:
    """`12,345.60 USD`; an amount under half a cent that is not zero is shown as `<0.01`, never as 0.00."""
    text = f"{to_cents(amount):,}"
    if amount and abs(amount) < CENT / 2:
        text = "<0.01" if amount > 0 else ">-0.01"
    return f"{text} {currency}" if currency else text


def change(amount: Decimal, currency: str = "") -> str:
    """An amount with its sign: `+1,204.10 USD`."""
    text = money(amount, currency)
    return text if text[0] in "-<>" or not amount else f"+{text}"


MANY_TIMES = 10
"""From so many times on, a change is told as `12 x`: a percentage of four digits tells nobody anything."""


def times(ratio: Decimal | float) -> str:
    """`12 x`; from a thousand times on what matters is that there was next to nothing: `over 999 x`."""
    return f"{ratio:.0f} x" if ratio < 999.5 else "over 999 x"


def percent(now: Decimal, before: Decimal) -> str:
    """The change from before to now: `+4.2 %`, over ten times `12 x`; `new` from nothing; none of a negative base."""
    if before == 0:
        return "new" if now else "0.0 %"
    if before < 0:
        return "n/a"
    if now > MANY_TIMES * before:
        return times(now / before)
    return f"{(now - before) / before * 100:+.1f} %"


def from_double(amount: float) -> Decimal:
    """A stored double as the decimal that it stands for, in twelve places: by its shortest text."""
    return Decimal(repr(amount)).quantize(Decimal(1).scaleb(-PLACES))


def plain(amount: Decimal) -> str:
    """The exact amount for files and programs: no exponent, no grouping, no trailing zeros after the point."""
    text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
