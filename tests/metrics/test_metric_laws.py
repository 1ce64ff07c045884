"""Laws that every metric obeys because it is in the catalogue.

A line added to the catalogue is run through all of them; the sets below say which laws hold with
which exponent, and each name in them must exist.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from auditor.metrics.catalog import METRICS
from auditor.metrics.measure import measure_label, prepare_reference, restrict
from auditor.schema import MetricSpec

SYMMETRIC = {"dsc", "iou", "volume_difference", "hd95", "assd", "nsd"}
EXCHANGED = {"precision": "sensitivity", "sensitivity": "precision"}
SEES_PLACES = set(METRICS) - {"volume_difference"}

SPACINGS = {3: (3.0, 0.7, 1.1), 2: (0.4, 1.3)}


def spec(name: str, tolerance_mm: float = 1.5) -> MetricSpec:
    return MetricSpec(name, tolerance_mm if METRICS[name].needs_tolerance else None)


def value(
    name: str,
    prediction: torch.Tensor,
    reference: torch.Tensor,
    spacing: tuple[float, ...],
    tolerance_mm: float = 1.5,
) -> float:
    [found] = measure_label(
        prediction, prepare_reference(reference, spacing), metrics=[spec(name, tolerance_mm)]
    )
    assert found.value is not None
    return found.value


def blob(shape: tuple[int, ...], seed: int, *, share: float = 0.3) -> torch.Tensor:
    """Make an irregular mask with holes and loose parts, two voxels away from the border."""
    rng = np.random.default_rng(seed)
    grid = np.indices(shape)
    centre = [n / 2 + rng.uniform(-1, 1) for n in shape]
    distance = sum(((g - c) / n) ** 2 for g, c, n in zip(grid, centre, shape, strict=True))
    mask = distance < share**2 * rng.uniform(0.6, 1.4)
    mask ^= (rng.random(shape) < 0.03) & (distance < 0.16)
    inner = np.zeros(shape, dtype=bool)
    inner[tuple(slice(2, n - 2) for n in shape)] = True
    return torch.from_numpy(mask & inner)


PAIRS = [
    pytest.param(blob(shape, seed), blob(shape, seed + 100), id=f"{len(shape)}d-{seed}")
    for shape, seed in itertools.product([(9, 16, 14), (21, 18)], range(3))
]
every_metric = pytest.mark.parametrize("name", list(METRICS))
every_pair = pytest.mark.parametrize(("prediction", "reference"), PAIRS)


def test_the_named_sets_cover_the_catalogue() -> None:
    assert SYMMETRIC | set(EXCHANGED) == set(METRICS)
    assert set(METRICS) >= SEES_PLACES


@every_metric
@every_pair
def test_a_perfect_prediction_has_the_best_value(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    del prediction
    metric = METRICS[name]
    best = metric.high if metric.higher_is_better else metric.low
    assert value(name, reference, reference, SPACINGS[reference.ndim]) == best


@every_metric
@every_pair
def test_values_stay_in_the_declared_range_and_below_the_worst_case(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    metric = METRICS[name]
    [found] = measure_label(
        prediction,
        prepare_reference(reference, SPACINGS[reference.ndim]),
        metrics=[spec(name)],
    )
    assert found.value is not None
    assert found.worst is not None
    assert metric.low <= found.value <= (metric.high or float("inf"))
    if metric.higher_is_better:
        assert found.worst < found.value
    else:
        assert found.worst > found.value


@every_metric
@every_pair
def test_an_imperfect_prediction_is_worse_than_a_perfect_one(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    found = value(name, prediction, reference, spacing, tolerance_mm=0.1)
    perfect = value(name, reference, reference, spacing, tolerance_mm=0.1)
    assert found < perfect if METRICS[name].higher_is_better else found > perfect


@pytest.mark.parametrize("name", sorted(SYMMETRIC))
@every_pair
def test_symmetric_metrics_do_not_ask_which_mask_is_the_reference(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    forth = value(name, prediction, reference, spacing)
    assert value(name, reference, prediction, spacing) == pytest.approx(forth, rel=1e-12)


@pytest.mark.parametrize(("name", "other"), sorted(EXCHANGED.items()))
@every_pair
def test_precision_and_sensitivity_become_each_other(
    name: str, other: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    found = value(name, prediction, reference, spacing)
    assert found == value(other, reference, prediction, spacing)
    assert found != value(name, reference, prediction, spacing)


@every_metric
@every_pair
def test_moving_both_masks_changes_nothing(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    step, axes = (1, -2, 2)[: reference.ndim], tuple(range(reference.ndim))
    moved = value(
        name, torch.roll(prediction, step, axes), torch.roll(reference, step, axes), spacing
    )
    assert moved == pytest.approx(value(name, prediction, reference, spacing), rel=1e-12)


@pytest.mark.parametrize("name", sorted(SEES_PLACES))
def test_moving_one_mask_is_seen(name: str) -> None:
    mask = blob((9, 16, 14), 3)
    found = value(name, torch.roll(mask, 4, 2), mask, SPACINGS[3])
    assert found != value(name, mask, mask, SPACINGS[3])


@every_metric
@every_pair
def test_the_order_and_direction_of_the_axes_do_not_matter(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    expected = value(name, prediction, reference, spacing)
    for order in itertools.permutations(range(reference.ndim)):
        turned = value(
            name,
            prediction.permute(order),
            reference.permute(order),
            tuple(spacing[axis] for axis in order),
        )
        assert turned == pytest.approx(expected, rel=1e-12)
    mirrored = value(name, prediction.flip(0), reference.flip(0), spacing)
    assert mirrored == pytest.approx(expected, rel=1e-12)


@every_metric
@every_pair
def test_background_around_the_image_changes_nothing(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    padding = (3, 0, 1, 2, 0, 4)[: 2 * reference.ndim]
    padded = [torch.nn.functional.pad(mask, padding) for mask in (prediction, reference)]
    found = value(name, padded[0], padded[1], spacing)
    assert found == pytest.approx(value(name, prediction, reference, spacing), rel=1e-12)


@every_metric
@every_pair
def test_lengths_scale_with_the_spacing_and_ratios_do_not(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    power = {"": 0, "mm": 1, "ml": reference.ndim}[METRICS[name].unit]
    single = value(name, prediction, reference, spacing, tolerance_mm=1.5)
    doubled = value(
        name, prediction, reference, tuple(2 * step for step in spacing), tolerance_mm=3.0
    )
    assert doubled == pytest.approx(2.0**power * single, rel=1e-9)


@every_metric
@every_pair
def test_a_region_of_the_whole_image_changes_nothing(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    prepared = prepare_reference(reference, SPACINGS[reference.ndim])
    everywhere = torch.ones_like(reference)
    [plain] = measure_label(prediction, prepared, metrics=[spec(name)])
    [found] = measure_label(prediction, prepared, metrics=[spec(name)], region=everywhere)
    assert found.value == pytest.approx(plain.value, rel=1e-12)
    assert (found.status, found.worst) == (plain.status, plain.worst)


@every_metric
@every_pair
def test_a_region_is_the_same_as_masks_that_were_cut_before(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    region = torch.zeros_like(reference)
    region[..., : reference.shape[-1] // 2 + 1] = True
    prepared = prepare_reference(reference, spacing)
    [found] = measure_label(prediction, prepared, metrics=[spec(name)], region=region)
    expected = value(name, prediction & region, reference & region, spacing)
    assert found.value == pytest.approx(expected, rel=1e-12)
    [again] = measure_label(prediction & region, restrict(prepared, region), metrics=[spec(name)])
    assert again == found


@every_metric
def test_measuring_twice_gives_the_same_bits_and_leaves_the_masks_alone(name: str) -> None:
    prediction, reference = blob((9, 16, 14), 1), blob((9, 16, 14), 2)
    before = prediction.clone(), reference.clone()
    prepared = prepare_reference(reference, SPACINGS[3])
    first = measure_label(prediction, prepared, metrics=[spec(name)])
    assert measure_label(prediction, prepared, metrics=[spec(name)]) == first
    assert torch.equal(prediction, before[0])
    assert torch.equal(reference, before[1])


def test_each_metric_gives_the_same_alone_and_among_others() -> None:
    prediction, reference = blob((9, 16, 14), 1), blob((9, 16, 14), 2)
    prepared = prepare_reference(reference, SPACINGS[3])
    together = measure_label(prediction, prepared, metrics=[spec(name) for name in METRICS])
    alone = [measure_label(prediction, prepared, metrics=[spec(name)])[0] for name in METRICS]
    assert together == alone
