"""What arrays, modes and processes a caller may have: the same numbers, or words."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from scans import head

import perturbations
from perturbations import Scan, effect

IMAGE = (np.random.default_rng(5).random((6, 40, 44)) * 100 + 1).astype(np.float32)


def noisy(image: Any) -> Any:
    return perturbations.apply(
        "rician_noise", image, severity=3, seed=7, modality="mr", spacing_mm=(3.0, 1.0, 1.0)
    )


@pytest.mark.parametrize(
    "same",
    [
        IMAGE[::-1].copy()[::-1],
        IMAGE.astype(">f4"),
        np.asfortranarray(IMAGE),
        IMAGE.astype(np.float64),
        np.frombuffer(IMAGE.tobytes(), dtype=np.float32).reshape(IMAGE.shape),
    ],
    ids=["negative strides", "big endian", "Fortran order", "float64", "read only"],
)
def test_any_layout_of_an_array_gives_the_same_bits(same: Any) -> None:
    assert np.array_equal(noisy(same), noisy(IMAGE))


def test_what_is_no_plain_array_of_numbers_is_refused() -> None:
    for wrong in (np.ma.masked_less(IMAGE, 5), IMAGE.astype(object), IMAGE.astype(str)):
        with pytest.raises(TypeError, match=r"image must be .* got"):
            noisy(wrong)
    with pytest.raises(ValueError, match="within float32"):
        noisy(IMAGE.astype(np.float64) * 1e300)


@pytest.mark.parametrize("axis", ["0", 1.0, True, 3, -4])
def test_a_channel_axis_is_one_of_the_axes(axis: Any) -> None:
    with pytest.raises(
        ValueError, match="channel_axis must be one of the 3 axes of the image, got"
    ):
        perturbations.apply("rotation", IMAGE, severity=1, seed=1, channel_axis=axis)


@pytest.mark.parametrize("name", ["rician_noise", "gaussian_blur", "ghosting", "rotation", "gibbs"])
def test_inference_mode_and_autocast_change_nothing_then_or_later(name: str) -> None:
    scan = head()
    before = perturbations.realise(name, scan, seed=1).at(severity=2).image
    with torch.inference_mode():
        inside = Scan(
            image=scan.image.clone(), spacing=scan.spacing, modality="mr", region=scan.region
        )
        within = perturbations.realise(name, inside, seed=1).at(severity=2).image.clone()
        measured = effect.measure(inside, within)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = perturbations.realise(name, scan, seed=1).at(severity=2).image
    after = perturbations.realise(name, scan, seed=1).at(severity=2).image
    assert torch.equal(before, within)
    assert torch.equal(before, cast)
    assert torch.equal(before, after)
    assert measured == effect.measure(scan, after)


FORKED = """
import os
import torch, perturbations
torch.set_num_threads(2)
image = torch.rand(1, 24, 128, 128) * 100
scan = perturbations.Scan(image=image, spacing=(3.0, 1.0, 1.0), modality="mr")
names = ("rician_noise", "crop", "wraparound", "rotation", "low_field_mr")
def made():
    own = perturbations.Scan(image=image, spacing=(3.0, 1.0, 1.0), modality="mr")
    return [perturbations.realise(n, own, seed=1).at(severity=2).image.numpy().tobytes() for n in names]
here = made()
child = os.fork()
if child == 0:
    os._exit(0 if made() == here else 3)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_process_makes_the_same_bits_and_does_not_wait_for_ever() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "0"


def test_a_record_is_json_and_its_own_whatever_numbers_were_given() -> None:
    parts = [["gaussian_noise", 0.5], ["gaussian_blur", 0.5]]
    scan = head()
    whole: Any = np.int64(4)
    single: Any = np.float32(2.0)
    drawn = perturbations.realise("chain", scan, seed=whole, parts=parts)
    made = drawn.at(severity=single)
    record = json.loads(json.dumps(drawn.record(made.level)))
    parts[0][1] = 1.0
    assert torch.equal(perturbations.replay(record, scan).image, made.image)
    assert json.loads(json.dumps(drawn.record(made.level))) == record
    for key in ("name", "seed", "options", "level", "unit"):
        lacking = {k: v for k, v in record.items() if k != key}
        with pytest.raises(ValueError, match=f"lacks {key}"):
            perturbations.replay(lacking, scan)
    wrong: Any = "record"
    with pytest.raises(TypeError, match="record must be a mapping"):
        perturbations.replay(wrong, scan)


@pytest.mark.parametrize("wrong", [float("nan"), 1e9, "3", True])
def test_a_level_that_is_none_is_not_recorded(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="level of rician_noise must"):
        perturbations.realise("rician_noise", head(), seed=1).record(wrong)


@pytest.mark.parametrize("wrong", [None, np.zeros((2, 3, 4)), "scan"])
def test_what_is_no_scan_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"scan must be a perturbations\.Scan, got"):
        perturbations.realise("rician_noise", wrong, seed=1)


@pytest.mark.parametrize("wrong", [None, 3, ["a"]])
def test_a_name_is_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match="the name of a perturbation must be text, got"):
        perturbations.realise(wrong, head(), seed=1)


def test_names_and_modalities_are_told_from_each_other() -> None:
    with pytest.raises(ValueError, match="did you mean 'rician_noise'"):
        perturbations.get("RICIAN_NOISE")
    with pytest.raises(ValueError, match="modality must be one of ct, mr"):
        perturbations.levels_for("gaussian_noise", "mri")


def test_what_is_compared_must_be_an_image_of_the_scan() -> None:
    scan = head()
    nothing: Any = None
    with pytest.raises(TypeError, match="must be a float32 tensor"):
        effect.measure(scan, nothing)
    with pytest.raises(TypeError, match=r"must be a float32 tensor.* got torch\.float64"):
        effect.similarity(scan, scan.image.double())
    with pytest.raises(ValueError, match="image must be finite"):
        effect.measure(scan, scan.image * float("nan"))
    with pytest.raises(ValueError, match="image must have shape"):
        effect.similarity(scan, scan.image[:, 1:])


@pytest.mark.parametrize("scale", [1e-30, 1e-16, 1.0, 1e16, 1e34])
def test_effects_do_not_depend_on_the_unit_of_the_intensities(scale: float) -> None:
    scan = head()
    scaled = Scan(image=scan.image * scale, spacing=scan.spacing, modality="mr")
    plain = Scan(image=scan.image, spacing=scan.spacing, modality="mr")
    found = effect.measure(
        scaled, perturbations.realise("gaussian_noise", scaled, seed=1).at(severity=3).image
    )
    expected = effect.measure(
        plain, perturbations.realise("gaussian_noise", plain, seed=1).at(severity=3).image
    )
    assert found.ssim == pytest.approx(expected.ssim, abs=1e-4)
    assert found.nrmse == pytest.approx(expected.nrmse, rel=1e-3)
    assert found.psnr == pytest.approx(expected.psnr, abs=0.01)


def test_a_similarity_far_from_zero_is_that_of_the_reference() -> None:
    from skimage.metrics import structural_similarity as reference

    raised = Scan(image=head().image + 1e5, spacing=head().spacing, modality="mr")
    made = perturbations.realise("intensity_shift", raised, seed=1).at(severity=1).image
    found = effect.similarity(raised, made)
    a, b = (it[0].double().numpy() for it in (raised.image, made))
    expected = reference(a, b, data_range=np.ptp(a), use_sample_covariance=False)  # type: ignore[no-untyped-call]
    assert found == pytest.approx(expected, abs=1e-4)
