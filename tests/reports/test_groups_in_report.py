"""Groups of cases on the page: how they were made, and crosses as heat maps with every number."""

from __future__ import annotations

import re
from dataclasses import replace

import results_samples

from auditor.schema import Results, StratumInfo
from reports.build import render

SAMPLE = results_samples.sample()
LABEL = results_samples.LABEL


def with_cross(results: Results) -> Results:
    """Cross foreground ratio with itself: the diagonal has the cells, the others no case."""
    ratio = next(it for it in results.strata if it.axis == "foreground_ratio")
    names = tuple(f"{a} & {b}" for a in ratio.names for b in ("x", "y"))
    cross = StratumInfo(
        "size_by_half", LABEL, "inferential", (), names, (1,) * len(names), "",
        rule="cross", cross=(("foreground_ratio", ratio.names), ("half", ("x", "y"))), shared=3,
    )  # fmt: skip
    rows = []
    for row in results.summaries:
        if row.axis == "foreground_ratio":
            few = replace(row.mean, status="too_few", low=None, high=None, n=4)
            rows += [replace(row, axis="size_by_half", stratum=f"{row.stratum} & x")]
            if row.stratum == ratio.names[0]:
                rows += [replace(row, axis="size_by_half", stratum=f"{row.stratum} & y", mean=few)]
    trained = replace(
        ratio, rule="training range", edges=(0.004, 0.25), system="unet", unit="",
        window="96x96x96; axes RAS", minimum=25,
    )  # fmt: skip
    others = tuple(it for it in results.strata if it.axis != "foreground_ratio")
    return replace(results, strata=(trained, *others, cross), summaries=(*results.summaries, *rows))


def page_of(results: Results) -> str:
    html = render(results, {}, {}, images=False)
    start = html.index('<section id="strata"')
    return html[start : html.index("</section>", start)]


def test_the_section_says_how_groups_were_made_and_that_they_are_made_of_cases() -> None:
    text = re.sub(r"<[^>]+>", " ", page_of(with_cross(SAMPLE)))
    text = " ".join(text.split())
    assert "a patient with cases in several groups counts in each" in text
    assert "training range, both ends outside" in text
    assert re.search(r"edges 0\.4\s+%, 25\s+%", text)
    assert "of unet" in text
    assert "windows 96x96x96; axes RAS" in text
    assert "3 patients with cases in several groups" in text
    assert "too few" in text
    assert "Without interval: too few patients to infer from." in text


def test_a_cross_is_a_picture_with_a_title_and_a_table_of_every_cell() -> None:
    html = page_of(with_cross(SAMPLE))
    assert "by foreground ratio and half</title>" in html
    maps = [it for it in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "and half</title>" in it]
    assert len(maps) == len(SAMPLE.systems)
    ratio = next(it for it in SAMPLE.strata if it.axis == "foreground_ratio")
    for picture in maps:
        # three cells with colour, one of too few patients, two without a case
        assert len(re.findall(r"fill-opacity", picture)) == len(ratio.names)
        assert len(re.findall(r'class="hollow', picture)) == 1
        assert picture.count(">no case<") == len(ratio.names) - 1
        assert "n = 4, too few" in picture
        assert "style=" not in picture
    assert html.count("no case</td>") == (len(ratio.names) - 1) * len(SAMPLE.systems)


def test_a_cross_does_not_crowd_the_forest_plot() -> None:
    html = page_of(with_cross(SAMPLE))
    forests = [it for it in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "by stratum" in it]
    assert forests
    assert all("&amp; x" not in it for it in forests)


def test_the_shade_of_a_cell_follows_its_value() -> None:
    html = page_of(with_cross(SAMPLE))
    picture = next(it for it in re.findall(r"<svg.*?</svg>", html, re.DOTALL) if "and half<" in it)
    shades = [float(it) for it in re.findall(r'fill-opacity="([\d.]+)"', picture)]
    values = [
        float(it)
        for it in re.findall(r'class="tick strong" text-anchor="middle">([\d.]+)<', picture)
    ]
    coloured = [values[0], *values[2:]]  # the second cell is hollow
    assert len(shades) == len(coloured)
    assert sorted(shades) == [shade for _, shade in sorted(zip(coloured, shades, strict=True))]
