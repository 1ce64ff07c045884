"""Seeded numbers for sample results: drawn, not measured, with the relations of a real audit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from auditor.schema import (
    CaseRow,
    Comparison,
    ConformalBound,
    Estimate,
    StatusCount,
    StratumInfo,
    Summary,
)

LABEL = "spleen"


SYSTEMS = ("unet", "unetpp", "unet-noskip")


LEVELS = {
    "gaussian_noise": ("noise", "% of S_ref", (3.0, 6.0, 12.0, 20.0, 30.0)),
    "motion_ghosting": ("motion", "% of k-space lines", (2.0, 5.0, 10.0, 20.0, 40.0)),
    "rotation": ("geometry", "deg", (2.0, 5.0, 10.0, 20.0, 30.0)),
    "gaussian_blur": ("blur", "mm FWHM", (1.0, 2.0, 3.0, 4.5, 6.0)),
}


BOOTSTRAP = "studentized bootstrap"


PHANTOM = "phantom-zero bound"


@dataclass(frozen=True)
class Size:
    """How large a sample is."""

    cases: int = 60
    systems: tuple[str, ...] = SYSTEMS
    perturbations: tuple[str, ...] = tuple(LEVELS)
    raters: int = 3
    metadata: bool = True
    criteria: bool = True
    failures: int = 0


def rounded(value: float) -> float:
    return round(float(value), 6)


def mean_of(values: np.ndarray) -> Estimate:
    """Mean with a normal-theory interval in the place of a bootstrap's."""
    n = len(values)
    if n < 6:
        note = "needs n >= 6"
        return Estimate(
            rounded(values.mean()), n, "descriptive", "none", status="too_few", note=note
        )
    half = 1.96 * values.std(ddof=1) / np.sqrt(n)
    low, high = values.mean() - half, values.mean() + half
    return Estimate(
        rounded(values.mean()), n, BOOTSTRAP, "two-sided", 0.95, rounded(low), rounded(high)
    )


def lower_of(values: np.ndarray) -> Estimate:
    n = len(values)
    if n < 6:
        return Estimate(None, n, PHANTOM, "lower", 0.95, status="too_few", note="needs n >= 6")
    bound = values.mean() - 1.64 * values.std(ddof=1) / np.sqrt(n) - 1.0 / (n + 1)
    return Estimate(rounded(bound), n, PHANTOM, "lower", 0.95)


def absent(n: int, note: str, status: str = "not_assessable") -> Estimate:
    return Estimate(None, n, "", status=status, note=note)


def ease(size: Size) -> np.ndarray:
    """Share of the way from the smallest to the largest foreground: small organs are harder."""
    order: np.ndarray = np.random.default_rng(5).permutation(size.cases) + 0.5
    return np.sqrt(order / size.cases)


def scores_of(size: Size, rng: np.random.Generator) -> dict[tuple[str, str, float], np.ndarray]:
    """DSC of every case: (system, perturbation, severity) -> (cases,)."""
    easy = np.clip(ease(size) + rng.normal(0, 0.12, size.cases), 0.05, 1.0)
    scores = {}
    for place, system in enumerate(size.systems):
        base = 0.62 + 0.34 * easy + rng.normal(0, 0.02, size.cases) - 0.03 * place
        base += 0.02 if system == "unetpp" else 0.0
        scores[system, "clean", 0.0] = np.clip(base, 0, 0.99)
        for kind, name in enumerate(size.perturbations):
            slope = (0.016, 0.009, 0.003, 0.012)[kind % 4] * (1 + 0.5 * ((place + kind) % 3))
            for severity in range(1, 6):
                loss = slope * severity**2 * (1.4 - easy) + rng.normal(0, 0.008, size.cases)
                scores[system, name, float(severity)] = np.clip(base - loss, 0, 0.99)
    return scores


def members(size: Size, info: StratumInfo, place: int, cases: tuple[CaseRow, ...]) -> np.ndarray:
    if info.axis == "scanner":
        return np.array([dict(c.metadata)["scanner"] == info.names[place] for c in cases])
    key = {"foreground_ratio": 0, "rater_disagreement": 1}[info.axis]
    values = [(c.foreground_ratio, c.rater_assd)[key][0][1] or 0.0 for c in cases]
    order = np.argsort(np.argsort(values))
    starts = np.cumsum((0, *info.patients))
    inside: np.ndarray = (order >= starts[place]) & (order < starts[place + 1])
    return inside


