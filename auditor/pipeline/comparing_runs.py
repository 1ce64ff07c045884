"""Two finished runs on the same cases: matched by the content of their files, compared system by system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.intervals import FEW, seed_of
from auditor.analysis.promises import main_columns
from auditor.analysis.release import Asked, Condition, Group, Paired, compare_systems
from auditor.analysis.release_words import limits, sentences
from auditor.analysis.table import Column, Key, measurements, of_kind
from auditor.errors import ConfigError, DataError
from auditor.execution.store import read_compacted
from auditor.pipeline.folder import tool_version
from auditor.pipeline.run_tables import RunTables, StoredCase, groups_of, read_tables
from auditor.schema import CaseRow, MetricInfo, Record, Results
from auditor.schema.release import (
    RELEASE_VERSION,
    ReleaseComparison,
    ReleasePair,
    RunAsCompared,
)

__all__ = ["compare_runs"]


@dataclass(frozen=True, slots=True)
class _Matched:
    """The cases that both runs have, in one order."""

    before: tuple[StoredCase, ...]
    after: tuple[StoredCase, ...]
    told: tuple[str, ...]
    """What is left out, in words."""


def compare_runs(
    before: Path | str,
    after: Path | str,
    *,
    systems: Mapping[str, str] | None = None,
    metric: str = "dsc",
    margin: float = 0.02,
    threshold: float = 0.8,
) -> ReleaseComparison:
    """Compare a release with the one before, patient by patient.

    Parameters
    ----------
    before, after : Path or str
        Folders of finished runs.
    systems : mapping of a system of the run before to one of the run after, optional
        By default those of the same name; a single system each is compared whatever its name.
    metric : str
        In [0, 1], the same in both runs.
    margin : float
        Largest mean loss that counts as none, in (0, 1).
    threshold : float
        Value of the metric at which a case changes sides.

    Returns
    -------
    ReleaseComparison

    Raises
    ------
    ConfigError
        When the runs cannot be compared: all reasons at once.
    DataError, IntegrityError
        When a run is not finished, or not as it was written.
    """
    if not 0 < margin < 1:
        msg = f"the margin must lie between 0 and 1, was {margin:g}"
        raise ConfigError(msg)
    before, after = Path(before), Path(after)
    first, second = read_tables(before), read_tables(after)
    problems = _differences(first.results, second.results, metric)
    pairs, unknown = _pairs(first.results, second.results, systems)
    problems += unknown
    if problems:
        msg = f"{before.name} and {after.name} cannot be compared:"
        raise ConfigError(msg, problems)
    matched = _match(first, second)
    info = next(it for it in second.results.metrics if it.name == metric)
    level = second.results.audit.criteria_level
    conditions, told = _conditions(first.results, second.results)
    asked = Asked(margin, threshold, level, seed_of(second.results.audit.seed, "bootstrap"))
    made = _compared(first, second, matched, pairs, info, conditions, asked)
    patients = len({it.row.patient for it in matched.after})
    comparison = ReleaseComparison(
        version=RELEASE_VERSION,
        before=_as_compared(first, matched.before),
        after=_as_compared(second, matched.after),
        metric=metric,
        margin=margin,
        threshold=threshold,
        level=level,
        patients=patients,
        pairs=made,
        not_compared=(*matched.told, *told, *_alone(first.results, second.results, pairs)),
        sentences=(),
        limits=limits(same_seed=first.results.audit.seed == second.results.audit.seed, level=level),
    )
    return sentences(comparison)


def _differences(first: Results, second: Results, metric: str) -> list[str]:
    """Say why two runs cannot be compared at all."""
    told = []
    for name, words in (
        ("modality", "the modality"),
        ("state", "the state of the scans"),
        ("length_unit", "the unit of lengths"),
        ("reference_rule", "how the reference is made"),
    ):
        pair = getattr(first.audit, name), getattr(second.audit, name)
        if pair[0] != pair[1]:
            told.append(f"{words} must be the same, was {pair[0]!r} and {pair[1]!r}")
    if not set(first.labels) & set(second.labels):
        told.append(
            f"they must have a label in common, were {', '.join(first.labels)} and "
            f"{', '.join(second.labels)}"
        )
    told += _of_metric(first, second, metric)
    told += [
        f"{which} must be no preview; finish it without --limit"
        for which, results in (("the run before", first), ("the run after", second))
        if results.audit.preview
    ]
    return told


def _of_metric(first: Results, second: Results, metric: str) -> list[str]:
    found: list[MetricInfo | None] = [
        next((it for it in results.metrics if it.name == metric), None)
        for results in (first, second)
    ]
    one, two = found
    if one is None or two is None:
        both = sorted({it.name for it in first.metrics} & {it.name for it in second.metrics})
        return [f"both runs must have the metric {metric}; both have {', '.join(both) or 'none'}"]
    if one.high != 1.0:
        return [f"the metric must lie in [0, 1], {metric} does not"]
    if (one.definition, one.policy, _parameters(one)) != (
        two.definition, two.policy, _parameters(two),
    ):  # fmt: skip
        return [f"{metric} must be defined alike in both runs, and is not: see their metric sheets"]
    return []


def _parameters(info: MetricInfo) -> tuple[tuple[str, float], ...]:
    """Parameters that change a number; what is reported of it does not."""
    return tuple(it for it in info.parameters if not it[0].startswith("within"))


def _pairs(
    first: Results, second: Results, asked: Mapping[str, str] | None
) -> tuple[dict[str, str], list[str]]:
    """Settle which system is compared with which."""
    old, new = ([it.name for it in results.systems] for results in (first, second))
    if asked is not None:
        told = [
            f"--system: the run {which} has {', '.join(known)}, not {name!r}"
            for given, known, which in (
                (list(asked), old, "before"),
                (list(asked.values()), new, "after"),
            )
            for name in given
            if name not in known
        ]
        return dict(asked), told
    # an ablated system explains a network: it is no release of anything
    old, new = (_used(results) for results in (first, second))
    if len(old) == len(new) == 1:
        return {old[0]: new[0]}, []
    common = {name: name for name in old if name in new}
    if common:
        return common, []
    nobody = (
        f"they must have a system of the same name, were {', '.join(old)} and {', '.join(new)}; say which "
        "succeeds which by --system OLD=NEW"
    )
    return {}, [nobody]


def _used(results: Results) -> list[str]:
    return [it.name for it in results.systems if it.ablation is None]


def _match(first: RunTables, second: RunTables) -> _Matched:
    """Find the cases whose images and references are the same files, whatever they are called."""
    known = _by_images(first)
    _by_images(second)  # twins there would be compared with one case twice
    both, changed = [], []
    for case in second.cases:
        twin = known.get(case.images)
        if twin is None:
            continue
        if twin.references == case.references:
            both.append((twin, case))
        else:
            changed.append(case.row.case)
    told = []
    if changed:
        told.append(
            f"{len(changed)} case(s) with the same images and other references "
            f"({', '.join(changed[:5])}{', ..' if len(changed) > 5 else ''} of the run after)"
        )
    for which, tables in (("before", first), ("after", second)):
        alone = len(tables.cases) - len(both) - len(changed)
        if alone:
            told.append(f"{alone} case(s) that only the run {which} has")
    if not both:
        msg = (
            "the runs must have cases in common, with the same images and references by content; "
            f"{first.folder.name} and {second.folder.name} have none"
        )
        raise ConfigError(msg, told)
    return _Matched(tuple(a for a, _ in both), tuple(b for _, b in both), tuple(told))


def _by_images(tables: RunTables) -> dict[tuple[tuple[str, str], ...], StoredCase]:
    """Cases by the content of their images, which must tell them apart."""
    known: dict[tuple[tuple[str, str], ...], StoredCase] = {}
    for case in tables.cases:
        twin = known.setdefault(case.images, case)
        if twin is not case:
            msg = (
                f"cases must differ in their images; {twin.row.case} and {case.row.case} of "
                f"{tables.folder.name} are the same"
            )
            raise DataError(msg)
    return known


def _conditions(
    first: Results, second: Results
) -> tuple[frozenset[tuple[str, float]], tuple[str, ...]]:
    """Find the conditions that mean the same in both runs, and name the others."""
    old, new = (
        {(it.perturbation, it.severity): (it.level, it.unit) for it in results.conditions}
        for results in (first, second)
    )
    common = frozenset(key for key, what in old.items() if new.get(key) == what)
    told = []
    for which, mine, other in (("before", old, new), ("after", new, old)):
        alone = sorted(set(mine) - set(other))
        if alone:
            listed = ", ".join(f"{name} {severity:g}" for name, severity in alone[:8])
            told.append(
                f"conditions of the run {which} alone: {listed}{', ..' if len(alone) > 8 else ''}"
            )
    other_level = sorted(key for key in set(old) & set(new) if key not in common)
    if other_level:
        listed = ", ".join(f"{name} {severity:g}" for name, severity in other_level[:8])
        told.append(f"conditions with other levels: {listed}")
    return common, tuple(told)


def _alone(first: Results, second: Results, pairs: Mapping[str, str]) -> tuple[str, ...]:
    """Name systems and labels that one run alone has."""
    told = []
    for what, old, new in (
        (
            "systems",
            set(_used(first)) - set(pairs),
            set(_used(second)) - set(pairs.values()),
        ),
        ("labels", set(first.labels) - set(second.labels), set(second.labels) - set(first.labels)),
    ):
        for which, names in (("before", old), ("after", new)):
            if names:
                told.append(f"{what} of the run {which} alone: {', '.join(sorted(names))}")
    for which, results, named in (("before", first, pairs), ("after", second, pairs.values())):
        left = [it.name for it in results.systems if it.ablation and it.name not in set(named)]
        if left:
            told.append(
                f"ablated systems of the run {which}, which are compared only when --system names them: "
                f"{', '.join(left)}"
            )
    return tuple(told)


def _compared(
    first: RunTables,
    second: RunTables,
    matched: _Matched,
    pairs: Mapping[str, str],
    info: MetricInfo,
    conditions: frozenset[tuple[str, float]],
    asked: Asked,
) -> tuple[ReleasePair, ...]:
    old, new = (
        _columns(tables, cases, info.name)
        for tables, cases in ((first, matched.before), (second, matched.after))
    )
    masks = [
        _masks(tables, cases)
        for tables, cases in ((first, matched.before), (second, matched.after))
    ]
    numbers: dict[str, int] = {}
    patients = [numbers.setdefault(it.row.patient, len(numbers)) for it in matched.after]
    groups = _groups(second, matched.after)
    made = []
    for one, two in pairs.items():
        mine, other = _of_system(old, one, conditions), _of_system(new, two, conditions)
        common = sorted(mine.keys() & other.keys())
        paired = Paired(
            before={key: mine[key] for key in common},
            after={key: other[key] for key in common},
            patients=np.array(patients, dtype=np.intp),
            cases=tuple(it.row.case for it in matched.after),
            patient_names=tuple(it.row.patient for it in matched.after),
            higher_is_better=info.higher_is_better,
        )
        made.append(
            compare_systems(
                (one, two),
                paired,
                groups,
                asked=asked,
                same_predictions=_same(masks[0].get(one, {}), masks[1].get(two, {})),
            )
        )
    return tuple(made)


def _columns(tables: RunTables, cases: Sequence[StoredCase], metric: str) -> dict[Key, Column]:
    """Columns of one metric over the matched cases, in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    stored = read_compacted(tables.folder, Record.MEASUREMENT)
    names = [it.case for it in cases]
    wanted = pc.and_(
        pc.is_in(stored["case"].cast(pa.string()), pa.array(names)),
        pc.equal(stored["metric"].cast(pa.string()), metric),
    )
    found = measurements(of_kind(stored.filter(wanted), Record.MEASUREMENT), names)
    return main_columns(found, metric)


