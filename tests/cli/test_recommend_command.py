"""`segaudit recommend`: on folders of finished runs that were written without an audit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from finished_runs import write_run
from rows_tables import NOISE, Cohort, fail, rows_of

from auditor.cli import _run
from auditor.confidence import axes_of_run, place
from auditor.config.site_rows import rows_of_site
from auditor.errors import ConfigError, DataError
from auditor.execution.store import read_compacted
from auditor.pipeline import read_run, recommend
from auditor.plan import digest_of
from auditor.schema import (
    ROW_COLUMNS,
    ContractStatus,
    PerturbationSpec,
    Record,
    Row,
    decode,
    encode,
)
from auditor.schema.recipe import Recipe
from auditor.schema.site import ProfiledScan, SiteProfile
from reports.recipe import render_recipe

COHORT = Cohort(patients=24, perturbations=(NOISE,), systems=("strong", "middle", "weak"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("recommend") / "run", COHORT)


def call(*arguments: str | Path) -> int:
    return _run(["recommend", *(str(it) for it in arguments)])


def site_of(run: Path, estimates: Sequence[float | None], target: Path) -> Path:
    """Write a profile of scans with these estimates of noise, placed by the run."""
    axes = axes_of_run(run)
    scans = tuple(
        ProfiledScan(
            f"S{k:03d}", (1.0, 1.0, 1.0), (4, 4, 4), (),
            tuple(place(axis, it) for axis in axes if axis.perturbation == "rician_noise"),
        )
        for k, it in enumerate(estimates)
    )  # fmt: skip
    digest = read_run(run).results.audit.plan_digest
    profile = SiteProfile(1, "t", "mr", "raw", scans, (), digest, axes)
    target.write_text(encode(profile), encoding="utf-8")
    return target


def test_answer_files_and_page(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mix = "clean=0.6,rician_noise:2=0.4"
    assert call(run, "--mix", mix, "-o", tmp_path / "recipe") == 0
    told = capsys.readouterr()
    assert told.out.startswith(
        "strong is preferred under the stated mix: its mean DSC of organ is higher"
    )
    assert "interactions not assessed" in told.out
    text = (tmp_path / "recipe" / "recipe.json").read_text(encoding="utf-8")
    found = decode(text, Recipe)
    assert encode(found) == text
    assert str(tmp_path) not in text
    assert "scan_0" not in text
    assert "person_" not in text
    page = (tmp_path / "recipe" / "recipe.html").read_text(encoding="utf-8")
    assert "strong is preferred" in page
    assert "<script" not in page
    assert "style=" not in page
    # the same question gives the same bytes
    assert encode(recommend(run, mix=mix)) == text


def test_clean_mix_says_what_the_report_says(run: Path) -> None:
    found = recommend(run, mix={"clean": 1.0})
    expected = [
        it for it in read_run(run).results.comparisons
        if (it.perturbation, it.metric) == ("clean", "dsc")
    ]  # fmt: skip
    assert len(found.pairs) == 3
    for pair, row in zip(found.pairs, expected, strict=True):
        assert (pair.first, pair.second, pair.verdict) == (row.first, row.second, row.verdict)
        assert pair.difference.value == pytest.approx(row.difference.value)
        assert pair.difference.low == pytest.approx(row.difference.low)
        assert pair.difference.high == pytest.approx(row.difference.high)
    summed = {
        it.system: it.mean
        for it in read_run(run).results.summaries
        if (it.perturbation, it.metric, it.axis) == ("clean", "dsc", "all")
    }
    for system in found.systems:
        assert system.score.low == pytest.approx(summed[system.name].low)
    assert sum(found.systems[0].ranks) == pytest.approx(1.0)


def test_mix_of_a_file_is_that_of_the_words(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text("clean: 0.6\n'rician_noise:2': 0.4\n", encoding="utf-8")
    assert recommend(run, mix=path) == recommend(run, mix="clean=0.6,rician_noise:2=0.4")
    path.write_text('{"clean": 0.6, "rician_noise:2": 0.4}', encoding="utf-8")
    assert recommend(run, mix=str(path)) == recommend(run, mix="clean=0.6,rician_noise:2=0.4")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "neither was given"),
        (["--mix", "clean=1", "--site", "site.json"], "both were given"),
        (["--mix", "clean=0.5"], "must sum to 1"),
        (["--mix", "motion:1=1"], "with a perturbation of the run (rician_noise)"),
        (["--mix", "absent.yaml"], "must be a readable file"),
        (
            ["--mix", "clean=1", "--metric", "hd95"],
            "a metric in [0, 1] of which more is better; this run has dsc",
        ),
        (["--mix", "clean=1", "--label", "liver"], "must be one of organ, was 'liver'"),
        (["--mix", "clean=1", "--by", "family"], "declare family and training_seed"),
        (["--mix", "clean=1", "--groups", "mood"], "must be a column of the cases (site)"),
        (["--site", "absent.json"], "must be a readable file"),
    ],
)
def test_bad_questions_are_told(
    run: Path, arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(run, *arguments, "-o", tmp_path / "recipe") == 4
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert not (tmp_path / "recipe").exists()


def test_without_site_and_mix_both_ways_and_the_conditions_are_listed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(run) == 4
    error = capsys.readouterr().err
    for words in ("--site site.json", "--mix clean=0.6", "clean, rician_noise:1 to rician_noise:4"):
        assert words in error


def test_recipe_is_not_written_into_a_sealed_run(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(run, "--mix", "clean=1", "-o", run / "recipe") == 4
    assert "outside the run" in capsys.readouterr().err


def test_unfinished_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "--mix", "clean=1") == 4
    assert "must be the folder of a finished run" in capsys.readouterr().err
    folder = write_run(tmp_path / "run", Cohort(patients=3, perturbations=(NOISE,)))
    (folder / "measurements.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"measurements\.parquet cannot be read"):
        recommend(folder, mix={"clean": 1.0})


def test_site_is_weighed_by_its_scans(run: Path, tmp_path: Path) -> None:
    estimates: list[float | None] = [4.0] * 8 + [10.0] * 8 + [60.0] * 3 + [None]
    found = recommend(run, site=site_of(run, estimates, tmp_path / "site.json"))
    assert found.source == "site profile"
    assert found.site is not None
    assert (found.site.scans, found.site.placed, found.site.beyond, found.site.undefined) == (
        20,
        16,
        3,
        1,
    )
    assert sum(it.share for it in found.mix) == pytest.approx(1.0)
    assert any("16 of the 20 scans of the site (80 %)" in it for it in found.sentences)
    assert "16 scans" in found.pairs[0].difference.method
    fixed = recommend(run, mix={
        ("clean" if it.perturbation == "clean" else f"{it.perturbation}:{it.severity:g}"): it.share
        for it in found.mix
    })  # fmt: skip
    assert fixed.pairs[0].difference.value == pytest.approx(found.pairs[0].difference.value)
    wide, narrow = found.pairs[2].difference, fixed.pairs[2].difference
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low  # other scans of the site would be another mix


def test_site_mostly_beyond_is_refused_as_an_answer(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = site_of(run, [4.0] * 12 + [60.0] * 13, tmp_path / "site.json")
    assert call(run, "--site", site, "-o", tmp_path / "recipe") == 0
    assert capsys.readouterr().out.startswith(
        "No recipe is offered: most scans of the site (13 of 25)"
    )
    found = decode((tmp_path / "recipe" / "recipe.json").read_text(encoding="utf-8"), Recipe)
    assert (found.offered, found.not_beaten, found.pairs) == (False, (), ())
    assert "NOT OFFERED" in (tmp_path / "recipe" / "recipe.html").read_text(encoding="utf-8")


def test_profile_of_other_scans_is_refused(run: Path, tmp_path: Path) -> None:
    site = site_of(run, [4.0] * 12, tmp_path / "site.json")
    content = json.loads(site.read_text(encoding="utf-8"))
    site.write_text(json.dumps(content | {"modality": "ct"}), encoding="utf-8")
    with pytest.raises(DataError, match="must be of mr scans in the state raw"):
        recommend(run, site=site)
    site.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="segaudit profile"):
        recommend(run, site=site)


def hidden_site(rows: list[Row], loss: float) -> list[Row]:
    """Take DSC from every patient of site B (odd numbers), for a reason that no estimator sees."""
    return [
        replace(row, value=max(0.0, row.value - loss))
        if row.record == "measurement" and row.metric == "dsc" and row.value is not None
        and int(row.patient[-3:]) % 2
        else row
        for row in rows
    ]  # fmt: skip


def test_sites_that_differ_by_what_is_not_measured_forbid_the_recipe(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", COHORT, hidden_site(rows_of(COHORT), 0.3))
    site = site_of(folder, [4.0] * 12, tmp_path / "site.json")
    found = recommend(folder, site=site)
    assert found.reality.status == "not explained"
    assert not found.offered
    assert found.not_beaten == ()
    assert {it.verdict for it in found.pairs} == {"not offered"}
    assert found.sentences[0].startswith("No recipe is offered: What was measured")
    assert sum("does not explain" in it for it in found.sentences) == 1
    # a stated mix speaks of these patients alone: it is offered, and told so
    stated = recommend(folder, mix={"clean": 1.0})
    assert stated.offered
    assert any("does not explain" in it for it in stated.sentences)


def test_sites_that_are_alike_do_not(run: Path, tmp_path: Path) -> None:
    found = recommend(run, site=site_of(run, [4.0] * 12, tmp_path / "site.json"))
    assert found.reality.status in ("explained", "undecided")
    assert found.reality.column == "site"
    assert found.offered


def test_without_identities_groups_are_not_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", COHORT, identities=False)
    found = recommend(folder, mix={"clean": 1.0})
    assert "identities.csv is missing" in found.reality.sentence
    assert found.not_beaten == ("strong",)
    (folder / "identities.csv").write_text("display_case,case\nC001,scan_000_0\n", encoding="utf-8")
    with pytest.raises(DataError, match="must name every case"):
        recommend(folder, mix={"clean": 1.0})
    (folder / "identities.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        recommend(folder, mix={"clean": 1.0})


def test_one_system_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", replace(COHORT, systems=("only",)))
    found = recommend(folder, mix={"clean": 1.0})
    assert found.sentences[0].startswith(
        "There is nothing to compare: only is the only system. Its mean"
    )
    assert (found.pairs, found.kendall, found.maps) == ((), None, ())
    assert "nothing to compare" in render_recipe(found)


def test_few_patients_are_described(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", replace(COHORT, patients=6))
    found = recommend(folder, mix={"clean": 1.0})
    assert "too few to compare" in found.sentences[0]
    assert found.not_beaten == ("strong", "middle", "weak")
    assert "too few" in render_recipe(found)


def test_conditions_that_cases_lack_are_reported(tmp_path: Path) -> None:
    rows = fail(rows_of(COHORT), "no_effect", case="scan_003_0", severity=4.0)
    rows = fail(rows, "crashed", system="middle", case="scan_004_0", severity=2.0)
    folder = write_run(tmp_path / "run", COHORT, rows)
    found = recommend(folder, mix={"clean": 0.5, "rician_noise:4": 0.5})
    assert found.n == 23
    assert any("1 case(s) of 1 patient(s) have no number under rician_noise at severity 4 (no_effect)" in it
               for it in found.sentences)  # fmt: skip
    other = recommend(folder, mix={"clean": 1.0})
    assert other.n == 24
    assert any("Left out of the maps" in it and "rician_noise 4" in it for it in other.sentences)
    assert "the condition is left out" in render_recipe(other)
    nothing = fail(rows_of(COHORT), "no_effect", severity=4.0)
    lost = recommend(write_run(tmp_path / "lost", COHORT, nothing), mix={"rician_noise:4": 1.0})
    assert not lost.offered
    assert "rician_noise 4: 24 cases no_effect" in lost.refusal


FAMILIES = {
    1: (("unet", 1), ("swin", 1), ("mamba", 1)),
    3: (("unet", 1), ("unet", 2), ("unet", 3), ("swin", 1), ("swin", 2), ("swin", 3)),
    2: (("unet", 1), ("unet", 2), ("swin", 1), ("swin", 2)),
}


def of_families(folder: Path, runs: int) -> Recipe:
    """Systems are .03 apart, so that the families are told by three runs of each."""
    given = FAMILIES[runs]
    cohort = replace(COHORT, systems=tuple(f"{family}_{seed}" for family, seed in given))
    return recommend(write_run(folder, cohort, families=given), mix={"clean": 1.0}, by="family")


def test_one_run_of_each_family_compares_checkpoints(tmp_path: Path) -> None:
    found = of_families(tmp_path / "run", 1)
    assert found.by == "system"
    assert found.sentences[1].endswith(
        "this compares checkpoints; it cannot say which architecture is preferable."
    )


def test_two_runs_are_descriptive(tmp_path: Path) -> None:
    found = of_families(tmp_path / "run", 2)
    assert found.by == "family"
    assert [it.members for it in found.systems] == [("unet_1", "unet_2"), ("swin_1", "swin_2")]
    assert found.not_beaten == ("unet", "swin")
    assert "described, not inferred from" in found.sentences[0]
    assert "prove nothing of its architecture" in found.sentences[1]


def test_three_runs_tell_families_apart(tmp_path: Path) -> None:
    found = of_families(tmp_path / "run", 3)
    assert found.not_beaten == ("unet",)
    assert found.pairs[0].difference.value == pytest.approx(0.09, abs=0.02)
    assert "degrees of freedom" in found.pairs[0].difference.method
    assert found.maps == ()
    page = render_recipe(found)
    assert "Training runs" in page
    assert "unet_2" in page


JOINT = PerturbationSpec("joint", (1.0,), (1.0,), "of the row")


def locked(folder: Path, rows: list[dict[str, float]]) -> None:
    """Write the lock that says what the joint condition was made of."""
    config: dict[str, Any] = {"perturbations": {"joint": {"options": {"rows": rows}}}}
    content = {
        "config": config, "config_digest": digest_of(config), "manifest_digest": "m", "systems": {},
        "amendments": [],
    }  # fmt: skip
    (folder / "audit.lock.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def test_joint_condition_of_the_site_is_used_directly(tmp_path: Path) -> None:
    cohort = replace(COHORT, perturbations=(NOISE, JOINT))
    folder = write_run(tmp_path / "run", cohort)
    site = site_of(folder, [4.0] * 8 + [10.0] * 8, tmp_path / "site.json")
    rows = rows_of_site(site, "mr", "raw", [])
    locked(folder, rows)
    found = recommend(folder, site=site)
    assert found.source == "joint condition"
    assert [(it.perturbation, it.share) for it in found.mix] == [("joint", 1.0)]
    assert found.interaction.lines == ()
    assert "act together here" in found.interaction.sentence
    expected = [it for it in read_run(folder).results.comparisons if it.perturbation == "joint"]
    for pair, row in zip(found.pairs, expected, strict=True):
        assert pair.difference.value == pytest.approx(row.difference.value)
    locked(folder, rows[1:])  # the joint condition of another site
    assert recommend(folder, site=site).source == "site profile"


def test_joint_condition_of_two_axes_is_the_interaction_check(tmp_path: Path) -> None:
    blur = PerturbationSpec("gaussian_blur", (2.0,), (1.5,), "mm")
    cohort = replace(COHORT, perturbations=(NOISE, blur, JOINT))
    folder = write_run(tmp_path / "run", cohort)
    locked(folder, [{"rician_noise": 6.0, "gaussian_blur": 1.5}])
    found = recommend(folder, mix={"clean": 1.0})
    # the weak system loses .05 a severity: twice .1 at severity 2, and .05 under joint, which is severity 1
    row = found.interaction.rows[2]
    assert row.together.value == pytest.approx(0.05, abs=0.02)
    assert row.summed.value == pytest.approx(0.20, abs=0.02)
    assert found.interaction.status == "does not add up"
    assert "Sum of single drops" in render_recipe(found)


def test_every_number_of_the_page_is_in_the_record(run: Path) -> None:
    found = recommend(run, mix={"clean": 0.5, "rician_noise:3": 0.5})
    numbers: list[float] = []

    def gather(value: Any) -> None:
        if isinstance(value, dict):
            for it in value.values():
                gather(it)
        elif isinstance(value, list):
            numbers.append(len(value))
            for it in value:
                gather(it)
        elif isinstance(value, int | float):
            numbers.append(float(value))

    gather(json.loads(encode(found)))
    shown = [float(it) for it in re.findall(r'<data value="([^"]+)"', render_recipe(found))]
    assert len(shown) > 30
    stored = np.array(numbers)
    cells = {
        float(sum(value == place for row in it.cells for value in row))
        for it in found.maps for place in range(len(it.sets))
    }  # fmt: skip
    for number in shown:
        assert number in cells or np.isclose(stored, number, rtol=1e-4, atol=1e-4).any()


def test_preview_carries_no_recipe_and_doubts_are_told(run: Path, tmp_path: Path) -> None:
    results = read_run(run).results
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    preview = replace(results, audit=replace(results.audit, preview=True))
    (folder / "results.json").write_text(encode(preview), encoding="utf-8")
    found = recommend(folder, mix={"clean": 1.0})
    assert found.sentences[0].startswith("No recipe is offered: the run is a preview")
    contract = replace(results.systems[2].contract, status=ContractStatus.IN_DOUBT)
    doubted = replace(results.systems[2], contract=contract)
    changed = replace(results, systems=(*results.systems[:2], doubted))
    (folder / "results.json").write_text(encode(changed), encoding="utf-8")
    found = recommend(folder, mix={"clean": 1.0})
    assert found.sentences[1].startswith("CONTRACT IN DOUBT: weak may not be run")


def test_long_mix_is_no_file_name(run: Path) -> None:
    steps = [k / 50 for k in range(1, 51)]
    mix = ",".join(f"rician_noise:{severity:.6f}=0.02" for severity in steps)
    assert len(mix) > 1000
    assert sum(it.share for it in recommend(run, mix=mix).mix) == pytest.approx(1.0)


@pytest.mark.parametrize("value", ["NaN", "1e999", '"much"'])
def test_profile_with_what_is_no_number_is_refused(run: Path, tmp_path: Path, value: str) -> None:
    site = site_of(run, [4.0] * 12, tmp_path / "site.json")
    text = site.read_text(encoding="utf-8").replace('"estimate": 4.0', f'"estimate": {value}', 1)
    site.write_text(text, encoding="utf-8")
    with pytest.raises((ConfigError, DataError), match=r"the profile site\.json"):
        recommend(run, site=site)


def test_severities_that_a_profile_claims_are_not_believed(run: Path, tmp_path: Path) -> None:
    site = site_of(run, [4.0] * 12, tmp_path / "site.json")
    expected = recommend(run, site=site)
    content = json.loads(site.read_text(encoding="utf-8"))
    for scan in content["scans"]:
        for it in scan["placements"]:
            it["severity"] = 99.0
    site.write_text(json.dumps(content), encoding="utf-8")
    assert recommend(run, site=site) == expected


def test_compacted_table_comes_back_as_it_was_stored(run: Path, tmp_path: Path) -> None:
    table = read_compacted(run, Record.MEASUREMENT)
    assert tuple(table.column_names) == ROW_COLUMNS
    stored = [row for row in rows_of(COHORT) if row.record == "measurement"]
    assert len(table) == len(stored)
    assert set(table["record"].to_pylist()) == {"measurement"}
    assert sorted(table["value"].to_pylist()) == sorted(
        row.value for row in stored if row.value is not None
    )
    pq.write_table(table.select(["case", "value"]), tmp_path / "measurements.parquet")
    with pytest.raises(DataError, match="lacks system, patient"):
        read_compacted(tmp_path, Record.MEASUREMENT)
