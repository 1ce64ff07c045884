"""What takes the place of an activation, each kind a function of the activation alone.

**Conventions.** An activation is (n, channel, *space). Whatever is computed of it is computed for each item
by itself, so that the batch in which an item travels does not matter. Statistics and blur are computed in
float32 at least, whatever the activation is stored in, and the result has its type again. torch is imported by
none of this: tensors bring it along.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import AblationSpec

__all__ = ["MOST_SIGMAS", "NORMALS", "gaussian_kernel", "normals", "replaced", "strength_of"]

NORMALS = 65521
"""Normal numbers that are drawn, repeated along the flattened item: a prime number, so that no axis of a
power of two repeats with them."""

MOST_SIGMAS = 4.0
"""Where the Gaussian is cut off, in SDs."""


def gaussian_kernel(sigma: float) -> NDArray[np.float32]:
    """Return the weights of a Gaussian at whole voxels.

    Parameters
    ----------
    sigma : SD in voxels, positive.

    Returns
    -------
    (2 r + 1) weights that sum to 1; r is 4 sigma, rounded.
    """
    radius = int(MOST_SIGMAS * sigma + 0.5)
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    kernel: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return kernel


def normals(seed: int, skip: int, value: int = 0) -> NDArray[np.float32]:
    """Draw the standard normal numbers of one skip.

    Parameters
    ----------
    seed : of the ablation.
    skip : its place among all skips of the network, so that it does not matter which others are replaced.
    value : which of its replaced values.
    """
    drawn = np.random.default_rng([seed, skip, value])
    return drawn.standard_normal(NORMALS, dtype=np.float32)


def strength_of(spec: AblationSpec) -> float:
    """Return the number that blur, noise and dose need.

    Parameters
    ----------
    spec : with a strength.

    Raises
    ------
    ValueError
        When it has none.
    """
    if spec.strength is None:
        msg = f"an ablation by {spec.by} must have a strength, it has none"
        raise ValueError(msg)
    return float(spec.strength)


def replaced(b: Any, spec: AblationSpec, field: NDArray[np.float32]) -> Any:  # noqa: ANN401  # torch tensors
    """Return what takes the place of an activation.

    Parameters
    ----------
    b : (n, channel, *space) tensor.
    spec : by zero, mean, blur, noise or dose.
    field : of `normals`, for noise.

    Returns
    -------
    A new tensor of its shape and type.
    """
    if spec.by == "zero":
        return b.new_zeros(b.shape)
    if spec.by == "dose":
        return b * strength_of(spec)
    wide = b if b.element_size() > 4 else b.float()
    space = tuple(range(2, b.ndim))
    if spec.by == "mean":
        return wide.mean(dim=space, keepdim=True).to(b.dtype).expand_as(b).clone()
    if spec.by == "blur":
        return _blurred(b.float(), strength_of(spec)).to(b.dtype)
    mean = wide.mean(dim=space, keepdim=True)
    sd = ((wide - mean) ** 2).mean(dim=space, keepdim=True).sqrt()
    pool = wide.new_tensor(np.resize(field, (1, math.prod(b.shape[1:])))).reshape(1, *b.shape[1:])
    return (wide + strength_of(spec) * sd * pool).to(b.dtype)


def _blurred(b: Any, sigma: float) -> Any:  # noqa: ANN401  # torch tensors
    """Blur along each axis of space, edges repeated."""
    from torch.nn import functional

    axes = b.ndim - 2
    convolve: Any = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
    kernel = b.new_tensor(gaussian_kernel(sigma))
    radius = kernel.numel() // 2
    alone = b.reshape(-1, 1, *b.shape[2:])
    for axis in range(axes):
        sides = [0] * (2 * (axes - 1 - axis)) + [radius, radius] + [0] * (2 * axis)
        wide = functional.pad(alone, sides, mode="replicate")
        alone = convolve(wide, kernel.reshape(1, 1, *(-1 if i == axis else 1 for i in range(axes))))
    return alone.reshape(b.shape)
