"""Segmentation networks that MONAI does not have, small and complete, to count skip connections in.

Each follows its paper; widths are small, weights random.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override


def conv(
    given: int, made: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1
) -> nn.Module:
    """Convolution, batch normalisation, ReLU; keeps sizes unless strided."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(given, made, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(made),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions with a sum around them, strided or dilated (He 2016)."""

    def __init__(self, given: int, made: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv(given, made, stride=stride, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(made, made, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(made),
        )
        plain = stride == 1 and given == made
        self.around = nn.Identity() if plain else nn.Conv2d(given, made, 1, stride, bias=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)) + self.around(x))


class Backbone(nn.Module):
    """A residual network that stops at an eighth and goes on with dilation; an early feature, and the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(1, 4, 7, stride=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.early = Residual(4, 6)
        self.late = nn.Sequential(
            Residual(6, 8, stride=2), Residual(8, 8, dilation=2), Residual(8, 12, dilation=4)
        )

    @override
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        early = self.early(self.pool(self.stem(x)))
        return early, self.late(early)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Interpolate to the sizes of another value."""
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class PooledContext(nn.Module):
    """The image branch of ASPP: one voxel, a convolution, and back."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.change = nn.Sequential(nn.Conv2d(given, made, 1, bias=False), nn.ReLU())

    @override
    def forward(self, x: Tensor) -> Tensor:
        return resized(self.change(self.pool(x)), x)


class DeepLab(nn.Module):
    """DeepLabV3+ (Chen 2018): atrous pyramid with image pooling, one early feature in the decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.pyramid = nn.ModuleList(
            [conv(12, 6, 1), *(conv(12, 6, dilation=n) for n in (2, 4, 6)), PooledContext(12, 6)]
        )
        self.project = conv(30, 8, 1)
        self.reduce = conv(6, 4, 1)
        self.last = nn.Sequential(conv(12, 8), conv(8, 8), nn.Conv2d(8, 2, 1))

    @override
    def forward(self, x: Tensor) -> Tensor:
        early, late = self.backbone(x)
        context = self.project(torch.cat([branch(late) for branch in self.pyramid], dim=1))
        joined = torch.cat([resized(context, early), self.reduce(early)], dim=1)
        return resized(self.last(joined), x)


class PyramidPooling(nn.Module):
    """PSPNet (Zhao 2017): averages over 1, 2, 3 and 6 bins an axis beside the features themselves."""

    fixed_size = True
    """The exporter that traces writes averages over bins for one size only."""

    def __init__(self, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(n), nn.Conv2d(12, 3, 1, bias=False), nn.ReLU())
            for n in bins
        )
        self.last = nn.Sequential(conv(12 + 3 * len(bins), 8), nn.Conv2d(8, 2, 1))

    @override
    def forward(self, x: Tensor) -> Tensor:
        _, late = self.backbone(x)
        joined = [late]
        for branch in self.branches:
            joined.append(resized(branch(late), late))  # TorchScript joins no lists
        return resized(self.last(torch.cat(joined, dim=1)), x)


class SqueezeExcite(nn.Module):
    """A gate for each channel (Hu 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 2, 1), nn.ReLU(),
            nn.Conv2d(2, channels, 1), nn.Sigmoid(),
        )  # fmt: skip

    @override
    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.gate(x)
        return gated


class Attended(nn.Module):
    """CBAM (Woo 2018): a gate for each channel, then one for each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Conv2d(channels, 2, 1), nn.ReLU(), nn.Conv2d(2, channels, 1))
        self.place = nn.Conv2d(2, 1, 7, padding=3)

    @override
    def forward(self, x: Tensor) -> Tensor:
        mean = self.change(functional.adaptive_avg_pool2d(x, 1))
        most = self.change(functional.adaptive_max_pool2d(x, 1))
        x = x * torch.sigmoid(mean + most)
        around = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        gated: Tensor = x * torch.sigmoid(self.place(around))
        return gated


