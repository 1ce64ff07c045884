"""What an empty mask or a failed evaluation means, for every metric."""

from __future__ import annotations

import math

import pytest
import torch
from metric_specs import spec_of

from auditor.metrics.catalog import METRICS, metric_info
from auditor.metrics.measure import Measured, measure_label, prepare_reference, undefined
from auditor.metrics.policy import (
    BLIND,
    EMPTY,
    EMPTY_MASK_POLICY,
    FAILURES,
    NOT_ASKED,
    POLICY,
    status_of,
)
from auditor.schema import MetricSpec, Status

SPACING = (3.0, 1.0, 0.5)
SPECS = [spec_of(name) for name in METRICS]
NOTHING = torch.zeros(4, 6, 8, dtype=torch.bool)
SOMETHING = NOTHING.clone()
SOMETHING[1:3, 2:4, 2:6] = True  # 16 voxels of 1.5 mm3: 0.024 ml
IMAGE_ML = 4 * 6 * 8 * 1.5 / 1000
DIAGONAL = math.hypot(4 * 3.0, 6 * 1.0, 8 * 0.5)
every_metric = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def measure(prediction: torch.Tensor, reference: torch.Tensor) -> dict[str, Measured]:
    found = measure_label(
        prediction,
        prepare_reference(reference, SPACING),
        metrics=SPECS,
        probability=prediction.float(),
    )
    return {measured.metric: measured for measured in found}


def rows(found: dict[str, Measured]) -> dict[str, tuple[float | None, float | None]]:
    return {name: (m.value, m.worst) for name, m in found.items()}


OVERLAPS = {
    "dsc", "iou", "boundary_iou", "centreline_dsc", "volume_similarity", "nsd", "nsd_voxel",
    "lesion_f1",
}  # fmt: skip
DISTANCES = {line.name for line in METRICS.values() if line.unit == "mm"}
SHARE = 16 / (4 * 6 * 8)  # of the image that SOMETHING fills
LESIONS = 2 * 3 * 4  # blocks of 2x2x2 voxels


def test_a_total_miss_is_a_zero_where_the_definition_says_so() -> None:
    found = measure(NOTHING, SOMETHING)
    assert {m.status for m in found.values()} == {Status.PREDICTION_EMPTY}
    assert rows(found) == {
        **dict.fromkeys(OVERLAPS, (0.0, 0.0)),
        **dict.fromkeys(DISTANCES, (None, DIAGONAL)),
        "precision": (None, 0.0),  # nothing predicted: 0 of 0
        "sensitivity": (0.0, 0.0),
        "lesion_sensitivity": (0.0, 0.0),
        "specificity": (1.0, 0.0),
        "lesion_false_positives": (0.0, LESIONS),
        "volume_difference": (pytest.approx(0.024), pytest.approx(IMAGE_ML - 0.024)),
        "relative_volume_difference": (100.0, pytest.approx(100 * (1 / SHARE - 1))),
        "brier": (pytest.approx(SHARE), 1.0),  # sure of nothing in 16 of 192 voxels
        "ece": (pytest.approx(SHARE), 1.0),
    }


def test_false_alarms_without_a_reference_are_zeros() -> None:
    found = measure(SOMETHING, NOTHING)
    assert {m.status for m in found.values()} == {Status.REFERENCE_EMPTY}
    assert rows(found) == {
        **dict.fromkeys(OVERLAPS, (0.0, 0.0)),
        **dict.fromkeys(DISTANCES, (None, DIAGONAL)),
        "precision": (0.0, 0.0),
        "sensitivity": (None, None),  # there was nothing to find
        "lesion_sensitivity": (None, None),
        "specificity": (pytest.approx(1 - SHARE), 0.0),
        "lesion_false_positives": (1.0, LESIONS),
        "volume_difference": (pytest.approx(0.024), pytest.approx(IMAGE_ML)),
        "relative_volume_difference": (None, None),  # per cent of nothing
        "brier": (pytest.approx(SHARE), 1.0),
        "ece": (pytest.approx(SHARE), 1.0),
    }


def test_finding_nothing_where_there_is_nothing_is_neither_one_nor_zero() -> None:
    found = measure(NOTHING, NOTHING)
    assert {m.status for m in found.values()} == {Status.BOTH_EMPTY}
    expected: dict[str, object] = dict.fromkeys(METRICS, (None, None))
    # what counts errors, and has counted none
    expected["volume_difference"] = (0.0, pytest.approx(IMAGE_ML))
    expected["lesion_false_positives"] = (0.0, LESIONS)
    expected["specificity"] = (1.0, 0.0)
    expected["brier"] = expected["ece"] = (0.0, 1.0)
    assert rows(found) == expected


