"""Rows of raters, drawn from seeded laws: what the clean units of an audit with raters leave behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from rows_tables import LABEL, Cohort

from auditor.schema import CaseRecord, Row

__all__ = ["Noise", "noise_of", "property_row", "rater_rows", "score"]

Noise = Callable[[str, str], float]
"""(case, rater or system) -> how far its masks lie from the truth; DSC of two is 1 minus their distance."""


def noise_of(seed: int, *, bias: float = 0.0, spread: float = 0.06) -> Noise:
    """Raters and systems of one law: each draws on each case; systems are worse by a bias."""

    def draw(case: str, who: str) -> float:
        rng = np.random.default_rng([seed, *map(ord, f"{case} {who}")])
        return float(abs(rng.normal(0, spread))) + (0.0 if who.startswith("rater") else bias)

    return draw


def score(noise: Noise, case: str, first: str, second: str) -> float:
    """DSC of two who each lie somewhere off the truth."""
    return float(np.clip(1 - noise(case, first) - noise(case, second), 0.0, 1.0))


def _place(record: CaseRecord, system: str) -> Row:
    return Row(
        record="measurement", system=system, case=record.case, patient=record.patient,
        perturbation="clean", severity=0.0, level=None, unit="", replicate=0, status="ok",
        label=LABEL, metric="dsc", region="whole", worst=0.0,
    )  # fmt: skip


def property_row(record: CaseRecord, name: str, value: float | None) -> Row:
    """One property of a case."""
    status = "ok" if value is not None else "both_empty"
    return replace(
        _place(record, "controls"), record="property", metric=name, value=value, worst=None,
        region=None, status=status,
    )  # fmt: skip


def rater_rows(cohort: Cohort, noise: Noise, *, systems: Sequence[str] | None = None) -> list[Row]:
    """Rows of every case with two raters: properties, raters with each other, systems with raters.

    The consensus of the others is the truth, so that its DSC is 1 minus the own distance.
    """
    rows: list[Row] = []
    for record in cohort.cases:
        names = record.rater_names
        pairs = [
            score(noise, record.case, a, b) for i, a in enumerate(names) for b in names[i + 1 :]
        ]
        known = {
            "raters": float(len(names)), "raters_empty": 0.0, "rater_volume": 4.0,
            "rater_volume_range": 1.0, "rater_volume_cv": 0.1, "rater_ged": 0.2, "rater_kappa": 0.8,
            "rater_dsc": float(np.mean(pairs)), "rater_assd": 10 * (1 - float(np.mean(pairs))),
        }  # fmt: skip
        rows += [property_row(record, name, value) for name, value in known.items()]
        for who in (*names, *(cohort.systems if systems is None else systems)):
            system = f"control:{who}" if who in names else who
            for other in names:
                if other != who:
                    value = score(noise, record.case, who, other)
                    rows.append(replace(_place(record, system), reference=other, value=value))
                if who in names and other != who:
                    continue
                own = max(0.0, 1 - noise(record.case, who))
                against = f"without_{other}"
                rows.append(replace(_place(record, system), reference=against, value=own))
        rows += [
            replace(_place(record, system), reference="raters", metric=metric, value=value)
            for system in (cohort.systems if systems is None else systems)
            for metric, value in (("qubiq_dice", 0.9), ("volume_crps", 0.3))
        ]
    return rows
