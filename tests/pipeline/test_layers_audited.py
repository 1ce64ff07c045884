"""Layers compared in an audit, end to end: rows, results and report, the same however they were made."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from checkpoints import save_script
from tiny_audits import tiny_config, unet
from torch import Tensor, nn
from typing_extensions import override

import auditor
from auditor.cases import LoadedCase, load_case
from auditor.cli.preflight import lines_of_layers
from auditor.config import AuditConfig, load_config
from auditor.execution.job import Job, failed_rows
from auditor.execution.layers import LayerComparer
from auditor.execution.perturbed import perturb
from auditor.pipeline.identities import identities
from auditor.pipeline.layer_look import LayerLook, layer_passes, look_at_layers
from auditor.pipeline.preflight import require
from auditor.plan import Unit, make_plan
from auditor.schema import (
    CaseRecord,
    InputSpec,
    LayerSpec,
    LayerSusceptibility,
    PerturbationSpec,
    Row,
    Status,
)
from auditor.systems.preparation import prepare
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.running import Failure, RunningSystem, open_system
from reports.build import build

PATIENTS = 2
GRID = {"rician_noise": {"severities": [1, 4]}}


class Small(nn.Module):
    """Two convolutions and a skip."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Conv3d(1, 2, 3, padding=1), nn.Conv3d(4, 2, 1)
        self.down = nn.Conv3d(2, 2, 3, padding=1, stride=2)

    @override
    def forward(self, x: Tensor) -> Tensor:
        high = torch.relu(self.first(x))
        low = torch.nn.functional.interpolate(torch.relu(self.down(high)), scale_factor=2.0)
        answer: Tensor = self.last(torch.cat([high, low], dim=1))
        return answer.softmax(dim=1)


