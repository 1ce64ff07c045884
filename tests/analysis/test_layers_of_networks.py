"""How far activations move: means over patients, what is usual, and from where on a change is absorbed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from layer_rows import NAMES, VOXELS, cohort, facts, layer_rows, layer_setup, mean
from rows_tables import NOISE, rows_of, table_of

from auditor.analysis import summarise
from auditor.analysis.intervals import studentized_interval
from auditor.analysis.layers import floor_of, layer_susceptibility
from auditor.schema import (
    AblationSpec,
    LayerSpec,
    LayerSusceptibility,
    NetworkFacts,
    NetworkSkip,
    Row,
    encode,
)


def found(rows: list[Row], made: object = None, bins: int = 64) -> LayerSusceptibility:
    made = made or cohort()
    (it,) = layer_susceptibility(table_of(rows), layer_setup(made, bins))  # type: ignore[arg-type]
    return it


def test_means_over_patients_by_hand() -> None:
    it = found(layer_rows(cohort()))
    assert [(curve.perturbation, curve.severity, curve.level) for curve in it.curves] == [
        (NOISE.name, 1.0, 3.0), (NOISE.name, 2.0, 6.0), (NOISE.name, 4.0, 20.0),
    ]  # fmt: skip
    assert (it.system, it.note) == ("net", "")
    for curve in it.curves:
        for layer in (0, 1, 3):
            estimate = curve.distances[layer]
            assert estimate.value == pytest.approx(mean(layer, curve.severity))
            assert (estimate.n, estimate.side, estimate.level) == (12, "two-sided", 0.95)
            assert estimate.low is not None
            assert estimate.high is not None
            assert 0 <= estimate.low < mean(layer, curve.severity) < estimate.high <= 1
        assert (curve.unit, curve.missing) == (NOISE.unit, "")


def test_intervals_are_those_of_the_house_on_the_shared_draws() -> None:
    made = cohort()
    setup = layer_setup(made)
    estimate = found(layer_rows(made)).curves[-1].distances[1]
    sample = np.array([[row.value or 0.0] for row in layer_rows(made)
                       if row.severity == 4 and json.loads(row.facts or "")["place"] == 1])  # fmt: skip
    low, high = studentized_interval(sample, setup.weights(12), level=0.95, bounded=True)
    assert estimate.low == pytest.approx(low[0])
    assert estimate.high == pytest.approx(high[0])


def test_a_layer_of_one_activation_a_channel_is_not_assessed() -> None:
    it = found(layer_rows(cohort()))
    estimate = it.curves[0].distances[2]
    assert (estimate.value, estimate.status, estimate.n) == (None, "not_assessable", 12)
    assert "one activation a channel" in estimate.note
    assert it.layers[2].between.status == "not_assessable"


def test_facts_of_layers_and_their_floor() -> None:
    it = found(layer_rows(cohort()))
    assert tuple(layer.name for layer in it.layers) == NAMES
    assert tuple(layer.voxels for layer in it.layers) == VOXELS
    assert [layer.place for layer in it.layers] == [0, 1, 2, 3]
    assert it.layers[0].resolution == (64, 64)
    assert it.layers[1].floor == pytest.approx(math.sqrt(63 / (4 * 512)))
    assert it.layers[2].floor == 1.0
    # a tenth less, as much and a tenth more than .05, in turn
    assert it.layers[0].between.value == pytest.approx(0.05)
    assert floor_of(4096, 2) == pytest.approx(1 / 128)


def test_what_moves_most_and_where_it_is_absorbed() -> None:
    one, two, four = found(layer_rows(cohort())).curves
    # means at severity 1: .02, .04, -, .01 against .05 between patients
    assert (one.most, one.below_from) == ((1, 0, 3), 0)
    # at severity 2: .04, .08, -, .02: only the last is below from there on
    assert (two.most, two.below_from) == ((1, 0, 3), 3)
    assert (four.most, four.below_from) == ((1, 0, 3), 3)  # .08, .16, .04
    assert "95%" in one.below_how.replace(" ", "")
    assert "n >= 12" in one.below_how


@pytest.mark.parametrize(
    ("ablation", "operator", "most"),
    [
        # layer 1, 32 x 32, joins the skip of level 1 and would be first: .04 s against .02 s of layer 0
        (None, "Concat", (1, 0, 3)),
        (AblationSpec((1,), "mean"), "Concat", (0, 3)),
        (AblationSpec(("skip#1",), "zero"), "cat", (0, 3)),
        (AblationSpec((), "dose", 0.0), "Concat", (0, 3)),
        (AblationSpec((), "dose", 0.5), "Concat", (1, 0, 3)),
        (AblationSpec((), "noise", 1.0), "Concat", (1, 0, 3)),
        (AblationSpec((0,), "mean"), "Concat", (1, 0, 3)),  # the skip of level 1 is as it was
        (AblationSpec((1,), "mean"), "Add", (1, 0, 3)),  # a sum with a constant is none
    ],
)
def test_a_concatenation_with_a_constant_is_not_what_moves_most(
    ablation: AblationSpec | None, operator: str, most: tuple[int, ...]
) -> None:
    def joined(row: Row) -> Row:
        known = json.loads(row.facts or "{}")
        changes = {"operator": operator, "resolution": [32, 32]}
        return replace(row, facts=facts(1, **changes)) if known["place"] == 1 else row

    made = cohort()
    setup = layer_setup(made)
    skips = tuple(
        NetworkSkip(level, (size, size), 8, f"skip#{level}", operator, nested=False, places=1)
        for level, size in enumerate((48, 32))
    )
    network = NetworkFacts(("net",), (1, 1, 64, 64), skips, True, True, (16, 16))  # noqa: FBT003
    systems = (replace(setup.systems[0], ablation=ablation),)
    asked = replace(setup, systems=systems, networks=(network,))
    (it,) = layer_susceptibility(table_of(layer_rows(made, joined)), asked)
    assert {curve.most for curve in it.curves} == {most}


def test_what_is_not_below_at_the_end_is_not_absorbed() -> None:
    def louder(row: Row) -> Row:
        last = json.loads(row.facts or "{}").get("place") == 3
        more = last and row.severity == 4
        return replace(row, value=0.3 + 0.001 * int(row.case[5:8])) if more else row

    curve = found(layer_rows(cohort(), louder)).curves[-1]
    assert (curve.below_from, curve.most[0]) == (None, 3)


def test_a_difference_within_the_noise_is_not_told_as_one() -> None:
    """Means are below by a hair, patients scatter: nothing is claimed."""

    def scattered(row: Row) -> Row:
        if row.severity == 0:
            return row
        patient = int(row.case[5:8])
        return replace(row, value=0.0495 + (0.04 if patient % 2 else -0.04))

    curve = found(layer_rows(cohort(), scattered)).curves[0]
    assert curve.below_from is None


def test_few_patients_are_described_only() -> None:
    made = cohort(patients=4)
    it = found(layer_rows(made), made)
    estimate = it.curves[0].distances[0]
    assert (estimate.status, estimate.low, estimate.n) == ("too_few", None, 4)
    assert "4 patient(s) alone" in it.curves[0].below_how


def test_one_patient_has_nobody_to_differ_from() -> None:
    made = cohort(patients=1)

    def alone(row: Row) -> Row:
        if row.severity:
            return row
        return replace(row, status="not_applicable", reason="there is no other patient", value=None,
                       facts=None)  # fmt: skip

    it = found(layer_rows(made, alone), made)
    assert (it.curves[0].below_from, it.layers[0].between.value) == (None, None)
    assert it.layers[0].between.status == "not_assessable"
    assert "1 not applicable" in it.note
    assert "no other patient" in it.curves[0].below_how


def test_cases_are_averaged_within_patients_and_replicates_within_cases() -> None:
    made = cohort(patients=10, cases=2, replicates=2)
    it = found(layer_rows(made), made)
    estimate = it.curves[0].distances[0]
    # replicates add 0 and .01
    assert estimate.value == pytest.approx(mean(0, 1.0, 10) + 0.005)
    assert estimate.n == 10


def test_scans_without_distances_are_counted_in_words() -> None:
    def lost(row: Row) -> Row:
        crashed = row.case.startswith("scan_003") and row.severity == 1
        none = row.case.startswith("scan_004") and row.severity == 1
        if crashed or none:
            status = "crashed" if crashed else "no_effect"
            return replace(row, status=status, value=None, facts=None, reason="why")
        if row.case.startswith("scan_005") and row.severity == 1 and facts(1) == row.facts:
            return replace(row, status="not_finite", value=None)
        if row.case.startswith("scan_006") and row.severity == 1:
            return replace(row, facts=facts(0, name="another"))
        return row

    curve = found(layer_rows(cohort(patients=14), lost), cohort(patients=14)).curves[0]
    assert curve.missing == (
        "4 of 14 scans are not, or not wholly, compared: 1 crashed, 1 no effect, 1 other layers than on the "
        "first case, 1 some activations not finite"
    )
    assert [it.n for it in curve.distances] == [11, 10, 11, 11]


def test_a_system_that_answered_nothing_says_why() -> None:
    def lost(row: Row) -> Row:
        return replace(row, status="rejected", reason="its network could not be recorded", facts=None,
                       value=None)  # fmt: skip

    it = found(layer_rows(cohort(), lost))
    assert (it.layers, it.curves) == ((), ())
    assert it.note == "no distances: its network could not be recorded"
    assert found([]).note == "no distances: no scan was compared"


def test_the_order_of_rows_changes_no_byte() -> None:
    rows = layer_rows(cohort())
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    assert encode(found(rows)) == encode(found(shuffled))


def test_rows_of_layers_change_nothing_else_of_the_results() -> None:
    made = cohort()
    without = summarise(table_of(rows_of(made)), setup=replace(layer_setup(made), layers=None))
    with_ = summarise(table_of([*rows_of(made), *layer_rows(made)]), setup=layer_setup(made))
    assert with_.layers
    assert not without.layers
    assert encode(replace(with_, layers=())) == encode(without)


def test_a_system_of_which_nobody_asked_is_not_shown() -> None:
    made = cohort()
    setup = replace(layer_setup(made), layers=LayerSpec(("other",), 64))
    (it,) = layer_susceptibility(table_of(layer_rows(made)), setup)
    assert (it.system, it.layers) == ("other", ())
