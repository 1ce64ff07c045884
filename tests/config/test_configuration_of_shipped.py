"""What a maker ships with a checkpoint, below what the configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from checkpoints import double_graph
from configurations import valid_data
from shipped_folders import dataset, inference, metadata, plans, write_bundle, write_training

from auditor.config import AuditConfig, load_config
from auditor.errors import ConfigError
from auditor.schema import Certainty, OutputSpec
from auditor.systems.contract import contract_fields


def load(folder: Path, system: dict[str, Any], **changes: Any) -> AuditConfig:
    data = valid_data()
    for key in ("criteria", "strata"):
        del data[key]
    data |= {"purpose": "exploratory", "systems": {"a": system}, **changes}
    (folder / "cases.csv").write_text("case,patient,image,reference\n")
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return load_config(path)


def problems(folder: Path, system: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load(folder, system, **changes)
    assert str(folder) not in str(error.value)
    return str(error.value)


def test_a_bundle_declares_its_system(tmp_path: Path) -> None:
    write_bundle(tmp_path / "spleen")
    config = load(tmp_path, {"checkpoint": "spleen"})
    (system,) = config.systems
    assert system.checkpoint == str(tmp_path / "spleen" / "models" / "model.ts")
    assert system.input.spacing_mm == (1.5, 1.5, 2.0)
    assert system.output == OutputSpec("logits_softmax", (("spleen", 1),))
    assert dict(system.sources)["input.spacing_mm"] is Certainty.SIDECAR
    assert config.labels == (("spleen", 1),)
    assert any(
        "systems.a: metadata.json and inference.json, which the maker ships with model.ts" in line
        for line in config.warnings
    )
    told = {field.name: str(field.source) for field in contract_fields(system)}
    assert (told["input.clip"], told["input.zscore"]) == ("sidecar", "default")


def test_a_contract_file_wins_over_the_maker_and_the_configuration_over_both(
    tmp_path: Path,
) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    (bundle / "contract.yaml").write_text(
        "input: {spacing_mm: [1, 1, 1], clip: [-100, 200]}\nwindow: {overlap: 0.25}\n"
    )
    system = {"checkpoint": "spleen", "input": {"clip": [0, 100]}}
    (read,) = load(tmp_path, system).systems
    assert read.input.clip == (0.0, 100.0)
    assert read.input.spacing_mm == (1.0, 1.0, 1.0)
    assert read.input.axes == "RAS"
    assert read.window is not None
    assert (read.window.size, read.window.overlap) == ((16, 16, 8), 0.25)
    sources = dict(read.sources)
    assert sources["input.clip"] is Certainty.DECLARED
    assert sources["window.overlap"] is Certainty.CONTRACT_FILE
    assert sources["window.size"] is Certainty.SIDECAR


def test_an_open_question_stops_until_it_is_answered(tmp_path: Path) -> None:
    write_bundle(tmp_path / "spleen", configured=inference(pixdim="$[1.5] * 3"))
    text = problems(tmp_path, {"checkpoint": "spleen"})
    assert "systems.a.input.spacing_mm: must be declared: step Spacing of the bundle" in text
    assert "add input: {spacing_mm: [1.5, 1.5, 2.0]}" in text
    answered = {"checkpoint": "spleen", "input": {"spacing_mm": [1.5, 1.5, 1.5]}}
    assert load(tmp_path, answered).systems[0].input.spacing_mm == (1.5, 1.5, 1.5)
    native = {"checkpoint": "spleen", "input": {"spacing_mm": None}}
    assert load(tmp_path, native).systems[0].input.spacing_mm is None


def test_what_a_maker_half_says_is_asked_for_all_the_same(tmp_path: Path) -> None:
    """The letters of the axes stand there, but with labels that may mean other sides."""
    told = inference()
    turn = next(it for it in told["preprocessing"]["transforms"] if "axcodes" in it)
    turn["labels"] = "$((('R', 'L'), ('A', 'P'), ('I', 'S')))"
    write_bundle(tmp_path / "spleen", configured=told)
    text = problems(tmp_path, {"checkpoint": "spleen"})
    assert "systems.a.input.axes: must be declared: axcodes must be letters" in text
    load(tmp_path, {"checkpoint": "spleen", "input": {"axes": "LAS"}})


def test_a_value_that_no_contract_has_names_where_it_stands(tmp_path: Path) -> None:
    path = double_graph(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = "segaudit.contract", '{"input": {"axes": "UP"}}'
    onnx.save(model, str(path))
    text = problems(tmp_path, {"checkpoint": "net.onnx", "output": {"labels": {"a": 1}}})
    assert "systems.a.input.axes: must be 'native' or two or three letters" in text
    assert "(in segaudit.contract)" in text


def test_a_patch_and_a_spacing_that_do_not_fit_are_asked_for(tmp_path: Path) -> None:
    write_training(tmp_path / "t", planned=plans(fullres={"patch_size": [8, 16]}))
    text = problems(tmp_path, {"checkpoint": "t"})
    assert "systems.a.input.spacing_mm: must be declared: spacing must be two or three" in text


def test_a_folder_that_cannot_be_run_is_told_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    text = problems(tmp_path, {"checkpoint": "t"})
    assert "systems.a.checkpoint: the checkpoint must be a file or a folder that is known" in text


def test_labels_of_the_audit_select_among_classes(tmp_path: Path) -> None:
    write_training(tmp_path / "t")
    config = load(tmp_path, {"checkpoint": "t"}, labels={"Leber": 2})
    assert config.systems[0].output.labels == (("Leber", 2),)
    assert config.labels == (("Leber", 2),)
    assert load(tmp_path, {"checkpoint": "t"}).labels == (("spleen", 1), ("liver", 2))


def test_labels_of_the_audit_only_rename_regions(tmp_path: Path) -> None:
    """Each region takes voxels from those before it: all stay, in the maker's order and channels."""
    labels = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumour": 2}
    described = dataset(labels=labels, regions_class_order=[1, 3, 2])
    write_training(tmp_path / "t", described=described)
    (system,) = load(tmp_path, {"checkpoint": "t"}, labels={"Zyste": 3}).systems
    assert system.output.labels == (("kidney_rest", 1), ("Zyste", 3), ("tumour", 2))
    assert system.output.channels == (("Zyste", 2), ("tumour", 3))


def test_labels_of_the_audit_answer_no_question_about_channels(tmp_path: Path) -> None:
    names = {"0": "Tumor core", "1": "Whole tumor"}
    after = [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}]
    write_bundle(
        tmp_path / "brats",
        described=metadata(pred={"channel_def": names}),
        configured=inference(postprocessing={"_target_": "Compose", "transforms": after}),
    )
    labels = {"core": 1, "oedema": 2}
    text = problems(tmp_path, {"checkpoint": "brats"}, labels=labels)
    assert "systems.a.output.labels: must be declared" in text
    told = {"checkpoint": "brats", "output": {"labels": {"oedema": 2, "core": 1}}}
    assert load(tmp_path, told).systems[0].output.labels == (("oedema", 2), ("core", 1))