def _of_system(
    columns: Mapping[Key, Column], system: str, conditions: frozenset[tuple[str, float]]
) -> dict[Condition, Column]:
    return {
        (key.perturbation, key.severity, key.label): column
        for key, column in columns.items()
        if key.system == system and (key.perturbation, key.severity) in conditions
    }


_Masks = dict[tuple[object, ...], str]
"""(place of the case, perturbation, severity, replicate) -> digest of the predicted label map."""


def _masks(tables: RunTables, cases: Sequence[StoredCase]) -> dict[str, _Masks]:
    """Digests of the predicted masks of every system."""
    stored = read_compacted(tables.folder, Record.EVALUATION)
    place = {it.case: i for i, it in enumerate(cases)}
    found: dict[str, _Masks] = {}
    names = ("system", "case", "perturbation", "severity", "replicate", "mask_digest")
    for row in stored.select(list(names)).to_pylist():
        if row["case"] in place and row["mask_digest"]:
            where = (place[row["case"]], row["perturbation"], row["severity"], row["replicate"])
            found.setdefault(row["system"], {})[where] = row["mask_digest"]
    return found


def _same(before: _Masks, after: _Masks) -> tuple[int, int]:
    """Count the predictions of both runs, and those with the same mask."""
    both = before.keys() & after.keys()
    return sum(before[it] == after[it] for it in both), len(both)


def _groups(tables: RunTables, cases: Sequence[StoredCase]) -> list[Group]:
    """Read the groups of the run after, on the matched cases."""
    infos = {(it.axis, it.label): it for it in tables.results.strata}
    found = []
    for (axis, label), membership in groups_of(tables).items():
        for name in infos[axis, label].names:
            inside: NDArray[np.bool_] = np.array([membership[it.case] == name for it in cases])
            if inside.any():
                least = max(FEW, infos[axis, label].minimum)
                found.append(Group(axis, name, label, inside, least))
    return found


def _as_compared(tables: RunTables, matched: Sequence[StoredCase]) -> RunAsCompared:
    results = tables.results
    rows: tuple[CaseRow, ...] = results.cases
    return RunAsCompared(
        name=results.audit.name,
        tool_version=results.audit.tool_version or tool_version(),
        plan_digest=results.audit.plan_digest,
        cases=len(rows),
        patients=len({row.patient for row in rows}),
        alone=len(rows) - len(matched),
    )
