"""A screen from end to end: the ranking is right, any stop is fair, and the draft goes on from it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from screened_cohort import write_channels, write_patients, write_threshold

from auditor.cases import read_table
from auditor.cli import _run
from auditor.config import AuditConfig, load_config
from auditor.errors import NothingEvaluated
from auditor.execution.local import Progress
from auditor.execution.pace import Pace
from auditor.pipeline import Screening, Wanted, screen, screen_contract, screening
from auditor.pipeline.preflight import require
from auditor.schema import CaseRecord, Certainty, OutputSpec, SystemSpec, decode
from auditor.schema.screen import Screen
from auditor.systems.probe import ProbeReport
from perturbations.catalog import PRESETS
from reports.screen import build_screen, render_screen

EVERY = len(PRESETS["generic"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients with two scans each, and a threshold with its contract unsaid."""
    folder = tmp_path_factory.mktemp("site")
    write_patients(folder / "cases", patients=6, scans=2)
    write_threshold(folder / "vendor net.onnx")
    return folder


def wanted(site: Path) -> Wanted:
    return Wanted(
        checkpoint=site / "vendor net.onnx",
        data=site / "cases" / "cases.csv",
        modality="other",
        settings={"input.axes": "native", "batch": 2, "output.activation": "labels"},
        seed=3,
    )


@pytest.fixture(scope="module")
def whole(site: Path) -> Screening:
    done = screen(wanted(site), limit_s=600.0, patients=3, out=site / "whole", workers=2)
    build_screen(done.folder, done.screen)
    return done


def test_the_one_known_vulnerability_is_ranked_first(whole: Screening) -> None:
    found = whole.screen
    assert (found.ended, found.planned, found.done) == ("finished", 3 + 9 * EVERY, 3 + 9 * EVERY)
    first = found.vulnerabilities[0]
    assert (first.perturbation, first.rank, first.reached) == ("gaussian_noise", 1, 3)
    # noise of 3 % is too little to be seen, 9 and 25 % are seen on every scan, and nothing is left
    assert [drop.mean for drop in first.drops] == [0.0, 1.0, 1.0]
    assert [drop.n for drop in first.drops] == [3, 3, 3]
    assert first.area.value == pytest.approx(2 / 3)
    assert all((it.area.value or 0.0) < 0.3 for it in found.vulnerabilities[1:])
    # values of organ and ground stay on their sides of the threshold
    places = {it.perturbation: it for it in found.vulnerabilities}
    for name in ("intensity_shift", "intensity_scale", "contrast_loss"):
        assert [drop.mean for drop in places[name].drops] == [0.0, 0.0, 0.0]
    # two values only: gamma keeps both, which is no strength of the system
    for name in ("gamma_up", "gamma_down"):
        assert (places[name].rank, places[name].reached) == (None, 3)
        assert places[name].note == "no level has an effect on these scans"
    assert places["intensity_shift"].rank == places["contrast_loss"].rank
    assert all(value.dsc == 1.0 for case in found.drawn for value in case.clean)
    assert all(it.area.low is None for it in found.vulnerabilities)


def test_screen_json_names_nobody_and_no_place(whole: Screening, site: Path) -> None:
    text = (whole.folder / "screen.json").read_text(encoding="utf-8")
    assert decode(text, Screen) == whole.screen
    page = (whole.folder / "screen.html").read_text(encoding="utf-8")
    for content in (text, page):
        assert "person" not in content
        assert "scan-" not in content
        assert str(site) not in content
        assert "NaN" not in content
    assert page == render_screen(whole.screen)
    assert "EXPLORATORY" in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "style=" not in page
    assert "needs n &gt;= 10" in page
    assert page.index("Contract check") < page.index("What hurts most")


def test_undeclared_fields_are_found_and_said_aloud(whole: Screening) -> None:
    sources = {it.name: str(it.source) for it in whole.screen.system.contract.fields}
    assert sources["input.layout"] == "probed"
    assert sources["input.axes"] == "command line"
    assert sources["input.zscore"] == "default"
    told = "\n".join(whole.screen.said)
    assert "label_1 (1)" in told
    assert "input intensities: nobody says" in told
    assert "input.axes" not in told


