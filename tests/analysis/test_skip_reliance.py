"""What skip connections are worth: pairing, arithmetic by hand, failures, and how often intervals hold."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ablated_networks import LAWS, NETWORK, cohort, record, rows, score, setup
from rows_tables import LABEL, fail, setup_of, table_of
from scipy import stats

from auditor.analysis import AnalysisSetup, summarise
from auditor.analysis.ablations import ablation_bases, ablation_curves
from auditor.analysis.intervals import DRAWS
from auditor.analysis.table import measurements, of_kind
from auditor.analysis.window_sweep import swept
from auditor.schema import (
    AblationCurve,
    AblationPoint,
    AblationSpec,
    Certainty,
    ContractField,
    Record,
    Results,
    Row,
    encode,
)

Place = tuple[str, str, float]
"""(skips, by, severity)."""


def curves_of(made: list[Row], known: AnalysisSetup) -> dict[Place, AblationCurve]:
    columns = measurements(of_kind(table_of(made), Record.MEASUREMENT), known.names)
    return {(it.skips, it.by, it.severity): it for it in ablation_curves(columns, known)}


@pytest.fixture(scope="module")
def results() -> Results:
    return summarise(table_of(rows()), setup=setup())


@pytest.fixture(scope="module")
def curves(results: Results) -> dict[Place, AblationCurve]:
    return {(it.skips, it.by, it.severity): it for it in results.ablations}


def per_patient(system: str, severity: float) -> np.ndarray:
    """Scores of a system, patient by patient, without the analysis."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows():
        here = (row.record, row.metric, row.system, row.severity)
        if here == ("measurement", "dsc", system, severity) and row.value is not None:
            found[row.patient].append(row.value)
    return np.array([np.mean(found[it]) for it in sorted(found)])


def test_curves_come_by_kind_skips_and_condition(results: Results) -> None:
    assert results.networks == (NETWORK,)
    assert [(it.by, it.skips, it.severity) for it in results.ablations] == [
        *(("mean", f"level {level}", s) for level in range(3) for s in (0.0, 1.0, 2.0, 4.0)),
        *(("dose", "level 1", s) for s in (0.0, 1.0, 2.0, 4.0)),
    ]
    first, last = results.ablations[0], results.ablations[-1]
    assert (first.base, first.level, first.label, first.metric) == ("net", 0, LABEL, "dsc")
    assert (first.perturbation, first.severity_level) == ("clean", None)
    assert (last.perturbation, last.severity_level, last.unit) == (
        "rician_noise",
        20.0,
        "% of S_ref",
    )
    assert [(it.strength, it.system) for it in last.points] == [
        (0.0, "dose-0.0"),
        (0.5, "dose-0.5"),
        (1.0, "dose-1.0"),
    ]


def test_reliance_is_the_paired_mean_of_what_is_lost_without_the_skip(
    curves: dict[Place, AblationCurve],
) -> None:
    for severity in (0.0, 4.0):
        (point,) = curves["level 1", "mean", severity].points
        worse = per_patient("net", severity) - per_patient("net-1", severity)
        assert point.reliance.value == pytest.approx(worse.mean())
        assert point.reliance.n == 24
        low, high = point.reliance.low, point.reliance.high
        assert low is not None
        assert high is not None
        assert low < 0.20 < high
        assert point.reliance.level == 0.95
        assert "max-T over the 3 sets of skips replaced by their mean" in point.reliance.method
    dose = curves["level 1", "dose", 0.0].points
    assert "max-T over the 3 points (skips and strengths)" in dose[0].reliance.method
    # .20 (1 - alpha): .20, .10; alpha 1 is the network as it is
    assert [it.reliance.value for it in dose[:2]] == pytest.approx([0.20, 0.10], abs=0.006)


def test_spared_is_how_much_smaller_the_loss_from_clean_is(
    curves: dict[Place, AblationCurve],
) -> None:
    (point,) = curves["level 0", "mean", 4.0].points
    # .05 * 4 - .01 * 4 = .16
    assert point.spared.value == pytest.approx(0.16, abs=0.006)
    kept = per_patient("net", 0.0) - per_patient("net", 4.0)
    ablated = per_patient("net-0", 0.0) - per_patient("net-0", 4.0)
    assert point.spared.value == pytest.approx((kept - ablated).mean())
    assert point.spared.low is not None
    assert point.spared.high is not None
    assert 0 < point.spared.low < (kept - ablated).mean() < point.spared.high
    # it pays for itself there: .02 + .01 * 4 < .05 * 4
    assert point.reliance.value == pytest.approx(-0.14, abs=0.006)
    (clean,) = curves["level 0", "mean", 0.0].points
    assert (clean.spared.value, clean.spared.status) == (None, "not_assessable")
    assert clean.reliance.value == pytest.approx(0.02, abs=0.006)


