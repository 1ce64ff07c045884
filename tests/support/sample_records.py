"""Cases, conditions, strata, systems and criteria for sample results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from sample_numbers import (
    BOOTSTRAP,
    LABEL,
    LEVELS,
    PHANTOM,
    Size,
    absent,
    ease,
    rounded,
)

from auditor.analysis.difficulty_lines import percentiles, running_band, window_patients
from auditor.analysis.dose_response import monotone
from auditor.metrics.policy import policy_words, worst_words
from auditor.schema import (
    CaseRow,
    Condition,
    ControlRow,
    CriterionResult,
    Crossing,
    Decision,
    DifficultyAxis,
    DoseResponse,
    Estimate,
    FailureSensitivity,
    MetricInfo,
    StatusCount,
    StratumInfo,
    SystemRecord,
    Verdict,
    Waiver,
)
from auditor.schema.inputs import Certainty, Contract, ContractField, ContractStatus


def decisions_of() -> tuple[Decision, ...]:
    """One choice of each maker."""
    return (
        Decision("cases.reference", "majority, ties above half", "declared", "scientific"),
        Decision("systems.unet: contract", "output.activation", "probed", "scientific"),
        Decision("strata.foreground_ratio.edges", "tertiles", "frozen rule", "scientific"),
        Decision("confidence.criteria", "0.95", "default", "scientific"),
        Decision("seed", "20261123", "declared", "engineering"),
    )


def metric_sheet() -> tuple[MetricInfo, ...]:
    """Three metrics, each with what the catalogue's policy says of it."""
    return tuple(
        replace(it, policy=policy_words(it.name), worst=worst_words(it.name)) for it in _metrics()
    )


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


def cases_of(size: Size, rng: np.random.Generator) -> tuple[CaseRow, ...]:
    ratios = np.exp(np.log(0.001) + np.log(60.0) * ease(size) ** 2)
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
                foreground_ratio=((LABEL, rounded(ratios[i])),),
                rater_assd=((LABEL, rounded(rng.uniform(0.3, 1.8)) if raters > 1 else None),),
                rater_dsc=((LABEL, rounded(rng.uniform(0.82, 0.97)) if raters > 1 else None),),
                native_noise=rounded(noise[i]),
                metadata=meta if size.metadata else (),
            )
        )
    return tuple(rows)


def conditions_of(size: Size) -> tuple[Condition, ...]:
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
                    nrmse=rounded(0.02 * severity**1.5),
                    psnr=40.0 - 5 * severity,
                    ssim=rounded(0.99 - 0.06 * severity),
                    contrast_to_noise=rounded(8.2 - severity),
                    native_level=own[0],
                    native_low=own[1],
                    native_high=own[2],
                    estimated_level=rounded(np.hypot(level, 3.8)) if own[0] else None,
                    stress=severity >= 4,
                    n_masked=int(name == "gaussian_noise"),
                    facts=(("slice_thickness_mm", 7.5, 7.5, 10.0),)
                    if name == "thick_slices"
                    else (),
                )
            )
    return tuple(rows)


def strata_of(size: Size) -> tuple[StratumInfo, ...]:
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


def criteria_of(clean: Estimate) -> tuple[CriterionResult, ...]:
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
        _criterion(
            1,
            Verdict.PASS,
            clean,
            sensitivity=FailureSensitivity(
                *(0, 3, 0, Estimate(0.921, clean.n, "mean over patients"), "", 1),
                fragile=True,
            ),
        ),
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
        _criterion(
            7,
            Verdict.WAIVED,
            clean,
            change="waived: scanner out of use",
            waiver=Waiver("quality department", "scanner out of use"),
        ),
        _criterion(8, Verdict.CONTRACT_IN_DOUBT, clean, change="golden pairs that agree"),
    )


def system_of(name: str, place: int, size: Size) -> SystemRecord:
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


def controls_of(size: Size) -> tuple[ControlRow, ...]:
    n = size.cases
    rows = []
    for name, severity in [("clean", 0.0)] + [
        (p, float(s)) for p in size.perturbations for s in range(1, 6)
    ]:
        fade = 0.03 * severity if name == "rotation" else 0.0
        ceiling = rounded(1.0 - fade / 3)
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
                "otsu", "Otsu", "", LABEL, name, severity, rounded(0.41 - 0.05 * severity), n, None
            ),
        ]
    rows.append(
        ControlRow("empty", "empty mask", "mean DSC is 0", LABEL, "clean", 0.0, 0.0, n, passed=True)
    )
    return tuple(rows)