def _summary(
    key: tuple[str, str, float],
    group: tuple[str, str],
    metric: str,
    values: np.ndarray,
    clean: np.ndarray,
    failed: int,
) -> Summary:
    system, perturbation, severity = key
    _, unit, levels = LEVELS.get(perturbation, ("", "", ()))
    n = len(values)
    one = n == 1
    sign = -1.0 if metric == "hd95" else 1.0
    mean = mean_of(values) if metric != "hd95" else mean_of(values / 100)
    if metric == "hd95":
        half = 1.96 * values.std(ddof=1) / np.sqrt(n) if n > 5 else None
        mean = Estimate(
            rounded(values.mean()),
            n,
            BOOTSTRAP if half else "descriptive",
            "two-sided" if half else "none",
            0.95 if half else None,
            rounded(values.mean() - half) if half else None,
            rounded(values.mean() + half) if half else None,
            "ok" if half else "too_few",
            "" if half else "needs n >= 6",
        )
    lower = lower_of(values) if metric != "hd95" else absent(n, "a distance has no upper limit")
    drop = (
        absent(n, "clean is the reference point")
        if perturbation == "clean"
        else mean_of(sign * (clean - values))
    )
    counts = (StatusCount("failed", failed),) if failed else ()
    return Summary(
        *(system, perturbation, severity, levels[int(severity) - 1] if levels else None, unit),
        *(LABEL, metric, "retained" if perturbation == "rotation" else "whole", *group),
        (*counts, StatusCount("ok", n)),
        mean,
        replace(lower, note="") if one else lower,
        drop,
        rounded(np.median(values)),
        rounded(values.min()),
        rounded(values.max()),
        rounded(values.sum() / (n + failed))
        if metric != "hd95"
        else rounded(values.mean() + 3.0 * failed),
    )


def _of_metric(metric: str, dsc: np.ndarray) -> np.ndarray:
    if metric == "hd95":
        return 2.0 + 60.0 * (1.0 - dsc) ** 1.5
    return np.clip(dsc + 0.03, 0, 1) if metric == "nsd" else dsc


def summaries_of(
    size: Size,
    scores: dict[tuple[str, str, float], np.ndarray],
    cases: tuple[CaseRow, ...],
    strata: tuple[StratumInfo, ...],
) -> tuple[Summary, ...]:
    rows = []
    for key, dsc in scores.items():
        clean = scores[key[0], "clean", 0.0]
        failed = size.failures if key[2] == 5.0 and key[0] == size.systems[-1] else 0
        kept = slice(failed, None)
        for metric in ("dsc", "hd95", "nsd"):
            values, base = _of_metric(metric, dsc), _of_metric(metric, clean)
            rows.append(_summary(key, ("all", "all"), metric, values[kept], base[kept], failed))
            for info in strata:
                for place, name in enumerate(info.names):
                    mine = members(size, info, place, cases)
                    if mine.any():
                        group = (info.axis, name)
                        rows.append(_summary(key, group, metric, values[mine], base[mine], 0))
    return tuple(rows)


def conformal_of(
    size: Size, scores: dict[tuple[str, str, float], np.ndarray]
) -> tuple[ConformalBound, ...]:
    rows = []
    n = size.cases
    rank = int((n + 1) * 0.1)
    for (system, name, severity), dsc in scores.items():
        ordered = np.sort(dsc)
        clean = np.sort(scores[system, "clean", 0.0])
        bound = float(ordered[rank - 1]) if rank else None
        pac = float(ordered[1]) if n >= 38 else None
        held = int((dsc >= (bound or 0)).sum()) if rank else 0
        broken = int((dsc >= clean[rank - 1]).sum()) if rank else 0
        verdict = "not certifiable" if not rank else "no evidence of breaking"
        if rank and severity == 0:
            verdict = "by construction"
        elif rank and broken < 0.8 * n:
            verdict = "BROKEN"
        _, unit, levels = LEVELS.get(name, ("", "", ()))
        rows.append(
            ConformalBound(
                system=system,
                label=LABEL,
                perturbation=name,
                severity=severity,
                level=levels[int(severity) - 1] if levels else None,
                unit=unit,
                alpha=0.1,
                delta=0.1,
                n=n,
                rank=rank,
                bound=rounded(bound) if bound is not None else None,
                pac_rank=2 if pac is not None else 0,
                pac_bound=rounded(pac) if pac is not None else None,
                needed=9,
                needed_pac=22,
                held=held,
                counted=n if rank else 0,
                clean_held=broken,
                clean_verdict=verdict,
                status="ok" if rank else "not_certifiable",
                clean_counted=n if rank else 0,
                coverage_low=rounded(stats.beta.ppf(0.05, n + 1 - rank, rank)) if rank else None,
                shortfall=rounded(stats.beta.cdf(0.9, n + 1 - rank, rank)) if rank else None,
            )
        )
    return tuple(rows)


def comparisons_of(
    size: Size, scores: dict[tuple[str, str, float], np.ndarray]
) -> tuple[Comparison, ...]:
    rows = []
    names = size.systems
    for name, severity in dict.fromkeys((key[1], key[2]) for key in scores):
        _, unit, levels = LEVELS.get(name, ("", "", ()))
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                paired = scores[first, name, severity] - scores[second, name, severity]
                difference = mean_of(paired)
                verdict = "no clear winner"
                if difference.low is not None and difference.low > 0:
                    verdict = first
                elif difference.high is not None and difference.high < 0:
                    verdict = second
                rows.append(
                    Comparison(
                        *(first, second, name, severity),
                        *(levels[int(severity) - 1] if levels else None, unit, LABEL, "dsc"),
                        *(difference, len(names) > 2, verdict),
                    )
                )
    return tuple(rows)
