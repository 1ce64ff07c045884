"""Sliding windows: cut images into windows, run them in batches of one size, blend the answers.

**Conventions.** numpy only, so that a child process without torch can import it. Images are
``(channel, *sizes)``, windows travel as ``(batch, channel, *window)``; every tuple of sizes follows
the array. Nothing here knows axes, spacing or activations.

* *Starts* (``placement: even``) are spread evenly between the two ends, as in nnU-Net (Isensee et
  al., Nature Methods 2021, ``compute_steps_for_sliding_window``), with the step rounded down to
  whole voxels, so that neighbours never share less than the asked overlap. ``placement: monai`` goes
  on by the whole step and moves the last window back to the end, as MONAI's
  ``sliding_window_inference`` does. Both have the same number of windows, and the same windows where
  the step divides what is left of the axis behind the first one.
* *Padding.* An image smaller than the window is padded on both sides, the odd voxel behind, and the
  answer is cut back: with the minimum of each channel (background in most modalities), with zero
  (nnU-Net, and MONAI by default), with the edge, or by reflection.
* *Flips.* Each window is also mirrored along every combination of the asked axes; what the system
  answers is mirrored back and averaged before windows are blended and before any activation, as in
  nnU-Net. Mirrored windows fill the same batches as others.
* *Weights* are those of MONAI's ``compute_importance_map``: a Gaussian of sigma = size / 8
  (nnU-Net uses the same sigma), no smaller than 0.001, or one everywhere.
* *Blending* is a running weighted mean, which reproduces a value exactly wherever all windows
  agree on it; integer answers are label numbers and cannot be averaged: there the window in which
  a voxel lies most centrally decides.
* *Batches* always have the asked size: the last one of a call is filled up with copies of its last
  window. Convolutions give other last bits for other batch sizes, so without this an image's
  result would depend on how many images travel with it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditor.schema import WindowSpec
from auditor.systems.padding import padded

Predict = Callable[[NDArray[np.float32]], NDArray[Any]]
"""(batch, channel, *window) float32 -> (batch, class, *window): floats, or integers for labels."""

SIGMA_SCALE = 0.125
"""Sigma of the Gaussian weight over the window's size; the default of nnU-Net and MONAI."""

SMALLEST_WEIGHT = 1e-3
"""Weights are never below this (the centre has 1), so that corners seen once are still defined."""


def window_starts(
    sizes: Sequence[int],
    window: Sequence[int],
    overlap: float,
    placement: Literal["even", "monai"] = "even",
) -> list[list[int]]:
    """Return the first voxel of every window along each axis.

    Parameters
    ----------
    sizes : voxels of the image along each axis, each at least as large as the window's.
    window : voxels of the window along each axis.
    overlap : share of a window that neighbours share at least, in [0, 1).
    placement : ``even``, or ``monai``: whole steps, the last window moved back to the end.

    Returns
    -------
    One ascending list per axis, from 0 to ``size - window``, without duplicates; neighbours are
    at most ``max(1, floor(window * (1 - overlap)))`` apart.

    Raises
    ------
    ValueError
        For an overlap outside [0, 1), an empty window, or an image smaller than its window.

    References
    ----------
    MONAI 1.6, ``monai.inferers.utils._get_scan_interval`` and ``monai.data.utils.dense_patch_slices``.

    Examples
    --------
    >>> window_starts((11, 4), (4, 4), 0.25)
    [[0, 2, 5, 7], [0]]
    >>> window_starts((11, 4), (4, 4), 0.25, "monai")
    [[0, 3, 6, 7], [0]]
    """
    if not 0 <= overlap < 1:
        msg = f"overlap must be in [0, 1), got {overlap!r}"
        raise ValueError(msg)
    if len(sizes) != len(window):
        msg = f"the window must have {len(sizes)} sizes as the image has, got {tuple(window)}"
        raise ValueError(msg)
    starts = _even_starts if placement == "even" else _monai_starts
    for size, length in zip(sizes, window, strict=True):
        if length < 1 or size < length:
            msg = f"the window must have 1 to {size} voxels on an axis of {size}, got {length}"
            raise ValueError(msg)
    return [starts(n, w, overlap) for n, w in zip(sizes, window, strict=True)]


