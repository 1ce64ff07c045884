"""How much raters agree with each other: means over patients, and the cases ranked by disagreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.difficulty_ranks import drawn, spearman
from auditor.analysis.intervals import DRAWS, FEW, seed_of
from auditor.analysis.means import mean_estimate
from auditor.schema import Estimate, RaterCase, RaterLabel

__all__ = ["Draws", "label_agreement", "rank_correlation", "ranked"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draws:
    """How intervals are made."""

    level: float
    """Of two-sided intervals."""
    seed: int
    """Of the audit, or of the command."""

    def mean(self, sample: Floats, *, least: float | None = None) -> Estimate:
        """Estimate a mean over patients; the same patients are resampled alike, whatever is measured.

        Parameters
        ----------
        sample : (patients,)
        least : see `auditor.analysis.means.mean_estimate`
        """
        seed = seed_of(self.seed, "bootstrap")
        return mean_estimate(sample, level=self.level, seed=seed, least=least)


def ranked(cases: Sequence[RaterCase]) -> tuple[RaterCase, ...]:
    """Sort cases: by label, then the largest disagreement first.

    Raters who disagree whether there is an object come first, then the largest ASSD; cases that nobody
    marked come last. Ties go by display id.
    """

    def place(case: RaterCase) -> tuple[str, int, float, str]:
        disputed = 0 < case.empty < case.raters
        group = 0 if disputed else 2 if case.empty else 1
        far = case.assd if case.assd is not None else 1.0 - (case.dsc or 0.0)
        return (case.label, group, -far, case.case)

    return tuple(sorted(cases, key=place))


def label_agreement(label: str, cases: Sequence[RaterCase], draws: Draws) -> RaterLabel:
    """Summarise the agreement of the raters on one label.

    Parameters
    ----------
    label : str
    cases : sequence of RaterCase
        Of this label, each with two raters or more; at least one.
    draws : Draws

    Returns
    -------
    RaterLabel
        Cases are averaged within their patient; a case without a value leaves that mean, and is counted
        among the disputed ones or those that nobody marked.
    """
    own = [case for case in cases if case.label == label]

    def mean(field: str, least: float | None = None) -> Estimate:
        sample = per_patient({it.case: _number(getattr(it, field)) for it in own}, own)
        return draws.mean(sample, least=least)

    raters = [case.raters for case in own]
    volume = np.array([_number(case.volume) for case in own])
    widths = np.array([_number(case.assd) for case in own])
    # the empty pairs of a disputed object say nothing of the border, so size is compared without them
    loss = np.array([1 - _number(case.dsc) if not case.empty else np.nan for case in own])
    return RaterLabel(
        label=label,
        cases=len(own),
        patients=len({case.patient for case in own}),
        fewest=min(raters),
        most=max(raters),
        dsc=mean("dsc", 0.0),
        assd=mean("assd"),
        volume_range=mean("volume_range"),
        volume_cv=mean("volume_cv"),
        ged=mean("ged"),
        kappa=mean("kappa", -1.0),
        everybody=sum(not case.empty for case in own),
        nobody=sum(case.empty == case.raters for case in own),
        disputed=sum(0 < case.empty < case.raters for case in own),
        size_and_dsc=rank_correlation(volume, loss, own, draws, f"{label} size and dsc"),
        size_and_assd=rank_correlation(volume, widths, own, draws, f"{label} size and assd"),
    )


def per_patient(values: Mapping[str, float], cases: Sequence[RaterCase]) -> Floats:
    """Average the values of cases within their patient; NaN is left out."""
    found: dict[str, list[float]] = {}
    for case in cases:
        value = values.get(case.case, np.nan)
        if not np.isnan(value):
            found.setdefault(case.patient, []).append(value)
    return np.array([np.mean(own) for own in found.values()], dtype=np.float64)


def rank_correlation(
    x: Floats, y: Floats, cases: Sequence[RaterCase], draws: Draws, name: str
) -> Estimate:
    """Spearman's rho over patients, with a percentile bootstrap interval.

    Parameters
    ----------
    x, y : (cases,)
        NaN without a value.
    cases : sequence of RaterCase
        Whose patients are resampled.
    draws : Draws
    name : str
        Of what, for the seed.
    """
    known = ~(np.isnan(x) | np.isnan(y))
    kept = [case for case, there in zip(cases, known, strict=True) if there]
    names = [case.case for case in kept]
    a = per_patient(dict(zip(names, x[known].tolist(), strict=True)), kept)
    b = per_patient(dict(zip(names, y[known].tolist(), strict=True)), kept)
    n = len(a)
    rho = spearman(a, b)
    if rho is None:
        note = f"{n} patient(s)" if n < 3 else "no variation"
        return Estimate(None, n, "Spearman", status="not_assessable", note=note)
    if n < FEW:
        return Estimate(rho, n, "Spearman", status="too_few", note=f"needs n >= {FEW}")
    if abs(rho) == 1:
        note = "a perfect order; resampling says nothing of others"
        return Estimate(rho, n, "Spearman", status="degenerate", note=note)
    rng = np.random.default_rng(seed_of(draws.seed, "spearman", name))
    sampled = drawn(rng.integers(0, n, (DRAWS // 4, n)), a, b)
    tail = (1 - draws.level) / 2
    low, high = (float(it) for it in np.quantile(sampled, [tail, 1 - tail]))
    method = "Spearman, percentile bootstrap over patients"
    return Estimate(rho, n, method, "two-sided", draws.level, low, high)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
