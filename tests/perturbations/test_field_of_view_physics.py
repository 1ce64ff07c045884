"""Crops, lost slices and occlusions, by counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scans import head, padded_ct

import perturbations
from perturbations import Scan
from perturbations.field_of_view import extent_along

SHAPE = (20, 50, 40)


def box(modality: str = "mr") -> Scan:
    """A box of 100 in 4, on 12 slices, 30 rows, 20 columns of an anisotropic grid."""
    image = torch.full((1, *SHAPE), 4.0)
    image[:, 4:16, 10:40, 10:30] = 100.0
    return Scan(image=image, spacing=(4.0, 0.9, 1.2), modality=modality)


def test_the_extent_is_that_of_the_foreground() -> None:
    scan = box()
    for axis, (low, high) in enumerate(((3.5, 15.5), (9.5, 39.5), (9.5, 29.5))):
        found = extent_along(scan, axis)
        assert found == pytest.approx((low, high), abs=0.02)


def test_a_crop_loses_its_share_of_the_extent_at_one_end() -> None:
    scan = box()
    seen = set()
    for seed in range(40):
        result = perturbations.realise("crop", scan, seed=seed).at(level=20.0)
        assert result.warp is not None
        lost = ~result.warp.retained
        # what is lost are whole slices of one axis, at one end
        planes = [lost.movedim(axis, 0).flatten(1).all(dim=1) for axis in range(3)]
        axis = next(k for k in range(3) if planes[k].any() and not planes[k].all())
        assert int(lost.sum()) == int(planes[axis].sum()) * lost.numel() // SHAPE[axis]
        first = bool(planes[axis][0])
        seen.add((axis, first))
        bright = result.image[0] > 50
        kept = bright.movedim(axis, 0).flatten(1).any(dim=1).nonzero()[:, 0]
        extent = {0: 12, 1: 30, 2: 20}[axis]
        # 20 % of 12, 30, 20 voxels: 2.4, 6 and 4; voxels cut by more than half show air's side
        assert extent - len(kept) == pytest.approx(0.2 * extent, abs=0.6)
        assert bool((result.image[0][lost & ~bright] <= 100 * 0.5 + 4).all())
    assert seen == {(axis, end) for axis in range(3) for end in (True, False)}


def test_a_voxel_in_which_the_cut_lies_keeps_its_share() -> None:
    scan = box()
    for seed in range(20):
        result = perturbations.realise("crop", scan, seed=seed).at(level=20.0)
        assert result.warp is not None
        by_slice = result.image[0, :, 25, 20]
        if int(result.warp.retained[:, 25, 20].sum()) < SHAPE[0]:
            # 2.4 slices of 12 are lost (to 1 in 2000 of the volume): the third keeps 0.6 of 100, 0.4 of 4
            inside = by_slice[(by_slice > 4.1) & (by_slice < 99.9)]
            assert inside.tolist() == pytest.approx([0.6 * 100 + 0.4 * 4], abs=1.0)
            return
    pytest.fail("no crop along the slices in 20 draws")


@pytest.mark.parametrize(("level", "left"), [(20.0, 14), (30.0, 12), (40.0, 11)])
def test_a_voxel_is_retained_when_at_least_half_of_it_is_shown(level: float, left: int) -> None:
    scan = box()
    shown = set()
    for seed in range(40):
        warp = perturbations.realise("crop", scan, seed=seed).at(level=level).warp
        assert warp is not None
        slices = warp.retained[:, 25, 20]
        if int(slices.sum()) < SHAPE[0] and bool(warp.retained[slices].all()):
            shown.add(int(slices.sum()))
    # 2.4, 3.6 and 4.8 slices of 12 are lost, and 4 beyond them: the voxel of the cut keeps .6, .4 and .2
    # of itself, and is retained in the first case alone
    assert shown == {left}


@pytest.mark.parametrize("name", ["crop", "missing_slices", "occlusion"])
def test_what_is_lost_at_a_level_is_lost_at_every_higher_one(name: str) -> None:
    scan = head() if name != "occlusion" else box("other")
    for seed in range(5):
        drawn = perturbations.realise(name, scan, seed=seed)
        before = torch.ones(scan.spatial_shape, dtype=torch.bool)
        for severity in (1, 2, 3, 4, 5):
            result = drawn.at(severity=severity)
            assert result.warp is not None
            now = result.warp.retained
            assert bool((before | ~now).all())
            assert int(now.sum()) <= int(before.sum())
            whole = now & (result.image[0] != scan.image[0])
            if name != "crop":  # a crop mixes the voxel of the cut, and retains it from one half on
                assert not bool(whole.any())
            before = now


@pytest.mark.parametrize(("level", "lost"), [(2.0, 1), (5.0, 1), (15.0, 2), (25.0, 3)])
def test_slices_are_lost_among_those_with_anatomy(level: float, lost: int) -> None:
    scan = box()
    result = perturbations.realise("missing_slices", scan, seed=7).at(level=level)
    assert result.warp is not None
    gone = ~result.warp.retained.flatten(1).any(dim=1)
    # 12 slices hold the box: 0.24, 0.6, 1.8 and 3 of them, at least one
    assert int(gone.sum()) == lost
    assert bool((gone.nonzero() >= 4).all())
    assert bool((gone.nonzero() < 16).all())
    assert bool((result.image[0][gone] == 4.0).all())
    assert torch.equal(result.image[0][~gone], scan.image[0][~gone])


def test_one_slice_is_always_left() -> None:
    result = perturbations.realise("missing_slices", box(), seed=7).at(level=100.0)
    assert int((result.image[0] > 50).flatten(1).any(dim=1).sum()) == 1


def test_an_image_has_no_slices_to_lose() -> None:
    flat = Scan(image=box().image[:, 8], spacing=(0.9, 1.2), modality="mr")
    for scan in (flat, Scan(image=box().image[:, 8:9], spacing=(4.0, 0.9, 1.2), modality="mr")):
        result = perturbations.realise("missing_slices", scan, seed=7).at(severity=5)
        assert torch.equal(result.image, scan.image)
        assert result.status == "no_effect"
        assert result.warp is None


@pytest.mark.parametrize("level", [1.0, 6.0, 15.0])
def test_an_occlusion_hides_its_share_of_the_area_in_every_slice_alike(level: float) -> None:
    scan = box("other")
    values = set()
    for seed in range(10):
        result = perturbations.realise("occlusion", scan, seed=seed).at(level=level)
        assert result.warp is not None
        hidden = ~result.warp.retained
        assert bool((hidden == hidden[:1]).all())
        assert int(hidden[0].sum()) == round(level / 100 * 50 * 40)
        shown = np.unique(result.image[0][hidden].numpy())
        assert len(shown) == 1
        values.add(float(shown[0]))
        # it hides some of the foreground: its centre lies there
        assert bool((hidden & scan.foreground).any())
    assert values == {4.0, 100.0}


def test_an_occlusion_is_an_ellipse_in_mm() -> None:
    image = torch.full((1, 200, 150), 10.0)
    image[:, 90:110, 65:85] = 50.0
    scan = Scan(image=image, spacing=(0.5, 1.0), modality="other")
    result = perturbations.realise("occlusion", scan, seed=3).at(level=4.0)
    assert result.warp is not None
    hidden = (~result.warp.retained).nonzero().double().numpy() * np.array([0.5, 1.0])
    moments = np.linalg.eigvalsh(np.cov(hidden.T))
    short, long = 2 * np.sqrt(moments)
    # an ellipse of half axes a, b has variances a^2 / 4, b^2 / 4 and the area pi a b
    area = 0.04 * 200 * 150 * 0.5
    assert np.pi * short * long == pytest.approx(area, rel=0.03)
    assert 0.45 < short / long <= 1.0


def test_nothing_moves_and_predictions_stay_as_they_are() -> None:
    warp = perturbations.realise("crop", box(), seed=1).at(severity=3).warp
    assert warp is not None
    assert not warp.moves
    values = torch.rand(2, *SHAPE)
    assert torch.equal(warp.pull_back(values), values)
    assert float(warp.displacement().abs().max()) == 0.0


def test_cropped_ct_shows_air() -> None:
    image = torch.full((1, 12, 40, 40), -1000.0)
    image[:, :, 8:32, 8:32] = 40.0
    scan = Scan(image=image, spacing=(5.0, 1.0, 1.0), modality="ct")
    result = perturbations.realise("crop", scan, seed=2).at(severity=4)
    assert result.warp is not None
    assert bool(result.image[0][~result.warp.retained].min() == -1000.0)


def test_lost_slices_of_ct_with_a_little_padding_hold_air() -> None:
    image = torch.full((1, 12, 40, 40), -1000.0)
    image[:, :, 8:32, 8:32] = 40.0
    image[:, :, :2, :2] = -2000.0
    scan = Scan(image=image, spacing=(5.0, 1.0, 1.0), modality="ct")
    for name in ("missing_slices", "crop"):
        result = perturbations.realise(name, scan, seed=2).at(severity=4)
        assert result.warp is not None
        assert set(result.image[0][~result.warp.retained].tolist()) == {-1000.0}


def test_a_crop_mixes_no_padding() -> None:
    scan = padded_ct()
    for seed in range(12):
        for level in (7.0, 20.0, 33.0):
            result = perturbations.realise("crop", scan, seed=seed).at(level=level)
            assert set(np.unique(result.image.numpy())) <= {-3024.0, -1000.0, 40.0}


def test_an_occlusion_of_less_than_half_a_voxel_has_no_effect() -> None:
    image = torch.full((1, 6, 7), 10.0)
    image[0, 2:4, 2:5] = 50.0
    scan = Scan(image=image, spacing=(1.0, 1.0), modality="other")
    drawn = perturbations.realise("occlusion", scan, seed=1)
    # 1 % of 42 voxels is 0.42 of one
    nothing = drawn.at(level=1.0)
    assert nothing.status == "no_effect"
    assert nothing.warp is None
    assert torch.equal(nothing.image, scan.image)
    hidden = drawn.at(level=3.0).warp
    assert hidden is not None
    assert int((~hidden.retained).sum()) == 1
