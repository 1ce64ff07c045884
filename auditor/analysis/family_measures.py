"""The measures of the literature by family of training runs, and by group of families.

N architectures, K training runs of each, all conditions: what Kamath et al. (MICCAI 2023; Computers in
Biology and Medicine 184, 2025) report of a design, and what they say should be reported beside a mean:
percentile and worst case.

**Conventions.** Families are set side by side where they were trained alike (`trained_systems`). Runs are
averaged case by case, cases within their patient. Where a run has no value (it failed, or a distance is
infinite) two policies are in use: its named worst value enters the mean over runs (*each run*; of a distance
the diagonal of the image, which is sqrt(2) 256 for the pictures of 256 x 256 pixels of the study), or the
case counts as the worst value, whichever run it was (*any run*, as a mean over runs that is taken before
infinity is replaced). A group is the mean over its families. All of it is descriptive: an inference is in
`train_test` and in recipes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.promises import main_columns
from auditor.analysis.robustness import shares_best, variation
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import drops
from auditor.analysis.table import Column, Key, over_patients
from auditor.analysis.trained_systems import families_trained_alike
from auditor.schema import CLEAN, FamilyMeasures, MetricInfo, SystemRecord

__all__ = ["family_measures"]

Floats = NDArray[np.float64]
Condition = tuple[str, float]
Policy = Literal["each run", "any run"]

_CLEAN: Condition = (CLEAN, 0.0)
_TAIL = 0.05
"""Share of patients beyond the reported percentile, on the bad side."""
_NUMBERS = (
    "clean", "perturbed", "change", "variation", "best_clean", "best", "tail_clean", "tail",
)  # fmt: skip
"""Numbers of a group that are means over its families."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The runs of one training under every condition that all of them have."""

    name: str
    group: str
    systems: tuple[str, ...]
    conditions: Mapping[Condition, tuple[Column, ...]]

    def lacks(self) -> bool:
        """Tell whether some run has no value somewhere, so that the policies differ."""
        return len(self.systems) > 1 and any(
            column.missing.any() for columns in self.conditions.values() for column in columns
        )

    def scores(self, condition: Condition, policy: Policy, info: MetricInfo) -> Floats:
        """Average the runs case by case, (cases,); NaN where a run has neither value nor worst value."""
        columns = self.conditions[condition]
        values = np.stack([it.judged for it in columns])
        mean = values.mean(axis=0)
        if policy == "each run":
            return np.asarray(mean)
        missing = np.stack([it.missing for it in columns])
        worst = values.min(axis=0) if info.higher_is_better else values.max(axis=0)
        return np.asarray(np.where(missing.any(axis=0), worst, mean))

    def before(self, policy: Policy, info: MetricInfo) -> Floats:
        """Return the clean scores that changes are counted from: what failed there counts as the best."""
        columns = self.conditions[_CLEAN]
        best = info.high if info.higher_is_better else info.low
        best = np.nan if best is None else best
        values = np.stack([np.where(it.missing, best, it.judged) for it in columns])
        missing = np.stack([it.missing for it in columns]).any(axis=0)
        mean = values.mean(axis=0)
        return np.asarray(np.where(missing, best, mean) if policy == "any run" else mean)


def family_measures(
    columns: Mapping[Key, Column], setup: AnalysisSetup
) -> tuple[FamilyMeasures, ...]:
    """Measure every family and group, for every label and metric.

    Returns
    -------
    tuple of FamilyMeasures
        Families first, in the order of the configuration, then groups; empty where no system declares a
        family, or where one system alone does.
    """
    alike = families_trained_alike(setup.systems)
    if sum(len(runs) for families in alike.values() for runs in families.values()) < 2:
        return ()
    found = []
    for info in setup.metrics:
        by_label: dict[str, dict[str, dict[Condition, Column]]] = {}
        for key, column in main_columns(columns, info.name).items():
            systems = by_label.setdefault(key.label, {})
            systems.setdefault(key.system, {})[key.perturbation, key.severity] = column
        for label, by_system in by_label.items():
            for training, runs in alike.items():
                families = [it for it in _families(runs, by_system) if it.conditions]
                found += _of_one(families, training, label, info, setup)
    return tuple(found)


def _families(
    trained: Mapping[str, Sequence[SystemRecord]],
    by_system: Mapping[str, Mapping[Condition, Column]],
) -> list[_Family]:
    families = []
    for name, runs in trained.items():
        columns = [by_system.get(it.name, {}) for it in runs]
        shared = sorted(set(columns[0]).intersection(*columns[1:]))
        families.append(
            _Family(
                name=name,
                group=next((it.architecture_group for it in runs if it.architecture_group), ""),
                systems=tuple(it.name for it in runs),
                conditions={place: tuple(it[place] for it in columns) for place in shared},
            )
        )
    return families


def _of_one(
    families: Sequence[_Family], training: str, label: str, info: MetricInfo, setup: AnalysisSetup
) -> list[FamilyMeasures]:
    """Measure all families of one metric and label, under the policies that differ, then groups."""
    policies: list[Policy] = ["each run"]
    if any(it.lacks() for it in families):
        policies.append("any run")
    rows: list[FamilyMeasures] = []
    for policy in policies:
        best = _best(families, policy, info)
        own = [
            _measured(it, policy, best.get(it.name, (None, None)), (training, label), info, setup)
            for it in families
        ]
        groups = {it.name: it.group for it in families}
        rows += own
        rows += _groups(own, groups, higher_is_better=info.higher_is_better)
    return rows


