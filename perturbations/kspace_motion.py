"""Motion while MR data are acquired: parts of k-space are of a moved head.

**Conventions.** As in `perturbations.kspace`. Poses are rigid, about the centre of the scan, in mm (px)
and in the order of the array; the anatomy in pose j is T_j x. Lines of k-space run along the
phase-encode axis; all that one line holds counts as acquired at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import empty, magnitude, spread
from perturbations.geometry import movable_axes, rotation_matrix, turnable_axes
from perturbations.kspace import empty_again, phase_encoding, require_magnitude, thickness
from perturbations.scan import Scan

__all__ = ["Pose", "Reader", "draw_path", "motion"]

_COARSE, _FINE = 1 / 100, 1 / 30
"""Cycles per mm at which moves happen: structures of 100 mm to 30 mm are being encoded. Finer
ones would be shifted by more than half their length at 10 mm, where distortion stops growing."""


@dataclass(frozen=True, slots=True)
class Pose:
    """One segment of the acquisition, as it is at a rotation of 1 and a translation of 1."""

    side: int
    """-1: lines k < 0, +1: lines k > 0."""
    first: float
    """Lines beyond this frequency belong to it, cycles per mm (px)."""
    last: float
    """Up to this one, which is included."""
    turn: tuple[float, float, float]
    """Axis of rotation times angle; the largest angle of all poses is 1."""
    shift: tuple[float, ...]
    """Translation along each spatial axis; the longest of all poses is 1."""

    def lines(self, size: int, step: float) -> tuple[int, int]:
        """Return the first and last (exclusive) |k| of its lines, in cycles per field of view.

        Parameters
        ----------
        size : int
            Voxels along the phase-encode axis.
        step : float
            Their distance, mm (px).
        """
        end = size // 2 + 1 if self.side < 0 else (size + 1) // 2
        field = size * step
        low = math.floor(self.first * field + 1e-9) + 1
        high = end if math.isinf(self.last) else math.floor(self.last * field + 1e-9) + 1
        return min(low, end), min(high, end)


def motion(
    scan: Scan,
    generator: np.random.Generator,
    *,
    phase_axis: int | None = None,
    moves: int = 2,
    translation_mm: Sequence[Sequence[float]] = ((1.0, 1.0), (2.0, 2.0)),
) -> Callable[[float], tuple[Tensor, None]]:
    """Let the anatomy move while k-space is acquired.

    y = |sum_j F^-1 M_j F T_j x|: the lines M_j are acquired in pose T_j (Shaw et al. 2019, MIDL). The
    segment that holds k = 0 stays where it was, for moving it would move the anatomy and not blur it;
    so y = |x + sum_j F^-1 M_j F (T_j x - x)|. One path, a random walk away from the centre of k-space
    on either side in turn, is drawn once and scaled by the level: its largest rotation is `level`
    degrees, its longest translation that of `translation_mm`. Moves happen at spatial frequencies
    between 1/100 and 1/30 per mm, evenly in their logarithm: later ones are hardly seen.

    Parameters
    ----------
    scan : Scan
        Magnitudes.
    generator : numpy.random.Generator
        Of the path and of the times.
    phase_axis : int, optional
        Spatial axis whose lines follow each other in time; the longer in-plane axis by default.
    moves : int
        Number of moves, 1 to 16.
    translation_mm : pairs of float
        Rotation in degrees and the translation in mm (px) that goes with it, both rising; between them
        it is interpolated from (0, 0) on, beyond the last it grows in proportion.

    Raises
    ------
    ValueError
        When the scan has negative values or no such axis, or an option is out of range.
    """
    require_magnitude("motion", scan)
    axis = phase_encoding("motion", scan, phase_axis)
    if type(moves) is not int or not 1 <= moves <= 16:  # True is no number of moves
        msg = f"moves of motion must be a whole number from 1 to 16, got {moves!r}"
        raise ValueError(msg)
    angles, lengths = _pairs(translation_mm)
    path = draw_path(generator, moves, scan.spatial_shape)
    size, step = scan.spatial_shape[axis], scan.spacing[axis]
    acquired = [pose for pose in path if pose.lines(size, step)[0] < pose.lines(size, step)[1]]
    image = scan.image.contiguous()

    def at(level: float) -> tuple[Tensor, None]:
        length = float(np.interp(level, angles, lengths))
        if level > angles[-1]:
            length = lengths[-1] * level / angles[-1]
        readers = [Reader(scan, pose, axis, level, length) for pose in acquired]
        out = empty(image.shape)
        _acquire(out, image, axis, step, readers, scan.square_unit)
        return empty_again(scan, out, cut=scan.cut_out), None

    return at


def draw_path(generator: np.random.Generator, moves: int, shape: Sequence[int]) -> list[Pose]:
    """Draw the times of the moves and the pose after each, going outwards from k = 0.

    A scan moves along axes of more than one voxel alone, so that a single slice stays in its plane.
    """
    frequencies = np.exp(generator.uniform(math.log(_COARSE), math.log(_FINE), moves))
    steps = generator.standard_normal((moves, 6))
    sense = 1 if generator.random() < 0.5 else -1
    ends: list[tuple[int, float, float, NDArray[np.float64]]] = []
    for side in (sense, -sense):
        own = slice(0 if side == sense else 1, None, 2)
        times = np.sort(frequencies[own]).tolist()
        walked = np.cumsum(steps[own], axis=0)
        ends += [
            (side, first, last, pose)
            for first, last, pose in zip(times, [*times[1:], math.inf], walked, strict=False)
        ]
    # in 2-D the first number is the sense and size of the turn
    turns = np.array([pose[:3] * turnable_axes(shape) for *_, pose in ends])
    shifts = np.array([pose[3 : 3 + len(shape)] * movable_axes(shape) for *_, pose in ends])
    for vectors in (turns, shifts):
        vectors[:] /= np.linalg.norm(vectors, axis=1).max() or 1.0  # a line cannot turn
    return [
        Pose(side, first, last, (turn[0], turn[1], turn[2]), tuple(shift))
        for (side, first, last, _), turn, shift in zip(
            ends, turns.tolist(), shifts.tolist(), strict=True
        )
    ]


class Reader:
    """Reads the anatomy in a pose, linearly; beyond the scan the nearest voxel counts.

    Voxel i of T x is voxel A i + b of x, with T p = R p + t in mm from the centre.
    """

    def __init__(self, scan: Scan, pose: Pose, axis: int, degrees: float, length: float) -> None:
        turn = np.asarray(pose.turn)
        angle = float(np.linalg.norm(turn))
        dims = scan.ndim
        direction = turn / angle if angle > 0 else np.array([1.0, 0.0, 0.0])
        rotation = rotation_matrix(direction, math.radians(degrees * angle), dims)
        steps, sizes = np.asarray(scan.spacing), np.asarray(scan.spatial_shape)
        middle = (sizes - 1) / 2
        matrix = rotation.T * steps[None] / steps[:, None]
        offset = middle - matrix @ middle - rotation.T @ (length * np.asarray(pose.shift)) / steps
        self.pose = pose
        self.shape = scan.spatial_shape
        self.cut = 0 if axis != 0 else 1
        """Axis along which the volume is cut into pieces: any but that of phase encoding."""
        self.thick = thickness(self.shape, self.cut)
        self._slopes = matrix[:, self.cut].tolist()
        self._base = self._places(matrix, offset)

    def _places(self, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> list[Tensor]:
        """Where the voxels of the first piece are read, one flat float32 tensor per axis."""
        ranges = [np.arange(size, dtype=np.float64) for size in self.shape]
        ranges[self.cut] = ranges[self.cut][: self.thick]
        grids = np.meshgrid(*ranges, indexing="ij", sparse=True)
        places = []
        for row, start in zip(matrix.tolist(), offset.tolist(), strict=True):
            place = start + sum(weight * grid for weight, grid in zip(row, grids, strict=True))
            places.append(torch.from_numpy(np.asarray(place, dtype=np.float32)))
        return places

    def read(self, image: Tensor, start: int, stop: int) -> Tensor:
        """Read the voxels start to stop along the cut axis.

        Parameters
        ----------
        image : (channel, z, y, x) or (channel, y, x), contiguous

        Returns
        -------
        (channel, ...)
            stop - start along the cut axis.
        """
        index, shares, strides = None, [], []
        stride = 1
        for place, slope, size in reversed(
            list(zip(self._base, self._slopes, self.shape, strict=True))
        ):
            # the last voxel is read as the far end of the pair before it
            last = float(np.nextafter(np.float32(size - 1), np.float32(0)))
            where = (place.narrow(self.cut, 0, stop - start) + slope * start).clamp_(0, last)
            whole = where.to(torch.int32)
            shares.append(where.frac_())
            strides.append(stride if size > 1 else 0)
            index = whole if index is None else index.add_(whole, alpha=stride)
            stride *= size
        assert index is not None  # a scan has axes
        shape = index.shape
        values = [
            _corner(channel.view(-1), index.view(-1), shares, strides).view(shape)
            for channel in image
        ]
        return torch.stack(values) if len(values) > 1 else values[0][None]


def _corner(flat: Tensor, index: Tensor, shares: list[Tensor], strides: list[int]) -> Tensor:
    """Interpolate between the two ends of the last axis in the lists, each from the axes before."""
    if not shares:
        return flat.index_select(0, index)
    near = _corner(flat, index, shares[:-1], strides[:-1])
    if strides[-1] == 0:
        return near
    far = _corner(flat[strides[-1] :], index, shares[:-1], strides[:-1])
    return near.lerp_(far, shares[-1].reshape(-1))


def _acquire(
    out: Tensor, image: Tensor, axis: int, step: float, readers: list[Reader], unit: float
) -> None:
    """Write |x + sum_j F^-1 M_j F (T_j x - x)|, some slices at a time."""
    from scipy import fft

    if not readers:
        out.copy_(image)
        return
    cut, size = readers[0].cut + 1, image.shape[axis + 1]

    def piece(start: int, stop: int) -> None:
        clean = image.narrow(cut, start, stop - start)
        shape = list(clean.shape)
        shape[axis + 1] = size // 2 + 1
        real, imaginary = (torch.zeros(shape, dtype=torch.complex64) for _ in range(2))
        for reader in readers:
            change = reader.read(image, start, stop).sub_(clean)
            lines = torch.from_numpy(fft.rfft(change.numpy(), axis=axis + 1))
            _add_lines(real, imaginary, lines, reader.pose, axis + 1, size, step)
        summed, turned = (
            torch.from_numpy(fft.irfft(part.numpy(), n=size, axis=axis + 1))
            for part in (real, imaginary)
        )
        magnitude(summed.add_(clean), turned, unit)
        out.narrow(cut, start, stop - start).copy_(summed)

    spread(piece, image.shape[cut], readers[0].thick)


def _add_lines(
    real: Tensor, imaginary: Tensor, lines: Tensor, pose: Pose, axis: int, size: int, step: float
) -> None:
    """Add the lines of one pose to the transforms of the real and the imaginary part of the outcome.

    Lines K(k) on one side of k = 0 alone are the Hermitian K(k) / 2, K(k)* / 2 at -k, whose image is
    real, plus i times the Hermitian -+i K(k) / 2 (k > 0: -, k < 0: +), whose image is real too. An even
    size has a line -N/2 and none at N/2: all of it is in the real part.

    Parameters
    ----------
    real, imaginary : complex, (size // 2 + 1) along `axis`
        Lines k >= 0, added to.
    lines : as these
        Lines k >= 0 of the transform of a real image; line -k is the conjugate of line k.
    pose : Pose
        Which lines, and of which side.
    axis, size, step : int, int, float
        Of phase encoding.
    """
    low, high = pose.lines(size, step)
    own = lines.narrow(axis, low, high - low)
    real.narrow(axis, low, high - low).add_(own, alpha=0.5)
    imaginary.narrow(axis, low, high - low).add_(own, alpha=-0.5j * pose.side)
    if 2 * (high - 1) == size:
        real.narrow(axis, high - 1, 1).add_(lines.narrow(axis, high - 1, 1), alpha=0.5)


def _pairs(translation_mm: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return rotations and translations, (0, 0) first."""
    try:
        table = np.asarray(translation_mm, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if (
        table.ndim != 2
        or table.shape[1] != 2
        or not np.isfinite(table).all()
        or not (np.diff(np.concatenate([[0.0], table[:, 0]])) > 0).all()
        or not (np.diff(np.concatenate([[0.0], table[:, 1]])) >= 0).all()
    ):
        msg = (
            "translation_mm of motion must be pairs of a rotation in degrees and a translation in mm, "
            f"both rising from 0, such as [[1, 1], [2, 2]], got {translation_mm!r}"
        )
        raise ValueError(msg)
    return [0.0, *table[:, 0].tolist()], [0.0, *table[:, 1].tolist()]
