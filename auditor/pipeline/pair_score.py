"""One prediction against one reference: every metric that two label maps are enough for.

What an audit does for each of its evaluations, once, without a system: the same masks, the same
`measure_label`, the same policy for empty masks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import ConfigError, DataError
from auditor.metrics.catalog import METRICS, Metric, check_spec, get, metric_info
from auditor.metrics.discretisation import below_voxel_size
from auditor.metrics.measure import measure_label, prepare_reference
from auditor.schema import LARGEST_LABEL, Geometry, MetricSpec, ScoredLabel, Status
from auditor.volumes.geometry import difference
from auditor.volumes.images import read_mask
from auditor.volumes.label_numbers import whole_labels

__all__ = ["LeftOut", "PairScore", "ScoredMetric", "score"]

MOST_LABELS = 512
"""That are scored without being named: more of them are an image, or instances to be counted."""

_NO_PROBABILITIES = (
    "needs the probabilities of a system, which a label map does not hold; an audit has them"
)

LabelMap = str | os.PathLike[str] | NDArray[Any] | Tensor
"""A file, or an array (z, y, x) or (y, x) of label numbers."""

Wanted = Mapping[str, int | Sequence[int]]
"""Name -> number of a label, or numbers of several that are scored as one."""


@dataclass(frozen=True, slots=True)
class ScoredMetric:
    """One metric of one label."""

    label: str
    """Its name; without names its number."""
    numbers: tuple[int, ...]
    """In the label maps; several are scored as one."""
    metric: str
    """Name in the catalogue."""
    title: str
    """Name in words."""
    value: float | None
    """In `unit`; None: see `status`."""
    unit: str
    """Empty for a ratio."""
    status: Status
    """Why there is a value, or why there is none."""
    reason: str
    """One sentence when the status is not ok."""
    worst: float | None
    """What an audit's worst-case analysis takes for it; None: nothing may stand in."""
    definition: str
    """One sentence with the formula."""
    parameters: tuple[tuple[str, float], ...]
    """Declared ones: (tolerance_mm, 2)."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A metric that was not computed."""

    metric: str
    """Name in the catalogue."""
    needs: tuple[str, ...]
    """Parameters that must be declared for it; empty when no parameter would help."""
    reason: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class PairScore:
    """Everything that was measured of one pair of label maps."""

    reference: str
    """Name of the file, or ``reference``."""
    prediction: str
    """Name of the file, or ``prediction``."""
    shape: tuple[int, ...]
    """Voxels along each axis: (z, y, x) or (y, x)."""
    spacing: tuple[float, ...]
    """Along the same axes, in `unit`."""
    unit: Literal["mm", "px"]
    """Of lengths."""
    rows: tuple[ScoredMetric, ...]
    """By label, then in the order of the catalogue."""
    left_out: tuple[LeftOut, ...]
    """In the order of the catalogue; empty when metrics were named."""
    notes: tuple[str, ...]
    """What a reader must know of the two maps."""
    warnings: tuple[str, ...]
    """What makes a value doubtful."""

    def row(self, metric: str, *, label: str | None = None) -> ScoredMetric:
        """Return one metric of one label.

        Parameters
        ----------
        metric : name in the catalogue
        label : name, or number as text; may be left out when there is only one

        Raises
        ------
        ConfigError
            When there is none, or more than one; the choices are listed.
        """
        found = [it for it in self.rows if it.metric == metric and label in {None, it.label}]
        if len(found) == 1:
            return found[0]
        metrics = ", ".join(dict.fromkeys(it.metric for it in self.rows))
        labels = ", ".join(dict.fromkeys(it.label for it in self.rows))
        msg = (
            f"row must name one metric of one label, {metric!r} of {label!r} are {len(found)}; there are "
            f"the metrics {metrics} and the labels {labels}"
        )
        raise ConfigError(msg)


