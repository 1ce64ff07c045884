"""Results as an audit would write them, made of seeded numbers: for reports and companions.

The numbers are drawn, not measured; only their form and their relations (intervals around means,
bounds below them, losses that grow with severity) follow a real audit. Display ids stand for cases.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from auditor.schema.inputs import Certainty, Contract, ContractField, ContractStatus
from auditor.schema.results import (
    RESULTS_VERSION,
    AuditInfo,
    CaseRow,
    Comparison,
    Condition,
    ConformalBound,
    ControlRow,
    CriterionResult,
    DifficultyAxis,
    Estimate,
    ExhibitSelection,
    Headline,
    MetricInfo,
    Results,
    StatusCount,
    StratumInfo,
    Summary,
    SystemRecord,
    Verdict,
    WorstCase,
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


def _r(value: float) -> float:
    return round(float(value), 6)


def mean_of(values: np.ndarray) -> Estimate:
    """Mean with a normal-theory interval in the place of a bootstrap's."""
    n = len(values)
    if n < 6:
        note = "needs n >= 6"
        return Estimate(_r(values.mean()), n, "descriptive", "none", status="too_few", note=note)
    half = 1.96 * values.std(ddof=1) / np.sqrt(n)
    low, high = values.mean() - half, values.mean() + half
    return Estimate(_r(values.mean()), n, BOOTSTRAP, "two-sided", 0.95, _r(low), _r(high))


def lower_of(values: np.ndarray) -> Estimate:
    n = len(values)
    if n < 6:
        return Estimate(None, n, PHANTOM, "lower", 0.95, status="too_few", note="needs n >= 6")
    bound = values.mean() - 1.64 * values.std(ddof=1) / np.sqrt(n) - 1.0 / (n + 1)
    return Estimate(_r(bound), n, PHANTOM, "lower", 0.95)


def absent(n: int, note: str, status: str = "not_assessable") -> Estimate:
    return Estimate(None, n, "", status=status, note=note)


def _metrics() -> tuple[MetricInfo, ...]:
    return (
        MetricInfo(
            *("dsc", "Dice similarity coefficient (DSC)", "", 0.0, 1.0, True),
            "Twice the shared volume over the sum of both volumes.",
            "Dice, Ecology 26, 297-302 (1945)",
            (),
        ),
        MetricInfo(
            *("hd95", "HD95", "mm", 0.0, None, False),
            "95th percentile of the distances between both surfaces, the larger direction.",
            "Huttenlocher et al. 1993",
            (),
        ),
        MetricInfo(
            *("nsd", "NSD", "", 0.0, 1.0, True),
            "Share of both surfaces within the tolerance of the other.",
            "Nikolov et al. 2021",
            (("tolerance_mm", 2.0),),
        ),
    )


def _ease(size: Size) -> np.ndarray:
    """Share of the way from the smallest to the largest foreground: small organs are harder."""
    order: np.ndarray = np.random.default_rng(5).permutation(size.cases) + 0.5
    return np.sqrt(order / size.cases)


def _scores(size: Size, rng: np.random.Generator) -> dict[tuple[str, str, float], np.ndarray]:
    """DSC of every case: (system, perturbation, severity) -> (cases,)."""
    ease = np.clip(_ease(size) + rng.normal(0, 0.12, size.cases), 0.05, 1.0)
    scores = {}
    for place, system in enumerate(size.systems):
        base = 0.62 + 0.34 * ease + rng.normal(0, 0.02, size.cases) - 0.03 * place
        base += 0.02 if system == "unetpp" else 0.0
        scores[system, "clean", 0.0] = np.clip(base, 0, 0.99)
        for kind, name in enumerate(size.perturbations):
            slope = (0.016, 0.009, 0.003, 0.012)[kind % 4] * (1 + 0.5 * ((place + kind) % 3))
            for severity in range(1, 6):
                loss = slope * severity**2 * (1.4 - ease) + rng.normal(0, 0.008, size.cases)
                scores[system, name, float(severity)] = np.clip(base - loss, 0, 0.99)
    return scores


