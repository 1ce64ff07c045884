"""Units of every line of the catalogue, and an audit with those that lose or bend the anatomy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scans import suited
from tiny_audits import tiny_config

import auditor
from auditor.execution.perturbed import perturb
from auditor.plan import Unit
from auditor.schema import PerturbationSpec, Status
from perturbations import CATALOG, levels_for

_MIXED = {
    "crop": {"severities": [3]},
    "missing_slices": {"severities": [4]},
    "elastic": {"severities": [3]},
    "low_field_mr": {"severities": [2]},
    "joint": {"options": {"rows": [{"rician_noise": 6.0, "gaussian_blur": 2.0}]}},
    "kamath_background_blur": {"severities": [2]},
    "rood_motion": {"severities": [2]},
    "thick_slices": {"severities": [3]},
    "intensity_scale": {"severities": [3]},
}


@pytest.mark.parametrize("name", list(CATALOG))
def test_a_unit_of_any_line_gives_a_scan_for_every_severity(name: str) -> None:
    scan = suited(name)
    levels, unit_of_level = levels_for(name, scan.modality)
    severities = tuple(float(k + 1) for k in range(len(levels)))
    spec = PerturbationSpec(name, severities, levels, unit_of_level)
    unit = Unit(index=0, case="a", other="", perturbation=spec, replicate=0, seed=5, shards=())
    done = perturb(unit, scan)
    assert [it.condition.level for it in done] == list(levels)
    assert all(it.status in (Status.OK, Status.NO_EFFECT) for it in done)
    assert all(it.reason for it in done if it.status is Status.NO_EFFECT)
    assert any(it.status is Status.OK for it in done)
    assert all(
        (it.warp is not None) == CATALOG[name].geometric for it in done if it.status is Status.OK
    )
    # where voxels move the region of the reference is no longer that of the scan
    for it in done:
        moved = it.warp is not None and it.warp.moves
        assert (it.scan.region is None) == (moved or scan.region is None)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    folder = tmp_path_factory.mktemp("mixed")
    return auditor.audit(
        tiny_config(folder, patients=2, perturbations=_MIXED), out=folder / "run", workers=1
    )


def test_every_evaluation_of_a_mixed_audit_is_a_row(mixed: auditor.Run) -> None:
    assert mixed.results.planned == 2 * (1 + len(_MIXED))
    assert [(count.status, count.n) for count in mixed.results.statuses] == [
        ("ok", 2 * (1 + len(_MIXED)))
    ]


@pytest.mark.parametrize("name", ["crop", "missing_slices", "elastic"])
def test_losses_of_the_field_of_view_are_scored_both_ways(mixed: auditor.Run, name: str) -> None:
    regions = {it.region for it in mixed.results.summaries if it.perturbation == name}
    assert regions == {"retained", "whole"}
    rows = pq.read_table(mixed.folder / "scans.parquet").to_pylist()
    ceilings = [it["warp_ceiling"] for it in rows if it["perturbation"] == name]
    assert len(ceilings) == 2
    if name == "elastic":
        assert all(0.9 < ceiling < 1 for ceiling in ceilings)


@pytest.mark.parametrize("name", ["low_field_mr", "joint", "kamath_background_blur"])
def test_what_moves_nothing_is_scored_once(mixed: auditor.Run, name: str) -> None:
    regions = {it.region for it in mixed.results.summaries if it.perturbation == name}
    assert regions == {"whole"}


def test_what_is_recorded_beside_the_level_reaches_the_results(mixed: auditor.Run) -> None:
    thick = next(it for it in mixed.results.conditions if it.perturbation == "thick_slices")
    rows = pq.read_table(mixed.folder / "scans.parquet").to_pylist()
    spacings = {case.spacing[0] for case in mixed.results.cases}
    # 3 times the native thickness, which is the distance of the slices
    assert {json.loads(it["facts"])["slice_thickness_mm"] for it in rows if it["facts"]} == {
        3 * spacing for spacing in spacings
    }
    ((name, low, median, high),) = thick.facts
    assert name == "slice_thickness_mm"
    assert low <= median <= high
    assert low == 3 * min(spacings)


def test_a_system_that_standardises_is_said_to_be_invariant(mixed: auditor.Run) -> None:
    found = {it.perturbation: it.invariant for it in mixed.results.conditions}
    (system,) = (it.name for it in mixed.results.systems)
    assert found["intensity_scale"] == (system,)
    assert not any(names for name, names in found.items() if name != "intensity_scale")
    # and it is: its mask is that of the clean scan
    rows = pq.read_table(mixed.folder / "evaluations.parquet").to_pylist()
    agreed = [
        it["clean_agreement"]
        for it in rows
        if (it["perturbation"], it["system"]) == ("intensity_scale", system)
    ]
    assert len(agreed) == 2
    assert min(agreed) > 0.999


def test_levels_that_were_planned_in_mm_are_refused_on_scans_without_a_spacing() -> None:
    scan = replace(suited("gaussian_blur"), unit="px")
    spec = PerturbationSpec("gaussian_blur", (1.0, 2.0), (1.5, 2.5), "mm FWHM")
    unit = Unit(index=0, case="a", other="", perturbation=spec, replicate=0, seed=5, shards=())
    done = perturb(unit, scan)
    assert [it.status for it in done] == [Status.NOT_APPLICABLE] * 2
    assert "planned in mm FWHM" in done[0].reason
    assert "px FWHM" in done[0].reason


def test_a_report_of_a_mixed_audit_names_every_line(mixed: auditor.Run, tmp_path: Path) -> None:
    from reports.build import build

    page = build(mixed.folder, out=tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in _MIXED)