def _even_starts(size: int, window: int, overlap: float) -> list[int]:
    # 10 * (1 - 0.8) is 1.9999999999999996 in floating point and means 2
    step = max(1, math.floor(window * (1 - overlap) + 1e-9))
    span = size - window
    gaps = math.ceil(span / step)
    return [round(i * span / gaps) for i in range(gaps + 1)] if gaps else [0]


def _monai_starts(size: int, window: int, overlap: float) -> list[int]:
    step = max(1, int(window * (1 - overlap)))  # 1.9999999999999996 is 1 there
    span = size - window
    return [min(i * step, span) for i in range(math.ceil(span / step) + 1)]


def importance(window: Sequence[int], blend: str) -> NDArray[np.float32]:
    """Return the weight of each voxel of a window when several windows overlap.

    Parameters
    ----------
    window : voxels along each axis.
    blend : ``gaussian`` or ``constant``.

    Returns
    -------
    (*window), in [0.001, 1]; symmetric about the centre; read-only.

    Raises
    ------
    ValueError
        For another blend.

    Notes
    -----
    Gaussian: the product over axes of exp(-x^2 / (2 s^2)), x measured from the window's centre,
    s = size / 8, clamped from below at 0.001.

    References
    ----------
    MONAI, ``monai.data.utils.compute_importance_map`` (mode gaussian, sigma_scale 0.125);
    nnU-Net v2, ``compute_gaussian`` (sigma_scale 1/8).
    """
    return _weights(tuple(window), blend)


@functools.lru_cache(maxsize=8)
def _weights(window: tuple[int, ...], blend: str) -> NDArray[np.float32]:
    """Make the weights once for all windows of a system; nobody may write into them."""
    weights = np.ones(window, dtype=np.float64)
    if blend not in {"gaussian", "constant"}:
        msg = f"blend must be 'gaussian' or 'constant', got {blend!r}"
        raise ValueError(msg)
    for axis, size in enumerate(window if blend == "gaussian" else ()):
        x = np.arange(size) - (size - 1) / 2
        profile = np.exp(-(x**2) / (2 * (SIGMA_SCALE * size) ** 2))
        weights *= profile.reshape([-1 if i == axis else 1 for i in range(len(window))])
    made = np.maximum(weights, SMALLEST_WEIGHT).astype(np.float32)
    made.setflags(write=False)
    return made


def run_windows(
    image: NDArray[np.float32],
    predict: Predict,
    *,
    window: WindowSpec | None,
    batch: int,
    flips: Sequence[int] = (),
) -> NDArray[Any]:
    """Run one image; see `run_images`.

    Parameters
    ----------
    image : (channel, *sizes).
    predict : the system.
    window : None for the whole image in one call.
    batch : windows per call.
    flips : mirrored axes.

    Returns
    -------
    (class, *sizes): float32, or the integers of a system that answers with labels.

    Raises
    ------
    ValueError
        As `run_images`.
    """
    return run_images([image], predict, window, batch, flips)[0]


