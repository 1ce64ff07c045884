"""A predicted volume beside the volumes of several raters.

**Conventions.** Volumes are numbers >= 0 in one unit, ml as a rule. The law of the raters' volumes is
scored by the predicted one with the continuous ranked probability score (CRPS): the integral over all
volumes of (F - step at the prediction)^2, F being that law. It is in the unit of the volumes, 0 at
best, and is the absolute difference where there is one rater.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from auditor.metrics.measure import Measured
from auditor.metrics.policy import status_of
from auditor.schema import Status

__all__ = ["sample_crps", "volume_crps", "volume_crps_gaussian"]

_CUT = 2.3263478740408408
"""0.99 quantile of N(0, 1): beyond it the CURVAS code sets the distribution to 0 and 1."""

_REACH = 3.0
"""Standard deviations over which the CURVAS code integrates."""


def sample_crps(value: float, sample: Sequence[float]) -> float:
    """Compute the CRPS of a sample at a value.

    Parameters
    ----------
    value : what is scored
    sample : at least one number

    Returns
    -------
    mean_r |v - V_r| - 1/2 mean_{r,r'} |V_r - V_r'|, >= 0; the second mean is over all pairs, those of a
    number with itself included (Gneiting & Raftery, JASA 102, 359-378, 2007, eq. 21, for the empirical
    law).

    Raises
    ------
    ValueError
        When the sample is empty.

    Examples
    --------
    >>> sample_crps(10.0, [8.0, 12.0])  # 2 - 1/2 (0 + 4 + 4 + 0) / 4
    1.0
    """
    k = len(sample)
    if not k:
        msg = "sample must hold at least one number, got none"
        raise ValueError(msg)
    apart = math.fsum(abs(value - other) for other in sample) / k
    # sum over all pairs of |a - b| from the order statistics: 2 sum_i (2 i - k - 1) x_(i)
    ordered = sorted(sample)
    spread = 2 * math.fsum((2 * i - k - 1) * x for i, x in enumerate(ordered, start=1)) / k**2
    return max(0.0, apart - spread / 2)


def volume_crps(
    volume: float,
    rater_volumes: Sequence[float],
    *,
    relative: bool = False,
    image_volume: float | None = None,
) -> Measured:
    """Score a predicted volume against those of the raters.

    Parameters
    ----------
    volume : predicted, >= 0; of a probability its sum times the volume of a voxel
    rater_volumes : at least one, >= 0, in the same unit
    relative : divide by the mean volume of the raters
    image_volume : of the whole image, for the worst case; None: unknown

    Returns
    -------
    See `sample_crps`, in the unit of the volumes, or a ratio under the name ``relative_volume_crps``. That
    has no value when no rater marked anything. The smallest possible score is above 0 where the raters
    disagree; it is that of their median volume.

    Raises
    ------
    ValueError
        When there is no rater, or a volume is negative or not finite.
    """
    mean = _check(volume, rater_volumes)
    status = status_of(prediction_empty=volume == 0, reference_empty=mean == 0)
    name = "relative_volume_crps" if relative else "volume_crps"
    if relative and mean == 0:
        return Measured(name, None, status, None, "no rater marked any, so that no mean divides")
    divisor = mean if relative else 1.0
    worst = None
    if image_volume is not None:  # the score is convex, so that an end is worst
        ends = (sample_crps(end, rater_volumes) for end in (0.0, image_volume))
        worst = max(ends) / divisor
    return Measured(name, sample_crps(volume, rater_volumes) / divisor, status, worst)


def volume_crps_gaussian(volume: float, rater_volumes: Sequence[float]) -> Measured:
    """Score a predicted volume as the CURVAS challenge of 2024 did, for comparison with its tables.

    Parameters
    ----------
    volume, rater_volumes
        See `volume_crps`.

    Returns
    -------
    In the unit of the volumes; without a value when all raters have the same volume.

    Raises
    ------
    ValueError
        See `volume_crps`.

    Notes
    -----
    The law is N(m, s) with the mean m and the standard deviation s of the raters' volumes (divisor k),
    set to 0 and 1 beyond its 1 % and 99 % quantiles, and the integral runs over m +- 3 s. The score
    therefore stops rising once a volume is 3 s away, however wrong it is; that is why `volume_crps` is
    the metric and this is not. The antiderivative of Phi^2 is
    z Phi(z)^2 + 2 Phi(z) phi(z) - Phi(z sqrt 2) / sqrt(pi), so nothing is integrated numerically.
    """
    mean = _check(volume, rater_volumes)
    sd = math.sqrt(math.fsum((other - mean) ** 2 for other in rater_volumes) / len(rater_volumes))
    if sd <= 1e-12 * mean:  # equal volumes may differ in the last bit of their mean
        reason = "all raters have the same volume, and a normal law needs a spread"
        return Measured("volume_crps_gaussian", None, Status.NOT_APPLICABLE, None, reason)
    z = (volume - mean) / sd
    status = status_of(prediction_empty=volume == 0, reference_empty=False)
    value = sd * (_below(z) + _below(-z))  # above is below, mirrored
    worst = sd * (_below(_REACH) + _below(-_REACH))
    return Measured("volume_crps_gaussian", value, status, worst)


def _below(z: float) -> float:
    """Integral of the squared distribution from -3 to z, where it is 0, Phi or 1."""
    end = min(max(z, -_REACH), _REACH)
    inner = min(max(end, -_CUT), _CUT)
    return _antiderivative(inner) - _antiderivative(-_CUT) + max(0.0, end - _CUT)


def _antiderivative(z: float) -> float:
    cdf = math.erfc(-z / math.sqrt(2)) / 2
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return z * cdf**2 + 2 * cdf * density - math.erfc(-z) / (2 * math.sqrt(math.pi))


def _check(volume: float, rater_volumes: Sequence[float]) -> float:
    """Check the volumes, and return the mean of the raters'."""
    if not rater_volumes:
        msg = "rater_volumes must hold one volume or more, got none"
        raise ValueError(msg)
    for number in (volume, *rater_volumes):
        if not 0.0 <= number < math.inf:
            msg = f"volumes must be finite and >= 0, got {number!r}"
            raise ValueError(msg)
    return math.fsum(rater_volumes) / len(rater_volumes)
