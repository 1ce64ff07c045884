"""Control systems: masks whose score is known beforehand, so that the audit itself is tested.

They show the ceiling and the floor of every curve. The reference itself, an empty mask, another
patient's mask and the raters do not look at the image, so they are scored on the clean scan only;
the reference also under geometric perturbations (what the warp there and back costs even a perfect
prediction). Otsu's threshold looks at the image and is scored everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from auditor.cases import LoadedCase
from auditor.volumes.label_numbers import label_type
from perturbations import Warp

__all__ = ["clean_controls", "otsu_mask", "place_centred", "warped_reference"]


def clean_controls(
    case: LoadedCase, other: Tensor | None, labels: tuple[tuple[str, int], ...]
) -> dict[str, Tensor]:
    """Label maps of the controls of one clean scan.

    Parameters
    ----------
    case : LoadedCase
        The case.
    other : label map of another patient, or None
        Placed centre on centre when its shape differs.
    labels
        (name, number) of the audited labels.

    Returns
    -------
    dict of str to Tensor
        ``control:reference``, ``control:empty``, ``control:other_patient`` (when there is one),
        ``control:otsu`` and ``control:rater_1`` and on.
    """
    reference = case.references["reference"]
    masks = {
        "control:reference": reference,
        "control:empty": torch.zeros_like(reference),
        "control:otsu": otsu_mask(case.scan.image, labels),
    }
    if other is not None:
        masks["control:other_patient"] = place_centred(other, tuple(reference.shape))
    for name, mask in case.references.items():
        if name.startswith("rater_"):
            masks[f"control:{name}"] = mask
    return masks


def otsu_mask(image: Tensor, labels: tuple[tuple[str, int], ...]) -> Tensor:
    """Everything above Otsu's threshold of the first channel, as the first audited label.

    A constant image has no threshold and gives an empty mask.
    """
    from skimage.filters import threshold_otsu

    first = image[0]
    number = labels[0][1]
    result = torch.zeros(first.shape, dtype=label_type(number))
    if bool(first.min() < first.max()):
        level = threshold_otsu(first.numpy())  # type: ignore[no-untyped-call]  # scikit-image has no types
        result[first > float(level)] = number
    return result


def warped_reference(reference: Tensor, warp: Warp, labels: tuple[tuple[str, int], ...]) -> Tensor:
    """Send the reference through the warp and back, the way a prediction travels."""
    kept = label_type(max(number for _, number in labels))
    result = torch.zeros(reference.shape, dtype=kept)
    best = torch.full(reference.shape, 0.5)
    for _, number in labels:
        moved = warp.push_forward((reference == number).to(torch.uint8))
        returned = warp.pull_back(moved[None].to(torch.float32))[0]
        wins = returned > best
        result[wins] = number
        best = torch.where(wins, returned, best)
    return result


def place_centred(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Crop or pad a mask about its centre to a shape, without resampling.

    Raises
    ------
    ValueError
        When the number of axes differs.
    """
    if mask.dim() != len(shape):
        msg = f"mask must have {len(shape)} axes, got shape {tuple(mask.shape)}"
        raise ValueError(msg)
    result = torch.zeros(shape, dtype=mask.dtype)
    source, target = [], []
    for have, want in zip(mask.shape, shape, strict=True):
        size = min(have, want)
        source.append(slice((have - size) // 2, (have - size) // 2 + size))
        target.append(slice((want - size) // 2, (want - size) // 2 + size))
    result[tuple(target)] = mask[tuple(source)]
    return result
