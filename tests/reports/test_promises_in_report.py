"""The section on bounds: what a calibration set may cost, and whether promises carry over."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import results_samples
from sample_coverage import share_of

from auditor.schema import CoverageRow, Estimate, Results
from reports.document import Gallery, Prose, Section, Table
from reports.sections.bounds import bounds
from reports.view import view_of
from reports.wording import badge, value_of

SAMPLE = results_samples.sample()
LABEL = results_samples.LABEL


def section_of(results: Results) -> Section:
    return bounds(view_of(results, {}, {}, images=False))


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", text).replace("\u00a0", " ").split())


def prose(section: Section) -> list[str]:
    return [words(block.text) for block in section.blocks if isinstance(block, Prose)]


def tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def pictures(section: Section) -> Gallery:
    return next(
        block
        for block in section.blocks
        if isinstance(block, Gallery) and "carry over" in (block.title + block.summary)
    )


def changed(results: Results, **where: object) -> tuple[Results, CoverageRow]:
    """Break the promise of one row."""
    rows = list(results.coverage)
    place = next(
        i for i, row in enumerate(rows) if all(getattr(row, k) == v for k, v in where.items())
    )
    share = share_of(3, rows[place].counted, rows[place].n)
    rows[place] = replace(rows[place], held=3, share=share, verdict="BROKEN")
    return replace(results, coverage=tuple(rows)), rows[place]


def test_the_luck_of_a_calibration_set_is_told_in_plain_words() -> None:
    # 60 patients: rank 6, Beta(55, 6)
    assert (
        "a 90 % bound from 60 patients has a 5 % chance to cover less than 83.3 % of new cases; "
        "that it covers less than 90 % has a chance of 43.7 %" in prose(section_of(SAMPLE))[1]
    )


def test_counts_by_severity_have_pictures_intervals_and_a_table() -> None:
    shown = pictures(section_of(SAMPLE))
    assert shown.table is not None
    whole = [row for row in SAMPLE.coverage if row.axis == "all"]
    assert len(shown.table.rows) == len(whole)
    assert len(shown.figures) == len({row.perturbation for row in whole}) - 1
    drawn = str(shown.figures[0].svg)
    assert drawn.count("whisker") == 3 * 6  # three systems, clean and five severities
    assert "nominal" in drawn
    assert "unet at severity 0: " in drawn
    cells = [words(cell) for cell in shown.table.rows[-1]]
    last = next(
        row
        for row in whole
        if (row.perturbation, row.severity, row.system) == ("gaussian_blur", 5.0, "unet-noskip")
    )
    assert cells[3] == f"{last.held} of {last.counted}"
    assert cells[-1] == last.verdict


def test_what_speaks_not_against_a_bound_is_told_with_its_lower_limit() -> None:
    shown = pictures(section_of(SAMPLE)).table
    assert shown is not None
    told = [words(row[-1]) for row in shown.rows]
    assert any(re.fullmatch(r"no evidence of breaking: at least 0\.\d+", it) for it in told)
    assert "by construction" in told


def test_groups_are_tables_and_broken_ones_are_named_first() -> None:
    results, row = changed(
        SAMPLE, system="unet", perturbation="clean", axis="foreground_ratio", stratum="small"
    )
    section = section_of(results)
    assert prose(section)[-1] == (
        "A bound speaks of all patients together, not of each group of them. On clean scans already it is "
        "BROKEN for unet, foreground ratio small (3 of 20)."
    )
    _, by_ratio, by_scanner = tables(section)
    assert [words(it.title) for it in by_ratio.columns[3:]] == ["small", "medium", "large"]
    assert "Foreground ratio" in by_ratio.caption
    assert "Scanner" in by_scanner.caption
    assert words(by_ratio.rows[0][3]) == f"3 of {row.counted} BROKEN"
    assert "none of 15 counts by group" in prose(section_of(SAMPLE))[-1]


def test_many_groups_are_shown_at_one_severity_and_say_so() -> None:
    many = []
    for row in SAMPLE.coverage:
        if row.axis == "foreground_ratio":
            many += [replace(row, stratum=f"{row.stratum} {i}") for i in range(4)]
    section = section_of(replace(SAMPLE, coverage=tuple(many)))
    _, table = tables(section)
    assert "at severity 2 or the nearest planned; results.json has the others" in table.caption
    assert len(table.rows) == 3 * 5  # systems; clean and four perturbations


def test_too_few_patients_are_not_counted() -> None:
    few = results_samples.sample(results_samples.Size(cases=8, metadata=False))
    section = section_of(few)
    shown = pictures(section).table
    assert shown is not None
    assert {words(row[-1]) for row in shown.rows} == {"not certifiable with n = 8; needs n ≥ 10"}
    assert prose(section)[-1].endswith("No group has enough patients to be judged.")
    assert not any("5 % chance" in it for it in prose(section))


def test_results_without_counts_are_shown_without_them() -> None:
    section = section_of(replace(SAMPLE, coverage=(), stratum_bounds=()))
    assert tables(section) == []


def test_bounds_of_groups_are_listed_and_pooled_ones_take_one_line() -> None:
    shown = tables(section_of(SAMPLE))[0]
    cells = [[words(cell) for cell in row] for row in shown.rows]
    assert cells[0] == ["unet", "Foreground ratio", "small", "0.700", "0.600", "20", "of its own"]
    # two systems with three and two groups of their own, one with both axes pooled
    assert len(cells) == 2 * (3 + 2) + 2
    assert cells[-1] == [
        "unet-noskip", "Scanner", "all groups together", "0.700", "0.600", "60",
        "pooled over all groups: each needs 30 patients, A has 9",
    ]  # fmt: skip
    assert "needs 30 patients in every group" in words(shown.note)


@pytest.mark.parametrize(
    ("value", "side", "words"),
    [
        (0.80557, "lower", "at least 0.805"),  # rounding to the nearest would promise .806
        (0.80543, "upper", "at most 0.806"),
        (0.29, "lower", "at least 0.290"),  # stored as .28999999999999998
        (-0.0004, "upper", "at most 0.000"),
        (-0.0004, "lower", "at least −0.001"),
    ],
)
def test_bound_is_rounded_so_that_it_promises_no_more(value: float, side: str, words: str) -> None:
    found = Estimate(value, 40, "split conformal", side, 0.9)  # type: ignore[arg-type]  # a parameter
    assert value_of(found).striptags() == words


def test_head_of_the_report_has_the_sign_of_its_verdict() -> None:
    assert "badge-fail" in badge("FAIL: 1 of 4 declared claims supported")
    assert "badge-pass" in badge("PASS (conditional): 4 of 4 declared claims supported")
    assert "badge-none" in badge("EXPLORATORY: no declared claim decides this audit")
