"""Counts of promises made on clean scans, for sample results."""

from __future__ import annotations

import numpy as np
from sample_numbers import LABEL, LEVELS, Size, members, rounded

from auditor.analysis.intervals import clopper_pearson
from auditor.schema import CaseRow, CoverageRow, Estimate, GroupBound, StratumBounds, StratumInfo

METHOD = "leave-one-patient-out count, Clopper-Pearson"


def coverage_of(
    size: Size,
    scores: dict[tuple[str, str, float], np.ndarray],
    cases: tuple[CaseRow, ...],
    strata: tuple[StratumInfo, ...],
) -> tuple[CoverageRow, ...]:
    n = size.cases
    rank = int(n * 0.1)
    groups = [("all", "all", np.ones(n, dtype=bool))]
    for info in strata:
        if info.kind == "inferential":
            groups += [
                (info.axis, it, members(size, info, i, cases)) for i, it in enumerate(info.names)
            ]
    rows = []
    for (system, name, severity), dsc in scores.items():
        clean = np.sort(scores[system, "clean", 0.0])
        _, unit, levels = LEVELS.get(name, ("", "", ()))
        for axis, stratum, inside in groups:
            counted = int(inside.sum()) if rank else 0
            held = int((dsc[inside] >= clean[rank - 1]).sum()) if rank else 0
            share = share_of(held, counted, n)
            verdict = "not certifiable"
            if share.high is not None:
                verdict = "BROKEN" if share.high < 0.9 else "no evidence of breaking"
                verdict = "by construction" if (name, axis) == ("clean", "all") else verdict
            rows.append(
                CoverageRow(
                    system=system,
                    label=LABEL,
                    perturbation=name,
                    severity=severity,
                    level=levels[int(severity) - 1] if levels else None,
                    unit=unit,
                    axis=axis,
                    stratum=stratum,
                    alpha=0.1,
                    n=n,
                    rank=rank,
                    needed=10,
                    held=held,
                    counted=counted,
                    missing=0,
                    share=share,
                    mean_bound=rounded(clean[rank - 1]) if rank else None,
                    chance_low=int(0.75 * counted) if rank else None,
                    chance_high=counted if rank else None,
                    verdict=verdict,
                )
            )
    return tuple(rows)


def stratum_bounds_of(size: Size, strata: tuple[StratumInfo, ...]) -> tuple[StratumBounds, ...]:
    """Two thirds of the systems have large groups."""
    rows = []
    for place, system in enumerate(size.systems):
        for info in strata:
            if info.kind != "inferential":
                continue
            own = place < 2
            note = (
                ""
                if own
                else f"pooled over all groups: each needs 30 patients, {info.names[0]} has 9"
            )
            groups = tuple(
                GroupBound(
                    name, n, own, n if own else size.cases, 3, 0.7 - 0.1 * i, 1, 0.6 - 0.1 * i, note
                )
                for i, (name, n) in enumerate(zip(info.names, info.patients, strict=True))
            )
            rows.append(StratumBounds(system, LABEL, info.axis, 0.1, 0.1, 30, 9, 22, groups))
    return tuple(rows)


def share_of(held: int, counted: int, n: int) -> Estimate:
    if not counted:
        note = f"not certifiable with n = {n}; needs n >= 10"
        return Estimate(None, n, METHOD, status="not_certifiable", note=note)
    low, high = clopper_pearson(held, counted, level=0.95)
    return Estimate(
        rounded(held / counted), counted, METHOD, "two-sided", 0.95, rounded(low), rounded(high),
        note="approximate: the calibration set is shared",
    )  # fmt: skip
