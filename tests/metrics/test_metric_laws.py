"""Laws that every metric obeys because it is in the catalogue.

A line added to the catalogue is run through all of them; the sets below say which laws hold with
which exponent, and each name in them must exist.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from metric_specs import DECLARED, measured
from metric_specs import spec_of as spec

from auditor.metrics.catalog import METRICS
from auditor.metrics.measure import measure_label, prepare_reference, restrict
from auditor.schema import Status

EXCHANGED = {"precision": "sensitivity", "sensitivity": "precision"}
# what they divide by, or count, is a property of one of the masks
ONE_SIDED = {
    "specificity",
    "relative_volume_difference",
    "lesion_sensitivity",
    "lesion_false_positives",
}
SYMMETRIC = set(METRICS) - set(EXCHANGED) - ONE_SIDED
VOLUMES = {"volume_difference", "relative_volume_difference", "volume_similarity"}
SEES_PLACES = set(METRICS) - VOLUMES
# more background makes them better, by definition
SEES_BACKGROUND = {"specificity", "brier", "ece"}
# thinning goes through the axes in an order of its own
SEES_AXES = {"centreline_dsc"}

SPACINGS = {3: (3.0, 0.7, 1.1), 2: (0.4, 1.3)}


def value(
    name: str,
    prediction: torch.Tensor,
    reference: torch.Tensor,
    spacing: tuple[float, ...],
    **declared: float,
) -> float:
    found = measured(spec(name, **declared), prediction, reference, spacing)
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
    for shape, seed in itertools.product([(9, 16, 14), (21, 18)], range(2))
]
every_metric = pytest.mark.parametrize("name", list(METRICS))
every_pair = pytest.mark.parametrize(("prediction", "reference"), PAIRS)


def test_the_named_sets_cover_the_catalogue() -> None:
    named = (set(EXCHANGED), ONE_SIDED, VOLUMES, SEES_BACKGROUND, SEES_AXES)
    assert all(names <= set(METRICS) for names in named)
    assert set(DECLARED) == {needed for line in METRICS.values() for needed in line.needs}


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
    found = measured(spec(name), prediction, reference, SPACINGS[reference.ndim])
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
    strict = {"tolerance_mm": 0.1, "overlap": 1.0}
    found = value(name, prediction, reference, spacing, **strict)
    perfect = value(name, reference, reference, spacing, **strict)
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


@pytest.mark.parametrize("name", sorted(set(METRICS) - SEES_AXES))
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
    before = value(name, prediction, reference, spacing)
    if name not in SEES_BACKGROUND:
        assert found == pytest.approx(before, rel=1e-12)
    elif METRICS[name].higher_is_better:
        assert found > before
    else:
        assert found < before


@every_metric
@every_pair
def test_lengths_scale_with_the_spacing_and_ratios_do_not(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    spacing = SPACINGS[reference.ndim]
    power = {"mm": 1, "ml": reference.ndim}.get(METRICS[name].unit, 0)
    single = value(name, prediction, reference, spacing, tolerance_mm=1.5, width_mm=1.5)
    doubled = value(
        name,
        prediction,
        reference,
        tuple(2 * step for step in spacing),
        tolerance_mm=3.0,
        width_mm=3.0,
    )
    assert doubled == pytest.approx(2.0**power * single, rel=1e-9)


@every_metric
@every_pair
def test_a_region_of_the_whole_image_changes_nothing(
    name: str, prediction: torch.Tensor, reference: torch.Tensor
) -> None:
    prepared = prepare_reference(reference, SPACINGS[reference.ndim])
    everywhere = torch.ones_like(reference)
    sure = prediction.float()
    [plain] = measure_label(prediction, prepared, metrics=[spec(name)], probability=sure)
    [found] = measure_label(
        prediction, prepared, metrics=[spec(name)], region=everywhere, probability=sure
    )
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
    sure = prediction.float()
    [found] = measure_label(
        prediction, prepared, metrics=[spec(name)], region=region, probability=sure
    )
    if name in SEES_BACKGROUND:  # outside the region is not background
        kept = reference.shape[-1] // 2 + 1
        expected = value(name, prediction[..., :kept], reference[..., :kept], spacing)
    else:
        expected = value(name, prediction & region, reference & region, spacing)
    assert found.value == pytest.approx(expected, rel=1e-12)
    [again] = measure_label(
        prediction & region, restrict(prepared, region), metrics=[spec(name)], probability=sure
    )
    assert again == found


@every_metric
def test_measuring_twice_gives_the_same_bits_and_leaves_the_masks_alone(name: str) -> None:
    prediction, reference = blob((9, 16, 14), 1), blob((9, 16, 14), 2)
    before = prediction.clone(), reference.clone()
    prepared = prepare_reference(reference, SPACINGS[3])
    sure = prediction.float()
    first = measure_label(prediction, prepared, metrics=[spec(name)], probability=sure)
    assert measure_label(prediction, prepared, metrics=[spec(name)], probability=sure) == first
    assert torch.equal(prediction, before[0])
    assert torch.equal(reference, before[1])


def test_each_metric_gives_the_same_alone_and_among_others() -> None:
    prediction, reference = blob((9, 16, 14), 1), blob((9, 16, 14), 2)
    prepared = prepare_reference(reference, SPACINGS[3])
    specs = [spec(name) for name in METRICS]
    sure = prediction.float()
    together = measure_label(prediction, prepared, metrics=specs, probability=sure)
    fresh = prepare_reference(reference, SPACINGS[3])
    for one, found in zip(specs, together, strict=True):
        assert measure_label(prediction, fresh, metrics=[one], probability=sure) == [found]


@every_metric
def test_only_metrics_of_probabilities_ask_for_them(name: str) -> None:
    prediction, reference = blob((9, 16, 14), 1), blob((9, 16, 14), 2)
    prepared = prepare_reference(reference, SPACINGS[3])
    [bare] = measure_label(prediction, prepared, metrics=[spec(name)], no_probability="labels only")
    [found] = measure_label(
        prediction, prepared, metrics=[spec(name)], probability=0.5 * prediction.float()
    )
    if METRICS[name].needs_probabilities:
        assert (bare.value, bare.status, bare.worst) == (None, Status.NOT_APPLICABLE, None)
        assert bare.reason == "labels only"
        assert found.value is not None
    else:
        assert bare == found
