"""How predictions fail: empty, too little, too much, misplaced, by volumes counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from rows_tables import LABEL, Cohort, evaluation, property_rows, setup_of, table_of

from auditor.analysis import AnalysisSetup
from auditor.analysis.failure_types import failure_types
from auditor.analysis.properties import properties
from auditor.analysis.table import measurements, of_kind
from auditor.schema import AblationSpec, FailureTypes, Record, Row

VOXELS = 8 * 16 * 12
"""Of every scan: 1536 voxels of 3 x 1 x 0.8 mm, 0.0024 ml each."""
VOXEL_ML = 0.0024
REFERENCE = 96
"""Voxels of every reference, 96 / 1536 = 1/16 of the scan."""

Case = tuple[float | None, int | None, str, str]
"""DSC, voxels of the prediction, status, type."""
CASES: Sequence[Case] = [
    (0.5, 40, "ok", "good"),  # exactly .5 is good
    (0.9, 96, "ok", "good"),
    (0.0, 0, "prediction_empty", "empty"),
    (0.2, 47, "ok", "under"),  # 2 x 47 = 94 < 96
    (0.2, 48, "ok", "misplaced"),  # 2 x 48 = 96: not less than half
    (0.1, 192, "ok", "misplaced"),  # exactly twice as much
    (0.1, 193, "ok", "over"),
    (None, None, "crashed", "unknown"),
    (None, None, "timed_out", "unknown"),
    (0.3, None, "ok", "unknown"),  # no volume was stored
    (None, None, "no_effect", ""),  # not a scan of this condition
    (None, None, "not_applicable", ""),
]


def drawn(given: Sequence[Case], *, replicate: int = 0) -> list[Row]:
    rows: list[Row] = []
    for record, (dsc, voxels, status, _) in zip(
        Cohort(patients=len(given)).cases, given, strict=True
    ):
        scan = Row(
            "scan", "controls", record.case, record.patient, "clean", 0.0, None, "", 0, "ok",
            label=LABEL, foreground_ratio=REFERENCE / VOXELS,
        )  # fmt: skip
        place = replace(
            scan, system="net", perturbation="rician_noise", severity=2.0, level=6.0,
            unit="% of S_ref", replicate=replicate, foreground_ratio=None,
        )  # fmt: skip
        made = evaluation(place, {"dsc": dsc}, status)
        volume = None if voxels is None else voxels * VOXEL_ML
        asked = replace(made[0], predicted_volume_ml=volume)
        # what was not asked for has no worst case either
        worst = None if status in ("no_effect", "not_applicable") else 0.0
        rows += [scan, asked, *(replace(it, worst=worst) for it in made[1:])]
    return rows


def counted(rows: list[Row], setup: AnalysisSetup) -> tuple[FailureTypes, ...]:
    table = table_of(rows)
    columns = measurements(of_kind(table, Record.MEASUREMENT), setup.names)
    return failure_types(columns, of_kind(table, Record.EVALUATION), properties(table), setup)


def setup_for(cases: int) -> AnalysisSetup:
    return setup_of(Cohort(patients=cases, systems=("net",)))


def test_every_type_by_hand() -> None:
    (found,) = counted(drawn(CASES), setup_for(len(CASES)))
    types = [it[3] for it in CASES]
    assert (found.system, found.label, found.perturbation, found.level) == (
        "net", LABEL, "rician_noise", 6.0,
    )  # fmt: skip
    for name in ("good", "empty", "under", "over", "misplaced", "unknown"):
        assert getattr(found, name) == types.count(name), name
    # 12 cases, of which two have no such scan
    assert found.n == 10 == sum(it != "" for it in types)
    assert found.failures == 8


def test_a_reference_without_a_voxel_is_not_counted_whatever_became_of_the_prediction() -> None:
    given = [(0.0, 12, "reference_empty", ""), (None, None, "crashed", "")]
    rows = [
        replace(row, foreground_ratio=0.0) if row.record == "scan" else row for row in drawn(given)
    ]
    (found,) = counted(rows, setup_for(2))
    assert found.n == 0


def test_an_unknown_volume_of_the_reference_leaves_the_empty_ones_known() -> None:
    given = [(0.0, 0, "prediction_empty", ""), (0.2, 300, "ok", ""), (0.7, 90, "ok", "")]
    rows = [
        replace(row, foreground_ratio=None) if row.record == "scan" else row for row in drawn(given)
    ]
    (found,) = counted(rows, setup_for(3))
    assert (found.n, found.good, found.empty, found.over, found.unknown) == (3, 1, 1, 0, 1)


def test_a_case_counts_by_its_first_draw() -> None:
    rows = drawn([(0.0, 0, "prediction_empty", "")]) + drawn([(0.9, 96, "ok", "")], replicate=1)
    (found,) = counted(rows, setup_for(1))
    assert (found.n, found.empty, found.good) == (1, 1, 0)


def test_controls_and_moved_scans_have_no_types() -> None:
    rows = drawn([(0.0, 0, "prediction_empty", "")])
    control = [replace(row, system="control:empty") for row in rows if row.record != "scan"]
    moved = [
        replace(row, perturbation="rotation", region=row.region and region)
        for row in rows
        for region in ("retained", "whole")
        if row.record != "scan"
    ]
    found = counted(rows + control + moved, setup_for(1))
    assert [(it.system, it.perturbation) for it in found] == [("net", "rician_noise")]


def test_nothing_is_told_where_no_prediction_has_a_volume() -> None:
    rows = [replace(row, predicted_volume_ml=None) for row in drawn(CASES)]
    assert counted(rows, setup_for(len(CASES))) == ()
    # a table of measurements that were made elsewhere has no evaluations
    assert counted([row for row in rows if row.record != "evaluation"], setup_for(12)) == ()


@pytest.mark.parametrize("share", [1 / 3, 3])
def test_a_good_prediction_has_a_third_to_three_times_the_volume(share: float) -> None:
    """DSC = 2 I / (V + R) <= 2 min(V, R) / (V + R), which is .5 at V = R / 3 and at V = 3 R."""
    assert 2 * min(share, 1) / (share + 1) == pytest.approx(0.5)


def test_pixels_have_no_millilitres() -> None:
    """Of a picture without a spacing volumes are pixels: 192 are exactly twice 96."""
    base = setup_for(1)
    pixels = {
        case: replace(it, unit="px", spacing=(1.0, 1.0, 1.0))
        for case, it in base.geometries.items()
    }
    rows = [
        replace(row, predicted_volume_ml=192.0) if row.record == "evaluation" else row
        for row in drawn([(0.1, 1, "ok", "")])
    ]
    (found,) = counted(rows, replace(base, geometries=pixels))
    assert (found.misplaced, found.over, found.n) == (1, 0, 1)


def test_properties_rows_do_not_disturb() -> None:
    rows = drawn(CASES)
    rows += property_rows(rows, "object_volume", {row.case: 1.0 for row in rows})
    assert counted(rows, setup_for(len(CASES))) == counted(drawn(CASES), setup_for(len(CASES)))


def test_runs_of_a_family_are_counted_together_and_ablated_systems_are_none_of_them() -> None:
    first, second = drawn(CASES), drawn(CASES)
    rows = first + [replace(row, system="other") for row in second if row.record != "scan"]
    rows += [replace(row, system="cut") for row in second if row.record != "scan"]
    base = setup_of(Cohort(patients=len(CASES), systems=("net", "other", "cut")))
    systems = tuple(
        replace(it, family="unet", training_seed=k, sha256=f"{k:064d}")
        for k, it in enumerate(base.systems)
    )
    ablated = replace(systems[2], ablation=AblationSpec(skips=(1,), by="zero"))
    found = counted(rows, replace(base, systems=(*systems[:2], ablated)))
    assert [(it.scope, it.system) for it in found] == [
        ("system", "cut"), ("system", "net"), ("system", "other"), ("family", "unet"),
    ]  # fmt: skip
    assert (found[3].n, found[3].empty, found[3].unknown) == (20, 2, 6)
    # a family of one run is that run
    alone = replace(base, systems=(systems[0], *base.systems[1:]))
    assert {it.scope for it in counted(rows, alone)} == {"system"}