def _cases(size: Size, rng: np.random.Generator) -> tuple[CaseRow, ...]:
    ratios = np.exp(np.log(0.001) + np.log(60.0) * _ease(size) ** 2)
    noise = rng.uniform(2.5, 5.5, size.cases)
    rows = []
    for i in range(size.cases):
        raters = size.raters
        meta = (("scanner", ("A", "B")[i % 2]), ("site", f"site {i % 3 + 1}"))
        rows.append(
            CaseRow(
                case=f"C{i + 1:03d}",
                patient=f"P{i + 1:03d}",
                shape=(24 + i % 5, 96, 112),
                spacing=(5.0, 0.8, 0.75),
                raters=raters,
                foreground_ratio=((LABEL, _r(ratios[i])),),
                rater_assd=((LABEL, _r(rng.uniform(0.3, 1.8)) if raters > 1 else None),),
                rater_dsc=((LABEL, _r(rng.uniform(0.82, 0.97)) if raters > 1 else None),),
                native_noise=_r(noise[i]),
                metadata=meta if size.metadata else (),
            )
        )
    return tuple(rows)


def _conditions(size: Size) -> tuple[Condition, ...]:
    n = size.cases
    rows = [
        Condition(
            perturbation="clean",
            family="",
            severity=0.0,
            level=None,
            unit="",
            n_scans=n,
            n_no_effect=0,
            nrmse=0.0,
            psnr=None,
            ssim=1.0,
            contrast_to_noise=8.2,
            native_level=None,
            native_low=None,
            native_high=None,
            estimated_level=None,
            stress=False,
        )
    ]
    for name in size.perturbations:
        family, unit, levels = LEVELS[name]
        own = (3.8, 2.9, 5.1) if name == "gaussian_noise" else (None, None, None)
        for severity, level in enumerate(levels, start=1):
            rows.append(
                Condition(
                    perturbation=name,
                    family=family,
                    severity=float(severity),
                    level=level,
                    unit=unit,
                    n_scans=n,
                    n_no_effect=int(severity == 1),
                    nrmse=_r(0.02 * severity**1.5),
                    psnr=40.0 - 5 * severity,
                    ssim=_r(0.99 - 0.06 * severity),
                    contrast_to_noise=_r(8.2 - severity),
                    native_level=own[0],
                    native_low=own[1],
                    native_high=own[2],
                    estimated_level=_r(np.hypot(level, 3.8)) if own[0] else None,
                    stress=severity >= 4,
                )
            )
    return tuple(rows)


def _strata(size: Size) -> tuple[StratumInfo, ...]:
    third = size.cases // 3
    counts = (third, third, size.cases - 2 * third)
    sizes = StratumInfo(
        *("foreground_ratio", LABEL, "inferential", (0.004, 0.016)),
        *(("small", "medium", "large"), counts, "tertiles of the references"),
    )
    if size.raters < 2:
        spare = StratumInfo("rater_disagreement", LABEL, "not assessable", (), (), (), "one rater")
    else:
        spare = StratumInfo(
            *("rater_disagreement", LABEL, "descriptive", (0.7, 1.2)),
            *(("low", "medium", "high"), counts, "edges chosen after the first prediction"),
        )
    if not size.metadata:
        return (sizes, spare)
    half = size.cases // 2
    names = ("A", "B")
    scanner = StratumInfo(
        "scanner", "", "inferential", (), names, (size.cases - half, half), "metadata column"
    )
    return (sizes, spare, scanner)


def _members(size: Size, info: StratumInfo, place: int, cases: tuple[CaseRow, ...]) -> np.ndarray:
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
            _r(values.mean()),
            n,
            BOOTSTRAP if half else "descriptive",
            "two-sided" if half else "none",
            0.95 if half else None,
            _r(values.mean() - half) if half else None,
            _r(values.mean() + half) if half else None,
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
        _r(np.median(values)),
        _r(values.min()),
        _r(values.max()),
        _r(values.sum() / (n + failed)) if metric != "hd95" else _r(values.mean() + 3.0 * failed),
    )


def _of_metric(metric: str, dsc: np.ndarray) -> np.ndarray:
    if metric == "hd95":
        return 2.0 + 60.0 * (1.0 - dsc) ** 1.5
    return np.clip(dsc + 0.03, 0, 1) if metric == "nsd" else dsc


