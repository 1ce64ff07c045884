"""Whole audits of commands and of predictions: the numbers of the same system run in any other way."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from commands import write_command
from file_audits import BRIGHT, COMMAND, LABELS, LIMIT, configured, predict, rows_of
from numpy.typing import NDArray
from tiny_audits import tiny_config, unet
from volumes import write_volume

import auditor
from auditor.cli import segaudit
from auditor.config import load_config, parse_config
from auditor.demo import write_cohort
from auditor.pipeline import look, write_scans
from auditor.pipeline.folder import lock_run
from auditor.pipeline.identities import identities
from auditor.pipeline.preflight import require
from reports.build import build


def above_limit(image: NDArray[np.float32]) -> NDArray[np.int64]:
    """The same as the command, as a Python function."""
    inside: NDArray[np.bool_] = image[0] > LIMIT
    return inside.astype(np.int64)


def measured(run: auditor.Run) -> str:
    return (run.folder / "measurements.csv").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    configured(folder, {"command": COMMAND, "output": LABELS})
    write_command(folder, BRIGHT)
    return folder


@pytest.fixture(scope="module")
def by_command(place: Path, tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    config = configured(place, {"command": COMMAND, "output": LABELS}, keep={"exhibits": 3})
    return auditor.audit(config, out=tmp_path_factory.mktemp("runs") / "command", workers=2)


@pytest.fixture(scope="module")
def scans(place: Path) -> Path:
    config = configured(place, {"predictions": "predictions", "output": LABELS})
    found = write_scans(load_config(config), place / "scans")
    # 2 patients x (clean + 2 severities x 2 draws + 1 rotation)
    assert (found.scans, found.files, found.without) == (12, 12, 0)
    return place / "scans"


def test_only_settings_that_reach_a_program_are_told(
    by_command: auditor.Run, tmp_path: Path
) -> None:
    """Its text has neither {device} nor {threads}; batch, flips and precision never reach a command."""
    (system,) = by_command.results.systems
    assert system.settings == ()
    page = build(by_command.folder, out=tmp_path / "report.html").read_text()
    assert "none: its text says everything" in page
    assert "precision float32" not in page


def test_a_command_measures_as_the_same_function_does(
    place: Path, by_command: auditor.Run, tmp_path: Path
) -> None:
    config = configured(
        tmp_path, {"output": {"activation": "labels", **LABELS}}, cases={
            "table": str(place / "cases" / "cases.csv"), "modality": "mr",
            "reference": {"use": "majority", "tie": "above_half"},
        },
    )  # fmt: skip
    called = auditor.audit(config, systems={"theirs": above_limit}, out=tmp_path / "run")
    assert measured(called) == measured(by_command)
    assert [count.status for count in by_command.results.statuses] == ["ok"]
    reproduced = [
        json.loads(path.read_text())["reproduced"]
        for path in (by_command.folder / "exhibits").glob("*.json")
    ]
    assert reproduced == [True] * 3


def test_predictions_of_the_written_scans_measure_as_the_command_does(
    place: Path, by_command: auditor.Run, scans: Path, tmp_path: Path
) -> None:
    predict(place / "predict.py", scans / "images", place / "predictions")
    config = configured(place, {"predictions": "predictions", "output": LABELS})
    found = look(load_config(config))
    assert not found.problems
    assert not [it for it in found.warnings if "predictions" in it]
    run = auditor.audit(config, out=tmp_path / "run", workers=2)
    assert measured(run) == measured(by_command)
    (record,) = run.results.systems
    assert (record.format, record.sandbox) == ("predictions", ())


def test_results_of_a_command_hold_no_path_and_say_that_there_was_no_sandbox(
    place: Path, by_command: auditor.Run
) -> None:
    for name in ("results.json", "audit.lock.yaml", "failures.csv"):
        text = (by_command.folder / name).read_text(encoding="utf-8")
        assert str(place) not in text
        assert sys.executable not in text
        assert "/tmp" not in text
    (record,) = by_command.results.systems
    assert record.format == "command"
    assert any("outside the sandbox" in it for it in record.findings)
    fields = {field.name: field.value for field in record.contract.fields}
    assert fields == {
        "command": f"{Path(sys.executable).name} predict.py '{{input}}' '{{output}}'",
        "files": "nnunet",
        "output.activation": "labels",
        "output.labels": "{organ: 1}",
    }


def test_missing_and_wrong_predictions_are_listed_at_once_and_end_as_rows(
    place: Path, scans: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(
        place, tmp_path / "place", ignore=shutil.ignore_patterns("scans", "predictions")
    )
    made = predict(place / "predict.py", scans / "images", folder / "mine")
    rows = rows_of(scans)
    lost, turned = rows[1], rows[7]
    (made / f"{lost['scan']}.nii.gz").unlink()
    config = configured(folder, {"predictions": "mine", "output": LABELS})
    other = next(row for row in rows if row["case"] != turned["case"])
    shutil.copy(made / f"{other['scan']}.nii.gz", made / f"{turned['scan']}.nii.gz")
    write_volume(made / f"{turned['scan']}.nii.gz", np.zeros((4, 5, 6), np.uint8))
    found = look(load_config(config))
    assert not found.problems
    missing, wrong = (it for it in found.warnings if it.startswith("systems.theirs.predictions"))
    assert "1 of 12 planned evaluations have no prediction" in missing
    assert lost["scan"] in missing
    assert lost["case"] in missing
    assert "1 of 12 predictions cannot be used" in wrong
    assert "shape" in wrong
    run = auditor.audit(config, out=tmp_path / "run")
    counts = {count.status: count.n for count in run.results.statuses}
    assert counts == {"ok": 10, "failed": 1, "rejected": 1}
    text = (run.folder / "failures.csv").read_text()
    assert f"no prediction {lost['scan']}.nii.gz in the folder of predictions" in text


def test_a_resumed_audit_of_a_command_tells_the_same_of_its_label_maps(tmp_path: Path) -> None:
    """Numbers that nobody declared stand in answers for the second case only."""
    configured(tmp_path, {"command": COMMAND, "output": LABELS})
    table = (tmp_path / "cases" / "cases.csv").read_text().splitlines()
    image, _ = auditor.cases.read_volume((str(tmp_path / "cases" / table[1].split(",")[2]),))
    first = float(image.max())
    write_command(
        tmp_path,
        f"""
