"""One prediction against one reference: every metric that two label maps are enough for.

What an audit does for each of its evaluations, once, without a system: the same masks, the same
`measure_label`, the same policy for empty masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from auditor.errors import ConfigError, DataError
from auditor.metrics.catalog import metric_info
from auditor.metrics.discretisation import below_voxel_size
from auditor.metrics.measure import measure_label, prepare_reference
from auditor.pipeline.pair_asked import (
    LeftOut,
    Wanted,
    chosen_metrics,
    given_parameters,
    wanted_labels,
)
from auditor.pipeline.pair_maps import LabelMap, label_map, lossy, name_of, numbers_in, same_file
from auditor.schema import Geometry, MetricSpec, ScoredLabel, Status
from auditor.volumes.geometry import difference

__all__ = ["LeftOut", "PairScore", "ScoredMetric", "score"]


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
    >>> import numpy as np
    >>> reference = np.zeros((4, 8, 8), dtype=np.uint8)
    >>> reference[1:3, 2:6, 2:6] = 1
    >>> found = score(reference, reference, spacing_mm=(3, 1, 1), tolerance_mm=3)
    >>> found.row("nsd").value, found.row("hd95").unit
    (1.0, 'mm')
    """
    given = {"tolerance_mm": tolerance_mm, "width_mm": width_mm, "overlap": overlap}
    names = (metrics,) if isinstance(metrics, str) else metrics
    specs, left_out = chosen_metrics(names, given_parameters(given))
    truth, where = label_map(reference, "reference", spacing_mm)
    answer, found = label_map(prediction, "prediction", spacing_mm)
    files = (name_of(reference, "reference"), name_of(prediction, "prediction"))
    if told := difference(where, found):
        msg = (
            f"{files[0]} and {files[1]} must lie on one grid: {told}; resample one of them yourself, "
            "nothing is resampled silently"
        )
        raise DataError(msg)
    grid = where if where.unit == "mm" else found
    held = (numbers_in(truth), numbers_in(answer))
    wanted = wanted_labels(labels, held, files)
    rows = tuple(row for label in wanted for row in _measured(label, truth, answer, specs, grid))
    return PairScore(
        *files,
        shape=grid.shape,
        spacing=grid.spacing,
        unit=grid.unit,
        rows=rows,
        left_out=left_out,
        notes=tuple(_notes(wanted, held, (where, found), files)),
        warnings=(
            *same_file(reference, prediction),
            *lossy(files),
            *below_voxel_size(specs, grid.spacing, grid.unit),
        ),
    )


def _measured(
    label: ScoredLabel,
    truth: Tensor,
    answer: Tensor,
    specs: Sequence[MetricSpec],
    grid: Geometry,
) -> list[ScoredMetric]:
    reference = prepare_reference(label.mask(truth), grid.spacing, grid.unit, reused=False)
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