def _summaries(
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
                    mine = _members(size, info, place, cases)
                    if mine.any():
                        group = (info.axis, name)
                        rows.append(_summary(key, group, metric, values[mine], base[mine], 0))
    return tuple(rows)


def _conformal(
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
                bound=_r(bound) if bound is not None else None,
                pac_rank=2 if pac is not None else 0,
                pac_bound=_r(pac) if pac is not None else None,
                needed=9,
                needed_pac=22,
                held=held,
                counted=n if rank else 0,
                clean_held=broken,
                clean_verdict=verdict,
                status="ok" if rank else "not_certifiable",
            )
        )
    return tuple(rows)


def _comparisons(
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


def _criterion(number: int, verdict: Verdict, clean: Estimate, **changes: Any) -> CriterionResult:
    fields: dict[str, Any] = {
        "id": f"C-{number:02d}",
        "text": "unet, spleen: the mean DSC on clean scans is at least 0.9",
        "system": "unet",
        "label": LABEL,
        "metric": "dsc",
        "perturbation": "clean",
        "severity": 0.0,
        "level": None,
        "unit": "",
        "form": "mean_at_least",
        "threshold": 0.9,
        "evidence": "assured",
        "hazard": f"H-{number:02d}" if number % 2 else "",
        "required": number != 6,
        "verdict": verdict,
        "estimate": clean,
        "bound": Estimate(0.904, clean.n, PHANTOM, "lower", 0.95),
        "opposite": Estimate(0.941, clean.n, PHANTOM, "upper", 0.95),
        "needed_patients": None,
        "change": "a lower bound below 0.9",
    }
    return CriterionResult(**(fields | changes))


def _criteria(clean: Estimate) -> tuple[CriterionResult, ...]:
    """One criterion of every verdict."""
    none = absent(0, "this condition was not run")
    noise: dict[str, Any] = {
        "perturbation": "gaussian_noise",
        "severity": 2.0,
        "level": 6.0,
        "unit": "% of S_ref",
        "form": "mean_drop_at_most",
        "threshold": 0.1,
        "text": "unet, spleen: under gaussian noise of 6 % of S_ref the mean DSC drops by at "
        "most 0.1",
    }
    share: dict[str, Any] = {
        "form": "share_of_patients_at_least",
        "threshold": 0.95,
        "text": "unet, spleen: at least 95 % of patients have a DSC of at least 0.8",
        "estimate": Estimate(0.933, 60, "Clopper-Pearson"),
        "bound": Estimate(0.852, 60, "Clopper-Pearson", "lower", 0.95),
        "opposite": Estimate(0.977, 60, "Clopper-Pearson", "upper", 0.95),
    }
    return (
        _criterion(1, Verdict.PASS, clean),
        _criterion(
            2,
            Verdict.PASS_CONDITIONAL,
            clean,
            evidence="conditional",
            bound=Estimate(
                0.905,
                clean.n,
                BOOTSTRAP,
                "lower",
                0.95,
                note="failure rate up to 0.049 not excluded",
            ),
            change="an unseen collapse in more than 4.9 % of patients",
        ),
        _criterion(
            3,
            Verdict.FAIL,
            clean,
            **noise,
            bound=Estimate(0.171, clean.n, PHANTOM, "upper", 0.95),
            opposite=Estimate(0.112, clean.n, PHANTOM, "lower", 0.95),
            estimate=Estimate(0.141, clean.n, BOOTSTRAP, "two-sided", 0.95, 0.118, 0.166),
            change="a system that loses less, or a lower claimed level",
        ),
        _criterion(
            4,
            Verdict.INSUFFICIENT,
            clean,
            **share,
            needed_patients=210,
            change="more patients",
        ),
        _criterion(
            5,
            Verdict.NOT_ATTAINABLE,
            clean,
            threshold=0.99,
            change="more patients: with no failure at all, 0.99 needs 299",
            needed_patients=299,
        ),
        _criterion(
            6,
            Verdict.NOT_RUN,
            clean,
            estimate=none,
            bound=none,
            opposite=none,
            change="running it",
        ),
        _criterion(7, Verdict.WAIVED, clean, change="waived: scanner out of use"),
        _criterion(8, Verdict.CONTRACT_IN_DOUBT, clean, change="golden pairs that agree"),
    )


def _system(name: str, place: int, size: Size) -> SystemRecord:
    status = (ContractStatus.CONFIRMED, ContractStatus.DECLARED_ONLY)[min(place, 1)]
    fields = (
        ContractField("input.axes", "RAS", Certainty.DECLARED),
        ContractField("input.spacing_mm", "[1.5, 1.5, 2.0]", Certainty.SIDECAR),
        ContractField("output.activation", "softmax", Certainty.PROBED),
        ContractField("window.overlap", "0.5", Certainty.DEFAULT),
    )
    total = size.cases * (1 + 5 * len(size.perturbations))
    lost = size.failures * len(size.perturbations) if place == len(size.systems) - 1 else 0
    counts = (StatusCount("crashed", lost),) if lost else ()
    return SystemRecord(
        *(name, name.split("-", maxsplit=1)[0], 7 + place, ("onnx", "torchscript")[place % 2]),
        f"{place + 1:x}f3a9c07d2b1e684" * 4,
        1_843_200 + 10_000 * place,
        Contract(fields, status, "3 golden pairs agree" if place == 0 else ""),
        3 if place == 0 else 0,
        0.998 if place == 0 else None,
        (("dsc", 0.94),) if place == 0 else (),
        "instructions for use, v3, p. 12" if place == 0 else "",
        ("landlock", "memory limit", "no network"),
        (
            *counts,
            StatusCount("no_effect", len(size.perturbations)),
            StatusCount("ok", total - lost),
        ),
        ("contains no custom operator",),
    )


def _difficulty(
    size: Size, scores: dict[tuple[str, str, float], np.ndarray], cases: tuple[CaseRow, ...]
) -> tuple[DifficultyAxis, ...]:
    rows = []
    for system in size.systems:
        clean = scores[system, "clean", 0.0]
        axes = {
            "foreground_ratio": [c.foreground_ratio[0][1] for c in cases],
            "native_noise": [c.native_noise for c in cases],
            "rater_assd": [c.rater_assd[0][1] for c in cases],
        }
        for axis, values in axes.items():
            if any(v is None for v in values):
                rows.append(DifficultyAxis(system, LABEL, axis, absent(0, "one rater"), ()))
                continue
            rho = Estimate(0.312, size.cases, BOOTSTRAP, "two-sided", 0.95, 0.061, 0.525)
            if size.cases < 6:
                rho = absent(size.cases, "needs n >= 6", "too_few")
            points = tuple(
                (c.case, float(v or 0.0), _r(d))
                for c, v, d in zip(cases, values, clean, strict=True)
            )
            rows.append(DifficultyAxis(system, LABEL, axis, rho, points))
    return tuple(rows)


def _controls(size: Size) -> tuple[ControlRow, ...]:
    n = size.cases
    rows = []
    for name, severity in [("clean", 0.0)] + [
        (p, float(s)) for p in size.perturbations for s in range(1, 6)
    ]:
        fade = 0.03 * severity if name == "rotation" else 0.0
        ceiling = _r(1.0 - fade / 3)
        rows += [
            ControlRow(
                "reference",
                "reference ceiling",
                "mean DSC is 1" if not fade else "",
                LABEL,
                name,
                severity,
                ceiling,
                n,
                None if fade else True,
            ),
            ControlRow(
                "otsu", "Otsu", "", LABEL, name, severity, _r(0.41 - 0.05 * severity), n, None
            ),
        ]
    rows.append(
        ControlRow("empty", "empty mask", "mean DSC is 0", LABEL, "clean", 0.0, 0.0, n, passed=True)
    )
    return tuple(rows)


def _worst(size: Size, scores: dict[tuple[str, str, float], np.ndarray]) -> tuple[WorstCase, ...]:
    rows = []
    for (system, name, severity), dsc in scores.items():
        _, unit, levels = LEVELS.get(name, ("", "", ()))
        level = levels[int(severity) - 1] if levels else None
        place = int(dsc.argmin())
        clean = float(scores[system, "clean", 0.0][place])
        rows.append(
            WorstCase(
                *(system, f"C{place + 1:03d}", f"P{place + 1:03d}", name, severity, level, unit),
                *(LABEL, "dsc", _r(dsc[place]), "ok", ""),
                None if name == "clean" else _r(clean - dsc[place]),
            )
        )
    rows.sort(key=lambda row: (row.value or 0.0, row.system, row.perturbation))
    failed = [
        replace(
            rows[0],
            case=f"C{i + 1:03d}",
            patient=f"P{i + 1:03d}",
            value=None,
            status="crashed",
            reason="the child ended with signal 11",
            drop=None,
        )
        for i in range(size.failures)
    ]
    kept = [r for r in rows if r.perturbation == "clean"][:2]
    return (*failed, *rows[:18], *kept)


def _exhibits(worst: tuple[WorstCase, ...]) -> tuple[ExhibitSelection, ...]:
    rules: tuple[Literal["worst", "worst drop", "random"], ...] = ("worst", "worst drop", "random")
    return tuple(
        ExhibitSelection(
            id=f"E-{i + 1:02d}",
            rule=rules[i % 3],
            system=w.system,
            case=w.case,
            perturbation=w.perturbation,
            severity=w.severity,
            level=w.level,
            unit=w.unit,
            label=w.label,
            metric=w.metric,
            value=w.value,
            status=w.status,
            mask_digest=f"{i:016x}",
        )
        for i, w in enumerate(worst[:4])
    )


def _headline(
    size: Size,
    rows: tuple[Summary, ...],
    bounds: tuple[ConformalBound, ...],
    pairs: tuple[Comparison, ...],
) -> Headline:
    def mine(system: str, name: str, severity: float) -> list[Summary]:
        return [
            r
            for r in rows
            if r.metric == "dsc"
            and (r.system, r.perturbation, r.severity) == (system, name, severity)
        ]

    clean, hardest, steepest, promised = [], [], [], []
    for system in size.systems:
        here = mine(system, "clean", 0.0)
        clean.append((system, next(r.mean for r in here if r.axis == "all")))
        groups = [r for r in here if r.axis != "all" and r.mean.n > 5]
        if groups:
            low = min(groups, key=lambda r: r.mean.value or 0.0)
            hardest.append((system, low.axis, low.stratum, low.mean))
        drops = [
            next(r for r in mine(system, p, 2.0) if r.axis == "all") for p in size.perturbations
        ]
        if drops:
            top = max(drops, key=lambda r: r.drop.value or 0.0)
            steepest.append((system, top.perturbation, top.severity, top.level, top.unit, top.drop))
        b = next(b for b in bounds if b.system == system and b.severity == 0)
        estimate = Estimate(
            b.bound,
            b.n,
            "split conformal",
            "lower",
            0.9,
            status=b.status,
            note="" if b.bound is not None else "needs n >= 9",
        )
        promised.append((system, estimate, b.held, b.counted))

    def best(name: str, severity: float) -> tuple[str, ...]:
        here = [c for c in pairs if (c.perturbation, c.severity) == (name, severity)]
        lost = {
            s
            for c in here
            for s in (c.first, c.second)
            if c.verdict in (c.first, c.second) and s != c.verdict
        }
        return tuple(s for s in size.systems if s not in lost)

    return Headline(
        label=LABEL,
        metric="dsc",
        clean=tuple(clean),
        hardest=tuple(hardest),
        steepest=tuple(steepest),
        promised=tuple(promised),
        best_clean=best("clean", 0.0),
        best_noise=best("gaussian_noise", 3.0),
        noise_perturbation="gaussian_noise",
        noise_severity=3.0,
        noise_level=12.0,
        noise_unit="% of S_ref",
    )


def sample(size: Size | None = None, *, seed: int = 20261123) -> Results:
    """Make the results of an audit of a given size."""
    size = size or Size()
    rng = np.random.default_rng(seed)
    cases = _cases(size, rng)
    scores = _scores(size, rng)
    strata = _strata(size) if size.cases > 1 else ()
    rows = _summaries(size, scores, cases, strata)
    bounds = _conformal(size, scores)
    pairs = _comparisons(size, scores) if size.cases > 1 else ()
    worst = _worst(size, scores)
    clean = next(r.mean for r in rows if r.metric == "dsc" and r.axis == "all")
    systems = tuple(_system(name, i, size) for i, name in enumerate(size.systems))
    counts: dict[str, int] = {}
    for system in systems:
        for c in system.statuses:
            counts[c.status] = counts.get(c.status, 0) + c.n
    missing = [] if size.raters > 1 else ["rater disagreement: one rater"]
    missing += [] if size.metadata else ["sites, scanners and patients' properties: no metadata"]
    return Results(
        version=RESULTS_VERSION,
        audit=AuditInfo(
            name="spleen-ct-vendor-a",
            purpose="confirmatory" if size.criteria else "exploratory",
            stamp="PRE-DECLARED" if size.criteria else "EXPLORATORY",
            modality="ct",
            state="raw",
            seed=20261123,
            tool_version="0.1.0",
            plan_digest="9c1d" * 16,
            config_digest="4be2" * 16,
            manifest_digest="77a0" * 16,
            preview=False,
            criteria_level=0.95,
            interval_level=0.95,
            reference_rule=f"majority of {size.raters} raters, ties above half"
            if size.raters > 1
            else "given",
            length_unit="mm",
        ),
        headline=_headline(size, rows, bounds, pairs),
        systems=systems,
        cases=cases,
        conditions=_conditions(size),
        labels=(LABEL,),
        metrics=_metrics(),
        strata=strata,
        statuses=tuple(StatusCount(s, n) for s, n in sorted(counts.items())),
        planned=sum(n for s, n in counts.items()),
        summaries=rows,
        conformal=bounds,
        comparisons=pairs,
        criteria=_criteria(clean) if size.criteria else (),
        overall="FAIL" if size.criteria else "EXPLORATORY",
        worst=worst,
        difficulty=_difficulty(size, scores, cases),
        controls=_controls(size),
        exhibits=_exhibits(worst),
        not_assessed=(*missing, "scans of other modalities than CT", "adversarial changes"),
        limits=("The references of one site; other reading habits may differ.",),
    )


def samples() -> dict[str, Results]:
    """Every kind of run that a report must show."""
    return {
        "full": sample(),
        "one case": sample(Size(cases=1, systems=("unet",), criteria=False)),
        "bare": sample(Size(cases=12, raters=1, metadata=False, criteria=False)),
        "failures": sample(Size(cases=20, failures=4)),
    }


def grey_png(height: int, width: int) -> bytes:
    """Greyscale PNG of a smooth ramp with a bright disc, written by hand (PNG 1.2, filter 0)."""
    y, x = np.mgrid[0:height, 0:width]
    grey = 40 + 60 * x / width + 25 * np.sin(y / 5.0)
    disc = (x - width * 0.5) ** 2 + ((y - height * 0.5) * 2.0) ** 2 < (width * 0.28) ** 2
    pixels = np.clip(grey + 70 * disc, 0, 255).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def ring(x: float, y: float, rx: float, ry: float) -> list[list[float]]:
    """Polygon of an ellipse, in pixel coordinates."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return [[_r(x + rx * np.cos(t)), _r(y + ry * np.sin(t))] for t in turn]


def exhibit_json(name: str, *, height: int = 64, width: int = 120) -> dict[str, object]:
    """One exhibit's file, anisotropic: a row is 1.5 times as high as a column is wide."""
    middle, centre = width / 2, height / 2
    contours = {
        "reference": [ring(middle, centre, width * 0.28, height * 0.26)],
        "prediction": [ring(middle + 5, centre - 3, width * 0.22, height * 0.3)],
        "clean": [ring(middle + 1, centre, width * 0.27, height * 0.26)],
    }
    return {
        "id": name,
        "planes": [
            {
                "name": "axial",
                "png": f"{name}-axial.png",
                "width": width,
                "height": height,
                "spacing": [1.2, 0.8],
                "slice": 17,
                "contours": contours,
            }
        ],
        "window": [-57.0, 164.0],
        "reproduced": True,
        "note": "",
    }


PROVENANCE = {
    "started": "2026-11-23T13:05:11Z",
    "finished": "2026-11-23T13:41:52Z",
    "command": "segaudit run audit.yaml -o audit-runs/spleen",
    "python": "3.12.4",
    "packages": {"torch": "2.13.0", "onnxruntime": "1.24.1"},
    "hardware": "2 CPU cores, 8 GB",
    "sandbox": ["landlock", "memory limit", "no network"],
}
