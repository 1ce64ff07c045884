"""Families by training patch, as the reader of a report gets them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from patch_families import rows, setup
from rows_tables import table_of

from auditor.analysis import summarise
from auditor.schema import Results
from reports.build import render


@pytest.fixture(scope="module")
def results() -> Results:
    return summarise(table_of(rows()), setup=setup())


@pytest.fixture(scope="module")
def page(results: Results) -> str:
    return render(results, {}, {}, images=True)


def words(html: str) -> str:
    inline = re.sub(r"</?(data|span)[^>]*>", "", html)
    return " ".join(re.sub(r"<[^>]+>", " ", inline).split())


def test_the_report_says_which_question_training_patches_answer(page: str) -> None:
    told = words(page)
    assert "trained per patch size, each run under windows of its own patch" in told
    assert "This sweeps the inference window" not in told  # there is no sweep here
    assert "Small objects fill a small share of a window" in told
    assert "DSC of organ, unet by training patch: 32x32x32, 64x64x64" in told
    assert "unet-32-s1, unet-32-s2, unet-32-s3" in told
    assert "between training patches on the same patients, organ, unet" in told
    assert "Loss of mean DSC outside of the training range" in told
    assert "Where the loss lies (1 - DSC, summed over cases), organ, agu" in told
    assert "What leaving the training range costs one family more than another" in told
    assert "unet less agu" in told


def test_drawings_have_words_and_one_mark_a_family(page: str) -> None:
    drawings = re.findall(r"<svg[^>]*role=.img.*?</svg>", page, re.DOTALL)
    mine = [it for it in drawings if "<title>Mean DSC of organ by training patch" in it]
    assert len(mine) == 8  # all sizes and three thirds, two families
    assert "unet, patch 32x32x32, inside: 0." in mine[0]
    assert "below" not in mine[0]
    assert len(set(re.findall(r"(?:mark f|hollow s)(\d+)", mine[0]))) == 1


def test_without_families_nothing_is_shown(results: Results) -> None:
    bare = render(replace(results, trained_patches=(), range_drops=()), {}, {}, images=True)
    assert "training patch" not in words(bare)
