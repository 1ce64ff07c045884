"""How trustworthy a prediction looks without any reference.

**Conventions.** Probabilities are float tensors (z, y, x) or (y, x) in [0, 1], of one label; masks
are bool. A proxy orders predictions by how good they probably are; it is no measurement.
"""

from __future__ import annotations

import torch


def self_dsc(probability: torch.Tensor) -> float | None:
    """Compute the DSC of a probability map with its own mask.

    Parameters
    ----------
    probability : (z, y, x) or (y, x), in [0, 1]: the probability of one label

    Returns
    -------
    In [0, 1]; 1 for probabilities that are all 0 or 1. None when no voxel exceeds .5: without a
    predicted mask there is nothing to trust or to doubt.

    Raises
    ------
    TypeError
        When the probabilities are not floating-point numbers.
    ValueError
        When they are not finite or leave [0, 1].

    Notes
    -----
    2 sum_{p > .5} p / (#{p > .5} + sum p): the soft DSC of p with the mask p > .5. If the
    probabilities are calibrated, the numerator is twice the expected overlap and the denominator
    the expected sum of both volumes.

    Examples
    --------
    >>> self_dsc(torch.tensor([[0.9, 0.6], [0.2, 0.0]]))  # 2 * 1.5 / (2 + 1.7)
    0.8108108...
    """
    if not probability.is_floating_point():
        msg = f"probability must be floating point, got {probability.dtype}"
        raise TypeError(msg)
    if not bool(((probability >= 0.0) & (probability <= 1.0)).all()):
        # Rounding of softmax sums stays within [0, 1]; a NaN fails both comparisons.
        msg = f"probability must lie in [0, 1], got shape {tuple(probability.shape)} with others"
        raise ValueError(msg)
    chosen = probability > 0.5
    count = int(torch.count_nonzero(chosen))
    if count == 0:
        return None
    exact = probability.double()
    return 2.0 * float(exact[chosen].sum()) / (count + float(exact.sum()))


def agreement(mask_a: torch.Tensor, mask_b: torch.Tensor) -> float:
    """Compute the DSC of two masks of one label; two empty masks agree.

    Parameters
    ----------
    mask_a, mask_b : bool, of one shape

    Returns
    -------
    2 |A ∩ B| / (|A| + |B|), in [0, 1]; 1 when both are empty.

    Raises
    ------
    TypeError
        When one of them is not a bool tensor.
    ValueError
        When their shapes differ.

    Examples
    --------
    >>> agreement(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
    0.666...
    """
    if mask_a.dtype != torch.bool or mask_b.dtype != torch.bool:
        msg = f"masks must be bool tensors, got {mask_a.dtype} and {mask_b.dtype}"
        raise TypeError(msg)
    if mask_a.shape != mask_b.shape:
        msg = f"masks must have one shape, got {tuple(mask_a.shape)} and {tuple(mask_b.shape)}"
        raise ValueError(msg)
    total = int(torch.count_nonzero(mask_a)) + int(torch.count_nonzero(mask_b))
    if total == 0:
        return 1.0
    return 2.0 * int(torch.count_nonzero(mask_a & mask_b)) / total
