"""The example of architectures: its networks, its tasks, and the page that it makes."""

from __future__ import annotations

from typing import Any

import monai.networks.nets
import pytest
import torch
from in_process import TorchModel
from networks import NETWORKS, build

from auditor.schema import InputSpec
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
