"""Rows against each rater, against the others without him, and the mean over raters: drawn by hand.

The raters draw a box of 2 slices, 4 rows and 3, 4 or 6 columns on anisotropic voxels: 24, 32 and 48 voxels,
each inside the next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from auditor.cases import LoadedCase
from auditor.execution.averaging import MeanScorer, mean_rows
from auditor.execution.rater_rows import RaterPanel, rater_properties
from auditor.execution.scoring import Scorer
from auditor.schema import (
    CaseRecord,
    Geometry,
    MetricSpec,
    OutputSpec,
    Record,
    Row,
    ScoredLabel,
    Status,
)
from auditor.strata.raters import rater_disagreement
from perturbations import Scan

GRID = Geometry(shape=(4, 8, 10), spacing=(3.0, 1.25, 0.5))
LABELS = (ScoredLabel("organ", ("organ",), (1,)),)
OUTPUT = OutputSpec(activation="softmax", labels=(("organ", 1),))
WIDTHS = {"rater_1": 3, "rater_2": 4, "rater_3": 6}


def box(width: int, number: int = 1) -> Tensor:
    mask = torch.zeros(GRID.shape, dtype=torch.int16)
    mask[1:3, 2:6, 1 : 1 + width] = number
    return mask


def case_of(*names: str, widths: dict[str, int] | None = None) -> LoadedCase:
    masks = {name: box((widths or WIDTHS)[name]) for name in names}
    scan = Scan(
        image=torch.rand(1, *GRID.shape),
        spacing=GRID.spacing,
        unit="mm",
        modality="mr",
        state="raw",
    )
    record = CaseRecord("a", "p", (), None, tuple("abcdef"[: len(masks)]))
    return LoadedCase(record, scan, GRID, {"reference": next(iter(masks.values())), **masks})


def template(**changes: Any) -> Row:
    return Row(
        **{
            "record": Record.EVALUATION.value, "system": "s", "case": "a", "patient": "p",
            "perturbation": "clean", "severity": 0.0, "level": None, "unit": "", "replicate": 0,
            "status": "ok", "reference": "reference", **changes,
        }
    )  # fmt: skip


def panel(*names: str, tie: str | None = "at_least_half") -> RaterPanel:
    found = RaterPanel.of(case_of(*names), labels=LABELS, tie=tie)
    assert found is not None
    return found


def values(rows: list[Row], metric: str = "dsc") -> dict[str | None, float | None]:
    return {row.reference: row.value for row in rows if row.metric == metric}


def dsc(a: int, b: int) -> float:
    """Of two boxes of which one lies inside the other."""
    return 2 * min(a, b) / (a + b)


def test_one_rater_is_no_panel() -> None:
    assert RaterPanel.of(case_of("rater_1"), labels=LABELS, tie=None) is None


def test_a_prediction_is_scored_against_each_rater_and_against_the_others_without_him() -> None:
    rows = panel(*WIDTHS).rows(box(5), template=template())
    found = values(rows)
    assert {row.record for row in rows} == {"measurement"}
    assert found["rater_1"] == pytest.approx(dsc(5, 3))
    assert found["rater_2"] == pytest.approx(dsc(5, 4))
    assert found["rater_3"] == pytest.approx(dsc(5, 6))
    # half of two others is enough: the wider of the two
    assert found["without_rater_1"] == pytest.approx(dsc(5, 6))
    assert found["without_rater_2"] == pytest.approx(dsc(5, 6))
    assert found["without_rater_3"] == pytest.approx(dsc(5, 4))
    # nothing of these may count as the score
    assert "reference" not in found


def test_what_a_prediction_marks_far_from_every_rater_counts() -> None:
    stray = box(3)
    stray[0, 0, 9] = stray[3, 7, 0] = 1
    rows = panel(*WIDTHS).rows(stray, template=template())
    assert values(rows)["rater_1"] == pytest.approx(2 * 24 / (24 + 26))
    found = {row.metric: row.value for row in rows if row.reference == "raters"}
    assert found["consensus_dsc"] == pytest.approx(2 * 24 / (24 + 26))
    # a faint probability far away is above two of nine thresholds
    soft = box(6).float() * 0.95
    near = panel(*WIDTHS).rows(box(6), template=template(), output=OUTPUT, probabilities=soft[None])
    soft[0, 0, 9] = 0.25
    far = panel(*WIDTHS).rows(box(6), template=template(), output=OUTPUT, probabilities=soft[None])
    before, after = (values(it, "qubiq_dice")["raters"] for it in (near, far))
    assert before is not None
    assert after is not None
    # all six columns are marked by at least a third of the raters, and are above .1 and .2
    assert before - after == pytest.approx(2 * (1 - 2 * 48 / (48 + 49)) / 9)


def test_the_tie_rule_decides_on_the_others_and_without_one_they_have_no_consensus() -> None:
    strict = values(panel(*WIDTHS, tie="above_half").rows(box(5), template=template()))
    assert strict["without_rater_3"] == pytest.approx(dsc(5, 3))
    undeclared = values(panel(*WIDTHS, tie=None).rows(box(5), template=template()))
    assert set(undeclared) == {"rater_1", "rater_2", "rater_3"}
    # the other of two raters is one mask, and one mask is no tie
    pair = values(panel("rater_1", "rater_2", tie=None).rows(box(4), template=template()))
    assert pair["without_rater_1"] == 1.0
    assert pair["without_rater_2"] == pytest.approx(dsc(4, 3))


def test_metrics_of_all_raters_stand_under_their_own_name() -> None:
    rows = panel(*WIDTHS).rows(box(4), template=template())
    found = {row.metric: row.value for row in rows if row.reference == "raters"}
    assert set(found) == {"qubiq_dice", "consensus_dsc", "volume_crps", "ged"}
    # all three marked 3 columns, none 6 or more: of the prediction column 4 is left out
    assert found["consensus_dsc"] == 1.0
    # shares 1, 2/3, 1/3, 1/3 of columns 1-3, 4, 5, 6: up to .3 six columns, up to .6 four, then three
    expected = (3 * dsc(4, 6) + 3 * dsc(4, 4) + 3 * dsc(4, 3)) / 9
    assert found["qubiq_dice"] == pytest.approx(expected)
    # volumes 24, 32 and 48 voxels of 1.875 mm3; the mean of |v - V| is 8, half the mean spread 16/3
    voxel = 3.0 * 1.25 * 0.5 / 1000
    assert found["volume_crps"] == pytest.approx((8 - 16 / 3) * voxel)
    # with 1 - IoU: 2 mean(1/4, 0, 1/3) minus the mean over all nine pairs of raters
    pairs = 2 * ((1 - 3 / 4) + (1 - 3 / 6) + (1 - 4 / 6)) / 9
    assert found["ged"] == pytest.approx(2 * (1 / 4 + 0 + 1 / 3) / 3 - pairs)


def test_calibration_is_measured_only_on_probabilities() -> None:
    soft = box(4).float()[None] * 0.75
    rows = panel(*WIDTHS).rows(box(4), template=template(), output=OUTPUT, probabilities=soft)
    found = {row.metric: row.value for row in rows if row.reference == "raters"}
    assert found["rater_ece"] is not None
    assert found["rater_ece"] > 0
    # the predicted volume is the sum of the probabilities: 24 voxels, as rater 1
    voxel = 3.0 * 1.25 * 0.5 / 1000
    assert found["volume_crps"] == pytest.approx((0 + 8 + 24) / 3 * voxel - 16 / 3 * voxel)


def test_raters_are_scored_against_each_other_and_the_consensus_without_them() -> None:
    rows = panel(*WIDTHS).control_rows(template(system="controls"))
    found = {(row.system, row.reference): row.value for row in rows}
    assert found["control:rater_1", "rater_3"] == pytest.approx(dsc(3, 6))
    assert found["control:rater_3", "rater_1"] == pytest.approx(dsc(3, 6))
    assert found["control:rater_1", "without_rater_1"] == pytest.approx(dsc(3, 6))
    assert found["control:rater_3", "without_rater_3"] == pytest.approx(dsc(6, 4))
    assert len(found) == 3 * 3


def test_a_failed_prediction_leaves_a_row_for_every_comparison() -> None:
    rows = panel(*WIDTHS).failed(template(), Status.CRASHED, "signal 11")
    assert {row.status for row in rows} == {"crashed"}
    assert {row.reason for row in rows} == {"signal 11"}
    assert all(row.value is None for row in rows)
    assert {row.reference for row in rows if row.metric == "dsc"} == {
        *WIDTHS, *(f"without_{name}" for name in WIDTHS)
    }  # fmt: skip
    assert {row.worst for row in rows if row.metric == "dsc"} == {0.0}
    answered = panel(*WIDTHS).rows(box(3), template=template())
    assert [(it.metric, it.reference) for it in rows] == [
        (it.metric, it.reference) for it in answered
    ]


def test_the_worst_cases_of_a_failure_are_those_that_every_prediction_has() -> None:
    probabilities = torch.full((1, *GRID.shape), 0.25)
    answered = panel(*WIDTHS).rows(
        box(3), template=template(), output=OUTPUT, probabilities=probabilities
    )
    failed = panel(*WIDTHS).failed(template(), Status.CRASHED, "signal 11", output=OUTPUT)
    assert {(it.metric, it.reference, it.worst) for it in failed} == {
        (it.metric, it.reference, it.worst) for it in answered
    }
    # the whole image of 320 voxels against 24, 32 and 48: |v - V| less half the mean of |V - V'|
    [crps] = [it.worst for it in failed if it.metric == "volume_crps"]
    apart = (8 + 24 + 16) * 2 / 9
    voxel = 3.0 * 1.25 * 0.5 / 1000
    assert crps == pytest.approx((320 - (24 + 32 + 48) / 3 - apart / 2) * voxel)


def test_what_raters_tell_of_a_case_is_stored_as_properties() -> None:
    case = case_of(*WIDTHS)
    apart = rater_disagreement([it == 1 for it in case.raters.values()], GRID.spacing, GRID.unit)
    rows = panel(*WIDTHS).property_rows(template(system="controls"), {"organ": apart})
    found = {row.metric: row for row in rows}
    assert {row.record for row in rows} == {"property"}
    assert {row.label for row in rows} == {"organ"}
    assert found["raters"].value == 3
    assert found["raters_empty"].value == 0
    voxel = 3.0 * 1.25 * 0.5 / 1000
    assert found["rater_volume"].value == pytest.approx((24 + 32 + 48) / 3 * voxel)
    assert found["rater_volume_range"].value == pytest.approx(24 * voxel)


def test_the_energy_distance_of_a_rater_is_to_the_others_without_him() -> None:
    """Boxes of 3, 4 and 6 columns: 1 - IoU is 1/4, 1/2 and 1/3 of the three pairs.

    The first against the others: 2 (1/4 + 1/2) / 2 - 2 (1/3) / 4 = 7/12; the second 1/3, the third 17/24.
    """
    masks = [label_mask == 1 for label_mask in (box(3), box(4), box(6))]
    found = rater_properties(masks, rater_disagreement(masks, GRID.spacing))
    assert found["rater_ged"][0] == pytest.approx((7 / 12 + 1 / 3 + 17 / 24) / 3)


def test_nothing_marked_has_a_status_and_a_reason_instead_of_a_number() -> None:
    empty = dict.fromkeys(WIDTHS, 0)
    case = case_of(*WIDTHS, widths=empty)
    apart = rater_disagreement([it == 1 for it in case.raters.values()], GRID.spacing, GRID.unit)
    found = RaterPanel.of(case, labels=LABELS, tie="above_half")
    assert found is not None
    rows = {row.metric: row for row in found.property_rows(template(), {"organ": apart})}
    assert rows["rater_volume_cv"].value is None
    assert rows["rater_volume_cv"].status == "both_empty"
    assert rows["rater_volume_cv"].reason == "no rater marked anything"
    assert rows["raters_empty"].value == 3


def measurement(value: float | None, status: str = "ok", worst: float | None = 0.0) -> Row:
    return template(
        record="measurement", metric="dsc", value=value, status=status, worst=worst, label="organ"
    )


@pytest.mark.parametrize(
    ("rows", "value", "status", "worst", "reason"),
    [
        ([measurement(0.5), measurement(0.8)], 0.65, "ok", 0.0, ""),
        (
            [measurement(0.5), measurement(None, "both_empty", None)],
            0.5, "ok", 0.0, "mean over 1 of 2 raters; no value against the others: both_empty",
        ),
        (
            [measurement(0.0, "prediction_empty"), measurement(None, "both_empty", None)],
            0.0, "prediction_empty", 0.0,
            "mean over 1 of 2 raters; no value against the others: both_empty",
        ),
        ([measurement(0.9), measurement(0.0, "reference_empty")], 0.45, "ok", 0.0, ""),
        (
            [measurement(None, "both_empty", None), measurement(None, "prediction_empty", 20.0)],
            None, "prediction_empty", 20.0, "",
        ),
        (
            # a distance to two masks, and to one that is empty: (2 + 4 + 60) / 3
            [measurement(2.0, worst=60.0), measurement(4.0, worst=60.0),
             measurement(None, "reference_empty", 60.0)],
            None, "reference_empty", 22.0,
            ("a value against 2 of 3 raters only, and no mean; no value against the others: "
            "reference_empty"),
        ),
        ([measurement(None, "crashed", 10.0), measurement(None, "crashed", 30.0)],
         None, "crashed", 20.0, ""),
    ],
)  # fmt: skip
def test_a_mean_over_raters_says_of_how_many(
    rows: list[Row], value: float | None, status: str, worst: float | None, reason: str
) -> None:
    (found,) = mean_rows([[row] for row in rows])
    assert found.value == (None if value is None else pytest.approx(value))
    assert (found.status, found.worst, found.reason) == (status, worst, reason)
    assert found.reference == "reference"


def test_the_mean_over_raters_is_the_mean_of_every_metric_against_each() -> None:
    specs = (MetricSpec("dsc"), MetricSpec("volume_difference"), MetricSpec("hd95"))
    each = [Scorer.of(box(width), GRID, labels=LABELS, metrics=specs) for width in WIDTHS.values()]
    found = MeanScorer(tuple(each)).rows(box(5), template=template())
    assert [row.record for row in found] == ["evaluation", *["measurement"] * 3]
    by_name = {row.metric: row.value for row in found[1:]}
    assert by_name["dsc"] == pytest.approx((dsc(5, 3) + dsc(5, 4) + dsc(5, 6)) / 3)
    voxel = 3.0 * 1.25 * 0.5 / 1000
    assert by_name["volume_difference"] == pytest.approx((16 + 8 + 8) / 3 * voxel)
    apart = [row.value for scorer in each for row in scorer.rows(box(5), template=template())[3:]]
    assert by_name["hd95"] == pytest.approx(sum(it or 0.0 for it in apart) / 3)
    failed = MeanScorer(tuple(each)).failed(template(), Status.FAILED, "no answer", geometric=False)
    assert {row.status for row in failed} == {"failed"}
    assert replace(failed[0], metric=None).reason == "no answer"
