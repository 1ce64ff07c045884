"""Tables of measurements through the whole analysis: the same numbers as an audit, and honest words."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from measured_tables import wide, write_table
from rows_tables import LABEL, Cohort, rows_of, setup_of, table_of

import auditor
from auditor.analysis import summarise
from auditor.analysis.setup import AnalysisSetup
from auditor.errors import ConfigError, DataError, IntegrityError
from auditor.pipeline.comparing_runs import compare_runs
from auditor.pipeline.folder import read_lock, verify_sums
from auditor.pipeline.measured_options import DeclaredMetric
from auditor.pipeline.recommending import recommend
from auditor.pipeline.run import exit_code_of
from auditor.pipeline.state import state_of
from auditor.schema import Results, Row, Summary, encode
from reports.build import build


def analysed(folder: Path, *lines: str, out: str = "run", **options: Any) -> auditor.Run:
    return auditor.analyse(write_table(folder, *lines), out=folder / out, **options)


def of_all(results: Results) -> dict[tuple[object, ...], Summary]:
    return {
        (it.system, it.perturbation, it.severity, it.metric): it
        for it in results.summaries
        if it.axis == "all" and it.region == "whole"
    }


def exported(rows: list[Row], path: Path, setup: AnalysisSetup) -> Path:
    """Write the measurements of an audit as a long table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("system", "case", "patient", "perturbation", "severity", "level", "unit", "replicate",
             "label", "metric", "value", "status", "site")
        )  # fmt: skip
        site = {it.case: dict(it.metadata)["site"] for it in setup.cases}
        for it in rows:
            if it.record != "measurement" or it.region != "whole" or "control" in it.system:
                continue
            writer.writerow(
                (it.system, it.case, it.patient, it.perturbation, it.severity, it.level, it.unit,
                 it.replicate, it.label, it.metric, "" if it.value is None else repr(it.value),
                 it.status, site[it.case])
            )  # fmt: skip
    return path


def test_the_measurements_of_an_audit_give_the_numbers_of_that_audit(tmp_path: Path) -> None:
    cohort = Cohort(patients=14, cases_per_patient=2, perturbations=Cohort().perturbations[:1])
    rows = rows_of(cohort)
    failed = next(it for it in rows if it.record == "measurement" and it.perturbation != "clean")
    place = (failed.system, failed.case, failed.severity)
    for i, it in enumerate(rows):
        if it.record == "measurement" and (it.system, it.case, it.severity) == place:
            rows[i] = Row(
                **{**{n: getattr(it, n) for n in Row.__slots__}, "value": None, "status": "crashed"}
            )
    setup = setup_of(cohort)
    audit = summarise(table_of(rows), setup=setup)
    table = exported(rows, tmp_path / "table.csv", setup)
    run = auditor.analyse(
        table, out=tmp_path / "run", strata=("site",), worst={"hd95": 250.0}, length_unit="mm",
        seed=setup.audit.seed,
    )  # fmt: skip
    ours, theirs = of_all(run.results), of_all(audit)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 2 * 4 * 2
    for key, row in ours.items():
        # the same draws of the same patients: the same bits, up to the order in which cases are added
        for name in ("mean", "lower", "drop"):
            mine, other = getattr(row, name), getattr(theirs[key], name)
            assert (mine.n, mine.status) == (other.n, other.status)
            for end in ("value", "low", "high"):
                assert getattr(mine, end) == pytest.approx(getattr(other, end), abs=1e-12)
        assert row.worst_case_mean == pytest.approx(theirs[key].worst_case_mean, abs=1e-12)
        assert row.statuses == theirs[key].statuses
    for mine, other in zip(run.results.comparisons, audit.comparisons, strict=True):
        assert mine.verdict == other.verdict
        assert mine.difference.value == pytest.approx(other.difference.value, abs=1e-12)
    assert [(it.bound, it.held) for it in run.results.conformal] == [
        (it.bound, it.held) for it in audit.conformal
    ]
    assert run.results.labels == (LABEL,)
    by_site = [it for it in run.results.summaries if it.axis == "site"]
    assert {it.stratum for it in by_site} == {"A", "B"}