def test_a_reference_that_fills_the_image_leaves_nothing_for_specificity() -> None:
    everywhere = torch.ones_like(NOTHING)
    found = measure(SOMETHING, everywhere)["specificity"]
    assert (found.value, found.status, found.worst) == (None, Status.NOT_APPLICABLE, None)
    assert found.reason == "the reference fills the whole image"


def test_every_row_that_is_not_ok_says_why_in_words() -> None:
    for prediction, reference in ((NOTHING, SOMETHING), (SOMETHING, NOTHING), (NOTHING, NOTHING)):
        assert all(m.reason for m in measure(prediction, reference).values())
    assert not any(m.reason for m in measure(SOMETHING, SOMETHING).values())


def test_the_table_has_a_rule_for_every_metric_and_column() -> None:
    assert list(POLICY) == [name for name in METRICS if name in POLICY]
    assert set(EMPTY_MASK_POLICY) == {(name, status) for name in METRICS for status in EMPTY}


@every_metric
def test_the_table_is_printed_as_it_is_applied(spec: MetricSpec) -> None:
    info = metric_info(spec, "mm")
    words = dict(info.policy)
    for status in EMPTY:
        rule = EMPTY_MASK_POLICY[spec.name, status]
        assert words[status.value] == rule.words
        assert ("no value" in rule.words) == (rule.value == "none")
        assert ("worst case stands in" in rule.words) == (rule.value == "none" and rule.counts)
    assert "worst case stands in" in words["failed"]
    assert "left out" in words["no_effect"]
    assert ("probability" in words["not_applicable"]) == METRICS[spec.name].needs_probabilities
    assert info.worst
    assert info.blind == METRICS[spec.name].blind


@every_metric
@pytest.mark.parametrize("status", sorted(FAILURES))
def test_a_failure_has_no_value_and_always_a_worst_case(spec: MetricSpec, status: Status) -> None:
    # per cent of an empty reference have no worst case, whatever is predicted
    masks = (SOMETHING,) if spec.name == "relative_volume_difference" else (SOMETHING, NOTHING)
    for mask in masks:
        [found] = undefined([spec], status, "ran out of memory", prepare_reference(mask, SPACING))
        assert (found.value, found.status, found.reason) == (None, status, "ran out of memory")
        assert found.worst is not None


def test_worst_cases_of_a_failure_are_those_that_no_mask_exceeds() -> None:
    reference = prepare_reference(SOMETHING, SPACING)
    worst = {m.metric: m.worst for m in undefined(SPECS, Status.CRASHED, "gone", reference)}
    bounded = {line.name: line for line in METRICS.values() if line.high == 1.0}
    for name, line in bounded.items():
        assert worst[name] == (0.0 if line.higher_is_better else 1.0)
    assert {worst[name] for name in DISTANCES} == {DIAGONAL}
    everywhere = measure(torch.ones_like(NOTHING), SOMETHING)
    for name in ("volume_difference", "relative_volume_difference"):
        assert worst[name] == pytest.approx(everywhere[name].value)
    apart = torch.zeros_like(NOTHING)
    apart[::2, ::2, ::2] = True  # as many components as can be
    [most] = [m for m in measure(apart, NOTHING).values() if m.metric == "lesion_false_positives"]
    assert worst["lesion_false_positives"] == most.value == LESIONS


@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 5, 4), (5, 5), (1, 1)])
def test_into_odd_sides_one_lesion_more_fits(shape: tuple[int, ...]) -> None:
    nothing = torch.zeros(shape, dtype=torch.bool)
    apart = nothing.clone()
    apart[(slice(None, None, 2),) * len(shape)] = True
    [found] = measure_label(
        apart,
        prepare_reference(nothing, SPACING[: len(shape)]),
        metrics=[spec_of("lesion_false_positives")],
    )
    assert found.worst == found.value == apart.sum()


def test_without_a_reference_only_worst_cases_of_zero_and_one_are_known() -> None:
    for found in undefined(SPECS, Status.TIMED_OUT, "too slow"):
        assert found.worst == {"zero": 0.0, "one": 1.0}.get(METRICS[found.metric].worst)


