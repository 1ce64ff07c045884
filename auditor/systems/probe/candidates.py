"""Inputs that are worth a try, cheap and likely ones first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from auditor.schema import InputSpec, OutputSpec, SystemSpec
from auditor.systems.alternatives import Layout

__all__ = ["CHANNELS", "SIDES", "Candidate", "Known", "candidates", "known"]

Dims = Literal[2, 3]

SIDES: dict[int, tuple[int, ...]] = {
    3: (32, 64, 96, 128, 48, 80, 112, 160),
    2: (64, 128, 224, 256, 512, 320, 384, 192, 96),
}
"""Cubes and squares that are tried: many networks need 32 at least, and transformers often accept
one size only."""

TIERS: tuple[tuple[Dims, int], ...] = (
    (3, 32), (2, 64), (3, 64), (2, 128), (2, 224), (2, 256), (3, 96), (2, 512), (3, 128),
    (2, 320), (2, 384), (2, 192), (2, 96), (3, 48), (3, 80), (3, 112), (3, 160),
)  # fmt: skip
"""Their order, cheap ones first. Three dimensions come before two of the same cost: a 3-D
convolution also takes a 2-D batch, as one unbatched volume."""

CHANNELS = (1, 3, 2, 4, 5, 6, 8)
"""Numbers of channels that are tried."""

LAYOUTS: tuple[Layout, ...] = ("channel_first", "channel_last")
"""Their order."""

_FEW_VOXELS = 1 << 16
"""Unlikely layouts are tried on no more, unless sizes are known."""

_MANY_CHANNELS = 16
"""More are likely a size that was taken for channels."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One input to try."""

    input: InputSpec
    """Channels and layout."""
    output: OutputSpec
    """Layout, and the output if one is declared; activation is never read."""
    sizes: tuple[int, ...]
    """Of the image."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array that is fed: (channel, *sizes)."""
        return (self.input.channels, *self.sizes)


@dataclass(frozen=True, slots=True)
class Known:
    """What need not be found because it is declared; None: to be found."""

    dims: Dims | None = None
    """2 or 3."""
    channels: int | None = None
    """Of the image."""
    sizes: tuple[int, ...] | None = None
    """Of what is fed: the window, or the fixed size."""
    divisor: tuple[int, ...] | None = None
    """Of sizes."""
    input_layout: Layout | None = None
    """Where the channels stand in the input."""
    output_layout: Layout | None = None
    """Where they stand in the output."""
    index: int | str | None = None
    """The output."""


def known(spec: SystemSpec, declared: frozenset[str]) -> Known:
    """Take over what is declared.

    Parameters
    ----------
    spec : the contract as far as it is known; its window always counts.
    declared : dotted names of the fields of `spec.input` and `spec.output` that somebody declared.

    Returns
    -------
    What need not be found.
    """
    size = spec.input.size if "input.size" in declared else None
    divisor = spec.input.divisor if "input.divisor" in declared else None
    sizes = spec.window.size if spec.window is not None else size
    told = sizes or divisor
    dims = spec.input.dims if "input.dims" in declared else None
    if dims is None and told is not None:
        dims = 2 if len(told) == 2 else 3
    return Known(
        dims=dims,
        channels=spec.input.channels if "input.channels" in declared else None,
        sizes=sizes,
        divisor=divisor,
        input_layout=spec.input.layout if "input.layout" in declared else None,
        output_layout=spec.output.layout if "output.layout" in declared else None,
        index=spec.output.index if "output.index" in declared else None,
    )


def candidates(shape: Sequence[int | None] | None, told: Known) -> Iterator[Candidate]:
    """List inputs to try.

    Parameters
    ----------
    shape : (batch, channel, *sizes) that the file itself declares, None for dynamic sizes; None
        when it declares nothing.
    told : what is declared.

    Yields
    ------
    Each input once; those with the channels of the output elsewhere than those of the input last.
    """
    likely = list(dict.fromkeys(_inputs(shape, told)))
    pairs = list(itertools.product(LAYOUTS, LAYOUTS))
    free = shape is None and told.sizes is None
    for alike in (True, False):
        for spec, sizes in likely:
            if not alike and free and math.prod(sizes) > _FEW_VOXELS:
                continue
            for first, second in pairs:
                if (
                    (first == second) == alike
                    and first == spec.layout
                    and told.output_layout in (None, second)
                ):
                    yield Candidate(spec, OutputSpec(layout=second, index=told.index), sizes)


def _inputs(
    shape: Sequence[int | None] | None, told: Known
) -> Iterator[tuple[InputSpec, tuple[int, ...]]]:
    layouts = LAYOUTS if told.input_layout is None else (told.input_layout,)
    if shape is not None and len(shape) in {4, 5}:
        yield from sorted(
            _of_a_file(shape, told, layouts), key=lambda it: it[0].channels > _MANY_CHANNELS
        )
        return
    counts = CHANNELS if told.channels is None else (told.channels,)
    tiers = [tier for tier in TIERS if told.dims in (None, tier[0])]
    for layout, (dims, side), count in itertools.product(layouts, tiers, counts):
        yield InputSpec(channels=count, layout=layout), _fitting((side,) * dims, told)


def _of_a_file(
    shape: Sequence[int | None], told: Known, layouts: Sequence[Layout]
) -> Iterator[tuple[InputSpec, tuple[int, ...]]]:
    dims = len(shape) - 2
    if told.dims not in (None, dims):
        return
    for side, layout in itertools.product(SIDES[dims], layouts):
        first = layout == "channel_first"
        channel = shape[1] if first else shape[-1]
        declared = shape[2:] if first else shape[1:-1]
        wanted = _fitting((side,) * dims, told)
        sizes = tuple(n or w for n, w in zip(declared, wanted, strict=True))
        counts: tuple[int, ...] = CHANNELS if channel is None else (channel,)
        if told.channels is not None:
            counts = (told.channels,) if channel in (None, told.channels) else ()
        for count in counts:
            yield InputSpec(channels=count, layout=layout), sizes


def _fitting(sizes: tuple[int, ...], told: Known) -> tuple[int, ...]:
    """Return the declared sizes, or sizes that the declared divisor divides."""
    if told.sizes is not None:
        return told.sizes
    if told.divisor is None:
        return sizes
    return tuple(-(-n // d) * d for n, d in zip(sizes, told.divisor, strict=True))
