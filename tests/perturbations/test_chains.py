"""Chains and rows of a site: the parts act as they do alone, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scans
import torch
from numpy.typing import NDArray
from scipy import ndimage

import perturbations
from perturbations import Scan, compose, derive_seed, effect, joint
from perturbations.attenuation import attenuation_of, own_noise_hu
from perturbations.catalog import get
from perturbations.chains import Part, replay_joint
from perturbations.projector import forward

SCANS: dict[str, Callable[[], Scan]] = {
    "low_field_mr": scans.head,
    "low_dose_ct": scans.abdomen,
    "portable_ultrasound": scans.sonogram,
}


def head() -> Scan:
    return scans.head()


def test_a_chain_of_one_part_is_that_part() -> None:
    scan = head()
    chained = compose(scan, ["gamma_up"], seed=4).at(severity=3).image
    # gamma draws nothing, so that the seed of a part does not matter
    alone = perturbations.realise("gamma_up", scan, seed=99).at(severity=3).image
    assert torch.equal(chained, alone)


def test_parts_act_in_the_order_given() -> None:
    scan = head()
    chained = compose(scan, ["gamma_up", "intensity_shift"], seed=4).at(severity=2).image
    first = perturbations.realise("gamma_up", scan, seed=1).at(severity=2).image
    by_hand = perturbations.realise("intensity_shift", scan.successor(first), seed=1).at(severity=2)
    assert torch.equal(chained, by_hand.image)
    # the shift is 6 % of the signal of the clean scan, not of the gamma's outcome
    shift = (chained - first).double()
    assert float(shift.mean()) == pytest.approx(0.06 * scan.s_ref, rel=1e-4)
    swapped = compose(scan, ["intensity_shift", "gamma_up"], seed=4).at(severity=2).image
    assert not torch.equal(swapped, chained)


def test_a_share_scales_the_severity_of_its_part() -> None:
    scan = head()
    half = compose(scan, [Part("contrast_loss", 0.5)], seed=4).at(severity=4).image
    whole = perturbations.realise("contrast_loss", scan, seed=4).at(severity=2).image
    assert torch.equal(half, whole)
    # and stops at the last severity: 3 x 4 = 12 is 5
    most = compose(scan, [("contrast_loss", 3.0)], seed=4).at(severity=4).image
    assert torch.equal(
        most, perturbations.realise("contrast_loss", scan, seed=4).at(severity=5).image
    )


def test_severities_of_a_chain_share_the_draws_of_each_part() -> None:
    # noise of sd s on a scan of 1000: Rician is Gaussian there, so that the fields are proportional
    scan = Scan(image=torch.full((1, 6, 24, 24), 1000.0), spacing=(3.0, 1.0, 1.0), modality="mr")
    drawn = compose(scan, ["gaussian_noise"], seed=4)
    faint, strong = ((drawn.at(severity=s).image - scan.image).double() for s in (1, 2))
    assert torch.allclose(strong, 2 * faint, atol=1e-3)


def test_two_parts_of_one_kind_draw_for_themselves() -> None:
    scan = Scan(image=torch.full((1, 6, 64, 64), 1000.0), spacing=(3.0, 1.0, 1.0), modality="mr")
    twice = compose(scan, ["gaussian_noise", "gaussian_noise"], seed=4).at(severity=1).image
    # 3 % of 1000 twice: sqrt(2) x 30 = 42.4; were the draws the same it would be 60
    assert float((twice - scan.image).std()) == pytest.approx(42.4, rel=0.02)


@pytest.mark.parametrize("name", SCANS)
def test_named_acquisitions_replay_from_json(name: str) -> None:
    scan = SCANS[name]()
    drawn = perturbations.realise(name, scan, seed=12)
    record = json.loads(json.dumps(drawn.record(3.0)))
    assert torch.equal(perturbations.replay(record, scan).image, drawn.at(severity=3).image)
    parts = get(name).options["parts"]
    assert len(parts) >= 3
    suits = [get(part).modalities for part, _ in parts]
    assert all(not known or scan.modality in known for known in suits)


def test_the_module_does_not_hide_the_function() -> None:
    perturbations.realise("low_field_mr", head(), seed=1)
    assert callable(perturbations.compose)
    assert callable(perturbations.joint)


def test_low_field_mr_is_the_chain_of_its_parts() -> None:
    scan = head()
    named = perturbations.realise("low_field_mr", scan, seed=12).at(severity=3).image
    parts = get("low_field_mr").options["parts"]
    assert torch.equal(named, compose(scan, parts, seed=12).at(severity=3).image)
    # air: what the parts before leave there is small against 9 % of the signal, Rayleigh noise of
    # mean sigma sqrt(pi / 2)
    air = ~torch.from_numpy(ndimage.binary_dilation(scan.foreground.numpy(), iterations=8))
    sigma = 0.09 * scan.s_ref
    assert float(named[0][air].mean()) == pytest.approx(sigma * (torch.pi / 2) ** 0.5, rel=0.1)


def fully_developed_speckle() -> Scan:
    """A flat sector of 42 dB in a range of 60 dB: a complex normal field seen by a beam of (2, 4) px."""
    rng = np.random.default_rng(8)
    sigma = np.array([2.0, 4.0]) / 2.3548
    parts = [ndimage.gaussian_filter(rng.standard_normal((200, 200)), sigma) for _ in range(2)]
    envelope = np.hypot(*parts)
    decibels = 42.0 + 20 * np.log10(envelope / envelope.mean())
    display = np.clip(decibels / 60.0 * 255.0, 1.0, 255.0).astype(np.float32)
    display[0, 0] = 255.0  # 0 dB
    return Scan(torch.from_numpy(display)[None], spacing=(1.0, 1.0), unit="px", modality="us")


def without_depth(image: torch.Tensor) -> NDArray[np.float64]:
    """(row, column): what is left of the mean of each depth, away from borders."""
    values = image[0].double().numpy()[10:-10, 10:-10]
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def test_portable_ultrasound_has_coarser_speckle_that_is_no_weaker() -> None:
    scan = fully_developed_speckle()
    drawn = perturbations.realise("portable_ultrasound", scan, seed=2)
    images = [scan.image, *(drawn.at(severity=s).image for s in range(1, 6))]
    left = [without_depth(image) for image in images]
    spread = [float(values.std()) for values in left]
    # the sd of 20 log10 of a Rayleigh number is 5.57 dB, on a display of 255 / 60 per dB
    assert spread[0] == pytest.approx(5.57 * 255 / 60, rel=0.03)
    assert np.all(np.diff(spread) > 0)
    # two independent fields of 5.57 dB would have 1.41 times that
    assert spread[-1] < 1.2 * spread[0]
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        alike = [float((it[one] * it[other]).mean() / it.var()) for it in left]
        assert np.all(np.diff(alike) > 0)
    changed = [effect.measure(scan, image).nrmse for image in images]
    assert np.all(np.diff(changed) > 0)


def noisy_abdomen(sigma_hu: float) -> Scan:
    clean = scans.abdomen()
    drawn = perturbations.realise("ct_dose", clean, seed=5, full_dose_noise_hu=sigma_hu)
    return Scan(image=drawn.at(level=0.5).image, spacing=clean.spacing, modality="ct")


def test_a_dose_is_a_dose_whatever_blurred_the_scan_before() -> None:
    scan = noisy_abdomen(12.0)
    blurred = perturbations.realise("gaussian_blur", scan, seed=1).at(level=2.5).image
    # the blur takes away most of what the scan's own noise could be seen by
    shown = own_noise_hu(Scan(image=blurred, spacing=scan.spacing, modality="ct"))
    assert shown < 0.8 * own_noise_hu(scan)
    row = {"gaussian_blur": 2.5, "ct_dose": 1 / 32}
    inserted = joint(row, scan, seed=6).image - blurred
    alone = one_by_one(scan, [("ct_dose", 1 / 32)], 6) - scan.image
    assert torch.allclose(inserted, alone, atol=1e-3)
    # sqrt(31) times the full-dose noise
    soft = (scan.image > 0) & (scan.image < 100) & (inserted != 0)
    assert float(inserted[soft].std()) == pytest.approx(31**0.5 * own_noise_hu(scan), rel=0.15)


def test_the_photons_of_metal_are_those_of_the_clean_scan() -> None:
    scan = noisy_abdomen(12.0)
    # an offset changes what is calibrated, not what rays met: the streaks stay
    row = {"intensity_scale": 1.15, "metal_streaks": 200.0}
    shifted = one_by_one(scan, [("intensity_scale", 1.15)], 6)
    streaks = one_by_one(scan, [("metal_streaks", 200.0)], 6) - scan.image
    places = (scan.image > 0) & (scan.image < 100) & (streaks.abs() > 50) & (streaks.abs() < 150)
    assert int(places.sum()) > 100
    chained = one_by_one(scan, list(row.items()), 6) - shifted
    ratio = chained[places] / streaks[places]
    # one factor for all: their strength is graded on the voxels of the image before
    assert float(ratio.std() / ratio.mean()) < 1e-3


def test_a_chain_projects_the_clean_scan_and_that_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, calls = scans.abdomen(), []

    def counted(*given: Any) -> torch.Tensor:
        calls.append(1)
        return forward(*given)

    monkeypatch.setattr("perturbations.attenuation.forward", counted)
    drawn = perturbations.realise("low_dose_ct", scan, seed=3)
    for severity in (1, 3, 5):
        drawn.at(severity=severity)
    assert len(calls) == 1
    later = scan.successor(scan.image * 0.5 - 500.0)
    again = later.successor(scan.image * 0.25 - 750.0)
    assert again.clean is scan
    assert attenuation_of(again, "ct_dose") is attenuation_of(scan, "ct_dose")


def test_options_of_a_part_are_declared_by_its_name() -> None:
    scan = head()
    drawn = compose(scan, ["gibbs"], seed=4, part_options={"gibbs": {"axes": [1]}})
    alone = perturbations.realise("gibbs", scan, seed=4, axes=[1]).at(severity=3).image
    assert torch.equal(drawn.at(severity=3).image, alone)
    assert not torch.equal(compose(scan, ["gibbs"], seed=4).at(severity=3).image, alone)
    record = json.loads(json.dumps(drawn.record(3.0)))
    assert torch.equal(perturbations.replay(record, scan).image, alone)


def test_a_row_is_applied_in_the_order_of_an_acquisition() -> None:
    scan = head()
    row = {"gaussian_noise": 6.0, "gamma_up": 1.5}
    one = joint(row, scan, seed=5)
    other = joint(dict(reversed(row.items())), scan, seed=5)
    assert torch.equal(one.image, other.image)
    # intensity comes before receiver noise: what is left of the gamma's outcome is noise of 6 %
    gamma = perturbations.realise("gamma_up", scan, seed=1).at(level=1.5).image
    left = (one.image - gamma).double()
    assert float(left.std()) == pytest.approx(0.06 * scan.s_ref, rel=0.05)
    assert (one.level, one.unit, one.status) == (2.0, "perturbations together", "ok")


def one_by_one(scan: Scan, steps: list[tuple[str, float]], seed: int) -> torch.Tensor:
    """Levels applied by hand in a given order, with the draws that `joint` gives them."""
    image = scan.image
    for name, level in steps:
        drawn = perturbations.realise(name, scan.successor(image), seed=derive_seed(seed, "", name))
        image = drawn.at(level=level).image
    return image


@pytest.mark.parametrize(
    "sampling",
    [("thick_slices", 6.0), ("gibbs", 0.35), ("ghosting", 40.0), ("low_resolution", 4.0)],
)
def test_coils_act_before_k_space_is_sampled_and_noise_comes_last(
    sampling: tuple[str, float],
) -> None:
    scan = scans.head(noise=0.0)
    bias, noise = ("bias_field", 100.0), ("rician_noise", 3.0)
    steps = dict([noise, sampling, bias])
    together = joint(steps, scan, seed=5).image
    assert torch.equal(together, one_by_one(scan, [bias, sampling, noise], 5))
    # any other order is another image, by more than rounding
    for order in ([bias, noise, sampling], [sampling, bias, noise], [noise, sampling, bias]):
        other = one_by_one(scan, order, 5)
        assert float((together - other).abs().max()) > 0.01 * scan.s_ref


def test_a_beam_is_wide_before_its_echoes_interfere() -> None:
    scan = scans.sonogram()
    blur, speckle = ("gaussian_blur", 4.0), ("ultrasound_speckle", 0.5)
    together = joint(dict([speckle, blur]), scan, seed=5).image
    assert torch.equal(together, one_by_one(scan, [blur, speckle], 5))


def test_noises_of_a_row_draw_for_themselves() -> None:
    scan = Scan(image=torch.full((1, 6, 64, 64), 1000.0), spacing=(3.0, 1.0, 1.0), modality="mr")
    row = {"gaussian_noise": 6.0, "speckle_noise": 0.08}
    noisy = joint(row, scan, seed=4).image
    # sd of 60 and of 80, each from a normal field of its own: 100; from the same field 140
    assert float((noisy - scan.image).std()) == pytest.approx(100.0, rel=0.02)
    other = joint(row, scan, seed=5).image
    assert not torch.equal(noisy, other)


def test_neutral_levels_of_a_row_do_nothing() -> None:
    scan = head()
    clean = joint({"gamma_up": 1.0, "gaussian_noise": 0.0}, scan, seed=5)
    assert (clean.severity, clean.level) == (0.0, 0.0)
    assert torch.equal(clean.image, scan.image)


def test_a_row_replays_from_json() -> None:
    scan, row = head(), {"rician_noise": 4.0, "bias_field": 30.0}
    record = json.loads(json.dumps({"version": 1, "levels": row, "seed": 8, "modality": "mr"}))
    assert torch.equal(replay_joint(record, scan).image, joint(row, scan, seed=8).image)
    with pytest.raises(ValueError, match="version 1 and modality mr"):
        replay_joint({**record, "modality": "ct"}, scan)


def test_rows_of_a_site_are_drawn_and_scaled() -> None:
    scan = head()
    rows = [{"gamma_up": 1.5}, {"contrast_loss": 0.6}]
    gamma = perturbations.realise("gamma_up", scan, seed=1).at(level=1.5).image
    contrast = perturbations.realise("contrast_loss", scan, seed=1).at(level=0.6).image
    seen = []
    for seed in range(20):
        image = perturbations.realise("joint", scan, seed=seed, rows=rows).at(level=1.0).image
        assert torch.equal(image, gamma) or torch.equal(image, contrast)
        seen.append(torch.equal(image, gamma))
    # each row has an even chance: all 20 alike happens once in 500 000
    assert 0 < sum(seen) < 20
    # gamma 1.5 is severity 3; two thirds of it is severity 2, an exponent of 1.25
    part = perturbations.realise("joint", scan, seed=0, rows=rows[:1]).at(level=2 / 3).image
    assert torch.allclose(
        part, perturbations.realise("gamma_up", scan, seed=1).at(level=1.25).image, rtol=1e-5
    )


def test_an_empty_row_is_the_test_set_as_it_is() -> None:
    scan = head()
    drawn = perturbations.realise("joint", scan, seed=0, rows=[{}])
    assert torch.equal(drawn.at(level=1.0).image, scan.image)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([], "at least one part"),
        (["rotation"], "moves voxels"),
        (["crop"], "moves voxels or loses them"),
        (["low_field_mr"], "is a chain itself"),
        ([("gamma_up", 0.0)], "positive number"),
        (["ct_dose"], "ct"),
        (["fog_of_war"], "fog_of_war"),
    ],
)
def test_what_cannot_be_a_part_is_refused(parts: list[object], told: str) -> None:
    with pytest.raises((ValueError, KeyError), match=told):
        compose(head(), parts, seed=1)  # type: ignore[arg-type]


def test_levels_beyond_their_limits_are_refused_in_a_row() -> None:
    with pytest.raises(ValueError, match="gamma_up"):
        joint({"gamma_up": -1.0}, head(), seed=1)