class UNet(nn.Module):
    """A U-Net (Ronneberger 2015) with something after each pair of convolutions, and skips or none."""

    def __init__(
        self,
        after: type[nn.Module] | None = None,
        *,
        widths: Sequence[int] = (4, 8, 12),
        joins: bool = True,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.joins = joins

        def block(given: int, made: int) -> nn.Module:
            first = (
                Residual(given, made)
                if residual
                else nn.Sequential(conv(given, made), conv(made, made))
            )
            return nn.Sequential(first, after(made)) if after is not None else first

        self.down = nn.ModuleList(
            block(given, made) for given, made in zip((1, *widths), widths, strict=False)
        )
        upwards = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, 2) for low, high in upwards)
        self.merged = nn.ModuleList(block(2 * n if joins else n, n) for _, n in upwards)
        self.last = nn.Conv2d(widths[0], 2, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        above = len(kept) - 2
        for up, merged in zip(self.up, self.merged):  # noqa: B905  # TorchScript has no strict
            x = up(x)
            if self.joins:
                x = torch.cat([kept[above], x], dim=1)
            x = merged(x)
            above -= 1
        answer: Tensor = self.last(x)
        return answer


class Valid(nn.Module):
    """The U-Net as it was published: convolutions without padding, and skips cropped to what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = self._pair(1, 4), self._pair(4, 8)
        self.low = self._pair(8, 12)
        self.up_low, self.up = nn.ConvTranspose2d(12, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)
        self.after_low, self.after = self._pair(16, 8), self._pair(8, 4)
        self.last = nn.Conv2d(4, 2, 1)

    @staticmethod
    def _pair(given: int, made: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(given, made, 3), nn.ReLU(), nn.Conv2d(made, made, 3), nn.ReLU()
        )

    @staticmethod
    def _cropped(x: Tensor, like: Tensor) -> Tensor:
        top, left = (x.shape[2] - like.shape[2]) // 2, (x.shape[3] - like.shape[3]) // 2
        return x[:, :, top : top + like.shape[2], left : left + like.shape[3]]

    @override
    def forward(self, x: Tensor) -> Tensor:
        sizes = x.shape[2:]
        # mirrored outside, as the authors do, so that the answer has the size of the image
        x = functional.pad(x, (20, 20, 20, 20), mode="reflect")
        first = self.first(x)
        second = self.second(functional.max_pool2d(first, 2))
        low = self.up_low(self.low(functional.max_pool2d(second, 2)))
        middle = self.up(self.after_low(torch.cat([self._cropped(second, low), low], dim=1)))
        answer: Tensor = self.last(
            self.after(torch.cat([self._cropped(first, middle), middle], dim=1))
        )
        return answer[:, :, : sizes[0], : sizes[1]]


class LastConv(nn.Module):
    """A convolution of values with their channels last, between two transposes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @override
    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.inner(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return answer


class ChannelsLastUNet(nn.Module):
    """As TensorFlow's exporters write a U-Net: every convolution and pooling between two transposes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LastConv(nn.Conv2d(2, 4, 3, padding=1))
        self.second = LastConv(nn.Conv2d(4, 8, 3, padding=1))
        self.low = LastConv(nn.Conv2d(8, 12, 3, padding=1))
        self.pool = LastConv(nn.MaxPool2d(2))
        self.up_low = LastConv(nn.ConvTranspose2d(12, 8, 2, 2))
        self.up = LastConv(nn.ConvTranspose2d(8, 4, 2, 2))
        self.after_low = LastConv(nn.Conv2d(16, 8, 3, padding=1))
        self.after = LastConv(nn.Conv2d(8, 4, 3, padding=1))
        self.last = LastConv(nn.Conv2d(4, 3, 1))
        self.scale = nn.Parameter(torch.rand(4) + 0.5)

    @override
    def forward(self, x: Tensor) -> Tensor:
        # a normalisation with constants for each channel, as it is left when it was folded
        first = torch.relu(self.first(x) * self.scale)
        second = torch.relu(self.second(self.pool(first)))
        low = self.up_low(torch.relu(self.low(self.pool(second))))
        middle = self.up(torch.relu(self.after_low(torch.cat([low, second], dim=3))))
        joined = torch.cat([middle, first], dim=-1)
        answer: Tensor = self.last(torch.relu(self.after(joined)))
        return answer.softmax(dim=-1)
