"""`auditor.ablated`: a network of this process, ablated, as a callable system."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ablated_nets import OneSkip
from further_networks import ChannelsLastUNet, UNet
from torch import Tensor, nn

import auditor
from auditor.errors import CheckpointError, ConfigError

EXAMPLE = torch.zeros(1, 1, 12, 10)
IMAGE = np.random.default_rng(0).normal(size=(1, 12, 10)).astype(np.float32)


def test_a_module_becomes_a_system_by_the_words_of_a_configuration() -> None:
    # it returns twice the image, which is what skips
    for ablate, right in (
        ({"skip": 0, "by": "dose", "alpha": 0.5}, IMAGE),
        ({"skip": "all", "by": "zero"}, 0 * IMAGE),
        ({"skip": [0], "by": "mean"}, 0 * IMAGE + 2 * IMAGE.mean()),
    ):
        system = auditor.ablated(OneSkip(), ablate=ablate, example=EXAMPLE)
        np.testing.assert_allclose(system(IMAGE), right, atol=1e-6)
        # another size than that of the example is looked at when it comes
        assert system(IMAGE[:, :8, :4]).shape == (1, 8, 4)


def test_the_other_image_is_an_array() -> None:
    other = IMAGE + 3
    system = auditor.ablated(
        OneSkip(), ablate={"skip": 0, "by": "image"}, example=EXAMPLE, other=other
    )
    np.testing.assert_allclose(system(IMAGE), 2 * other, atol=1e-5)
    with pytest.raises(ValueError, match=r"must have the shape \(1, 8, 10\) of the image"):
        system(IMAGE[:, :8])


def test_a_module_in_training_is_left_as_it_was() -> None:
    module = UNet().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    system = auditor.ablated(
        module, ablate={"skip": 1, "by": "zero"}, example=torch.zeros(1, 1, 16, 16)
    )
    system(np.ones((1, 16, 16), np.float32))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_channels_last_and_a_named_output_in_double_precision() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = ChannelsLastUNet()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            mask = self.net(x)
            return {"other": -mask, "mask": mask}

    torch.manual_seed(0)
    module = Named().double()
    image = np.random.default_rng(1).normal(size=(2, 16, 24)).astype(np.float32)
    system = auditor.ablated(
        module,
        ablate={"skip": 0, "by": "dose", "alpha": 1.0},
        example=torch.zeros(1, 16, 24, 2, dtype=torch.float64),
        layout="channel_last",
        index="mask",
    )
    with torch.inference_mode():
        last = torch.from_numpy(np.moveaxis(image, 0, -1)[None].astype(np.float64))
        right = module.eval()(last)["mask"].numpy()
    np.testing.assert_allclose(system(image), np.moveaxis(right[0], -1, 0), rtol=1e-12)
    with pytest.raises(ConfigError, match="index must be one of other, mask, was 'masks'"):
        auditor.ablated(
            module,
            ablate={"skip": 0, "by": "zero"},
            example=torch.zeros(1, 16, 24, 2, dtype=torch.float64),
            layout="channel_last",
            index="masks",
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ablate": {"skip": 0, "by": "blur"}}, "ablate.sigma: is required with by: blur"),
        ({"ablate": {"skip": 0, "by": "men"}}, "ablate.by"),
        ({"ablate": {"skip": 0, "by": "zero", "size": 1}}, "ablate.size"),
        ({"ablate": "mean"}, "ablate must be a mapping"),
        ({"ablate": {"skip": 0, "by": "image"}}, "other must be given with by: image"),
        ({"other": IMAGE}, "other must be given with by: image and only then"),
        ({"example": None}, "example must be an array or tensor"),
    ],
)
def test_what_is_not_understood_is_said(change: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"ablate": {"skip": 0, "by": "zero"}, "example": EXAMPLE}
    with pytest.raises(ConfigError) as refused:
        auditor.ablated(OneSkip(), **(given | change))
    assert said in str(refused.value)


def test_what_the_module_has_not_is_said_before_any_audit() -> None:
    with pytest.raises(CheckpointError, match="level 4 has no skip connection"):
        auditor.ablated(OneSkip(), ablate={"skip": 4, "by": "zero"}, example=EXAMPLE)
    with pytest.raises(CheckpointError, match=r"must run on example, of shape \(1, 3, 12, 10\)"):
        auditor.ablated(
            OneSkip(), ablate={"skip": 0, "by": "zero"}, example=torch.zeros(1, 3, 12, 10)
        )