def run_images(
    images: Sequence[NDArray[np.float32]],
    predict: Predict,
    window: WindowSpec | None,
    batch: int,
    flips: Sequence[int] = (),
) -> list[NDArray[Any]]:
    """Run several images; their windows share batches of exactly `batch` windows.

    Parameters
    ----------
    images : each (channel, *sizes); sizes may differ between images.
    predict : called with (batch, channel, *window); must return (batch, class, *window).
        Integer answers are taken as label numbers and never averaged. It may write into what it is
        given, which is the image itself when that is one window and no other image is run; and the
        result is then its answer itself.
    window : None for whole images, of which only neighbours of one shape share a batch.
    batch : windows, or whole images, per call; the last batch is filled up with copies.
    flips : spatial axes, counted from 0, that are mirrored: the answers to all 2^k combinations
        are mirrored back and averaged in float32; every window costs 2^k times as much.

    Returns
    -------
    One (class, *sizes) array per image: float32, or integers for labels.

    Raises
    ------
    ValueError
        For a batch below 1, a window with other axes than the image, an answer of another shape
        than asked for, flips that are no axes of the image, or label numbers with flips.
    """
    if batch < 1:
        msg = f"batch must be at least 1, got {batch}"
        raise ValueError(msg)
    for image in images:
        _check_flips(flips, image.ndim - 1)
    if window is None:
        return _run_whole(images, predict, batch, flips)
    canvases = [_Canvas(image, window) for image in images]
    places = [(canvas, corner) for canvas in canvases for corner in canvas.corners]
    cut = (canvas.cut(corner) for canvas, corner in places)
    answers = _answers(cut, predict, batch, flips, once=len(places) == 1)
    for (canvas, corner), answer in zip(places, answers, strict=True):
        if len(places) == 1:
            canvas.take(answer)
        else:
            canvas.add(corner, answer)
        if corner == canvas.corners[-1]:
            canvas.finish()
    return [canvas.result for canvas in canvases]


def windows_of(
    image: NDArray[np.float32], window: WindowSpec | None
) -> Iterator[NDArray[np.float32]]:
    """Cut (channel, *sizes) into the windows that `run_images` runs; without a window it is the only one."""
    if window is None:
        yield image
        return
    canvas = _Canvas(image, window)
    yield from map(canvas.cut, canvas.corners)


def _check_flips(flips: Sequence[int], axes: int) -> None:
    if len(set(flips)) < len(flips) or not all(0 <= axis < axes for axis in flips):
        msg = (
            f"flips must be different axes from 0 to {axes - 1} of the {axes} that the system is fed "
            f"with, got {list(flips)}"
        )
        raise ValueError(msg)


def _answers(
    arrays: Iterable[NDArray[np.float32]],
    predict: Predict,
    batch: int,
    flips: Sequence[int],
    *,
    once: bool = False,
) -> Iterator[NDArray[Any]]:
    """Answer (channel, *sizes) by (class, *sizes) one after the other, in batches of one size.

    once : there is one array, which nobody looks at again: a system may have it, and write into it.
    """
    if not flips:
        yield from _in_batches(iter(arrays), predict, batch, once=once)
        return
    mirrors = [
        tuple(axis + 1 for axis in chosen)
        for count in range(len(flips) + 1)
        for chosen in itertools.combinations(flips, count)
    ]
    fed = (np.flip(array, axes) for array in arrays for axes in mirrors)
    answers = _in_batches(fed, predict, batch)
    for first in answers:  # the first of the mirrors mirrors nothing
        if np.issubdtype(first.dtype, np.integer):
            msg = (
                "flips average answers, and label numbers cannot be averaged; leave flips out, or "
                "name an output that holds scores by output.index and output.activation"
            )
            raise ValueError(msg)
        total = first.astype(np.float32)
        for axes in mirrors[1:]:
            total += np.flip(next(answers), axes)
        yield total / np.float32(len(mirrors))


def _in_batches(
    arrays: Iterator[NDArray[np.float32]], predict: Predict, batch: int, *, once: bool = False
) -> Iterator[NDArray[Any]]:
    while chunk := list(itertools.islice(arrays, batch)):
        fed = chunk[0][None] if once else np.stack(chunk)
        yield from _call(predict, fed, batch)[: len(chunk)]


