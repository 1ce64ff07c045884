"""A study of trained and tested levels from scans to the report, with networks that are thresholds."""

from __future__ import annotations

from pathlib import Path

import pytest
from blended_audits import BACKGROUND, FOREGROUND, thresholds, write_study

import auditor
from auditor.config import parse_config
from auditor.errors import ConfigError
from auditor.pipeline.identities import identities
from auditor.schema import FailureTypes
from reports.build import build


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
