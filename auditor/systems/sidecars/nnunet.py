"""plans.json and dataset.json of an nnU-Net v2 training, as a contract.

**Conventions.** nnU-Net reads scans as (z, y, x), as they are stored, and transposes them by
``transpose_forward``; every list of its plans is in that order, and so is every list of ours. It crops
to what is not 0, normalises, and resamples then; the network answers with logits, which are resampled
before their activation. Of regions (labels that are lists of numbers) channel i is written as
``regions_class_order[i]`` where its sigmoid exceeds one half, later ones over earlier ones.

References
----------
Isensee et al., Nature Methods 2021; nnU-Net v2: ``DefaultPreprocessor``, ``LabelManager``,
``resample_data_or_seg_to_shape``, ``default_normalization_schemes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from auditor.errors import CheckpointError
from auditor.systems.sidecars.nnunet_labels import read_labels
from auditor.systems.sidecars.records import Findings, number, shown

__all__ = ["pick_configuration", "read_training"]

_LEVELS = 8
"""Configurations that inherit from each other."""

_RESAMPLING = "resample_data_or_seg_to_shape"
_SPACING_LINE = "input: {spacing_mm: [2.5, 0.8, 0.8]}"
_CLIP_LINE = "input: {clip: [-57, 164], affine: [0.02, -1.0]}"


def pick_configuration(plans: Mapping[str, Any], folder: str) -> str:
    """Find which configuration of the plans a training folder holds.

    Parameters
    ----------
    plans : content of plans.json.
    folder : name of the training folder: ``nnUNetTrainer__nnUNetPlans__3d_fullres``.

    Returns
    -------
    Its name.

    Raises
    ------
    CheckpointError
        When there is none, several that the name of the folder does not tell apart, or a cascade.
    """
    known = plans.get("configurations")
    if not isinstance(known, Mapping) or not known:
        msg = f"plans.json must hold configurations, got {shown(known)}"
        raise CheckpointError(msg)
    names = [str(name) for name in known]
    named = folder.rsplit("__", maxsplit=1)[-1]
    found = named if named in names else names[0] if len(names) == 1 else ""
    if not found:
        told = ", ".join(shown(name) for name in names[:8])
        msg = (
            f"plans.json holds several configurations ({told}); the folder must be named as nnU-Net names "
            f"it, TRAINER__PLANS__CONFIGURATION (nnUNetTrainer__nnUNetPlans__3d_fullres), was {shown(folder)}"
        )
        raise CheckpointError(msg)
    if _merged(plans, found).get("previous_stage") is not None:
        msg = (
            f"the configuration {found!r} is the second stage of a cascade: its network is fed with the "
            "prediction of another one, which cannot be declared; audit it as a command "
            "(nnUNetv2_predict), or its first stage"
        )
        raise CheckpointError(msg)
    return found


def _merged(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Content of a configuration over those that it inherits from."""
    known = plans["configurations"]
    chain: list[Mapping[str, Any]] = []
    following: object = name
    for _ in range(_LEVELS):
        content = known.get(following) if isinstance(following, str) else None
        if not isinstance(content, Mapping):
            msg = f"plans.json: the configuration {shown(following)} must be a mapping, it is none"
            raise CheckpointError(msg)
        chain.append(content)
        following = content.get("inherits_from")
        if following is None:
            return {key: value for one in reversed(chain) for key, value in one.items()}
    msg = f"plans.json: the configuration {name!r} inherits in a circle"
    raise CheckpointError(msg)


def read_training(
    plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str
) -> Findings:
    """Read a training's plans and data set description.

    Parameters
    ----------
    plans, dataset : content of plans.json and dataset.json.
    configuration : of the plans, see `pick_configuration`.

    Returns
    -------
    Contract, settings, notes and questions; what cannot be read becomes a question.

    Raises
    ------
    CheckpointError
        When the configuration itself cannot be read.
    """
    found = Findings()
    content = _merged(plans, configuration)
    patch = _list(content.get("patch_size"), _count)
    dims = len(patch) if patch and len(patch) in {2, 3} else 0
    pictures = plans.get("image_reader_writer") == "NaturalImage2DIO"
    if dims:
        found.window = {"size": patch, "overlap": 0.5, "blend": "gaussian", "padding": "zero"}
        found.settings["flips"] = list(range(dims))
        found.note(
            "nnU-Net predicts with test-time mirroring by default, about axes that only its own "
            f"checkpoint file names (by default all); to do so too, add flips: {list(range(dims))}, "
            f"which takes {2**dims} times as long"
        )
    else:
        found.ask(
            "window.size",
            f"patch_size must be two or three whole numbers, got {shown(content.get('patch_size'))}",
            "window: {size: [128, 128, 128], overlap: 0.5, blend: gaussian}",
        )
    if dims == 2:
        found.input["dims"] = 2
    _channels(found, dataset)
    _axes(found, plans, pictures=pictures)
    _resampling(found, content, pictures=pictures)
    _intensities(found, content, plans)
    found.input |= {"crop": "nonzero"}
    found.output = read_labels(found, dataset)
    batch = _count(content.get("batch_size"))
    if batch:
        found.settings["batch"] = batch
    if content.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        name = shown(content.get("preprocessor_name"))
        found.note(
            f"its preprocessor is {name}; what it does beyond DefaultPreprocessor is not done"
        )
    return found


def _channels(found: Findings, dataset: Mapping[str, Any]) -> None:
    names = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(names, Mapping) or not names:
        told = shown(names)
        why = f"channel_names of dataset.json must name the channels, got {told}"
        found.ask("input.channels", why, "input: {channels: 1}")
        return
    found.input["channels"] = len(names)
    if len(names) > 1:
        told = ", ".join(f"{shown(key)[1:-1]} {shown(name)[1:-1]}" for key, name in names.items())
        found.note(f"the channels must come in this order: {told}")


