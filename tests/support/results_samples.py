"""Results as an audit would write them, made of seeded numbers: for reports and companions.

The numbers are drawn, not measured; only their form and their relations (intervals around means,
bounds below them, losses that grow with severity) follow a real audit. Display ids stand for cases.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from sample_ablations import with_ablations
from sample_certificates import certificates_of
from sample_coverage import coverage_of, stratum_bounds_of
from sample_layers import with_layers
from sample_numbers import (
    LABEL,
    LEVELS,
    Size,
    comparisons_of,
    conformal_of,
    rounded,
    scores_of,
    summaries_of,
)
from sample_pictures import PROVENANCE, exhibit_json, exhibit_pngs, grey_png
from sample_raters import raters_of
from sample_records import (
    cases_of,
    conditions_of,
    controls_of,
    criteria_of,
    decisions_of,
    difficulty_of,
    dose_of,
    metric_sheet,
    strata_of,
    system_of,
)

from auditor.schema import (
    RESULTS_VERSION,
    AuditInfo,
    Comparison,
    ConformalBound,
    Estimate,
    ExhibitSelection,
    Headline,
    Results,
    StatusCount,
    Summary,
    WorstCase,
)

__all__ = [
    "LABEL",
    "LEVELS",
    "PROVENANCE",
    "Size",
    "exhibit_json",
    "exhibit_pngs",
    "grey_png",
    "sample",
    "samples",
]


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
                *(LABEL, "dsc", rounded(dsc[place]), "ok", ""),
                None if name == "clean" else rounded(clean - dsc[place]),
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
    cases = cases_of(size, rng)
    scores = scores_of(size, rng)
    strata = strata_of(size) if size.cases > 1 else ()
    rows = summaries_of(size, scores, cases, strata)
    bounds = conformal_of(size, scores)
    pairs = comparisons_of(size, scores) if size.cases > 1 else ()
    worst = _worst(size, scores)
    clean = next(r.mean for r in rows if r.metric == "dsc" and r.axis == "all")
    systems = tuple(system_of(name, i, size) for i, name in enumerate(size.systems))
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
        conditions=conditions_of(size),
        labels=(LABEL,),
        metrics=metric_sheet(),
        strata=strata,
        statuses=tuple(StatusCount(s, n) for s, n in sorted(counts.items())),
        planned=sum(n for s, n in counts.items()),
        summaries=rows,
        conformal=bounds,
        comparisons=pairs,
        criteria=criteria_of(clean) if size.criteria else (),
        overall="FAIL" if size.criteria else "EXPLORATORY",
        worst=worst,
        difficulty=difficulty_of(size, scores, cases),
        dose=dose_of(size, scores, cases),
        controls=controls_of(size),
        exhibits=_exhibits(worst),
        not_assessed=(*missing, "scans of other modalities than CT", "adversarial changes"),
        limits=("The references of one site; other reading habits may differ.",),
        raters=raters_of(size, cases) if size.raters > 1 else None,
        coverage=coverage_of(size, scores, cases, strata),
        stratum_bounds=stratum_bounds_of(size, strata),
        decisions=decisions_of() if size.criteria else (),
        certificates=certificates_of() if size.criteria else (),
    )


def samples() -> dict[str, Results]:
    """Every kind of run that a report must show."""
    return {
        "full": sample(),
        "one case": sample(Size(cases=1, systems=("unet",), criteria=False)),
        "bare": sample(Size(cases=12, raters=1, metadata=False, criteria=False)),
        "failures": sample(Size(cases=20, failures=4)),
        "layers": with_layers(sample(Size(cases=12, raters=1, metadata=False, criteria=False))),
        "ablated": with_ablations(
            sample(
                Size(
                    cases=20,
                    systems=("unet",),
                    perturbations=("gaussian_noise",),
                    raters=1,
                    metadata=False,
                    criteria=False,
                )
            )
        ),
    }
