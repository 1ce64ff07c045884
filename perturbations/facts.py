"""What a line of the catalogue finds out about a scan or a level, beside the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Facts", "Stated"]

Facts = Mapping[str, float | str]
"""Name with its unit (`slice_thickness_mm`) -> number or word."""


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """Images at levels, as a line returns them, with facts that belong into a record of what was done."""

    at: Callable[[float], tuple[Tensor, None]]
    """The image at a level."""
    facts: Callable[[float], Facts]
    """The facts at a level."""

    def __call__(self, level: float) -> tuple[Tensor, None]:
        """Return the image at a level."""
        return self.at(level)