def score(
    reference: LabelMap,
    prediction: LabelMap,
    *,
    spacing_mm: Sequence[float] | None = None,
    metrics: Sequence[str] | None = None,
    labels: Wanted | None = None,
    tolerance_mm: float | None = None,
    width_mm: float | None = None,
    overlap: float | None = None,
) -> PairScore:
    """Score one prediction against one reference.

    Parameters
    ----------
    reference, prediction : path, NumPy array or torch tensor
        Label maps: whole numbers from 0 (background) to 65535, (z, y, x) or (y, x). Floating-point
        numbers may lie 0.001 beside a whole one.
    spacing_mm : sequence of float, optional
        Of arrays, PNG and TIFF: distance of voxel centres along each axis, in the order of the array.
        Without it their unit of length is the pixel. Files with a spacing of their own take none.
    metrics : sequence of str, optional
        Names in the catalogue; by default all that two label maps and the given parameters are enough
        for.
    labels : mapping of name to number, or to several numbers that are scored as one, optional
        By default every number above 0 that either map holds.
    tolerance_mm, width_mm, overlap : float, optional
        Parameters of the metrics that need them; lengths are in px for images without a spacing.

    Returns
    -------
    PairScore

    Raises
    ------
    DataError
        When a map cannot be read or holds anything else than label numbers, the two do not lie on one
        grid (nothing is resampled), or there is nothing to score.
    ConfigError
        When a metric is unknown, needs probabilities, or lacks its parameter; when a parameter is out
        of range or reaches no metric.

    Examples
    --------
    >>> reference = np.zeros((4, 8, 8), dtype=np.uint8)
    >>> reference[1:3, 2:6, 2:6] = 1
    >>> found = score(reference, reference, spacing_mm=(3, 1, 1), tolerance_mm=3)
    >>> found.row("nsd").value, found.row("hd95").unit
    (1.0, 'mm')
    """
    given = {"tolerance_mm": tolerance_mm, "width_mm": width_mm, "overlap": overlap}
    names = (metrics,) if isinstance(metrics, str) else metrics
    specs, left_out = _chosen(names, _parameters(given))
    truth, where = _read(reference, "reference", spacing_mm)
    answer, found = _read(prediction, "prediction", spacing_mm)
    files = (_name(reference, "reference"), _name(prediction, "prediction"))
    if told := difference(where, found):
        msg = (
            f"{files[0]} and {files[1]} must lie on one grid: {told}; resample one of them yourself, "
            "nothing is resampled silently"
        )
        raise DataError(msg)
    grid = where if where.unit == "mm" else found
    held = (_numbers(truth), _numbers(answer))
    wanted = _wanted(labels, held, files)
    rows = tuple(row for label in wanted for row in _measured(label, truth, answer, specs, grid))
    return PairScore(
        *files,
        shape=grid.shape,
        spacing=grid.spacing,
        unit=grid.unit,
        rows=rows,
        left_out=left_out,
        notes=tuple(_notes(wanted, held, (where, found), files)),
        warnings=(*_lossy(files), *below_voxel_size(specs, grid.spacing, grid.unit)),
    )


def _parameters(given: Mapping[str, object]) -> dict[str, float]:
    """Keep what was given; what a number must be for its metric is checked with the metric."""
    found = {}
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            msg = f"{name} must be a number, got {value!r}"
            raise ConfigError(msg)
        found[name] = float(value)
    return found


def _chosen(
    names: Sequence[str] | None, given: Mapping[str, float]
) -> tuple[tuple[MetricSpec, ...], tuple[LeftOut, ...]]:
    """Choose the metrics, in the order of the catalogue, and say why the others are left out."""
    if names is None:
        left_out = tuple(it for line in METRICS.values() if (it := _left_out(line, given)))
        without = {it.metric for it in left_out}
        lines = [line for name, line in METRICS.items() if name not in without]
    else:
        left_out, lines = (), _named(names)
    if idle := sorted(set(given) - {name for line in lines for name in line.needs}):
        takers = ", ".join(it.name for it in METRICS.values() if set(idle) & set(it.needs))
        msg = (
            f"{' and '.join(idle)} must be left out, none of the metrics asked for takes it; "
            f"{takers or 'no metric'} would"
        )
        raise ConfigError(msg)
    specs = tuple(_spec(line, given) for line in lines)
    for spec in specs:
        check_spec(spec)
    return specs, left_out


