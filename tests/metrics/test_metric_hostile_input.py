"""Input that is no mask, no spacing or no metric: refused with what must be and what was."""

from __future__ import annotations

import warnings

import pytest
import torch

from auditor.errors import ConfigError
from auditor.metrics.measure import mask_volume, measure_label, prepare_reference, restrict
from auditor.metrics.overlap import dsc
from auditor.metrics.pair import MaskPair
from auditor.metrics.surface import nsd
from auditor.schema import MetricSpec

MASK = torch.zeros(4, 6, 5, dtype=torch.bool)
MASK[1:3, 2:4, 1:3] = True
SPACING = (3.0, 1.0, 0.5)
DSC = [MetricSpec("dsc")]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32])
def test_a_label_map_is_not_taken_for_a_mask(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"reference must be a bool tensor, got {dtype}"):
        prepare_reference(MASK.to(dtype), SPACING)
    with pytest.raises(TypeError, match="prediction must be a bool tensor"):
        measure_label(MASK.to(dtype), prepare_reference(MASK, SPACING), metrics=DSC)
    with pytest.raises(TypeError, match="region must be a bool tensor"):
        restrict(prepare_reference(MASK, SPACING), MASK.to(dtype))


def test_an_array_of_another_library_is_named() -> None:
    with pytest.raises(TypeError, match="got ndarray"):
        prepare_reference(MASK.numpy(), SPACING)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("shape", [(5,), (1, 4, 6, 5), (0, 4), ()])
def test_masks_have_two_or_three_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(z, y, x\) or \(y, x\)"):
        prepare_reference(torch.zeros(shape, dtype=torch.bool), (1.0,) * len(shape))


def test_a_prediction_on_another_grid_is_refused_rather_than_broadcast() -> None:
    reference = prepare_reference(MASK, SPACING)
    with pytest.raises(ValueError, match=r"shape of the reference, \(4, 6, 5\), got \(6, 5\)"):
        measure_label(MASK[0], reference, metrics=DSC)
    with pytest.raises(ValueError, match=r"prediction must .* got \(4, 6, 4\)"):
        measure_label(MASK[..., :4], reference, metrics=DSC)
    with pytest.raises(ValueError, match=r"region must .* got \(1, 6, 5\)"):
        measure_label(MASK, reference, metrics=DSC, region=MASK[:1])


@pytest.mark.parametrize(
    "spacing",
    [
        (1.0, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, -1.0, 1.0),
        (1.0, float("nan"), 1.0),
        (1.0, float("inf"), 1.0),
    ],
)
def test_a_spacing_is_one_positive_number_per_axis(spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="spacing must be 3 positive numbers"):
        prepare_reference(MASK, spacing)
    with pytest.raises(ValueError, match="spacing must be 3 positive numbers"):
        mask_volume(MASK, spacing=spacing, unit="mm")


def test_a_unit_is_mm_or_px() -> None:
    with pytest.raises(ValueError, match="unit must be 'mm' or 'px', got 'cm'"):
        prepare_reference(MASK, SPACING, "cm")  # type: ignore[arg-type]  # that is the point


def test_an_undeclared_metric_or_tolerance_is_refused() -> None:
    reference = prepare_reference(MASK, SPACING)
    with pytest.raises(ConfigError, match="did you mean 'dsc'"):
        measure_label(MASK, reference, metrics=[MetricSpec("dscc")])
    with pytest.raises(ConfigError, match="needs tolerance_mm"):
        measure_label(MASK, reference, metrics=[MetricSpec("nsd")])
    with pytest.raises(ValueError, match="needs tolerance_mm"):
        nsd(MaskPair(prediction=MASK.numpy(), reference=reference), MetricSpec("nsd"))


def test_a_width_or_tolerance_beyond_all_numbers_is_one_beyond_the_image() -> None:
    """Neither its square nor its single precision exists; warnings are errors here."""
    other = torch.zeros_like(MASK)
    other[1:3, 2:4, 1:2] = True
    reference = prepare_reference(MASK, SPACING)
    huge = [
        MetricSpec("boundary_iou", width_mm=1e300),
        MetricSpec("nsd", tolerance_mm=1e300),
        MetricSpec("nsd_voxel", tolerance_mm=1e300),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = [it.value for it in measure_label(other, reference, metrics=huge)]
    assert values == [4 / 8, 1.0, 1.0]  # all of a mask is then its band


def test_no_metrics_give_no_rows() -> None:
    assert measure_label(MASK, prepare_reference(MASK, SPACING), metrics=[]) == []


def test_views_that_are_not_contiguous_are_read_right() -> None:
    turned = MASK.permute(2, 0, 1)
    [found] = measure_label(
        turned, prepare_reference(turned, (0.5, 3.0, 1.0)), metrics=[MetricSpec("hd95")]
    )
    assert found.value == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 1), (1, 7, 1)])
def test_images_of_one_voxel_across_are_measured(shape: tuple[int, ...]) -> None:
    full = torch.ones(shape, dtype=torch.bool)
    specs = [MetricSpec("dsc"), MetricSpec("hd95"), MetricSpec("nsd", 0.1)]
    found = measure_label(full, prepare_reference(full, (2.0,) * len(shape)), metrics=specs)
    assert [m.value for m in found] == [1.0, 0.0, 1.0]


def test_a_pair_can_be_measured_without_a_policy() -> None:
    reference = prepare_reference(MASK, SPACING)
    assert dsc(MaskPair(prediction=MASK.numpy(), reference=reference), DSC[0]) == 1.0
