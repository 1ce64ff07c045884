"""What X-rays meet on their way through a CT scan: attenuation, line integrals, photons.

**Conventions.** HU become attenuation by mu = mu_water (1 + HU / 1000), mu_water at 70 keV; line
integrals p have no unit. Slices lie across `Scan.slice_axis` (an image of two axes is one slice), the
iso-centre in their middle. Only slices from the first to the last that hold the body, with a margin of
two, are projected. What no ray met (padding below -1500 HU, a masked background) counts as air. In a
chain the rays are those of the clean scan: they met the patient, and what acts before (a kernel, a gain,
a calibration) acts on the image. Metal of an earlier part is therefore in the image and in no ray.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from perturbations.chunks import empty, spread
from perturbations.projector import Geometry, Grid, backproject, forward, ramp
from perturbations.scan import Scan

__all__ = [
    "BODY_HU",
    "HU_PER_MM",
    "PADDING_HU",
    "WATER_PER_MM",
    "Attenuation",
    "Block",
    "attenuation_of",
    "hollow_of",
    "in_place",
    "incident_photons",
    "own_noise_hu",
    "stacked",
]

WATER_PER_MM = 0.0193
"""Attenuation of water at 70 keV, near the mean energy of 120 kVp behind its filters: between the
0.2059 / cm at 60 keV and 0.1837 / cm at 80 keV of NIST (Hubbell & Seltzer, NISTIR 5632)."""

HU_PER_MM = 1000.0 / WATER_PER_MM
"""HU per attenuation in 1/mm."""

FLOOR_HU = 5.0
"""Least noise that a scan is taken to have: its estimate misses noise that was smoothed away."""

FALLBACK_HU = 12.0
"""Noise of a scan with too little soft tissue to see it; chosen, between quiet and noisy scans."""

PADDING_HU = -1500.0
"""Below this no tissue and no air lies: readers fill the outside of a round field of view with it."""

BODY_HU = -500.0
"""Between air and tissue; lungs are not counted."""

_HIGHEST_LOW = -200.0
"""The lowest value of a scan in HU with any air lies below."""

_SOFT_HU = (0.0, 100.0)
_LEAST_SPAN = 50.0
_THICKEST = 20.0
"""Largest line integral: one photon of 500 million comes through."""

_BLOCK = 32
"""Slices of one block, so that memory does not grow with the scan."""

_MARGIN = 2
_BODY_SHARE = 0.002
_FEW = 200
_LAG = 2
_MAD = 0.6744897501960817
"""Median absolute deviation of a standard normal."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some slices of one channel."""

    channel: int
    start: int
    """First slice of the scan."""
    stop: int
    """Last slice, exclusive."""
    planes: slice
    """Of the sinogram's last axis."""


@dataclass(frozen=True, eq=False, slots=True)
class Attenuation:
    """Line integrals through a scan, projected once for all perturbations of it."""

    grid: Grid
    """Of the scan's slices."""
    coarse: Grid
    """Of the slices that were projected: p is smooth, so that pixels of large slices are joined."""
    geometry: Geometry
    """Of the rays through the coarse slices."""
    first: int
    """First slice that was projected."""
    last: int
    """Last one, exclusive; equal to `first` when no slice holds a body."""
    channels: int
    sinogram: Tensor
    """(view, bin, channel * slice) of p in [0, 20]."""
    hu: Tensor
    """(channel * slice, row, column) of the coarse slices."""
    noise_hu: float
    """Of the scan itself, see `own_noise_hu`."""

    def blocks(self) -> Iterator[Block]:
        """Go through the projected slices, some at a time."""
        count = self.last - self.first
        for channel in range(self.channels):
            for start in range(self.first, self.last, _BLOCK):
                stop = min(start + _BLOCK, self.last)
                offset = channel * count - self.first
                yield Block(channel, start, stop, slice(offset + start, offset + stop))

    def integrals(self, block: Block) -> Tensor:
        """Copy p of a block, (view, bin, slice)."""
        return self.sinogram[:, :, block.planes].clone(memory_format=torch.contiguous_format)


def stacked(volume: Tensor, scan: Scan) -> Tensor:
    """View a volume as (channel, slice, row, column)."""
    return volume.movedim(1 + scan.slice_axis, 1) if scan.ndim == 3 else volume.unsqueeze(1)


_known: WeakKeyDictionary[Scan, Attenuation] = WeakKeyDictionary()
_projecting = threading.Lock()


