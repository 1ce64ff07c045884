"""What a child tells of the layers of its network, checked before it is believed."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.systems.layers.choosing import MOST_LAYERS
from auditor.systems.told import count_of, counts_of, list_of, name_of, real_of, record_of

__all__ = ["LayerDistances", "layers_of"]


@dataclass(frozen=True, slots=True)
class LayerDistances:
    """One layer, and how far it moves from the clean scan to others."""

    name: str
    """Of the value."""
    operator: str
    """That makes it."""
    resolution: tuple[int, ...]
    """Spatial sizes for the first piece or window of the clean scan; empty where the layout is not known."""
    channels: int
    voxels: int
    """Activations of one channel on the clean scan; 0 where they are not finite."""
    distances: tuple[float | None, ...]
    """Mean over channels of the Hellinger distance, of each scan; None where activations are not finite."""


def layers_of(told: object, scans: int) -> tuple[LayerDistances, ...]:
    """Take over an answer of the child.

    Parameters
    ----------
    told : what it sent.
    scans : were compared with the clean one.

    Returns
    -------
    The layers in the order in which they run.

    Raises
    ------
    ValueError
        When it is no answer.
    """
    layers = list_of(told, MOST_LAYERS, lambda it: _layer(it, scans))
    if not layers:
        msg = "there must be a layer"
        raise ValueError(msg)
    return layers


def _layer(given: object, scans: int) -> LayerDistances:
    it = record_of(given)
    distances = list_of(it.get("distances"), scans, _distance)
    if len(distances) != scans:
        msg = f"there must be {scans} distances of a layer"
        raise ValueError(msg)
    return LayerDistances(
        name=name_of(it.get("name")),
        operator=name_of(it.get("operator"), 80),
        resolution=counts_of(it.get("resolution"), 8),
        channels=count_of(it.get("channels")),
        voxels=count_of(it.get("voxels")),
        distances=distances,
    )


def _distance(given: object) -> float | None:
    if given is None:
        return None
    value = real_of(given)
    if value > 1:
        msg = "a distance must be at most 1"
        raise ValueError(msg)
    return value
