"""What a MONAI bundle says of its network's output: activation, threshold, names of channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.systems.sidecars.monai_steps import HARMLESS, Course, plain_name
from auditor.systems.sidecars.monai_values import Unresolved, flat_steps
from auditor.systems.sidecars.records import Findings, number, shown

__all__ = ["read_channels", "read_postprocessing"]

_ACTIVATION_LINE = "output: {activation: logits_softmax}"


def read_postprocessing(course: Course) -> None:
    """Read the steps that follow the network.

    Parameters
    ----------
    course : its findings get activation, threshold, and whether logits are resampled.
    """
    found, bundle = course.found, course.bundle
    name = "postprocessing" if "postprocessing" in bundle.content else "post_transforms"
    try:
        steps = flat_steps(bundle, bundle.content.get(name))
    except Unresolved as unknown:
        found.ask(
            "output.activation", f"{name} cannot be read as data: {unknown}", _ACTIVATION_LINE
        )
        return
    seen: list[str] = []
    for step in steps:
        here = plain_name(step.get("_target_"))
        try:
            if here == "Activations":
                _activations(step, course)
            elif here == "AsDiscrete":
                _discrete(step, course, after_inverse="Invert" in seen)
            elif here == "Invert":
                _inverse(step, course, seen)
            elif here not in HARMLESS:
                found.note(
                    f"step {shown(step.get('_target_'))} after the network is not one this tool can do"
                )
        except Unresolved as unknown:
            why = f"step {here} of the bundle is told by {unknown}"
            found.ask("output.activation", why, _ACTIVATION_LINE)
        seen.append(here)
    if "activation" not in found.output:
        found.ask(
            "output.activation",
            "the bundle applies no activation; logits or probabilities are not told apart",
            _ACTIVATION_LINE,
        )


def _activations(step: Mapping[str, Any], course: Course) -> None:
    softmax, sigmoid, other = (course.value(step, key) for key in ("softmax", "sigmoid", "other"))
    if other is not None or (softmax is True) == (sigmoid is True):
        why = f"Activations must be either softmax or sigmoid, got {shown(dict(step))}"
        course.found.ask("output.activation", why, _ACTIVATION_LINE)
        return
    course.found.output["activation"] = "logits_softmax" if softmax is True else "logits_sigmoid"


def _discrete(step: Mapping[str, Any], course: Course, *, after_inverse: bool) -> None:
    found = course.found
    threshold = course.value(step, "threshold")
    if threshold is not None and threshold is not False:
        limit = 0.5 if threshold is True else number(threshold)
        if limit is None or not 0 < limit < 1:
            why = f"threshold must lie between 0 and 1, got {shown(threshold)}"
            found.ask("output.threshold", why, "output: {threshold: 0.5}")
        elif found.output.get("activation") == "logits_sigmoid":
            found.output["threshold"] = limit
    if not after_inverse and course.spaced:
        found.note(
            "the bundle decides before it goes back to the scan's grid, here probabilities are brought back "
            "and decided on there"
        )


def _inverse(step: Mapping[str, Any], course: Course, seen: list[str]) -> None:
    if "AsDiscrete" in seen:
        return
    if course.value(step, "nearest_interp", default=True) is not False and course.spaced:
        course.found.note(
            "the bundle takes the nearest voxel on the way back (nearest_interp), here probabilities are "
            "interpolated linearly"
        )
    if "Activations" not in seen and course.found.input.get("fit") != "pad":
        course.found.output["resampled"] = "logits"


def read_channels(found: Findings, told: Mapping[str, Any]) -> None:
    """Read the names of the output's channels.

    Parameters
    ----------
    found : its output gets labels, or a question is added.
    told : entry of the prediction in ``network_data_format.outputs``.
    """
    names = _names(told.get("channel_def"))
    line = "output: {labels: {organ: 1}}"
    if not names:
        why = f"channel_def must name each channel, got {shown(told.get('channel_def'))}"
        found.ask("output.labels", why, line)
        return
    activation = found.output.get("activation", "")
    rest = {n: name for n, name in names.items() if not _is_background(name)}
    if "sigmoid" in str(activation) and len(rest) > 1:
        listed = ", ".join(f"{shown(name)[1:-1]}: {i}" for i, name in enumerate(rest.values(), 1))
        found.ask(
            "output.labels",
            "channels of a sigmoid may overlap: which number each has in the references, the one that wins "
            f"over the others last (the bundle names {listed})",
            f"output: {{labels: {{{listed}}}}}",
        )
        return
    shift = 0 if 0 in names and _is_background(names[0]) else 1
    if shift and len(names) > 1:
        why = f"channel 0 is not called background: {shown(names)}"
        found.ask("output.labels", why, line)
        return
    if not rest:
        found.ask(
            "output.labels", f"channel_def names nothing but background: {shown(names)}", line
        )
        return
    found.output["labels"] = {name: number_ + shift for number_, name in rest.items()}
    if "sigmoid" in str(activation) and not shift:
        found.output["channels"] = {name: number_ + 1 for number_, name in rest.items()}
    found.note("labels are taken to have the number of their channel in the references")


def _names(told: object) -> dict[int, str]:
    if not isinstance(told, Mapping) or not 0 < len(told) <= 1000:
        return {}
    found: dict[int, str] = {}
    for key, name in told.items():
        digits = str(key)
        text = "".join(letter for letter in str(name)[:60] if letter.isprintable()).strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 4 or not text:
            return {}
        if not isinstance(name, str) or text in found.values():
            return {}
        found[int(digits)] = text
    return dict(sorted(found.items())) if sorted(found) == list(range(len(found))) else {}


def _is_background(name: str) -> bool:
    return name.lower() in {"background", "bg"}
