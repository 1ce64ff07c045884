"""One image in, one image out, for numpy and torch: the short way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perturbations.options import is_number
from perturbations.perturbation import realise
from perturbations.scan import Scan

__all__ = ["apply"]


def apply(  # noqa: PLR0913  # what an image does not say of itself must be said beside it
    name: str,
    image: Tensor | NDArray[Any],
    *,
    severity: float | None = None,
    level: float | None = None,
    seed: int,
    spacing_mm: tuple[float, ...] | None = None,
    modality: str = "other",
    state: str = "raw",
    channel_axis: int | None = None,
    region: Tensor | NDArray[Any] | None = None,
    **options: Any,  # noqa: ANN401  # as the catalogue's line has them
) -> Tensor | NDArray[np.float32]:
    """Perturb one image, the short way.

    Parameters
    ----------
    name : str
        In the catalogue.
    image : (z, y, x) or (y, x), with a channel axis where `channel_axis` says so; numpy or torch
        Floating point, intensities in any unit (HU for CT, magnitude for MR). Gradients do not flow.
    severity, level : float, optional
        One of them.
    seed : int
        Of the draw.
    spacing_mm : tuple of float, optional
        Along the spatial axes in the order of the array; pixels count as the unit of length when it is
        left out.
    modality : str
        Decides units and levels.
    state : str
        raw, windowed, normalised, skull_stripped.
    channel_axis : int, optional
        Axis of the channels; None when there is one channel and no axis for it.
    region : bool mask of the spatial shape, optional
        Foreground of the reference, for perturbations that need it.
    **options
        As the line of the catalogue names them.

    Returns
    -------
    float32 of the same type, shape and device

    Raises
    ------
    TypeError
        When the image is no array, or holds whole numbers.
    ValueError
        When anything else does not fit; the message says what must be and what was.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((20, 48, 48), dtype=np.float32)
    >>> apply("rician_noise", image, severity=3, seed=7, modality="mr", spacing_mm=(3, 1, 1)).shape
    (20, 48, 48)
    """
    values = _floating(image)
    if channel_axis is not None and not _is_axis(channel_axis, values.dim()):
        msg = f"channel_axis must be one of the {values.dim()} axes of the image, got {channel_axis!r}"
        raise ValueError(msg)
    stacked = values[None] if channel_axis is None else values.movedim(int(channel_axis), 0)
    dims = stacked.dim() - 1
    if dims not in (2, 3):
        msg = (
            f"image must have 2 or 3 spatial axes, got shape {tuple(values.shape)} with "
            f"channel_axis={channel_axis}"
        )
        raise ValueError(msg)
    if spacing_mm is not None and not _numbers(spacing_mm, dims):
        msg = f"spacing_mm must be {dims} numbers in the order of the array, got {spacing_mm!r}"
        raise ValueError(msg)
    scan = Scan(
        image=stacked.contiguous(),
        spacing=(1.0,) * dims if spacing_mm is None else tuple(map(float, spacing_mm)),
        unit="px" if spacing_mm is None else "mm",
        modality=modality,
        state=state,
        region=None if region is None else torch.as_tensor(region).bool().cpu(),
    )
    result = realise(name, scan, seed=seed, **options).at(severity=severity, level=level).image
    back = result[0] if channel_axis is None else result.movedim(0, int(channel_axis))
    return back.clone() if isinstance(image, Tensor) else back.numpy().copy()


def _is_axis(given: object, dims: int) -> bool:
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    return whole and given in range(-dims, dims)


def _numbers(given: object, count: int) -> bool:
    """Tell whether something is a sequence of so many numbers."""
    if not isinstance(given, Sequence | np.ndarray) or len(given) != count:
        return False
    return all(map(is_number, given))


def _floating(image: object) -> Tensor:
    """Return the image as float32.

    Whole numbers are refused: whether 255 is white, 40 is HU, or labels were given by mistake cannot be
    seen, and an outcome in whole numbers would lose small levels.
    """
    if isinstance(image, Tensor):
        kind, floating = image.dtype, image.is_floating_point()
    elif isinstance(image, np.ndarray) and not isinstance(image, np.ma.MaskedArray):
        kind, floating = image.dtype, image.dtype.kind == "f"
    else:
        msg = f"image must be a numpy array without a mask or a torch tensor, got {type(image).__name__}"
        raise TypeError(msg)
    if not floating:
        msg = f"image must be floating point, got {kind}; give image.astype(np.float32)"
        raise TypeError(msg)
    if isinstance(image, Tensor):
        return image.detach().to(torch.float32)
    with np.errstate(over="ignore"):  # what lies beyond float32 becomes infinite, and is refused
        # native byte order, positive strides, and memory that may be written to
        values = np.require(image, dtype=np.float32, requirements=["C", "W"])
    return torch.from_numpy(values)
