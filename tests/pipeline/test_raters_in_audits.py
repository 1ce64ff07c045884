"""Audits of phantoms with three raters: the rule that counts is the rule that was declared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tiny_audits import SEED, bright, broken, callable_fields

import auditor
from auditor.config import parse_config
from auditor.demo import write_cohort
from auditor.errors import ConfigError, DataError
from auditor.pipeline import look
from reports.build import build


def audited(folder: Path, reference: dict[str, Any], **changes: Any) -> auditor.Run:
    fields = dict(callable_fields(folder, **changes))
    fields["cases"] = {**fields["cases"], "reference": reference}
    return auditor.audit(
        {}, systems={"bright": bright, "broken": broken}, out=folder / "run", **fields
    )


@pytest.fixture(scope="module")
def mean_run(tmp_path_factory: pytest.TempPathFactory) -> auditor.Run:
    folder = tmp_path_factory.mktemp("mean")
    return audited(
        folder,
        {"use": "mean_over_raters", "tie": "above_half"},
        metrics={"dsc": {}, "hd95": {}},
        perturbations={"rotation": {"severities": [2]}},
        raters={"margin": 0.05},
    )


def rows_of(run: auditor.Run, **where: Any) -> list[dict[str, Any]]:
    rows = pq.read_table(run.folder / "measurements.parquet").to_pylist()
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_the_mean_over_raters_is_what_counts_under_every_condition(mean_run: auditor.Run) -> None:
    for case in {row["case"] for row in rows_of(mean_run)}:
        where = {"system": "bright", "case": case, "metric": "dsc", "perturbation": "clean"}
        each = [rows_of(mean_run, reference=f"rater_{n}", **where)[0]["value"] for n in (1, 2, 3)]
        (main,) = rows_of(mean_run, reference="reference", **where)
        assert main["value"] == pytest.approx(sum(each) / 3)
    turned = rows_of(mean_run, system="bright", perturbation="rotation", reference="reference")
    assert {row["metric"] for row in turned} == {"dsc", "hd95"}
    assert {row["region"] for row in turned} == {"retained", "whole"}
    assert all(row["value"] is not None for row in turned)
    # raters saw the clean scans only
    references = {row["reference"] for row in rows_of(mean_run, perturbation="rotation")}
    assert references == {"reference"}


def test_the_report_says_what_the_reference_is(mean_run: auditor.Run) -> None:
    rule = mean_run.results.audit.reference_rule
    assert rule == (
        "mean over 3 raters of each metric against each; pictures and groups of cases use their "
        "majority, ties above half"
    )
    assert rule in build(mean_run.folder).read_text(encoding="utf-8")


def test_no_control_is_expected_to_be_perfect_against_several_raters(mean_run: auditor.Run) -> None:
    clean = {it.name: it for it in mean_run.results.controls if it.perturbation == "clean"}
    reference = clean["control:reference"]
    assert reference.passed is None
    assert reference.mean is not None
    assert 0.5 < reference.mean < 1
    assert clean["control:empty"].passed
    assert clean["control:other_patient"].mean is not None


def test_a_system_that_fails_agrees_with_nobody_and_is_not_left_out(mean_run: auditor.Run) -> None:
    found = mean_run.results.raters
    assert found is not None
    by_name = {row.system: row for row in found.systems}
    assert by_name["broken"].dsc.value == 0.0
    assert by_name["broken"].dsc.n == by_name["bright"].dsc.n == 4
    assert by_name["bright"].test is not None
    assert by_name["bright"].test.verdict == "too few patients"
    assert {name for name, _ in by_name["bright"].scores} == {
        "qubiq_dice", "consensus_dsc", "volume_crps", "rater_ece", "ged"
    }  # fmt: skip


def test_cases_of_the_results_are_those_of_the_scan_rows(mean_run: auditor.Run) -> None:
    found = mean_run.results.raters
    assert found is not None
    shown = {row.case: row for row in mean_run.results.cases}
    for case in found.cases:
        assert dict(shown[case.case].rater_assd)[case.label] == case.assd
        assert dict(shown[case.case].rater_dsc)[case.label] == case.dsc
        assert case.raters == 3
        assert case.volume is not None
        assert case.volume > 0
    widths = [case.assd or 0.0 for case in found.cases]
    assert widths == sorted(widths, reverse=True)


def test_the_report_has_a_section_of_raters(mean_run: auditor.Run) -> None:
    page = build(mean_run.folder).read_text(encoding="utf-8")
    section = page.split('<section id="raters"')[1].split("</section>")[0]
    assert "bright, organ: mean difference" in section
    sentence = re.sub(r"</?(data|span)[^>]*>", "", section)
    assert re.search(
        r"bright, organ: mean difference [−.0-9]+ \(descriptive[^.]*, n = 4\)", sentence
    )
    assert "No verdict" in section
    assert "Cases by disagreement of their raters" in section
    assert section.count("<svg") >= 2
    assert "raters with each other" in page.split('<section id="response"')[1]


def small(folder: Path) -> Path:
    """Two patients, and one noise at one severity."""
    write_cohort(folder / "cases", patients=2, seed=SEED)
    return folder


ONE = {"gaussian_noise": {"severities": [2]}}


def test_an_odd_number_needs_no_tie_rule_but_the_others_of_three_do(tmp_path: Path) -> None:
    run = audited(small(tmp_path), {"use": "rater_2"}, perturbations=ONE)
    assert run.results.audit.reference_rule == "rater 2"
    where: dict[str, Any] = {"system": "bright", "perturbation": "clean", "metric": "dsc"}
    main = rows_of(run, reference="reference", **where)
    assert [row["value"] for row in main] == [
        row["value"] for row in rows_of(run, reference="rater_2", **where)
    ]
    assert not rows_of(run, reference="without_rater_1")
    found = run.results.raters
    assert found is not None
    row = next(it for it in found.systems if it.system == "bright")
    assert row.consensus_difference.status == "not_assessable"
    assert row.test is None
    assert "No margin was declared (raters.margin)" in build(run.folder).read_text(encoding="utf-8")


def test_a_wrong_rule_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        audited(tmp_path, {"use": "average"})
    assert (
        "cases.reference.use: must be given, majority, staple, mean_over_raters, or one rater (rater_1), "
        "was 'average'"
    ) in str(refused.value)


@pytest.mark.parametrize("margin", [0, 1, -0.02, "a lot"])
def test_a_margin_is_a_share_of_the_dsc(tmp_path: Path, margin: object) -> None:
    with pytest.raises(ConfigError, match=r"raters\.margin"):
        audited(tmp_path, {"use": "majority"}, raters={"margin": margin})


def test_an_even_number_of_raters_needs_a_tie_rule_before_anything_runs(tmp_path: Path) -> None:
    table = small(tmp_path) / "cases" / "cases.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    place = lines[0].split(",").index("rater_3")
    cells = lines[1].split(",")
    cells[place] = ""
    table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]), encoding="utf-8")
    with pytest.raises(DataError) as refused:
        audited(tmp_path, {"use": "majority"}, perturbations=ONE)
    assert "has 2 raters, and a majority of them may be a tie; say cases.reference.tie" in str(
        refused.value
    )
    run = audited(tmp_path, {"use": "staple"}, perturbations=ONE)
    assert run.results.audit.reference_rule == "STAPLE of 2 to 3 raters"
    found = run.results.raters
    assert found is not None
    assert (found.labels[0].fewest, found.labels[0].most) == (2, 3)


def test_a_group_larger_than_the_audit_is_told_before_anything_runs(tmp_path: Path) -> None:
    small(tmp_path)
    fields: dict[str, Any] = {
        **callable_fields(tmp_path, perturbations=ONE),
        "strata": {"site": {"minimum_patients": 30}, "sex": {}},
    }
    fields["cases"] = {**fields["cases"], "reference": {"use": "rater_1"}}
    config = parse_config(
        {**fields, "systems": {}}, folder=tmp_path, callables=("bright",), settings={}
    )
    found = look(config, callables={"bright": bright})
    told = [it for it in found.warnings if "minimum_patients" in it]
    assert told == [
        (
            "strata.site.minimum_patients: 30 is more than the 2 patient(s) of the audit, so that "
            "every group is too small to infer from"
        )
    ]


def test_a_margin_without_raters_is_told_before_anything_runs(tmp_path: Path) -> None:
    table = small(tmp_path) / "cases" / "cases.csv"
    first = table.read_text(encoding="utf-8").splitlines()
    kept = [line.split(",") for line in first]
    wanted = [place for place, name in enumerate(kept[0]) if name not in ("rater_2", "rater_3")]
    table.write_text("\n".join(",".join(row[i] for i in wanted) for row in kept), encoding="utf-8")
    fields = {**callable_fields(tmp_path, perturbations=ONE), "raters": {"margin": 0.02}}
    fields["cases"] = {**fields["cases"], "reference": {"use": "rater_1"}}
    config = parse_config(
        {**fields, "systems": {}}, folder=tmp_path, callables=("bright",), settings={}
    )
    found = look(config, callables={"bright": bright})
    assert "raters.margin: decides nothing, as no case has two raters" in found.warnings
