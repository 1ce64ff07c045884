"""Two finished runs: cases matched by content, systems by name, everything else named and left out."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from tiny_audits import bright, callable_fields

import auditor
from auditor.cli.comparing import compare as command
from auditor.demo import write_cohort
from auditor.errors import ConfigError, DataError
from auditor.pipeline import compare_runs, comparing_runs
from auditor.pipeline.run_tables import read_tables
from auditor.schema import decode
from auditor.schema.release import ReleaseComparison, ReleaseVerdict
from reports.release import render_release


def dimmer(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Call only the brightest voxels foreground: too small masks."""
    inside = (image[0] > np.quantile(image[0], 0.995)).astype(np.float32)
    return np.stack([1 - inside, inside])


Runner = Callable[..., Path]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    write_cohort(folder / "cases", patients=4, seed=5)
    return folder


def audited(home: Path, name: str, call: Any, **changes: Any) -> Path:
    fields = {
        **callable_fields(home),
        "strata": {"site": {}},
        "keep": {"exhibits": 0},
        **changes,
    }
    auditor.audit(systems={"model": call}, out=home / name, **fields)
    return home / name


@pytest.fixture(scope="module")
def before(home: Path) -> Path:
    return audited(home, "before", bright)


@pytest.fixture(scope="module")
def after(home: Path) -> Path:
    """Cases in another order and under other names, one of them left out; one more severity."""
    with (home / "cases" / "cases.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["case"], row["patient"] = f"scan-{number:02d}", f"person-{number:02d}"
    table = home / "cases" / "renamed.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows[:0:-1])
    cases = {**callable_fields(home)["cases"], "table": str(table)}
    noise = {"gaussian_noise": {"severities": [2, 3]}}
    return audited(home, "after", dimmer, cases=cases, perturbations=noise)


def test_cases_are_matched_by_their_files_whatever_they_are_called(
    before: Path, after: Path
) -> None:
    found = compare_runs(before, after, margin=0.05)
    assert found.patients == 3
    assert (found.before.cases, found.before.alone) == (4, 1)
    assert (found.after.cases, found.after.alone) == (3, 0)
    (pair,) = found.pairs
    # three patients are described, and decide nothing
    assert pair.verdict is ReleaseVerdict.UNDECIDED
    assert {(it.perturbation, it.severity) for it in pair.changes} == {
        ("clean", 0.0), ("gaussian_noise", 2.0),
    }  # fmt: skip
    told = " ".join(found.not_compared)
    assert "1 case(s) that only the run before has" in told
    assert "conditions of the run before alone: gaussian_noise 5" in told
    assert "conditions of the run after alone: gaussian_noise 3" in told


def test_losses_are_those_of_the_stored_rows(before: Path, after: Path) -> None:
    """Means over the matched patients, worked out from the tables that the runs left behind."""

    def clean(run: Path) -> dict[str, float]:
        with (run / "measurements.csv").open(encoding="utf-8", newline="") as file:
            return {
                row["case"]: float(row["value"])
                for row in csv.DictReader(file)
                if (row["system"], row["perturbation"], row["metric"], row["reference"])
                == ("model", "clean", "dsc", "reference")
            }

    old, new = clean(before), clean(after)
    # scan-k is the k-th case of the run before; scan-00 was left out
    losses = [old[name] - new[f"scan-{k:02d}"] for k, name in enumerate(sorted(old)) if k]
    change = compare_runs(before, after).pairs[0].changes[0]
    assert change.loss.value == pytest.approx(np.mean(losses))
    assert change.loss.n == 3


def test_a_run_against_itself_says_that_nothing_changed(before: Path) -> None:
    found = compare_runs(before, before)
    (pair,) = found.pairs
    assert pair.same_predictions == pair.compared_predictions == 12
    (told,) = found.sentences
    assert told.startswith("model: identical predictions in all 12 evaluations")
    assert all(it.loss.value == 0 for it in pair.changes)
    assert pair.flips == ()


def edited(run: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    copy = shutil.copytree(run, folder / run.name)
    path = copy / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return copy


def test_runs_that_cannot_be_compared_are_refused_with_every_reason(
    before: Path, after: Path, tmp_path: Path
) -> None:
    def foreign(content: dict[str, Any]) -> None:
        content["audit"]["modality"] = "ct"
        content["audit"]["preview"] = True
        content["labels"] = ["spleen"]
        content["metrics"][0]["definition"] = "another"

    other = edited(after, tmp_path, foreign)
    with pytest.raises(ConfigError) as caught:
        compare_runs(before, other)
    told = str(caught.value)
    for part in ("modality", "preview", "label in common", "defined alike"):
        assert part in told
    assert str(tmp_path) not in told


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"metric": "hd95"}, "must have the metric hd95; both have dsc"),
        ({"margin": 0.0}, "margin must lie between 0 and 1"),
        ({"systems": {"vendor": "model"}}, "the run before has model, not 'vendor'"),
    ],
)
def test_what_cannot_be_asked_is_said(
    before: Path, after: Path, asked: dict[str, Any], part: str
) -> None:
    with pytest.raises(ConfigError, match=part):
        compare_runs(before, after, **asked)


@pytest.mark.parametrize("which", ["before", "after"])
def test_a_case_that_stands_twice_is_refused_in_either_run(
    before: Path, tmp_path: Path, which: str
) -> None:
    # its twin would be compared with one case of the other run twice, and one of them be lost
    tables = read_tables(before)
    twin = replace(tables.cases[1], images=tables.cases[0].images)
    doubled = replace(tables, folder=tmp_path / which, cases=(tables.cases[0], twin))
    runs = (doubled, tables) if which == "before" else (tables, doubled)
    with pytest.raises(DataError, match=f"C001 and C002 of {which} are the same"):
        comparing_runs._match(*runs)


def test_a_run_without_its_tables_is_refused(before: Path, after: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(after, tmp_path / "after")
    (broken / "identities.csv").write_text("display_case,case\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"identities\.csv of after must name every case"):
        compare_runs(before, broken)
    (broken / "identities.csv").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        compare_runs(before, broken)


def test_the_command_writes_page_and_record_and_gates(
    before: Path, after: Path, tmp_path: Path
) -> None:
    out = tmp_path / "compare"
    asked = [str(before), str(after), "-o", str(out)]
    shown = CliRunner().invoke(command, [*asked, "--gate"], standalone_mode=False)
    assert shown.return_value == 6
    assert (
        "model: UNDECIDED. It is not shown to be non-inferior within 0.02 at all 2 conditions"
        in shown.output
    )
    found = decode((out / "compare.json").read_text(encoding="utf-8"), ReleaseComparison)
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert page == render_release(found)
    assert "UNDECIDED" in page
    assert "person-" not in page
    assert "scan-0" not in page
    assert str(tmp_path) not in page
    inside = CliRunner().invoke(command, [*asked[:2], "-o", str(after / "compare")])
    assert isinstance(inside.exception, ConfigError)
