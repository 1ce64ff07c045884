"""Families by what their training images had been through, and what they are tested on.

The design of Kamath et al. (MICCAI 2023; Computers in Biology and Medicine 184, 2025): every architecture is
trained at each level of a blend of textures and tested at each, so that the level of the training and the
distance from it are told apart.

**Conventions.** A row is a training (`trained_systems`) under a perturbation or on clean images, a column a
tested severity of that perturbation, or clean. What failed counts at its named worst value; a case counts in
a cell where every run has a number. Runs are averaged within the patient. The *baseline* of a row is the test
at the level of its training, clean where that was not tested; a *loss* is the paired change for the worse from
there. With `ENOUGH_RUNS` runs intervals are about other patients and other training runs, with fewer about
other patients of these checkpoints alone; differences of families need `ENOUGH_RUNS` of each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import worst_drops
from auditor.analysis.table import Column, Key, over_patients
from auditor.analysis.trained_systems import distinct, runs_by_training, training_words
from auditor.analysis.training_runs import difference_of_runs, mean_of_runs
from auditor.schema import (
    CLEAN,
    Estimate,
    FamilyDifference,
    MetricInfo,
    SystemRecord,
    TrainTestCell,
    TrainTestMatrix,
)

__all__ = ["Studied", "family_differences", "studies_of", "train_test"]

Floats = NDArray[np.float64]
Test = tuple[str, float]
"""(perturbation, severity)."""

_SAME = 1e-9
"""Levels that differ by less, relatively, are the same: 0.3 of the file, 0.1 + 0.2 of the catalogue."""
_AT_BASELINE = "losses count from this test on"


@dataclass(frozen=True, slots=True)
class Studied:
    """What a study of trainings is read from: one metric of one label, of systems with their patients."""

    columns: Mapping[Key, Column]
    """Those of the metric and the label are read."""
    systems: Sequence[SystemRecord]
    patients: NDArray[np.intp]
    """(cases,), number of each case's patient."""
    metric: MetricInfo
    label: str
    level: float
    """Confidence of two-sided intervals."""
    seed: int
    """Of the resampling of patients."""
    levels_of_effect: frozenset[str] = frozenset()
    """Perturbations whose tested levels are similarities, which no level of a training is compared with."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One family trained at one level, under all tests of the perturbation."""

    family: str
    group: str
    trained: float
    systems: tuple[str, ...]
    left_out: tuple[str, ...]
    tests: Mapping[Test, tuple[Column, ...]]
    """Test -> columns of the runs; by severity, clean first."""

    @property
    def baseline(self) -> Test:
        """The test at the level of the training; clean where it was not made."""
        for test in self.tests:
            if math.isclose(self.level(test), self.trained, rel_tol=_SAME):
                return test
        return CLEAN, 0.0

    def level(self, test: Test) -> float:
        """Level of a test; 0 for clean."""
        return self.tests[test][0].level or 0.0

    def scores(self, test: Test) -> Floats:
        """Stack the scores of the runs, (runs, cases); NaN where there is no number."""
        return np.stack([column.judged for column in self.tests[test]])

    def losses(self, test: Test, info: MetricInfo) -> Floats | None:
        """Stack changes for the worse from the baseline, (runs, cases); None where that was not run."""
        if self.baseline not in self.tests:
            return None
        pairs = zip(self.tests[test], self.tests[self.baseline], strict=True)
        return np.stack([worst_drops(column, before, info) for column, before in pairs])


def studies_of(
    columns: Mapping[Key, Column], setup: AnalysisSetup, metric: str
) -> tuple[Studied, ...]:
    """Take what the studies of one metric are read from: one of every label."""
    return tuple(
        Studied(
            columns=columns,
            systems=setup.systems,
            patients=setup.patient_numbers,
            metric=setup.metric(metric),
            label=label,
            level=setup.audit.interval_level,
            seed=setup.seed("bootstrap"),
            levels_of_effect=frozenset(it.name for it in setup.perturbations if it.iso_effect),
        )
        for label in setup.labels
    )


