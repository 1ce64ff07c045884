"""Layers on the page: which move most, where that is absorbed, and every number behind it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
import results_samples
from sample_layers import LAYERS

from auditor.schema import AblationSpec, Estimate, LayerSusceptibility, Results
from reports.build import render
from reports.charts.layers import top_of
from reports.document import Gallery, Items, Prose, Section, Table
from reports.sections.layers import HYPOTHESIS, REPLACED, SAYS, layers
from reports.view import view_of

SAMPLES = results_samples.samples()
SAMPLE = SAMPLES["layers"]
FIRST = SAMPLE.layers[0]


def section(results: Results) -> Section:
    return layers(view_of(results, {}, {}, images=False))


def words(text: object) -> str:
    plain = unescape(re.sub(r"<[^>]+>", "", str(text)))
    return " ".join(plain.replace("\u00a0", " ").split())


def answers(results: Results) -> list[list[str]]:
    table = next(it for it in section(results).blocks if isinstance(it, Table))
    return [[words(cell) for cell in row] for row in table.rows]


def changed(**fields: object) -> Results:
    """The sample with one curve of another kind."""
    curve = replace(FIRST.curves[4], **fields)  # type: ignore[arg-type]
    return replace(SAMPLE, layers=(replace(FIRST, curves=(curve,)),))


def test_there_is_a_section_only_where_layers_were_compared() -> None:
    page = render(SAMPLE, {}, {}, images=False)
    assert '<section id="layers"' in page
    assert SAYS in unescape(page)
    assert HYPOTHESIS in unescape(page)
    assert '<section id="layers"' not in render(SAMPLES["bare"], {}, {}, images=False)


def test_merges_of_replaced_skips_are_explained_where_there_are_any() -> None:
    assert REPLACED not in [str(it.text) for it in section(SAMPLE).blocks if isinstance(it, Prose)]
    by = AblationSpec((0,), "mean")
    ablated = replace(
        SAMPLE, systems=(replace(SAMPLE.systems[0], ablation=by), *SAMPLE.systems[1:])
    )
    assert REPLACED in [str(it.text) for it in section(ablated).blocks if isinstance(it, Prose)]


def test_the_highest_severity_of_each_perturbation_is_put_into_words() -> None:
    rows = answers(SAMPLE)
    assert len(rows) == 4
    assert rows[0] == [
        "unet",
        "gaussian noise of 30 % of S_ref (severity 5)",
        "layer 1 (/net/1/Conv<1>, Relu)",
        "0.350 [0.315, 0.385]",
        "12",
        "not shown to the end of the network",
        "of each layer the one-sided 95% upper bound of the mean difference, patients paired, n ≥ 12",
    ]


def test_where_a_change_is_absorbed() -> None:
    assert answers(changed(below_from=5))[0][5] == "from layer 5 (/net/5/Conv<5>, Relu) on"
    assert answers(changed(below_from=0))[0][5] == "in every layer"
    none = Estimate(None, 0, "none", status="not_assessable", note="no value")
    alone = tuple(replace(it, between=none) for it in LAYERS)
    without = replace(FIRST, layers=alone, curves=FIRST.curves[:1])
    results = replace(SAMPLE, layers=(replace(without, curves=(
        replace(FIRST.curves[0], below_from=None, below_how="there is no other patient"),)),))  # fmt: skip
    assert answers(results)[0][5:] == ["not known", "there is no other patient"]


def test_where_nothing_moves_nothing_is_named() -> None:
    row = answers(changed(most=()))[0]
    assert row[2:5] == ["none", "none", "0"]


def test_a_system_that_could_not_be_seen_says_why() -> None:
    (items,) = [it for it in section(SAMPLE).blocks if isinstance(it, Items)]
    assert next(words(it) for it in items.items).endswith(
        "no distances: its network could not be recorded"
    )
    lost = replace(
        SAMPLE, layers=(LayerSusceptibility("unet", (), (), "no distances: it is gone"),)
    )
    assert 'id="layers"' in render(lost, {}, {}, images=False)


def test_every_layer_has_a_row_with_its_floor() -> None:
    table = [it for it in section(SAMPLE).blocks if isinstance(it, Table)][-1]
    rows = [[words(cell) for cell in row] for row in table.rows]
    assert len(rows) == len(LAYERS)
    assert rows[0][1:8] == ["0", "/net/0/Conv<0>", "Conv", "96 × 96 × 48", "16", "442 368", "0.006"]
    assert rows[0][8] == "0.120 [0.096, 0.144]"
    assert rows[4][6:9] == ["1", "1.000", "not assessable: one activation a channel"]
    assert "(bins − 1) / (4 voxels)" in words(table.note)


def test_every_figure_has_its_numbers() -> None:
    gallery = next(it for it in section(SAMPLE).blocks if isinstance(it, Gallery))
    assert gallery.table is not None
    rows = [[words(cell) for cell in row] for row in gallery.table.rows]
    heads = [words(it.title) for it in gallery.table.columns]
    assert heads[:4] == [
        "System", "Layer", "gaussian noise of 3 % of S_ref (severity 1)",
        "gaussian noise of 6 % of S_ref (severity 2)",
    ]  # fmt: skip
    assert rows[0][:3] == ["unet", "layer 0 (/net/0/Conv<0>, Conv)", "0.060 [0.054, 0.066]"]
    assert rows[0][-2] == "12"
    assert words(gallery.table.note) == (
        "unet, severity 5: 1 of 12 scans are not, or not wholly, compared: 1 no effect."
    )


def test_pictures_share_a_scale_and_say_in_words_what_they_show() -> None:
    galleries = [it for it in section(SAMPLE).blocks if isinstance(it, Gallery)]
    assert next(it.title or it.summary for it in galleries) == "Gaussian noise: unet"
    (figure,) = galleries[0].figures
    picture = str(figure.svg)
    assert "distance of activations to the clean scan along the network" in picture
    assert "severity 5: largest 0.350 at /net/1/Conv&lt;1&gt;" in picture
    assert "Conv<1>" not in picture
    assert picture.count("not assessable") == 0
    # the largest number, .385, is below the next round one
    assert top_of([FIRST]) == 0.4
    assert top_of([]) == pytest.approx(0.06)
