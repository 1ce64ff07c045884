"""A study of trained and tested levels from scans to the report, with networks that are thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import SimpleITK
import torch
import yaml
from blended_audits import BACKGROUND, FOREGROUND, thresholds, write_study

import auditor
from auditor.config import parse_config
from auditor.errors import ConfigError
from auditor.execution.store import read_compacted
from auditor.pipeline.identities import identities
from auditor.schema import FailureTypes, Record
from auditor.strata.texture import texture_disparity_compat
from reports.build import build

DOCS = Path(__file__).resolve().parents[2] / "docs"
sitk: Any = SimpleITK  # untyped


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    folder = tmp_path_factory.mktemp("study")
    return auditor.audit(write_study(folder), systems=thresholds(), out=folder / "run")


def test_cells_are_what_thresholds_do(study: auditor.Run) -> None:
    low, high = (it for it in study.results.train_test if it.label == "organ")
    assert (low.family, low.group, low.perturbation) == ("low", "no_skip", FOREGROUND)
    assert high.family == "high"
    means = {
        (family.family, it.trained, it.tested): it.mean.value
        for family in (low, high)
        for it in family.cells
    }
    # 200 and 100 with a noise of 4: thresholds of 120 and 168 make no mistake
    assert means["low", 0.1, 0.0] == means["high", 0.1, 0.1] == 1.0
    # blended by .9 the object is 110: below both
    assert means["low", 0.1, 0.9] < 0.1  # type: ignore[operator]
    assert means["high", 0.1, 0.9] == 0.0
    # a threshold of 104 keeps most of an object of 110, and takes a sixth of what surrounds it (+1 SD)
    assert 0.3 < means["low", 0.9, 0.9] < 0.8  # type: ignore[operator]
    hard = next(it for it in low.cells if (it.trained, it.tested) == (0.1, 0.9))
    assert len(hard.systems) == 3
    assert hard.mean.n == 10
    assert "training runs" in hard.mean.method


def test_objects_that_vanish_are_empty_and_surroundings_that_look_alike_are_too_much(
    study: auditor.Run,
) -> None:
    found: dict[tuple[str, str, float | None], FailureTypes] = {
        (it.system, it.perturbation, it.level): it
        for it in study.results.failure_types
        if it.scope == "family"
    }
    family = f"high ({FOREGROUND} 0.1)"
    vanished = found[family, FOREGROUND, 0.9]
    assert (vanished.n, vanished.failures, vanished.empty) == (30, 30, 30)
    alike = found[family, BACKGROUND, 0.9]
    assert (alike.failures, alike.over) == (30, 30)
    assert found[family, "clean", None].failures == 0
    assert not any(it.system.startswith("control") for it in study.results.failure_types)


def test_a_question_that_was_asked_beforehand_has_a_closer_interval_from_the_stored_rows(
    study: auditor.Run,
) -> None:
    stored = study.results.family_differences
    asked = auditor.family_differences(study.folder, [("high", "low")])
    assert len(asked) == len(stored) == 6
    pairs = {(it.trained, it.tested): it for it in stored}
    for it in asked:
        other = pairs[it.trained, it.tested]
        assert it.difference.value == pytest.approx(-other.difference.value)  # type: ignore[operator]
        assert it.difference.n == other.difference.n
    with pytest.raises(ConfigError, match="must be of low, high, was 'unet'"):
        auditor.family_differences(study.folder, [("unet", "low")])


def test_the_published_texture_disparity_parts_the_cases_of_an_audit(study: auditor.Run) -> None:
    results = study.results
    (axis,) = (it for it in results.strata if it.axis == "texture_disparity_compat")
    assert (axis.label, len(axis.names), sum(axis.patients)) == ("organ", 3, 10)
    stored = read_compacted(study.folder, Record.PROPERTY).to_pylist()
    values = {it["case"]: it["value"] for it in stored if it["metric"] == axis.axis}
    folder = study.folder.parent
    image = torch.from_numpy(sitk.GetArrayFromImage(sitk.ReadImage(folder / "scan03.nii.gz")))
    mask = torch.from_numpy(sitk.GetArrayFromImage(sitk.ReadImage(folder / "mask03.nii.gz")) > 0)
    assert values["case-03"] == texture_disparity_compat(image, mask).value
    # tertiles of the references: the groups are those of the stored values
    low, high = axis.edges
    counts = [
        sum(a < it <= b for it in values.values()) for a, b in ((-9, low), (low, high), (high, 9))
    ]
    assert tuple(counts) == axis.patients
    summed = {it.stratum: it.mean.n for it in results.summaries if it.axis == axis.axis}
    assert set(summed) == set(axis.names)


def test_the_published_texture_disparity_parts_the_cases_of_a_table(tmp_path: Path) -> None:
    table: dict[str, list[Any]] = {
        "system": ["unet"] * 4,
        "patient": ["a", "b", "c", "d"],
        "dice": [0.9, 0.8, 0.5, 0.4],
        "texture_disparity_compat": [0.4, 0.3, 0.02, -0.01],
    }
    axis = "texture_disparity_compat"
    run = auditor.analyse(table, out=tmp_path / "run", strata=(axis,), edges={axis: (0.1,)})
    (info,) = run.results.strata
    assert (info.axis, info.edges, info.patients) == (axis, (0.1,), (2, 2))
    means = {it.stratum: it.mean.value for it in run.results.summaries if it.axis == axis}
    # below .1 bit: (.5 + .4) / 2
    assert [means[name] for name in info.names] == pytest.approx([0.45, 0.85])


def test_two_systems_that_are_one_and_the_same_are_refused_before_one_loses_its_rows(
    tmp_path: Path,
) -> None:
    config = parse_config(write_study(tmp_path), folder=tmp_path, callables=tuple(thresholds()))
    nets = thresholds()
    assert len(set(identities(config, nets).values())) == len(nets)
    nets["low-0.1-2"] = nets["low-0.1-1"]
    with pytest.raises(ConfigError) as raised:
        identities(config, nets)
    (told,) = str(raised.value).splitlines()[1:]
    assert "systems.low-0.1-2: must differ from low-0.1-1" in told
    assert "__qualname__" in told


def test_the_study_of_the_documentation_can_be_pasted(tmp_path: Path) -> None:
    text = (DOCS / "textures.md").read_text(encoding="utf-8")
    content = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    for system in content["systems"].values():
        (tmp_path / system["checkpoint"]).write_bytes(b"")
    (tmp_path / "cases.csv").write_text("", encoding="utf-8")
    config = parse_config(content, folder=tmp_path)
    found = {(it.family, it.training_seed): it for it in config.systems}
    assert len(found) == 6
    easy = found["noskip", 2].training
    assert easy is not None
    assert easy.condition == ("kamath_texture_blend_foreground", 0.1)
    assert found["noskip", 2].architecture_group == "no_skip"
    assert [it.name for it in config.perturbations] == [
        "kamath_texture_blend", "kamath_texture_blend_foreground", "kamath_background_blur",
        "kamath_speckle",
    ]  # fmt: skip


def test_families_and_groups_are_measured(study: auditor.Run) -> None:
    rows = {(it.scope, it.name, it.training): it for it in study.results.families}
    words = f"{FOREGROUND} 0.1"
    assert rows["group", "no_skip", words].members == ("low",)
    assert rows["family", "high", words].clean == 1.0


def test_the_report_shows_matrices_failures_and_groups(study: auditor.Run, tmp_path: Path) -> None:
    page = build(study.folder, out=tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Families and what they were trained on" in page
    assert "trained at 0.1, tested at 0.9: 0" in page
    assert "How predictions fail" in page
    words = page.replace("</data>", "").split("<li>")
    told = next(it for it in words if f"failures of high ({FOREGROUND} 0.1)" in it)
    assert "empty masks" in told or "more than twice the volume" in told
    assert "described only" in page
