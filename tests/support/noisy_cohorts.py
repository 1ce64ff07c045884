"""Patients whose scores fall with the severity of their scans, by laws of which every coverage is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from auditor.confidence.placement import axis_of
from auditor.schema.site import SeverityAxis

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fading:
    """A score of N(-loss s, 1 + (spread s)^2) at severity s, on a scale without ends.

    Ranks alone enter a conformal bound, so that the scale does not matter.
    """

    loss: float
    """Mean loss a severity, in standard deviations of clean scores."""
    spread: float
    """Standard deviation of that loss between patients."""
    shared: float = 0.6
    """Share of a clean score's variance that all scans of a patient share."""

    def draw(self, n: int, severities: Floats, rng: np.random.Generator) -> Floats:
        """Draw scores (patients, severities)."""
        patient = np.sqrt(self.shared) * rng.normal(size=(n, 1))
        own = np.sqrt(1 - self.shared) * rng.normal(size=(n, len(severities)))
        slope = self.loss + self.spread * rng.normal(size=(n, 1))
        return np.asarray(patient + own - slope * severities)

    def coverage(self, bound: float | None, severities: Floats) -> Floats:
        """P(score >= bound) at each severity; nothing certified cannot fail."""
        if bound is None:
            return np.ones(len(severities))
        sd = np.sqrt(1 + (self.spread * severities) ** 2)
        return np.asarray(stats.norm.cdf((-self.loss * severities - bound) / sd))


# the first one loses coverage as .90 .78 .61 .46 .35 on severities 0 to 4; the others stand for scores
# beside a proxy that sees half of the damage, and for silent failures
SITE = Fading(0.48, 0.33)
HALF_BLIND = Fading(0.50, 0.30)
SILENT = Fading(0.74, 0.28)

MILD = np.array([0.40, 0.30, 0.15, 0.10, 0.05])
HARSH = np.array([0.05, 0.10, 0.20, 0.30, 0.35])
"""Shares of severities 0 to 4."""


def estimates(n: int, severities: Floats, rng: np.random.Generator) -> Floats:
    """Estimates of noise (scans, severities): off by a factor of 12 % and by .15 (normal laws)."""
    factor = np.exp(0.12 * rng.normal(size=(n, len(severities))))
    return np.asarray(severities * factor + 0.15 * rng.normal(size=(n, len(severities))))


def noise_axis(found: Floats, severities: Floats) -> SeverityAxis:
    """The table from estimate to severity that such scans would give."""
    columns = {float(s): found[:, i].tolist() for i, s in enumerate(severities)}
    return axis_of("noise", "%", {s: s for s in columns}, columns, axes=1)
