from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shipped_folders import LopsidedNet, inference, metadata, scan, tilted, write_bundle

from auditor.schema import Certainty, Geometry, InputSpec, SystemSpec
from auditor.systems.contract import parse_contract
from auditor.systems.orientation import match_axes
from auditor.systems.preparation import prepare
from auditor.systems.running import Prediction, open_system
from auditor.systems.sidecars import locate
from auditor.systems.sidecars.monai_bundle import read_bundle
from auditor.systems.sidecars.records import Findings

transforms: Any = import_module("monai.transforms")
MetaTensor: Any = import_module("monai.data").MetaTensor
SlidingWindowInferer: Any = import_module("monai.inferers").SlidingWindowInferer

FULL = {
    "input": {
        "channels": 1,
        "axes": "RAS",
        "interpolation": "linear",
        "spacing_mm": [1.5, 1.5, 2.0],
        "grid": "corner",
        "clip": [-57.0, 164.0],
        "scale_to": [0.0, 1.0],
    },
    "output": {"activation": "logits_softmax", "labels": {"spleen": 1}},
    "window": {
        "size": [16, 16, 8],
        "overlap": 0.5,
        "blend": "gaussian",
        "placement": "monai",
        "padding": "zero",
    },
}


def read(steps: list[Any], *, after: list[Any] | None = None, **image: Any) -> Findings:
    """Read a bundle with these steps of pre- and postprocessing."""
    changes: dict[str, Any] = {"preprocessing": {"_target_": "Compose", "transforms": steps}}
    if after is not None:
        changes["postprocessing"] = {"_target_": "Compose", "transforms": after}
    return read_bundle(metadata(image=image), inference(**changes))


def asked(found: Findings) -> list[str]:
    return [question.name for question in found.questions]


def test_a_whole_bundle_becomes_a_contract() -> None:
    found = read_bundle(metadata(), inference())
    assert found.sidecar == FULL
    assert asked(found) == []
    assert found.settings == {"batch": 4}
    assert found.notes == [
        "labels are taken to have the number of their channel in the references",
    ]
    parts = parse_contract([(Certainty.SIDECAR, found.sidecar)], "s")
    assert parts.problems == ()
    assert {source for _, source in parts.sources} == {Certainty.SIDECAR}


@pytest.mark.parametrize(
    ("given", "padding", "note"),
    [
        ({"padding_mode": "replicate"}, "edge", ""),
        ({"padding_mode": "reflect"}, "reflect", ""),
        ({"padding_mode": "circular"}, None, "padding_mode 'circular', cval 0"),
        ({"cval": -1}, None, "padding_mode 'constant', cval -1"),
        ({"padding_mode": ["constant"]}, None, "here they are padded with the minimum"),
    ],
)
def test_small_scans_are_filled_up_as_the_inferer_says(
    given: dict[str, Any], padding: str | None, note: str
) -> None:
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 8], **given}
    found = read_bundle(metadata(), inference(inferer=inferer))
    assert found.window.get("padding") == padding
    assert found.window["placement"] == "monai"
    assert (
        any(note in it for it in found.notes)
        if note
        else not any("pads" in it for it in found.notes)
    )


