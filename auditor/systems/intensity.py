"""Intensities: how a scan's numbers become those that a system was trained on.

**Conventions.** Every statistic is taken per channel, over the whole array that is given. The
steps, in this order, each only when it is declared: clip, clip to quantiles, scale to a range,
z-score, affine.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from auditor.schema import InputSpec
from auditor.systems.channels import of_channel, per_channel


def normalise(image: Tensor, spec: InputSpec) -> Tensor:
    """Apply the declared intensity steps.

    Parameters
    ----------
    image : (channel, *spatial) float32; not changed.
    spec : the input contract.

    Returns
    -------
    (channel, *spatial) float32.

    Notes
    -----
    * clip_quantiles: linear interpolation between order statistics, as ``numpy.quantile``.
    * scale_to (a, b): a + (x - low) / (high - low) * (b - a), where (low, high) is the clip range;
      without one, or after clipping to quantiles, the channel's own minimum and maximum. A
      channel of one value becomes a.
    * zscore: (x - mean) / sd with the population's sd, as MONAI's ``NormalizeIntensity``; with
      ``nonzero``, over and applied to the voxels that are not 0 only; with ``filled``, to those
      that are not 0 in any channel, with their holes filled, as nnU-Net's ``ZScoreNormalization``
      with ``use_mask_for_norm``. A channel of one value is only shifted.
    * affine (a, b): a x + b.
    """
    filled = _filled(image) if "filled" in (per_channel(spec.zscore) or (spec.zscore,)) else None
    steps = (spec.clip, spec.clip_quantiles, spec.scale_to, spec.affine)
    if spec.zscore == "none" and all(step is None for step in steps):
        return image
    return torch.stack([_channel(one, i, spec, filled) for i, one in enumerate(image)])


def _channel(channel: Tensor, index: int, spec: InputSpec, filled: Tensor | None) -> Tensor:
    clip = of_channel(spec.clip, index)
    if clip is not None:
        channel = channel.clamp(*clip)
    if spec.clip_quantiles is not None:
        channel = _clip_to_quantiles(channel, spec.clip_quantiles)
    target = of_channel(spec.scale_to, index)
    if target is not None:
        known = clip if spec.clip_quantiles is None else None
        channel = _scale(channel, known, target)
    zscore = of_channel(spec.zscore, index)
    if zscore != "none":
        where = {"image": None, "nonzero": channel != 0, "filled": filled}[zscore]
        channel = _zscore(channel, where)
    affine = of_channel(spec.affine, index)
    return channel if affine is None else channel * affine[0] + affine[1]


def ignores_scale(spec: InputSpec) -> bool:
    """Tell whether slope times the image plus offset (slope above 0) is fed as the same input.

    Parameters
    ----------
    spec : the input contract.

    Returns
    -------
    True when every channel is standardised, or its own range mapped onto another; a fixed clip, and
    voxels told by being 0, would tell.
    """
    channels = range(spec.channels)
    return all(
        of_channel(spec.clip, i) is None
        and (of_channel(spec.zscore, i) == "image" or of_channel(spec.scale_to, i) is not None)
        for i in channels
    )


def _filled(image: Tensor) -> Tensor:
    """Tell voxels that are not 0 in some channel, or enclosed by such (nnU-Net's nonzero mask)."""
    from scipy.ndimage import binary_fill_holes

    return torch.from_numpy(binary_fill_holes((image != 0).any(dim=0).numpy()))


def _clip_to_quantiles(channel: Tensor, quantiles: tuple[float, float]) -> Tensor:
    # torch.quantile refuses more than 16 million elements
    low, high = np.quantile(channel.numpy(), quantiles)
    return channel.clamp(float(low), float(high))


def _scale(
    channel: Tensor, known: tuple[float, float] | None, target: tuple[float, float]
) -> Tensor:
    low, high = known or (float(channel.min()), float(channel.max()))
    factor = (target[1] - target[0]) / (high - low) if high > low else 0.0
    return (channel - low) * factor + target[0]


def _zscore(channel: Tensor, where: Tensor | None) -> Tensor:
    values = channel if where is None else channel[where]
    if values.numel() == 0:
        return channel
    # in double precision: the sum of 50 million floats loses digits otherwise
    mean = float(values.mean(dtype=torch.float64))
    variance = float((values.double() - mean).square().mean())
    scaled = (channel - mean) / (variance**0.5 if variance > 0 else 1.0)
    return scaled if where is None else torch.where(where, scaled, channel)
