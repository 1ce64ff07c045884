"""Axes: where a value lies in a panel, and the ticks beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports import svg
from reports.wording import compact


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places."""

    low: float
    """Value at `start`."""
    high: float
    """Value at `end`."""
    start: float
    """Place of `low`."""
    end: float
    """Place of `high`."""
    log: bool = False
    """Equal ratios take equal room."""

    def __call__(self, value: float) -> float:
        """Place of a value; values outside are drawn on the edge."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return self.start + (here - low) / (high - low) * (self.end - self.start)


def nice_step(span: float, *, ticks: int = 5) -> float:
    """Step of 1, 2 or 5 times a power of ten that cuts a span into about so many parts.

    Examples
    --------
    >>> nice_step(1.0), nice_step(37.0)
    (0.2, 10.0)
    """
    rough = span / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * 0.999)


def ticks_of(scale: Scale) -> tuple[float, ...]:
    """Round values inside a scale, about five."""
    if scale.log:
        first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
        wide = last - first > 3
        steps = [m * 10.0**p for p in range(first, last + 1) for m in ((1,) if wide else (1, 3))]
        return tuple(v for v in steps if scale.low <= v <= scale.high)
    step = nice_step(scale.high - scale.low)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return tuple(round(k * step, 12) for k in range(first, last + 1))


def value_scale(
    values: Sequence[float], low: float | None, high: float | None, start: float, end: float
) -> Scale:
    """Scale for a metric: its whole range when that is bounded, else the values with room."""
    if low is not None and high is not None:
        return Scale(low, high, start, end)
    bottom = min([*values, 0.0 if low is None else low])
    top = max([*values, bottom])
    if top <= bottom:
        top = bottom + 1.0
    step = nice_step(top - bottom)
    return Scale(math.floor(bottom / step) * step, math.ceil(top / step) * step, start, end)


def spread_scale(values: Sequence[float], start: float, end: float) -> Scale:
    """Scale for a property of cases: by ratio when it is positive and spans more than 20 fold."""
    low, high = min(values), max(values)
    if low > 0 and high / low > 20:
        return Scale(low * 0.85, high * 1.15, start, end, log=True)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def vertical_axis(scale: Scale, left: float, right: float) -> Markup:
    """Ticks, numbers and grid lines of an upright axis."""
    parts = [
        svg.line(left, scale(v), right, scale(v), class_="grid")
        + svg.text(left - 6, scale(v) + 3.5, compact(v), class_="tick", text_anchor="end")
        for v in ticks_of(scale)
    ]
    return Markup("").join(parts)


def horizontal_axis(scale: Scale, top: float, bottom: float) -> Markup:
    """Ticks, numbers and grid lines of a level axis."""
    parts = [
        svg.line(scale(v), top, scale(v), bottom, class_="grid")
        + svg.text(scale(v), bottom + 14, compact(v), class_="tick", text_anchor="middle")
        for v in ticks_of(scale)
    ]
    return Markup("").join(parts)