@pytest.mark.parametrize(
    ("steps", "fields"),
    [
        ([{"_target_": "ScaleIntensityd", "keys": "image"}], {"scale_to": [0.0, 1.0]}),
        (
            [{"_target_": "monai.transforms.ScaleIntensityD", "keys": ["image"], "minv": -1}],
            {"scale_to": [-1.0, 1.0]},
        ),
        ([{"_target_": "NormalizeIntensityd", "keys": "image"}], {"zscore": "image"}),
        (
            [{"_target_": "NormalizeIntensity", "nonzero": True, "channel_wise": True}],
            {"zscore": "nonzero"},
        ),
        (
            [{"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 10, "divisor": 4}],
            {"affine": [0.25, -2.5]},
        ),
        (  # (x - 10) / 4, then half of it plus 1
            [
                {"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 10, "divisor": 4},
                {"_target_": "ScaleIntensityd", "keys": "image", "factor": -0.5, "minv": None, "maxv": None},
                {"_target_": "ShiftIntensityd", "keys": "image", "offset": 1},
            ],
            {"affine": [0.125, -0.25]},
        ),
        (
            [{"_target_": "ScaleIntensityRangePercentilesd", "keys": "image", "lower": 0.5,
              "upper": 99.5, "b_min": 0, "b_max": 1, "clip": True}],
            {"clip_quantiles": [0.005, 0.995], "scale_to": [0.0, 1.0]},
        ),
        (  # without clipping: x / 100
            [{"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 0, "a_max": 100,
              "b_min": 0, "b_max": 1}],
            {"affine": [0.01, 0.0]},
        ),
        (  # by default to [0, 1]: (x + 50) / 200
            [{"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -50, "a_max": 150}],
            {"affine": [0.005, 0.25]},
        ),
        (  # to [-1, 3]: (x + 50) / 50 - 1
            [{"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -50, "a_max": 150,
              "b_min": -1, "b_max": 3}],
            {"affine": [0.02, 0.0]},
        ),
        (
            [{"_target_": "Resized", "keys": "image", "spatial_size": [32, 32, 16], "mode": "trilinear"}],
            {"size": [32, 32, 16], "fit": "resize"},
        ),
        ([{"_target_": "DivisiblePadd", "keys": "image", "k": 16}], {"divisor": [16, 16, 16]}),
        (
            [{"_target_": "Spacingd", "keys": ["image", "label"], "pixdim": [2, 2, 2], "mode": [3, 0]}],
            {"spacing_mm": [2.0, 2.0, 2.0], "interpolation": "cubic", "grid": "corner"},
        ),
        (  # of the label only
            [{"_target_": "ScaleIntensityd", "keys": "label"}],
            {},
        ),
        ([{"_target_": "ScaleIntensityd", "keys": "image", "_disabled_": True}], {}),
    ],
)  # fmt: skip
def test_a_known_step_is_declared(steps: list[Any], fields: dict[str, Any]) -> None:
    found = read([{"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}, *steps])
    assert found.questions == []
    assert found.input == {"channels": 1, "axes": "RAS", **fields}


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"_target_": "Spacingd", "keys": "image", "pixdim": "$[1, 1, @a]"}, "input.spacing_mm"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": [1.0, -1, 1]}, "input.spacing_mm"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": 1.0}, "input.spacing_mm"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 1], "diagonal": True},
         "input.spacing_mm"),
        ({"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 1], "mode": "nearest"},
         "input.interpolation"),
        # an expression may name the image or not
        ({"_target_": "Spacingd", "keys": "$@image_key", "pixdim": [1, 1, 1]}, "input.spacing_mm"),
        ({"_target_": "Resized", "keys": ["$'image'"], "spatial_size": [8, 8, 8]}, "input.size"),
        ({"_target_": "Orientationd", "keys": "image", "axcodes": "@missing"}, "input.axes"),
        ({"_target_": "Orientationd", "keys": "image", "axcodes": "XYZ"}, "input.axes"),
        ({"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 1, "a_max": 1}, "input.clip"),
        ({"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": "$-57"}, "input.clip"),
        ({"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": "%other.json::a"}, "input.clip"),
        ({"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 3}, "input.clip"),
        ({"_target_": "Resized", "keys": "image", "spatial_size": "@sizes#0"}, "input.size"),
        ({"_target_": "LoadImaged", "keys": "image", "reverse_indexing": True}, "input.axes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_data_is_asked_for(step: dict[str, Any], field: str) -> None:
    found = read([step])
    assert field in asked(found)
    for question in found.questions:
        assert question.line.startswith(question.name.partition(".")[0])
        assert len(question.why) < 300


def test_statistics_over_all_channels_together_are_asked_for() -> None:
    step = {"_target_": "NormalizeIntensityd", "keys": "image"}
    assert "input.clip" in asked(read([step], num_channels=4))
    apart = {**step, "channel_wise": True}
    assert "input.clip" not in asked(read([apart], num_channels=4))


def test_steps_in_an_order_that_no_contract_has_are_asked_for() -> None:
    steps = [
        {"_target_": "NormalizeIntensityd", "keys": "image"},
        {"_target_": "ScaleIntensityd", "keys": "image"},
    ]
    nonzero = [{**steps[0], "nonzero": True}, steps[1]]
    assert "input.clip" in asked(read(nonzero))
    assert "input.clip" not in asked(read(nonzero[::-1]))


def test_a_straight_line_before_a_scaling_changes_nothing() -> None:
    """Minimum and maximum are mapped onto 0 and 1 whatever slope and offset came before."""
    lines = [
        {"_target_": "NormalizeIntensityd", "keys": "image"},
        {"_target_": "ShiftIntensityd", "keys": "image", "offset": 7},
    ]
    scale = {"_target_": "ScaleIntensityd", "keys": "image"}
    found = read([*lines, scale])
    assert "input.clip" not in asked(found)
    assert found.input["scale_to"] == [0.0, 1.0]
    assert "zscore" not in found.input
    assert "affine" not in found.input
    image = scan((6, 7, 8))
    fed = transforms.NormalizeIntensity()(image)
    theirs = transforms.ScaleIntensity()(transforms.ShiftIntensity(7, safe=False)(fed))
    ours = prepare(image, tilted((6, 7, 8), (1.0, 1.0, 1.0)), InputSpec(scale_to=(0.0, 1.0))).array
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def test_intensities_before_the_spacing_are_declared_so() -> None:
    spacing = {"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 1]}
    scale = {"_target_": "ScaleIntensityd", "keys": "image"}
    assert read([scale, spacing]).input["intensities_on"] == "native"
    assert "intensities_on" not in read([spacing, scale]).input


def test_a_spacing_before_the_axes_are_turned_is_asked_for_where_it_matters() -> None:
    turn = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
    assert "input.spacing_mm" in asked(
        read([{"_target_": "Spacingd", "keys": "image", "pixdim": [1, 1, 2]}, turn])
    )
    assert "input.spacing_mm" not in asked(
        read([{"_target_": "Spacingd", "keys": "image", "pixdim": [2, 2, 2]}, turn])
    )


@pytest.mark.parametrize("target", ["scripts.mine.Windowd", "os.system", "RandFlipd", 3, None])
def test_an_unknown_step_is_told_in_words(target: object) -> None:
    found = read([{"_target_": target, "keys": "image"}])
    assert any("is not one this tool can do" in note for note in found.notes)


def test_a_crop_of_the_foreground_is_told_in_words() -> None:
    found = read([{"_target_": "CropForegroundd", "keys": "image", "source_key": "image"}])
    assert any("CropForeground is not one this tool can do" in note for note in found.notes)


def test_without_orientation_the_axes_are_x_y_z_as_stored() -> None:
    found = read([{"_target_": "LoadImaged", "keys": "image"}])
    assert found.input["axes"] == "native"
    assert found.input["transpose"] == [2, 1, 0]


@pytest.mark.parametrize(
    ("after", "output"),
    [
        ([{"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
          {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.4}],
         {"activation": "logits_sigmoid", "threshold": 0.4, "labels": {"spleen": 1},
          "channels": {"spleen": 2}}),
        ([{"_target_": "Invertd", "keys": "pred", "nearest_interp": False},
          {"_target_": "Activationsd", "keys": "pred", "softmax": True}],
         {"activation": "logits_softmax", "resampled": "logits", "labels": {"spleen": 1}}),
    ],
)  # fmt: skip
def test_what_follows_the_network_is_declared(after: list[Any], output: dict[str, Any]) -> None:
    assert read([], after=after).output == output


def test_an_activation_that_nobody_names_is_asked_for() -> None:
    steps = [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]
    assert "output.activation" in asked(read([], after=steps))


def test_overlapping_channels_are_asked_for() -> None:
    """The numbers of tumour core, whole and enhancing tumour in the references are nobody's guess."""
    names = {"0": "Tumor core", "1": "Whole tumor", "2": "Enhancing tumor"}
    after = [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]
    changes = {"postprocessing": {"_target_": "Compose", "transforms": after}}
    found = read_bundle(metadata(pred={"channel_def": names}), inference(**changes))
    assert asked(found) == ["output.labels"]
    assert "Tumor core: 1, Whole tumor: 2" in found.questions[0].line
    assert "labels" not in found.output


@pytest.mark.parametrize(
    ("shape", "patch", "told"),
    [
        (["8*n", "8*n", "4*n"], False, {"divisor": [8, 8, 4]}),
        (["*", "*", "*"], False, {}),
        (["2**p*n", "2**p*n", "2**p*n"], False, {}),
        ([64, 64, 32], False, {"size": [64, 64, 32], "fit": "pad"}),
        ([64, 64, 32], True, {}),
    ],
)
def test_the_shape_of_the_input_is_read_by_a_small_grammar(
    shape: list[Any],
    patch: bool,  # noqa: FBT001  # a parameter of the test
    told: dict[str, Any],
) -> None:
    described = metadata(image={"spatial_shape": shape, "is_patch_data": patch})
    configured = inference(
        inferer={"_target_": "SimpleInferer"},
        preprocessing=[{"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"}],
    )
    found = read_bundle(described, configured)
    assert found.input == {"channels": 1, "axes": "LPS", **told}
    assert found.window == ({"size": [64, 64, 32]} if patch else {})


def test_nothing_of_a_bundle_is_evaluated(tmp_path: Path) -> None:
    written = tmp_path / "written"
    payload = f"$__import__('pathlib').Path({str(written)!r}).write_text('x')"
    configured = inference(
        pixdim=payload,
        inferer={"_target_": "SlidingWindowInferer", "roi_size": payload, "overlap": "@pixdim"},
        initialize=[payload],
        imports=[payload],
    )
    bundle = write_bundle(tmp_path / "bundle", configured=configured)
    located = locate(bundle)
    assert {question.name for question in located.questions} == {"input.spacing_mm", "window.size"}
    assert not written.exists()


# --- the maker's own pipeline ---------------------------------------------------------------------

GEOMETRY = tilted((6, 25, 41), (2.4, 1.1, 1.3))
"""Spacing turns 41 x 25 x 6 voxels (x, y, z) into round(40 * 1.3 / 1.5) + 1 = 36, round(24 * 1.1 / 1.5)
+ 1 = 19, round(5 * 2.4 / 2) + 1 = 7. MONAI's windows of 16 x 16 x 8 then begin at 0, 8, 16, 20 (evenly
spread ones at 0, 7, 13, 20) and at 0, 3, and the third axis is filled up by one plane of 0."""


def ras_affine(geometry: Geometry) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The affine of the (x, y, z) array in RAS+ coordinates, as MONAI loads it."""
    affine = np.eye(4)
    for column, axis in enumerate((2, 1, 0)):
        affine[:3, column] = np.array(geometry.direction[axis]) * geometry.spacing[axis]
    affine[:3, 3] = geometry.origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def as_monai(image: torch.Tensor) -> Any:
    moved = image.permute(0, 3, 2, 1).contiguous()
    return MetaTensor(moved, affine=torch.from_numpy(ras_affine(GEOMETRY)))


def test_the_letters_are_those_of_monai() -> None:
    """Orientation of MONAI calls nibabel, which also decides on oblique axes."""
    pytest.importorskip("nibabel", reason="MONAI's Orientation needs nibabel")
    image = scan(GEOMETRY.shape)
    for axes in ("RAS", "LPS", "SAR", "PIR", "ILA"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            theirs = transforms.Orientation(axes)(as_monai(image))
        ours = match_axes(axes, GEOMETRY, slicewise=False).apply(image)
        assert torch.equal(ours, theirs.as_tensor()), axes


def turned(image: torch.Tensor) -> Any:
    """RAS, written out: x of this scan runs towards L and is flipped, y and z run towards A and S."""
    meta = as_monai(image)
    columns = ras_affine(GEOMETRY)[:3, :3]
    assert np.abs(columns).argmax(axis=0).tolist() == [0, 1, 2]
    assert [columns[axis, axis] > 0 for axis in range(3)] == [False, True, True]
    return transforms.Flip(spatial_axis=0)(meta)


def monai_scores(image: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
    """Preprocess, predict in windows and invert, with MONAI's own classes."""
    fed = turned(image)
    spaced = transforms.Spacing(pixdim=[1.5, 1.5, 2.0], mode="bilinear")(fed)
    scaled = transforms.ScaleIntensityRange(-57, 164, 0.0, 1.0, clip=True)(spaced)
    inferer = SlidingWindowInferer([16, 16, 8], sw_batch_size=4, overlap=0.5, mode="gaussian")
    with torch.inference_mode():
        logits = inferer(scaled[None].as_tensor(), network)[0]
    probabilities = transforms.Activations(softmax=True)(logits)
    back = transforms.SpatialResample(mode="bilinear", padding_mode="border")(
        MetaTensor(probabilities.as_tensor(), affine=spaced.affine),
        dst_affine=fed.affine,
        spatial_size=fed.shape[1:],
    )
    scores: torch.Tensor = back.as_tensor().flip(1).permute(0, 3, 2, 1).contiguous()
    return scores


def system_of(path: Path, sidecar: Any, **changes: Any) -> SystemSpec:
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
        **changes,
    )


def predicted(spec: SystemSpec, image: torch.Tensor) -> Prediction:
    with open_system(spec) as system:
        (answer,) = system.predict([image], GEOMETRY)
    assert isinstance(answer, Prediction), answer
    return answer


def test_a_bundle_predicts_as_declared_by_hand_and_as_monai_does(tmp_path: Path) -> None:
    network = LopsidedNet(classes=2, around=0.5)
    located = locate(write_bundle(tmp_path / "spleen", network=network))
    assert located.checkpoint == tmp_path / "spleen" / "models" / "model.ts"
    assert located.kind == "MONAI bundle"
    assert located.read == ("metadata.json", "inference.json")
    image = scan(GEOMETRY.shape)
    found = predicted(system_of(located.checkpoint, located.sidecar), image)
    by_hand = predicted(system_of(located.checkpoint, FULL), image)
    assert torch.equal(found.labels, by_hand.labels)
    assert torch.equal(found.scores, by_hand.scores)
    expected = monai_scores(image, network)
    assert 0.05 < float((found.labels == 1).float().mean()) < 0.95
    torch.testing.assert_close(found.scores, expected, atol=2e-4, rtol=0)
    sure = (expected[1] - 0.5).abs() > 2e-4
    assert torch.equal((found.labels == 1)[sure], (expected[1] > 0.5)[sure])
    # another grid moves masks: what the sidecar tells is not without effect
    spec = system_of(located.checkpoint, located.sidecar)
    moved = predicted(replace(spec, input=replace(spec.input, grid="centre")), image)
    assert not torch.equal(moved.labels, found.labels)