def train_test(studied: Studied) -> tuple[TrainTestMatrix, ...]:
    """Lay out every family by what it was trained on and tested on.

    Returns
    -------
    tuple of TrainTestMatrix
        By perturbation, then by family in the order of the configuration; empty where no system declares
        that its training images had been through a perturbation.
    """
    found = []
    for perturbation, rows in _studies(studied).items():
        for family, own in itertools.groupby(rows, key=lambda row: row.family):
            members = list(own)
            cells = [_cell(row, test, studied) for row in members for test in row.tests]
            found.append(
                TrainTestMatrix(
                    family=family,
                    group=members[0].group,
                    perturbation=perturbation,
                    unit=_unit(members),
                    label=studied.label,
                    metric=studied.metric.name,
                    cells=tuple(cells),
                    left_out=tuple(name for row in members for name in row.left_out),
                    note=_note(members, perturbation, studied),
                )
            )
    return tuple(found)


def family_differences(
    studied: Studied, *, between: Sequence[tuple[str, str]] | None = None
) -> tuple[FamilyDifference, ...]:
    """Compare families that were trained at the same level, test by test, on the same patients.

    Parameters
    ----------
    studied : Studied
    between : pairs of families, optional
        Those that were to be compared before any result was seen: the intervals hold for these together;
        None: all pairs.

    Returns
    -------
    tuple of FamilyDifference
        By perturbation, trained level and test; pairs in the order of `between`, or of the configuration.
        A pair of which one was not trained at a level, or not tested, is not there.
    """
    found = []
    for perturbation, rows in _studies(studied).items():
        ordered = sorted(rows, key=lambda row: row.trained)
        for _, members in itertools.groupby(ordered, key=lambda row: round(row.trained, 9)):
            by_family = {row.family: row for row in members}
            pairs = list(itertools.combinations(by_family, 2)) if between is None else between
            known = [pair for pair in pairs if pair[0] in by_family and pair[1] in by_family]
            found += [
                _difference(by_family[a], by_family[b], test, perturbation, len(known), studied)
                for test in _tests(by_family.values())
                for a, b in known
                if test in by_family[a].tests and test in by_family[b].tests
            ]
    return tuple(found)


def _studies(studied: Studied) -> dict[str, list[_Row]]:
    """Perturbation -> rows, by family in the order of the configuration, then by trained level."""
    runs = runs_by_training(studied.systems)
    stated = [it.condition for it in runs if it.condition is not None]
    names = dict.fromkeys(name for name, _ in stated if name != CLEAN)
    by_system: dict[str, dict[Test, Column]] = {}
    for key, column in main_columns(studied.columns, studied.metric.name).items():
        if key.label == studied.label:
            by_system.setdefault(key.system, {})[key.perturbation, key.severity] = column
    # a family is named without its conditions: they are the rows
    words = training_words([it._replace(condition=None) for it in runs])
    order = {word: place for place, word in enumerate(words.values())}
    studies: dict[str, list[_Row]] = {}
    for perturbation in names:
        tested = {CLEAN} if perturbation in studied.levels_of_effect else {CLEAN, perturbation}
        for training, members in runs.items():
            if training.condition is None or training.condition[0] not in {CLEAN, perturbation}:
                continue
            family = words[training._replace(condition=None)]
            row = _row(family, training.condition[1], members, by_system, tested)
            if row.tests:
                studies.setdefault(perturbation, []).append(row)
    for rows in studies.values():
        rows.sort(key=lambda row: (order[row.family], row.trained))
    return studies


def _row(
    family: str,
    trained: float,
    members: Sequence[SystemRecord],
    by_system: Mapping[str, Mapping[Test, Column]],
    tested: set[str],
) -> _Row:
    """Keep the runs that are repetitions, and the tests that all of them have."""
    kept, left_out = distinct(members)
    columns = [by_system.get(it.name, {}) for it in kept]
    shared = [test for test in columns[0] if all(test in it for it in columns)]
    ordered = sorted(
        (test for test in shared if test[0] in tested), key=lambda it: (it[0] != CLEAN, it[1])
    )
    return _Row(
        family=family,
        group=next((it.architecture_group for it in kept if it.architecture_group), ""),
        trained=trained,
        systems=tuple(it.name for it in kept),
        left_out=tuple(it.name for it in left_out),
        tests={test: tuple(it[test] for it in columns) for test in ordered},
    )


