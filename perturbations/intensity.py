"""Intensity: what coils, calibration and contrast do to values.

**Conventions.** `bias_field`: level u in % intensity non-uniformity (INU); the field's largest over
smallest value over the foreground is (1 + u/200) / (1 - u/200). `gamma`: the level is the exponent on
the robust range [q01, q99]. Where the background is masked nothing is changed: zeros and CT padding
were written there after the scan, not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor

from perturbations.chunks import CHUNK, elementwise, empty, spread
from perturbations.noise import sigma_unit
from perturbations.quantiles import length
from perturbations.scan import Scan

__all__ = [
    "bias_field",
    "contrast_loss",
    "gamma",
    "intensity_scale",
    "intensity_shift",
    "polynomials",
]

_ORDER = 3

_AIR_HU = -1000.0
"""Where the scale of Hounsfield units is anchored together with water; a slope error turns about it."""


def bias_field(
    scan: Scan, generator: np.random.Generator
) -> Callable[[float], tuple[Tensor, None]]:
    """Multiply by exp of a smooth log-polynomial (Van Leemput et al. 1999).

    The log-field is centred over the foreground and scaled so that its span there is exactly the
    logarithm of the level's ratio. Beyond the foreground, where a cubic would soon multiply by
    thousands, it stays within the values it takes there.
    """
    image = scan.image.contiguous()
    field = empty(image.shape)
    inside = scan.foreground.contiguous()
    degrees = _degrees(scan.ndim)
    for channel in field:
        weights = np.zeros((_ORDER + 1,) * scan.ndim)
        for degree, weight in zip(degrees, generator.standard_normal(len(degrees)), strict=True):
            weights[degree] = weight
        _evaluate(weights, channel)
        _standardise(channel, inside)

    def at(level: float) -> tuple[Tensor, None]:
        ratio = math.log((1 + level / 200) / (1 - level / 200))

        def shade(out: Tensor, clean: Tensor, log_gain: Tensor) -> None:
            torch.mul(log_gain, ratio, out=out)
            _exp(out)
            out.mul_(clean)

        return elementwise(shade, empty(image.shape), image, field), None

    return at


def gamma(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Power law on the robust range: y = q01 + (q99 - q01) z^g, unchanged beyond the range.

    The logarithm of z is taken once, so that a level costs one exponential.
    """
    image = scan.image.contiguous()
    ranges = scan.robust_ranges
    measured = _measured(scan)
    # y = base + span exp(g log z): where nothing changes z is 0, and the base the value itself
    logs, bases = empty(image.shape), empty(image.shape)
    for log_z, base, clean, (low, high) in zip(logs, bases, image, ranges, strict=True):
        position = _position(low, high)
        if measured is None:
            elementwise(position, log_z, base, clean)
        else:
            elementwise(position, log_z, base, clean, measured)

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for out, base, log_z, (low, high) in zip(result, bases, logs, ranges, strict=True):
            elementwise(_power_law(level, length(low, high)), out, base, log_z)
        return result, None

    return at