def _best(
    families: Sequence[_Family], policy: Policy, info: MetricInfo
) -> dict[str, tuple[float | None, float | None]]:
    """Family -> shares of cases on which it is best, clean and over all conditions that all have."""
    if len(families) < 2:
        return {}
    shared = set(families[0].conditions).intersection(*(it.conditions for it in families[1:]))
    shares: dict[Condition, Floats] = {}
    for place in sorted(shared):
        values = np.stack([it.scores(place, policy, info) for it in families])
        known = ~np.isnan(values).any(axis=0)
        if known.any():
            shares[place] = shares_best(values[:, known], higher_is_better=info.higher_is_better)
    if not shares:
        return {}
    everywhere = np.mean(list(shares.values()), axis=0)
    return {
        it.name: (
            float(shares[_CLEAN][at]) if _CLEAN in shares else None,
            float(everywhere[at]),
        )
        for at, it in enumerate(families)
    }


def _measured(
    family: _Family,
    policy: Policy,
    best: tuple[float | None, float | None],
    place: tuple[str, str],
    info: MetricInfo,
    setup: AnalysisSetup,
) -> FamilyMeasures:
    """Measure one family; `place` is its training and the label."""
    everyone = np.ones(len(setup.names), dtype=bool)

    def patients(values: Floats) -> Floats:
        return over_patients(values, setup.patient_numbers, everyone)

    samples = {it: patients(family.scores(it, policy, info)) for it in family.conditions}
    samples = {it: values for it, values in samples.items() if len(values)}
    means = {it: float(values.mean()) for it, values in samples.items()}
    moved = [means[it] for it in means if it != _CLEAN]
    bounded_below = info.low is not None and info.low >= 0
    pooled = np.concatenate([*samples.values(), np.empty(0)])
    return FamilyMeasures(
        scope="family",
        name=family.name,
        members=family.systems,
        training=place[0],
        label=place[1],
        metric=info.name,
        policy=policy,
        clean=means.get(_CLEAN),
        perturbed=float(np.mean(moved)) if moved else None,
        change=_change(family, policy, info, patients),
        variation=variation(list(means.values())) if bounded_below and len(means) > 1 else None,
        best_clean=best[0],
        best=best[1],
        tail_clean=_tail(samples.get(_CLEAN, np.empty(0)), info),
        tail=_tail(pooled, info),
        worst=_worst(pooled.tolist(), higher_is_better=info.higher_is_better),
        spread=_spread(_run_means(family, patients)),
        n_conditions=len(samples),
        n_patients=min((len(it) for it in samples.values()), default=0),
    )


def _run_means(family: _Family, patients: Callable[[Floats], Floats]) -> list[float]:
    """Mean over conditions of the mean of each run."""
    found = []
    for run in range(len(family.systems)):
        each = [patients(columns[run].judged) for columns in family.conditions.values()]
        known = [float(it.mean()) for it in each if len(it)]
        if known:
            found.append(float(np.mean(known)))
    return found


def _change(
    family: _Family,
    policy: Policy,
    info: MetricInfo,
    patients: Callable[[Floats], Floats],
) -> float | None:
    """Mean over the perturbed conditions of the paired change from clean, in the metric's own direction."""
    if _CLEAN not in family.conditions:
        return None
    before = family.before(policy, info)
    sign = -1.0 if info.higher_is_better else 1.0
    lost = [
        patients(drops(before, family.scores(it, policy, info), info))
        for it in family.conditions
        if it != _CLEAN
    ]
    known = [float(it.mean()) for it in lost if len(it)]
    return sign * float(np.mean(known)) if known else None


def _tail(values: Floats, info: MetricInfo) -> float | None:
    """Percentile on the bad side."""
    if not len(values):
        return None
    return float(np.quantile(values, _TAIL if info.higher_is_better else 1.0 - _TAIL))


def _worst(values: Iterable[float], *, higher_is_better: bool) -> float | None:
    known = list(values)
    if not known:
        return None
    return min(known) if higher_is_better else max(known)


def _spread(means: Sequence[float]) -> float | None:
    return float(np.std(means, ddof=1)) if len(means) > 1 else None


def _groups(
    families: Sequence[FamilyMeasures], groups: Mapping[str, str], *, higher_is_better: bool
) -> list[FamilyMeasures]:
    """Average families of a group, every family alike."""
    found = []
    for group in dict.fromkeys(groups[it.name] for it in families if groups[it.name]):
        own = [it for it in families if groups[it.name] == group]
        means = {name: _mean([getattr(it, name) for it in own]) for name in _NUMBERS}
        worst = [it.worst for it in own if it.worst is not None]
        overall = [_mean_of_conditions(it) for it in own]
        found.append(
            FamilyMeasures(
                scope="group",
                name=group,
                members=tuple(it.name for it in own),
                training=own[0].training,
                label=own[0].label,
                metric=own[0].metric,
                policy=own[0].policy,
                **means,
                worst=_worst(worst, higher_is_better=higher_is_better),
                spread=_spread([it for it in overall if it is not None]),
                n_conditions=min(it.n_conditions for it in own),
                n_patients=min(it.n_patients for it in own),
            )
        )
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean over families; None where one of them has no number."""
    known = [it for it in values if it is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _mean_of_conditions(it: FamilyMeasures) -> float | None:
    """Mean over all conditions, clean among them."""
    if it.clean is None or it.perturbed is None:
        return it.clean if it.perturbed is None else it.perturbed
    return (it.clean + (it.n_conditions - 1) * it.perturbed) / it.n_conditions