for path, name in scans():
    image = sitk.ReadImage(str(path))
    number = 1 if abs(sitk.GetArrayFromImage(image).max() - {first}) < 1e-3 else 7
    sitk.WriteImage(above(image, {LIMIT}, number), str(target / f"{{name}}.nii.gz"))
""",
    )
    config = configured(tmp_path, {"command": COMMAND, "output": LABELS})
    run = auditor.audit(config, out=tmp_path / "run", limit=1)
    before = (run.folder / "results.json").read_bytes()
    assert run.results.systems[0].contract.sensitivity is not None
    auditor.audit(config, out=tmp_path / "run", limit=1)
    assert (run.folder / "results.json").read_bytes() == before


@pytest.mark.parametrize("kind", ["command", "predictions"])
def test_masks_of_0_and_255_are_said_by_check(
    place: Path, scans: Path, tmp_path: Path, kind: str
) -> None:
    folder = shutil.copytree(
        place, tmp_path / "place", ignore=shutil.ignore_patterns("scans", "predictions")
    )
    program = write_command(folder, BRIGHT.replace(f"{LIMIT})", f"{LIMIT}, 255)"))
    predict(program, scans / "images", folder / "mine")
    system = {"command": COMMAND} if kind == "command" else {"predictions": "mine"}
    found = look(load_config(configured(folder, {**system, "output": LABELS})))
    assert not found.problems
    said = found.systems[0].findings if kind == "command" else found.warnings
    (told,) = (it for it in said if "255" in it)
    assert kind == "command" or told.startswith("systems.theirs")
    assert "does not name; they count as background" in told


def test_predictions_of_another_seed_are_never_taken_for_these(
    place: Path, scans: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(
        place, tmp_path / "place", ignore=shutil.ignore_patterns("scans", "predictions")
    )
    made = predict(place / "predict.py", scans / "images", folder / "mine")
    config = configured(folder, {"predictions": "mine", "output": LABELS}, seed=12)
    found = look(load_config(config))
    (missing,) = (it for it in found.warnings if it.startswith("systems.theirs.predictions"))
    # the two clean scans are the same ones
    assert "10 of 12 planned evaluations have no prediction" in missing
    for row in rows_of(scans):
        if row["perturbation"] == "clean":
            (made / f"{row['scan']}.nii.gz").unlink()
    (problem,) = look(load_config(config)).problems
    assert "holds no prediction of this plan: none of 12 scans" in problem
    with pytest.raises(auditor.ConfigError, match="holds no prediction of this plan"):
        auditor.audit(config, out=tmp_path / "run")


def test_a_changed_program_is_another_system(place: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(place, tmp_path / "place", ignore=shutil.ignore_patterns("scans"))
    config = load_config(configured(folder, {"command": COMMAND, "output": LABELS}))
    cases, _ = require(config)
    lock_run(tmp_path / "run", config, cases, identities(config, {}))
    lock_run(tmp_path / "run", config, cases, identities(config, {}))
    (folder / "predict.py").write_text((folder / "predict.py").read_text() + "# another one\n")
    with pytest.raises(auditor.IntegrityError, match="what runs as theirs"):
        lock_run(tmp_path / "run", config, cases, identities(config, {}))


def test_a_command_that_is_not_there_is_said_by_check_before_any_work(tmp_path: Path) -> None:
    config = configured(
        tmp_path, {"command": ["no-such-net", "{input}", "{output}"], "output": LABELS}
    )
    done = CliRunner().invoke(segaudit, ["check", str(config)])
    assert isinstance(done.exception, auditor.ConfigError)
    assert "systems.theirs.command: " in str(done.exception)
    assert "on the PATH" in str(done.exception)


PAGE = (Path(__file__).parents[2] / "docs" / "systems.md").read_text(encoding="utf-8")
PASTED = re.findall(r"```(python|yaml)\n(.*?)```", PAGE.partition("## Commands")[2], re.DOTALL)


def test_the_documented_command_works_as_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (_, program), (_, config) = PASTED[:2]
    write_cohort(tmp_path / "demo" / "input" / "cases", patients=2, seed=1)
    (tmp_path / "predict.py").write_text(program)
    (tmp_path / "audit.yaml").write_text(config)
    found = look(load_config(tmp_path / "audit.yaml"))
    assert not found.problems
    assert [it.problem for it in found.dry] == [""]


def test_the_documented_systems_are_read(tmp_path: Path) -> None:
    written = [yaml.safe_load(block) for kind, block in PASTED[2:] if kind == "yaml"]
    assert [list(it["systems"]) for it in written] == [["nnunet", "vendor"], ["theirs"]]
    for content in written:
        data = yaml.safe_load(tiny_config(tmp_path, patients=2).read_text())
        data |= {"purpose": "exploratory", "criteria": {}, "strata": {}, **content}
        for name, system in content["systems"].items():
            config = parse_config({**data, "systems": {name: system}}, folder=tmp_path)
            assert config.systems[0].version


NETWORK = """
import torch
from auditor.cases import read_volume, write_mask
from auditor.schema import InputSpec, OutputSpec, SystemSpec
from auditor.systems.running import open_system