def _tests(rows: Collection[_Row]) -> list[Test]:
    """All tests of the rows, clean first, by severity."""
    found = {test for row in rows for test in row.tests}
    return sorted(found, key=lambda it: (it[0] != CLEAN, it[1]))


def _unit(rows: Sequence[_Row]) -> str:
    return next((it[0].unit for row in rows for it in row.tests.values() if it[0].unit), "")


def _note(rows: Sequence[_Row], perturbation: str, studied: Studied) -> str:
    if perturbation in studied.levels_of_effect:
        return (
            "the audit tests levels of equal effect (SSIM), which no level of a training can be set "
            "beside; clean is shown alone"
        )
    if all(test[0] == CLEAN for row in rows for test in row.tests):
        return f"the audit does not test {perturbation}; clean is shown alone"
    return ""


def _cell(row: _Row, test: Test, studied: Studied) -> TrainTestCell:
    scores = _of_patients(row.scores(test), studied)
    bounded = studied.metric.high == 1.0
    return TrainTestCell(
        trained=row.trained,
        severity=test[1],
        tested=row.level(test),
        systems=row.systems,
        mean=mean_of_runs(
            scores, level=studied.level, seed=studied.seed, reach=(0.0, 1.0) if bounded else None
        ),
        spread=float(scores.mean(axis=1).std(ddof=1)) if scores.size and len(scores) > 1 else None,
        baseline=row.level(row.baseline) if row.baseline in row.tests else 0.0,
        loss=_loss(row, test, studied),
    )


def _loss(row: _Row, test: Test, studied: Studied) -> Estimate:
    if test == row.baseline:
        return Estimate(None, 0, "none", status="not_applicable", note=_AT_BASELINE)
    losses = row.losses(test, studied.metric)
    if losses is None:
        note = "neither the level of the training nor clean was tested"
        return Estimate(None, 0, "none", status="not_assessable", note=note)
    return mean_of_runs(
        _of_patients(losses, studied),
        level=studied.level,
        seed=studied.seed,
        reach=(-1.0, 1.0) if studied.metric.high == 1.0 else None,
    )


def _difference(
    first: _Row, second: _Row, test: Test, perturbation: str, pairs: int, studied: Studied
) -> FamilyDifference:
    reach = 1.0 if studied.metric.high == 1.0 else None
    one, other = _paired(first.scores(test), second.scores(test), studied)
    difference = difference_of_runs(one, other, level=studied.level, pairs=pairs, reach=reach)
    baseline = first.baseline
    lost = first.losses(test, studied.metric), second.losses(test, studied.metric)
    if test == baseline:
        loss = Estimate(None, 0, "none", status="not_applicable", note=_AT_BASELINE)
    elif lost[0] is None or lost[1] is None or second.baseline != baseline:
        note = "the two have no test in common from which losses would count"
        loss = Estimate(None, 0, "none", status="not_assessable", note=note)
    else:
        one, other = _paired(lost[0], lost[1], studied)
        loss = difference_of_runs(
            one,
            other,
            level=studied.level,
            pairs=pairs,
            reach=None if reach is None else 2 * reach,
        )
    return FamilyDifference(
        perturbation=perturbation,
        unit=_unit([first, second]),
        label=studied.label,
        metric=studied.metric.name,
        trained=first.trained,
        severity=test[1],
        tested=first.level(test),
        first=first.family,
        second=second.family,
        difference=difference,
        baseline=first.level(baseline) if baseline in first.tests else 0.0,
        loss=loss,
    )


def _of_patients(values: Floats, studied: Studied) -> Floats:
    """Average (runs, cases) to (runs, patients), over the cases that every run has a number for."""
    known = np.asarray(~np.isnan(values).any(axis=0))
    return np.stack([over_patients(it, studied.patients, known) for it in values])


def _paired(first: Floats, second: Floats, studied: Studied) -> tuple[Floats, Floats]:
    """Average both over the cases that every run of both has a number for."""
    together = _of_patients(np.concatenate([first, second]), studied)
    return together[: len(first)], together[len(first) :]
