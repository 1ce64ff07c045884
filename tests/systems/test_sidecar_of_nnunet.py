from __future__ import annotations

import itertools
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter, map_coordinates
from shipped_folders import LopsidedNet, dataset, plans, scan, tilted, write_training

from auditor.errors import CheckpointError
from auditor.schema import Certainty, Geometry, SystemSpec
from auditor.systems.contract import parse_contract
from auditor.systems.running import Prediction, open_system
from auditor.systems.sidecars import locate
from auditor.systems.sidecars.nnunet import pick_configuration, read_training
from auditor.systems.sidecars.records import Findings
from auditor.systems.window import importance

resize: Any = import_module("skimage.transform").resize

BY_HAND: dict[str, Any] = {
    "input": {
        "channels": 1,
        "axes": "native",
        "transpose": [2, 0, 1],
        "crop": "nonzero",
        "spacing_mm": [2.0, 1.5, 1.0],
        "interpolation": "cubic_in_plane",
        "grid": "extent",
        "intensities_on": "native",
        "clip": [-60.0, 160.0],
        "affine": [1 / 25, -40 / 25],
    },
    "output": {
        "activation": "logits_softmax",
        "labels": {"spleen": 1, "liver": 2},
        "resampled": "logits",
    },
    "window": {"size": [8, 16, 12], "overlap": 0.5, "blend": "gaussian", "padding": "zero"},
}


def read(planned: Any = None, described: Any = None, name: str = "3d_fullres") -> Findings:
    return read_training(planned or plans(), described or dataset(), name)


def asked(found: Findings) -> list[str]:
    return [question.name for question in found.questions]


def test_a_training_becomes_a_contract() -> None:
    found = read()
    # 40 * (1 / 25) and 40 / 25 differ in the last bit
    assert found.input.pop("affine") == pytest.approx(BY_HAND["input"]["affine"])
    assert found.sidecar == {
        **BY_HAND,
        "input": {k: v for k, v in BY_HAND["input"].items() if k != "affine"},
    }
    assert found.questions == []
    assert found.settings == {"flips": [0, 1, 2], "batch": 2}
    assert any("add flips: [0, 1, 2], which takes 8 times" in note for note in found.notes)


def test_a_slice_wise_configuration_keeps_its_slices() -> None:
    """Fed as (x, z, y); slices along x keep their spacing."""
    found = read(name="2d")
    assert found.input["dims"] == 2
    assert found.input["spacing_mm"] == [1.5, 1.0]
    assert found.input["transpose"] == [2, 0, 1]
    assert found.window["size"] == [16, 12]
    parts = parse_contract([(Certainty.SIDECAR, found.sidecar)], "s")
    assert parts.problems == ()


def test_a_configuration_may_inherit() -> None:
    assert read(name="3d_more").settings["batch"] == 4
    assert read(name="3d_more").window == read().window


def test_a_reader_that_turns_the_axes_names_them() -> None:
    """(z, y, x) of an image in RAS order runs towards S, A, R; x is fed first."""
    found = read(plans(image_reader_writer="NibabelIOWithReorient"))
    assert found.input["axes"] == "RSA"
    assert "transpose" not in found.input


def test_pictures_have_no_spacing() -> None:
    planned = plans(
        image_reader_writer="NaturalImage2DIO",
        transpose_forward=[0, 1, 2],
        fullres={
            "patch_size": [32, 32],
            "spacing": [1.0, 1.0],
            "normalization_schemes": ["RGBTo01Normalization"] * 3,
            "use_mask_for_norm": [False] * 3,
        },
    )
    described = dataset(channel_names={"0": "R", "1": "G", "2": "B"})
    found = read(planned, described)
    assert found.input == {
        "dims": 2,
        "channels": 3,
        "axes": "native",
        "intensities_on": "native",
        "affine": [1 / 255, 0.0],
        "crop": "nonzero",
    }
    assert "the channels must come in this order: 0 R, 1 G, 2 B" in found.notes