class _Canvas:
    """One image on its way through the windows; holds at most its padded copy and its answer."""

    def __init__(self, image: NDArray[np.float32], window: WindowSpec) -> None:
        sizes = image.shape[1:]
        if len(window.size) != len(sizes):
            msg = (
                f"window.size must have {len(sizes)} numbers for an image of sizes {sizes}, "
                f"got {window.size}"
            )
            raise ValueError(msg)
        missing = [max(0, w - n) for n, w in zip(sizes, window.size, strict=True)]
        before = [m // 2 for m in missing]
        padding = [(b, m - b) for b, m in zip(before, missing, strict=True)]
        self.image = padded(image, padding, window.padding)
        starts = window_starts(self.image.shape[1:], window.size, window.overlap, window.placement)
        self.corners = list(itertools.product(*starts))
        self.inside = tuple(slice(b, b + n) for b, n in zip(before, sizes, strict=True))
        self.window = window.size
        self.weights = importance(window.size, window.blend)
        self.answer: NDArray[Any] | None = None
        self.total: NDArray[np.float32] | None = None

    def _place(self, corner: tuple[int, ...]) -> tuple[slice, ...]:
        return tuple(slice(s, s + w) for s, w in zip(corner, self.window, strict=True))

    def cut(self, corner: tuple[int, ...]) -> NDArray[np.float32]:
        return self.image[(slice(None), *self._place(corner))]

    def add(self, corner: tuple[int, ...], part: NDArray[Any]) -> None:
        labels = np.issubdtype(part.dtype, np.integer)
        if len(self.corners) == 1:
            # nothing to blend; a copy, as a system may use its memory again
            self.take(np.array(part))
            return
        if self.answer is None or self.total is None:
            shape = (part.shape[0], *self.image.shape[1:])
            self.answer = np.zeros(shape, dtype=part.dtype if labels else np.float32)
            self.total = np.zeros(self.image.shape[1:], dtype=np.float32)
        place = self._place(corner)
        here, total = self.answer[(slice(None), *place)], self.total[place]
        if labels:
            central = self.weights > total
            here[:, central] = part[:, central]
            np.maximum(total, self.weights, out=total)
        else:
            total += self.weights
            moved = part.astype(np.float32, copy=False) - here
            moved *= self.weights / total
            here += moved

    def take(self, part: NDArray[Any]) -> None:
        """Hold the answer to the only window there is."""
        labels = np.issubdtype(part.dtype, np.integer)
        self.answer = part if labels else part.astype(np.float32, copy=False)

    def finish(self) -> None:
        """Let the padded image and the weights go: later images may still be on their way."""
        self.image = self.image[:, :0]
        self.total = None

    @property
    def result(self) -> NDArray[Any]:
        if self.answer is None:
            msg = "no window was run"
            raise ValueError(msg)
        return np.ascontiguousarray(self.answer[(slice(None), *self.inside)])


def _run_whole(
    images: Sequence[NDArray[np.float32]], predict: Predict, batch: int, flips: Sequence[int]
) -> list[NDArray[Any]]:
    results: list[NDArray[Any]] = []
    for _, group in itertools.groupby(images, key=lambda image: image.shape):
        for answer in _answers(group, predict, batch, flips):
            labels = np.issubdtype(answer.dtype, np.integer)
            results.append(np.array(answer, dtype=None if labels else np.float32, order="C"))
    return results


def _call(predict: Predict, fed: NDArray[np.float32], batch: int) -> NDArray[Any]:
    """Fill the batch up, run it, and check that the answer has the sizes of the question."""
    missing = batch - fed.shape[0]
    if missing:
        fed = np.concatenate([fed, np.repeat(fed[-1:], missing, axis=0)])
    answer = np.asarray(predict(np.ascontiguousarray(fed, dtype=np.float32)))
    expected = (fed.shape[0], *fed.shape[2:])
    if answer.ndim != fed.ndim or (answer.shape[0], *answer.shape[2:]) != expected:
        msg = (
            f"the system must answer with ({fed.shape[0]}, classes, "
            f"{', '.join(map(str, fed.shape[2:]))}), got {answer.shape}"
        )
        raise ValueError(msg)
    return answer