def attenuation_of(scan: Scan, name: str) -> Attenuation:
    """Project a scan, or return what was projected before; it is kept as long as the scan.

    Parameters
    ----------
    scan : Scan
        In HU, with a spacing in mm. Of a successor the clean scan is projected, once for all parts and
        levels of a chain.
    name : str
        Of the perturbation, for the message.

    Raises
    ------
    ValueError
        When the values cannot be HU, or there is no spacing in mm.
    """
    clean = scan.clean
    _check(clean, name)
    with _projecting:
        if clean not in _known:
            _known[clean] = _project(clean)
        return _known[clean]


def _check(scan: Scan, name: str) -> None:
    if scan.unit != "mm":
        msg = f"{name} needs a spacing in mm, for X-rays lose by the millimetre; got {scan.unit}"
        raise ValueError(msg)
    for channel in scan.image:
        low, high = (float(extreme) for extreme in torch.aminmax(channel))
        cut = scan.state == "skull_stripped"
        if (not cut and low > _HIGHEST_LOW) or high - low < (_LEAST_SPAN if cut else 0.0):
            msg = (
                f"{name} needs HU with air near -1000, got values from {low:g} to {high:g}; give the "
                "scan as it was before windowing, normalisation, an offset or a crop inside the body"
            )
            raise ValueError(msg)


def _project(scan: Scan) -> Attenuation:
    image = stacked(scan.image.cpu(), scan)
    hollow = hollow_of(scan)
    spacing = tuple(s for axis, s in enumerate(scan.spacing) if axis != scan.slice_axis)
    if scan.ndim == 2:
        spacing = scan.spacing
    rows, columns = image.shape[2:]
    grid = Grid.centred((rows, columns), (spacing[0], spacing[1]))
    joined = _joined(max(rows, columns))
    coarse = grid.coarser(joined)
    first, last = _with_body(image, hollow)
    hu = _coarse_hu(image[:, first:last], None if hollow is None else hollow[first:last], joined)
    geometry = Geometry.covering(coarse)
    sinogram = forward(_transposed_mu(hu), coarse, geometry)
    in_place(sinogram, lambda view: view.clamp_(0.0, _THICKEST))
    noise_hu = own_noise_hu(scan)
    return Attenuation(grid, coarse, geometry, first, last, len(image), sinogram, hu, noise_hu)


def _transposed_mu(hu: Tensor) -> Tensor:
    """Attenuation, (pixel, plane)."""
    flat = hu.view(hu.shape[0], hu.shape[1] * hu.shape[2])
    table = empty((flat.shape[1], flat.shape[0]))

    def attenuate(start: int, stop: int) -> None:
        torch.mul(flat[:, start:stop].T, WATER_PER_MM / 1000.0, out=table[start:stop])
        table[start:stop] += WATER_PER_MM

    spread(attenuate, table.shape[0], 512)
    return table


def _joined(side: int) -> int:
    """Pixels that are joined along a side before they are projected."""
    return 1 if side < 128 else 2 if side < 384 else 4 if side < 1024 else 8


def hollow_of(scan: Scan) -> Tensor | None:
    """(slice, row, column), bool: the masked background; None when there is none."""
    return stacked(~scan.support[None], scan)[0] if scan.masked_background else None


def _with_body(image: Tensor, hollow: Tensor | None) -> tuple[int, int]:
    """First and last slice (exclusive) that hold more body than a speck, with the margin."""
    least = max(1, int(_BODY_SHARE * image.shape[2] * image.shape[3]))
    held = np.zeros(image.shape[1], dtype=bool)

    def look(start: int, stop: int) -> None:
        for place in range(start, stop):
            dense = (image[:, place] > BODY_HU).any(dim=0)
            if hollow is not None:
                dense &= ~hollow[place]
            held[place] = int(dense.sum()) >= least

    spread(look, image.shape[1], 1)
    places = np.flatnonzero(held)
    if not places.size:
        return 0, 0
    return max(0, int(places[0]) - _MARGIN), min(image.shape[1], int(places[-1]) + 1 + _MARGIN)


