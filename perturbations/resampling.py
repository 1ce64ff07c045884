"""Read images at the positions to which a map of the frame takes their voxels.

**Conventions.** Positions are relative to the centre of the scan, in its unit of length, in the order of
the array, in float64. Work is done in slabs of slices, each on one thread.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from perturbations.chunks import empty, extremes, spread

__all__ = ["SampledWarp", "centred"]

_SLAB = 1 << 16
"""Voxels whose positions are known at once: those of a whole volume in float64 would fill the memory."""

_POINTS = 1 << 15
"""Voxels read at once, so that what is needed for each stays in a core's cache."""


def centred(shape: tuple[int, ...], spacing: tuple[float, ...]) -> list[Tensor]:
    """Positions of the voxels along each axis, float64."""
    return [
        (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) * step
        for size, step in zip(shape, spacing, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class SampledWarp(ABC):
    """A map of the frame that moves voxels; a subclass says where to."""

    shape: tuple[int, ...]
    """Voxels of the grid."""
    spacing: tuple[float, ...]
    """Along each axis, mm (px)."""

    @abstractmethod
    def moved(self, start: int, stop: int) -> list[Tensor]:
        """Where the anatomy at the voxels of some slices goes, one (slice, y, x) tensor an axis."""

    @abstractmethod
    def origins(self, start: int, stop: int) -> list[Tensor]:
        """Where the anatomy that is seen at the voxels of some slices came from."""

    @abstractmethod
    def smallest_jacobian(self) -> float:
        """Return the smallest local change of volume; above 0 when the map does not fold."""

    @property
    def moves(self) -> bool:
        """True: voxels move."""
        return True

    def pull_back(self, values: Tensor) -> Tensor:
        """Bring values from the perturbed to the original frame, linearly.

        Parameters
        ----------
        values : (channel, z, y, x) or (channel, y, x), float32

        Returns
        -------
        Of the same shape, within the range of the values and 0; 0 where the point had left the field
        of view.

        Raises
        ------
        ValueError
            When the values lie on another grid.
        """
        return self._read(values, inverse=False, mode="bilinear")

    def forward(self, values: Tensor, *, filling: Tensor | None = None) -> Tensor:
        """Bring values from the original to the perturbed frame, linearly.

        Parameters
        ----------
        values : (channel, z, y, x) or (channel, y, x), float32
        filling : (channel, 1, 1, 1) or (channel, 1, 1), optional
            What lies beyond the scan; 0 when it is left out.
        """
        return self._read(values, inverse=True, mode="bilinear", filling=filling)

    def push_forward(self, mask: Tensor) -> Tensor:
        """Bring a mask of label numbers from the original to the perturbed frame, by the nearest.

        Parameters
        ----------
        mask : (z, y, x) or (y, x), whole numbers

        Returns
        -------
        Of the same shape and type; 0 where nothing was known.
        """
        values = mask[None].to(torch.float32)
        return self._read(values, inverse=True, mode="nearest")[0].to(mask.dtype)

    @property
    def retained(self) -> Tensor:
        """(z, y, x), bool: points of the original frame that stay inside the field of view."""
        kept = torch.empty(self.shape, dtype=torch.bool)

        def slab(start: int, stop: int) -> None:
            voxels = self._voxels(self.moved(start, stop))
            within = [(v >= -0.5) & (v <= n - 0.5) for v, n in zip(voxels, self.shape, strict=True)]
            kept[start:stop] = torch.stack(within).all(dim=0)

        spread(slab, self.shape[0], self._thick)
        return kept

    def displacement(self) -> Tensor:
        """(z, y, x): how far each point of the anatomy moves, mm (px), float64."""
        far = torch.empty(self.shape, dtype=torch.float64)
        axes = centred(self.shape, self.spacing)

        def slab(start: int, stop: int) -> None:
            here = torch.meshgrid(axes[0][start:stop], *axes[1:], indexing="ij")
            there = self.moved(start, stop)
            steps = [b - a for a, b in zip(here, there, strict=True)]
            far[start:stop] = torch.stack(steps).norm(dim=0)

        spread(slab, self.shape[0], self._thick)
        return far

    @property
    def _thick(self) -> int:
        return max(1, _SLAB // math.prod(self.shape[1:]))

    def _voxels(self, places: list[Tensor]) -> list[Tensor]:
        return [
            place / step + (size - 1) / 2
            for place, step, size in zip(places, self.spacing, self.shape, strict=True)
        ]

    def _read(
        self, values: Tensor, *, inverse: bool, mode: str, filling: Tensor | None = None
    ) -> Tensor:
        """Read values at moved positions; the filling, or 0, beyond the grid."""
        if tuple(values.shape[1:]) != self.shape:
            msg = f"values must lie on a grid of {self.shape}, got {tuple(values.shape[1:])}"
            raise ValueError(msg)
        source = [channel.reshape(-1) for channel in values.cpu().contiguous()]
        result = empty(values.shape)
        fill = [0.0] * len(source) if filling is None else filling.reshape(-1).tolist()
        # rounded weights may sum to a little more than 1, and a probability must not exceed 1
        ranges = [
            (min(low, beyond), max(high, beyond))
            for (low, high), beyond in zip(map(extremes, source), fill, strict=True)
        ]

        def slab(start: int, stop: int) -> None:
            places = self.origins(start, stop) if inverse else self.moved(start, stop)
            outs = [channel[start:stop].view(-1) for channel in result]
            flat_places = [place.reshape(-1) for place in places]
            del places
            for first in range(0, outs[0].numel(), _POINTS):
                cut = slice(first, first + _POINTS)
                ends = _ends(
                    [place[cut] for place in flat_places],
                    self.shape,
                    self.spacing,
                    nearest=mode == "nearest",
                )
                parts = [out[cut].zero_() for out in outs]
                for index, weight in _corners(ends):
                    for flat, part, beyond in zip(source, parts, fill, strict=True):
                        # the difference to what lies beyond, so that weights need not sum to 1
                        part.addcmul_(flat.index_select(0, index).sub_(beyond), weight)
                for part, beyond, (low, high) in zip(parts, fill, ranges, strict=True):
                    part.add_(beyond).clamp_(low, high)

        spread(slab, self.shape[0], self._thick)
        return result.to(values.device)


End = tuple[Tensor, Tensor]
"""What is read along one axis: where, as a share of the flat index, and with which weight; 0 beyond the
grid."""


def _ends(
    places: list[Tensor], shape: tuple[int, ...], spacing: tuple[float, ...], *, nearest: bool
) -> list[list[End]]:
    """Find the voxels around positions (from the centre) along each axis; positions are used up."""
    ends: list[list[End]] = []
    stride = math.prod(shape)
    whole = torch.int32 if stride < 1 << 31 else torch.int64
    for place, size, step in zip(places, shape, spacing, strict=True):
        stride //= size
        place.div_(step).add_((size - 1) / 2)
        low = place.round() if nearest else place.floor()
        share = place.sub_(low).to(torch.float32)
        sides = [(low, None)] if nearest else [(low, 1.0 - share), (low + 1.0, share)]
        ends.append([_end(at, weight, size, stride, whole) for at, weight in sides])
    return ends


def _end(at: Tensor, weight: Tensor | None, size: int, stride: int, whole: torch.dtype) -> End:
    within = at.clamp(0.0, size - 1.0)
    inside = (within == at).to(torch.float32)
    return within.to(whole).mul_(stride), inside if weight is None else inside.mul_(weight)


def _corners(ends: list[list[End]]) -> Iterator[End]:
    """Combine the ends of all axes, one corner at a time: eight at once would fill the cache."""
    first, *rest = ends
    if not rest:
        yield from first
        return
    for index, weight in first:
        for further, other in _corners(rest):
            yield index + further, weight * other
