"""Steps of a MONAI bundle's preprocessing, one function each, as fields of a contract.

Only the classes named in `STEPS` and `HARMLESS` are known; nothing of a bundle is imported or run. A
step that cannot be declared becomes a sentence, a value that cannot be read becomes a question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.systems.orientation import axes_problem
from auditor.systems.sidecars.monai_values import Bundle
from auditor.systems.sidecars.records import Findings, number, shown

__all__ = ["HARMLESS", "STEPS", "Course", "plain_name"]

CLIP_LINE = "input: {clip: [-57, 164], scale_to: [0, 1]}"
SPACING_LINE = "input: {spacing_mm: [1.5, 1.5, 2.0]}"
_ORDER = ("clip", "clip_quantiles", "scale_to", "zscore", "affine")
"""In which a contract does them."""

HARMLESS = frozenset(
    ("LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor",
     "CastToType", "ToDevice", "SelectItems", "DeleteItems", "CopyItems", "Identity", "SaveImage",
     "SqueezeDim", "ToNumpy")
)  # fmt: skip
"""Steps that only load, move or rename."""


@dataclass(slots=True)
class Course:
    """The preprocessing as far as it was followed."""

    bundle: Bundle
    """Where references lead."""
    found: Findings
    """What was read."""
    image: str
    """Key under which the image travels."""
    spaced: bool = False
    """Whether a resampling to a spacing has come."""
    turned: bool = False
    """Whether axes were named."""
    done: list[str] = field(default_factory=list)
    """Intensity fields that were set, in the bundle's order."""
    before: list[bool] = field(default_factory=list)
    """Of each of them: whether it came before the spacing."""

    def value(self, step: Mapping[str, Any], key: str, default: object = None) -> Any:  # noqa: ANN401
        """Return an argument of a step, references looked up."""
        return self.bundle.resolve(step[key]) if key in step else default

    @property
    def dims(self) -> int:
        """Axes of the images, as far as lists tell; 3 when none does."""
        lists = (self.found.input.get("spacing_mm"), self.found.window.get("size"))
        return next((len(one) for one in lists if one), 3)

    def set_intensity(self, name: str, value: object) -> None:
        """Set a field of intensities; asks when the order cannot be declared."""
        if self.done and _ORDER.index(name) <= _ORDER.index(self.done[-1]):
            self.found.ask(
                "input.clip",
                f"its steps ({self.done[-1]}, then {name}) come in an order or number that no contract "
                "has (clip, clip_quantiles, scale_to, zscore, affine, each once); name what comes closest, "
                "or fold them into the exported model",
                CLIP_LINE,
            )
            return
        if self.found.input.get("fit") == "resize":
            self.found.note(
                "the bundle treats intensities after it resized, here they are treated before that"
            )
        self.done.append(name)
        self.before.append(not self.spaced)
        self.found.input[name] = value

    def forget_affine(self) -> None:
        """Drop what came directly before a step that no rising straight line can change."""
        fields = self.found.input
        while (
            self.done and self.before[-1] is not self.spaced and _is_rising(self.done[-1], fields)
        ):
            fields.pop(self.done.pop())
            self.before.pop()

    def set_affine(self, factor: float, shift: float) -> None:
        """Set x * factor + shift, joined with one that directly came before."""
        if self.done[-1:] == ["affine"] and self.before[-1] is not self.spaced:
            first, second = self.found.input["affine"]
            self.found.input["affine"] = [first * factor, second * factor + shift]
        else:
            self.set_intensity("affine", [factor, shift])


def _is_rising(name: str, fields: Mapping[str, Any]) -> bool:
    if name == "affine":
        return isinstance(fields[name][0], float) and fields[name][0] > 0
    return name == "zscore" and fields[name] == "image"


def plain_name(target: object) -> str:
    """Name a transform without its module and without the ending of its dictionary form.

    Parameters
    ----------
    target : value of ``_target_``.

    Returns
    -------
    ``Spacing`` for ``Spacingd``, ``SpacingD``, ``SpacingDict``, ``monai.transforms.Spacingd``; empty
    for a class that is not MONAI's own.

    Examples
    --------
    >>> [
    ...     plain_name(t)
    ...     for t in ("Spacingd", "monai.transforms.NormalizeIntensityD", "scripts.my.Own")
    ... ]
    ['Spacing', 'NormalizeIntensity', '']
    """
    if not isinstance(target, str) or ("." in target and not target.startswith("monai.")):
        return ""
    name = target.rpartition(".")[2]
    known = {*STEPS, *HARMLESS, *_AFTERWARDS}
    endings = ("", "d", "D", "Dict")
    return next((name.removesuffix(e) for e in endings if name.removesuffix(e) in known), name)


_AFTERWARDS = frozenset(("Compose", "Activations", "AsDiscrete", "Invert"))