def _coarse_hu(image: Tensor, hollow: Tensor | None, factor: int) -> Tensor:
    """(channel * slice, row, column): means over the joined pixels, with air where no ray met."""
    channels, slices, rows, columns = image.shape
    parts = -(-rows // factor), -(-columns // factor)
    result = empty((channels * slices, *parts))
    padded = parts[0] * factor, parts[1] * factor

    def join(start: int, stop: int) -> None:
        for plane in range(start, stop):
            channel, place = divmod(plane, slices)
            whole = torch.full(padded, -1000.0)
            whole[:rows, :columns] = image[channel, place]
            whole.masked_fill_(whole < PADDING_HU, -1000.0)
            if hollow is not None:
                whole[:rows, :columns].masked_fill_(hollow[place], -1000.0)
            blocks = whole.view(parts[0], factor, parts[1], factor)
            torch.mean(blocks, dim=(1, 3), out=result[plane])

    spread(join, channels * slices, 1)
    return result


def own_noise_hu(scan: Scan) -> float:
    """Estimate the noise of a CT scan in soft tissue, sigma in HU.

    Median absolute value of (a - b - c + d) / 2 over .6745, over the corners of squares two pixels wide
    in tissue of 0 to 100 HU, in at most 16 slices. Two pixels, not one as in
    `estimate.residual_sigma`, for neighbours share noise in CT. At least 5 HU; 12 HU when fewer than
    200 squares can be seen.

    Notes
    -----
    Of inserted noise of 15 and 30 HU 14 and 26 HU are found for the soft kernel, and 16 and 32 HU for the
    sharp one, on the phantom of the tests.
    """
    image = stacked(scan.image[:1].cpu(), scan)[0]
    chosen = np.unique(np.linspace(0, image.shape[0] - 1, 16).round().astype(int))
    values = image[torch.from_numpy(chosen)].numpy().astype(np.float64)
    if min(values.shape[1:]) <= _LAG:
        return FALLBACK_HU
    mean = ndimage.uniform_filter(values, (0, 3, 3))
    soft = (mean > _SOFT_HU[0]) & (mean < _SOFT_HU[1]) & (values != 0)
    near, far = slice(None, -_LAG), slice(_LAG, None)
    corners = [(slice(None), row, column) for row in (near, far) for column in (near, far)]
    whole = np.logical_and.reduce([soft[corner] for corner in corners])
    a, b, c, d = (values[corner] for corner in corners)
    detail = ((a - b - c + d) / 2)[whole]
    if detail.size < _FEW:
        return FALLBACK_HU
    return max(FLOOR_HU, float(np.median(np.abs(detail))) / _MAD)


def incident_photons(
    body: Attenuation, geometry: Geometry, sigma_hu: float, *, soft: bool
) -> float:
    """Return the photons a ray at which soft tissue has a noise of `sigma_hu`.

    A ray measures p with the variance exp(p) / I0. Filtering and back-projection make of it, at a pixel,
    (pi / views)^2 sum over views of exp(p) / I0 (2/3 r0 + 1/3 r1), with r0 and r1 the autocorrelation
    of the filter at 0 and 1 bin, for interpolation between bins weighs them so in the mean.

    Parameters
    ----------
    geometry : Geometry
        Rays that noise is drawn for.
    sigma_hu : float
        Root mean square over tissue of 0 to 100 HU; over the whole body when there is none.
    soft : bool
        Whether the filter is the soft one, see `projector.ramp`.

    Returns
    -------
    float, positive
    """
    half = ramp(geometry, soft=soft)
    kernel = np.concatenate([half[:0:-1], half])
    factor = 2 / 3 * (kernel**2).sum() + 1 / 3 * (kernel[1:] * kernel[:-1]).sum()
    mean = _mean_loss(body) * math.pi**2 / geometry.views
    return float(HU_PER_MM**2 * factor * mean / sigma_hu**2)


def _mean_loss(body: Attenuation) -> float:
    """Mean over soft tissue of the mean of exp(p) over the rays through each pixel."""
    totals = sum((_losses(body, block) for block in body.blocks()), np.zeros((2, 2)))
    (soft, count), (whole, number) = totals.tolist()
    mean = soft / count if count else whole / max(number, 1.0)
    return float(mean) or 1.0


def _losses(body: Attenuation, block: Block) -> NDArray[np.float64]:
    """Sum and number of pixels of soft tissue, and of the body, for the mean of exp(p)."""
    loss = in_place(body.integrals(block), Tensor.exp_)
    hu = body.hu[block.planes]
    parts = np.zeros((body.coarse.rows, 2, 2))

    def add(start: int, stop: int, values: Tensor) -> None:
        seen = hu[:, start:stop].permute(1, 2, 0)
        for kind, (low, high) in enumerate((_SOFT_HU, (BODY_HU, math.inf))):
            chosen = values[(seen > low) & (seen < high)].double()
            parts[start, kind] = float(chosen.sum()) / math.pi, chosen.numel()

    backproject(loss, body.geometry, body.coarse, add)
    return np.asarray(parts.sum(axis=0))


def in_place(sinogram: Tensor, function: Callable[[Tensor], object]) -> Tensor:
    """Change a sinogram view by view."""

    def change(start: int, stop: int) -> None:
        for view in range(start, stop):
            function(sinogram[view])

    spread(change, sinogram.shape[0], 4)
    return sinogram
