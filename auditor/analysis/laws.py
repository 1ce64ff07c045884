"""Laws of a score in [0, 1] with known means: what intervals and bounds are counted on.

Seven shapes that a DSC takes over patients: smooth, with a few total failures, with many, of easy and
hard patients mixed, with perfect scores. An interval that promises 95 % must cover the true mean of each
of them in about 95 of 100 drawn cohorts, or say why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

__all__ = ["LAWS", "Law"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Law:
    """A mixture of failures, perfect scores and beta laws."""

    text: str
    """What it looks like."""
    parts: tuple[tuple[float, float, float], ...]
    """(weight, a, b) of each Beta(a, b); the weights and the two shares below add up to 1."""
    zeros: float = 0.0
    """Share of patients with a score of 0."""
    ones: float = 0.0
    """Share of patients with a score of 1."""

    @property
    def mean(self) -> float:
        """The exact mean: ones + sum of weight a / (a + b)."""
        return self.ones + sum(weight * a / (a + b) for weight, a, b in self.parts)

    def draw(self, shape: int | tuple[int, ...], rng: np.random.Generator) -> Floats:
        """Draw independent scores of the given shape, (patients, cohorts) for instance."""
        which = rng.uniform(size=shape)
        values = np.where(which < self.ones, 1.0, 0.0)
        start = self.ones
        for weight, a, b in self.parts:
            inside = (which >= start) & (which < start + weight)
            values[inside] = rng.beta(a, b, int(inside.sum()))
            start += weight
        return values

    def share_below(self, value: float) -> float:
        """P(score <= value)."""
        smooth = sum(w * float(stats.beta.cdf(value, a, b)) for w, a, b in self.parts)
        return self.zeros * (value >= 0) + smooth + self.ones * (value >= 1)

    def quantile(self, share: float) -> float:
        """Smallest value that at least a share of all patients do not exceed."""
        if share <= self.zeros:
            return 0.0
        if share > 1 - self.ones:
            return 1.0
        return float(optimize.brentq(lambda t: self.share_below(t) - share, 0.0, 1.0))


LAWS: Mapping[str, Law] = {
    "A": Law("high and smooth", ((1.0, 18.0, 2.0),)),
    "B": Law("wide", ((1.0, 4.0, 1.5),)),
    "C": Law("high, one patient in twenty fails", ((0.95, 18.0, 2.0),), zeros=0.05),
    "D": Law("middling, one patient in seven fails", ((0.85, 9.0, 3.0),), zeros=0.15),
    "E": Law("one patient in five is hard", ((0.8, 30.0, 3.0), (0.2, 2.0, 3.0))),
    "F": Law("a tenth perfect, one in twenty fails", ((0.85, 9.0, 2.0),), zeros=0.05, ones=0.1),
    "G": Law("nearly half fail", ((0.55, 9.0, 3.0),), zeros=0.45),
}
"""The laws A to G, in the order in which coverage is reported."""