def _axes(found: Findings, plans: Mapping[str, Any], *, pictures: bool) -> None:
    order = plans.get("transpose_forward", [0, 1, 2])
    whole = isinstance(order, list) and all(type(axis) is int for axis in order)
    if not whole or sorted(order) != [0, 1, 2]:
        found.ask(
            "input.transpose",
            f"transpose_forward must be an order of 0, 1, 2, got {shown(order)}",
            "input: {axes: native, transpose: [0, 1, 2]}",
        )
        return
    reader = plans.get("image_reader_writer", "SimpleITKIO")
    if reader == "NibabelIOWithReorient":
        found.input["axes"] = "".join("SAR"[axis] for axis in order)
        return
    if reader not in ("SimpleITKIO", "NibabelIO", "NaturalImage2DIO", "Tiff3DIO"):
        found.note(
            f"its reader is {shown(reader)}; scans are taken as (z, y, x) as they are stored"
        )
    found.input["axes"] = "native"
    if order != [0, 1, 2] and not pictures:
        found.input["transpose"] = order


def _resampling(found: Findings, content: Mapping[str, Any], *, pictures: bool) -> None:
    spacing = _list(content.get("spacing"), _length)
    if pictures:
        return  # pixels have no millimetres there
    sizes = found.window.get("size", spacing)
    if not spacing or len(spacing) not in {2, 3} or len(spacing) != len(sizes):
        given = shown(content.get("spacing"))
        why = (
            f"spacing must be two or three positive numbers, as many as patch_size has, got {given}"
        )
        found.ask("input.spacing_mm", why, _SPACING_LINE)
        return
    found.input |= {"spacing_mm": spacing, "interpolation": "cubic_in_plane", "grid": "extent"}
    for what, order in (("data", 3), ("probabilities", 1)):
        name = content.get(f"resampling_fn_{what}", _RESAMPLING)
        options = content.get(f"resampling_fn_{what}_kwargs", {})
        told = options if isinstance(options, Mapping) else {}
        usual = {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}
        if name == "no_resampling_data_or_seg_to_shape":
            for key in ("spacing_mm", "interpolation", "grid"):
                found.input.pop(key, None)
        elif name != _RESAMPLING or any(told.get(k, v) != v for k, v in usual.items()):
            found.note(
                f"its {what} are resampled by {shown(name)} with {shown(told)}; here as nnU-Net does by "
                f"default (order {order}, order_z 0)"
            )


def _intensities(found: Findings, content: Mapping[str, Any], plans: Mapping[str, Any]) -> None:
    schemes = content.get("normalization_schemes")
    masks = content.get("use_mask_for_norm")
    count = found.input.get("channels", 1)
    if not isinstance(schemes, list) or len(schemes) != count:
        told = shown(schemes)
        why = (
            f"normalization_schemes must name one scheme for each of {count} channel(s), got {told}"
        )
        found.ask("input.clip", why, _CLIP_LINE)
        return
    known = plans.get(
        "foreground_intensity_properties_per_channel",
        plans.get("foreground_intensity_properties_by_modality"),
    )
    rows: dict[str, list[Any]] = {"clip": [], "scale_to": [], "zscore": [], "affine": []}
    for i, scheme in enumerate(schemes):
        properties = known.get(str(i)) if isinstance(known, Mapping) else None
        masked = isinstance(masks, list) and i < len(masks) and masks[i] is True
        fields = _scheme(scheme, properties, masked=masked)
        if fields is None:
            where = f"foreground_intensity_properties of channel {i} are {shown(properties)}"
            why = f"channel {i} is normalised by {shown(scheme)}, which cannot be followed; {where}"
            found.ask("input.clip", why, _CLIP_LINE)
            return
        for key, row in rows.items():
            row.append(fields.get(key, "none" if key == "zscore" else None))
    found.input["intensities_on"] = "native"
    for key, row in rows.items():
        said = [entry for entry in row if entry not in (None, "none")]
        if said:
            found.input[key] = row[0] if all(entry == row[0] for entry in row) else row


def _scheme(scheme: object, properties: object, *, masked: bool) -> dict[str, Any] | None:
    """Fields of one channel; None when it cannot be followed."""
    if scheme == "CTNormalization":
        return _ct(properties)
    fixed: dict[object, dict[str, Any]] = {
        "ZScoreNormalization": {"zscore": "filled" if masked else "image"},
        "NoNormalization": {},
        "RescaleTo01Normalization": {"scale_to": [0.0, 1.0]},
        "RGBTo01Normalization": {"affine": [1 / 255, 0.0]},
    }
    return fixed.get(scheme) if isinstance(scheme, str) else None


def _ct(properties: object) -> dict[str, Any] | None:
    told = properties if isinstance(properties, Mapping) else {}
    names = ("percentile_00_5", "percentile_99_5", "mean", "std")
    low, high, mean, sd = (number(told.get(name)) for name in names)
    if low is None or high is None or mean is None or sd is None or not low < high:
        return None
    factor = 1 / max(sd, 1e-8)
    return {"clip": [low, high], "affine": [factor, -mean * factor]}


def _list(value: object, read: Callable[[object], Any]) -> list[Any]:
    """Read every entry; empty when one cannot be read."""
    entries = [read(item) for item in value] if isinstance(value, list) and len(value) < 8 else []
    return [] if None in entries else entries


def _count(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found == int(found) and 0 < found < 1e6 else None


def _length(value: object) -> float | None:
    found = number(value)
    return found if found is not None and found > 0 else None
