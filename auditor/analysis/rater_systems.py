"""Systems beside the raters of the clean scans: from stored rows to what is said of each.

**Conventions.** Two empty masks agree (DSC 1), for a system as for raters; a prediction that failed has DSC 0
with every rater. Cases enter with two raters or more; they are averaged within their patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.annotator_test import annotator_test
from auditor.analysis.properties import Properties
from auditor.analysis.rater_agreement import (
    over_cases,
    within_rater_range,
)
from auditor.analysis.rater_cases import rater_case
from auditor.analysis.raters import Draws, label_agreement, ranked
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Rows
from auditor.analysis.williams import williams_index
from auditor.metrics.catalog import volume_unit
from auditor.metrics.policy import FAILURES
from auditor.schema import (
    CLEAN,
    AnnotatorTest,
    Estimate,
    RaterCase,
    RaterResults,
    RaterSystem,
    Status,
)

__all__ = ["rater_results"]

Floats = NDArray[np.float64]

LEAST = 0.5
"""Share of patients that an alternative annotator must exceed: more often than not."""

_ANY_MARGIN = 1.0
"""Bounds do not depend on the margin; without a declared one only they are kept."""

_WORST = {
    "qubiq_dice": 0.0, "consensus_dsc": 0.0, "volume_crps": None, "rater_ece": 1.0, "ged": 2.0
}  # fmt: skip
"""Rater-aware metric -> what a prediction counts as whose row was lost; None: it leaves the mean."""

_IN_UNIT = frozenset({"qubiq_dice", "consensus_dsc", "rater_ece"})

Found = Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]
"""(system, label) -> what is scored against -> case -> DSC."""


def rater_results(measured: Rows, known: Properties, setup: AnalysisSetup) -> RaterResults | None:
    """Put together everything that several raters tell.

    Parameters
    ----------
    measured : Rows
        All measurement rows, whatever they are scored against.
    known : Properties
        Of the cases.
    setup : AnalysisSetup

    Returns
    -------
    RaterResults or None
        None when no case has two raters.
    """
    cases = ranked(
        [
            rater_case(
                _of_case(known, label, record.case),
                label=label,
                case=record.display_case,
                patient=record.display_patient,
            )
            for label in setup.labels
            for record in setup.cases
            if len(record.raters) > 1 and _of_case(known, label, record.case).get("raters")
        ]
    )
    if not cases:
        return None
    draws = Draws(setup.audit.interval_level, setup.audit.seed)
    found = _agreements(measured)
    grid = next(iter(setup.geometries.values()))
    return RaterResults(
        labels=tuple(
            label_agreement(label, cases, draws)
            for label in setup.labels
            if any(case.label == label for case in cases)
        ),
        systems=tuple(
            _system(record.name, label, found, measured, cases, setup)
            for record in setup.systems
            for label in setup.labels
        ),
        cases=cases,
        volume_unit=volume_unit(grid.unit, ndim=len(grid.shape)),
        notes=_notes(setup),
    )


def _of_case(known: Properties, label: str, case: str) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for (name, own), values in known.items():
        if own == label and case in values and name.startswith("rater"):
            value = values[case].value
            found[name] = value if isinstance(value, float) else None
    return found


def _agreements(rows: Rows) -> Found:
    """Read the DSC of clean predictions and of raters with each rater and each consensus."""
    columns = rows.columns
    found: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    clean = (columns["perturbation"] == CLEAN) & (columns["metric"] == "dsc")
    for i in np.flatnonzero(clean):
        against = columns["reference"][i]
        if against in (None, "reference") or columns["replicate"][i] > 0:
            continue
        own = found.setdefault((columns["system"][i], columns["label"][i]), {})
        own.setdefault(against, {})[columns["case"][i]] = _agreed(
            columns["value"][i], columns["status"][i]
        )
    return found


def _agreed(value: float, status: str) -> float:
    """DSC of a pair: 1 for two empty masks, 0 for a prediction that failed."""
    if status == Status.BOTH_EMPTY:
        return 1.0
    return 0.0 if status in FAILURES or np.isnan(value) else float(value)


def _system(
    name: str,
    label: str,
    found: Found,
    rows: Rows,
    cases: Sequence[RaterCase],
    setup: AnalysisSetup,
) -> RaterSystem:
    own = found.get((name, label), {})
    shown = {record.case: record for record in setup.cases}
    between = {it.case: it.dsc for it in cases if it.label == label}
    used, with_raters, of_raters = [], [], []
    for case, record in shown.items():
        scores = [own.get(rater, {}).get(case, 0.0) for rater in record.rater_names]
        agreed = between.get(record.display_case)
        if agreed is not None:
            used.append(case)
            with_raters.append(float(np.mean(scores)))
            of_raters.append(agreed)
    patients = [shown[case].patient for case in used]
    model, raters = over_cases(with_raters, patients), over_cases(of_raters, patients)
    draws = Draws(setup.audit.interval_level, setup.audit.seed)
    margin, level = setup.rater_margin, setup.audit.criteria_level
    seed = setup.seed("bootstrap")
    test = within_rater_range(model - raters, margin=margin or _ANY_MARGIN, level=level, seed=seed)
    index = williams_index(model, raters, margin=margin or _ANY_MARGIN / 2, level=level, seed=seed)
    consensus = _consensus(name, label, found, used, setup)
    against = within_rater_range(
        consensus.model - consensus.raters,
        margin=margin or _ANY_MARGIN,
        level=level,
        seed=seed,
        question="the system agrees with the consensus of the others as the rater left out does",
    )
    return RaterSystem(
        system=name,
        label=label,
        dsc=draws.mean(model, least=0.0),
        between=draws.mean(raters, least=0.0),
        difference=test.difference,
        lower=test.lower,
        upper=test.upper,
        test=None if margin is None else test,
        williams=index.index,
        williams_test=None if margin is None else index,
        system_consensus=draws.mean(consensus.model, least=0.0),
        rater_consensus=draws.mean(consensus.raters, least=0.0),
        consensus_difference=against.difference,
        consensus_test=None if margin is None or not len(consensus.model) else against,
        annotators=_annotators(name, label, found, used, setup),
        scores=_scores(name, label, rows, used, setup),
        points=tuple(
            (shown[case].display_case, agreed, own_score)
            for case, agreed, own_score in zip(used, of_raters, with_raters, strict=True)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Consensus:
    """A system and the rater left out, both against the consensus of the others."""

    model: Floats
    """(patients,), mean over the raters left out."""
    raters: Floats
    """(patients,)."""


def _consensus(
    name: str, label: str, found: Found, cases: Sequence[str], setup: AnalysisSetup
) -> _Consensus:
    """Pair a system with each rater left out; empty where there is no consensus of the others."""
    shown = {record.case: record for record in setup.cases}
    own = found.get((name, label), {})
    paired: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        for rater in shown[case].rater_names:
            against = f"without_{rater}"
            his = found.get((f"control:{rater}", label), {}).get(against, {}).get(case)
            if his is not None:
                paired.setdefault(case, []).append((own.get(against, {}).get(case, 0.0), his))
    patients = [shown[case].patient for case in paired]
    means = [np.mean(scores, axis=0) for scores in paired.values()]
    return _Consensus(
        over_cases([float(it[0]) for it in means], patients),
        over_cases([float(it[1]) for it in means], patients),
    )


def _annotators(
    name: str, label: str, found: Found, cases: Sequence[str], setup: AnalysisSetup
) -> tuple[AnnotatorTest, ...]:
    """Put a system in the place of each rater, and compare both with the other raters."""
    shown = {record.case: record for record in setup.cases}
    raters = sorted(
        {rater for case in cases for rater in shown[case].rater_names}, key=lambda it: int(it[6:])
    )
    if not raters:
        return ()
    patients = list(dict.fromkeys(shown[case].patient for case in cases))
    scores = np.full((2, len(cases), len(raters)), np.nan)
    for row, case in enumerate(cases):
        names = shown[case].rater_names
        for rater in names:
            others = [other for other in names if other != rater]
            own = [found.get((name, label), {}).get(it, {}).get(case, 0.0) for it in others]
            his = found.get((f"control:{rater}", label), {})
            between = [his.get(it, {}).get(case, np.nan) for it in others]
            scores[:, row, raters.index(rater)] = np.mean(own), np.mean(between)
    scores[:, np.isnan(scores).any(axis=0)] = np.nan
    of_patient = np.array([patients.index(shown[case].patient) for case in cases])
    averaged = np.full((2, len(patients), len(raters)), np.nan)
    for place in range(len(patients)):
        mine = scores[:, of_patient == place]
        seen = ~np.isnan(mine)
        total = np.where(seen, mine, 0.0).sum(axis=1)
        averaged[:, place] = np.where(seen.any(axis=1), total / seen.sum(axis=1).clip(1), np.nan)
    level = setup.audit.criteria_level
    return tuple(
        annotator_test(averaged[0], averaged[1], least=LEAST, level=level, names=names)
        for names in (None, raters)
    )


def _scores(
    name: str, label: str, rows: Rows, cases: Sequence[str], setup: AnalysisSetup
) -> tuple[tuple[str, Estimate], ...]:
    """Average each rater-aware metric over patients.

    A prediction that failed counts at its worst value, also where its row was lost with its worker; where
    none is known then, the n tells. Nothing marked where no rater marked anything has no value, and leaves
    the mean: it is right.
    """
    columns = rows.columns
    own = (
        (columns["system"] == name)
        & (columns["label"] == label)
        & (columns["reference"] == "raters")
        & (columns["replicate"] == 0)
    )
    draws = Draws(setup.audit.interval_level, setup.audit.seed)
    patient = {record.case: record.patient for record in setup.cases}
    told = []
    for metric, worst in _WORST.items():
        found = np.flatnonzero(own & (columns["metric"] == metric))
        known = {columns["case"][i]: _counted(columns, i, worst) for i in found.tolist()}
        if not known:
            continue
        kept = [(case, known.get(case, worst)) for case in cases]
        values = [(case, value) for case, value in kept if value is not None]
        sample = over_cases([value for _, value in values], [patient[case] for case, _ in values])
        least = 0.0 if metric in _IN_UNIT else None
        told.append((metric, draws.mean(sample, least=least)))
    return tuple(told)


def _counted(columns: Mapping[str, NDArray[Any]], i: int, worst: float | None) -> float | None:
    """Say what a row counts as in a mean; None: it leaves the mean."""
    value, own_worst = columns["value"][i], columns["worst"][i]
    if not np.isnan(value):
        return float(value)
    if columns["status"][i] == Status.BOTH_EMPTY:
        return None
    return worst if np.isnan(own_worst) else float(own_worst)


def _notes(setup: AnalysisSetup) -> tuple[str, ...]:
    told = [
        (
            "Agreement is no accuracy: raters may agree and be wrong together, and a system may agree with "
            "each of them better than they do with each other because it is smoother."
        ),
        (
            "Raters saw the clean scans; under perturbations systems are compared with the same masks, and "
            "nothing is said of how raters would have drawn there."
        ),
        "Two empty masks agree (DSC 1); a prediction that failed agrees with nobody (DSC 0).",
    ]
    if setup.rater_margin is None:
        told.append(
            "No margin was declared, so no system is said to lie within the range of the raters: how much less "
            "agreement is acceptable is a clinical choice (raters: {margin: ..} in the configuration)."
        )
    return tuple(told)