def contrast_loss(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Pull values towards the mean of the foreground: y = m + c (x - m), c the level."""
    means = [_mean(channel, scan.foreground) for channel in scan.image]
    return _affine(scan, lambda level: [(level, mean * (1 - level)) for mean in means])


def intensity_shift(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Add an offset: y = x + b, the level b in % of each channel's reference signal; in HU for CT."""
    units = [sigma_unit(scan, channel) for channel in range(scan.image.shape[0])]
    return _affine(scan, lambda level: [(1.0, level * unit) for unit in units])


def intensity_scale(
    scan: Scan,
    generator: np.random.Generator,  # nothing is random
) -> Callable[[float], tuple[Tensor, None]]:
    """Multiply by a slope: y = a + c (x - a), c the level, a = -1000 HU for CT in HU and 0 elsewhere."""
    anchor = _AIR_HU if scan.modality == "ct" else 0.0
    count = scan.image.shape[0]
    return _affine(scan, lambda level: [(level, anchor * (1 - level))] * count)


def polynomials(shape: tuple[int, ...], order: int = _ORDER) -> list[NDArray[np.float64]]:
    """Legendre products up to a total degree, without the constant, broadcastable to `shape`."""
    axes = []
    for axis, size in enumerate(shape):
        column = [1] * len(shape)
        column[axis] = size
        axes.append([values.reshape(column) for values in _basis(size, order).T])
    # without the factors that are 1 most terms are lines and planes, not volumes
    chosen = [
        [axes[axis][k] for axis, k in enumerate(degree) if k > 0]
        for degree in _degrees(len(shape), order)
    ]
    return [np.asarray(math.prod(factors[1:], start=factors[0])) for factors in chosen]


def _degrees(dims: int, order: int = _ORDER) -> list[tuple[int, ...]]:
    """Degrees along the axes of every product up to a total degree, without the constant."""
    return [d for d in product(range(order + 1), repeat=dims) if 0 < sum(d) <= order]


def _basis(size: int, order: int = _ORDER) -> NDArray[np.float64]:
    """Legendre polynomials (size, order + 1) at voxel centres of an axis that reaches from -1 to 1.

    From edge to edge, not from centre to centre, so that finer voxels see the same field.
    """
    centres = (2.0 * np.arange(size) + 1.0) / size - 1.0
    return np.asarray(legendre.legvander(centres, order))


def _evaluate(weights: NDArray[np.float64], out: Tensor) -> None:
    """Fill a volume with a sum of Legendre products, whose degrees index the weights.

    All axes but the last are summed up first, in float64 and for one value a line; what is left is a
    product of a tall and a flat matrix with four columns and rows between them.
    """
    sums = weights
    for size in out.shape[
        :-1
    ]:  # each turn trades the first axis of degrees for one of voxels, put last
        sums = np.moveaxis(np.tensordot(_basis(size), sums, axes=(1, 0)), 0, -1)
    sums = np.moveaxis(sums, 0, -1).reshape(-1, _ORDER + 1)
    lines = torch.from_numpy(np.ascontiguousarray(sums, dtype=np.float32))
    last = torch.from_numpy(_basis(out.shape[-1]).T.astype(np.float32))
    target = out.view(-1, out.shape[-1])

    def rows(start: int, stop: int) -> None:
        torch.mm(lines[start:stop], last, out=target[start:stop])

    spread(rows, target.shape[0], max(1, CHUNK // target.shape[1]))


def _standardise(field: Tensor, inside: Tensor) -> None:
    """Centre a field over a region, bring its span there to 1, and keep it in that span elsewhere."""
    values, chosen = field.view(-1), inside.view(-1)
    pieces = -(-values.numel() // CHUNK)
    extremes, sums = np.zeros((pieces, 2)), np.zeros((pieces, 2))

    def look(start: int, stop: int) -> None:
        seen = values[start:stop][chosen[start:stop]]
        place = start // CHUNK
        extremes[place] = (math.inf, -math.inf)
        if seen.numel():
            extremes[place] = [float(extreme) for extreme in torch.aminmax(seen)]
            sums[place] = (float(seen.sum(dtype=torch.float64)), seen.numel())

    spread(look, values.numel())
    low, high = float(extremes[:, 0].min()), float(extremes[:, 1].max())
    if not low < high:
        field.zero_()
        return
    total, count = sums.sum(axis=0).tolist()

    def scale(out: Tensor) -> None:
        out.clamp_(low, high).sub_(total / count).div_(high - low)

    elementwise(scale, field)


def _position(low: float, high: float) -> Callable[..., None]:
    """Logarithm of the position in a range, and what is left of a value without its position.

    Masks are multiplied by: voxels chosen one by one cost ten times as much.
    """

    def position(
        log_z: Tensor, base: Tensor, clean: Tensor, measured: Tensor | None = None
    ) -> None:
        if not low < high:
            log_z.fill_(-math.inf)
            base.copy_(clean)
            return
        values, rest = log_z.numpy(), base.numpy()
        torch.sub(clean, low, out=base)
        base.div_(length(low, high))
        np.clip(rest, 0.0, None, out=values)
        np.multiply(values, rest < 1, out=values)
        if measured is not None:
            np.multiply(values, measured.numpy(), out=values)
        torch.add(clean, log_z, alpha=-length(low, high), out=base)
        with np.errstate(divide="ignore"):  # the logarithm of 0 is meant
            np.log(values, out=values)

    return position


def _power_law(exponent: float, span: float) -> Callable[[Tensor, Tensor, Tensor], None]:
    def curve(out: Tensor, base: Tensor, log_z: Tensor) -> None:
        torch.mul(log_z, exponent, out=out)
        _exp(out)
        torch.add(base, out, alpha=span, out=out)

    return curve


def _exp(values: Tensor) -> None:
    """Exponential in place; numpy's vector instructions take two thirds of the time of torch's."""
    inside = values.numpy()
    np.exp(inside, out=inside)


def _affine(
    scan: Scan, terms: Callable[[float], list[tuple[float, float]]]
) -> Callable[[float], tuple[Tensor, None]]:
    """Slope times x plus offset, per channel, where something was measured."""
    image = scan.image.contiguous()
    measured = _measured(scan)

    def at(level: float) -> tuple[Tensor, None]:
        result = empty(image.shape)
        for out, clean, (slope, offset) in zip(result, image, terms(level), strict=True):
            line = _line(slope, offset)
            if measured is None:
                elementwise(line, out, clean)
            else:
                elementwise(line, out, clean, measured)
        return result, None

    return at


def _line(slope: float, offset: float) -> Callable[..., None]:
    def line(out: Tensor, clean: Tensor, measured: Tensor | None = None) -> None:
        torch.mul(clean, slope, out=out)
        out.add_(offset)
        if measured is not None:
            torch.where(measured, out, clean, out=out)

    return line


def _measured(scan: Scan) -> Tensor | None:
    """Voxels that are no masked background; None where it is not masked."""
    return scan.support if scan.masked_background or scan.cut_out else None


def _mean(values: Tensor, inside: Tensor) -> float:
    """Mean over a region, summed in pieces so that threads change no bit."""
    flat, chosen = values.reshape(-1), inside.reshape(-1)
    sums = np.zeros((-(-flat.numel() // CHUNK), 2))

    def add(start: int, stop: int) -> None:
        seen = flat[start:stop][chosen[start:stop]]
        sums[start // CHUNK] = (float(seen.sum(dtype=torch.float64)), seen.numel())

    spread(add, flat.numel())
    total, count = sums.sum(axis=0).tolist()
    return total / count if count else 0.0
