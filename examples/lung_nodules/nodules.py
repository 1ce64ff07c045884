"""Which annotations of a scan mean the same nodule.

The file does not say so, and readers are anonymous. **The rule here:** two annotations mean the same
nodule when their drawn areas come within one pixel diagonal (in a slice) or one slice of each other;
precisely, when some voxel of one and some voxel of the other differ by at most one slice, one row and one
column. Groups are the connected ones. A group of more than four annotations holds two nodules or one that
a reader drew in parts; it is left out, not divided. One reader each is an assumption: the file cannot
tell one reader's two parts from two readers.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from contours import RATED, Annotation, Scan
from numpy.typing import NDArray
from rasterise import box_of, covered, mask_of

READERS = 4
"""Who read each scan."""


@dataclass(frozen=True, slots=True)
class Nodule:
    """Annotations of one nodule, in the order of the file."""

    scan: Scan
    annotations: tuple[Annotation, ...]

    @property
    def name(self) -> str:
        """Case name: the patient, and the number of the first annotation."""
        return f"{self.scan.patient}-{self.annotations[0].number}"

    @property
    def unambiguous(self) -> bool:
        """Whether there is at most one annotation a reader."""
        return len(self.annotations) <= READERS

    def mean_rating(self, name: str) -> float:
        """Mean over the readers of what they rate from 1 to 5."""
        place = RATED.index(name)
        return float(np.mean([it.ratings[place] for it in self.annotations]))


def nodules_of(scan: Scan) -> tuple[Nodule, ...]:
    """Group the annotations of a scan; nodules come in the order of their first annotation."""
    voxels = [covered(it) for it in scan.annotations]
    group = list(range(len(voxels)))
    for one, other in itertools.combinations(range(len(voxels)), 2):
        if group[one] != group[other] and touch(voxels[one], voxels[other]):
            old, new = sorted((group[one], group[other]), reverse=True)
            group = [new if it == old else it for it in group]
    members: dict[int, list[Annotation]] = {}
    for number, annotation in zip(group, scan.annotations, strict=True):
        members.setdefault(number, []).append(annotation)
    return tuple(Nodule(scan, tuple(it)) for it in members.values())


def readers_per_nodule(nodules: Iterable[Nodule]) -> Counter[int]:
    """Count nodules by the number of annotations."""
    return Counter(len(it.annotations) for it in nodules)


def outlined(nodule: Nodule) -> bool:
    """Tell whether every annotation encloses a voxel, on slices at one distance.

    Contours of very small nodules may enclose none.
    """
    drawn = (mask_of(it, box_of((it,))).any() for it in nodule.annotations)
    return nodule.scan.even and all(drawn)


def fit_for_masks(nodule: Nodule) -> bool:
    """Tell whether a nodule has four masks, none of them empty, see `outlined`."""
    return len(nodule.annotations) == READERS and outlined(nodule)


def touch(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Tell whether two lists of voxels (voxel, 3) share or neighbour a voxel, corners included."""
    low = np.maximum(one.min(axis=0), other.min(axis=0)) - 1
    high = np.minimum(one.max(axis=0), other.max(axis=0)) + 1
    if (low > high).any():
        return False
    shape = high - low + 3  # one voxel of room around for the neighbours
    spread = np.zeros(shape, dtype=bool)
    near = one[((one >= low) & (one <= high)).all(axis=1)] - low + 1
    for step in itertools.product((-1, 0, 1), repeat=3):
        spread[tuple((near + step).T)] = True
    there = other[((other >= low) & (other <= high)).all(axis=1)] - low + 1
    return bool(spread[tuple(there.T)].any())
