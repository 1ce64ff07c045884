"""Other ways in which a system could want to be run, each one change away from its contract.

**Conventions.** An alternative changes one thing and keeps the rest as declared, also the lists:
``size: [96, 96, 32]`` stays so when the axes change. They are ordered by how often the mistake is
made: flipped axes first, then intensities, channels, windows, spacing, layout, activation, and the
remaining orders of axes last. Exchanged labels need no run of their own: the declared answer is read
in another way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

from torch import Tensor

from auditor.schema import Geometry, InputSpec, OutputSpec, SystemSpec, WindowSpec
from auditor.systems.contract import canonical_text
from auditor.systems.decision import decide
from auditor.systems.orientation import NEGATIVE, POSITIVE, match_axes, native_letters, patient_axis

Layout = Literal["channel_first", "channel_last"]

MOST_EXCHANGED = 8
"""Of more labels than these only neighbours in the declared order are exchanged."""


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
    line: str
    """What to write into the system's entry, or what to do where no line can say it."""
    channels: tuple[int, ...] = ()
    """Order in which the scan's channels are fed; empty: as they are."""
    complement: bool = False
    """True: what is declared as foreground is the background."""

    @property
    def text(self) -> str:
        """Say what is different: axes: SAR instead of RAS."""
        return f"{self.name}: {self.tried} instead of {self.declared}"

    @property
    def rereads(self) -> bool:
        """Whether the declared answer, read in another way, is its answer."""
        return self.name == "labels"

    def fed(self, image: Tensor) -> Tensor:
        """Bring the channels of a scan, (channel, *native), into its order."""
        return image[list(self.channels)] if self.channels else image

    def reread(self, scores: Tensor, declared: OutputSpec) -> Tensor:
        """Read the scores of the declared contract as this one does.

        Parameters
        ----------
        scores : (channel, *native), as `Prediction.scores` holds them.
        declared : the output contract that gave them.

        Returns
        -------
        (*native), as `decide` gives them: label numbers of this contract.
        """
        if self.complement:
            number = declared.labels[0][1]
            found = decide(scores, declared)
            return (found != number).to(found.dtype) * number
        numbers = [number for _, number in declared.labels]
        rest = scores.shape[0] - len(numbers)
        own = [rest + numbers.index(number) for _, number in self.spec.output.labels]
        return decide(scores[[*range(rest), *own]], self.spec.output)


def alternatives(spec: SystemSpec, geometry: Geometry) -> Iterator[Alternative]:
    """List contracts that are one change away from the declared one.

    Parameters
    ----------
    spec : the system as declared.
    geometry : of the scan on which they will be tried.

    Returns
    -------
    The likeliest mistakes first; none equals the declared contract on this scan. A command prepares its
    own scans and predictions are made already, so of those only the labels can be meant otherwise.
    """
    if spec.command or spec.predictions is not None:
        yield from rereadings(spec)
        return
    flips, orders = _other_axes(spec, geometry)
    yield from flips
    for changed in _intensities(spec.input):
        yield from _changes(spec, input_spec=changed)
    yield from _channel_orders(spec)
    yield from _windows(spec, geometry)
    for changed in _grids(spec.input, geometry):
        yield from _changes(spec, input_spec=changed)
    yield _other_layout(spec)
    for output in _outputs(spec.output):
        yield from _changes(spec, output=output)
    yield from rereadings(spec)
    yield from orders


def rereadings(spec: SystemSpec) -> Iterator[Alternative]:
    """List the ways in which the labels of an answer could be meant otherwise.

    Parameters
    ----------
    spec : the system as declared.

    Returns
    -------
    Two labels exchanged, for every pair of them (of more than `MOST_EXCHANGED`: for neighbours); for
    a single label foreground and background.
    """
    labels = spec.output.labels
    advice = (
        "no line can say this, as a label's number is its channel and its value in the references: "
        "renumber the references, or export the checkpoint with its channels in their order"
    )
    if len(labels) == 1:
        name = labels[0][0]
        told = (f"the rest of the image is {name}", canonical_text(labels))
        yield Alternative("labels", *told, spec, f"{advice} (background first)", complement=True)
        return
    pairs = list(itertools.combinations(range(len(labels)), 2))
    if len(labels) > MOST_EXCHANGED:
        pairs = list(itertools.pairwise(range(len(labels))))
    for first, second in pairs:
        numbers = [number for _, number in labels]
        numbers[first], numbers[second] = numbers[second], numbers[first]
        other = tuple((name, n) for (name, _), n in zip(labels, numbers, strict=True))
        changed = replace(spec, output=replace(spec.output, labels=other))
        yield Alternative("labels", canonical_text(other), canonical_text(labels), changed, advice)


def _channel_orders(spec: SystemSpec) -> Iterator[Alternative]:
    """List other orders of the scan's channels: all of three, else two channels exchanged."""
    count = spec.input.channels
    straight = tuple(range(count))
    orders = [o for o in itertools.permutations(straight) if o != straight] if count <= 3 else []
    if count > 3:
        for first, second in itertools.combinations(straight, 2):
            order = list(straight)
            order[first], order[second] = second, first
            orders.append(tuple(order))
    for found in orders:
        tried = canonical_text(tuple(channel + 1 for channel in found))
        declared = canonical_text(tuple(channel + 1 for channel in straight))
        line = f"the images of every case, in the order {tried}, in the table of cases"
        yield Alternative("order of the channels", tried, declared, spec, line, channels=found)


def _line(part: str, values: dict[str, object]) -> str:
    """Write the change as it stands in the configuration: input: {axes: SAR}."""
    told = [f"{k}: {'null' if v is None else canonical_text(v)}" for k, v in values.items()]
    return f"{part}: {{{', '.join(told)}}}"


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
                line=_line(part, {f: n for f, n, _ in told}),
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
    # letters name the order as well; a transposition of the maker's would contradict them
    named: dict[str, object] = {} if spec.input.transpose is None else {"transpose": None}
    made = [
        [
            Alternative(
                "axes",
                axes,
                spec.input.axes,
                replace(spec, input=replace(spec.input, axes=axes, transpose=None)),
                _line("input", {"axes": axes, **named}),
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
            values = None if option is None else asdict(option)
            line = "window: null" if values is None else _line("window", values)
            told = (_window_text(option), _window_text(window))
            yield Alternative("window", *told, replace(spec, window=option), line)


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
    line = f"input: {{layout: {other}}} and output: {{layout: {other}}}"
    return Alternative("layout", other, declared, changed, line)


def _outputs(spec: OutputSpec) -> Iterator[OutputSpec]:
    for activation in ("softmax", "sigmoid", "logits_softmax", "logits_sigmoid", "labels"):
        if activation != spec.activation:
            yield replace(spec, activation=activation)