def test_the_drawn_patients_are_listed_by_name_for_exclusion(whole: Screening, site: Path) -> None:
    with (whole.folder / "drawn_patients.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    cases = {case.case: case for case in read_table(site / "cases" / "cases.csv")}
    assert len({row["patient"] for row in rows}) == 3
    for row, shown in zip(rows, whole.screen.drawn, strict=True):
        assert cases[row["case"]].patient == row["patient"]
        assert (row["display_patient"], row["display_case"]) == (shown.patient, shown.case)


def test_the_draft_passes_check_without_the_drawn_patients(
    whole: Screening, capsys: pytest.CaptureFixture[str]
) -> None:
    path = whole.folder / "audit.yaml"
    config = load_config(path)
    cases, _ = require(config)
    drawn = {it.display_patient for it in require(replace_exclusion(path))[0]} - {
        it.display_patient for it in cases
    }
    assert drawn == {case.patient for case in whole.screen.drawn}
    assert len({case.patient for case in cases}) == whole.screen.remaining == 3
    assert [len(spec.severities) for spec in config.perturbations] == [5] * EVERY
    (spec,) = config.systems
    assert spec.output.labels == (("label_1", 1),)
    assert (spec.name, spec.batch, spec.output.activation) == ("vendor-net", 2, "labels")
    # 6 cases of 3 patients, clean and 13 x 5 severities
    assert whole.screen.cost.evaluations == 6 * (1 + 5 * EVERY)
    assert (whole.screen.cost.cases, whole.screen.cost.patients) == (6, 3)
    assert whole.screen.cost.seconds is not None
    assert _run(["check", str(path)]) == 0
    out, _ = capsys.readouterr()
    assert "3 more are excluded by cases.exclude" in out
    assert f"{whole.screen.cost.evaluations} evaluations" in out


def replace_exclusion(path: Path) -> AuditConfig:
    """Read the configuration as if the list were not there."""
    config = load_config(path)
    return replace(config, cases=replace(config.cases, exclude=None, excluded=()))


class Clock:
    """A clock that a test moves."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.mark.slow
def test_a_stop_by_time_is_fair_and_the_same_command_goes_on_to_the_same_numbers(
    site: Path, whole: Screening, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(screening, "Pace", lambda limit_s: Pace(limit_s, now=clock))

    def tick(_: Progress) -> None:
        clock.at += 100.0

    out = site / "parts"
    # begun at 0, 100 .. 1900 s: 3 clean scans and 17 units, one round of 13 and 4 of the next
    part = screen(wanted(site), limit_s=1950.0, patients=3, out=out, progress=tick)
    found = part.screen
    assert (found.ended, found.done) == ("time limit", 3 + 3 * 17)
    reached = sorted(it.reached for it in found.vulnerabilities)
    assert reached == [1] * 9 + [2] * 4
    assert sorted(case.perturbations for case in found.drawn) == [5, 6, 6]
    page = render_screen(found)
    assert "Ended by the time limit" in page
    assert "1</data> of <data" in page
    clock.at = 0.0
    again = screen(wanted(site), limit_s=1e6, patients=3, out=out, workers=2, progress=tick)
    assert again.screen.ended == "finished"
    assert again.screen.vulnerabilities == whole.screen.vulnerabilities
    assert again.screen.drawn == whole.screen.drawn
    assert len(json.loads((out / "timings.json").read_text(encoding="utf-8"))) == 3 + 3 * EVERY


@pytest.mark.slow
def test_an_interrupt_writes_the_page_of_what_is_stored(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditor.cli import progress

    class Interrupting(progress._Lines):
        def __call__(self, done: Progress) -> None:
            if done.done == 5:
                raise KeyboardInterrupt
            super().__call__(done)

    monkeypatch.setattr(progress, "_Lines", Interrupting)
    command = [
        "screen", str(site / "vendor net.onnx"), str(site / "cases" / "cases.csv"), "-t", "10m",
        "--modality", "other", "--patients", "2", "-j", "1", "-o", str(site / "stopped"), "--set",
        "output.activation=labels",
    ]  # fmt: skip
    assert _run(command) == 2
    out, err = capsys.readouterr()
    # two clean scans and three units of three severities
    assert "EXPLORATORY, 11 of 80 evaluations, ended: interrupted" in out
    assert "run the same command again to go on" in err
    assert "interrupt" in (site / "stopped" / "screen.html").read_text(encoding="utf-8")
    # an edited draft is never written over
    draft = site / "stopped" / "audit.yaml"
    draft.write_text(draft.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    assert _run(command) == 0
    out, err = capsys.readouterr()
    assert "ended: finished" in out
    assert "stays as it is" in err
    assert draft.read_text(encoding="utf-8").endswith("# mine\n")
    # other options are another screen
    assert _run([*command, "--seed", "9"]) == 7
    assert "A screen goes on with the very same options" in capsys.readouterr().err


def test_too_little_time_for_one_scan_is_said(site: Path) -> None:
    with pytest.raises(NothingEvaluated, match="no scan was evaluated, the time was too short"):
        screen(wanted(site), limit_s=0.01, patients=2, out=site / "none")


def screened_cli(site: Path, *more: str, data: str = "cases/cases.csv") -> int:
    return _run(
        ["screen", str(site / "vendor net.onnx"), str(site / data), "-o", str(site / "x"), *more]
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["-t", "30"], "as 90s, 30m or 1h30m; was '30'"),
        (["-t", "0m"], "must be a duration above 0"),
        (["-t", "soon"], "must be a duration above 0"),
        ([], "Missing option '--time'"),
        (["-t", "1m", "--label", "organ"], "must be NAME=NUMBER"),
        (["-t", "1m", "--label", "organ=0"], "must be NAME=NUMBER"),
        (["-t", "1m", "--set", "axes"], "must be FIELD=VALUE"),
        (["-t", "1m", "--set", "checkpoint=x"], "must be FIELD=VALUE"),
        (["-t", "1m", "--set", "input.axes=["], "the value must be YAML"),
        (["-t", "1m", "--modality", "mr", "--preset", "mrr"], "did you mean 'mri'?"),
        (["-t", "1m", "--modality", "ct", "--preset", "mri"], "is for mr, the cases are ct"),
        (["-t", "1m"], "add --modality mr"),
        (["-t", "1m", "--modality", "mr", "--set", "input.axis=RAS"], "did you mean 'axes'?"),
    ],
)
def test_bad_usage_is_told_with_the_words_to_add(
    site: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert screened_cli(site, *more) == 4
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
    assert not (site / "x").exists()


def test_everything_that_must_be_said_is_asked_for_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_patients(tmp_path / "cases", patients=2)
    model = write_channels(tmp_path / "four.onnx", channels=4)
    command = ["screen", str(model), str(table), "-t", "1m", "-o", str(tmp_path / "x")]
    assert _run([*command, "--preset", "mri"]) == 4
    err = capsys.readouterr().err
    assert "3 thing(s) must be said" in err
    assert "modality: is required" in err
    assert "--set output.activation=logits_softmax" in err
    assert "the output has 4 channels and the drawn references hold 1; add --label" in err
    # an unknown preset is told beside, although the modality is not known
    assert _run([*command, "--preset", "mrr"]) == 4
    assert "did you mean 'mri'?" in capsys.readouterr().err


def test_refused_models_and_unusable_data_are_status_4(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = site / "cases" / "cases.csv"
    page = tmp_path / "model.onnx"
    page.write_text("<!DOCTYPE html><html></html>", encoding="utf-8")
    options = ["-t", "1m", "--modality", "other", "-o", str(tmp_path / "x")]
    assert _run(["screen", str(page), str(table), *options]) == 4
    assert "it is a web page" in capsys.readouterr().err
    assert _run(["screen", str(tmp_path / "no.onnx"), str(table), *options]) == 4
    assert "does not exist" in capsys.readouterr().err
    model = str(site / "vendor net.onnx")
    assert _run(["screen", model, str(tmp_path / "nowhere"), *options]) == 4
    assert "DATA must be a CSV table" in capsys.readouterr().err
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.nii.gz").write_bytes(
        (site / "cases" / "scan-0-0.nii.gz").read_bytes()
    )
    assert _run(["screen", model, str(tmp_path), *options]) == 4
    assert "references" in capsys.readouterr().err
    lone = tmp_path / "lone.csv"
    lone.write_text("case,image\na,images/a.nii.gz\n", encoding="utf-8")
    assert _run(["screen", model, str(lone), *options]) == 4
    assert "a column reference" in capsys.readouterr().err


def test_a_system_that_fails_on_every_clean_scan_is_told_at_once(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(
        ["screen", str(site / "vendor net.onnx"), str(site / "cases" / "cases.csv"), "-t", "5m",
         "--modality", "other", "--patients", "2", "-o", str(tmp_path / "x"), "--label", "organ=1",
         "--set", "output.activation=softmax"]
    )  # fmt: skip
    assert code == 4
    err = capsys.readouterr().err
    assert "failed on every one of the 2 drawn clean scans" in err
    assert "rejected: " in err


@pytest.mark.slow
def test_one_patient_is_shown_as_one_and_nobody_is_left_for_the_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_patients(tmp_path / "cases", patients=1, more="modality=CT")
    model = write_threshold(tmp_path / "net.onnx")
    out = tmp_path / "one"
    options = ["-t", "10m", "-o", str(out), "--set", "output.activation=labels"]
    assert _run(["screen", str(model), str(table), *options]) == 0
    told, err = capsys.readouterr()
    assert "cases.modality: ct, by the column modality" in err
    assert "n = 1" in told
    assert "full audit 1 patients" in told
    page = (out / "screen.html").read_text(encoding="utf-8")
    assert "none is left for a confirmatory audit" in page
    draft = (out / "audit.yaml").read_text(encoding="utf-8")
    assert "  # exclude: drawn_patients.csv" in draft
    assert "exclude" not in yaml.safe_load(draft)["cases"]
    assert _run(["check", str(out / "audit.yaml")]) == 0


def records(patients: int, scans: int) -> tuple[CaseRecord, ...]:
    return tuple(
        CaseRecord(f"c{p}-{s}", f"p{p:02d}", images=("x",), reference="y")
        for p in range(patients)
        for s in range(scans)
    )


@pytest.mark.parametrize(
    ("activation", "classes", "numbers", "counted"),
    [
        ("softmax", 3, (1, 2), True),  # and the background
        ("logits_softmax", 2, (1, 2), False),
        ("sigmoid", 2, (1, 2), True),
        ("logits_sigmoid", 3, (1, 2), False),
        ("sigmoid", 2, (1, 3), False),  # which channel is label 3?
        ("labels", 1, (1, 3), True),
        ("labels", 1, (), False),
    ],
)
def test_labels_are_taken_from_the_references_where_one_reading_is_left(
    activation: Any,
    classes: int,
    numbers: tuple[int, ...],
    counted: bool,  # noqa: FBT001  # a case
) -> None:
    found = (("output.activation", Certainty.PROBED),)
    spec = SystemSpec("net", output=OutputSpec(activation=activation), sources=found)
    report = ProbeReport((), (), classes, ())
    named = {f"label_{number}": number for number in numbers}
    assert screen_contract._guessed(spec, report, numbers, None) == (named if counted else {})
    unknown = replace(spec, sources=())
    assert screen_contract._guessed(unknown, report, numbers, None) == {}


def test_a_draft_is_written_anew_unless_somebody_changed_it(tmp_path: Path) -> None:
    digest = ""
    draft, result = tmp_path / "audit.yaml", tmp_path / "screen.json"
    for text in ("first", "second"):
        digest, kept = screening._keep_draft(tmp_path, text)
        assert (draft.read_text(), kept) == (text, False)
        result.write_text(json.dumps({"draft_sha256": digest}))
    draft.write_text("second, and mine")
    assert screening._keep_draft(tmp_path, "third") == (digest, True)
    assert draft.read_text() == "second, and mine"


def test_the_draw_has_one_case_a_patient_and_grows_by_more_patients() -> None:
    cases = records(30, 3)
    draws = set()
    for seed in range(20):
        ten = screening.draw(cases, seed=seed, patients=10)
        assert len(ten) == 10
        assert len({case.patient for case in ten}) == 10
        assert list(ten) == [case for case in cases if case in ten]
        fewer = screening.draw(cases, seed=seed, patients=4)
        assert set(fewer) <= set(ten)
        assert screening.draw(tuple(reversed(cases)), seed=seed, patients=4)[::-1] == fewer
        assert len(screening.draw(cases, seed=seed, patients=99)) == 30
        draws.add(ten)
    assert len(draws) == 20
