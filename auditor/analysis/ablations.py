"""What skip connections are worth: ablated systems against the same network as it is.

**Conventions.** An ablated system belongs to the system that differs from it in nothing but the ablation:
checkpoint, contract, window, flips and precision are the same. Positive *reliance* means that the ablated one
is worse. Intervals hold at once for all strengths of all skips that are replaced in the same way, at one
condition and label; conditions, labels and ways are not adjusted for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import simultaneous
from auditor.analysis.intervals import FEW, studentized_draws
from auditor.analysis.promises import main_columns
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.summaries import clean_key, drops, worst_drops
from auditor.analysis.table import Column, Key, over_patients
from auditor.schema import (
    ABLATION_KINDS,
    CLEAN,
    AblationCurve,
    AblationKind,
    AblationPoint,
    AblationSpec,
    Estimate,
    MetricInfo,
    Status,
    SystemRecord,
    skips_words,
)

__all__ = ["ablation_bases", "ablation_curves"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_TUNED = ("flips", "precision")
"""Settings beside the contract that change predictions on purpose."""
_BY = {
    "zero": "zeros",
    "mean": "their mean",
    "blur": "a blurred copy",
    "noise": "a noisy copy",
    "dose": "a share of themselves",
    "image": "those of another image",
}
"""What takes the place of activations, in words."""


def ablation_bases(setup: AnalysisSetup) -> dict[str, str | None]:
    """Find the system that each ablated one is read against.

    Of several that differ in nothing that changes predictions, one with the very same settings is taken, else
    the first of the configuration.

    Returns
    -------
    dict
        Ablated system -> its base; None where the audit has none. In the order of the configuration.
    """
    return {it.name: _base(it, setup.systems) for it in setup.systems if it.ablation is not None}


def _base(ablated: SystemRecord, systems: Iterable[SystemRecord]) -> str | None:
    alike = [
        it
        for it in systems
        if it.ablation is None and it.sha256 and _identity(it) == _identity(ablated)
    ]
    same = (it.name for it in alike if it.settings == ablated.settings)
    return next(same, alike[0].name if alike else None)


def _identity(record: SystemRecord) -> object:
    contract = tuple((it.name, it.value) for it in record.contract.fields)
    return record.sha256, contract, tuple(it for it in record.settings if it[0] in _TUNED)


def _skips(spec: AblationSpec) -> tuple[int | str, ...]:
    """Every skip once, levels first, each in an order of its own."""
    levels = sorted({it for it in spec.skips if isinstance(it, int)})
    return (*levels, *sorted({it for it in spec.skips if isinstance(it, str)}))


@dataclass(frozen=True, slots=True)
class _Replaced:
    """Same skips, replaced in the same way, at one or more strengths."""

    skips: str
    level: int | None
    by: AblationKind
    variant: str
    members: tuple[tuple[float | None, str], ...]
    """(strength, system), by rising strength."""


def ablation_curves(
    columns: Mapping[Key, Column], setup: AnalysisSetup
) -> tuple[AblationCurve, ...]:
    """Read every ablated system against its base: the main metric, every label and condition.

    A failure counts at the metric's named worst value, on either side. A scan that an ablated system rejected
    is left out: the ablation could not be made there (another image did not fit), which says nothing of the
    network.

    Parameters
    ----------
    columns : Key -> Column
    setup : AnalysisSetup

    Returns
    -------
    tuple
        By base, way, skips, label and condition, clean first.
    """
    metric = "dsc" if any(it.name == "dsc" for it in setup.metrics) else setup.metrics[0].name
    known = main_columns(columns, metric)
    bases = ablation_bases(setup)
    curves: list[AblationCurve] = []
    for base in setup.systems:
        for kind in ABLATION_KINDS:
            mine = [it for it in setup.systems if bases.get(it.name) == base.name]
            family = _replaced([it for it in mine if it.ablation and it.ablation.by == kind])
            for label in setup.labels if family else ():
                places = [it for it in known if (it.system, it.label) == (base.name, label)]
                read = [
                    _read(key, family, known, columns, setup) for key in _ordered(places, setup)
                ]
                curves += [it for several in zip(*read, strict=True) for it in several]
    return tuple(curves)


def _ordered(places: Sequence[Key], setup: AnalysisSetup) -> list[Key]:
    """Clean first, then as planned."""
    order = {CLEAN: -1} | {it.name: place for place, it in enumerate(setup.perturbations)}
    return sorted(
        places,
        key=lambda it: (order.get(it.perturbation, len(order)), it.perturbation, it.severity),
    )


def _replaced(systems: Sequence[SystemRecord]) -> list[_Replaced]:
    """Gather the ablated systems of one base and kind: levels first, finest first, then sets and names."""
    found: dict[
        tuple[tuple[int | str, ...], str], list[tuple[float | None, str, AblationSpec]]
    ] = {}
    for it in systems:
        spec = it.ablation
        if spec is not None:
            found.setdefault((_skips(spec), _variant(spec)), []).append(
                (spec.strength, it.name, spec)
            )
    variants = {variant for _, variant in found}
    gathered = [
        _Replaced(
            skips=skips_words(skips),
            level=_only_level(skips),
            by=several[0][2].by,
            variant=variant if len(variants) > 1 else "",
            members=tuple(
                (strength, name)
                for strength, name, _ in sorted(several, key=lambda it: (it[0] or 0.0, it[1]))
            ),
        )
        for (skips, variant), several in found.items()
    ]
    return sorted(gathered, key=lambda it: (it.level is None, it.level or 0, it.skips, it.variant))


def _variant(spec: AblationSpec) -> str:
    """Tell apart what replaces the same skips in the same way: the seed of noise, the other image."""
    if spec.by == "noise":
        return f"seed {spec.seed}"
    return f"image {' '.join(it[:8] for it in spec.images_sha256)}" if spec.by == "image" else ""


def _only_level(skips: Sequence[int | str]) -> int | None:
    return skips[0] if len(skips) == 1 and isinstance(skips[0], int) else None


@dataclass(frozen=True, slots=True)
class _Family:
    """What is compared at once: the base, and all of one kind, at one condition."""

    numbers: dict[str, Floats]
    """System -> (cases,): how much worse it is; NaN where nothing can be said."""
    told: dict[str, str]
    """System -> why it has no number at all."""


def _read(
    key: Key,
    family: Sequence[_Replaced],
    known: Mapping[Key, Column],
    columns: Mapping[Key, Column],
    setup: AnalysisSetup,
) -> list[AblationCurve]:
    """Read one family at one condition: a curve for each of its skips."""
    info = setup.metric(key.metric)
    base = known[key]
    names = [name for it in family for _, name in it.members]
    here = {name: known.get(key._replace(system=name)) for name in names}
    worse = _worse(base, here, info)
    many = any(len(it.members) > 1 for it in family)
    reach = 1.0 if info.high == 1.0 else None
    reliance, n = _estimates(
        worse, names, setup, _method(family[0].by, len(names), many=many), reach
    )
    spared = _spared(key, here, columns, setup, _method(family[0].by, len(names), many=many))
    started = len(set(setup.patient_numbers[~np.isnan(base.judged)]))
    return [
        AblationCurve(
            base=key.system,
            skips=it.skips,
            level=it.level,
            by=it.by,
            label=key.label,
            metric=key.metric,
            perturbation=key.perturbation,
            severity=key.severity,
            severity_level=base.level,
            unit=base.unit,
            points=tuple(
                AblationPoint(name, strength, reliance[name], spared[name])
                for strength, name in it.members
            ),
            variant=it.variant,
            left_out=max(0, started - n),
        )
        for it in family
    ]


def _method(kind: AblationKind, points: int, *, many: bool) -> str:
    if points == 1:
        return "paired studentized bootstrap"
    over = "points (skips and strengths)" if many else "sets of skips"
    return (
        f"paired studentized bootstrap, max-T over the {points} {over} replaced by {_BY[kind]} at this "
        "condition"
    )


def _refused(column: Column) -> Flags:
    """Cases that were rejected: the ablation could not be made there."""
    return np.asarray((column.statuses == Status.REJECTED.value).any(axis=-1))


def _worse(base: Column, here: Mapping[str, Column | None], info: MetricInfo) -> _Family:
    numbers, told = {}, {}
    for name, column in here.items():
        if column is None:
            told[name] = "it has no row at this condition"
            continue
        refused = _refused(column)
        values = np.where(refused, np.nan, drops(base.judged, column.judged, info))
        if np.isnan(values).all():
            told[name] = _why(column, refused)
        else:
            numbers[name] = values
    return _Family(numbers, told)


def _why(column: Column, refused: Flags) -> str:
    if not refused.any():
        return "no case has a number with and without it"
    reason = next((it for it in column.reasons[refused] if it), "no reason was stored")
    return f"the ablation could not be made on any scan: {reason}"


def _estimates(
    family: _Family,
    names: Sequence[str],
    setup: AnalysisSetup,
    method: str,
    reach: float | None,
) -> tuple[dict[str, Estimate], int]:
    """Mean of each system over the patients that all of them have, and the number of these."""
    found = {
        name: Estimate(None, 0, "none", status="not_assessable", note=family.told.get(name, ""))
        for name in names
    }
    if not family.numbers:
        return found, 0
    everywhere = np.asarray(~np.isnan(np.stack(list(family.numbers.values()))).any(axis=0))
    values = np.stack(
        [over_patients(it, setup.patient_numbers, everywhere) for it in family.numbers.values()],
        axis=1,
    )
    n = len(values)
    if n == 0:
        note = "no patient has a number under all that are compared at once"
        none = Estimate(None, 0, "none", status="not_assessable", note=note)
        return found | dict.fromkeys(family.numbers, none), 0
    drawn = studentized_draws(values, setup.weights(n)) if n >= FEW else (values.mean(axis=0),) * 3
    level = setup.audit.interval_level
    estimates = simultaneous(drawn, n, level=level, reach=reach, method=method)
    return found | dict(zip(family.numbers, estimates, strict=True)), n


def _spared(
    key: Key,
    here: Mapping[str, Column | None],
    columns: Mapping[Key, Column],
    setup: AnalysisSetup,
    method: str,
) -> dict[str, Estimate]:
    """How much smaller the loss from clean is without the skips."""
    if key.perturbation == CLEAN:
        note = "clean scans are what others are compared with"
        return dict.fromkeys(here, Estimate(None, 0, "none", status="not_assessable", note=note))
    info = setup.metric(key.metric)
    clean = columns.get(clean_key(key))
    if clean is None:
        note = "the network has no number on clean scans"
        return dict.fromkeys(here, Estimate(None, 0, "none", status="not_assessable", note=note))
    kept = worst_drops(columns[key], clean, info)
    numbers, told = {}, {}
    for name, column in here.items():
        before = columns.get(clean_key(key._replace(system=name)))
        if column is None or before is None:
            told[name] = "it has no row on clean scans, or none at this condition"
            continue
        refused = _refused(column) | _refused(before)
        values = np.where(refused, np.nan, kept - worst_drops(column, before, info))
        if np.isnan(values).all():
            told[name] = _why(column, refused)
        else:
            numbers[name] = values
    # each of the two losses lies in [-1, 1]
    reach = 2.0 if info.high == 1.0 else None
    found, _ = _estimates(_Family(numbers, told), list(here), setup, method, reach)
    return {
        name: _with_room(it, columns.get(clean_key(key._replace(system=name))), kept, info, setup)
        for name, it in found.items()
    }


def _with_room(
    it: Estimate, clean: Column | None, lost: Floats, info: MetricInfo, setup: AnalysisSetup
) -> Estimate:
    """Refuse to call a loss spared where the ablated network has too little left to lose as much.

    One that is broken on clean scans loses nothing under noise, whatever comes through its skips.
    """
    floor = info.low if info.higher_is_better else info.high
    if it.value is None or it.low is None or it.low <= 0 or clean is None or floor is None:
        return it
    room, loss = (
        float(over_patients(values, setup.patient_numbers, ~np.isnan(values)).mean())
        for values in (np.abs(clean.judged - floor), lost)
    )
    if room >= loss:
        return it
    note = (
        f"ablated, it is {room:.3f} from the worst value on clean scans, and cannot lose the {loss:.3f} that "
        "the network loses as it is"
    )
    return replace(
        it, method="descriptive", side="none", level=None, low=None, high=None,
        status="not_assessable", note=note,
    )  # fmt: skip
