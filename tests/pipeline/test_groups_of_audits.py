"""Groups of an audit: what must fit beforehand, what the lock freezes, and what an amendment costs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from configurations import valid_data, write_named_files
from tiny_audits import bright, callable_fields

import auditor
from auditor.analysis.properties import Property
from auditor.config import AuditConfig, parse_config
from auditor.pipeline.folder import Lock, lock_run, read_lock
from auditor.pipeline.grouping import (
    columns_of,
    frozen_strata,
    grouping_problems,
    property_of,
    system_windows,
)
from auditor.schema import CaseRecord, Geometry

GEOMETRY = Geometry((10, 64, 64), (5.0, 0.8, 0.8))
STRATA: dict[str, Any] = {
    "object_volume": {"label": "spleen", "edges": [100]},
    "window_foreground_ratio": {"label": "spleen", "edges": "tertiles", "system": "vendor-a"},
    "site": {},
    "age": {"edges": [65]},
    "site_by_size": {"cross": ["site", "object_volume"]},
}


def case(name: str, **metadata: str) -> CaseRecord:
    return CaseRecord(
        case=name,
        patient=f"patient of {name}",
        images=(f"{name}.nii.gz",),
        reference=f"{name}_reference.nii.gz",
        metadata=tuple(metadata.items()),
        digests=(("image_1", name * 4),),
    )


CASES = (
    case("a", site="north", age="61"),
    case("b", site="south", age="70"),
    case("c", site="north", age="70"),
)


def read(folder: Path, strata: dict[str, Any] = STRATA, **changes: Any) -> AuditConfig:
    data = {**valid_data(), "strata": strata, **changes}
    return parse_config(data, folder=write_named_files(folder), name="audit.yaml")


def lock_of(*changed: str, late: bool = True) -> Lock:
    amendment = {
        "reason": "why", "changed": list(changed), "results_existed": late, "claims_changed": True,
    }  # fmt: skip
    return Lock("c", "m", {}, {}, (amendment,) if changed else ())


def frozen(config: AuditConfig, lock: Lock) -> dict[str, tuple[str, str]]:
    window = property_of(config.strata[1], config)
    measured = {
        ("object_volume", "spleen"): {
            "a": Property(30.0),
            "b": Property(300.0),
            "c": Property(40.0),
        },
        window: {name: Property(0.1 * k) for k, name in enumerate("abc", start=1)},
    }
    found = frozen_strata(config, CASES, [GEOMETRY] * 3, measured, lock)
    assert [it.axis for it in found] == [spec.axis for spec in config.strata]
    return {it.axis: (it.kind, it.note) for it in found}


def test_everything_that_fits_has_no_problem(tmp_path: Path) -> None:
    assert grouping_problems(read(tmp_path), CASES, [GEOMETRY]) == ()


def test_all_that_does_not_fit_the_cases_is_said_together(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        {
            "scaner": {},
            "objct_volume": {"edges": [5]},
            "age": {"edges": [65]},
            "site": {},
            "window_foreground_ratio": {"label": "spleen", "edges": "tertiles", "window": [8, 8]},
        },
        criteria={
            "C-01": {
                "label": "spleen", "metric": "dsc", "at": "clean", "mean_at_least": 0.9,
                "evidence": "assured", "stratum": {"site": "nroth"},
            }
        },
    )  # fmt: skip
    cases = (*CASES, case("d", site="south", age="old"))
    told = grouping_problems(config, cases, [GEOMETRY])
    assert len(told) == 5
    assert told[0].startswith("strata.scaner: must be measured (foreground_ratio, ")
    assert "there are site, age" in told[0]
    assert told[1].endswith("did you mean 'object_volume'?")
    assert told[2].startswith("strata.age has edges, so that every value must be a finite number")
    assert "number; case 'd' has 'old'" in told[2]
    assert told[3].startswith("strata.window_foreground_ratio.window: must have as many numbers")
    assert told[3].endswith("which are 3-D, was [8, 8]")
    assert told[4] == (
        "criteria.C-01.stratum.site: must be one of north, south, was 'nroth'; did you mean 'north'?"
    )


def claim(axis: str, group: str) -> dict[str, Any]:
    return {
        "C-01": {
            "label": "spleen", "metric": "dsc", "at": "clean", "mean_at_least": 0.9,
            "evidence": "assured", "stratum": {axis: group},
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("axis", "group", "fits"),
    [
        ("object_volume", "> 100 ml", True),
        ("object_volume", "missing", True),
        ("object_volume", ">100 ml", False),
        ("site_by_size", "north & <= 100 ml", True),
        ("site_by_size", "north & <= 10 ml", False),
        ("age", "<= 65", True),
        ("age", "<= 60", False),
        # tertiles are not known before the references are measured
        ("window_foreground_ratio", "anything", True),
    ],
)
def test_a_criterion_must_name_a_group_that_a_case_can_be_in(
    tmp_path: Path, axis: str, group: str, *, fits: bool
) -> None:
    told = grouping_problems(read(tmp_path, criteria=claim(axis, group)), CASES, [GEOMETRY])
    assert (told == ()) is fits
    assert all(f"criteria.C-01.stratum.{axis}: must be one of " in line for line in told)


def test_groups_of_an_unchanged_lock_are_inferential(tmp_path: Path) -> None:
    found = frozen(read(tmp_path), lock_of())
    assert {kind for kind, _ in found.values()} == {"inferential"}


@pytest.mark.parametrize(
    ("changed", "late"),
    [
        (["strata.object_volume.edges"], {"object_volume", "site_by_size"}),
        (["strata.object_volume"], {"object_volume", "site_by_size"}),
        (["strata.site_by_size.cross"], {"site_by_size"}),
        (["the column site of the cases"], {"site", "site_by_size"}),
        (["systems.vendor-a.window.size"], {"window_foreground_ratio"}),
        (["systems.vendor-b.window.size"], set()),
        (["the files of the cases"], {"window_foreground_ratio"}),
        (["cases.reference.use"], {"object_volume", "window_foreground_ratio", "site_by_size"}),
        (["criteria.C-01.mean_at_least"], set()),
    ],
)
def test_an_axis_that_was_changed_after_results_existed_is_descriptive_and_says_so(
    tmp_path: Path, changed: list[str], late: set[str]
) -> None:
    found = frozen(read(tmp_path), lock_of(*changed))
    assert {axis for axis, (kind, _) in found.items() if kind == "descriptive"} == late
    for axis, (_, note) in found.items():
        its_own = note.startswith("changed after results existed: descriptive")
        # a cross of a late axis is descriptive because of that axis
        assert its_own == (axis in late) or axis == "site_by_size"


def test_a_change_before_any_result_costs_nothing(tmp_path: Path) -> None:
    found = frozen(read(tmp_path), lock_of("strata.object_volume.edges", late=False))
    assert {kind for kind, _ in found.values()} == {"inferential"}


def test_the_lock_freezes_the_columns_that_cases_are_grouped_by(tmp_path: Path) -> None:
    config = read(tmp_path)
    run = tmp_path / "run"
    assert columns_of(config, CASES)["site"] == [["a", "north"], ["b", "south"], ["c", "north"]]
    lock_run(run, config, CASES, {"vendor-a": "s"})
    assert lock_run(run, config, CASES, {"vendor-a": "s"}).changed_late == frozenset()
    moved = (replace(CASES[0], metadata=(("site", "south"), ("age", "61"))), *CASES[1:])
    with pytest.raises(auditor.IntegrityError, match="the column site of the cases differ"):
        lock_run(run, config, moved, {"vendor-a": "s"})
    (run / "units" / "ab").mkdir(parents=True)
    (run / "units" / "ab" / "x.parquet").write_bytes(b"")
    lock = lock_run(run, config, moved, {"vendor-a": "s"}, amend="it was wrong")
    assert lock.changed_late == {"the column site of the cases"}
    assert not lock.pre_declared
    # a column that nobody groups by may be corrected at any time
    other = tuple(replace(it, metadata=(*it.metadata, ("sex", "f"))) for it in moved)
    assert lock_run(run, config, other, {"vendor-a": "s"}) == lock


def test_a_lock_of_before_columns_were_frozen_is_still_read(tmp_path: Path) -> None:
    config = read(tmp_path)
    run = tmp_path / "run"
    lock_run(run, config, CASES, {"vendor-a": "s"})
    path = run / "audit.lock.yaml"
    stored = yaml.safe_load(path.read_text())
    del stored["columns"]
    path.write_text(yaml.safe_dump(stored))
    lock = read_lock(run)
    assert lock is not None
    assert lock.columns == {}
    assert lock_run(run, config, CASES, {"vendor-a": "s"}) == lock


def test_every_system_that_is_fed_here_has_windows_with_a_name(tmp_path: Path) -> None:
    config = read(tmp_path)
    name = "window_foreground_ratio[96x96x96; axes RAS; spacing_mm 1.5x1.5x2]"
    assert system_windows(config) == {"vendor-a": name}
    assert property_of(config.strata[1], config) == (name, "spleen")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    folder = tmp_path_factory.mktemp("grouped")
    fields = callable_fields(
        folder,
        perturbations={"gaussian_noise": {"severities": [2]}},
        strata={
            "object_volume": {"label": "organ", "edges": [10]},
            "window_foreground_ratio": {"label": "organ", "edges": "tertiles", "window": [6, 24, 24]},
            "site": {},
            "site_by_size": {"cross": ["site", "object_volume"]},
        },
        keep={"exhibits": 0},
    )  # fmt: skip
    return auditor.audit(systems=[bright], out=folder / "run", **fields)


def test_properties_are_stored_once_a_case_and_not_once_a_system(finished: auditor.Run) -> None:
    rows = pq.read_table(finished.folder / "properties.parquet").to_pylist()
    names = {row["metric"] for row in rows}
    assert names == {
        "object_volume", "components", "texture_disparity", "texture_disparity_compat",
        "raters", "raters_empty", "rater_volume", "rater_volume_cv", "rater_volume_range",
        "rater_ged", "rater_kappa",
        *(f"window_foreground_ratio{end}[{window}]" for end in ("", "_low", "_high")
          for window in ("6x24x24", "whole image")),
    }  # fmt: skip
    assert len(rows) == 4 * len(names)
    assert {row["system"] for row in rows} == {"controls"}
    assert {row["perturbation"] for row in rows} == {"clean"}
    ratios = pq.read_table(finished.folder / "scans.parquet").to_pylist()
    clean = {row["case"]: row for row in ratios if row["perturbation"] == "clean"}
    for row in rows:
        if row["metric"] == "window_foreground_ratio[whole image]":
            # a callable sees the whole native scan
            assert row["value"] == pytest.approx(clean[row["case"]]["foreground_ratio"])


def test_results_hold_the_cross_with_every_cell_and_its_patients(finished: auditor.Run) -> None:
    infos = {it.axis: it for it in finished.results.strata}
    cross = infos["site_by_size"]
    assert cross.rule == "cross"
    assert [axis for axis, _ in cross.cross] == ["site", "object_volume"]
    assert sum(cross.patients) == 4
    site, size = infos["site"], infos["object_volume"]
    assert len(cross.names) == len(site.names) * len(size.names)
    assert size.unit == "ml"
    assert infos["window_foreground_ratio"].window == "6x24x24"
    cells = [it for it in finished.results.summaries if it.axis == "site_by_size"]
    assert {it.mean.status for it in cells} == {"too_few"}
    assert all(it.mean.low is None for it in cells)
    # groups of too few patients are no answer on the front page
    assert finished.results.headline.hardest == ()
    json.loads((finished.folder / "results.json").read_text())
