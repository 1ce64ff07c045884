"""The page of one rating: every number from the record, every state in words, nothing from elsewhere."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from rated_patients import BIAS, NOISE, SPEC, Drawn, drawn_certificate, new_scan

from auditor.confidence.calibration import Calibration, calibrated
from auditor.confidence.rating import rate
from auditor.schema.ratings import Rating, RatingCard, RatingContours, RatingPicture
from reports.card import render_card

SQUARE = ((2.5, 2.5), (9.5, 2.5), (9.5, 9.5), (2.5, 9.5))
PICTURE = RatingPicture(
    plane="axial",
    slice=7,
    width=12,
    height=12,
    spacing=(3.0, 1.0),
    contours=(RatingContours("outer", (SQUARE,)), RatingContours("prediction", (SQUARE,))),
    png="aGFsbG8=",
)


@pytest.fixture(scope="module")
def known() -> Calibration:
    return calibrated(drawn_certificate(7))


def rated(known: Calibration, noise: float, bias: float, **changes: Any) -> Rating:
    estimates = {NOISE: (noise, ""), BIAS: (bias, "")}
    drawn = Drawn(0.9, 0.95, noise, bias)
    return rate(known, new_scan(drawn, estimates=estimates, **changes), tool="segaudit 1")


def words(page: str) -> str:
    """What a reader sees."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body).replace("\xa0", " "))


def test_a_rated_scan_shows_its_bound_and_what_it_is_not(known: Calibration) -> None:
    rating = rated(known, 7.0, 44.0)
    page = render_card(RatingCard(rating, (PICTURE,)))
    text = words(page)
    assert rating.bound.value is not None
    assert (
        f"DSC above {math.floor(100 * rating.bound.value) / 100:.2f}" in text
    )  # never more than it is
    assert "GRADE B the lower bound of the DSC reaches 0.6, not 0.8" in text
    assert rating.sentence in text
    assert "Inner and outer mask are no treatment margins." in text
    assert "at rician noise 1-2; split conformal" in text
    assert f"over {rating.certificate.patients} patients; here 0.950 over 2 copies" in text
    assert "axial, slice 7" in text
    # the picture is stretched to its physical shape: 12 rows of 3 mm, 12 columns of 1 mm
    assert 'viewBox="0 0 12 36"' in page
    assert page.count("contour contour-outer") == 2  # on the picture, and in the legend
    assert "contour-inner" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_a_scan_that_is_not_rated_says_why_first(known: Calibration) -> None:
    rating = rated(known, 25.0, 30.0)
    text = words(render_card(RatingCard(rating, ())))
    assert "NOT RATED nothing is promised for this scan" in text
    assert rating.reasons[0] in text.replace("&lt;", "<")
    assert "No picture: there is no prediction to outline." in text
    assert "Bound none; it would be for 90 % of scans" in text
    assert "outside" in text


def test_every_axis_says_where_the_scan_lies_in_words_and_picture(known: Calibration) -> None:
    blind = tuple(
        replace(it, usable=False, reason="the estimate does not rise")
        if it.perturbation == BIAS
        else it
        for it in known.certificate.axes
    )
    page = render_card(
        RatingCard(rated(calibrated(replace(known.certificate, axes=blind)), 7.0, 44.0), ())
    )
    text = words(page)
    assert "Rician noise calibrated" in text
    assert "the estimate does not rise not assessed" in text
    found = re.findall(r"<title>The scan on [^<]*</title><desc>([^<]*)", page)
    assert len(found) == 1
    assert found[0].startswith("Estimate 7 % of S_ref, inside: scans are rated up to 13.14")


def test_the_page_is_closed_to_the_outside_and_the_same_for_the_same_record(
    known: Calibration,
) -> None:
    rating = rated(known, 2.0, 30.0, digest=f"{5:064x}")
    card = RatingCard(rating, (replace(PICTURE, png=""),))
    page = render_card(card)
    assert page == render_card(card)
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for foreign in ("http://", "https://", "<script", " style="):
        assert foreign not in page
    text = words(page)
    assert "No pixel of the scan is embedded." in text
    assert "This very scan was used for calibration: its bound says nothing new" in text
    assert text.count("was used for calibration") == 1


def test_names_of_a_certificate_cannot_write_into_the_page() -> None:
    spec = replace(SPEC, label="<b>x</b>", system="<i>s</i>")
    known = calibrated(drawn_certificate(2, patients=20, spec=spec, audit="<img src=x>"))
    page = render_card(RatingCard(rated(known, 2.0, 30.0), ()))
    for tag in ("<b>x", "<i>s", "<img"):
        assert tag not in page
