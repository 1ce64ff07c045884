"""Audits of one network with ablated copies of it: found before the run, run, resumed, repeated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from checkpoints import conv_graph
from tiny_audits import tiny_config, unet
from typing_extensions import override
from volumes import write_volume

import auditor
from auditor.config import load_config
from auditor.errors import ConfigError, IntegrityError
from auditor.pipeline import networks
from auditor.pipeline.examination import Looked
from auditor.pipeline.locking import lock, prepare
from auditor.pipeline.preflight import look, require
from auditor.systems.runners import ProcessRunner

SYSTEMS: dict[str, Any] = {
    "unet": unet(claimed={"dsc": 0.9}),
    "skips": {"like": "unet", "ablate": {"by": "mean"}, "expand": {"ablate.skip": [1]}},
    "same": {"like": "unet", "ablate": {"skip": 1, "by": "dose", "alpha": 1}},
    "other": {
        "like": "unet",
        "ablate": {"skip": [0, 1], "by": "image", "image": "cases/phantom-001_mr.nii.gz"},
    },
}
NAMES = ["unet", "skips-1", "same", "other"]
ABLATED = NAMES[1:]


def config(folder: Path, **changes: Any) -> Path:
    known: dict[str, Any] = {
        "purpose": "exploratory",
        "criteria": {},
        "systems": SYSTEMS,
        "strata": {},
        "metrics": {"dsc": {}},
        "perturbations": {"rician_noise": {"severities": [4]}},
        "keep": {"exhibits": 0},
    }
    return tiny_config(folder, patients=2, **(known | changes))


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return config(tmp_path_factory.mktemp("ablated"))


@pytest.fixture(scope="module")
def finished(declared: Path, tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    return auditor.audit(declared, out=tmp_path_factory.mktemp("runs") / "one")


def masks(run: Path) -> dict[tuple[str, str], dict[str, str]]:
    """(Case, perturbation) -> system -> digest of its mask."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in pq.read_table(run / "evaluations.parquet").to_pylist():
        found.setdefault((row["case"], row["perturbation"]), {})[row["system"]] = row["mask_digest"]
    return found


def test_ablated_systems_run_beside_the_network_as_it_is(finished: auditor.Run) -> None:
    results = finished.results
    assert [it.name for it in results.systems] == NAMES
    for record in results.systems:
        assert [(it.status, it.n) for it in record.statuses] == [("ok", 4)]
        assert record.sha256 == results.systems[0].sha256
        assert record.contract.fields == results.systems[0].contract.fields
    for where, of in masks(finished.folder).items():
        assert of["skips-1"] != of["unet"], where
        assert of["same"] == of["unet"], where  # alpha 1 leaves everything as it is
    clean = {case: of for (case, at), of in masks(finished.folder).items() if at == "clean"}
    # its own activations in place of its own; those of another patient elsewhere
    assert clean["phantom-001"]["other"] == clean["phantom-001"]["unet"]
    assert clean["phantom-002"]["other"] != clean["phantom-002"]["unet"]


def test_bounds_are_those_of_the_system_in_use_unless_an_ablated_one_is_named(
    finished: auditor.Run,
) -> None:
    assert finished.bound("dsc") == finished.bound("dsc", system="unet")
    # too few patients for a bound, and still those of its own rows
    means = {
        it.system: it.mean.value
        for it in finished.results.summaries
        if (it.metric, it.perturbation, it.axis) == ("dsc", "clean", "all")
    }
    assert means["same"] == means["unet"] != means["skips-1"]
    assert finished.bound("dsc", system="skips-1").n == 2


def test_the_record_of_an_ablated_system_says_what_it_is(finished: auditor.Run) -> None:
    records = {it.name: it for it in finished.results.systems}
    assert records["unet"].ablation is None
    assert records["unet"].claimed == (("dsc", 0.9),)
    for name in ABLATED:
        record = records[name]
        assert record.claimed == ()
        assert record.findings[0].startswith("ablated: level")
        assert record.contract.sensitivity is not None
        assert "an ablated network is no answer of its maker" in record.contract.sensitivity.note
    other = records["other"].ablation
    assert other is not None
    assert (other.images, len(other.images_sha256)) == ((), 1)