def difficulty_of(
    size: Size, scores: dict[tuple[str, str, float], np.ndarray], cases: tuple[CaseRow, ...]
) -> tuple[DifficultyAxis, ...]:
    rows = []
    for system in size.systems:
        clean = scores[system, "clean", 0.0]
        axes: dict[str, tuple[str, Literal["high", "low"], list[float | None]]] = {
            "rater_disagreement": ("mm", "high", [c.rater_assd[0][1] for c in cases]),
            "foreground_ratio": ("", "low", [c.foreground_ratio[0][1] for c in cases]),
            "object_volume": ("ml", "low", [1000 * (c.foreground_ratio[0][1] or 0) for c in cases]),
            "texture_disparity": ("", "low", [None for _ in cases]),
            "native_noise": ("% of the reference signal", "high", [c.native_noise for c in cases]),
        }
        for axis, (unit, harder, values) in axes.items():
            numbers = np.array([v for v in values if v is not None])
            if len(numbers) < len(cases):
                why = "fewer than two raters" if axis.startswith("rater") else "not measured"
                none = absent(0, why, "not_assessable")
                rows.append(
                    DifficultyAxis(system, LABEL, axis, unit, harder, none, none, (), 0, (), why)
                )
                continue
            rho = Estimate(-0.312, size.cases, BOOTSTRAP, "two-sided", 0.95, -0.525, -0.061)
            partial = replace(rho, value=-0.108, low=-0.347, high=0.142)
            if size.cases < 10:
                rho = partial = absent(size.cases, "needs n >= 10", "too_few")
            if axis == "object_volume":
                partial = absent(0, "this is object size itself", "not_applicable")
            turned = numbers * (1.0 if harder == "high" else -1.0)
            places = percentiles(turned, np.ones(len(turned)))
            points = tuple(
                (c.case, rounded(v), rounded(d), rounded(p))
                for c, v, d, p in zip(cases, numbers, clean, places, strict=True)
            )
            line = _line(turned, np.asarray(clean, dtype=np.float64))
            window = window_patients(len(turned)) if line else 0
            note = "" if line else f"{size.cases} patient(s) are too few for a line"
            rows.append(
                DifficultyAxis(
                    system, LABEL, axis, unit, harder, rho, partial, points, window, line, note
                )
            )
    return tuple(rows)


def _line(turned: np.ndarray, scores: np.ndarray) -> tuple[tuple[float, float, float, float], ...]:
    n = len(turned)
    band = running_band(turned, scores, np.arange(n), np.ones((3, n)), level=0.95)
    return tuple(
        (rounded(x), rounded(y), rounded(y - 0.03), rounded(y + 0.03)) for x, y, *_ in band
    )


def dose_of(
    size: Size, scores: dict[tuple[str, str, float], np.ndarray], cases: tuple[CaseRow, ...]
) -> tuple[DoseResponse, ...]:
    rows = []
    for system in size.systems:
        clean = np.asarray(scores[system, "clean", 0.0], dtype=np.float64)
        ratio = np.array([c.foreground_ratio[0][1] or 0.0 for c in cases])
        curve: tuple[tuple[float, float, float, float], ...] = ()
        fall, status = absent(size.cases, "no curve", "not_assessable"), "too_few"
        if size.cases >= 10:
            places, fitted = monotone(ratio, clean)
            curve = tuple(
                (rounded(x), rounded(y), rounded(y - 0.04), rounded(y + 0.03))
                for x, y in zip(places, fitted, strict=True)
            )
            fall = Estimate(-0.011, size.cases, BOOTSTRAP, "two-sided", 0.95, -0.072, 0.049)
            status = "ok"
        note = "" if curve else "needs n >= 10"
        rows.append(
            DoseResponse(
                *(system, LABEL, "dsc", size.cases, 0.95, "isotonic regression", status, note),
                curve, fall, ((0.001, 0.02, 10, 0.811), (0.02, 0.06, 10, 0.902)) if curve else (),
                Crossing(0.85, Estimate(0.0123, size.cases, "isotonic regression", "two-sided", 0.95,
                                        None, 0.0234, note="the lower end lies below every ratio seen"))
                if curve else None,
            )
        )  # fmt: skip
    return tuple(rows)