def test_a_failure_of_a_system_without_probabilities_is_no_failure_of_their_metrics() -> None:
    for found in undefined(SPECS, Status.CRASHED, "gone", no_probability="labels only"):
        if METRICS[found.metric].needs_probabilities:
            assert (found.status, found.worst) == (Status.NOT_APPLICABLE, None)
            assert found.reason == "labels only"
        else:
            assert (found.status, found.reason) == (Status.CRASHED, "gone")


@every_metric
def test_a_level_without_effect_counts_neither_for_nor_against(spec: MetricSpec) -> None:
    [found] = undefined(
        [spec], Status.NO_EFFECT, "slices are as thick", prepare_reference(SOMETHING, SPACING)
    )
    assert (found.value, found.worst) == (None, None)


def test_every_status_is_reached() -> None:
    masks = (SOMETHING, NOTHING)
    reached = {m.status for p in masks for r in masks for m in measure(p, r).values()}
    reached |= {
        m.status
        for status in set(Status) - EMPTY - {Status.OK}
        for m in undefined(SPECS, status, "why")
    }
    assert reached == set(Status)
    assert {Status.OK} | NOT_ASKED | EMPTY | FAILURES == set(Status)


@pytest.mark.parametrize("status", [Status.OK, *sorted(EMPTY)])
def test_an_evaluation_with_masks_cannot_be_declared_undefined(status: Status) -> None:
    with pytest.raises(ValueError, match="without a mask"):
        undefined(SPECS, status, "why")


def aggregate(rows_of_cases: list[Measured]) -> float:
    """Average with the named worst case in the place of missing values."""
    values = [m.value if m.value is not None else m.worst for m in rows_of_cases]
    known = [v for v in values if v is not None]
    assert len(known) == len(rows_of_cases)
    return sum(known) / len(known)


CANNOT_SEE_A_MISS = {
    "specificity",  # counts what is marked outside the reference
    "lesion_false_positives",  # so does this
    "brier",  # no probability anywhere is off by the small share of the label alone
    "ece",  # so is it in the one bin that there is
}


def test_metrics_that_cannot_see_a_miss_are_named_with_their_reason() -> None:
    assert set(BLIND) == CANNOT_SEE_A_MISS
    good = measure(SOMETHING, SOMETHING)
    missed = measure(NOTHING, SOMETHING)
    assert missed["specificity"].value == good["specificity"].value == 1.0
    assert missed["lesion_false_positives"].value == good["lesion_false_positives"].value == 0.0
    reference = prepare_reference(SOMETHING, SPACING)
    unsure = 0.5 * SOMETHING.float() + 0.2  # finds it, and is off by .2 to .3 everywhere
    [found] = measure_label(SOMETHING, reference, metrics=[spec_of("ece")], probability=unsure)
    assert found.value is not None
    assert found.value > (missed["ece"].value or 0.0)


@every_metric
@pytest.mark.parametrize("miss", ["empty", *sorted(FAILURES)])
def test_more_misses_always_worsen_the_aggregate(spec: MetricSpec, miss: str) -> None:
    reference = prepare_reference(SOMETHING, SPACING)
    imperfect = SOMETHING.clone()
    imperfect[1, 2, 2:4] = False
    imperfect[3, 2, 2] = True
    sure = 0.8 * imperfect.float() + 0.1
    [good] = measure_label(imperfect, reference, metrics=[spec], probability=sure)
    if miss == "empty":
        nowhere = torch.zeros(NOTHING.shape)
        [missed] = measure_label(NOTHING, reference, metrics=[spec], probability=nowhere)
    else:
        [missed] = undefined([spec], Status(miss), "why", reference)
    none, ten, fifty = (aggregate([missed] * n + [good] * (100 - n)) for n in (0, 10, 50))
    if miss == "empty" and spec.name in CANNOT_SEE_A_MISS:
        # the definition itself: said in the table, and of every claim on one of them
        assert METRICS[spec.name].blind
        assert "seen" in dict(metric_info(spec, "mm").policy)["prediction_empty"]
        return
    if METRICS[spec.name].higher_is_better:
        assert none > ten > fifty
    else:
        assert none < ten < fifty


def test_status_follows_from_which_mask_is_empty() -> None:
    found = [
        status_of(prediction_empty=p, reference_empty=r)
        for p in (False, True)
        for r in (False, True)
    ]
    assert found == [
        Status.OK,
        Status.REFERENCE_EMPTY,
        Status.PREDICTION_EMPTY,
        Status.BOTH_EMPTY,
    ]
