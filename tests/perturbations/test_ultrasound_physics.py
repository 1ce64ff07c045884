"""Speckle, shadows and attenuation on the envelope of an echo, by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scans import sonogram

import perturbations
from perturbations import Scan

SHAPE = (400, 500)


def grey(value: float = 150.0, shape: tuple[int, ...] = SHAPE) -> Scan:
    """Evenly grey but for one voxel of 200, which sets the top of the display range."""
    image = torch.full((1, *shape), value)
    image[(0, *[0] * len(shape))] = 200.0
    spacing = (1.0,) * len(shape)
    return Scan(image=image, spacing=spacing, unit="px", modality="us")


def envelope(image: torch.Tensor, peak: float, decibels: float = 60.0) -> NDArray[np.float64]:
    """Undo log compression: 10^(D / 20 (I - 1))."""
    return np.asarray(10 ** (decibels / 20 * (image.double().numpy() / peak - 1)))


def drawn_field(psf: tuple[float, float], seed: int = 4) -> NDArray[np.float64]:
    """The multiplicative field: what full mixing makes of an even envelope far below the top."""
    # 10 dB below the top leave room for factors of up to 10^(10 / 20) = 3.2; 50 dB lie below
    scan = grey(200.0 * 50 / 60)
    drawn = perturbations.realise("ultrasound_speckle", scan, seed=seed, psf_fwhm_px=psf)
    seen = envelope(drawn.at(level=1.0).image[0], 200.0)
    return np.asarray(seen / envelope(scan.image[0], 200.0))[1:]


def test_a_flat_envelope_becomes_rayleigh_with_a_signal_to_noise_ratio_of_1_91() -> None:
    field = drawn_field((0.0, 0.0))
    # Wagner et al. 1983: mean / sd of Rayleigh is sqrt(pi / (4 - pi)) = 1.913; the mean is made 1
    assert field.mean() == pytest.approx(1.0, abs=0.005)
    assert field.mean() / field.std() == pytest.approx(1.913, abs=0.02)
    # the median of Rayleigh over its mean: sqrt(2 ln 2) / sqrt(pi / 2) = 0.9394
    assert np.median(field) == pytest.approx(0.9394, abs=0.005)
    # P(r < t) = 1 - exp(-pi t^2 / 4): at t = 0.2 it is 0.0309
    assert (field < 0.2).mean() == pytest.approx(0.0309, abs=0.002)


def test_speckle_is_as_wide_as_the_point_spread_function_and_wider_across_the_beam() -> None:
    field = drawn_field((4.0, 10.0))
    assert field.mean() / field.std() == pytest.approx(1.913, abs=0.08)
    intensity = field**2 - (field**2).mean()

    def correlation(down: int, right: int) -> float:
        first = intensity[: -down or None, : -right or None]
        return float((first * intensity[down:, right:]).mean() / intensity.var())

    # the correlation of intensities over a distance is the PSF's own Gaussian: one half at half the
    # FWHM (2 voxels along the beam, 5 across), exp(-4 ln 2) = 0.0625 at the FWHM, none far away
    assert correlation(2, 0) == pytest.approx(0.5, abs=0.05)
    assert correlation(0, 5) == pytest.approx(0.5, abs=0.05)
    assert correlation(4, 0) == pytest.approx(0.0625, abs=0.05)
    assert correlation(0, 10) == pytest.approx(0.0625, abs=0.05)
    assert correlation(30, 0) == pytest.approx(0.0, abs=0.05)
    white = drawn_field((0.0, 0.0))
    white = white - white.mean()
    assert (white[1:] * white[:-1]).mean() / white.var() == pytest.approx(0.0, abs=0.01)


def test_speckle_keeps_its_variance_up_to_the_border() -> None:
    borders = [drawn_field((6.0, 8.0), seed)[:, [0, 1, -2, -1]] for seed in range(12)]
    inner = [drawn_field((6.0, 8.0), seed)[:, 200:300] for seed in range(3)]
    assert np.std(borders) == pytest.approx(np.std(inner), rel=0.1)


@pytest.mark.parametrize("share", [0.1, 0.35, 0.7])
def test_speckle_is_mixed_on_the_envelope_and_logged_again(share: float) -> None:
    scan = sonogram()
    peak = float(scan.image.max())
    flat = grey(peak * 50 / 60, scan.spatial_shape)
    flat.image[0, 0, 0] = peak
    options = {"dynamic_range_db": 60.0, "psf_fwhm_px": [2.0, 4.0]}
    # the same seed and shape draw the same field, whatever the image shows
    full = perturbations.realise("ultrasound_speckle", flat, seed=3, **options).at(level=1.0).image
    field = envelope(full[0], peak) / envelope(flat.image[0], peak)
    result = perturbations.realise("ultrasound_speckle", scan, seed=3, **options).at(level=share)
    mixed = envelope(scan.image[0], peak) * ((1 - share) + share * field)
    expected = np.clip(peak * (1 + 20 / 60 * np.log10(mixed)), 0, peak)
    expected[~scan.support.numpy()] = 0.0
    seen = np.ones_like(expected, dtype=bool)
    seen[0, 0] = False  # there the flat scan is at its top, and clipped
    # where factors beyond 3.2 were cut off the field is not known from the flat scan
    seen &= full[0].numpy() < peak
    assert seen.mean() > 0.98
    assert np.abs(result.image[0].numpy() - expected)[seen].max() < peak * 1e-5


def test_hardly_any_speckle_changes_hardly_anything() -> None:
    scan = sonogram()
    drawn = perturbations.realise("ultrasound_speckle", scan, seed=1)
    # |20 / 60 log10(1 + s (r - 1))| is below 1e-6 * 6 * 0.15 for r < 7
    assert float((drawn.at(level=1e-6).image - scan.image).abs().max()) < 3e-6 * float(
        scan.image.max()
    )


@pytest.mark.parametrize("name", ["ultrasound_speckle", "shadow", "depth_attenuation"])
def test_what_lies_outside_the_sector_stays_exactly_0(name: str) -> None:
    scan = sonogram()
    outside = ~scan.support
    assert 0.3 < float(outside.float().mean()) < 0.9
    for severity in (1, 5):
        image = perturbations.realise(name, scan, seed=2).at(severity=severity).image[0]
        assert bool((image[outside] == 0).all())
        assert bool((image >= 0).all())
        assert float(image.max()) <= float(scan.image.max())


def loss(name: str, scan: Scan, level: float, seed: int = 5, **options: object) -> torch.Tensor:
    """Decibels that every voxel loses."""
    peak = float(scan.image.max())
    result = perturbations.realise(name, scan, seed=seed, **options).at(level=level).image
    decibels = float(options.get("dynamic_range_db", 60.0))  # type: ignore[arg-type]  # a number
    return (scan.image - result)[0] * decibels / peak


@pytest.mark.parametrize(("level", "decibels"), [(3.0, 60.0), (10.0, 60.0), (16.0, 40.0)])
def test_the_core_of_a_shadow_loses_exactly_its_decibels(level: float, decibels: float) -> None:
    lost = loss("shadow", grey(), level, dynamic_range_db=decibels)
    deepest = lost[-1]
    core = deepest > level * (1 - 1e-4)
    # 60 % of a sector of 12 to 25 % of 500 beams: 36 to 75 beams side by side
    assert 34 <= int(core.sum()) <= 77
    places = torch.nonzero(core)[:, 0]
    assert int(places[-1] - places[0]) == int(core.sum()) - 1
    assert deepest[core].numpy() == pytest.approx(level, abs=1e-4 * level)
    # nothing before it begins, at 15 to 45 % of the depth, nothing beside it
    assert float(lost[: round(0.14 * 400)].abs().max()) == pytest.approx(0.0, abs=1e-4)
    assert int((deepest > 1e-3).sum()) <= 0.25 * 500 + 1
    column = lost[:, places[len(places) // 2]]
    assert bool((column.diff() >= -1e-4).all())
    begin = int((column > level / 2).nonzero()[0])
    assert 0.15 * 400 < begin < 0.48 * 400
    # smooth: no voxel loses more than a fifth of the level more than its neighbour
    assert float(lost.diff(dim=1).abs().max()) < 0.2 * level
    assert float(lost.diff(dim=0).abs().max()) < 0.2 * level


def test_a_deeper_shadow_is_the_same_shadow() -> None:
    three, ten = (loss("shadow", grey(), level) for level in (3.0, 10.0))
    assert (three * 10 / 3).numpy() == pytest.approx(ten.numpy(), abs=2e-3)


def test_another_draw_puts_the_shadow_elsewhere() -> None:
    middles = {int(loss("shadow", grey(), 10.0, seed=s)[-1].argmax()) for s in range(8)}
    assert len(middles) == 8


def test_attenuation_with_depth_is_a_straight_line_in_decibels() -> None:
    lost = loss("depth_attenuation", grey(), 12.0)
    # 400 rows: 0 dB in the first, 12 dB in the last, 12 * 100 / 399 in the row of index 100
    assert lost[:, 7].numpy() == pytest.approx(12.0 * np.arange(400) / 399, abs=1e-3)
    assert bool((lost[100, 1:] - 12.0 * 100 / 399).abs().max() < 1e-3)


def test_depth_begins_where_the_sector_begins() -> None:
    scan = grey(shape=(100, 60))
    scan.image[0, :20] = 0.0
    scan.image[0, 20, 0] = 200.0
    lost = loss("depth_attenuation", scan, 12.0)
    # rows 20 to 99 are 0 to 79 steps deep
    assert lost[20:, 5].numpy() == pytest.approx(12.0 * np.arange(80) / 79, abs=1e-3)
    assert bool((lost[:20] == 0).all())


def test_beams_that_fan_out_have_their_depth_from_the_apex_in_mm() -> None:
    image = torch.full((1, 81, 101), 150.0)
    image[0, 0, 50] = 200.0
    scan = Scan(image=image, spacing=(2.0, 1.0), modality="us")
    lost = loss("depth_attenuation", scan, 10.0, apex=[-10, 50])
    # 20 mm above the first row: depths from 20 mm to the corners' hypot(180, 50) = 186.8 mm;
    # in row 40 and column 20 it is hypot(100, 30) = 104.4 mm
    farthest = np.hypot(180, 50)
    expected = 10.0 * (np.hypot(100, 30) - 20) / (farthest - 20)
    assert float(lost[40, 20]) == pytest.approx(expected, abs=1e-3)
    assert float(lost[80, 0]) == pytest.approx(10.0, abs=1e-3)


def test_a_shadow_keeps_its_direction_from_the_apex() -> None:
    row, column = np.indices((81, 201), dtype=np.float64)
    direction = np.arctan2(column - 100, 2 * (row + 10))
    image = torch.from_numpy(np.where(np.abs(direction) < 0.5, 150.0, 0.0).astype(np.float32))[None]
    image[0, 0, 100] = 200.0
    scan = Scan(image=image, spacing=(2.0, 1.0), modality="us")
    cast = loss("shadow", scan, 10.0, seed=3, apex=[-10, 100]).numpy()
    middles = [float((direction[r] * cast[r]).sum() / cast[r].sum()) for r in (50, 60, 80)]
    # 1 rad from side to side; it leans to one side, by the same angle at every depth
    assert 0.03 < abs(middles[0]) < 0.5
    assert middles[1:] == pytest.approx([middles[0]] * 2, abs=0.005)
    # and it is as much wider as it is deeper: 0.6 of a width of 0.12 to 0.25 rad in the core
    wide = [int((cast[r] > 9.99).sum()) for r in (50, 80)]
    assert wide[1] / wide[0] == pytest.approx(90 / 60, rel=0.2)


def test_a_volume_is_shadowed_slice_by_slice_alike_and_speckled_independently() -> None:
    scan = grey(shape=(3, 60, 80))
    lost = (scan.image - perturbations.realise("shadow", scan, seed=1).at(level=5.0).image)[0]
    assert torch.allclose(lost[1], lost[2], atol=1e-4)
    speckled = perturbations.realise("ultrasound_speckle", scan, seed=1).at(level=0.5).image[0]
    correlation = np.corrcoef(speckled[1].flatten().numpy(), speckled[2].flatten().numpy())[0, 1]
    assert correlation == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("name", ["ultrasound_speckle", "shadow", "depth_attenuation"])
def test_values_below_0_and_a_range_of_no_decibels_are_refused(name: str) -> None:
    negative = Scan(image=grey().image - 190.0, spacing=(1.0, 1.0), unit="px", modality="us")
    with pytest.raises(ValueError, match=f"{name} needs a log-compressed image .* minimum of -40"):
        perturbations.realise(name, negative, seed=1)
    for wrong in (0.0, -60.0, float("nan"), "60"):
        with pytest.raises(
            ValueError, match=f"dynamic_range_db of {name} must be a positive number"
        ):
            perturbations.realise(name, grey(), seed=1, dynamic_range_db=wrong)


def test_options_of_geometry_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shadow needs an apex at or above the first row"):
        perturbations.realise("shadow", grey(), seed=1, apex=[3, 250])
    with pytest.raises(ValueError, match="depth_attenuation needs apex as two numbers, got 4"):
        perturbations.realise("depth_attenuation", grey(), seed=1, apex=4)
    with pytest.raises(ValueError, match="psf_fwhm_px as two numbers"):
        perturbations.realise("ultrasound_speckle", grey(), seed=1, psf_fwhm_px=[1.0])
    with pytest.raises(ValueError, match="psf_fwhm_px of 0 or more"):
        perturbations.realise("ultrasound_speckle", grey(), seed=1, psf_fwhm_px=[-1.0, 2.0])


def stack() -> Scan:
    """Three slices one behind the other along the last axis, 2 mm apart, each a sector of its own."""
    row, column = np.indices((80, 50))
    image = np.zeros((80, 50, 3), dtype=np.float32)
    for number in range(3):
        # 60, 64 and 68 rows deep: together the sector ends in row 77
        image[10 : 70 + 4 * number, 5:45, number] = 150.0
    image *= (row + column >= 20)[..., None]
    image[10, 20] = 200.0
    return Scan(image=torch.from_numpy(image)[None], spacing=(0.5, 0.8, 2.0), modality="us")


@pytest.mark.parametrize("apex", [None, [-20, 25]])
@pytest.mark.parametrize("name", ["shadow", "depth_attenuation"])
def test_slices_along_another_axis_are_shadowed_as_slices(
    name: str, apex: list[int] | None
) -> None:
    scan = stack()
    image = scan.image.movedim(3, 1).contiguous()
    first = Scan(image=image, spacing=(2.0, 0.5, 0.8), modality="us")
    lost = loss(name, scan, 8.0, apex=apex)
    assert torch.equal(lost.movedim(2, 0), loss(name, first, 8.0, apex=apex))
    if name == "depth_attenuation" and apex is None:
        # rows 10 to 77 of the deepest slice are 0 to 67 steps deep
        assert lost[10:78, 30, 2].numpy() == pytest.approx(8.0 * np.arange(68) / 67, abs=1e-3)


def test_speckle_of_slices_along_another_axis_is_as_wide_as_its_spread_in_their_plane() -> None:
    image = torch.full((1, 120, 150, 8), 200.0 * 50 / 60)
    image[0, 0, 0, 0] = 200.0
    scan = Scan(image=image, spacing=(0.5, 0.5, 3.0), modality="us")
    drawn = perturbations.realise("ultrasound_speckle", scan, seed=4, psf_fwhm_px=(4.0, 10.0))
    seen = envelope(drawn.at(level=1.0).image[0], 200.0) / envelope(scan.image[0], 200.0)
    intensity = seen[1:] ** 2 - (seen[1:] ** 2).mean()

    def correlation(axis: int, lag: int) -> float:
        lines = np.moveaxis(intensity, axis, 0)
        return float((lines[:-lag] * lines[lag:]).mean() / intensity.var())

    # one half at half the FWHM, and nothing from slice to slice
    assert correlation(0, 2) == pytest.approx(0.5, abs=0.08)
    assert correlation(1, 5) == pytest.approx(0.5, abs=0.08)
    assert correlation(2, 1) == pytest.approx(0.0, abs=0.08)


def test_percent_of_the_side_of_a_volume_are_of_the_sides_of_its_slices() -> None:
    scan = Scan(image=torch.rand(1, 100, 60, 5), spacing=(1.0, 1.0, 4.0), unit="px", modality="us")
    warp = perturbations.realise("translation", scan, seed=1).at(level=5.0).warp
    assert warp is not None
    # 5 % of (100 + 60) / 2 = 4 px
    assert float(warp.displacement().max()) == pytest.approx(4.0)


def test_one_slice_is_an_image_along_whichever_axis_it_is_stored() -> None:
    flat = sonogram()
    for axis in range(3):
        image = flat.image.unsqueeze(axis + 1).contiguous()
        scan = Scan(image=image, spacing=(1.0, 1.0, 1.0), unit="px", modality="us")
        for name in ("ultrasound_speckle", "shadow", "depth_attenuation"):
            made = perturbations.realise(name, scan, seed=2).at(severity=3).image
            same = perturbations.realise(name, flat, seed=2).at(severity=3).image
            assert torch.allclose(made.squeeze(axis + 1), same, atol=1e-4)