def _orientation(step: Mapping[str, Any], course: Course) -> None:
    axes = course.value(step, "axcodes")
    letters = axes.upper() if isinstance(axes, str) else ""
    if (
        not letters
        or axes_problem(letters)
        or letters == "NATIVE"
        or step.get("labels") is not None
    ):
        why = f"axcodes must be letters as RAS with MONAI's own labels, got {shown(axes)}"
        course.found.ask("input.axes", why, "input: {axes: RAS}")
    course.found.input["axes"] = letters or "RAS"
    course.turned = True
    if course.spaced and len(set(course.found.input.get("spacing_mm", [1]))) > 1:
        course.found.ask(
            "input.spacing_mm",
            "the bundle resamples before it turns the axes, so which axis gets which spacing depends on "
            "how a scan was stored; name the spacing in the order of input.axes",
            SPACING_LINE,
        )


def _spacing(step: Mapping[str, Any], course: Course) -> None:
    pixdim = course.value(step, "pixdim")
    lengths = [number(item) for item in pixdim] if isinstance(pixdim, list) else []
    odd = [
        key
        for key in ("min_pixdim", "max_pixdim", "diagonal", "scale_extent")
        if course.value(step, key) not in (None, False)
    ]
    if len(lengths) not in {2, 3} or any(one is None or one <= 0 for one in lengths) or odd:
        told = f"with {', '.join(odd)}" if odd else f"got {shown(pixdim)}"
        why = f"pixdim must be two or three positive numbers that hold for every scan, {told}"
        course.found.ask("input.spacing_mm", why, SPACING_LINE)
        return
    mode = _of_image(course.value(step, "mode", "bilinear"), step, course)
    names = {"bilinear": "linear", 1: "linear", 3: "cubic"}
    if not isinstance(mode, str | int) or mode not in names:
        why = f"images must be resampled linearly or by splines of order 3, got {shown(mode)}"
        course.found.ask("input.interpolation", why, "input: {interpolation: linear}")
    else:
        course.found.input["interpolation"] = names[mode]
    course.found.input |= {"spacing_mm": lengths, "grid": "corner"}
    course.spaced = True


def _of_image(value: object, step: Mapping[str, Any], course: Course) -> object:
    """Return the entry for the image of an argument that may have one per key."""
    keys = course.value(step, "keys")
    if isinstance(value, list) and isinstance(keys, list) and course.image in keys:
        place = keys.index(course.image)
        return value[place] if place < len(value) else None
    return value[0] if isinstance(value, list) and value else value


def _scale_range(step: Mapping[str, Any], course: Course) -> None:
    low, high = (number(course.value(step, key)) for key in ("a_min", "a_max"))
    bottom, top = (course.value(step, key) for key in ("b_min", "b_max"))
    clip = course.value(step, "clip", default=False)
    if low is None or high is None or low >= high:
        _ask_range(course, "ScaleIntensityRange", step)
        return
    if bottom is None and top is None:
        course.set_affine(1 / (high - low), -low / (high - low))
        return
    b, t = number(bottom), number(top)
    if b is None or t is None or not isinstance(clip, bool) or (clip and b >= t):
        _ask_range(course, "ScaleIntensityRange", step)
        return
    if clip:
        course.set_intensity("clip", [low, high])
        course.set_intensity("scale_to", [b, t])
        return
    factor = (t - b) / (high - low)
    course.set_affine(factor, b - low * factor)


def _ask_range(course: Course, name: str, step: Mapping[str, Any]) -> None:
    told = shown({key: value for key, value in step.items() if key not in ("_target_", "keys")})
    course.found.ask("input.clip", f"{name} cannot be followed with {told}", CLIP_LINE)


def _scale(step: Mapping[str, Any], course: Course) -> None:
    low, high = (number(course.value(step, k, d)) for k, d in (("minv", 0.0), ("maxv", 1.0)))
    factor = course.value(step, "factor")
    if factor is not None and course.value(step, "minv", 0.0) is None:
        course.set_affine(1 + (number(factor) or 0.0), 0.0)
    elif factor is not None or low is None or high is None or low >= high or _mixes(step, course):
        _ask_range(course, "ScaleIntensity", step)
    else:
        course.forget_affine()
        course.set_intensity("scale_to", [low, high])


def _mixes(step: Mapping[str, Any], course: Course) -> bool:
    """Tell whether statistics go over several channels at once, which no contract has."""
    several = course.found.input.get("channels", 1) != 1
    return several and course.value(step, "channel_wise", default=False) is not True


def _normalise(step: Mapping[str, Any], course: Course) -> None:
    taken, divided = course.value(step, "subtrahend"), course.value(step, "divisor")
    nonzero = course.value(step, "nonzero", default=False)
    if taken is None and divided is None:
        if _mixes(step, course):
            _ask_range(course, "NormalizeIntensity over all channels together", step)
        elif nonzero is True:
            course.set_intensity("zscore", "nonzero")
        else:
            course.forget_affine()
            course.set_intensity("zscore", "image")
        return
    several = isinstance(taken, list) or isinstance(divided, list)
    minus = [number(one) for one in (taken if isinstance(taken, list) else [taken])]
    by = [number(one) for one in (divided if isinstance(divided, list) else [divided])]
    if nonzero is True or len(minus) != len(by) or None in minus or None in by or 0 in by:
        _ask_range(course, "NormalizeIntensity", step)
        return
    rows = [[1 / (d or 1), -(m or 0.0) / (d or 1)] for m, d in zip(minus, by, strict=True)]
    if several and len(rows) > 1:
        course.set_intensity("affine", rows)
    else:
        course.set_affine(*rows[0])