torch.set_num_threads(1)
spec = SystemSpec(
    "same", checkpoint="unet_skips.onnx", batch=2,
    input=InputSpec(axes="RAS", zscore="image", divisor=(8, 8, 4)),
    output=OutputSpec(labels=(("organ", 1),)),
)
given = [(name, *read_volume([str(path)])) for path, name in scans()]
with open_system(spec) as system:
    answers = system.predict([image for _, image, _ in given], given[0][2])
for (name, _, geometry), answer in zip(given, answers):
    write_mask(target / f"{name}.nii.gz", answer.labels, geometry)
"""


@pytest.mark.slow
def test_a_network_behind_a_command_measures_as_the_same_checkpoint(tmp_path: Path) -> None:
    noise = {"rician_noise": {"severities": [1, 4]}}
    write_command(tmp_path, NETWORK)
    own = auditor.audit(configured(tmp_path, unet(), perturbations=noise), out=tmp_path / "own")
    config = configured(tmp_path, {"command": COMMAND, "output": LABELS}, perturbations=noise)
    theirs = auditor.audit(config, out=tmp_path / "theirs")
    assert [count.status for count in theirs.results.statuses] == ["ok"]
    # scores against all raters at once see probabilities, which a command does not give
    alike = [
        [line for line in measured(run).splitlines() if '"raters"' not in line]
        for run in (theirs, own)
    ]
    assert alike[0] == alike[1]