def test_the_folder_is_that_of_a_run(tmp_path: Path) -> None:
    run = analysed(tmp_path, *wide(12, ("unet", "vnet")), clean="clean")
    assert run.results.audit.stamp == "EXPLORATORY"
    assert exit_code_of(run.results) == 5  # nothing was claimed
    assert state_of(run.folder)["results"] == "written"
    assert verify_sums(run.folder) == []
    assert run.bound("dsc", system="unet", perturbation="low", severity=1.0).n == 12
    page = build(run.folder).read_text(encoding="utf-8")
    assert "Nothing was run here" in page
    assert "Controls" not in page
    assert "Golden pairs" not in page
    assert str(tmp_path) not in page
    lock = read_lock(run.folder)
    assert lock is not None
    assert lock.config["measured"] == "elsewhere"
    text = (run.folder / "results.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert '"P3"' not in text  # display ids alone


def test_the_same_table_gives_the_same_bytes_and_another_is_refused(tmp_path: Path) -> None:
    lines = wide(4)
    first = analysed(tmp_path, *lines, clean="clean")
    again = analysed(tmp_path, *lines, clean="clean")
    assert encode(first.results) == encode(again.results)
    with pytest.raises(IntegrityError, match="holds another analysis"):
        analysed(tmp_path, *lines, clean="clean", seed=1)
    with pytest.raises(IntegrityError, match="holds another analysis"):
        analysed(tmp_path, *lines[:-1], clean="clean")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(IntegrityError, match="holds other files"):
        analysed(tmp_path, *lines, out="other", clean="clean")


def test_lines_in_another_order_give_the_same_numbers(tmp_path: Path) -> None:
    lines = wide(11)
    first = analysed(tmp_path, *lines, out="a", clean="clean")
    turned = analysed(tmp_path, lines[0], *reversed(lines[1:]), out="b", clean="clean")
    assert first.results.summaries == turned.results.summaries


@pytest.mark.parametrize("patients", [1, 2])
def test_one_or_two_patients_are_described_and_nothing_more(tmp_path: Path, patients: int) -> None:
    run = analysed(tmp_path, *wide(patients), clean="clean")
    row = of_all(run.results)["unet", "clean", 0.0, "dsc"]
    assert (row.mean.n, row.mean.status, row.mean.low) == (patients, "too_few", None)
    assert row.lower.value is None
    assert run.results.conformal[0].bound is None
    assert "too few to infer from" in " ".join(run.results.not_assessed)
    assert "<html" in build(run.folder).read_text(encoding="utf-8")


def test_one_patient_with_all_cases_is_one_patient(tmp_path: Path) -> None:
    lines = [f"unet,c{i},p,{0.5 + 0.01 * i}" for i in range(30)]
    run = analysed(tmp_path, "system,case,patient,dice", *lines)
    row = of_all(run.results)["unet", "clean", 0.0, "dsc"]
    # mean of .50, .51, .., .79
    assert row.mean.n == 1
    assert row.mean.value == pytest.approx(0.645)
    assert row.mean.low is None
    assert "One patient" in build(run.folder).read_text(encoding="utf-8")


def test_all_failures_count_at_their_worst_value(tmp_path: Path) -> None:
    lines = [f"unet,p{i},,crashed" for i in range(12)] + [f"vnet,p{i},0.8,ok" for i in range(12)]
    run = analysed(tmp_path, "system,patient,dice,status", *lines)
    row = of_all(run.results)["unet", "clean", 0.0, "dsc"]
    assert (row.mean.value, row.mean.status, row.worst_case_mean) == (None, "not_assessable", 0.0)
    (pair,) = run.results.comparisons
    assert pair.difference.value == pytest.approx(-0.8)
    assert {it.status: it.n for it in run.results.statuses} == {"crashed": 12, "ok": 12}
    build(run.folder)


def test_comparisons_rest_on_common_cases_and_the_report_says_what_is_missing(
    tmp_path: Path,
) -> None:
    lines = [f"a,p{i},0.{70 + i}" for i in range(12)] + [f"b,p{i},0.{60 + i}" for i in range(10)]
    run = analysed(tmp_path, "system,patient,dice", *lines)
    found = of_all(run.results)
    assert found["a", "clean", 0.0, "dsc"].mean.n == 12
    assert found["b", "clean", 0.0, "dsc"].mean.n == 10
    (pair,) = run.results.comparisons
    assert pair.difference.n == 10
    assert pair.difference.value == pytest.approx(0.1)
    assert run.results.measured is not None
    assert [(it.system, it.missing) for it in run.results.measured.gaps] == [("b", 2)]
    page = build(run.folder).read_text(encoding="utf-8")
    assert "Cells that a whole table would have" in page
    assert "C003, C004" in page  # p10 and p11, which stand behind p1 in the order of names
    assert any("is not whole" in it for it in run.results.limits)


CLAIM = {"label": "foreground", "metric": "dsc", "mean_at_least": 0.5, "evidence": "assured"}


def test_claims_are_judged_and_stamped_exploratory(tmp_path: Path) -> None:
    drop = {"label": "foreground", "metric": "dsc", "mean_drop_at_most": 0.2, "evidence": "assured",
            "at": {"perturbation": "low", "severity": 1}}  # fmt: skip
    criteria = {"criteria": {"C-01": CLAIM, "C-02": drop}}
    run = analysed(tmp_path, *wide(30), clean="clean", criteria=criteria)
    assert run.results.audit.stamp == "EXPLORATORY"
    assert [(it.id, it.verdict.value) for it in run.results.criteria] == [
        ("C-01", "PASS"),
        ("C-02", "PASS"),
    ]
    assert exit_code_of(run.results) == 0
    page = build(run.folder).read_text(encoding="utf-8")
    assert "the measurements existed before anything was declared here" in page
    assert any("every verdict is exploratory" in it for it in run.results.limits)


def test_claims_that_do_not_fit_the_table_are_told_together(tmp_path: Path) -> None:
    criteria = {
        "C-01": {**CLAIM, "label": "liver"},
        "C-02": {**CLAIM, "metrik": "dsc"},
        "C-03": {**CLAIM, "metric": "mcc"},
        "C-04": {**CLAIM, "at": {"perturbation": "lower", "severity": 1}},
    }
    lines = ["system,patient,dice,mcc", *(f"unet,p{i},0.9,0.5" for i in range(3))]
    with pytest.raises(ConfigError) as error:
        analysed(
            tmp_path, *lines, criteria=criteria,
            metric_info={"mcc": DeclaredMetric(higher_is_better=True, low=-1.0, high=1.0)},
        )  # fmt: skip
    text = str(error.value)
    for part in ("C-01", "C-02.metrik", "C-03", "C-04"):
        assert f"criteria.{part}" in text
    assert not (tmp_path / "run").exists()


def test_criteria_come_from_a_file(tmp_path: Path) -> None:
    claims = write_table(
        tmp_path, "criteria:",
        "  C-01: {label: foreground, metric: dsc, mean_at_least: 0.99, evidence: conditional}",
        name="criteria.yaml",
    )  # fmt: skip
    run = analysed(tmp_path, *wide(12), clean="clean", criteria=claims)
    assert run.results.criteria[0].verdict.value == "FAIL"
    with pytest.raises(ConfigError, match="must hold criteria"):
        analysed(tmp_path, *wide(12), out="b", clean="clean", criteria={})


def test_python_takes_a_mapping_of_columns_and_refuses_unknown_options(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "system": ["u"] * 3,
        "patient": [1, 2, 3],
        "dice": [0.9, 0.8, 0.7],
    }
    run = auditor.analyse(columns, out=tmp_path / "run", name="mine")
    assert run.results.audit.name == "mine"
    assert of_all(run.results)["u", "clean", 0.0, "dsc"].mean.value == pytest.approx(0.8)
    with pytest.raises(ConfigError, match="caps: must be one of"):
        auditor.analyse(columns, out=tmp_path / "b", caps={})
    with pytest.raises(DataError):
        auditor.analyse([], out=tmp_path / "c")


def variation(run: auditor.Run) -> dict[tuple[str, str], float | None]:
    return {(it.system, it.metric): it.value for it in run.results.coefficient_of_variation}


def test_the_coefficient_of_variation_over_conditions_by_hand(tmp_path: Path) -> None:
    run = analysed(
        tmp_path, "system,patient,condition,dice",
        "unet,p,clean,0.9", "unet,q,clean,0.7", "unet,p,low,0.7", "unet,q,low,0.5",
        "unet,p,lower,0.6", "unet,q,lower,0.2",
    )  # fmt: skip
    # condition means .8, .6, .4: mean .6, population SD sqrt((.04 + 0 + .04) / 3) = .163299
    assert variation(run) == {("unet", "dsc"): pytest.approx(0.163299 / 0.6, abs=1e-6)}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # before: p (10 + 100) / 2 = 55, q 5, so clean is 30; low is (25 + 15) / 2 = 20: 5 / 25
        ("before", 0.2),
        # after: p is infinite, so 100, q 5: clean is 52.5, low 20: 16.25 / 36.25
        ("after", 16.25 / 36.25),
    ],
)
def test_the_order_of_the_cap_changes_the_coefficient_of_variation(
    tmp_path: Path, order: str, expected: float
) -> None:
    run = analysed(
        tmp_path, "system,patient,condition,replicate,hd",
        "unet,p,clean,1,10", "unet,p,clean,2,inf", "unet,q,clean,1,4", "unet,q,clean,2,6",
        "unet,p,low,1,20", "unet,p,low,2,30", "unet,q,low,1,10", "unet,q,low,2,20",
        cap={"hd": 100.0}, cap_order=order, length_unit="px",
    )  # fmt: skip
    assert variation(run) == {("unet", "hd100"): pytest.approx(expected)}


