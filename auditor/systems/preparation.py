"""From a scan to what a system is fed with, and from its answer back to the scan's grid.

**Conventions.** Scans are native: torch ``(channel, z, y, x)`` or ``(channel, y, x)``. Fed arrays
are numpy float32 in the axes of `InputSpec.axes`, and so is every list of the contract. The steps
of `prepare`, in this order:

1. axes (`orientation`); then, with ``crop: nonzero``, the box around what is not 0;
2. spacing (`resampling`); not anti-aliased when coarsening, as neither MONAI's ``Spacing`` nor nnU-Net
   is: the aim is to feed the system as its maker does;
3. intensities: clip, clip to quantiles, scale, z-score, affine, each per channel and over the
   whole scan (also for slice-wise systems); with ``intensities_on: native`` before the spacing;
4. fixed size: the whole image resampled (linear, edges aligned) or padded and cropped about its
   centre; then padded at the end of each axis to a multiple of the divisor. Padding is the
   channel's minimum;
5. a slice-wise system (``dims: 2``) on a 3-D scan gets its slices along the first fed axis one at
   a time; lists of two then mean the axes of a slice, and lists of three start with the slice axis.

`restore` undoes 5 to 1 on the answer: softmax or sigmoid first where the contract says that the
output still needs it (with ``resampled: logits`` only after the resampling), then the padding is cut,
probabilities are resampled linearly (label numbers by the nearest neighbour), and the axes are put
back. Voxels that were cropped away are background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditor.errors import CheckpointError, DataError
from auditor.schema import Geometry, InputSpec, OutputSpec, WindowSpec
from auditor.systems.decision import decide, has_rest_channel, scores_of
from auditor.systems.intensity import normalise
from auditor.systems.orientation import Orientation, match_axes
from auditor.systems.padding import pad_with_minimum
from auditor.systems.resampling import Resampling, resample, to_sizes, to_spacing

__all__ = [
    "Prepared",
    "Resampling",
    "decide",
    "fed_mask",
    "fed_sizes",
    "prepare",
    "resample",
    "restore",
]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One scan as it is fed, with what is needed to go back."""

    array: NDArray[np.float32]
    """(channel, *fed sizes); of a slice-wise system all slices: (channel, slice, *fed sizes)."""
    slicewise: bool
    """Whether slices travel one at a time."""
    orientation: Orientation
    """From native to fed axes."""
    cropped: tuple[tuple[int, int], ...]
    """Voxels cut away before and after each axis, before anything else; empty: none."""
    resamplings: tuple[Resampling, ...]
    """In the order of their application: to the spacing, to the fixed size."""
    margins: tuple[tuple[int, int], ...]
    """Voxels added before and after each axis; negative: cut away."""

    @property
    def pieces(self) -> tuple[NDArray[np.float32], ...]:
        """The arrays that the system is called with, each (channel, *fed sizes)."""
        if not self.slicewise:
            return (self.array,)
        return tuple(np.ascontiguousarray(self.array[:, i]) for i in range(self.array.shape[1]))

    def join(self, answers: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Put the answers to `pieces` together again.

        Parameters
        ----------
        answers : one (class, *fed sizes) per piece, in order.

        Returns
        -------
        (class, *array.shape[1:]).
        """
        return np.stack(list(answers), axis=1) if self.slicewise else answers[0]


def prepare(
    image: Tensor, geometry: Geometry, spec: InputSpec, window: WindowSpec | None = None
) -> Prepared:
    """Turn a scan into the array that a system is fed with.

    Parameters
    ----------
    image : (channel, *spatial) float32, intensities in the scan's units.
    geometry : of the scan.
    spec : the input contract.
    window : only checked for its number of axes; windows are cut where the system runs.

    Returns
    -------
    The fed array and the way back.

    Raises
    ------
    CheckpointError
        The contract does not fit this scan: channels, axes, lengths of lists.
    DataError
        A spacing in mm is asked of a scan that has none.
    """
    slicewise = spec.dims == 2 and len(geometry.shape) == 3
    _check(image, geometry, spec, window)
    orientation = match_axes(spec.axes, geometry, slicewise=slicewise, transpose=spec.transpose)
    fed = orientation.apply(image.to("cpu", torch.float32))
    cropped = _box(fed, spec)
    if cropped:
        fed = fed[
            (
                slice(None),
                *(slice(b, n - a) for (b, a), n in zip(cropped, fed.shape[1:], strict=True)),
            )
        ]
    if spec.intensities_on == "native":
        fed = normalise(fed, spec)
    resamplings = []
    step = _to_spacing(tuple(fed.shape[1:]), geometry, spec, orientation)
    if step is not None:
        fed = resample(fed, step)
        resamplings.append(step)
    if spec.intensities_on == "resampled":
        fed = normalise(fed, spec)
    step = _to_size(tuple(fed.shape[1:]), spec)
    if step is not None:
        fed = resample(fed, step)
        resamplings.append(step)
    margins = _margins(tuple(fed.shape[1:]), spec)
    array = _with_margins(fed.numpy(), margins)
    if fed.untyped_storage().data_ptr() == image.untyped_storage().data_ptr():
        array = array.copy()  # a system may write into what it is fed with
    return Prepared(
        array=array,
        slicewise=slicewise,
        orientation=orientation,
        cropped=cropped,
        resamplings=tuple(resamplings),
        margins=margins,
    )


def fed_sizes(geometry: Geometry, spec: InputSpec, *, fitted: bool = False) -> tuple[int, ...]:
    """Tell how large a scan is in a system's axes and spacing, before it is made to fit a size.

    Parameters
    ----------
    geometry : of the scan.
    spec : the input contract, whose crop is not looked at.
    fitted : True: after it was made to fit the size and the divisor.

    Returns
    -------
    One size per fed axis; of a slice-wise system the number of slices comes first.

    Raises
    ------
    CheckpointError, DataError
        The axes or the spacing do not fit this scan.
    """
    slicewise = spec.dims == 2 and len(geometry.shape) == 3
    orientation = match_axes(spec.axes, geometry, slicewise=slicewise, transpose=spec.transpose)
    sizes = tuple(geometry.shape[axis] for axis in orientation.order)
    step = _to_spacing(sizes, geometry, spec, orientation)
    sizes = sizes if step is None else step.after
    if not fitted:
        return sizes
    step = _to_size(sizes, spec)
    sizes = sizes if step is None else step.after
    return tuple(
        n + before + after for n, (before, after) in zip(sizes, _margins(sizes, spec), strict=True)
    )


def fed_mask(mask: Tensor, image: Tensor, geometry: Geometry, spec: InputSpec) -> NDArray[np.bool_]:
    """Bring a mask onto the grid that a system is fed with.

    Parameters
    ----------
    mask : (*native) bool, on the grid of the scan.
    image : (channel, *native): looked at only with ``crop: nonzero``.
    geometry : of the scan.
    spec : the input contract.

    Returns
    -------
    (*fed sizes): the steps of `prepare` that move voxels; the nearest voxel where the spacing or the
    size changes, and background where the scan is padded.

    Raises
    ------
    CheckpointError, DataError
        The axes or the spacing do not fit this scan.
    """
    slicewise = spec.dims == 2 and len(geometry.shape) == 3
    orientation = match_axes(spec.axes, geometry, slicewise=slicewise, transpose=spec.transpose)
    fed = orientation.apply(mask[None].to("cpu"))[0].numpy()
    cropped = () if spec.crop == "none" else _box(orientation.apply(image), spec)
    if cropped:
        fed = fed[tuple(slice(b, n - a) for (b, a), n in zip(cropped, fed.shape, strict=True))]
    places = [torch.arange(n)[None] for n in fed.shape]
    places = _nearest(places, _to_spacing(fed.shape, geometry, spec, orientation))
    places = _nearest(places, _to_size(tuple(it.shape[1] for it in places), spec))
    array = fed[np.ix_(*(it[0].numpy() for it in places))]
    margins = _margins(array.shape, spec)
    cut = (
        slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(array.shape, margins, strict=True)
    )
    padding = [(max(0, b), max(0, a)) for b, a in margins]
    found: NDArray[np.bool_] = np.pad(array[tuple(cut)], padding)
    return found


def _nearest(places: list[Tensor], step: Resampling | None) -> list[Tensor]:
    """Resample the places of voxels along each axis: which is the nearest does not depend on the others."""
    if step is None:
        return places
    axes = zip(places, step.before, step.after, step.ratio, step.first, strict=True)
    return [
        resample(it, Resampling((before,), (after,), (ratio,), (first,)), nearest=True)
        for it, before, after, ratio, first in axes
    ]


def _box(fed: Tensor, spec: InputSpec) -> tuple[tuple[int, int], ...]:
    """Voxels before and after the box around all that is not 0; an image of 0 is kept whole."""
    inside = (fed != 0).any(dim=0)
    if spec.crop == "none" or not bool(inside.any()):
        return ()
    margins = []
    for axis, size in enumerate(inside.shape):
        others = [i for i in range(inside.ndim) if i != axis]
        found = inside.any(dim=tuple(others)).nonzero().flatten()
        margins.append((int(found[0]), size - 1 - int(found[-1])))
    return tuple(margins) if any(b or a for b, a in margins) else ()


def _check(image: Tensor, geometry: Geometry, spec: InputSpec, window: WindowSpec | None) -> None:
    """Name every list of the contract that cannot belong to this scan."""
    count = len(geometry.shape)
    dims = spec.dims or count
    problems = []
    if image.shape[0] != spec.channels:
        problems.append(f"input.channels must be the scan's {image.shape[0]}, got {spec.channels}")
    if tuple(image.shape[1:]) != geometry.shape:
        problems.append(f"the image must have shape {geometry.shape}, got {tuple(image.shape[1:])}")
    if dims > count:
        problems.append(f"input.dims must be at most the scan's {count}, got {dims}")
    lists = {
        "input.size": spec.size,
        "input.divisor": spec.divisor,
        "window.size": window.size if window is not None else None,
    }
    problems += [
        f"{name} must have {dims} numbers, got {values}"
        for name, values in lists.items()
        if values is not None and len(values) != dims
    ]
    if spec.spacing_mm is not None and len(spec.spacing_mm) not in {dims, count}:
        problems.append(f"input.spacing_mm must have {count} numbers, got {spec.spacing_mm}")
    if problems:
        raise CheckpointError("; ".join(problems))


def _to_spacing(
    sizes: tuple[int, ...], geometry: Geometry, spec: InputSpec, orientation: Orientation
) -> Resampling | None:
    if spec.spacing_mm is None:
        return None
    if geometry.unit != "mm":
        msg = (
            f"input.spacing_mm is {spec.spacing_mm}, but the image has no spacing in mm; declare "
            "the spacing of the images, or leave input.spacing_mm out"
        )
        raise DataError(msg)
    old = tuple(geometry.spacing[axis] for axis in orientation.order)
    new = (*old[: len(old) - len(spec.spacing_mm)], *spec.spacing_mm)
    return to_spacing(sizes, old, new, grid=spec.grid, interpolation=spec.interpolation)


def _to_size(sizes: tuple[int, ...], spec: InputSpec) -> Resampling | None:
    if spec.size is None or spec.fit != "resize":
        return None
    after = (*sizes[: len(sizes) - len(spec.size)], *spec.size)
    if after == sizes:
        return None
    return to_sizes(sizes, after)


def _margins(sizes: tuple[int, ...], spec: InputSpec) -> tuple[tuple[int, int], ...]:
    """Voxels to add (or, negative, to cut) before and after each axis."""
    margins = []
    leading = len(sizes) - max(len(spec.size or ()), len(spec.divisor or ()))
    for axis, size in enumerate(sizes):
        i = axis - leading
        before = after = 0
        if spec.size is not None and spec.fit == "pad" and i >= 0:
            missing = spec.size[i] - size
            before = math.floor(missing / 2)
            after = missing - before
        if spec.divisor is not None and i >= 0:
            after += -(size + before + after) % spec.divisor[i]
        margins.append((before, after))
    return tuple(margins)


def _with_margins(
    array: NDArray[np.float32], margins: Sequence[tuple[int, int]]
) -> NDArray[np.float32]:
    cut = [
        slice(max(0, -b), n - max(0, -a))
        for n, (b, a) in zip(array.shape[1:], margins, strict=True)
    ]
    padding = [(max(0, b), max(0, a)) for b, a in margins]
    return np.ascontiguousarray(pad_with_minimum(array[(slice(None), *cut)], padding))


def restore(output: NDArray[Any], prepared: Prepared, output_spec: OutputSpec) -> Tensor:
    """Bring a system's answer back to the scan's own grid.

    Parameters
    ----------
    output : (class, *prepared.array.shape[1:]), as the system gave it.
    prepared : the way that the scan went.
    output_spec : the output contract.

    Returns
    -------
    (channel, *native) float32, what `decide` decides on. Softmax: channel 0 is the strongest class
    that is not among the labels (the background, when all classes are declared), the others follow
    `OutputSpec.labels`. Sigmoid and label numbers: one channel per declared label.

    Raises
    ------
    CheckpointError
        The answer has another shape, too few classes, or values that its activation cannot give.
    """
    expected = prepared.array.shape[1:]
    if output.shape[1:] != expected:
        msg = f"the system must answer on the grid {expected} that it was fed, got {output.shape}"
        raise CheckpointError(msg)
    late = output_spec.resampled == "logits"
    background = 1.0 if has_rest_channel(output_spec) else 0.0
    scores = _raw(output) if late else scores_of(output, output_spec)
    scores = _without_margins(scores, prepared.margins, background)
    for step in reversed(prepared.resamplings):
        scores = resample(scores, step.back, nearest=output_spec.activation == "labels")
    if late:
        scores = scores_of(scores.numpy(), output_spec)
    if prepared.cropped:
        added = tuple((-before, -after) for before, after in prepared.cropped)
        scores = _without_margins(scores, added, background)
    return prepared.orientation.undo(scores).contiguous()


def _raw(output: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.asarray(output, dtype=np.float32))


def _without_margins(scores: Tensor, margins: Sequence[tuple[int, int]], rest: float) -> Tensor:
    """Cut padding away, and give what was cropped away back as background."""
    inner = [
        slice(max(0, b), n - max(0, a)) for n, (b, a) in zip(scores.shape[1:], margins, strict=True)
    ]
    scores = scores[(slice(None), *inner)]
    missing = [(max(0, -b), max(0, -a)) for b, a in margins]
    if not any(b or a for b, a in missing):
        return scores
    sizes = [n + b + a for n, (b, a) in zip(scores.shape[1:], missing, strict=True)]
    whole = torch.zeros((scores.shape[0], *sizes), dtype=scores.dtype)
    whole[0] = rest
    place = tuple(slice(b, b + n) for n, (b, _) in zip(scores.shape[1:], missing, strict=True))
    whole[(slice(None), *place)] = scores
    return whole