def test_a_skip_that_is_ignored_has_a_reliance_of_zero_and_says_nothing_of_others(
    curves: dict[Place, AblationCurve],
) -> None:
    for severity in (0.0, 1.0, 2.0, 4.0):
        (point,) = curves["level 2", "mean", severity].points
        assert (point.reliance.value, point.reliance.status) == (0.0, "degenerate")
        assert point.reliance.low is None


def test_intervals_hold_at_once_for_all_skips_and_strengths_of_one_kind(
    curves: dict[Place, AblationCurve],
) -> None:
    """Written once more: the largest |T| over draws, of all columns that differ at all."""
    known = setup()
    weights = known.weights(24)
    worse = np.stack([per_patient("net", 2.0) - per_patient(it, 2.0) for it in ("net-0", "net-1")])
    mean = worse.mean(axis=1)
    error = worse.std(axis=1, ddof=1) / np.sqrt(24)
    largest = []
    for row in weights:
        drawn = worse @ row / 24
        spread = np.sqrt((worse**2 @ row / 24 - drawn**2) / 23)
        largest.append(np.max(np.abs(drawn - mean) / spread))
    times = np.sort(largest)[int(np.ceil((DRAWS + 1) * 0.95)) - 1]
    for place, level in enumerate(("level 0", "level 1")):
        (point,) = curves[level, "mean", 2.0].points
        assert point.reliance.low == pytest.approx(mean[place] - times * error[place])
        assert point.reliance.high == pytest.approx(mean[place] + times * error[place])


def test_bits_do_not_depend_on_the_order_of_rows() -> None:
    made = rows()
    again = [int(it) for it in np.random.default_rng(0).permutation(len(made))]
    first = summarise(table_of(made), setup=setup())
    second = summarise(table_of(made, order=again), setup=setup())
    assert encode(first) == encode(second)


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": "c" * 64},
        {"sha256": ""},
        {"settings": (("batch", "1"), ("precision", "float16"))},
        {"settings": (("flips", "[0]"), ("precision", "float32"))},
        {"contract": "window"},
    ],
)
def test_what_differs_in_more_than_the_ablation_is_no_base(changes: dict[str, Any]) -> None:
    known = setup()
    (base, *rest) = known.systems
    if changes == {"contract": "window"}:
        fields = (
            base.contract.fields[0],
            ContractField("window.size", "[64, 64, 32]", Certainty.DECLARED),
        )
        changes = {"contract": replace(base.contract, fields=fields)}
    apart = replace(known, systems=(replace(base, **changes), *rest))
    assert set(ablation_bases(apart).values()) == {None}
    assert curves_of(rows(), apart) == {}


def test_of_two_bases_the_one_with_the_same_settings_is_taken_else_the_first() -> None:
    known = setup()
    net, *ablated = (it for it in known.systems if it.name != "other")
    batched = replace(net, name="net-batch-4", settings=(("batch", "4"), ("precision", "float32")))
    both = replace(known, systems=(batched, net, *ablated))
    assert set(ablation_bases(both).values()) == {"net"}
    twin = replace(batched, name="net-batch-8", settings=(("batch", "8"), ("precision", "float32")))
    neither = replace(known, systems=(batched, twin, *ablated))
    assert set(ablation_bases(neither).values()) == {"net-batch-4"}


def test_an_ablated_system_is_no_window_of_a_sweep() -> None:
    known = setup()
    windows = {it.name: "w[32x32x16]" for it in known.systems}
    windows["net-0"] = "w[64x64x32]"
    assert swept(replace(known, windows=windows)) == ()


def test_replicates_and_cases_of_a_patient_count_once() -> None:
    made = cohort(12, cases=2)
    found = curves_of(rows(made), setup(made))
    (point,) = found["level 1", "mean", 0.0].points
    assert point.reliance.n == 12


def test_few_patients_are_described() -> None:
    made = cohort(9)
    found = curves_of(rows(made), setup(made))
    (point,) = found["level 1", "mean", 1.0].points
    assert (point.reliance.status, point.reliance.n, point.reliance.low) == ("too_few", 9, None)
    assert point.reliance.value == pytest.approx(0.2, abs=0.02)


