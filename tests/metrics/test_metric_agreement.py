"""Counts, volumes, lesions and calibration against the libraries that define them alike.

MONAI 1.6 and SimpleITK 2.5; where they differ by definition, a test names the difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK
import skimage.morphology
import torch
from metric_specs import measured, spec_of
from monai.metrics.calibration import calibration_binning
from monai.metrics.confusion_matrix import compute_confusion_matrix_metric, get_confusion_matrix
from monai.metrics.panoptic_quality import compute_panoptic_quality
from scipy import ndimage

SPACING = (3.0, 0.7, 1.1)
sitk: Any = SimpleITK  # untyped
morphology: Any = skimage.morphology


def masks(seed: int, *, share: float = 0.25) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random masks that have something to do with each other, neither of them empty."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(7, 16, 14)), 1.2)
    other = field + 0.5 * ndimage.gaussian_filter(rng.normal(size=(7, 16, 14)), 1.2)
    cuts = (np.quantile(it, 1 - share) for it in (field, other))
    one, two = (torch.from_numpy(it > cut) for it, cut in zip((field, other), cuts, strict=True))
    return one, two


def value(name: str, prediction: torch.Tensor, reference: torch.Tensor, **declared: float) -> float:
    found = measured(spec_of(name, **declared), prediction, reference, SPACING)
    assert found.value is not None
    return found.value


@pytest.mark.parametrize("seed", range(8))
def test_shares_of_the_confusion_matrix_are_those_of_monai(seed: int) -> None:
    prediction, reference = masks(seed)
    one, two = (it[None, None].float() for it in (prediction, reference))
    counts = get_confusion_matrix(one, two, include_background=True)
    for name in ("sensitivity", "specificity", "precision"):
        theirs = float(compute_confusion_matrix_metric(name, counts).squeeze())
        assert value(name, prediction, reference) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_volume_similarity_is_one_less_half_the_signed_one_of_simpleitk(seed: int) -> None:
    prediction, reference = masks(seed, share=0.1 + 0.05 * seed)
    prediction[:, :2] = False
    images = [sitk.GetImageFromArray(it.numpy().astype(np.uint8)) for it in (prediction, reference)]
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    signed = overlap.GetVolumeSimilarity()  # 2 (V(P) - V(R)) / (V(P) + V(R))
    assert value("volume_similarity", prediction, reference) == pytest.approx(1 - abs(signed) / 2)


@pytest.mark.parametrize("seed", range(8))
def test_lesion_f1_above_one_half_is_the_recognition_quality_of_monai(seed: int) -> None:
    prediction, reference = masks(seed)
    one, two = (
        torch.from_numpy(ndimage.label(it.numpy(), structure=np.ones((3, 3, 3)))[0]).int()
        for it in (prediction, reference)
    )
    theirs = compute_panoptic_quality(one, two, metric_name="rq", match_iou_threshold=0.55)
    found = value("lesion_f1", prediction, reference, overlap=0.55)
    assert found == pytest.approx(float(theirs), abs=1e-5)


def test_below_one_half_monai_takes_the_best_overlaps_and_here_as_many_as_possible_count() -> None:
    lesions, prediction = (torch.zeros(3, 16, dtype=torch.bool) for _ in range(2))
    lesions[1, 0:6] = lesions[1, 8:9] = True
    prediction[1, 0:1] = prediction[1, 2:9] = True
    # IoU of 2..8 with the first lesion 4/9, with the second 1/7; of 0..0 with the first 1/6:
    # the first alone sums to .44, the other two to .31
    one, two = (
        torch.from_numpy(ndimage.label(it.numpy())[0]).int() for it in (prediction, lesions)
    )
    theirs = compute_panoptic_quality(one, two, metric_name="rq", match_iou_threshold=0.1)
    found = measured(spec_of("lesion_f1", overlap=0.1), prediction, lesions, (3.0, 0.5)).value
    assert float(theirs) == pytest.approx(0.5, abs=1e-5)
    assert found == 1.0


@pytest.mark.parametrize(("seed", "bins"), [(1, 5), (2, 10), (3, 15)])
def test_calibration_is_that_of_the_bins_of_monai(seed: int, bins: int) -> None:
    _, reference = masks(seed)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(reference.shape, generator=generator)
    probability = (0.4 * noise + 0.5 * reference.float()).clamp(0, 1)
    said, held, count = calibration_binning(
        probability[None, None], reference[None, None].float(), num_bins=bins, right=True
    )
    gaps = torch.nan_to_num((said - held).abs()) * count
    theirs = float(gaps.sum() / count.sum())
    found = measured(spec_of("ece", bins=bins), reference, reference, SPACING, probability).value
    assert found == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_centreline_dsc_is_that_of_whole_skeletons(seed: int) -> None:
    prediction, reference = (it.numpy() for it in masks(seed))
    thin = [morphology.skeletonize(it) for it in (prediction, reference)]
    parts = [ndimage.label(it, structure=np.ones((3, 3, 3))) for it in (prediction, reference)]
    erased = any(set(range(1, n + 1)) - set(it[s]) for (it, n), s in zip(parts, thin, strict=True))
    precision = (thin[0] & reference).sum() / thin[0].sum()
    sensitivity = (thin[1] & prediction).sum() / thin[1].sum()
    found = value("centreline_dsc", torch.from_numpy(prediction), torch.from_numpy(reference))
    expected = 2 * precision * sensitivity / (precision + sensitivity)
    assert found == pytest.approx(expected, abs=0.05 if erased else 1e-12)