def _left_out(line: Metric, given: Mapping[str, float]) -> LeftOut | None:
    if line.needs_probabilities:
        return LeftOut(line.name, (), _NO_PROBABILITIES)
    lacking = tuple(name for name in line.needs if name not in given)
    return LeftOut(line.name, lacking, f"needs {' and '.join(lacking)}") if lacking else None


def _named(names: Sequence[str]) -> list[Metric]:
    if not names:
        msg = "metrics must name at least one metric, got none; leave it out for all"
        raise ConfigError(msg)
    asked = {line.name: line for line in map(get, names)}
    for line in asked.values():
        if line.needs_probabilities:
            msg = f"metric {line.name!r} cannot be scored here: it {_NO_PROBABILITIES}"
            raise ConfigError(msg)
    return [asked[name] for name in METRICS if name in asked]


def _spec(line: Metric, given: Mapping[str, float]) -> MetricSpec:
    """Declare a metric with what of the parameters it takes."""
    taken: dict[str, Any] = {it: given.get(it) for it in line.needs}
    return MetricSpec(line.name, **taken)


def _read(
    given: LabelMap, role: str, spacing_mm: Sequence[float] | None
) -> tuple[Tensor, Geometry]:
    """Read a map with its grid; a declared spacing counts where the map has none of its own."""
    if isinstance(given, str | os.PathLike):
        try:
            mask, geometry = read_mask(str(Path(given)))
        except DataError as error:
            msg = f"{role}: {error}"
            raise DataError(msg) from error
        if spacing_mm is not None and geometry.unit == "mm":
            msg = (
                f"spacing_mm must be left out where the files have a spacing, {Path(given).name} has "
                f"{geometry.spacing} mm"
            )
            raise ConfigError(msg)
    else:
        mask = whole_labels(_array(given, role), role)
        ones = (1.0,) * mask.ndim
        geometry = Geometry(shape=tuple(mask.shape), spacing=ones, unit="px")
    if spacing_mm is None:
        return mask, geometry
    try:
        steps = tuple(float(step) for step in spacing_mm)
    except (TypeError, ValueError):
        steps = ()
    if len(steps) != mask.ndim or not all(0.0 < step < float("inf") for step in steps):
        msg = (
            f"spacing_mm must be {mask.ndim} positive numbers, one for each axis of the {role} in the "
            f"order of the array, got {spacing_mm!r}"
        )
        raise ConfigError(msg)
    return mask, Geometry(shape=tuple(mask.shape), spacing=steps, unit="mm")