def _percentiles(step: Mapping[str, Any], course: Course) -> None:
    names = ("lower", "upper", "b_min", "b_max")
    low, high, bottom, top = (number(course.value(step, name)) for name in names)
    plain = (
        course.value(step, "clip", default=False) is True
        and course.value(step, "relative", default=False) is False
        and not _mixes(step, course)
    )
    if (
        low is None
        or high is None
        or bottom is None
        or top is None
        or not plain
        or not 0 <= low < high <= 100
        or bottom >= top
    ):
        _ask_range(course, "ScaleIntensityRangePercentiles", step)
    else:
        course.set_intensity("clip_quantiles", [low / 100, high / 100])
        course.set_intensity("scale_to", [bottom, top])


def _clip_percentiles(step: Mapping[str, Any], course: Course) -> None:
    low, high = (number(course.value(step, name)) for name in ("lower", "upper"))
    soft = course.value(step, "sharpness_factor")
    if low is None or high is None or not 0 <= low < high <= 100 or soft or _mixes(step, course):
        _ask_range(course, "ClipIntensityPercentiles", step)
    else:
        course.set_intensity("clip_quantiles", [low / 100, high / 100])


def _shift(step: Mapping[str, Any], course: Course) -> None:
    offset = number(course.value(step, "offset"))
    if offset is None:
        _ask_range(course, "ShiftIntensity", step)
    else:
        course.set_affine(1.0, offset)


def _sizes(value: object) -> list[int]:
    items = value if isinstance(value, list) else []
    whole = [item for item in items if type(item) is int and 0 < item < 1 << 16]
    return whole if len(whole) == len(items) and len(whole) in {2, 3} else []


def _resize(step: Mapping[str, Any], course: Course) -> None:
    size = _sizes(course.value(step, "spatial_size"))
    if not size or course.value(step, "size_mode", "all") != "all":
        why = f"spatial_size must be two or three whole numbers, got {shown(step.get('spatial_size'))}"
        course.found.ask("input.size", why, "input: {size: [96, 96, 96], fit: resize}")
        return
    course.found.input |= {"size": size, "fit": "resize"}
    mode = _of_image(course.value(step, "mode", "area"), step, course)
    if mode not in ("bilinear", "trilinear", "linear"):
        course.found.note(
            f"the bundle resizes images in mode {shown(mode)}, here they are resized linearly"
        )


def _pad_or_crop(step: Mapping[str, Any], course: Course) -> None:
    size = _sizes(course.value(step, "spatial_size"))
    if not size:
        why = f"spatial_size must be two or three whole numbers, got {shown(step.get('spatial_size'))}"
        course.found.ask("input.size", why, "input: {size: [96, 96, 96], fit: pad}")
        return
    course.found.input |= {"size": size, "fit": "pad"}
    _padding(course)


def _divisible(step: Mapping[str, Any], course: Course) -> None:
    k = course.value(step, "k")
    divisor = _sizes(k if isinstance(k, list) else [k] * course.dims)
    if not divisor:
        why = f"k must be whole numbers, got {shown(k)}"
        course.found.ask("input.divisor", why, "input: {divisor: [16, 16, 16]}")
        return
    course.found.input["divisor"] = divisor
    course.found.note("the bundle pads to multiples on both sides, here at the end of each axis")
    _padding(course)


def _padding(course: Course) -> None:
    course.found.note(
        "the bundle pads with 0, here padding is the minimum of each channel of the prepared image"
    )


def _spatial_pad(step: Mapping[str, Any], course: Course) -> None:
    size = _sizes(course.value(step, "spatial_size"))
    window = course.found.window.get("size", [])
    if size and len(size) == len(window) and all(s <= w for s, w in zip(size, window, strict=True)):
        return  # a window of that size pads as much
    course.found.note(
        f"step SpatialPad to {shown(step.get('spatial_size'))} is not one this tool can do; small scans "
        "are padded to the window only"
    )


def _crop_foreground(step: Mapping[str, Any], course: Course) -> None:
    del step
    course.found.note(
        "step CropForeground is not one this tool can do: whole scans are fed, so windows lie elsewhere, "
        "and statistics of the intensities are taken over whole scans"
    )


STEPS: Mapping[str, Callable[[Mapping[str, Any], Course], None]] = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "ScaleIntensityRange": _scale_range,
    "ScaleIntensity": _scale,
    "NormalizeIntensity": _normalise,
    "ScaleIntensityRangePercentiles": _percentiles,
    "ClipIntensityPercentiles": _clip_percentiles,
    "ShiftIntensity": _shift,
    "Resize": _resize,
    "ResizeWithPadOrCrop": _pad_or_crop,
    "DivisiblePad": _divisible,
    "SpatialPad": _spatial_pad,
    "CropForeground": _crop_foreground,
}
"""By the name of the class."""
