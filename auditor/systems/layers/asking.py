"""How far the layers of a running checkpoint move between scans; the parent's side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from auditor.errors import AuditError
from auditor.schema import Geometry, Status, SystemSpec
from auditor.systems.layers.answer import LayerDistances
from auditor.systems.preparation import Prepared, prepare
from auditor.systems.reasons import one_line
from auditor.systems.runners import ProcessRunner
from auditor.systems.running import Failure, answered

__all__ = ["layer_distances"]

GriddedScan = tuple[Tensor, Geometry]
"""(channel, *native) float32, and its grid."""

Found = tuple[LayerDistances, ...] | Failure


def layer_distances(
    runner: ProcessRunner,
    spec: SystemSpec,
    clean: GriddedScan,
    others: Sequence[GriddedScan],
    *,
    bins: int,
) -> list[Found]:
    """Compare scans with a clean one, layer by layer.

    Parameters
    ----------
    runner : of the checkpoint.
    spec : its contract; flips are left out.
    clean : the scan that bins are laid on.
    others : to be compared with it.
    bins : of each channel.

    Returns
    -------
    For each of the others its layers, each with one distance; or why there are none.
    """
    try:
        reference = _prepared(clean, spec)
    except AuditError as error:
        return [Failure(Status.REJECTED, f"clean scan: {one_line(error)}") for _ in others]
    found: list[Found | None] = [None] * len(others)
    prepared: dict[int, Prepared] = {}
    for place, other in enumerate(others):
        try:
            prepared[place] = _prepared(other, spec)
        except AuditError as error:
            found[place] = Failure(Status.REJECTED, one_line(error))

    def ask(places: Sequence[int]) -> list[Found]:
        scans = [reference, *(prepared[place] for place in places)]
        layers = runner.layers([it.pieces for it in scans], spec, bins=bins)
        return [
            tuple(replace(it, distances=(it.distances[i],)) for it in layers)
            for i in range(len(places))
        ]

    for place, answer in answered(list(prepared), ask):
        found[place] = answer
    return [it for it in found if it is not None]


def _prepared(scan: GriddedScan, spec: SystemSpec) -> Prepared:
    image, geometry = scan
    return prepare(image, geometry, spec.input, spec.window)