def test_the_network_is_in_the_results_with_its_skips(finished: auditor.Run) -> None:
    (network,) = finished.results.networks
    assert list(network.systems) == NAMES
    # the first phantom is 24 x 64 x 64; fed as RAS
    assert network.fed == (1, 1, 64, 64, 24)
    assert [it.level for it in network.skips] == [0, 1, 2]
    assert (network.complete, network.minimal) == (True, True)
    curves = {(it.skips, it.by, it.perturbation): it for it in finished.results.ablations}
    same = curves["level 1", "dose", "clean"].points[0]
    assert (same.system, same.strength, same.reliance.value) == ("same", 1.0, 0.0)


def test_no_path_and_no_name_of_the_other_scan_is_stored(
    finished: auditor.Run, declared: Path
) -> None:
    for name in ("results.json", "audit.lock.yaml", "examinations.json", "provenance.json"):
        text = (finished.folder / name).read_text(encoding="utf-8")
        assert str(declared.parent) not in text, name
        assert "phantom-001_mr" not in text, name


def test_an_audit_that_was_killed_goes_on_and_looks_into_nothing_again(
    finished: auditor.Run, declared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(finished.folder, tmp_path / "run")
    # what a kill leaves behind: some shards, and nothing that is written at the end
    shards = sorted((run / "units").glob("*/*.parquet"))
    lost = [path for place, path in enumerate(shards) if place % 3]
    for path in (*lost, run / "results.json", run / "measurements.csv"):
        path.unlink()
    kept = {path: path.stat().st_mtime_ns for path in shards if path not in lost}

    class Closed(ProcessRunner):
        @override
        def describe(self, shape: Sequence[int], layout: str, *, limit_s: float = 60) -> Any:
            raise AssertionError(shape)

    monkeypatch.setattr(networks, "ProcessRunner", Closed)
    auditor.audit(declared, out=run)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for name in ("results.json", "measurements.csv", "examinations.json"):
        assert (run / name).read_bytes() == (finished.folder / name).read_bytes(), name


def test_what_is_remembered_of_a_network_is_checked_before_it_is_believed(
    finished: auditor.Run, declared: Path, tmp_path: Path
) -> None:
    stored = json.loads((finished.folder / "examinations.json").read_text(encoding="utf-8"))
    (key,) = (it for it, answer in stored.items() if "skips" in answer)
    assert stored[key]["fed"] == [1, 1, 64, 64, 24]
    stored[key]["skips"]["found"][0]["level"] = "none"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "examinations.json").write_text(json.dumps(stored), encoding="utf-8")
    prepared = prepare(
        load_config(declared), tmp_path / "run", callables={}, told=lambda _, __, ___: None
    )
    assert prepared.looked.networks == finished.results.networks


def ablating(**entries: Any) -> dict[str, Any]:
    made = {name.replace("_", "-"): {"like": "unet", "ablate": it} for name, it in entries.items()}
    return {"unet": unet(), **made}


