"""Levels that have a given measured effect."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scans import abdomen, cells, head, slice_of_a_head

import perturbations
from perturbations import CATALOG, IsoEffect, Realisation, Scan, effect, iso_effect_levels
from perturbations.catalog import Levels
from perturbations.iso_effect import TARGETS, TOLERANCE


def levels(found: tuple[IsoEffect, ...]) -> list[float]:
    return [it.level for it in found if it.level is not None]


@pytest.mark.parametrize("name", ["gaussian_noise", "gaussian_blur", "rician_noise"])
def test_a_solved_level_has_the_similarity_that_was_asked_for(name: str) -> None:
    scan = head()
    drawn = perturbations.realise(name, scan, seed=5)
    found = iso_effect_levels(drawn)
    assert [it.target for it in found] == list(TARGETS)
    for it in found:
        assert it.status == "ok"
        assert it.level is not None
        assert it.ssim is not None
        measured = effect.measure(scan, drawn.at(level=it.level).image).ssim
        assert measured == it.ssim
        assert abs(it.ssim - it.target) <= TOLERANCE
        assert it.unit == perturbations.levels_for(name, "mr")[1]


def test_a_lower_similarity_needs_a_stronger_level() -> None:
    for scan in (head(), abdomen(), cells(), slice_of_a_head()):
        found = levels(iso_effect_levels("gaussian_noise", scan, seed=2))
        assert len(found) == len(TARGETS)
        assert found == sorted(found)
        assert len(set(found)) == len(found)


def test_a_scale_that_falls_from_neutral_is_followed_downwards() -> None:
    # gamma_down: exponents below 1
    found = iso_effect_levels("gamma_down", abdomen(), seed=1, targets=(0.99, 0.97))
    known = levels(found)
    assert len(known) == 2
    assert 1.0 > known[0] > known[1] > 0.0


def test_the_same_seed_gives_the_same_levels_and_another_draw_nearly_so() -> None:
    one = iso_effect_levels("gaussian_noise", head(), seed=2)
    assert one == iso_effect_levels("gaussian_noise", head(), seed=2)
    other = iso_effect_levels("gaussian_noise", head(), seed=3)
    assert levels(one) == pytest.approx(levels(other), rel=0.1)
    assert [it.ssim for it in one] != [it.ssim for it in other]


def test_targets_may_come_in_any_order_and_one_by_one() -> None:
    together = iso_effect_levels("gaussian_blur", head(), seed=2, targets=(0.7, 0.9))
    assert [it.target for it in together] == [0.7, 0.9]
    alone = iso_effect_levels("gaussian_blur", head(), seed=2, targets=(0.9,))
    assert together[1] == alone[0]


def test_a_level_among_the_listed_ones_has_a_severity_and_one_beyond_has_none() -> None:
    found = iso_effect_levels("gaussian_noise", head(), seed=2, targets=(0.95, 0.02))
    assert found[0].severity is not None
    assert 0 < found[0].severity < 5
    assert found[1].level is not None
    assert found[1].level > 25.0
    assert found[1].severity is None


def test_a_target_that_no_level_reaches_has_a_status_and_a_reason() -> None:
    # the strongest field that physics admits leaves the structure
    (found,) = iso_effect_levels("bias_field", head(), seed=1, targets=(0.02,))
    assert found.status == "out_of_reach"
    assert (found.level, found.severity) == (None, None)
    assert found.ssim is not None
    assert found.ssim > 0.02 + TOLERANCE
    assert "the strongest that was tried" in found.reason
    assert f"{found.ssim:.3f}" in found.reason


def test_what_changes_nothing_is_out_of_reach() -> None:
    found = iso_effect_levels("thick_slices", slice_of_a_head(), seed=1)
    assert {it.status for it in found} == {"out_of_reach"}
    assert {it.ssim for it in found} == {1.0}


def test_geometry_is_not_measured_by_similarity() -> None:
    found = iso_effect_levels("rotation", head(), seed=1, targets=(0.9, 0.8))
    assert {it.status for it in found} == {"undefined"}
    assert all("voxels move" in it.reason and it.level is None for it in found)


def test_a_scan_without_structure_has_no_levels() -> None:
    flat = Scan(image=torch.full((1, 9, 9, 9), 5.0), spacing=(1, 1, 1), modality="other")
    (found,) = iso_effect_levels("gaussian_noise", flat, seed=1, targets=(0.9,))
    assert found.status == "undefined"
    assert "no structure" in found.reason


def test_a_level_that_leaves_float32_ends_the_search() -> None:
    scan = replace(head(), image=head().image * (3.3e38 / float(head().image.max())))
    (found,) = iso_effect_levels("gaussian_noise", scan, seed=1, targets=(0.05,))
    assert found.status == "out_of_reach"
    assert found.ssim is not None
    assert math.isfinite(found.ssim)
    assert "leaves the range of float32" in found.reason


def rounding(scan: Scan) -> Realisation:
    """Round to so many bits over the range of the scan."""
    low, high = (float(extreme) for extreme in torch.aminmax(scan.image))

    def at(level: float) -> tuple[torch.Tensor, None]:
        steps = 2.0**level - 1
        return ((scan.image - low) / (high - low) * steps).round() / steps * (
            high - low
        ) + low, None

    entry = replace(
        CATALOG["gaussian_noise"], name="rounding", scale="ordinal", neutral=16.0, limits=(1.0, 16.0),
        body=Levels("bits", (8.0, 6.0, 4.0)), ct=None, display=None,
    )  # fmt: skip
    return Realisation(entry, scan, 1, {}, at)


def test_an_ordinal_scale_is_solved_in_whole_levels_or_says_between_which(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scan = cells()
    drawn = rounding(scan)
    monkeypatch.setattr("perturbations.catalog.levels.CATALOG", {"rounding": drawn.entry})
    by_hand = {bits: effect.similarity(scan, drawn.at_level(bits)[0]) for bits in range(1, 9)}
    five, four = by_hand[5], by_hand[4]
    assert five is not None
    assert four is not None
    exact, between = iso_effect_levels(drawn, targets=(four, (five + four) / 2))
    assert (exact.status, exact.level, exact.severity, exact.ssim) == ("ok", 4.0, 3.0, four)
    assert between.status == "out_of_reach"
    assert between.level is None
    assert "at 5 to" in between.reason
    assert "at 4 bits with nothing between" in between.reason


def test_wrong_questions_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="targets must be a list of structural similarities"):
        iso_effect_levels("gaussian_noise", head(), seed=1, targets=(1.0,))
    with pytest.raises(ValueError, match="targets must be"):
        iso_effect_levels("gaussian_noise", head(), seed=1, targets=())
    with pytest.raises(ValueError, match="tolerance must lie"):
        iso_effect_levels("gaussian_noise", head(), seed=1, tolerance=0.0)
    with pytest.raises(ValueError, match="needs a realisation, or the name"):
        iso_effect_levels("gaussian_noise", head())
    with pytest.raises(ValueError, match="did you mean"):
        iso_effect_levels("gausian_noise", head(), seed=1)
