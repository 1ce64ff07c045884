"""What is scored: labels, and groups of labels that are scored as one.

**Conventions.** A label map holds one number per voxel, so labels exclude each other; a group is the
union of some of them (whole tumour: oedema, core and enhancing part).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ScoredLabel"]


@dataclass(frozen=True, slots=True)
class ScoredLabel:
    """One label, or one group of labels: what a measurement is about."""

    name: str
    """Of the label or the group."""
    members: tuple[str, ...]
    """Names of its labels: its own name alone, or those of the group."""
    numbers: tuple[int, ...]
    """Number of each member in the label maps."""

    @property
    def is_group(self) -> bool:
        """True for a union of several labels."""
        return len(self.numbers) > 1

    def mask(self, labels: Tensor) -> Tensor:
        """Mark the voxels of a label map that hold one of the numbers.

        Parameters
        ----------
        labels : (z, y, x) or (y, x), integers

        Returns
        -------
        bool, of the same shape.
        """
        found = labels == self.numbers[0]
        for number in self.numbers[1:]:
            found |= labels == number
        return found
