"""Difficulty in one figure, the dose-response and the sweep of windows, as their reader gets them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import results_samples
from rows_tables import table_of
from swept_windows import rows, setup

from auditor.analysis import summarise
from auditor.schema import Crossing, Estimate, Results
from reports.build import render

SAMPLES = results_samples.samples()
FULL = SAMPLES["full"]


def section(results: Results) -> str:
    page = render(results, {}, {}, images=True)
    return page.split('<section id="difficulty"')[1].split("</section>")[0]


def words(html: str) -> str:
    inline = re.sub(r"</?(data|span)[^>]*>", "", html)
    return " ".join(re.sub(r"<[^>]+>", " ", inline).split())


@pytest.fixture(scope="module")
def full() -> str:
    return section(FULL)


@pytest.fixture(scope="module")
def swept() -> Results:
    return summarise(table_of(rows()), setup=setup())


def test_the_rows_are_the_meanings_of_difficulty_in_their_order(full: str) -> None:
    heads = re.findall(r'<p class="panel-head"><b>([^<]+)</b>', full)
    assert heads == [
        "Rater disagreement, mm",
        "Foreground ratio",
        "Object size, ml",
        "Texture disparity",
        "Own noise, % of the reference signal",
    ]
    for hint in ("raters further apart", "less foreground", "a smaller object", "more noise"):
        assert f"harder: {hint}" in full


def test_every_drawing_has_a_title_a_description_and_a_table(full: str) -> None:
    drawings = re.findall(r'<svg[^>]*role="img".*?</svg>', full, re.DOTALL)
    assert len(drawings) == 5  # four meanings with values, and the dose-response
    for drawing in drawings:
        title, told = re.findall(r"<title>([^<]+)</title><desc>([^<]+)</desc>", drawing)[0]
        assert title.startswith("DSC of spleen")
        for system in FULL.systems:
            assert system.name in told
    figure = full.split('<figure class="panels">')[1].split("</figure>", maxsplit=1)[0]
    assert figure.count('role="img"') == 4
    assert "<table" in full.split("</figure>")[1]
    assert "easiest:" in drawings[0]
    assert "hardest:" in drawings[0]


def test_each_system_has_its_own_mark_line_band_and_numbers_in_each_row(full: str) -> None:
    panel = full.split('<div class="panel">')[2]
    for place, system in enumerate(FULL.systems):
        assert f'class="band f{place}"' in panel
        assert f'class="line s{place}"' in panel
        assert f'class="dot faint f{place}"' in panel
        assert f'</svg>{system.name} <span class="quiet">n\u00a0=\u00a0<data value="60">' in panel
    assert panel.count("rank correlation</span>") == len(FULL.systems)
    assert panel.count("with size held fixed</span>") == len(FULL.systems)
    told = words(panel)
    assert "−0.312 [−0.525, −0.061]" in told
    assert "−0.108 [−0.347, 0.142]" in told


def test_size_is_not_held_fixed_in_its_own_row_and_the_table_says_why(full: str) -> None:
    panel = full.split('<div class="panel">')[3]
    assert "Object size" in panel
    assert "held fixed</span>" not in panel
    assert "not applicable: this is object size itself" in words(full)


def test_a_meaning_without_values_keeps_its_row_and_says_why(full: str) -> None:
    panel = full.split('<div class="panel">')[4]
    assert "Not assessed: not measured." in panel
    assert 'role="img"' not in panel


def test_the_caption_says_what_line_and_band_are(full: str) -> None:
    caption = words(full.split("<figcaption>")[1].split("</figcaption>", maxsplit=1)[0])
    assert "means over a window of 20 patients" in caption
    assert "pointwise 95 % bootstrap bands over patients; they describe" in caption
    assert "what failed counts at DSC 0" in caption


def test_few_patients_have_dots_without_a_line() -> None:
    page = section(SAMPLES["one case"])
    assert 'class="dot faint' in page
    assert 'class="band' not in page
    assert 'class="line s0"' not in page.split('role="img"')[1].split("</svg>")[0]
    assert "No line is drawn: fewer than 10 patients" in page


def test_the_headline_label_is_open_and_others_are_folded() -> None:
    other = tuple(replace(it, label="liver") for it in FULL.difficulty)
    dose = tuple(replace(it, label="liver") for it in FULL.dose)
    both = replace(
        FULL,
        labels=("liver", *FULL.labels),
        difficulty=other + FULL.difficulty,
        dose=dose + FULL.dose,
    )
    page = section(both)
    assert "<h3>DSC of spleen by difficulty</h3>" in page
    assert "<summary>DSC of liver by difficulty</summary>" in page
    assert "<summary>DSC of liver over the foreground ratio</summary>" in page
    assert page.index("<h3>DSC of spleen by") < page.index("<summary>DSC of liver by")


def test_the_dose_response_tells_curve_groups_and_where_it_meets_the_value(full: str) -> None:
    told = words(full.split("<h3>DSC of spleen over the foreground ratio</h3>")[1])
    assert "declared: 0.85" in told
    assert "mean of at least 0.850: from a ratio of 0.0123 (interval up to 0.0234)" in told
    assert "the lower end lies below every ratio seen" in told
    assert "0.811 (n 10), 0.902 (n 10)" in told
    assert "isotonic regression" in told


def test_a_contradicted_curve_is_not_drawn_and_its_groups_are() -> None:
    none = Estimate(None, 60, "none", status="not_assessable", note="there is no monotone curve")
    fall = Estimate(0.09, 60, "max-T", "two-sided", 0.95, 0.02, 0.16)
    first = replace(
        FULL.dose[0],
        status="contradicted",
        note="the mean falls as the foreground ratio grows",
        curve=(),
        violation=fall,
        crossing=Crossing(0.85, none),
    )
    page = section(replace(FULL, dose=(first,)))
    told = words(page)
    assert "none: contradicted by the data" in told
    assert "0.090 [0.020, 0.160]" in told
    assert "There is no monotone curve" in told
    drawing = page.split("<title>DSC of spleen over the foreground ratio</title>")[1]
    drawing = drawing.split("</svg>")[0]
    assert drawing.count('class="whisker s0"') == 2
    assert 'class="line' not in drawing


def test_without_curves_there_is_a_sentence() -> None:
    page = section(SAMPLES["one case"])
    assert "needs n ≥ 10" in words(page)


def test_a_sweep_is_shown_only_when_there_is_one(full: str, swept: Results) -> None:
    assert "inference window" not in full
    told = words(section(swept))
    assert "This sweeps the inference window of one trained model. It is not the published" in told
    assert "DSC of organ by inference window: 32x32x16, 64x64x32" in told
    assert "All sizes" in told
    assert "Small objects (≤ 13" in told
    assert "outside the training range" in told
    assert "32x32x16 less 64x64x32" in told
    assert "inside under one, outside under the other: inside less outside" in told


def test_the_drawings_of_a_sweep_have_words_and_hollow_marks_outside(swept: Results) -> None:
    page = section(swept)
    drawings = re.findall(r"<svg[^>]*role=.img.*?</svg>", page, re.DOTALL)
    mine = [it for it in drawings if "<title>Mean DSC of organ by window" in it]
    assert len(mine) == 4
    assert "w32, inside: 0." in mine[0]
    assert mine[0].count("hollow s") == 2
    assert all(">mean DSC</text>" in it for it in mine)


def test_windows_that_differ_in_their_overlap_can_be_told_under_the_drawing(swept: Results) -> None:
    (study,) = swept.sweeps
    first, last = study.uses
    # five windows leave 51 px each, which no such name on one line would fit
    uses = (first, *(replace(last, window="96x96x48, overlap 0.25") for _ in range(4)))
    page = section(replace(swept, sweeps=(replace(study, uses=uses),)))
    drawing = page.split("<title>Mean DSC of organ by window")[1].split("</svg>")[0]
    assert drawing.count(">overlap</text>") == drawing.count(">0.25</text>") == 4
    assert drawing.count(">96x96x48</text>") == 4
    heights = set(re.findall(r'y="([0-9.]+)"[^>]*>(?:96x96x48|overlap|0.25)<', drawing))
    assert len(heights) == 3  # one below the other


def test_a_sweep_without_a_training_range_says_what_is_missing(swept: Results) -> None:
    bare = tuple(
        replace(
            it,
            uses=tuple(replace(use, training=None) for use in it.uses),
            sizes=(),
            drops=(),
            losses=(),
            missing=("Inside and outside: training.foreground_ratio is not declared.",),
            cells=tuple(c for c in it.cells if (c.side, c.size) == ("all", "all")),
            differences=tuple(d for d in it.differences if d.group == "all"),
        )
        for it in swept.sweeps
    )
    page = section(replace(swept, sweeps=bare))
    assert "training.foreground_ratio is not declared" in page
    assert page.count("<title>Mean DSC of organ by window") == 1
    assert "hollow" not in page