def test_channels_may_be_normalised_in_different_ways() -> None:
    planned = plans(
        fullres={
            "normalization_schemes": ["CTNormalization", "ZScoreNormalization", "NoNormalization",
                                      "RescaleTo01Normalization"],
            "use_mask_for_norm": [False, True, False, False],
        }
    )  # fmt: skip
    described = dataset(channel_names={"0": "CT", "1": "MR", "2": "mask", "3": "PET"})
    found = read(planned, described)
    assert found.input["clip"] == [[-60.0, 160.0], None, None, None]
    assert found.input["zscore"] == ["none", "filled", "none", "none"]
    assert found.input["scale_to"] == [None, None, None, [0.0, 1.0]]
    assert parse_contract([(Certainty.SIDECAR, found.sidecar)], "s").problems == ()


@pytest.mark.parametrize(
    ("labels", "order", "output"),
    [
        (  # of brain tumours: what is left of each region after the next one
            {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3},
            [1, 2, 3],
            {"labels": {"whole_rest": 1, "core_rest": 2, "enhancing": 3}},
        ),
        (  # of kidneys: the second channel is written as 3, the third as 2
            {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumour": 2, "ignore": 4},
            [1, 3, 2],
            {
                "labels": {"kidney_rest": 1, "masses_rest": 3, "tumour": 2},
                "channels": {"masses_rest": 2, "tumour": 3},
            },
        ),
    ],
)
def test_regions_are_sigmoid_channels(labels: Any, order: Any, output: dict[str, Any]) -> None:
    found = read(described=dataset(labels=labels, regions_class_order=order))
    assert found.output == {
        "activation": "logits_sigmoid",
        "resampled": "logits",
        **output,
    }
    assert list(found.output["labels"].values()) == order  # the last one wins
    parts = parse_contract([(Certainty.SIDECAR, found.sidecar)], "s")
    assert parts.problems == ()


@pytest.mark.parametrize(
    ("fullres", "more", "described", "field"),
    [
        ({"patch_size": "big"}, {}, {}, "window.size"),
        ({"patch_size": [8, -1, 8]}, {}, {}, "window.size"),
        ({"spacing": [1, "x", 2]}, {}, {}, "input.spacing_mm"),
        ({"spacing": None}, {}, {}, "input.spacing_mm"),
        ({"normalization_schemes": ["OwnNormalization"]}, {}, {}, "input.clip"),
        ({"normalization_schemes": "CTNormalization"}, {}, {}, "input.clip"),
        ({"normalization_schemes": [["CTNormalization"]]}, {}, {}, "input.clip"),
        ({}, {"foreground_intensity_properties_per_channel": {"0": {"mean": 1}}}, {}, "input.clip"),
        ({}, {"foreground_intensity_properties_per_channel": 3}, {}, "input.clip"),
        ({}, {"transpose_forward": [0, 0, 1]}, {}, "input.transpose"),
        ({}, {"transpose_forward": [0, True, 2]}, {}, "input.transpose"),
        ({}, {}, {"labels": ["a", "b"]}, "output.labels"),
        ({}, {}, {"labels": {"background": 0, "a": 1, "b": 3}}, "output.labels"),
        ({}, {}, {"labels": {"background": 0, "a": [1, "x"]}}, "output.labels"),
        ({}, {}, {"labels": {"background": 0, "a": [1, 2], "b": 2}}, "output.labels"),
        ({}, {}, {"labels": {"background": 0, "a": [1, 2], "b": 2}, "regions_class_order": [1, 1]},
         "output.labels"),
        ({}, {}, {"channel_names": 3}, "input.channels"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_asked_for(
    fullres: Any, more: Any, described: Any, field: str
) -> None:
    found = read(plans(fullres=fullres, **more), dataset(**described))
    assert field in asked(found)
    assert all(len(question.why) < 400 for question in found.questions)


def test_another_resampling_is_told() -> None:
    found = read(plans(fullres={"resampling_fn_data": "resample_torch_fornnunet"}))
    assert any("resample_torch_fornnunet" in note for note in found.notes)
    untouched = read(plans(fullres={"resampling_fn_data": "no_resampling_data_or_seg_to_shape"}))
    assert "spacing_mm" not in untouched.input


@pytest.mark.parametrize(
    ("planned", "folder", "words"),
    [
        ({}, "a__b__3d_fullres", "plans.json must hold configurations, got None"),
        ({"configurations": {"a": {}, "b": {}}}, "training", "several configurations ('a', 'b')"),
        (plans(), "a__b__3d_cascade_fullres", "second stage of a cascade"),
        ({"configurations": {"a": {"inherits_from": "a"}}}, "a", "inherits in a circle"),
        ({"configurations": {"a": {"inherits_from": 3}}}, "a", "must be a mapping"),
        ({"configurations": {"a": []}}, "a", "must be a mapping"),
    ],
)
def test_a_configuration_that_cannot_be_told_is_refused(
    planned: Any, folder: str, words: str
) -> None:
    with pytest.raises(CheckpointError) as error:
        pick_configuration(planned, folder)
    assert words in str(error.value)


# --- the maker's own pipeline, written out ---------------------------------------------------------


def nnunet_resample(
    data: NDArray[Any],
    new: Sequence[int],
    old_mm: Sequence[float],
    new_mm: Sequence[float],
    order: int,
) -> NDArray[Any]:
    told = {"order": order, "mode": "edge", "anti_aliasing": False}
    thick = next((s for s in (old_mm, new_mm) if max(s) / min(s) > 3), None)
    if tuple(new) == data.shape[1:]:
        return data
    if thick is None:
        return np.stack([resize(channel.astype(float), tuple(new), **told) for channel in data])
    axis = int(np.argmax(thick))
    inside = tuple(n for i, n in enumerate(new) if i != axis)
    found = []
    for channel in data:
        slices = [resize(it.astype(float), inside, **told) for it in np.moveaxis(channel, axis, 0)]
        stacked = np.stack(slices, axis)
        grid = np.mgrid[tuple(slice(n) for n in new)].astype(float)
        for i, (a, b) in enumerate(zip(stacked.shape, new, strict=True)):
            grid[i] = a / b * (grid[i] + 0.5) - 0.5
        found.append(map_coordinates(stacked, grid, order=0, mode="nearest"))
    return np.stack(found)


def nnunet_windows(
    data: NDArray[Any], patch: Sequence[int], network: Any, classes: int, *, ours: bool
) -> NDArray[Any]:
    """Evenly spread steps of at most half a patch, Gaussian weights of sigma patch / 8."""
    steps = []
    for n, p in zip(data.shape[1:], patch, strict=True):
        count = int(np.ceil((n - p) / (p * 0.5))) + 1
        pace = (n - p) / (count - 1) if count > 1 else 0
        steps.append([round(pace * i) for i in range(count)])
    if ours:
        weight = importance(patch, "gaussian").astype(float)
    else:
        centre = np.zeros(tuple(patch))
        centre[tuple(p // 2 for p in patch)] = 1
        weight = gaussian_filter(centre, [p / 8 for p in patch], mode="constant")
        weight /= weight.max()
        weight[weight == 0] = weight[weight != 0].min()
    logits, total = np.zeros((classes, *data.shape[1:])), np.zeros(data.shape[1:])
    for corner in itertools.product(*steps):
        place = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        with torch.inference_mode():
            piece = torch.from_numpy(data[(slice(None), *place)].astype(np.float32))
            answer = network(piece[None])[0].numpy()
        logits[(slice(None), *place)] += answer * weight
        total[place] += weight
    return logits / total


def nnunet_labels(
    image: NDArray[Any], geometry: Geometry, planned: Any, network: Any, classes: int, *, ours: bool
) -> NDArray[Any]:
    """DefaultPreprocessor, sliding windows and export, in the order of nnU-Net.

    Its Gaussian weights are centred on voxel p // 2 of a patch, `ours` about its middle, which moves
    some borders inside patches as tiny as these; everything else is the same to the last label.
    """
    order = planned["transpose_forward"]
    config = planned["configurations"]["3d_fullres"]
    data = image.transpose(0, *[axis + 1 for axis in order]).astype(np.float32)
    spacing = [geometry.spacing[axis] for axis in order]
    mask = binary_fill_holes((data != 0).any(axis=0))
    box = tuple(slice(ix.min(), ix.max() + 1) for ix in np.nonzero(mask))
    whole, data, mask = data.shape[1:], data[(slice(None), *box)].copy(), mask[box]
    for i, scheme in enumerate(config["normalization_schemes"]):
        if scheme == "CTNormalization":
            known = planned["foreground_intensity_properties_per_channel"][str(i)]
            clipped = np.clip(data[i], known["percentile_00_5"], known["percentile_99_5"])
            data[i] = (clipped - known["mean"]) / known["std"]
        else:
            inside = mask if config["use_mask_for_norm"][i] else np.ones_like(mask)
            values = data[i][inside]
            data[i][inside] = (values - values.mean()) / values.std()
    target = config["spacing"]
    new = [round(o / t * n) for o, t, n in zip(spacing, target, data.shape[1:], strict=True)]
    cropped = data.shape[1:]
    data = nnunet_resample(data, new, spacing, target, 3)
    logits = nnunet_windows(data, config["patch_size"], network, classes, ours=ours)
    logits = nnunet_resample(logits, cropped, target, spacing, 1)
    labels = np.zeros(whole, dtype=np.int16)
    labels[box] = logits.argmax(axis=0)
    return labels.transpose([order.index(axis) for axis in range(3)])


def system_of(path: Path, sidecar: Any) -> SystemSpec:
    parts = parse_contract([(Certainty.SIDECAR, sidecar)], "s")
    assert parts.problems == ()
    return SystemSpec(
        name="s",
        checkpoint=str(path),
        input=parts.input,
        output=parts.output,
        window=parts.window,
        batch=2,
        timeout_s=120,
    )


def predicted(spec: SystemSpec, image: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    with open_system(spec) as system:
        (answer,) = system.predict([image], geometry)
    assert isinstance(answer, Prediction), answer
    return answer.labels


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((11, 26, 21), (5.0, 1.1, 0.9)), ((15, 26, 21), (2.4, 1.1, 1.3))],
)
def test_a_ct_training_predicts_as_declared_by_hand_and_as_nnunet_does(
    tmp_path: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    """Once with thick slices (a nearest slice, fed second), once without."""
    geometry = tilted(shape, spacing)
    network = LopsidedNet(classes=3, around=0.0)
    training = write_training(tmp_path, network=network)
    located = locate(tmp_path)  # the folder of results: there is one training in it
    assert located.checkpoint == training / "fold_0" / "model.ts"
    assert located.kind == "nnU-Net folder"
    image = scan(geometry.shape)
    image[:, :2] = 0  # cropped away
    found = predicted(system_of(located.checkpoint, located.sidecar), image, geometry)
    by_hand = predicted(system_of(located.checkpoint, BY_HAND), image, geometry)
    assert torch.equal(found, by_hand)
    expected = nnunet_labels(image.numpy(), geometry, plans(), network, 3, ours=True)
    assert set(np.unique(expected)) == {0, 1, 2}
    np.testing.assert_array_equal(found.numpy(), expected)
    theirs = nnunet_labels(image.numpy(), geometry, plans(), network, 3, ours=False)
    assert float((found.numpy() == theirs).mean()) > 0.98
    assert not found[:2].any()


def test_an_mr_training_of_two_channels_predicts_as_nnunet_does(tmp_path: Path) -> None:
    geometry = tilted((14, 26, 21), (2.4, 1.1, 1.3))
    network = LopsidedNet(classes=3, around=0.0, channels=2)
    planned = plans(
        transpose_forward=[0, 1, 2],
        transpose_backward=[0, 1, 2],
        fullres={
            "normalization_schemes": ["ZScoreNormalization"] * 2,
            "use_mask_for_norm": [True, False],
        },
    )
    described = dataset(channel_names={"0": "T1", "1": "T2"})
    training = write_training(tmp_path, planned=planned, described=described, network=network)
    image = scan(geometry.shape, channels=2)
    # a head within air, with a hole of 0 inside
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in geometry.shape], indexing="ij")
    radius = torch.from_numpy(z**2 + y**2 + x**2)
    image[:, (radius > 0.8) | (radius < 0.03)] = 0
    located = locate(training)
    found = predicted(system_of(located.checkpoint, located.sidecar), image, geometry)
    expected = nnunet_labels(image.numpy(), geometry, planned, network, 3, ours=True)
    assert set(np.unique(expected)) == {0, 1, 2}
    np.testing.assert_array_equal(found.numpy(), expected)
    theirs = nnunet_labels(image.numpy(), geometry, planned, network, 3, ours=False)
    assert float((found.numpy() == theirs).mean()) > 0.98
