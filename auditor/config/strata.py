"""The axes of groups of a configuration: what each is measured on, where it is cut, and crosses of two."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from auditor.config.ablations import as_used
from auditor.config.problems import Problems, must_be_one_of
from auditor.config.shape import StratumShape
from auditor.schema import StratumSpec, SystemSpec
from auditor.strata.axes import AXES, MEASURED_AXES
from auditor.strata.window_rules import WINDOW_AXIS, rule_of_system

__all__ = ["read_strata"]

_TRAINED = ("foreground_ratio", WINDOW_AXIS)
"""Axes that a training range can be declared for: the share of foreground in training patches."""


def read_strata(
    given: Mapping[str, StratumShape],
    *,
    labels: Sequence[str] | None,
    systems: Sequence[SystemSpec],
    declared: Mapping[str, Sequence[str]],
    problems: Problems,
) -> tuple[StratumSpec, ...]:
    """Read the axes of groups.

    Parameters
    ----------
    given : mapping of axis to StratumShape
        Every axis that is neither measured nor a cross is a column of the table of cases.
    labels : sequence of str, optional
        Audited labels; None when a system could not be read, which may have the missing ones.
    systems : sequence of SystemSpec
        Those that could be read.
    declared : mapping
        ``systems`` and ``strata``: every name that the file holds, also of what could not be read.
    problems : list of str
        Sentences are added to it.
    """
    readable = {spec.name: spec for spec in systems}
    broken = [name for name in declared["systems"] if name not in readable]
    strata = []
    for axis, shape in given.items():
        own = Problems()
        if axis == "all":
            own.append("must have another name: all are all cases together")
        if shape.cross is not None:
            _check_cross(axis, shape, given, declared["strata"], own)
        elif axis in AXES:
            _check_measured(axis, shape, labels, own)
        else:
            _check_column(axis, shape, own)
        edges = _edges(axis, shape, readable, broken, own)
        problems += [f"strata.{axis}{problem}" for problem in map(_placed, own)]
        strata.append(
            StratumSpec(
                axis,
                shape.label or "",
                edges,
                training=shape.edges == "training",
                window=None if shape.window is None else tuple(shape.window),
                system=_system(shape, readable),
                cross=tuple(shape.cross or ()),
                minimum_patients=shape.minimum_patients,
            )
        )
    return tuple(strata)


def _placed(problem: str) -> str:
    """Join a problem to the path of its axis: of one of its keys, or of the axis itself."""
    key, colon, _ = problem.partition(": ")
    return f".{problem}" if colon and key in StratumShape.model_fields else f": {problem}"


def _system(shape: StratumShape, readable: Mapping[str, SystemSpec]) -> str:
    """Name the system that an axis is about; the only one need not be named."""
    used = as_used(tuple(readable.values()))
    if shape.edges == "training" and shape.system is None and len(used) == 1:
        return used[0].name
    return shape.system or ""


def _check_measured(
    axis: str, shape: StratumShape, labels: Sequence[str] | None, own: Problems
) -> None:
    if not AXES[axis].of_label:
        if shape.label is not None:
            own.append(f"label: must be left out, {axis} is measured on the scan as a whole")
    elif labels and (told := must_be_one_of(shape.label, labels)):
        own.append(f"label: {told}")
    if shape.edges is None:
        own.append(
            "edges: is required (rising numbers, or tertiles of the references): a default would be a "
            "scientific choice"
        )
    if axis == WINDOW_AXIS:
        if (shape.window is None) == (shape.system is None) and shape.edges != "training":
            own.append(
                f"window: exactly one is required of window ([64, 64, 32]: voxels on the axes of the "
                f"scans) and system (whose windows count) for {axis}"
            )
        if shape.window is not None and shape.edges == "training":
            own.append(
                "window: must be left out with edges: training, whose system has windows of its own"
            )
    elif shape.window is not None:
        own.append(f"window: belongs to {WINDOW_AXIS}, not to {axis}")
    if isinstance(shape.edges, list):
        _check_range(axis, shape.edges, own)


def _check_range(axis: str, edges: Sequence[float], own: Problems) -> None:
    known = AXES[axis]
    if known.high is not None and not all(known.low < edge < known.high for edge in edges):
        own.append(f"edges: must lie between {known.low:g} and {known.high:g}, was {edges}")
    elif known.high is None and edges[0] <= known.low and math.isfinite(known.low):
        unit = {
            "length": " (mm, or px without a spacing)",
            "volume": " (ml; mm² of 2-D scans; voxels or px without a spacing)",
            "percent": " (%)",
        }.get(known.quantity, "")
        own.append(f"edges: must be above {known.low:g}{unit}, was {edges}")


def _check_column(axis: str, shape: StratumShape, own: Problems) -> None:
    """Check an axis that is a column of the table of cases."""
    near = difflib.get_close_matches(axis, MEASURED_AXES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if shape.label is not None:
        of_labels = ", ".join(name for name, known in AXES.items() if known.of_label)
        own.append(
            f"label: must be left out, {axis!r} is a column of the table; measured on a label are "
            f"{of_labels}{hint}"
        )
    if shape.window is not None:
        own.append(f"window: belongs to {WINDOW_AXIS}, {axis!r} is a column of the table{hint}")
    if shape.edges == "training":
        return  # told with the edges
    if shape.system is not None:
        own.append(
            f"system: belongs to {WINDOW_AXIS} and to edges: training, {axis!r} is a column of the "
            f"table{hint}"
        )


def _check_cross(
    axis: str,
    shape: StratumShape,
    given: Mapping[str, StratumShape],
    names: Sequence[str],
    own: Problems,
) -> None:
    pair = shape.cross or []
    if axis in AXES:
        own.append(f"cross: must have a name of its own, {axis} is measured")
    own += [
        f"{key}: must be left out of a cross; declare it under the two axes themselves"
        for key in ("label", "edges", "window", "system")
        if getattr(shape, key) is not None
    ]
    if pair[0] == pair[1]:
        own.append(f"cross: must name two different axes, named {pair[0]!r} twice")
    choices = [name for name in names if name != axis and not _is_cross(given.get(name))]
    for name in dict.fromkeys(pair):
        if name == axis or _is_cross(given.get(name)):
            own.append(f"cross: must name axes that are no crosses themselves, named {name!r}")
        elif told := must_be_one_of(name, choices):
            own.append(f"cross: each axis {told}; declare it under strata, too")
    labels = {given[name].label for name in pair if name in given} - {None}
    if len(labels) > 1:
        told = " and ".join(sorted(map(str, labels)))
        own.append(f"cross: both axes must be measured on one label, are measured on {told}")


def _is_cross(shape: StratumShape | None) -> bool:
    return shape is not None and shape.cross is not None


def _edges(
    axis: str,
    shape: StratumShape,
    readable: Mapping[str, SystemSpec],
    broken: Sequence[str],
    own: Problems,
) -> tuple[float, ...] | Literal["tertiles"] | None:
    """Return the edges; those of a training range are looked up in the system that declares it."""
    training = shape.edges == "training"
    if training and axis not in _TRAINED:
        own.append(
            f"edges: training is a share of foreground in patches, for {' and '.join(_TRAINED)} only"
        )
        return None
    name = _system(shape, readable)
    if shape.cross is None and axis in _TRAINED and (training or shape.system is not None):
        if not training and axis != WINDOW_AXIS:
            own.append(f"system: belongs to {WINDOW_AXIS} and to edges: training")
        told = must_be_one_of(name, tuple(readable), broken=broken) if readable else ""
        if told:
            own.append(f"system: {told}")
        spec = readable.get(name)
        if spec is not None and axis == WINDOW_AXIS and rule_of_system(spec) is None:
            own.append(
                f"system: must be one that this tool feeds itself: what windows {name} uses is not "
                "known; declare window instead"
            )
        if training:
            return _training_range(name, spec, own)
    elif shape.cross is None and axis in AXES and shape.system is not None:
        own.append(f"system: belongs to {WINDOW_AXIS} and to edges: training, not to {axis}")
    if isinstance(shape.edges, list):
        return tuple(shape.edges)
    return "tertiles" if shape.edges == "tertiles" else None


def _training_range(name: str, spec: SystemSpec | None, own: Problems) -> tuple[float, ...] | None:
    if spec is None:
        return None
    known = spec.training.foreground_ratio if spec.training is not None else None
    if known is None:
        own.append(
            f"edges: training needs systems.{name}.training.foreground_ratio: [smallest, largest] share "
            "of foreground in its training patches"
        )
        return None
    if known[0] >= known[1]:
        own.append(
            f"edges: nothing lies between {known[0]:g} and {known[1]:g}, the training range of {name}"
        )
    return known