def test_what_is_not_there_is_told_at_once_with_what_is(tmp_path: Path) -> None:
    mean = {"by": "mean"}
    path = config(
        tmp_path,
        systems=ablating(
            deep={"skip": [1, 3, 7], **mean},
            named={"skip": "/network/nothing", **mean},
            right={"skip": "/network/down.1/down.1.5/Relu_output_0", **mean},
        ),
    )
    found = look(load_config(path))
    values = ", ".join(
        f"/network/down.{i}/down.{i}.{k}/Relu_output_0" for i, k in ((0, 2), (1, 5), (2, 5))
    )
    there = "has no skip connection; those that have one: 0, 1, 2"
    assert [it for it in found.problems if ".ablate:" in it] == [
        f"systems.deep.ablate: level 3 {there}",
        f"systems.deep.ablate: level 7 {there}",
        f"systems.named.ablate: no value '/network/nothing' skips; those that do: {values}",
    ]
    assert len(found.problems) == 3
    # what runs is looked at all the same
    assert [it.name for it in found.systems] == ["unet", "right"]
    with pytest.raises(ConfigError) as raised:
        lock(load_config(path), tmp_path / "locked")
    assert "systems.deep.ablate: level 7 has no skip connection" in str(raised.value)
    assert not (tmp_path / "locked").exists()
    with pytest.raises(ConfigError, match="cannot be ablated as they are declared"):
        auditor.audit(path, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_without_skips_cannot_be_ablated(tmp_path: Path) -> None:
    path = config(tmp_path, systems=ablating(a={"skip": 0, "by": "zero"}))
    conv_graph(tmp_path / "unet_skips.onnx", dims=3, classes=2)
    (problem,) = look(load_config(path)).problems
    assert problem.startswith("systems.a.ablate: the network has no skip connection")


def test_levels_of_a_dense_decoder_are_warned_about(finished: auditor.Run) -> None:
    (network,) = finished.results.networks
    assert networks.network_warnings([network]) == ()
    dense = replace(network, skips=(network.skips[0], replace(network.skips[1], nested=True)))
    (told,) = networks.network_warnings([dense])
    assert told.startswith("systems.unet: As in dense and lattice decoders")
    assert told.endswith("what single levels are worth does not add up.")
    assert networks.network_warnings([replace(network, skips=())]) == ()


def test_the_other_scan_of_another_size_is_rejected_before_the_run(tmp_path: Path) -> None:
    path = config(tmp_path, systems=ablating(a={"skip": 0, "by": "image", "image": "small.nii.gz"}))
    write_volume(tmp_path / "small.nii.gz", [[[1.0] * 40] * 32] * 8)
    found = look(load_config(path))
    (problem,) = found.problems
    (warning,) = (it for it in found.warnings if "ablate.image" in it)
    assert "has not the fed size of 2 of the 2 scans, which will be rejected" in warning
    assert "systems.a: one dry case failed: rejected: the other image must have the fed" in problem
    assert "ablate by image needs scans of one size, or input.size" in problem


def test_another_image_that_is_the_scan_of_a_case_is_warned_of(tmp_path: Path) -> None:
    def warned(image: str) -> tuple[str, ...]:
        systems = ablating(a={"skip": 0, "by": "image", "image": image})
        asked = load_config(config(tmp_path, systems=systems))
        cases, checked = require(asked)
        return networks.own_other_scans(Looked(asked, cases, checked.geometries, {}))

    config(tmp_path)  # writes the cases
    (warning,) = warned("cases/phantom-002_mr.nii.gz")
    assert warning.startswith("systems.a.ablate.image: is the scan of case phantom-002, which gets")
    # which file it is does not matter, its bytes do
    shutil.copy(tmp_path / "cases" / "phantom-002_mr.nii.gz", tmp_path / "copy.nii.gz")
    assert warned("copy.nii.gz") == (warning,)
    write_volume(tmp_path / "copy.nii.gz", [[[1.0] * 40] * 32] * 8)
    assert warned("copy.nii.gz") == ()


def test_a_changed_other_scan_is_another_audit(declared: Path, finished: auditor.Run) -> None:
    content = yaml.safe_load(declared.read_text(encoding="utf-8"))
    content["systems"]["other"]["ablate"]["image"] = "cases/phantom-002_mr.nii.gz"
    changed = declared.with_name("changed.yaml")
    changed.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(IntegrityError):
        auditor.audit(changed, out=finished.folder)
    before = json.loads((finished.folder / "results.json").read_text(encoding="utf-8"))
    assert before["audit"]["name"] == "tiny"
