"""Groups of labels and probabilities, from a predicted label map to its rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from metric_specs import spec_of

from auditor.execution.scoring import Scorer, without_probability
from auditor.schema import Geometry, OutputSpec, Row, ScoredLabel, Status
from perturbations import Warp

GEOMETRY = Geometry((2, 3, 4), (3.0, 0.5, 1.0))
OEDEMA = ScoredLabel("oedema", ("oedema",), (2,))
CORE = ScoredLabel("core", ("core",), (7,))
TUMOUR = ScoredLabel("tumour", ("oedema", "core"), (2, 7))
NAMES = ("dsc", "lesion_f1", "brier", "ece")
TEMPLATE = Row("evaluation", "a", "case", "patient", "clean", 0.0, None, "", 0, "ok")

TRUTH = torch.zeros(2, 3, 4, dtype=torch.int16)
TRUTH[0, 0, :2] = 2
TRUTH[0, 0, 2] = 7
# the order of a system's labels is its own
SOFTMAX = OutputSpec("softmax", labels=(("core", 7), ("oedema", 2)))
PROBABILITIES = torch.zeros(2, 2, 3, 4)
PROBABILITIES[1, 0, 0, :2] = 0.6  # oedema
PROBABILITIES[0, 0, 0, :2] = 0.3  # core, there
PROBABILITIES[0, 0, 0, 2] = 0.8
PREDICTION = torch.zeros(2, 3, 4, dtype=torch.int16)
PREDICTION[0, 0, :2] = 2
PREDICTION[0, 0, 2] = 7


def scorer() -> Scorer:
    return Scorer.of(
        TRUTH,
        GEOMETRY,
        labels=(OEDEMA, CORE, TUMOUR),
        metrics=tuple(spec_of(name) for name in NAMES),
    )


def found(rows: list[Row]) -> dict[tuple[str | None, str | None], Row]:
    return {(row.label, row.metric): row for row in rows if row.record == "measurement"}


def test_a_group_is_the_union_of_its_labels_whatever_lies_where() -> None:
    swapped = torch.where(PREDICTION == 2, 7, torch.where(PREDICTION == 7, 2, 0)).short()
    rows = found(scorer().rows(swapped, template=TEMPLATE))
    assert rows["tumour", "dsc"].value == 1.0
    assert rows["oedema", "dsc"].value == rows["core", "dsc"].value == 0.0
    # each label is its own mask, too: 2 pixels against 1
    plain = found(scorer().rows(PREDICTION, template=TEMPLATE))
    assert [plain[name, "dsc"].value for name in ("oedema", "core", "tumour")] == [1.0] * 3


def test_evaluations_of_a_group_are_rows_of_their_own() -> None:
    rows = scorer().rows(
        PREDICTION,
        template=TEMPLATE,
        output=SOFTMAX,
        probabilities=PROBABILITIES,
        clean=torch.zeros_like(PREDICTION),
    )
    evaluations = {row.label: row for row in rows if row.record == "evaluation"}
    assert list(evaluations) == ["oedema", "core", "tumour"]
    voxel = 3.0 * 0.5 * 1.0 / 1000
    assert evaluations["tumour"].predicted_volume_ml == pytest.approx(3 * voxel)
    assert evaluations["tumour"].clean_agreement == 0.0
    # sums of .9, .9 and .8: 2 * 2.6 / (3 + 2.6); of the oedema 2 * 1.2 / (2 + 1.2)
    assert evaluations["tumour"].self_dsc == pytest.approx(5.2 / 5.6)
    assert evaluations["oedema"].self_dsc == pytest.approx(2.4 / 3.2)


def test_the_probability_of_a_group_is_the_sum_where_labels_exclude_each_other() -> None:
    rows = found(
        scorer().rows(PREDICTION, template=TEMPLATE, output=SOFTMAX, probabilities=PROBABILITIES)
    )
    # .1² + .1² + .2² over 24 voxels; of the core .3² + .3² + .2²
    assert rows["tumour", "brier"].value == pytest.approx(0.06 / 24)
    assert rows["core", "brier"].value == pytest.approx(0.22 / 24)
    assert rows["oedema", "brier"].value == pytest.approx(0.32 / 24)


def test_a_sum_that_rounding_lifts_above_one_is_one() -> None:
    above = torch.full((2, 2, 3, 4), 0.50000006)
    rows = found(scorer().rows(PREDICTION, template=TEMPLATE, output=SOFTMAX, probabilities=above))
    assert rows["tumour", "brier"].value == pytest.approx(21 / 24)


def test_sigmoid_channels_have_no_probability_of_a_group() -> None:
    output = replace(SOFTMAX, activation="sigmoid")
    rows = scorer().rows(PREDICTION, template=TEMPLATE, output=output, probabilities=PROBABILITIES)
    by = found(rows)
    assert by["core", "brier"].value == pytest.approx(0.22 / 24)
    for name in ("brier", "ece"):
        row = by["tumour", name]
        assert (row.value, row.status, row.worst) == (None, Status.NOT_APPLICABLE, None)
        assert "do not exclude each other" in row.reason
    assert by["tumour", "dsc"].value == 1.0
    assert [row.self_dsc for row in rows if row.record == "evaluation"][2] is None


def test_labels_without_probabilities_are_not_applicable_and_say_so() -> None:
    output = replace(SOFTMAX, activation="labels")
    sure = torch.stack([PREDICTION == 7, PREDICTION == 2]).float()
    rows = found(scorer().rows(PREDICTION, template=TEMPLATE, output=output, probabilities=sure))
    for label in ("oedema", "core", "tumour"):
        assert rows[label, "brier"].status == Status.NOT_APPLICABLE
        assert rows[label, "brier"].reason == "the system gives labels without probabilities"
        assert rows[label, "dsc"].status == Status.OK


@pytest.mark.parametrize("status", [Status.CRASHED, Status.NO_EFFECT])
def test_failures_are_not_applicable_where_successes_would_be(status: Status) -> None:
    bare = replace(SOFTMAX, activation="labels")
    for output, expected in ((bare, Status.NOT_APPLICABLE), (SOFTMAX, status)):
        rows = found(scorer().failed(TEMPLATE, status, "gone", geometric=False, output=output))
        assert rows["tumour", "ece"].status == expected
        assert rows["tumour", "dsc"].status == status
        assert rows["tumour", "dsc"].reason == "gone"
    crashed = found(
        scorer().failed(TEMPLATE, Status.CRASHED, "gone", geometric=False, output=SOFTMAX)
    )
    assert crashed["tumour", "ece"].worst == 1.0


def test_controls_are_masks_and_have_no_probabilities() -> None:
    assert without_probability(CORE, None) == "the system gives labels without probabilities"
    assert without_probability(TUMOUR, SOFTMAX) == ""
    assert without_probability(CORE, replace(SOFTMAX, activation="logits_sigmoid")) == ""


def test_probabilities_are_cut_to_what_a_warp_retained() -> None:
    retained = torch.ones(2, 3, 4, dtype=torch.bool)
    retained[1] = False
    noisy = PROBABILITIES.clone()
    noisy[:, 1] = 0.5  # where nothing was seen

    class Kept:
        """A warp that lost the second slice."""

        def __init__(self) -> None:
            self.retained = retained

    warp: Warp = Kept()  # type: ignore[assignment]  # only what it retained is asked
    rows = scorer().rows(
        PREDICTION, template=TEMPLATE, output=SOFTMAX, probabilities=noisy, warp=warp
    )
    regions = {
        row.region: row.value for row in rows if (row.label, row.metric) == ("core", "brier")
    }
    assert regions["retained"] == pytest.approx(0.22 / 12)
    assert regions["whole"] == pytest.approx((0.22 + 12 * 0.25) / 24)
