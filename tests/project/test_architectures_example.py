"""The example of architectures: its networks, its tasks, and the page that it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import monai.networks.nets
import numpy as np
import pytest
import torch
from in_process import TorchModel
from jobs import finished, train_jobs
from networks import NETWORKS, build
from scipy.ndimage import label
from textures import DIRECTIONS, PAIRS, TEXTURES, blended, draw_case, texture
from training import TINY, Job, train_one, write_checkpoint

from auditor.schema import InputSpec
from auditor.strata.texture import texture_disparity_compat
from auditor.systems.skips import Skips, find_skips

nets: Any = monai.networks.nets


def skips_of(module: torch.nn.Module, *shape: int) -> Skips:
    image = torch.zeros(1, 1, *shape)
    with torch.inference_mode():
        facts = TorchModel(module.eval()).facts(image.numpy(), InputSpec())
    assert facts.recording is not None
    return find_skips(facts.recording)


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_skips_that_they_are_named_after(name: str) -> None:
    module = build(name, 2, 64, widths=(2, 4, 4, 8, 8))
    found = skips_of(module, 64, 64)
    assert len(found.found) == NETWORKS[name].skips(5)
    assert found.complete
    assert bool(found.found) == (NETWORKS[name].group != "no-skip")


def test_only_the_finest_skip_is_left_out() -> None:
    """Of 64 voxels the first convolution leaves 32: the finest concatenation of this U-Net is there."""
    whole = [it.resolution for it in skips_of(build("unet"), 64, 64).found]
    less = [it.resolution for it in skips_of(build("unet_without_finest"), 64, 64).found]
    assert whole == [(32, 32), (16, 16), (8, 8)]
    assert less == whole[1:]


@pytest.mark.parametrize("name", ["noskip_unet", "unet", "attention_unet", "unet_without_finest"])
def test_networks_in_three_dimensions_keep_the_size_of_an_uneven_volume(name: str) -> None:
    module = build(name, 3, widths=(2, 4, 4)).eval()
    assert module(torch.zeros(1, 1, 8, 16, 12)).shape == (1, 1, 8, 16, 12)


@pytest.mark.parametrize("training", [False, True])
def test_the_v_net_is_that_of_monai_where_the_widths_agree(*, training: bool) -> None:
    image = torch.rand(4, 1, 32, 32)
    answers = []
    for make in (
        lambda: build("vnet", widths=(16, 32)),
        lambda: nets.VNet(2, 1, 1, act="relu", dropout_prob_down=0.0, dropout_prob_up=(0.0, 0.0)),
    ):
        torch.manual_seed(3)
        module = make().train(training)
        torch.manual_seed(4)
        answers.append(module(image))
    assert torch.equal(*answers)


def test_the_u_net_is_that_of_monai() -> None:
    image = torch.rand(2, 1, 32, 32)
    torch.manual_seed(3)
    ours = build("unet", widths=(2, 4, 8))
    torch.manual_seed(3)
    theirs = nets.UNet(2, 1, 1, (2, 4, 8), (2, 2), norm="BATCH", act="ReLU")
    assert torch.equal(ours(image), theirs(image))


def test_dropout_of_the_published_v_net_takes_skips_of_whole_images() -> None:
    """In 2-D, Dropout3d takes (n, c, y, x) for (c, z, y, x): what it drops is an image."""
    dropout = build("vnet", widths=(2, 4)).get_submodule("up_tr32.dropout2")
    torch.manual_seed(0)
    kept = dropout(torch.ones(64, 2, 4, 4)).flatten(1)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(kept.amin(1), kept.amax(1))  # an image is kept or dropped, whole


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("u-net", {}, "no network 'u-net'; choose one of noskip_unet"),
        ("unet", {"dims": 1}, "2 or 3 dimensions"),
        ("unet_plus_plus", {"widths": (2, 4)}, "five widths"),
        ("unetr", {"size": 40}, "a multiple of 16, got 40"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(
    name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **given)


def test_small_networks_have_about_as_many_parameters_each() -> None:
    counts = {
        name: sum(it.numel() for it in build(name, widths=network.small).parameters())
        for name, network in NETWORKS.items()
        if name != "unetr"
    }
    assert all(490_000 < it < 670_000 for it in counts.values()), counts


# ---------------------------------------------------------------- the texture task


@pytest.mark.parametrize("number", range(12))
def test_a_blob_is_one_piece_inside_the_picture(number: int) -> None:
    case = draw_case(number, seed=5, size=48)
    border = np.ones_like(case.mask)
    border[3:-3, 3:-3] = False
    assert not (case.mask & border).any()
    assert label(case.mask)[1] == 1
    assert 0.03 <= case.foreground_ratio <= 0.45


def test_a_case_follows_from_its_seed_and_number_alone() -> None:
    first, again, other = (draw_case(i, seed=5, size=48) for i in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.mask != other.mask).any()
    assert (draw_case(1, seed=6, size=48).mask != first.mask).any()


@pytest.mark.parametrize("name", TEXTURES)
def test_textures_have_the_same_mean_and_variance(name: str) -> None:
    drawn = texture(name, 64, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.0, abs=1e-9)
    assert drawn.var() == pytest.approx(1.0)


def test_the_textures_of_bands_run_across_each_other() -> None:
    """The crests of a wave change most along its own direction."""
    rng = np.random.default_rng(3)
    directions = []
    for name in PAIRS["bands"]:
        down, across = np.gradient(texture(name, 128, rng))
        slopes = np.stack([down.ravel(), across.ravel()])
        values, vectors = np.linalg.eigh(slopes @ slopes.T)
        assert values[1] > 3 * values[0]
        directions.append(vectors[:, 1])
    assert abs(float(directions[0] @ directions[1])) < np.cos(np.radians(50))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_blending_lowers_the_published_disparity_of_texture(direction: str) -> None:
    cases = [draw_case(i, seed=5) for i in range(4)]

    def disparity(level: float) -> float:
        found = [
            texture_disparity_compat(
                torch.from_numpy(blended(it, direction, level)), torch.from_numpy(it.mask)
            ).value
            for it in cases
        ]
        assert None not in found
        return float(np.mean(np.array(found, dtype=float)))

    clean, half, most = (disparity(level) for level in (0.0, 0.5, 0.9))
    assert clean > 0.6
    assert half < clean - 0.2
    assert most < half + 0.05
    assert most < 0.5


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_blending_changes_its_side_alone(direction: str) -> None:
    case = draw_case(0, seed=5, size=48)
    changed = blended(case, direction, 0.5) != case.image
    side = case.mask if direction == "foreground" else ~case.mask
    assert not changed[~side].any()
    assert changed[side].mean() > 0.9
    np.testing.assert_array_equal(blended(case, direction, 0.0), case.image)


# ---------------------------------------------------------------- training


def test_a_finished_network_is_not_trained_again_and_a_killed_one_is(tmp_path: Path) -> None:
    recipe = replace(TINY, epochs=2)
    job = Job("noskip_unet", 1, "foreground", 0.1)
    (first,) = train_jobs([job], train_one, recipe, tmp_path, processes=1)
    made = tmp_path / f"{job.name}.onnx"
    weights, time = made.read_bytes(), made.stat().st_mtime_ns
    (again,) = train_jobs([job], train_one, recipe, tmp_path, processes=1)
    assert (again, made.stat().st_mtime_ns) == (first, time)
    (tmp_path / f"{job.name}.json").unlink()  # the facts are written last
    (anew,) = train_jobs([job], train_one, recipe, tmp_path, processes=1)
    assert (anew, made.read_bytes()) == (first, weights)  # the same seed, the same weights
    assert finished(job, replace(recipe, epochs=1), tmp_path) is None  # another recipe


def test_a_checkpoint_that_answers_otherwise_than_its_network_is_refused(tmp_path: Path) -> None:
    class Wayward(torch.nn.Module):
        """Does for images what it does not for the empty one at which it is traced."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * 2 if image.any() else image

    with pytest.raises(RuntimeError, match=r"net\.pt must answer as its network does"):
        write_checkpoint(Wayward().eval(), (1, 8, 8), tmp_path / "net")
