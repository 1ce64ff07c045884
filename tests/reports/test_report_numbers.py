"""Every number on the page is a number of results.json, rounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from html import unescape

import pytest
import results_samples

from auditor.schema import Estimate, Results
from reports import wording
from reports.build import render

SAMPLES = results_samples.samples()

DATA = re.compile(r'<data value="([^"]*)"(?: class="(lower|upper)")?>([^<]*)</data>(\u00a0%)?')


def numbers_of(record: object) -> Iterator[float]:
    """Every number of a record, however deep."""
    if isinstance(record, dict):
        for value in record.values():
            yield from numbers_of(value)
    elif isinstance(record, list | tuple):
        for value in record:
            yield from numbers_of(value)
    elif isinstance(record, int | float) and not isinstance(record, bool):
        yield float(record)


def counts_of(results: Results) -> set[float]:
    """Lengths of lists, which the front page names: cases, patients, systems, claims."""
    return {
        float(n)
        for n in (
            len(results.cases),
            len({c.patient for c in results.cases}),
            sum(it.ablation is None for it in results.systems),
            sum(it.ablation is not None for it in results.systems),
            len({c.perturbation for c in results.conditions}) - 1,
            len(results.criteria),
            sum(str(c.verdict).startswith("PASS") for c in results.criteria),
        )
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_every_marked_number_is_stored_and_its_text_is_its_rounding(name: str) -> None:
    results = SAMPLES[name]
    page = render(results, {}, {}, images=True)
    stored = {f"{v:.7g}" for v in numbers_of(asdict(results))}
    stored |= {f"{v:.7g}" for v in counts_of(results)}
    found = DATA.findall(page)
    assert len(found) > 100
    for value, side, text, unit in found:
        assert f"{float(value):.7g}" in stored, f"{value} is not in results.json"
        shown = float(re.sub(r"\s", "", text.replace("\u2212", "-")))
        whole = float(value)
        # A share may be shown as per cent, and an error rate as the share that it leaves.
        candidates = [whole, 100 * whole, 100 - 100 * whole] if unit else [whole]
        places = len(text.partition(".")[2])
        room = 0.5 * 10.0**-places * 1.001
        if "e" in text or places == 0:
            room = max(room, abs(whole) * 0.0005001)
        if side:  # a bound is rounded to the side on which it promises less
            less = whole - shown if side == "lower" else shown - whole
            assert -1e-9 <= less <= 2 * room, (value, text)
        else:
            assert min(abs(shown - c) for c in candidates) <= room, (value, text)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_number_of_the_front_page_stands_outside_the_stored_ones(name: str) -> None:
    """What is left after the marked numbers are taken out are words, ids and digests."""
    results = SAMPLES[name]
    page = render(results, {}, {}, images=True)
    front = page.split('<section id="summary"')[1].split("</section>")[0]
    left = unescape(re.sub(r"<[^>]+>", " ", DATA.sub(" ", front)))
    texts = [c.text for c in results.criteria] + [c.change for c in results.criteria]
    texts += [c.id for c in results.criteria] + [c.hazard for c in results.criteria]
    texts += [c.unit for c in results.conditions] + list(results.not_assessed)
    texts += [name for system in results.systems for name in (system.name,)]
    texts += [w.case for w in results.worst]
    texts += [e.note for row in results.headline.promised for e in (row[1],)]
    texts += [row.note for c in results.criteria for row in (c.estimate, c.bound, c.opposite)]
    texts += [row.mean.note for row in results.summaries]
    for text in sorted(filter(None, texts), key=len, reverse=True):
        left = left.replace(text.replace(">=", "\u2265"), " ")
    assert not re.findall(r"\d+", left), re.findall(r".{30}\d+.{10}", left)


def test_ratios_have_three_decimals_and_quantities_about_three_digits() -> None:
    assert wording.digits(0.91249) == "0.912"
    assert wording.digits(6.164, unit="mm") == "6.16"
    assert wording.digits(17.44, unit="mm") == "17.4"
    assert wording.digits(-0.0001) == "0.000"
    assert wording.digits(-0.25) == "\u22120.250"


def test_an_estimate_of_one_patient_is_a_value_alone() -> None:
    lonely = Estimate(0.9, 1, "studentized bootstrap", "two-sided", 0.95, 0.8, 0.95)
    assert wording.value_of(lonely).striptags() == "0.900"
    assert wording.method_of(lonely).striptags() == "descriptive: one patient"


def test_an_estimate_says_side_level_and_method() -> None:
    bound = Estimate(0.852, 60, "Clopper-Pearson", "lower", 0.95)
    assert wording.value_of(bound).striptags() == "at least 0.852"
    assert wording.method_of(bound).striptags() == "95 % lower bound, Clopper-Pearson"
    both = Estimate(0.9, 60, "studentized bootstrap", "two-sided", 0.95, 0.88, 0.92)
    assert wording.value_of(both).striptags() == "0.900 [0.880, 0.920]"
    assert wording.basis([both, both]).striptags() == (
        "n = 60 patients; 95 % interval, studentized bootstrap"
    )


def test_a_descriptive_value_says_why_it_has_no_interval() -> None:
    few = Estimate(0.9, 4, "descriptive", status="too_few", note="needs n >= 6")
    assert wording.value_of(few).striptags() == "0.900"
    words = "descriptive (too few patients: needs n \u2265 6)"
    assert wording.method_of(few).striptags() == words


def test_a_missing_value_is_the_words_of_its_status() -> None:
    absent = Estimate(None, 3, "", status="not_assessable", note="one rater")
    assert wording.value_of(absent).striptags() == "not assessable: one rater"
    few = Estimate(None, 3, "", status="too_few")
    assert wording.value_of(few).striptags() == "too few patients"
