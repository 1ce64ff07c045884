"""What a recipe reads of the folder of a finished run: scores of its cases, and who is who."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.table import Column, Key, measurements, of_kind
from auditor.confidence.recipe_scores import CLEAN_CONDITION, Condition, ScoreTable, score_table
from auditor.errors import ConfigError, DataError
from auditor.execution.store import read_compacted
from auditor.pipeline.run_tables import named_cases
from auditor.schema import CaseRow, MetricInfo, Record, Results

__all__ = ["RunScores", "read_scores"]


@dataclass(frozen=True, slots=True)
class RunScores:
    """What a recipe reads of a run."""

    folder: Path
    results: Results
    cases: tuple[str, ...]
    """In the order of their display ids where identities.csv tells it."""
    patients: NDArray[np.intp]
    """(cases,), number of each case's patient."""
    rows: Mapping[str, CaseRow]
    """Case -> its row of results.json; empty without identities.csv."""
    columns: Mapping[Key, Column]
    label: str
    metric: MetricInfo

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Of the run, clean first."""
        found = {(it.perturbation, it.severity) for it in self.results.conditions}
        return (CLEAN_CONDITION, *sorted(found - {CLEAN_CONDITION}))

    def table(
        self,
        needed: Sequence[Condition],
        systems: Sequence[str],
        as_clean: Condition | None = None,
    ) -> ScoreTable:
        """Arrange the scores under the conditions of a mix; see `score_table`."""
        return score_table(
            self.columns, self.patients, systems=systems, label=self.label,
            metric=self.metric.name, needed=needed, as_clean=as_clean,
        )  # fmt: skip


def read_scores(run: Path, results: Results, label: str | None, metric: str) -> RunScores:
    """Read the stored rows, and settle what is scored."""
    known = {info.name: info for info in results.metrics}
    fit = [name for name, it in known.items() if it.high == 1.0 and it.higher_is_better]
    if metric not in fit:
        msg = (
            "a recipe weighs means of a metric in [0, 1] of which more is better; this run has "
            f"{', '.join(fit) or 'none'}, got {metric!r}"
        )
        raise ConfigError(msg)
    if label is None and len(results.labels) > 1:
        msg = f"a recipe is about one label: --label {' or '.join(results.labels)}"
        raise ConfigError(msg)
    chosen = results.labels[0] if label is None else label
    if chosen not in results.labels:
        msg = f"the label must be one of {', '.join(results.labels)}, was {chosen!r}"
        raise ConfigError(msg)
    stored = read_compacted(run, Record.MEASUREMENT)
    pairs = zip(stored["case"].to_pylist(), stored["patient"].to_pylist(), strict=True)
    patient_of = dict(pairs)
    # without the file the cases have no display ids, which the reality check alone needs
    named = (run / "identities.csv").exists()
    displayed = named_cases(run, results) if named else {}
    cases = tuple(it for it in displayed if it in patient_of) or tuple(sorted(patient_of))
    lacking = sorted(set(patient_of) - set(cases))
    if lacking:
        msg = (
            f"identities.csv of {run.name} must name every case of the run, and lacks {len(lacking)} of them; "
            "restore the file, or remove it (the reality check is then not made)"
        )
        raise DataError(msg)
    numbers: dict[str, int] = {}
    patients = [numbers.setdefault(patient_of[case], len(numbers)) for case in cases]
    return RunScores(
        folder=run,
        results=results,
        cases=cases,
        patients=np.array(patients, dtype=np.intp),
        rows=displayed,
        columns=measurements(of_kind(stored, Record.MEASUREMENT), cases),
        label=chosen,
        metric=known[metric],
    )
