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
      ``nonzero``, over and applied to the voxels that are not 0 only. A channel of one value is
      only shifted.
    * affine (a, b): a x + b.
    """
    if spec.clip is not None:
        image = image.clamp(*spec.clip)
    if spec.clip_quantiles is not None:
        image = torch.stack([_clip_to_quantiles(c, spec.clip_quantiles) for c in image])
    if spec.scale_to is not None:
        image = torch.stack([_scale(channel, spec, spec.scale_to) for channel in image])
    if spec.zscore != "none":
        nonzero = spec.zscore == "nonzero"
        image = torch.stack([_zscore(c, c != 0 if nonzero else None) for c in image])
    if spec.affine is not None:
        factor, shift = spec.affine
        image = image * factor + shift
    return image


def _clip_to_quantiles(channel: Tensor, quantiles: tuple[float, float]) -> Tensor:
    # torch.quantile refuses more than 16 million elements
    low, high = np.quantile(channel.numpy(), quantiles)
    return channel.clamp(float(low), float(high))


def _scale(channel: Tensor, spec: InputSpec, target: tuple[float, float]) -> Tensor:
    if spec.clip is not None and spec.clip_quantiles is None:
        low, high = spec.clip
    else:
        low, high = float(channel.min()), float(channel.max())
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
