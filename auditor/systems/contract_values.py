"""What each field of a contract may hold, as it is written in YAML.

**Conventions.** A `Value` reads what YAML gave, or raises TypeError or ValueError; what must be is
said once, in words, and printed by the reader of the contract. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.schema import LARGEST_LABEL
from auditor.systems.orientation import NATIVE, axes_problem


@dataclass(frozen=True, slots=True)
class Value:
    """One field: how it is read, and what it must be."""

    must_be: str
    """End of the sentence "must be ..."."""
    read: Callable[[object], Any]
    """From YAML to the record's type; TypeError or ValueError for anything else."""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def _positive(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError
    return number


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if value < 1:
        raise ValueError
    return value


def _items(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise TypeError
    return list(value)


def _pair(value: object) -> tuple[float, float]:
    first, second = (_number(item) for item in _items(value))
    return first, second


def _per_channel(read: Callable[[object], Any], none: object = None) -> Callable[[object], Any]:
    """Read one value for every channel, or a list with a value (or none) for each."""

    def read_either(value: object) -> Any:  # noqa: ANN401  # of either kind
        items = value if isinstance(value, list | tuple) else []
        if any(item is None or isinstance(item, list | tuple | str) for item in items):
            found = tuple(none if item is None else read(item) for item in items)
            return found[0] if found and found.count(found[0]) == len(found) else found
        return read(value)

    return read_either


def _transpose(value: object) -> tuple[int, ...]:
    items = _items(value)
    if any(isinstance(item, bool) or not isinstance(item, int) for item in items):
        raise TypeError
    if len(items) not in {2, 3} or set(items) != set(range(len(items))):
        raise ValueError
    return tuple(int(str(item)) for item in items)


def _ascending(value: object) -> tuple[float, float]:
    first, second = _pair(value)
    if first >= second:
        raise ValueError
    return first, second


def _quantiles(value: object) -> tuple[float, float]:
    first, second = _ascending(value)
    if first < 0 or second > 1:
        raise ValueError
    return first, second


def _sizes(value: object) -> tuple[int, ...]:
    return _two_or_three([_count(item) for item in _items(value)])


def _window_size(value: object) -> tuple[int, ...]:
    return _sizes(value) if isinstance(value, list | tuple) else (_count(value),)


def _spacing(value: object) -> tuple[float, ...]:
    return _two_or_three([_positive(item) for item in _items(value)])


def _two_or_three(values: list[Any]) -> tuple[Any, ...]:
    if len(values) not in {2, 3}:
        raise ValueError
    return tuple(values)


def _threshold(value: object) -> float:
    number = _number(value)
    if not 0 < number < 1:
        raise ValueError
    return number


def _overlap(value: object) -> float:
    number = _number(value)
    if not 0 <= number < 1:
        raise ValueError
    return number


def _axes(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    axes = value if value == NATIVE else value.upper()
    if axes_problem(axes):
        raise ValueError
    return axes


def _dims(value: object) -> int:
    number = _count(value)
    if number not in {2, 3}:
        raise ValueError
    return number


def _index(value: object) -> int | str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if value < 0:
        raise ValueError
    return value


def _labels(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping) or not value:
        raise TypeError
    labels = tuple((str(name), _count(number)) for name, number in value.items())
    if not all(name.isprintable() and number <= LARGEST_LABEL for name, number in labels):
        raise ValueError
    if len({number for _, number in labels}) < len(labels):
        raise ValueError
    return labels


def _choice(*choices: str) -> Value:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError
        return value

    return Value("one of " + ", ".join(choices), read)


_ZSCORE = _choice("none", "image", "nonzero", "filled")
_OR_EACH = "or one such entry for each channel"
_LAYOUT = _choice("channel_first", "channel_last")
_PER_AXIS = "one per axis in the order of input.axes"
_SIZES = Value(f"two or three whole numbers of at least 1, {_PER_AXIS}", _sizes)

INPUT_VALUES: Mapping[str, Value] = {
    "channels": Value("a whole number of at least 1", _count),
    "axes": Value(
        "'native' or two or three letters, one of each pair R/L, A/P, I/S, naming the side "
        "towards which each axis runs (RAS, LPS, SAR)",
        _axes,
    ),
    "transpose": Value(
        "the native axes, counted from 0, in the order in which they are fed, as [2, 0, 1]",
        _transpose,
    ),
    "crop": _choice("none", "nonzero"),
    "spacing_mm": Value(f"two or three positive numbers in mm, {_PER_AXIS}", _spacing),
    "interpolation": _choice("linear", "cubic", "cubic_in_plane"),
    "grid": _choice("centre", "corner", "extent"),
    "intensities_on": _choice("resampled", "native"),
    "clip": Value(
        f"two ascending numbers in the scan's units, as [-57, 164], {_OR_EACH}",
        _per_channel(_ascending),
    ),
    "clip_quantiles": Value("two ascending numbers in [0, 1], as [0.005, 0.995]", _quantiles),
    "scale_to": Value(f"two ascending numbers, as [0, 1], {_OR_EACH}", _per_channel(_ascending)),
    "zscore": Value(f"{_ZSCORE.must_be}, {_OR_EACH}", _per_channel(_ZSCORE.read, "none")),
    "affine": Value(
        f"two numbers: the factor, then what is added, {_OR_EACH}", _per_channel(_pair)
    ),
    "size": _SIZES,
    "fit": _choice("resize", "pad"),
    "divisor": _SIZES,
    "layout": _LAYOUT,
    "dims": Value("2 or 3", _dims),
}
"""Keys of ``input``."""

OUTPUT_VALUES: Mapping[str, Value] = {
    "activation": _choice("softmax", "sigmoid", "logits_softmax", "logits_sigmoid", "labels"),
    "labels": Value(
        "printable names with their channel, another whole number from 1 to 65535 for each, as {spleen: 1}",
        _labels,
    ),
    "channels": Value(
        "names of labels with another whole number from 1 to 65535 for each, as {tumour: 3}",
        _labels,
    ),
    "threshold": Value("a number between 0 and 1", _threshold),
    "resampled": _choice("scores", "logits"),
    "index": Value("the number of an output, counted from 0, or its name", _index),
    "layout": _LAYOUT,
}
"""Keys of ``output``."""

WINDOW_VALUES: Mapping[str, Value] = {
    "size": Value(f"{_SIZES.must_be}, or one number for all axes", _window_size),
    "overlap": Value("a number from 0 to below 1", _overlap),
    "blend": _choice("gaussian", "constant"),
    "placement": _choice("even", "monai"),
    "padding": _choice("minimum", "zero", "edge", "reflect"),
}
"""Keys of ``window``."""