def test_every_choice_stands_in_the_methods_with_who_made_it(tmp_path: Path) -> None:
    run = analysed(
        tmp_path, "system,patient,hd", "unet,p,3", "unet,q,inf", cap={"hd": 9.0}, length_unit="px"
    )  # fmt: skip
    made = {it.where: (it.value, it.made_by) for it in run.results.decisions}
    assert made["--cap hd"] == ("9 also in means", "command line")
    assert made["--clean"][1] == made["--nan"][1] == made["interval_level"][1] == "default"
    page = build(run.folder).read_text(encoding="utf-8")
    methods = page[page.index('id="methods"') :]
    assert "<code>--cap hd</code>" in methods


def seeded(patients: int = 12) -> list[str]:
    """Two architectures of three training runs each; vnet is 0.2 lower."""
    lines = ["system,seed,patient,condition,dice"]
    for p in range(patients):
        for name, base in (("unet", 0.8), ("vnet", 0.6)):
            for seed in (1, 2, 3):
                here = base + 0.004 * p + 0.003 * seed * (1 + p % 3)
                lines += [
                    f"{name},{seed},P{p},clean,{here:.4f}",
                    f"{name},{seed},P{p},low,{here - 0.1 - 0.01 * (p % 4):.4f}",
                ]
    return lines