def written(folder: Path, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_script(Small(), folder / "small.pt")
    own = unet(checkpoint="small.pt")
    return tiny_config(
        folder,
        **{
            "patients": PATIENTS,
            "purpose": "exploratory",
            "systems": {
                "net": own,
                "without": {"like": "net", "ablate": {"skip": 0, "by": "zero"}},
            },
            "perturbations": GRID,
            "metrics": {"dsc": {}},
            "strata": {},
            "criteria": {},
            "keep": {"exhibits": 0},
            "layers": {"systems": ["net", "without"], "bins": 16},
            **changes,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def run(config: Path) -> auditor.Run:
    return auditor.audit(config, out=config.parent / "run", workers=1)


def loaded(config: AuditConfig, record: CaseRecord) -> LoadedCase:
    cases = config.cases
    return load_case(record, modality=cases.modality, state=cases.state, labels=config.labels,
                     reference_rule=cases.reference)  # fmt: skip


def of(run: auditor.Run, system: str) -> LayerSusceptibility:
    return next(it for it in run.results.layers if it.system == system)


def rows_of(run: auditor.Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(run.folder / "layers.parquet").to_pylist()
    return found


def test_every_layer_of_every_scan_is_a_row(run: auditor.Run) -> None:
    rows = rows_of(run)
    assert {row["status"] for row in rows} == {"ok"}
    # conv, relu, conv, relu, cat, conv, softmax
    counts = Counter((row["system"], row["perturbation"], row["severity"]) for row in rows)
    assert counts == {
        (system, *at): 7 * PATIENTS
        for system in ("net", "without")
        for at in (("clean", 0.0), ("rician_noise", 1.0), ("rician_noise", 4.0))
    }


def test_distances_are_those_of_the_scans_themselves(run: auditor.Run, config: Path) -> None:
    """By hooks and numpy: the first case with the bins of its own clean scan, against the next patient."""
    found = load_config(config)
    cases, _ = require(found)
    values = []
    module = Small().eval()
    for record in cases[:2]:
        case = loaded(found, record)
        (piece,) = prepare(case.scan.image, case.geometry, found.systems[0].input).pieces
        with torch.inference_mode():
            high = torch.relu(module.first(torch.from_numpy(piece[None])))
        values.append(high[0].reshape(2, -1).numpy())
    distances = []
    for p, q in zip(*values, strict=True):
        edges = np.linspace(p.min(), np.nextafter(p.max(), np.float32(np.inf)), 17)
        inside = [np.histogram(it, edges)[0] for it in (p, q)]
        beyond = [((it < edges[0]).sum(), (it >= edges[-1]).sum()) for it in (p, q)]
        shares = [np.array([*a, *b]) / len(p) for a, b in zip(inside, beyond, strict=True)]
        distances.append(np.sqrt(max(0.0, 1 - np.sqrt(shares[0] * shares[1]).sum())))
    (row,) = [
        row for row in rows_of(run)
        if (row["system"], row["case"], row["perturbation"]) == ("net", cases[0].case, "clean")
        and json.loads(row["facts"])["operator"] == "relu"
        and json.loads(row["facts"])["place"] == 1
    ]  # fmt: skip
    assert row["metric"] == "layer_between"
    assert row["value"] == pytest.approx(np.mean(distances), abs=1e-3)


def test_results_tell_what_moves(run: auditor.Run) -> None:
    assert [it.system for it in run.results.layers] == ["net", "without"]
    net = of(run, "net")
    assert [it.operator for it in net.layers] == [
        "conv3d", "relu", "conv3d", "relu", "cat", "conv3d", "softmax",
    ]  # fmt: skip
    one, four = net.curves
    assert (one.severity, four.severity, one.missing) == (1.0, 4.0, "")
    for less, more in zip(one.distances, four.distances, strict=True):
        assert less.value is not None
        assert more.value is not None
        assert 0 < less.value < more.value < 1
        assert (less.n, less.status) == (PATIENTS, "too_few")


def test_an_ablated_network_is_seen_as_it_runs(run: auditor.Run) -> None:
    """What comes before the skip is the same; the merge holds zeros that nothing moves."""
    net, without = of(run, "net").curves[-1], of(run, "without").curves[-1]
    assert of(run, "net").layers[0] == of(run, "without").layers[0]
    assert [it.value for it in net.distances[:4]] == [it.value for it in without.distances[:4]]
    assert net.distances[5].value != without.distances[5].value


def test_the_report_shows_them(run: auditor.Run) -> None:
    page = build(run.folder).read_text(encoding="utf-8")
    assert 'id="layers"' in page
    assert "Layers of the networks" in page
    assert "no evidence of robustness" in page


def test_a_resumed_run_gives_the_same_bytes(run: auditor.Run, config: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    shards = sorted((folder / "units").glob("*/*.parquet"))
    for path in shards[::4]:
        path.unlink()
    auditor.audit(config, out=folder, workers=1)
    assert (folder / "results.json").read_bytes() == (run.folder / "results.json").read_bytes()
    assert pq.read_table(folder / "layers.parquet").equals(
        pq.read_table(run.folder / "layers.parquet")
    )


def test_check_counts_the_further_passes(config: Path) -> None:
    found = load_config(config)
    cases, _ = require(found)
    plan = make_plan(found, cases, identities(found, {}))
    # of each case: clean twice and another patient's once; clean twice and two severities
    each = PATIENTS * (2 + 1 + 2 + 2)
    looks = look_at_layers(found, plan, seconds={"net": 0.5})
    assert looks == (LayerLook("net", each, each * 0.5), LayerLook("without", each, None))
    assert layer_passes(replace(found, layers=None), plan) == {}
    alone = make_plan(found, cases[:1], identities(found, {}))
    assert layer_passes(found, alone)["net"] == 2 + 2
    assert list(lines_of_layers(looks)) == [
        f"layers     net: at most {each} further passes, about 7 s on one worker",
        f"layers     without: at most {each} further passes",
    ]


def test_scans_that_cannot_be_made_are_rows_without_layers(tmp_path: Path) -> None:
    found = load_config(written(tmp_path, patients=1, layers={"systems": ["net"]}))
    unit = Unit(0, "", "", PerturbationSpec("thick_slices", (1.0, 2.0), (3.0, 9.0), "mm"), 0, 0, ())
    (record,), _ = require(found)
    case = loaded(found, record)
    scanned = [
        replace(it, status=status, reason="because")
        for it, status in zip(
            perturb(unit, case.scan), (Status.NO_EFFECT, Status.NOT_APPLICABLE), strict=True
        )
    ]
    template = Row("evaluation", "net", record.case, record.patient, "thick_slices", 1.0, 3.0, "mm", 0,
                   "ok", label="organ", reference="reference")  # fmt: skip
    rows = LayerComparer(found).rows(
        nobody, case, [(template, it, None) for it in scanned], lambda: None
    )
    assert [
        (it.record, it.status, it.reason, it.metric, it.value, it.facts, it.label) for it in rows
    ] == [
        ("layer", "no_effect", "because", "layer_distance", None, None, None),
        ("layer", "not_applicable", "because", "layer_distance", None, None, None),
    ]
    others = [(replace(template, system="without"), it, None) for it in scanned]
    assert LayerComparer(found).rows(nobody, case, others, lambda: None) == []


def test_what_a_system_crashed_on_is_not_asked_again(tmp_path: Path) -> None:
    found = load_config(written(tmp_path, patients=1))
    (record,), _ = require(found)
    case = loaded(found, record)
    unit = Unit(0, "", "", PerturbationSpec("clean", (), (), ""), 0, 0, ())
    (item,) = perturb(unit, case.scan)
    template = Row(
        "evaluation", "net", record.case, record.patient, "clean", 0.0, None, "", 0, "ok"
    )
    crashed = Failure(Status.CRASHED, "it is gone")
    (row,) = LayerComparer(found).rows(nobody, case, [(template, item, crashed)], lambda: None)
    assert (row.status, row.reason, row.metric) == ("crashed", "it is gone", "layer_between")
    # with one patient there is nobody to compare with
    (row,) = LayerComparer(found).rows(nobody, case, [(template, item, None)], lambda: None)
    assert (row.status, row.reason) == ("not_applicable", "there is no other patient")


def nobody() -> RunningSystem:
    pytest.fail("nobody may be asked")


def test_a_unit_that_ended_without_a_prediction_has_a_row_of_layers(config: Path) -> None:
    found = replace(load_config(config), layers=LayerSpec(("net",), 16))
    cases, _ = require(found)
    plan = make_plan(found, cases, identities(found, {}))
    job = Job(run=config.parent, config=found, cases=cases, plan=plan)
    for unit, metric in ((plan.units[0], "layer_between"), (plan.units[1], "layer_distance")):
        for system, number in (("net", unit.evaluations), ("without", 0)):
            rows = failed_rows(job, unit, system, Status.QUARANTINED, "it ended")
            own = [(it.status, it.metric, it.label) for it in rows if it.record == "layer"]
            assert own == [("quarantined", metric, None)] * number


class Greedy(nn.Module):
    """Ends its process when a voxel is above 1000."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        if bool(x.max() > 1000):
            x = x + torch.zeros([1 << 42]).sum()
        answer: Tensor = self.conv(x).softmax(dim=1)
        return answer


def test_a_scan_that_fails_leaves_the_others_their_layers(tmp_path: Path) -> None:
    save_script(Greedy(), tmp_path / "greedy.pt")
    config = written(tmp_path, systems={"net": unet(checkpoint="greedy.pt", input={
        "axes": "RAS", "channels": 1, "dims": 3, "layout": "channel_first"})},
        layers={"systems": ["net"]})  # fmt: skip
    found = load_config(config)
    case = loaded(found, require(found)[0][0])
    small = case.scan.image / case.scan.image.max()
    with open_system(found.systems[0]) as system:
        asked = [(it, case.geometry) for it in (small, 5000 * small, 0.5 * small)]
        assert isinstance(system, RunningSystem)
        one, two, three = system.layer_distances((small, case.geometry), asked, bins=8)
    assert isinstance(two, Failure)
    assert two.status in {Status.CRASHED, Status.REJECTED}
    assert not isinstance(one, Failure)
    assert not isinstance(three, Failure)
    assert one[0].distances == (0.0,)
    assert (three[0].distances[0] or 0) > 0


def test_an_answer_that_is_none_ends_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_script(Small(), tmp_path / "small.pt")
    scan = np.zeros((1, 4, 4, 4), np.float32)
    with ModelProcess(path, "torchscript", timeout_s=60, memory_gb=4) as process:
        ask = process._ask

        def lie(*args: Any, **options: Any) -> Any:
            header, arrays = ask(*args, **options)
            if "layers" in header:
                header["layers"][0]["distances"] = [2.0]
            return header, arrays

        monkeypatch.setattr(process, "_ask", lie)
        with pytest.raises(ModelFailure, match="what is no answer") as caught:
            process.layers([[scan], [scan]], None, InputSpec(), bins=8)
        assert caught.value.status is Status.CRASHED
        assert process.pid is None