def test_a_failure_counts_at_the_worst_value_and_a_crash_on_clean_scans_spares_nothing() -> None:
    made = fail(rows(), system="net-1", case="scan_000_0", severity=0.0)
    found = curves_of(made, setup())
    (point,) = found["level 1", "mean", 0.0].points
    worse = per_patient("net", 0.0) - per_patient("net-1", 0.0)
    worse[0] = per_patient("net", 0.0)[0]  # 0 is the worst DSC
    assert point.reliance.value == pytest.approx(worse.mean())
    assert found["level 1", "mean", 0.0].left_out == 0
    # a failure on the clean scan counts as 1 there: the ablated network then loses more, not less
    (point,) = found["level 1", "mean", 4.0].points
    kept = per_patient("net", 0.0) - per_patient("net", 4.0)
    clean = per_patient("net-1", 0.0)
    clean[0] = 1.0
    assert point.spared.value == pytest.approx((kept - (clean - per_patient("net-1", 4.0))).mean())


def test_a_scan_on_which_the_ablation_could_not_be_made_is_left_out() -> None:
    made = fail(rows(), "rejected", system="net-1", case="scan_003_0")
    found = curves_of(made, setup())
    for level in ("level 0", "level 1"):  # compared at once, on the same patients
        curve = found[level, "mean", 2.0]
        assert (curve.points[0].reliance.n, curve.left_out) == (23, 1)
    keep = np.arange(24) != 3
    worse = (per_patient("net", 2.0) - per_patient("net-1", 2.0))[keep]
    assert found["level 1", "mean", 2.0].points[0].reliance.value == pytest.approx(worse.mean())
    assert found["level 1", "dose", 2.0].left_out == 0


def test_a_clean_scan_on_which_the_ablation_could_not_be_made_spares_nothing_and_costs_nothing() -> (
    None
):
    made = fail(rows(), "rejected", system="net-1", case="scan_003_0", severity=0.0)
    (point,) = curves_of(made, setup())["level 1", "mean", 4.0].points
    # the noisy scan was run with and without the skip, but it cannot be compared with the clean one
    assert (point.reliance.n, point.spared.n) == (24, 23)
    keep = np.arange(24) != 3
    kept = per_patient("net", 0.0) - per_patient("net", 4.0)
    ablated = per_patient("net-1", 0.0) - per_patient("net-1", 4.0)
    assert point.spared.value == pytest.approx((kept - ablated)[keep].mean())


def test_a_system_that_was_always_rejected_has_no_reliance_and_takes_nothing_from_others(
    curves: dict[Place, AblationCurve],
) -> None:
    found = curves_of(fail(rows(), "rejected", system="net-1"), setup())
    (gone,) = found["level 1", "mean", 2.0].points
    for it in (gone.reliance, gone.spared):
        assert (it.value, it.n, it.status) == (None, 0, "not_assessable")
        assert it.note == "the ablation could not be made on any scan: it broke"
    (kept,) = found["level 0", "mean", 2.0].points
    assert kept.reliance.n == 24
    assert kept.reliance.value == curves["level 0", "mean", 2.0].points[0].reliance.value


def test_without_clean_rows_there_is_a_reliance_and_nothing_is_called_spared() -> None:
    made = [it for it in rows() if not (it.system == "net" and it.perturbation == "clean")]
    found = curves_of(made, setup())
    assert ("level 1", "mean", 0.0) not in found
    (point,) = found["level 1", "mean", 2.0].points
    assert point.reliance.n == 24
    assert (point.spared.value, point.spared.note) == (
        None,
        "the network has no number on clean scans",
    )
    made = [it for it in rows() if not (it.system == "net-1" and it.perturbation == "clean")]
    (point,) = curves_of(made, setup())["level 1", "mean", 0.0].points
    assert (point.reliance.value, point.reliance.status) == (None, "not_assessable")


def test_conditions_without_effect_are_left_out_and_none_is_a_status() -> None:
    made = rows()
    for system in LAWS:
        made = fail(made, "no_effect", system=system, severity=1.0)
    (point,) = curves_of(made, setup())["level 1", "mean", 1.0].points
    assert (point.reliance.value, point.reliance.status) == (None, "not_assessable")
    assert point.reliance.note == "no case has a number with and without it"