def test_a_recipe_is_made_of_a_table_and_what_needs_scans_says_so(tmp_path: Path) -> None:
    run = analysed(tmp_path, *seeded(), clean="clean")
    mix = {"clean": 0.5, "low:1": 0.5}
    found = recommend(run.folder, mix=mix)
    assert set(found.not_beaten) <= {"unet-seed1", "unet-seed2", "unet-seed3"}
    assert found.interaction.status == "not assessed"
    by_family = recommend(run.folder, mix=mix, by="family")
    assert by_family.not_beaten == ("unet",)
    with pytest.raises(DataError, match="it holds measurements made elsewhere"):
        compare_runs(run.folder, run.folder)
    with pytest.raises(ConfigError, match="holds no scan that could place a site's scans"):
        recommend(run.folder, site=run.folder / "results.json")


def test_a_declared_margin_gives_breakpoints(tmp_path: Path) -> None:
    # the drop is .1 in every patient; no margin below 1 - .05^(1/24) = .117 can be supported by 24
    for margin, out, status in ((0.25, "a", "supported"), (0.05, "b", "not attainable")):
        run = analysed(tmp_path, *wide(24), out=out, clean="clean", margin=margin)
        (row,) = run.results.envelope
        assert (row.perturbation, row.status.value) == ("low", status)
        build(run.folder)
    with pytest.raises(ConfigError, match="--margin: must lie between 0 and 1"):
        analysed(tmp_path, *wide(3), out="c", clean="clean", margin=10.0)
