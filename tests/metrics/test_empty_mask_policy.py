"""What an empty mask or a failed evaluation means, for every metric."""

from __future__ import annotations

import math

import pytest
import torch

from auditor.metrics.catalog import METRICS
from auditor.metrics.measure import Measured, measure_label, prepare_reference, undefined
from auditor.metrics.policy import EMPTY, EMPTY_MASK_POLICY, FAILURES, NOT_ASKED, status_of
from auditor.schema import MetricSpec, Status

SPACING = (3.0, 1.0, 0.5)
SPECS = [MetricSpec(name, 2.0 if m.needs_tolerance else None) for name, m in METRICS.items()]
NOTHING = torch.zeros(4, 6, 8, dtype=torch.bool)
SOMETHING = NOTHING.clone()
SOMETHING[1:3, 2:4, 2:6] = True  # 16 voxels of 1.5 mm3: 0.024 ml
IMAGE_ML = 4 * 6 * 8 * 1.5 / 1000
DIAGONAL = math.hypot(4 * 3.0, 6 * 1.0, 8 * 0.5)
every_metric = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def measure(prediction: torch.Tensor, reference: torch.Tensor) -> dict[str, Measured]:
    found = measure_label(prediction, prepare_reference(reference, SPACING), metrics=SPECS)
    return {measured.metric: measured for measured in found}


def rows(found: dict[str, Measured]) -> dict[str, tuple[float | None, float | None]]:
    return {name: (m.value, m.worst) for name, m in found.items()}


def test_a_total_miss_is_a_zero_where_the_definition_says_so() -> None:
    found = measure(NOTHING, SOMETHING)
    assert {m.status for m in found.values()} == {Status.PREDICTION_EMPTY}
    largest = pytest.approx(IMAGE_ML - 0.024)
    assert rows(found) == {
        "dsc": (0.0, 0.0),
        "iou": (0.0, 0.0),
        "precision": (None, 0.0),  # nothing predicted: 0 of 0
        "sensitivity": (0.0, 0.0),
        "volume_difference": (pytest.approx(0.024), largest),
        "hd95": (None, DIAGONAL),
        "assd": (None, DIAGONAL),
        "nsd": (0.0, 0.0),
    }


def test_false_alarms_without_a_reference_are_zeros() -> None:
    found = measure(SOMETHING, NOTHING)
    assert {m.status for m in found.values()} == {Status.REFERENCE_EMPTY}
    assert rows(found) == {
        "dsc": (0.0, 0.0),
        "iou": (0.0, 0.0),
        "precision": (0.0, 0.0),
        "sensitivity": (None, None),  # there was nothing to find
        "volume_difference": (pytest.approx(0.024), pytest.approx(IMAGE_ML)),
        "hd95": (None, DIAGONAL),
        "assd": (None, DIAGONAL),
        "nsd": (0.0, 0.0),
    }


def test_finding_nothing_where_there_is_nothing_is_neither_one_nor_zero() -> None:
    found = measure(NOTHING, NOTHING)
    assert {m.status for m in found.values()} == {Status.BOTH_EMPTY}
    expected: dict[str, object] = dict.fromkeys(METRICS, (None, None))
    expected["volume_difference"] = (0.0, pytest.approx(IMAGE_ML))
    assert rows(found) == expected


def test_every_row_that_is_not_ok_says_why_in_words() -> None:
    for prediction, reference in ((NOTHING, SOMETHING), (SOMETHING, NOTHING), (NOTHING, NOTHING)):
        assert all(m.reason for m in measure(prediction, reference).values())
    assert not any(m.reason for m in measure(SOMETHING, SOMETHING).values())


def test_the_table_has_a_rule_for_every_metric_and_column() -> None:
    assert set(EMPTY_MASK_POLICY) == {(name, status) for name in METRICS for status in EMPTY}


@every_metric
@pytest.mark.parametrize("status", sorted(FAILURES))
def test_a_failure_has_no_value_and_always_a_worst_case(spec: MetricSpec, status: Status) -> None:
    for mask in (SOMETHING, NOTHING):
        [found] = undefined([spec], status, "ran out of memory", prepare_reference(mask, SPACING))
        assert (found.value, found.status, found.reason) == (None, status, "ran out of memory")
        assert found.worst is not None


def test_worst_cases_of_a_failure_are_those_that_no_mask_exceeds() -> None:
    reference = prepare_reference(SOMETHING, SPACING)
    worst = {m.metric: m.worst for m in undefined(SPECS, Status.CRASHED, "gone", reference)}
    ratios = {"dsc", "iou", "precision", "sensitivity", "nsd"}
    assert {worst[name] for name in ratios} == {0.0}
    assert worst["hd95"] == worst["assd"] == DIAGONAL
    everywhere = measure(torch.ones_like(NOTHING), SOMETHING)["volume_difference"]
    assert worst["volume_difference"] == pytest.approx(everywhere.value)


def test_without_a_reference_only_worst_cases_of_zero_are_known() -> None:
    for found in undefined(SPECS, Status.TIMED_OUT, "too slow"):
        assert found.worst == (0.0 if METRICS[found.metric].worst == "zero" else None)


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


@every_metric
@pytest.mark.parametrize("miss", ["empty", *sorted(FAILURES)])
def test_more_misses_always_worsen_the_aggregate(spec: MetricSpec, miss: str) -> None:
    reference = prepare_reference(SOMETHING, SPACING)
    imperfect = SOMETHING.clone()
    imperfect[1, 2, 2:4] = False
    [good] = measure_label(imperfect, reference, metrics=[spec])
    if miss == "empty":
        [missed] = measure_label(NOTHING, reference, metrics=[spec])
    else:
        [missed] = undefined([spec], Status(miss), "why", reference)
    none, ten, fifty = (aggregate([missed] * n + [good] * (100 - n)) for n in (0, 10, 50))
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
