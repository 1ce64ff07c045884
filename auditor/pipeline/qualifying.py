"""The self-check of the statistics: whether the bounds of this installation hold as they promise.

Cohorts with known means are drawn from fixed seeds, so that the same installation always finds the same
counts. A bound that must hold is failed when so few hold as one in ten thousand runs of a right bound would
show. Studentized intervals promise less: with rare total failures no resampling can see what is not there,
so they are held against what they were measured to cover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from auditor.analysis.bands import holm
from auditor.analysis.conformal import needed_pac
from auditor.analysis.intervals import clopper_pearson, clopper_pearson_lower
from auditor.analysis.laws import LAWS
from auditor.analysis.phantom import phantom_lower
from auditor.analysis.simulations import (
    LOWER_BOUNDS,
    Counted,
    band_held,
    breakpoint_refused,
    conformal_coverage,
    interval_held,
    lower_bound_held,
    median_held,
    mix_held,
    noisy_bins_held,
)

__all__ = ["Qualified", "qualify"]

COHORTS = 300
"""Drawn for each check."""

_SEED = 20261123

_STUDENTIZED = {
    10: (0.94, 0.96, 0.777, 0.887, 0.893, 0.912, 0.997),
    30: (0.946, 0.95, 0.804, 0.963, 0.977, 0.904, 0.971),
    100: (0.951, 0.956, 0.951, 0.956, 0.956, 0.953, 0.955),
}
"""Coverage of the two-sided studentized interval on the laws A to G, as measured."""

_SLACK = 0.02
"""Two points, as which measured coverage may differ from what was measured before."""

_MIXES = {"mild": (0.4, 0.3, 0.15, 0.1, 0.05), "harsh": (0.05, 0.1, 0.2, 0.3, 0.35)}
"""Shares of five severities."""


@dataclass(frozen=True, slots=True)
class Qualified:
    """One check of one statement."""

    what: str
    """Statement, law and n in words."""
    promised: float
    """Share of cohorts for which it must hold at least, or the value that is known."""
    found: float
    drawn: int
    """Cohorts; 0: compared with a known value."""
    good: bool


def qualify(
    *, cohorts: int = COHORTS, told: Callable[[Qualified], None] = lambda _: None
) -> tuple[Qualified, ...]:
    """Check every bound that this installation computes.

    Parameters
    ----------
    cohorts : int
        Drawn for each simulated check.
    told : callable, optional
        Is given every check when it is done.

    Returns
    -------
    tuple of Qualified
        About a minute's work with 300 cohorts.
    """
    found = []
    for check in (
        *_known_values(),
        *_means(cohorts),
        *_exact_shares(),
        *_new_patients(cohorts),
        *_together(cohorts),
    ):
        made = check()
        told(made)
        found.append(made)
    return tuple(found)


Check = Callable[[], Qualified]


def _rng(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng([_SEED, *(sum(map(ord, str(part))) for part in parts)])


def _known_values() -> Iterator[Check]:
    """Compare with published or closed-form values."""
    zeros_and_ones = np.r_[np.ones(27), np.zeros(3)][:, None]
    known = {
        "patients for a PAC bound, alpha = delta = .05 (Wilks)": (needed_pac(0.05, 0.05), 59.0),
        "patients for a PAC bound, alpha = .01, delta = .05 (Wilks)": (
            needed_pac(0.01, 0.05),
            299.0,
        ),
        "Clopper-Pearson 8 of 10, lower end": (clopper_pearson(8, 10, level=0.95)[0], 0.4439),
        "Clopper-Pearson 8 of 10, upper end": (clopper_pearson(8, 10, level=0.95)[1], 0.9748),
        "phantom-zero bound of 27 of 30, as Clopper-Pearson": (
            float(phantom_lower(zeros_and_ones, level=0.95)[0]),
            clopper_pearson_lower(27, 30, level=0.95),
        ),
        "Holm of .005, smallest of four": (
            float(holm(np.array([0.01, 0.04, 0.03, 0.005]))[3]),
            0.02,
        ),
    }
    for what, (value, right) in known.items():
        good = abs(value - right) < 5e-5
        yield lambda what=what, value=value, right=right, good=good: Qualified(  # type: ignore[misc]
            what, right, float(value), 0, good
        )


def _means(cohorts: int) -> Iterator[Check]:
    """Bounds and intervals of means and medians on seven laws."""
    for n in (10, 30, 100):
        for place, (key, law) in enumerate(LAWS.items()):
            for method in LOWER_BOUNDS:

                def lower(n: int = n, key: str = key, method: str = method) -> Qualified:
                    held = lower_bound_held(
                        LAWS[key], n, method=method, cohorts=cohorts, rng=_rng(n, key, method)
                    )
                    return _counted(
                        f"{method} lower bound of a mean, law {key}, n = {n}", held, 0.95
                    )

                yield lower

            def median(n: int = n, key: str = key) -> Qualified:
                held = median_held(LAWS[key], n, cohorts=cohorts, rng=_rng(n, key, "median"))
                return _counted(f"interval of a median, law {key}, n = {n}", held, 0.95)

            def resampled(
                n: int = n, key: str = key, measured: float = _STUDENTIZED[n][place]
            ) -> Qualified:
                held = interval_held(
                    LAWS[key],
                    n,
                    method="studentized",
                    cohorts=cohorts,
                    rng=_rng(n, key, "studentized"),
                )
                what = f"studentized interval of a mean, law {key}, n = {n} (as measured before)"
                return _counted(what, held, measured - _SLACK)

            del law
            yield median
            yield resampled


def _exact_shares() -> Iterator[Check]:
    """Clopper-Pearson covers every share, by summing the binomial law."""
    for n in (10, 50):

        def exact(n: int = n) -> Qualified:
            bounds = np.array([clopper_pearson_lower(k, n, level=0.95) for k in range(n + 1)])
            shares = np.linspace(0.01, 0.99, 99)
            law = stats.binom.pmf(np.arange(n + 1)[:, None], n, shares)
            smallest = float((law * (bounds[:, None] <= shares)).sum(axis=0).min())
            what = f"Clopper-Pearson lower bound, n = {n}, smallest coverage over shares (exact)"
            return Qualified(what, 0.95, smallest, 0, smallest >= 0.95 - 1e-9)

        yield exact


def _new_patients(cohorts: int) -> Iterator[Check]:
    """Bounds for a new patient: marginal, PAC, stated mixes, bins of noise."""
    for n in (30, 100):
        for key in ("A", "C", "E"):

            def marginal(n: int = n, key: str = key) -> Qualified:
                covered = conformal_coverage(
                    LAWS[key],
                    n,
                    alpha=0.1,
                    delta=None,
                    cohorts=cohorts,
                    rng=_rng(n, key, "marginal"),
                )
                mean = float(covered.mean())
                doubt = 3.72 * float(covered.std()) / np.sqrt(cohorts)  # one in ten thousand
                what = f"conformal bound of a new patient, marginal, law {key}, n = {n}"
                return Qualified(what, 0.9, mean, cohorts, mean >= 0.9 - doubt)

            def pac(n: int = n, key: str = key) -> Qualified:
                covered = conformal_coverage(
                    LAWS[key], n, alpha=0.1, delta=0.1, cohorts=cohorts, rng=_rng(n, key, "pac")
                )
                what = f"calibration sets whose PAC bound covers .9, law {key}, n = {n}"
                return _counted(what, covered >= 0.9 - 1e-12, 0.9)

            yield marginal
            yield pac
    for name, mix in _MIXES.items():

        def mixed(name: str = name, mix: tuple[float, ...] = mix) -> Qualified:
            held = mix_held(40, np.array(mix), alpha=0.1, cohorts=cohorts, rng=_rng(name))
            return _counted(f"bound for a stated mix of severities, {name}, n = 40", held, 0.9)

        yield mixed

    def bins() -> Qualified:
        held = noisy_bins_held(60, alpha=0.1, cohorts=cohorts, rng=_rng("bins"))
        worst = held[:, int(held.sum(axis=0).argmin())]
        return _counted("bound by bins of estimated noise, worst of five bins, n = 60", worst, 0.9)

    yield bins


def _together(cohorts: int) -> Iterator[Check]:
    """Statements about several severities at once."""
    for n in (30, 100):

        def band(n: int = n) -> Qualified:
            held = band_held(n, cohorts=cohorts, rng=_rng(n, "band"))
            return _counted(f"simultaneous band over six severities, n = {n}", held, 0.9)

        yield band
    for n in (20, 60):

        def refused(n: int = n) -> Qualified:
            held = breakpoint_refused(
                n,
                margin=0.1,
                smooth=0.0826,
                collapse=0.0215,
                cohorts=cohorts,
                rng=_rng(n, "refused"),
            )
            return _counted(f"false claim of a drop within .10 refused, n = {n}", held, 0.95)

        yield refused


def _counted(what: str, held: np.ndarray, promised: float) -> Qualified:
    found = Counted.of(held)
    return Qualified(what, promised, found.share, found.drawn, not found.below(promised))
