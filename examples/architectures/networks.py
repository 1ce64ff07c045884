"""The networks of the studies, built on MONAI (2-D or 3-D, one channel in, one logit out).

`build` returns one of `NETWORKS`. Each is what the published tables name, with widths of one's own:

- **U-Net** is `monai.networks.nets.UNet` without residual units. Its first convolution halves the
  resolution, and its innermost concatenation bypasses no change of resolution; so five levels of width have
  four concatenations, and three skip connections by the rule of resolution.
- **No-Skip U-Net** is the same with every concatenation left out, so that each layer on the way up takes half
  as many channels. **U-Net without its finest skip** leaves out that of the highest resolution alone.
- **Attention U-Net** is `AttentionUnet`: two convolutions a level, the first at full resolution, and a gate on
  every skip.
- **UNet++** is `BasicUNetPlusPlus`, of which the last output is taken. The published call gives the block
  after the last upsampling 512 channels; here that width is an argument like the others.
- **V-Net** is `VNet` with another first width: MONAI fixes it to 16, as in full size here.
  MONAI concatenates the skip and then adds a residual. With the published arguments its two finest skips still
  pass through `Dropout3d(0.5)`, which in 2-D takes the images of a batch for channels: in training an image
  loses each of them altogether with a chance of one half.
- **No-Skip V-Net** follows the published code: the transposed convolution gives all channels, and neither the
  concatenation nor the residual of the decoder is kept. So it is no pure removal of skips; **No-Skip V-Net
  with residuals** keeps the residual and is one.
- **UNETR** is a transformer whose image size is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from monai.networks import nets
from monai.networks.nets import vnet
from torch import Tensor, nn

__all__ = ["FULL_LAST", "FULL_WIDTHS", "NETWORKS", "WIDTHS", "Network", "Shape", "build"]

WIDTHS = (8, 16, 32, 64, 128)
"""Channels of each level where none are given."""
FULL_WIDTHS = (16, 32, 64, 128, 256)
"""Channels of each level as published for the texture task."""
FULL_LAST = 512
"""Channels after the last upsampling of UNet++, as published."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a network is built."""

    dims: int
    """Spatial dimensions, 2 or 3."""
    widths: tuple[int, ...]
    """Channels of each level, finest first."""
    last: int | None = None
    """Channels after the last upsampling of UNet++; None: the first width."""
    size: int = 0
    """Of the (square or cubic) image; of UNETR only."""
    residual_units: int = 0
    """Convolutions of each residual block of the U-Nets; 0: one plain convolution."""


@dataclass(frozen=True, slots=True)
class Network:
    """One architecture."""

    title: str
    """As a page or a report names it."""
    group: str
    """Architecture group: no-skip, standard, enhanced (dense or gated), transformer."""
    build: Callable[[Shape], nn.Module]
    """With weights drawn by torch's current seed."""
    skips: Callable[[int], int]
    """Skip connections by the rule of resolution, from the number of widths."""
    small: tuple[int, ...] = WIDTHS
    """Channels of each level for two cores: about 0.6 million parameters, whatever the architecture."""


class First(nn.Module):
    """A network that answers with a list, of which the first entry is taken."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (n, 1, *sizes) to logits of the same shape."""
        return self.network(image)[0]  # type: ignore[no-any-return]  # MONAI is untyped


class SparseUNet(nets.UNet):  # type: ignore[misc]  # MONAI is untyped
    """MONAI's U-Net without the concatenations of some levels, counted from the finest."""

    def __init__(self, *, without: Sequence[int], **options: Any) -> None:  # noqa: ANN401 - MONAI's own
        self._left_out = frozenset(without)
        self._depth = len(options["channels"]) - 1
        super().__init__(**options)

    def _get_connection_block(
        self, down_path: nn.Module, up_path: nn.Module, subblock: nn.Module
    ) -> nn.Module:
        # MONAI builds from the bottom up: the finest level comes last
        self._depth -= 1
        if self._depth not in self._left_out:
            whole: nn.Module = super()._get_connection_block(down_path, up_path, subblock)
            return whole
        return nn.Sequential(down_path, subblock, up_path)

    def _get_up_layer(
        self,
        in_channels: int,
        out_channels: int,
        strides: int,
        is_top: bool,  # noqa: FBT001
    ) -> nn.Module:
        level = self._depth - 1  # the connection of this level is made right after this
        if level in self._left_out:
            in_channels -= self.channels[level]
        layer: nn.Module = super()._get_up_layer(in_channels, out_channels, strides, is_top)
        return layer


