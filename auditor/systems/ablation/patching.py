"""What both ways of replacing values share: what is replaced where, found once for each size.

**Conventions.** A network is called as ``around(network, values)`` in the place of ``network(values)``: by a
TorchScript or exported program with a tensor, by a graph with an array and the outputs as a list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from auditor.schema import AblationSpec
from auditor.systems.ablation.selection import selected
from auditor.systems.answers import Refusal
from auditor.systems.skips.cuts import Place, find_cuts
from auditor.systems.skips.recording import Recording
from auditor.systems.skips.rule import find_skips

__all__ = ["Around", "Patching", "Replaced", "require_same_shape", "values_to_replace"]

Around = Callable[[Callable[[Any], Any], Any], Any]
"""Runs a network on values, and does something around it."""

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Replaced:
    """One value of a network that another one takes the place of."""

    name: str
    """In the recording."""
    dtype: str
    """float32 .."""
    rank: int
    """Number of its axes, with the batch and the channels."""
    channel_axis: int
    """1, or the last."""
    places: tuple[Place, ...]
    """Where."""
    skip: int
    """Its skip connection, by its place among all of the network."""
    number: int
    """Which of the values of this skip."""


class Patching(Protocol):
    """Runs a network with some of its values replaced."""

    def replace(self, network: Callable[[Any], Any], values: Any, *, channel_last: bool) -> Any:  # noqa: ANN401
        """Run with the values replaced."""

    def keep(self, network: Callable[[Any], Any], values: Any, *, channel_last: bool) -> Any:  # noqa: ANN401
        """Run as it is, and keep the values for the next `replace`."""


def values_to_replace(recording: Recording, spec: AblationSpec) -> tuple[Replaced, ...]:
    """Find what an ablation replaces in a network.

    Parameters
    ----------
    recording : of one forward pass at the size that is fed.
    spec : which skips are meant.

    Returns
    -------
    The values, those of one skip after the other.

    Raises
    ------
    Refusal
        When no such skip exists, or what it carries are no floating-point numbers.
    """
    skips = find_skips(recording)
    chosen = selected(skips, spec.skips)
    cuts = find_cuts(recording, skips)
    found = []
    for skip in chosen:
        for number, cut in enumerate(cuts[skip]):
            value = recording.values[cut.value]
            if value.dtype not in _FLOATS:
                msg = (
                    f"what skips must be floating-point numbers, {value.name[:80]} of level "
                    f"{skips.found[skip].level} is of type {value.dtype}, as in a quantised network; "
                    "ablate the network that it was made from"
                )
                raise Refusal(msg)
            found.append(
                Replaced(
                    name=value.name,
                    dtype=value.dtype,
                    rank=len(value.shape),
                    channel_axis=cut.channel_axis,
                    places=cut.places,
                    skip=skip,
                    number=number,
                )
            )
    return tuple(found)


def require_same_shape(name: str, own: tuple[int, ...], other: tuple[int, ...]) -> None:
    """Refuse to replace a value by one of another image that has another shape.

    Parameters
    ----------
    name : of the value.
    own, other : shapes.

    Raises
    ------
    Refusal
        When they differ.
    """
    if own != other:
        msg = (
            f"the other image must give {name[:80]} the shape {own} that it has for this one, it gives "
            f"{other}"
        )
        raise Refusal(msg)
