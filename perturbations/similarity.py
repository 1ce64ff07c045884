"""Structural similarity of two images (Wang et al. 2004, doi 10.1109/TIP.2003.819861).

A mean over windows of 7 voxels along each axis, without the windows that reach beyond the border. Local
means are running sums of float32 planes in pieces of fixed size, so that the bits do not depend on the
number of threads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from perturbations.chunks import spread

__all__ = ["WINDOW", "structural_similarity"]

WINDOW = 7
"""Voxels of a window along an axis, where the axis has as many."""

_PLANES = 16
"""Windows along the first axis in one piece; few enough that a running sum does not drift."""

_AREA = 1 << 16
"""Values of one plane of a piece: a plane of a common scan, and few enough to stay in cache."""


def structural_similarity(
    clean: Tensor, image: Tensor, span: float, *, inside: Tensor | None = None
) -> float | None:
    """Compare two images of one channel.

    Parameters
    ----------
    clean, image : (z, y, x) or (y, x), float32
    span : float
        Range of values that counts as full contrast; (.01 span)^2 and (.03 span)^2 are the constants.
    inside : bool of the same shape, optional
        Only windows centred here count.

    Returns
    -------
    float or None
        In [-1, 1], 1 for equal images. None when the span is 0, or no axis has 3 voxels. The window is
        the largest odd number of voxels, 7 at most, that fits along every axis of at least 3; along
        shorter axes it is 1 voxel wide, so that slices are compared as images. None also when no window
        is centred inside.

    Notes
    -----
    With (1 - d^2 / (a^2 + b^2 + c1)) (2 cov + c2) / (va + vb + c2), d the difference of the local means a
    and b: the published product, without its loss of digits where the two images are alike. Variances
    are taken about the middle of the values and in units of the span, for float32 has seven digits and
    an end; divided by the number of voxels in the window, not by one less.
    """
    long = [size for size in clean.shape if size >= 3]
    if not long or not span > 0:
        return None
    side = min(WINDOW, *long)
    side -= 1 - side % 2
    depth, rows, columns = (1,) * (3 - clean.dim()) + tuple(clean.shape)
    wide = [side if size >= 3 else 1 for size in (depth, rows, columns)]
    centres = _centred_at(clean, image, span)
    before = clean.contiguous().view(depth, rows, columns)
    after = image.contiguous().view(depth, rows, columns)
    deep, tall = depth - wide[0] + 1, rows - wide[1] + 1
    strip = max(1, _AREA // columns)
    strips = -(-tall // strip)
    sums = [0.0] * (strips * -(-deep // _PLANES))
    counted = None if inside is None else _centres(inside.view(depth, rows, columns), wide)
    count = deep * tall * (columns - wide[2] + 1) if counted is None else int(counted.sum())
    if count == 0:
        return None

    def piece(start: int, stop: int) -> None:
        for number in range(start, stop):
            block, part = divmod(number, strips)
            first, top = block * _PLANES, part * strip
            last, bottom = min(first + _PLANES, deep), min(top + strip, tall)
            cut = slice(first, last + wide[0] - 1), slice(top, bottom + wide[1] - 1)
            kept = None if counted is None else counted[first:last, top:bottom]
            sums[number] = _total(before[cut], after[cut], kept, wide, span, centres)

    spread(piece, len(sums), 1)
    return max(-1.0, min(1.0, math.fsum(sums) / count))


def _centred_at(clean: Tensor, image: Tensor, span: float) -> tuple[float, float]:
    """Return what is taken off each image: the same of both, so that equal values stay equal.

    Only an image that was moved by more than the span has a middle of its own.
    """
    own, other = (sum(map(float, torch.aminmax(it))) / 2 for it in (clean, image))
    return own, other if abs(other - own) > span else own


def _centres(inside: Tensor, wide: list[int]) -> Tensor:
    """Keep the voxels that windows within the volume are centred on."""
    cut = tuple(slice(w // 2, n - w // 2) for w, n in zip(wide, inside.shape, strict=True))
    return inside[cut]


def _total(
    before: Tensor,
    after: Tensor,
    kept: Tensor | None,
    wide: list[int],
    span: float,
    centres: tuple[float, float],
) -> float:
    """Sum the similarity over the windows that lie inside a piece.

    Planes are taken as lines without breaks, where a window along an axis is a sum of shifted copies;
    what runs over the end of a row is left out of the sum.
    """
    planes, rows, columns = before.shape
    fields = torch.empty(4, rows * columns)
    spare, other = torch.empty_like(fields), torch.empty_like(fields)
    stored = torch.zeros(wide[0], *fields.shape)
    running = torch.zeros_like(fields)
    total = 0.0
    for plane in range(planes):
        a, b, squares, product = fields
        # in units of the span, about the middle of each: squares keep their digits and fit float32
        torch.sub(before[plane].reshape(-1), centres[0], out=a).div_(span)
        torch.sub(after[plane].reshape(-1), centres[1], out=b).div_(span)
        torch.mul(a, b, out=product)
        torch.mul(a, a, out=squares)
        squares.addcmul_(b, b)
        _window(fields, spare, other, 1, wide[2])
        _window(fields, spare, other, columns, wide[1])
        oldest = stored[plane % wide[0]]
        running += fields
        running -= oldest
        oldest.copy_(fields)
        if plane >= wide[0] - 1:
            torch.mul(running, 1.0 / math.prod(wide), out=spare)
            score = _scores(spare, other, centres[0] / span, centres[1] / span).view(rows, columns)
            whole = score[: rows - wide[1] + 1, : columns - wide[2] + 1]
            if kept is not None:
                whole = whole * kept[plane - wide[0] + 1]
            total += float(whole.sum(dtype=torch.float64))
    return total


def _window(fields: Tensor, spare: Tensor, other: Tensor, step: int, width: int) -> None:
    """Replace each value by the sum of `width` (1, 3, 5 or 7) values, `step` apart, from it on."""
    if width == 1:
        return
    size = fields.shape[1] - step
    pairs = spare[:, :size]
    torch.add(fields[:, :size], fields[:, step:], out=pairs)
    size -= step
    if width == 3:
        torch.add(pairs[:, :size], fields[:, 2 * step :], out=other[:, :size])
    else:
        size -= step
        fours = other[:, :size]
        torch.add(pairs[:, :size], pairs[:, 2 * step :], out=fours)
        size -= step
        if width == 7:
            size -= 2 * step
            fours[:, :size] += pairs[:, 4 * step : 4 * step + size]
        last = (width - 1) * step
        other[:, :size] += fields[:, last : last + size]
    fields[:, :size] = other[:, :size]


def _scores(means: Tensor, spare: Tensor, centre: float, other: float) -> Tensor:
    """Similarity of each window from the means of a, b, a^2 + b^2 and a b, each about its centre."""
    first, second, squares, product = means
    less, power, cross, ratio = spare
    torch.mul(first, second, out=cross)
    product.sub_(cross).mul_(2.0).add_(0.03**2)
    # a^2 + b^2 as (a - b)^2 + 2 a b: what rounding leaves of a b then falls out of the ratio
    torch.sub(first, second, out=less)
    torch.mul(less, less, out=power)
    power.add_(cross, alpha=2.0)
    squares.sub_(power).add_(0.03**2)
    # the local means themselves, for the comparison of brightness
    less.add_(centre - other).square_()
    first.add_(centre).square_()
    second.add_(other).square_()
    torch.add(first, second, out=ratio)
    ratio.add_(0.01**2)
    torch.div(less, ratio, out=less)
    product.div_(squares)
    return torch.sub(product, less.mul_(product), out=product)
