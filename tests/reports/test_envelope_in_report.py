"""The operating envelope, repeatability and the measures of the literature in the report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from html import unescape
from typing import Any

import pytest
from rows_tables import DSC, NOISE, ROTATION, Cohort, fail, rows_of, setup_of, table_of

from auditor.analysis import summarise
from auditor.schema import Results, decode, encode
from reports.build import render

COHORT = Cohort(patients=40, perturbations=(replace(NOISE, replicates=2), ROTATION), replicates=2)


def results_of(cohort: Cohort = COHORT, *, crashed: int = 0, **changes: Any) -> Results:
    rows = rows_of(cohort)
    for record in cohort.cases[:crashed]:
        rows = fail(rows, system="weak", case=record.case, severity=4.0)
    setup = replace(setup_of(cohort), **{"response_margin": 0.1, **changes})
    return summarise(table_of(rows), setup=setup)


@pytest.fixture(scope="module")
def results() -> Results:
    return results_of(crashed=12, response_floor=0.75)


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render(results, {}, {}, images=False)


def words_of(part: str) -> str:
    plain = re.sub(r"<[^>]+>", " ", re.sub(r"</?(data|span)[^>]*>", "", part))
    return " ".join(unescape(plain).split())


def section(page: str, name: str) -> str:
    return page.split(f'<section id="{name}"')[1].split("</section>", maxsplit=1)[0]


def numbers_of(record: object) -> Iterator[float]:
    if isinstance(record, dict):
        for value in record.values():
            yield from numbers_of(value)
    elif isinstance(record, list | tuple):
        for value in record:
            yield from numbers_of(value)
    elif isinstance(record, int | float):
        yield float(record)


def test_results_with_responses_are_read_back_as_written(results: Results) -> None:
    assert decode(encode(results), Results) == results


def test_the_front_page_tells_how_far_the_limits_are_supported(results: Results, page: str) -> None:
    told = words_of(section(page, "summary"))
    assert (
        "Operating envelope: up to which level the mean drop of DSC from clean is at most 0.100"
        in told
    )
    row = next(
        it for it in results.envelope if it.perturbation == "rotation" and it.system == "strong"
    )
    assert (row.supported, row.supported_level) == (2.0, 10.0)
    assert "up to 10 deg (severity 2)" in told
    weak = next(
        it for it in results.envelope if it.perturbation == "rician_noise" and it.system == "weak"
    )
    assert weak.degraded is not None
    assert "degraded from 20 % of S_ref (severity 4)" in told
    assert "n = 40 patients; phantom bounds" in told
    assert "Exploratory: no limit was locked before the first result." in told


def test_every_number_of_the_section_is_stored(results: Results, page: str) -> None:
    stored = {f"{value:.7g}" for value in numbers_of(asdict(results))}
    found = re.findall(r'<data value="([^"]*)"', section(page, "response"))
    assert len(found) > 300
    assert {f"{float(value):.7g}" for value in found} <= stored


def test_the_curves_show_bands_bars_and_the_floor(page: str) -> None:
    drawn = section(page, "response")
    assert drawn.count('class="band wide') == 4  # two systems, two perturbations
    assert 'class="nominal"' in drawn
    assert "light band: holds at all severities at once" in drawn
    assert "bars above, in this order: limits supported up to there" in drawn
    # bands and bars are of the metric that limits are about, and of no other
    other = drawn.split("HD95 of organ")[1].split("Operating envelope")[0]
    assert "band wide" not in other
    assert ">supported<" not in other


def test_draws_and_measures_have_tables_of_their_own(results: Results, page: str) -> None:
    told = words_of(section(page, "response"))
    assert "Repeatability: independent draws of the same condition on the same scan." in told
    assert "SD within patients" in told
    assert "Measures of robustness of the literature: descriptive, without intervals." in told
    assert "Corruption errors against strong" in told
    assert len(results.coefficient_of_variation) == 4  # two systems, two metrics


def test_without_a_limit_nothing_is_assessed_and_nothing_drawn() -> None:
    once = Cohort(patients=12, perturbations=(NOISE,))
    page = render(results_of(once, response_margin=None), {}, {}, images=False)
    told = words_of(section(page, "response"))
    assert "Operating envelope: not assessed, no margin was declared" in told
    assert (
        "Repeatability: not assessed for rician noise, drawn once a case (replicates: 1)." in told
    )
    assert ">supported<" not in page
    front = words_of(section(page, "summary"))
    assert "Operating envelope: up to" not in front
    assert "no limit was declared (response.margin, response.floor)" in front


def test_too_few_patients_are_told_and_hostile_names_escaped() -> None:
    name = '<b onmouseover="x">'
    few = Cohort(patients=12, systems=(name,), perturbations=(NOISE,))
    page = render(results_of(few), {}, {}, images=False)
    assert "<b onmouseover" not in page
    assert "not attainable at this n" in words_of(section(page, "summary"))
    assert (
        "with 12 patient(s) of whom none gains, no margin below 0.221 can be met (declared: 0.1)"
        in words_of(page)
    )


def test_one_patient_has_no_envelope_and_no_band() -> None:
    one = Cohort(patients=1, cases_per_patient=2, perturbations=(NOISE,))
    page = render(results_of(one), {}, {}, images=False)
    drawn = section(page, "response")
    assert "band wide" not in drawn
    assert "light band" not in drawn


def test_without_a_metric_in_zero_to_one_there_is_no_envelope() -> None:
    results = results_of(Cohort(patients=12, perturbations=(NOISE,)))
    assert results.envelope
    distances = replace(
        setup_of(COHORT), metrics=(setup_of(COHORT).metrics[1],), response_margin=0.1
    )
    rows = [row for row in rows_of(COHORT) if row.metric != DSC.name]
    page = render(summarise(table_of(rows), setup=distances), {}, {}, images=False)
    assert "Operating envelope" not in section(page, "response")
