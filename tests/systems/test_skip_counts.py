"""Known numbers of skip connections, in every format: one description each, without probing a contract.

Networks whose contract is probed as well have theirs in test_zoo_of_architectures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.networks.nets
import pytest
import torch
from further_networks import (
    Attended,
    ChannelsLastUNet,
    DeepLab,
    PyramidPooling,
    SqueezeExcite,
    UNet,
    Valid,
)
from torch import nn
from zoo import FORMATS, ChannelsLast, exported_to

from auditor.systems.skips import Skips

nets: Any = monai.networks.nets


@dataclass(frozen=True, slots=True)
class Known:
    """A network and what is true of its skip connections."""

    build: Callable[[], nn.Module]
    """With random weights."""
    shape: tuple[int, ...]
    """Of the input without the batch."""
    skips: tuple[tuple[int, int], ...]
    """(level, channels) of each, in their order."""
    bottleneck: tuple[int, ...]
    """Its resolution."""
    minimal: bool = True
    """Whether the certificate says so, too."""
    channel_axis: int = 1
    """Of the values that skip."""
    layout: str = "channel_first"
    """Of the input."""
    without: frozenset[str] = frozenset()
    """Formats in which it cannot be written."""
    slow: bool = False
    """Takes seconds to be written."""
    late: frozenset[str] = frozenset()
    """Of the formats whose exporters take seconds for any network, those that it is written in."""


LATE = frozenset({"dynamo", "exported"})

NETWORKS = {
    "basic unet": Known(
        lambda: nets.BasicUNet(2, 1, 2, (4, 6, 8, 10, 12, 4)), (1, 32, 48),
        ((0, 4), (1, 6), (2, 8), (3, 10)), (2, 3), late=frozenset({"dynamo"}),
    ),
    "autoencoder": Known(
        lambda: UNet(joins=False), (1, 24, 32), (), (6, 8), late=frozenset({"dynamo"})
    ),
    "autoencoder of MONAI": Known(
        lambda: nets.AutoEncoder(2, 1, 2, (4, 8, 8), (1, 2, 2)), (1, 24, 32), (), (6, 8),
        without=frozenset({"script"}),
    ),
    "deeplab v3+": Known(DeepLab, (1, 64, 96), ((1, 4),), (8, 12), late=LATE),
    "pspnet": Known(PyramidPooling, (1, 96, 96), (), (12, 12), late=frozenset({"dynamo"})),
    "pspnet, bins in another order": Known(
        lambda: PyramidPooling((6, 3, 2, 1)), (1, 96, 96), (), (12, 12)
    ),
    "squeeze and excite": Known(
        lambda: UNet(SqueezeExcite, residual=True), (1, 24, 32), ((0, 4), (1, 8)), (6, 8),
        late=frozenset({"dynamo"}),
    ),
    "cbam": Known(
        lambda: UNet(Attended), (1, 24, 32), ((0, 4), (1, 8)), (6, 8), late=frozenset({"dynamo"})
    ),
    "channels last at both ends": Known(
        lambda: ChannelsLast(UNet()), (24, 32, 1), ((0, 4), (1, 8)), (6, 8), layout="channel_last"
    ),
    "channels last around every convolution": Known(
        ChannelsLastUNet, (24, 32, 2), ((0, 4), (1, 8)), (6, 8), channel_axis=3,
        layout="channel_last", late=LATE,
    ),
    "without padding": Known(Valid, (1, 64, 64), ((2, 4), (7, 8)), (19, 19)),
    "additive 3-D": Known(
        lambda: nets.SegResNet(3, 8, 1, 2, blocks_down=(1, 1, 1), blocks_up=(1, 1)), (1, 8, 16, 12),
        ((0, 8), (1, 16)), (2, 4, 3),
    ),
    "swin unetr 3-D": Known(
        lambda: nets.SwinUNETR(
            1, 2, depths=(1, 1, 1, 1), num_heads=(2, 2, 2, 2), feature_size=12
        ),
        (1, 64, 64, 64), ((0, 12), (1, 12), (2, 24), (3, 48), (4, 96)), (2, 2, 2),
        without=frozenset({"script"}), slow=True,
    ),
}  # fmt: skip


def _pairs() -> Iterator[Any]:
    for name, known in NETWORKS.items():
        for kind in FORMATS:
            late = kind in LATE
            if kind in known.without or (late and kind not in known.late):
                continue
            slow = known.slow or late
            yield pytest.param(name, kind, marks=[pytest.mark.slow] if slow else [])


def _found(name: str, kind: str, folder: Path) -> Skips:
    torch.manual_seed(0)
    known = NETWORKS[name]
    module = known.build().eval()
    path = exported_to(folder, kind, module, torch.randn(1, *known.shape))
    last = known.layout == "channel_last"
    shape = (1, known.shape[-1], *known.shape[:-1]) if last else (1, *known.shape)
    described = FORMATS[kind].run(path).describe(shape, known.layout)
    assert described.skips is not None, described.skips_note
    return described.skips


@pytest.mark.parametrize(("name", "kind"), list(_pairs()))
def test_skip_connections_are_counted_alike_in_every_format(
    name: str, kind: str, tmp_path: Path
) -> None:
    known, found = NETWORKS[name], _found(name, kind, tmp_path)
    assert tuple((it.level, it.channels) for it in found.found) == known.skips
    assert {it.channel_axis for it in found.found} <= {known.channel_axis}
    assert (found.complete, found.minimal) == (True, known.minimal)
    assert found.coarsest == known.bottleneck
    assert not any(it.nested for it in found.found)
    assert not found.one_voxel


@functools.cache
def _of_module(name: str) -> tuple[Any, ...]:
    """Count in the module itself, which no exporter has changed."""
    from auditor.systems.skips import find_skips
    from auditor.systems.skips.torch_recording import record_torch

    torch.manual_seed(0)
    known = NETWORKS[name]
    seen, _ = record_torch(
        known.build().eval(),
        torch.randn(1, *known.shape),
        channel_last=known.layout == "channel_last",
    )
    return tuple((it.level, it.channels) for it in find_skips(seen.recording).found)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_module_has_as_many_as_its_exports(name: str) -> None:
    assert _of_module(name) == NETWORKS[name].skips
