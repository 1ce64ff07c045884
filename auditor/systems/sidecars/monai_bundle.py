"""metadata.json and inference.json of a MONAI bundle, as a contract.

**Conventions.** MONAI loads images as (x, y, z) and turns them by ``Orientation``, whose letters name the
side towards which each axis runs, as those of `input.axes` do (since MONAI 1.0 and with its default
labels). ``value_range`` of the metadata is often empty or wrong and is not believed.

References
----------
MONAI bundle specification (docs.monai.io, "MONAI Bundle Specification") and configuration language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.systems.sidecars.monai_output import read_channels, read_postprocessing
from auditor.systems.sidecars.monai_steps import CLIP_LINE, HARMLESS, STEPS, Course, plain_name
from auditor.systems.sidecars.monai_values import Bundle, Unresolved, divisor_of, flat_steps
from auditor.systems.sidecars.records import Findings, number, shown

__all__ = ["read_bundle"]

_WINDOW_LINE = "window: {size: [96, 96, 96], overlap: 0.25, blend: constant}"


def read_bundle(metadata: Mapping[str, Any], inference: Mapping[str, Any] | None) -> Findings:
    """Read a bundle's metadata and inference configuration.

    Parameters
    ----------
    metadata : content of metadata.json.
    inference : content of inference.json or .yaml; None when there is none.

    Returns
    -------
    Contract, settings, notes and questions.
    """
    found = Findings()
    data = _mapping(metadata.get("network_data_format"))
    inputs, outputs = _mapping(data.get("inputs")), _mapping(data.get("outputs"))
    image = _one(inputs, ("image", "inputs", "input"))
    if len(inputs) > 1:
        found.note(
            f"the network has several inputs ({', '.join(map(shown, list(inputs)[:6]))}); only images can "
            "be fed"
        )
    told = _mapping(inputs.get(image))
    _input_channels(found, told)
    course = Course(Bundle(inference or {}), found, image)
    if inference is None:
        found.ask("input.axes", "there is no inference.json that would tell", "input: {axes: RAS}")
        found.ask("input.clip", "there is no inference.json that would tell", CLIP_LINE)
    else:
        _inferer(course)
        _preprocessing(course)
    _sizes(found, told, inferred=bool(found.window) or "size" in found.input)
    _axes(course, told)
    key = _one(outputs, ("pred", "output", "outputs"))
    if inference is not None:
        read_postprocessing(course)
    read_channels(found, _mapping(outputs.get(key)))
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _one(known: Mapping[str, Any], wanted: tuple[str, ...]) -> str:
    return next((name for name in (*wanted, *map(str, known)) if name in known), wanted[0])


def _input_channels(found: Findings, told: Mapping[str, Any]) -> None:
    count = number(told.get("num_channels"))
    if count is None or count != int(count) or not 0 < count < 1000:
        why = f"num_channels of the metadata must be a whole number, got {shown(told.get('num_channels'))}"
        found.ask("input.channels", why, "input: {channels: 1}")
        return
    found.input["channels"] = int(count)
    names = _mapping(told.get("channel_def"))
    if count > 1 and names:
        text = ", ".join(f"{shown(key)[1:-1]} {shown(name)[1:-1]}" for key, name in names.items())
        found.note(f"the channels must come in this order: {text}")


def _inferer(course: Course) -> None:
    found, bundle = course.found, course.bundle
    try:
        inferer = bundle.item(bundle.content.get("inferer"))
        name = plain_name(_mapping(inferer).get("_target_"))
        if name == "SimpleInferer":
            return
        if name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
            why = (
                f"its inferer must be a SlidingWindowInferer or SimpleInferer, got {shown(inferer)}"
            )
            found.ask("window.size", why, _WINDOW_LINE)
            return
        window = {k: bundle.resolve(v) for k, v in inferer.items() if k in _WINDOW_KEYS}
    except Unresolved as unknown:
        found.ask("window.size", f"inference.json tells the window by {unknown}", _WINDOW_LINE)
        return
    size, overlap = window.get("roi_size"), window.get("overlap", 0.25)
    whole = isinstance(size, list) and all(type(n) is int and 0 < n < 1 << 16 for n in size)
    if not isinstance(size, list) or not whole or len(size) not in {2, 3}:
        why = f"roi_size must be two or three whole numbers, got {shown(size)}"
        found.ask("window.size", why, _WINDOW_LINE)
        return
    if isinstance(overlap, list) and overlap and overlap.count(overlap[0]) == len(overlap):
        overlap = overlap[0]
    share = number(overlap)
    if share is None or not 0 <= share < 1:
        why = f"overlap must be one number from 0 to below 1, got {shown(overlap)}"
        found.ask("window.overlap", why, _WINDOW_LINE)
        share = 0.25
    blend = window.get("mode", "constant")
    if blend not in ("constant", "gaussian"):
        why = f"mode must be constant or gaussian, got {shown(blend)}"
        found.ask("window.blend", why, _WINDOW_LINE)
        blend = "constant"
    found.window |= {"size": size, "overlap": share, "blend": blend, "placement": "monai"}
    batch = window.get("sw_batch_size")
    if type(batch) is int and 0 < batch < 1 << 16:
        found.settings["batch"] = batch
    _window_padding(found, window)
    if blend == "gaussian" and window.get("sigma_scale", 0.125) != 0.125:
        found.note(f"its windows have sigma_scale {shown(window['sigma_scale'])}, here it is 0.125")


def _window_padding(found: Findings, window: Mapping[str, Any]) -> None:
    """Read what fills a scan up that is smaller than the window."""
    mode, value = window.get("padding_mode", "constant"), window.get("cval", 0)
    if mode == "constant" and number(value) == 0:
        found.window["padding"] = "zero"
    elif isinstance(mode, str) and mode in _PADDING:
        found.window["padding"] = _PADDING[mode]
    else:
        found.note(
            f"the bundle pads scans smaller than its window by padding_mode {shown(mode)}, cval "
            f"{shown(value)}; here they are padded with the minimum of each channel"
        )


_PADDING = {"replicate": "edge", "reflect": "reflect"}

_WINDOW_KEYS = frozenset(
    ("padding_mode", "cval", "roi_size", "overlap", "mode", "sw_batch_size", "sigma_scale")
)


def _preprocessing(course: Course) -> None:
    found, bundle = course.found, course.bundle
    name = "preprocessing" if "preprocessing" in bundle.content else "pre_transforms"
    try:
        steps = flat_steps(bundle, bundle.content.get(name))
    except Unresolved as unknown:
        found.ask("input.clip", f"{name} cannot be read as data: {unknown}", CLIP_LINE)
        found.ask("input.axes", f"{name} cannot be read as data: {unknown}", "input: {axes: RAS}")
        return
    for step in steps:
        _follow(step, course)
    if course.spaced and course.before:
        if all(course.before):
            found.input["intensities_on"] = "native"
        elif any(course.before):
            why = "the bundle treats intensities both before and after it resamples"
            found.ask("input.clip", why, CLIP_LINE)


def _follow(step: Mapping[str, Any], course: Course) -> None:
    target = step.get("_target_")
    name = plain_name(target)
    try:
        keys = course.value(step, "keys")
        if keys is not None and course.image not in (keys if isinstance(keys, list) else [keys]):
            return  # of the label, or of something else
        if name == "LoadImage" and course.value(step, "reverse_indexing"):
            course.found.ask(
                "input.axes",
                "its reader reverses the axes (reverse_indexing)",
                "input: {axes: RAS}",
            )
        if name in STEPS:
            STEPS[name](step, course)
        elif name not in HARMLESS:
            course.found.note(
                f"step {shown(target)} of the bundle is not one this tool can do; when it changes the "
                "image, run the system as a command or fold the step into the exported model"
            )
    except Unresolved as unknown:
        field, line = _ABOUT.get(name, ("input.clip", CLIP_LINE))
        course.found.ask(field, f"step {name} of the bundle is told by {unknown}", line)


_ABOUT = {
    "Orientation": ("input.axes", "input: {axes: RAS}"),
    "Spacing": ("input.spacing_mm", "input: {spacing_mm: [1.5, 1.5, 2.0]}"),
    "Resize": ("input.size", "input: {size: [96, 96, 96], fit: resize}"),
    "ResizeWithPadOrCrop": ("input.size", "input: {size: [96, 96, 96], fit: pad}"),
    "DivisiblePad": ("input.divisor", "input: {divisor: [16, 16, 16]}"),
    "LoadImage": ("input.axes", "input: {axes: RAS}"),
}


def _sizes(found: Findings, told: Mapping[str, Any], *, inferred: bool) -> None:
    """Read spatial_shape: a patch, a fixed size, or what sizes must be multiples of."""
    shape = told.get("spatial_shape")
    if not isinstance(shape, list) or len(shape) not in {2, 3}:
        return
    divisors = [divisor_of(size) for size in shape]
    if None in divisors:
        found.note(
            f"spatial_shape {shown(shape)} does not tell what sizes must be multiples of; where the "
            "network is picky, add input: {divisor: [..]}"
        )
        return
    if not any(divisors):
        if inferred:
            return
        if told.get("is_patch_data") is True:
            found.window |= {"size": shape}
        else:
            found.input |= {"size": shape, "fit": "pad"}
        return
    known = [one for one in divisors if one]
    if len(known) < len(shape):
        found.note(f"spatial_shape {shown(shape)} fixes some axes only, which no contract has")
    elif max(known) > 1:
        found.input.setdefault("divisor", known)


def _axes(course: Course, told: Mapping[str, Any]) -> None:
    """Without Orientation the array keeps its stored axes, which MONAI orders as x, y, z."""
    found = course.found
    if course.turned or any(question.name == "input.axes" for question in found.questions):
        return
    lists = (found.input.get("spacing_mm"), found.window.get("size"), told.get("spatial_shape"))
    dims = next((len(one) for one in lists if isinstance(one, list)), 0)
    if dims not in {2, 3}:
        why = "the bundle names no axes, nor how many there are"
        found.ask("input.axes", why, "input: {axes: RAS}")
        return
    found.input |= {"axes": "native", "transpose": list(range(dims))[::-1]}