def _array(given: object, role: str) -> NDArray[Any]:
    if isinstance(given, Tensor):
        held = given.detach().cpu()
        given = (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    if not isinstance(given, np.ndarray):
        msg = f"{role} must be a path, a NumPy array or a torch tensor, got {type(given).__name__}"
        raise ConfigError(msg)
    if given.ndim not in {2, 3} or given.size == 0:
        msg = f"{role} must be (z, y, x) or (y, x) with at least one voxel, got shape {given.shape}"
        raise DataError(msg)
    return given


def _name(given: LabelMap, role: str) -> str:
    return Path(given).name if isinstance(given, str | os.PathLike) else role


def _numbers(mask: Tensor) -> frozenset[int]:
    seen = np.zeros(LARGEST_LABEL + 1, dtype=np.bool_)
    for plane in mask.numpy():  # sorting all voxels takes seconds
        seen[plane] = True
    return frozenset(int(number) for number in np.flatnonzero(seen)) - {0}


def _wanted(
    labels: Wanted | None, held: tuple[frozenset[int], frozenset[int]], names: tuple[str, str]
) -> list[ScoredLabel]:
    """Name what is scored: what was asked for, or every number that either map holds."""
    if labels is not None:
        return _declared(labels)
    numbers = sorted(held[0] | held[1])
    if not numbers:
        msg = (
            f"{names[0]} or {names[1]} must hold a label, all voxels of both are 0; name the label that "
            "should be there: labels={'organ': 1}, --label organ=1"
        )
        raise DataError(msg)
    if len(numbers) > MOST_LABELS:
        msg = (
            f"at most {MOST_LABELS} labels are scored without being named, {names[0]} and {names[1]} hold "
            f"{len(numbers)}; is one of them an image? else name labels: labels={{'organ': 1}}, "
            "--label organ=1"
        )
        raise DataError(msg)
    return [ScoredLabel(str(number), (str(number),), (number,)) for number in numbers]


def _declared(labels: object) -> list[ScoredLabel]:
    if not isinstance(labels, Mapping):
        msg = f"labels must be a mapping of names to numbers, as {{'organ': 1}}, got {labels!r}"
        raise ConfigError(msg)
    wanted: list[ScoredLabel] = []
    for name, given in labels.items():
        listed: Sequence[Any] = given if isinstance(given, Sequence) else (given,)
        if (
            not isinstance(name, str)
            or not name
            or not listed
            or not all(_is_label(number) for number in listed)
        ):
            msg = (
                f"labels must give each name a whole number from 1 to {LARGEST_LABEL}, or several to be "
                f"scored as one, {name!r} has {given!r}"
            )
            raise ConfigError(msg)
        numbers = tuple(sorted({int(number) for number in listed}))
        wanted.append(ScoredLabel(name, tuple(map(str, numbers)), numbers))
    if not wanted:
        msg = "labels must name at least one label, got none; leave it out for all"
        raise ConfigError(msg)
    return wanted


def _is_label(number: object) -> bool:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return whole and 1 <= int(number) <= LARGEST_LABEL  # type: ignore[call-overload]  # whole says so


def _measured(
    label: ScoredLabel,
    truth: Tensor,
    answer: Tensor,
    specs: Sequence[MetricSpec],
    grid: Geometry,
) -> list[ScoredMetric]:
    reference = prepare_reference(label.mask(truth), grid.spacing, grid.unit)
    measured = measure_label(label.mask(answer), reference, metrics=specs)
    rows = []
    for spec, it in zip(specs, measured, strict=True):
        info = metric_info(spec, grid.unit, ndim=len(grid.shape))
        rows.append(
            ScoredMetric(
                label=label.name,
                numbers=label.numbers,
                metric=it.metric,
                title=info.title,
                value=it.value,
                unit=info.unit,
                status=it.status,
                reason=it.reason,
                worst=it.worst,
                definition=info.definition,
                parameters=info.parameters,
            )
        )
    return rows


def _notes(
    wanted: Sequence[ScoredLabel],
    held: tuple[frozenset[int], frozenset[int]],
    grids: tuple[Geometry, Geometry],
    names: tuple[str, str],
) -> list[str]:
    notes = []
    for mine, others, name in ((*held, names[0]), (*held[::-1], names[1])):
        if only := sorted(mine - others):
            notes.append(f"only {name} holds {_listed(only)}")
    asked = {number for label in wanted for number in label.numbers}
    if absent := sorted(asked - held[0] - held[1]):
        notes.append(f"neither holds {_listed(absent)}")
    if unscored := sorted((held[0] | held[1]) - asked):
        notes.append(f"{_listed(unscored)} not asked for, counted as background")
    units = {grid.unit for grid in grids}
    if units == {"px"}:
        notes.append("there is no spacing: lengths are in pixels, and so are tolerances and widths")
    elif len(units) == 2:
        bare = names[0] if grids[0].unit == "px" else names[1]
        notes.append(f"{bare} carries no position: only its shape was compared")
    return notes


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    more = f" and {len(numbers) - 12} more" if len(numbers) > 12 else ""
    return f"{'label' if len(numbers) == 1 else 'labels'} {shown}{more}"


def _lossy(names: tuple[str, str]) -> list[str]:
    return [
        f"{name}: JPEG changes numbers near every border; save label maps as PNG"
        for name in names
        if Path(name).suffix.lower() in {".jpg", ".jpeg"}
    ]
