"""Other ways in which a system could want to be run, each one change away from its contract.

**Conventions.** An alternative changes one thing and keeps the rest as declared, also the lists:
``size: [96, 96, 32]`` stays so when the axes change. They are ordered by how often the mistake is
made: flipped axes first, then intensities, windows, spacing, layout, activation, and the remaining
orders of axes last.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from auditor.schema import Geometry, InputSpec, OutputSpec, SystemSpec, WindowSpec
from auditor.systems.contract import canonical_text
from auditor.systems.orientation import NEGATIVE, POSITIVE, match_axes, native_letters, patient_axis

Layout = Literal["channel_first", "channel_last"]


@dataclass(frozen=True, slots=True)
class Alternative:
    """A contract that differs from the declared one in one thing."""

    name: str
    """The field: axes, window.size."""
    tried: str
    """Its other value."""
    declared: str
    """Its declared value."""
    spec: SystemSpec
    """The whole, with this change."""

    @property
    def text(self) -> str:
        """Say what is different: axes: SAR instead of RAS."""
        return f"{self.name}: {self.tried} instead of {self.declared}"


def alternatives(spec: SystemSpec, geometry: Geometry) -> Iterator[Alternative]:
    """List contracts that are one change away from the declared one.

    Parameters
    ----------
    spec : the system as declared.
    geometry : of the scan on which they will be tried.

    Returns
    -------
    The likeliest mistakes first; none equals the declared contract on this scan.
    """
    flips, orders = _other_axes(spec, geometry)
    yield from flips
    for changed in _intensities(spec.input):
        yield from _changes(spec, input_spec=changed)
    yield from _windows(spec, geometry)
    for changed in _grids(spec.input, geometry):
        yield from _changes(spec, input_spec=changed)
    yield _other_layout(spec)
    for output in _outputs(spec.output):
        yield from _changes(spec, output=output)
    yield from orders


def _changes(
    spec: SystemSpec, *, input_spec: InputSpec | None = None, output: OutputSpec | None = None
) -> Iterator[Alternative]:
    """Name what differs; nothing for a change that changes nothing."""
    changed = replace(spec, input=input_spec or spec.input, output=output or spec.output)
    for part in ("input", "output"):
        old, new = getattr(spec, part), getattr(changed, part)
        differing = [
            f for f in type(old).__dataclass_fields__ if getattr(old, f) != getattr(new, f)
        ]
        if differing:
            told = [(f, getattr(new, f), getattr(old, f)) for f in differing]
            yield Alternative(
                name=" and ".join(f for f, _, _ in told),
                tried=" and ".join(canonical_text(n) for _, n, _ in told),
                declared=" and ".join(canonical_text(o) for _, _, o in told),
                spec=changed,
            )


def _other_axes(
    spec: SystemSpec, geometry: Geometry
) -> tuple[list[Alternative], list[Alternative]]:
    """List the declared order with other directions, and the remaining orders."""
    slicewise = spec.input.dims == 2 and len(geometry.shape) == 3
    declared = match_axes(
        spec.input.axes, geometry, slicewise=slicewise, transpose=spec.input.transpose
    )
    native = native_letters(geometry)
    flips: list[tuple[int, str]] = []
    orders: list[tuple[int, str]] = []
    for order in itertools.permutations(range(len(native))):
        for turned in itertools.product((False, True), repeat=len(native)):
            letters = "".join(
                _opposite(native[axis]) if turn else native[axis]
                for axis, turn in zip(order, turned, strict=True)
            )
            other = match_axes(letters, geometry, slicewise=slicewise)
            if other == declared or (slicewise and 0 in set(other.flipped) ^ set(declared.flipped)):
                continue  # the direction in which slices are numbered changes nothing
            distance = len(set(other.flipped) ^ set(declared.flipped))
            (flips if order == declared.order else orders).append((distance, letters))
    made = [
        [
            Alternative(
                "axes",
                axes,
                spec.input.axes,
                replace(spec, input=replace(spec.input, axes=axes, transpose=None)),
            )
            for _, axes in sorted(found)
        ]
        for found in (flips, orders)
    ]
    return made[0], made[1]


def _opposite(letter: str) -> str:
    axis = patient_axis(letter)
    return NEGATIVE[axis] if letter == POSITIVE[axis] else POSITIVE[axis]


def _intensities(spec: InputSpec) -> Iterator[InputSpec]:
    for zscore in ("none", "image", "nonzero"):
        if zscore != spec.zscore:
            yield replace(spec, zscore=zscore)
    ranges: list[tuple[float, float] | None] = [None, (0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]
    for scale_to in ranges:
        if scale_to != spec.scale_to:
            yield replace(spec, scale_to=scale_to)
    if spec.clip is not None:
        yield replace(spec, clip=None)
        if spec.scale_to is not None or spec.zscore != "none":
            yield replace(spec, clip=None, scale_to=None, zscore="none")
    if spec.affine is not None:
        yield replace(spec, affine=None)
    for quantiles in (None, (0.005, 0.995), (0.01, 0.99)):
        if quantiles != spec.clip_quantiles:
            yield replace(spec, clip_quantiles=quantiles)


def _windows(spec: SystemSpec, geometry: Geometry) -> Iterator[Alternative]:
    window = spec.window
    dims = spec.input.dims or len(geometry.shape)
    options: list[WindowSpec | None] = []
    if window is None:
        options += [WindowSpec((side,) * dims) for side in (64, 96, 128)]
    else:
        options += [replace(window, size=tuple(2 * n for n in window.size)), None]
        options += [replace(window, size=tuple(max(8, n // 2) for n in window.size))]
        options += [replace(window, overlap=o) for o in (0.0, 0.25, 0.5, 0.75)]
        options += [replace(window, blend=b) for b in ("gaussian", "constant")]
    for option in options:
        if option != window:
            yield Alternative(
                "window", _window_text(option), _window_text(window), replace(spec, window=option)
            )


def _window_text(window: WindowSpec | None) -> str:
    if window is None:
        return "whole image"
    return f"{canonical_text(window.size)} overlap {window.overlap:g} {window.blend}"


def _grids(spec: InputSpec, geometry: Geometry) -> Iterator[InputSpec]:
    if geometry.unit == "mm":
        one = (1.0,) * len(geometry.shape)
        options: list[tuple[float, ...] | None] = [None, one]
        if spec.spacing_mm is not None:
            options.append(spec.spacing_mm[::-1])
        for spacing in options:
            if spacing != spec.spacing_mm:
                yield replace(spec, spacing_mm=spacing)
    if spec.size is not None:
        yield replace(spec, fit="pad" if spec.fit == "resize" else "resize")


def _other_layout(spec: SystemSpec) -> Alternative:
    declared = spec.input.layout
    other: Layout = "channel_last" if declared == "channel_first" else "channel_first"
    changed = replace(
        spec,
        input=replace(spec.input, layout=other),
        output=replace(spec.output, layout=other),
    )
    return Alternative("layout", other, declared, changed)


def _outputs(spec: OutputSpec) -> Iterator[OutputSpec]:
    for activation in ("softmax", "sigmoid", "logits_softmax", "logits_sigmoid", "labels"):
        if activation != spec.activation:
            yield replace(spec, activation=activation)
    numbers = [number for _, number in spec.labels]
    if len(numbers) > 1:
        names = [name for name, _ in spec.labels]
        yield replace(spec, labels=tuple(zip(names, reversed(numbers), strict=True)))