def test_a_network_that_is_broken_without_the_skip_is_not_said_to_be_spared() -> None:
    """Ablated, it scores .10 on clean scans and under noise: there is less to lose than .05 * 4 = .20."""

    def law(row: Row) -> float:
        rng = np.random.default_rng([9, int(row.case.split("_")[1]), int(row.severity)])
        return 0.10 + 0.01 * rng.uniform() if row.system == "net-1" else score(row)

    found = curves_of(rows(law=law), setup())
    (point,) = found["level 1", "mean", 4.0].points
    assert point.spared.value == pytest.approx(0.20, abs=0.01)
    assert (point.spared.status, point.spared.low) == ("not_assessable", None)
    assert "cannot lose the 0.2" in point.spared.note
    # .05 * 1 = .05 could be lost, and was not
    (point,) = found["level 1", "mean", 1.0].points
    assert point.spared.status == "ok"


def test_less_is_better_of_a_distance() -> None:
    """Without DSC the first metric is read; its reliance is what the distance grows by."""
    known = setup()
    distances = tuple(it for it in known.metrics if it.name == "hd95")
    made = [it for it in rows() if it.metric != "dsc"]
    made = [
        replace(it, value=it.value + 5.0)
        if (it.metric, it.system) == ("hd95", "net-1") and it.value is not None
        else it
        for it in made
    ]
    plain = {
        it.case: it.value
        for it in made
        if (it.metric, it.system, it.severity) == ("hd95", "net", 0.0)
    }
    there = {
        it.case: it.value
        for it in made
        if (it.metric, it.system, it.severity) == ("hd95", "net-1", 0.0)
    }
    found = curves_of(made, replace(known, metrics=distances))
    curve = found["level 1", "mean", 0.0]
    expected = np.mean([(there[it] or 0.0) - (plain[it] or 0.0) for it in plain])
    assert curve.metric == "hd95"
    assert curve.points[0].reliance.value == pytest.approx(expected)
    assert expected > 5


def test_seeds_and_other_images_are_curves_of_their_own() -> None:
    specs = {
        "net-0": AblationSpec((1,), "noise", 0.5, seed=0),
        "net-1": AblationSpec((1,), "noise", 0.5, seed=1),
        "net-2": AblationSpec((1, 0), "noise", 0.5, seed=1),
    }
    known = setup(None, **{name: {"ablation": spec} for name, spec in specs.items()})
    columns = measurements(of_kind(table_of(rows()), Record.MEASUREMENT), known.names)
    found = [it for it in ablation_curves(columns, known) if it.by == "noise" and not it.severity]
    assert [(it.skips, it.level, it.variant) for it in found] == [
        ("level 1", 1, "seed 0"),
        ("level 1", 1, "seed 1"),
        ("levels 0 and 1", None, "seed 1"),
    ]


def test_an_audit_without_ablated_systems_has_no_curves() -> None:
    made = cohort(systems=("net", "other"))
    results = summarise(table_of(rows(made)), setup=setup_of(made))
    assert (results.ablations, results.networks) == ((), ())


def _points(curve: AblationCurve) -> AblationPoint:
    (point,) = curve.points
    return point


def test_intervals_hold_for_both_levels_at_once_as_often_as_they_promise() -> None:
    """150 audits of 20 patients with known truths; the limit comes from the binomial law."""
    made = cohort(20, systems=("net", "net-0", "net-1"))
    base = setup_of(made)
    known = replace(base, systems=tuple(record(it) for it in base.systems))
    stored = [
        it
        for it in rows(made)
        if it.record == "measurement" and it.metric == "dsc" and not it.severity
    ]
    columns = measurements(of_kind(table_of(stored), Record.MEASUREMENT), known.names)
    truths = {"net-0": 0.02, "net-1": 0.20}
    rng = np.random.default_rng(17)
    held = 0
    for _ in range(150):
        ease = rng.beta(20, 4, 20) - 0.25
        drawn = {
            name: np.clip(ease - truths.get(name, 0.0) + rng.normal(0, 0.05, 20), 0, 1)
            for name in ("net", "net-0", "net-1")
        }
        here = {
            key: replace(it, value=drawn[key.system], judged=drawn[key.system])
            for key, it in columns.items()
            if key.system in drawn
        }
        found = [_points(it).reliance for it in ablation_curves(here, known)]
        held += all(
            it.low is not None and it.high is not None and it.low <= truth <= it.high
            for it, truth in zip(found, truths.values(), strict=True)
        )
    assert held >= stats.binom.ppf(0.001, 150, 0.95)