class PlainUp(nn.Module):
    """Decoder level of a V-Net without its skip."""

    def __init__(
        self, dims: int, in_channels: int, out_channels: int, convolutions: int, *, residual: bool
    ) -> None:
        super().__init__()
        block = vnet.UpTransition(dims, in_channels, 2 * out_channels, convolutions, "relu")
        self.up_conv, self.bn1 = block.up_conv, block.bn1
        self.act_function1, self.act_function2 = block.act_function1, block.act_function2
        self.ops = vnet._make_nconv(dims, out_channels, convolutions, "relu")  # noqa: SLF001 - as published
        self.residual = residual

    def forward(self, image: Tensor) -> Tensor:
        """Map (n, in_channels, *sizes) to (n, out_channels, *doubled sizes)."""
        up: Tensor = self.act_function1(self.bn1(self.up_conv(image)))
        out: Tensor = self.ops(up)
        return self.act_function2(out + up if self.residual else out)  # type: ignore[no-any-return]


class VNet(nn.Module):
    """MONAI's V-Net with a first width of one's own; without skips on request.

    Parameters
    ----------
    dims : 2 or 3
    width : channels of the first level; each further one has twice as many
    skips : whether the encoder's values are concatenated
    residual : whether a decoder without skips adds its input
    """

    def __init__(self, dims: int, width: int, *, skips: bool, residual: bool = True) -> None:
        super().__init__()
        act = "relu"
        self.in_tr = vnet.InputTransition(dims, 1, width, act)
        self.down_tr32 = vnet.DownTransition(dims, width, 1, act)
        self.down_tr64 = vnet.DownTransition(dims, 2 * width, 2, act)
        self.down_tr128 = vnet.DownTransition(dims, 4 * width, 3, act, dropout_prob=0.0)
        self.down_tr256 = vnet.DownTransition(dims, 8 * width, 2, act, dropout_prob=0.0)
        deep = (0.0, 0.0)
        if skips:
            self.up_tr256 = vnet.UpTransition(
                dims, 16 * width, 16 * width, 2, act, dropout_prob=deep
            )
            self.up_tr128 = vnet.UpTransition(
                dims, 16 * width, 8 * width, 2, act, dropout_prob=deep
            )
            self.up_tr64 = vnet.UpTransition(dims, 8 * width, 4 * width, 1, act)
            self.up_tr32 = vnet.UpTransition(dims, 4 * width, 2 * width, 1, act)
        else:
            self.up_tr256 = PlainUp(dims, 16 * width, 16 * width, 2, residual=residual)
            self.up_tr128 = PlainUp(dims, 16 * width, 8 * width, 2, residual=residual)
            self.up_tr64 = PlainUp(dims, 8 * width, 4 * width, 1, residual=residual)
            self.up_tr32 = PlainUp(dims, 4 * width, 2 * width, 1, residual=residual)
        self.out_tr = vnet.OutputTransition(dims, 2 * width, 1, act)
        self.skips = skips

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (n, 1, *sizes) to logits of the same shape."""
        first = self.in_tr(image)
        second = self.down_tr32(first)
        third = self.down_tr64(second)
        fourth = self.down_tr128(third)
        value = self.down_tr256(fourth)
        if self.skips:
            value = self.up_tr256(value, fourth)
            value = self.up_tr128(value, third)
            value = self.up_tr64(value, second)
            value = self.up_tr32(value, first)
        else:
            value = self.up_tr32(self.up_tr64(self.up_tr128(self.up_tr256(value))))
        return self.out_tr(value)  # type: ignore[no-any-return]


def build(
    name: str,
    dims: int = 2,
    size: int | None = None,
    *,
    widths: Sequence[int] = WIDTHS,
    last: int | None = None,
    residual_units: int = 0,
) -> nn.Module:
    """Return a network with weights drawn by torch's current seed, in training mode.

    Parameters
    ----------
    name : one of `NETWORKS`
    dims, size, last, residual_units : see `Shape`
    widths : channels of each level, finest first; V-Net doubles the first, UNETR takes it as feature size,
        UNet++ has five

    Raises
    ------
    ValueError
        When there is no such network, or the widths or the size do not fit it.
    """
    if name not in NETWORKS:
        msg = f"there is no network {name!r}; choose one of {', '.join(NETWORKS)}"
        raise ValueError(msg)
    if dims not in (2, 3) or len(widths) < 2 or min(widths) < 1:
        msg = (
            f"{name} needs 2 or 3 dimensions and two or more widths, got {dims} and {tuple(widths)}"
        )
        raise ValueError(msg)
    return NETWORKS[name].build(Shape(dims, tuple(widths), last, size or 0, residual_units))


def _unet(without: Callable[[int], Sequence[int]]) -> Callable[[Shape], nn.Module]:
    def built(shape: Shape) -> nn.Module:
        levels = len(shape.widths) - 1
        return SparseUNet(
            without=without(levels),
            spatial_dims=shape.dims,
            in_channels=1,
            out_channels=1,
            channels=shape.widths,
            strides=(2,) * levels,
            num_res_units=shape.residual_units,
            norm="BATCH",
            act="ReLU",
        )

    return built


def _attention(shape: Shape) -> nn.Module:
    strides = (2,) * (len(shape.widths) - 1)
    net: nn.Module = nets.AttentionUnet(shape.dims, 1, 1, shape.widths, strides)
    return net


def _plus_plus(shape: Shape) -> nn.Module:
    if len(shape.widths) != 5:
        msg = f"unet_plus_plus needs five widths, got {shape.widths}"
        raise ValueError(msg)
    features = (*shape.widths, shape.last or shape.widths[0])
    return First(
        nets.BasicUNetPlusPlus(shape.dims, 1, 1, features, norm="BATCH", act="ReLU", bias=False)
    )


def _vnet(*, skips: bool, residual: bool = True) -> Callable[[Shape], nn.Module]:
    def built(shape: Shape) -> nn.Module:
        return VNet(shape.dims, shape.widths[0], skips=skips, residual=residual)

    return built


def _unetr(shape: Shape) -> nn.Module:
    if shape.size < 16 or shape.size % 16:
        msg = (
            f"unetr needs the size that it is built for, a multiple of 16, got {shape.size or None}"
        )
        raise ValueError(msg)
    feature = shape.widths[0]
    hidden = (
        48 * feature
    )  # as published for a feature size of 16: 768, four times as many, 12 heads
    net: nn.Module = nets.UNETR(
        1, 1, (shape.size,) * shape.dims, feature_size=feature, hidden_size=hidden, mlp_dim=4 * hidden,
        num_heads=12, proj_type="perceptron", norm_name="instance", res_block=True,
        spatial_dims=shape.dims,
    )  # fmt: skip
    return net


NETWORKS: dict[str, Network] = {
    "noskip_unet": Network("No-Skip U-Net", "no-skip", _unet(range), lambda _: 0, FULL_WIDTHS),
    "noskip_vnet": Network(
        "No-Skip V-Net", "no-skip", _vnet(skips=False, residual=False), lambda _: 0, (4, 8)
    ),
    "unet": Network("U-Net", "standard", _unet(lambda _: ()), lambda widths: widths - 2, FULL_WIDTHS),
    "vnet": Network("V-Net", "standard", _vnet(skips=True), lambda _: 4, (4, 8)),
    "attention_unet": Network("Attention U-Net", "enhanced", _attention, lambda widths: widths - 1),
    "unet_plus_plus": Network("UNet++", "enhanced", _plus_plus, lambda _: 20),
    "unet_without_finest": Network(
        "U-Net without its finest skip", "standard", _unet(lambda _: (0,)),
        lambda widths: widths - 3, FULL_WIDTHS,
    ),
    "noskip_vnet_residual": Network(
        "No-Skip V-Net with residuals", "no-skip", _vnet(skips=False), lambda _: 0, (4, 8)
    ),
    "unetr": Network("UNETR", "transformer", _unetr, lambda _: 4),
}  # fmt: skip
"""By the name that checkpoints carry."""
