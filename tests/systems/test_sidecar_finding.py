"""Which file of a folder runs, what is read, and what is refused in words."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from checkpoints import double_graph
from shipped_folders import (
    LopsidedNet,
    dataset,
    inference,
    metadata,
    plans,
    write_bundle,
    write_training,
)

from auditor.errors import CheckpointError
from auditor.schema import Certainty
from auditor.systems.contract import parse_contract
from auditor.systems.sidecars import Located, locate
from auditor.systems.sidecars.monai_bundle import read_bundle
from auditor.systems.sidecars.monai_values import divisor_of
from auditor.systems.sidecars.nnunet import pick_configuration, read_training

LONGEST = 900
"""Letters of a message: a person reads it on a terminal."""


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        locate(path)
    text = str(error.value)
    assert len(text) < LONGEST
    assert "Traceback" not in text
    assert str(path.parent) not in text
    return text


def with_metadata(path: Path, **texts: str) -> Path:
    """Write an ONNX graph with metadata_props."""
    model = onnx.load(str(double_graph(path)))
    for key, value in texts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key.replace("__", "."), value
    onnx.save(model, str(path))
    return path


def test_a_plain_file_is_itself(tmp_path: Path) -> None:
    path = double_graph(tmp_path / "net.onnx")
    assert locate(path) == Located(path, "file")
    odd = tmp_path / "odd.bin"
    odd.write_bytes(b"PK\x03\x04" + os.urandom(50))
    assert locate(odd) == Located(odd, "file")
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert locate(empty) == Located(empty, "file")


def test_a_graph_may_carry_its_contract(tmp_path: Path) -> None:
    told = {"input": {"axes": "RAS", "zscore": "image"}, "output": {"labels": {"organ": 1}}}
    path = with_metadata(tmp_path / "net.onnx", segaudit__contract=json.dumps(told), other="x")
    located = locate(path)
    assert (located.sidecar, located.read) == (told, ("segaudit.contract",))


def test_a_graph_may_carry_its_training(tmp_path: Path) -> None:
    path = with_metadata(
        tmp_path / "net.onnx",
        nnunet__plans=json.dumps(plans()),
        nnunet__dataset=json.dumps(dataset()),
        nnunet__configuration="3d_fullres",
    )
    located = locate(path)
    assert located.sidecar["input"]["spacing_mm"] == [2.0, 1.5, 1.0]
    assert located.read == ("nnunet.plans", "nnunet.dataset")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"inputs": {}}', '{"input": 3}', '{"input": {}, "input": {}}', "[" * 100000,
     '{"input": {"a": "\\u001b[2J"}}', "{}" + " " * (1 << 16)],
)  # fmt: skip
def test_damaged_metadata_of_a_graph_counts_for_nothing(tmp_path: Path, text: str) -> None:
    located = locate(with_metadata(tmp_path / "net.onnx", segaudit__contract=text))
    assert located.sidecar == {}
    assert "could not be read and counts for nothing" in located.notes[0]


def exported(path: Path, **texts: bytes) -> Path:
    """Write a TorchScript program with extra files, as `ckpt_export` of MONAI does."""
    trace: Any = torch.jit.trace
    module = trace(LopsidedNet(classes=2, around=0.5).eval(), torch.zeros(1, 1, 4, 4, 4))
    extra = {name.replace("_", "."): text for name, text in texts.items()}
    torch.jit.save(module, str(path), _extra_files=extra)
    return path


def test_a_program_may_carry_its_bundle(tmp_path: Path) -> None:
    path = exported(
        tmp_path / "net.ts",
        metadata_json=json.dumps(metadata()).encode(),
        inference_json=json.dumps(inference()).encode(),
    )
    located = locate(path)
    assert located.sidecar["input"]["spacing_mm"] == [1.5, 1.5, 2.0]
    assert located.read == ("inference.json", "metadata.json")
    assert locate(exported(tmp_path / "bare.ts")).sidecar == {}


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"3", b" " * (17 << 20)])
def test_damaged_metadata_of_a_program_counts_for_nothing(tmp_path: Path, text: bytes) -> None:
    located = locate(exported(tmp_path / "net.ts", metadata_json=text))
    assert located.sidecar == {}
    assert "counts for nothing" in located.notes[0]


def test_an_archive_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ts"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/extra/metadata.json", bytes(200 << 20))
    assert path.stat().st_size < 1 << 20
    assert "at most 16 MB" in locate(path).notes[0]


def test_a_bundle_is_found_from_its_folder_its_models_and_its_file(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    whole = locate(bundle)
    assert (whole.checkpoint, whole.kind) == (bundle / "models" / "model.ts", "MONAI bundle")
    for path in (bundle / "models", bundle / "models" / "model.ts"):
        assert locate(path).sidecar == whole.sidecar
        assert locate(path).checkpoint == whole.checkpoint


def test_a_bundle_may_be_written_in_yaml_and_hold_a_graph(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    told = locate(bundle)
    (bundle / "configs" / "inference.json").unlink()
    (bundle / "configs" / "inference.yaml").write_text(yaml.safe_dump(inference()))
    (bundle / "models" / "model.ts").unlink()
    double_graph(bundle / "models" / "model.onnx")
    located = locate(bundle)
    assert located.checkpoint.name == "model.onnx"
    assert located.read == ("metadata.json", "inference.yaml")
    assert located.sidecar == told.sidecar


def test_a_bundle_without_inference_asks(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    (bundle / "configs" / "inference.json").unlink()
    names = [question.name for question in locate(bundle).questions]
    assert names == ["input.axes", "input.clip"]


def test_a_bundle_of_weights_only_is_refused_with_the_command(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    (bundle / "models" / "model.ts").unlink()
    torch.save({"w": torch.zeros(3)}, bundle / "models" / "model.pt")
    text = refused(bundle)
    assert "holds weights only" in text
    assert "python -m monai.bundle ckpt_export network_def --filepath models/model.ts" in text


def test_the_name_that_monai_gives_wins_over_other_models(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    double_graph(bundle / "models" / "a.onnx")
    assert locate(bundle).checkpoint == bundle / "models" / "model.ts"


@pytest.mark.parametrize(
    ("inside", "told"),
    [("saved_model.pb", "convert it with tf2onnx"), ("net.onnx", "name the file in it: net.onnx")],
)
def test_a_folder_of_another_kind_is_told(tmp_path: Path, inside: str, told: str) -> None:
    (tmp_path / "folder").mkdir()
    assert "it is empty" in refused(tmp_path / "folder")
    (tmp_path / "folder" / inside).touch()
    assert told in refused(tmp_path / "folder")


def test_several_models_are_asked_for_by_name(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    (bundle / "models" / "model.ts").rename(bundle / "models" / "a.ts")
    double_graph(bundle / "models" / "b.onnx")
    assert "name one of them as the checkpoint: models/a.ts, models/b.onnx" in refused(bundle)


def test_a_training_is_found_from_every_folder_around_it(tmp_path: Path) -> None:
    training = write_training(tmp_path / "Dataset042_Spleen")
    runs = training / "fold_0" / "model.ts"
    for path in (tmp_path, tmp_path / "Dataset042_Spleen", training, training / "fold_0", runs):
        located = locate(path)
        assert located.checkpoint == runs
        assert located.sidecar["input"]["transpose"] == [2, 0, 1]
        assert located.read == ("plans.json", "dataset.json")
    assert locate(runs).kind == "file"


def test_a_program_called_pt_is_told_by_what_it_holds(tmp_path: Path) -> None:
    training = write_training(tmp_path)
    (training / "fold_0" / "model.ts").rename(training / "fold_0" / "exported.pt")
    torch.save({"w": torch.zeros(3)}, training / "fold_0" / "weights.pt")
    assert locate(training).checkpoint.name == "exported.pt"


def test_a_training_of_weights_only_is_refused_with_the_lines(tmp_path: Path) -> None:
    training = write_training(tmp_path)
    (training / "fold_0" / "model.ts").unlink()
    text = refused(training)
    assert "holds weights only (checkpoint_final.pth)" in text
    assert "nnUNetPredictor" in text
    assert "torch.jit.trace" in text


def test_several_folds_and_trainings_are_asked_for_by_name(tmp_path: Path) -> None:
    training = write_training(tmp_path / "Dataset042")
    shutil.copytree(training / "fold_0", training / "fold_1")
    assert "fold_0/model.ts, fold_1/model.ts" in refused(training)
    assert locate(training / "fold_1").checkpoint == training / "fold_1" / "model.ts"
    write_training(tmp_path / "Dataset042", name="nnUNetTrainer__nnUNetPlans__2d")
    assert "holds 2 trainings of nnU-Net; name one of them" in refused(tmp_path)


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "(it is empty)" in refused(tmp_path / "empty")
    double_graph(tmp_path / "net.onnx")
    assert "name the file in it: net.onnx" in refused(tmp_path)
    half = tmp_path / "half"
    half.mkdir()
    (half / "plans.json").write_text("{}")
    assert "dataset.json is missing" in refused(half)


Spoil = Callable[[Path], object]


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 << 20)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def secret(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


SPOILT: dict[str, tuple[Spoil, str]] = {
    "broken": (lambda p: p.write_text("{"), "must be JSON: line 1"),
    "list": (lambda p: p.write_text("[1]"), "must hold keys and values, got [1]"),
    "deep": (lambda p: p.write_text("[" * 100000), "nested too deep"),
    "binary": (lambda p: p.write_bytes(b"\xff\x00"), "must be UTF-8 text"),
    "twice": (lambda p: p.write_text('{"a": 1, "a": 2}'), "the key 'a' stands twice"),
    "nan": (lambda p: p.write_text('{"a": NaN}'), "numbers must be finite"),
    "infinite": (lambda p: p.write_text('{"a": 1e999}'), "numbers must be finite"),
    "digits": (lambda p: p.write_text('{"a": ' + "9" * 5000 + "}"), "must be JSON"),
    "huge": (huge, "at most 16 MB"),
    "pipe": (pipe, "it is a folder, device or pipe"),
    "device": (device, "it is a folder, device or pipe"),
    "secret": (secret, "must be JSON: line 1"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_description_of_a_bundle_is_refused(tmp_path: Path, spoil: str) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    spoiler, words = SPOILT[spoil]
    spoiler(bundle / "configs" / "metadata.json")
    text = refused(bundle)
    assert words in text
    assert "root:" not in text


@pytest.mark.parametrize("spoil", [name for name in SPOILT if name not in {"pipe", "device"}])
def test_a_spoilt_description_of_a_training_is_refused(tmp_path: Path, spoil: str) -> None:
    training = write_training(tmp_path)
    spoiler, words = SPOILT[spoil]
    spoiler(training / "plans.json")
    assert words in refused(training)
    # the file itself can still be named; its neighbour then counts for nothing, and that is said
    located = locate(training / "fold_0" / "model.ts")
    assert located.sidecar == {}
    assert "counts for nothing" in located.notes[0]


def test_descriptions_that_are_no_files_are_as_good_as_missing(tmp_path: Path) -> None:
    training = write_training(tmp_path)
    pipe(training / "plans.json")
    assert "must" in refused(training)
    bundle = write_bundle(tmp_path / "spleen")
    loop(bundle / "configs" / "metadata.json")
    assert "must be a file or a folder that is known" in refused(bundle)


def test_a_folder_without_an_end_is_not_walked(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for i in range(2100):
        (many / f"{i}").touch()
    assert "more than 2000 entries; name the checkpoint itself" in refused(many)
    round_trip = tmp_path / "around"
    round_trip.mkdir()
    (round_trip / "self").symlink_to(round_trip, target_is_directory=True)
    assert "must be a file or a folder that is known" in refused(round_trip)


def test_aliases_of_yaml_do_not_grow(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "spleen")
    (bundle / "configs" / "inference.json").unlink()
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    lines += ["preprocessing: *a19", "inferer: {_target_: SimpleInferer, x: *a19}"]
    (bundle / "configs" / "inference.yaml").write_text("\n".join(lines))
    assert "anchors multiply" in refused(bundle)
    (bundle / "configs" / "inference.yaml").write_text(
        "a: !!python/object/apply:os.system [true]\n"
    )
    assert "must be YAML" in refused(bundle)


@pytest.mark.parametrize("key", ["preprocessing", "inferer", "postprocessing"])
@pytest.mark.parametrize(
    "value", ["@preprocessing", "@a", "$1", "%x::y", 3, [3], [[[[]]]], {}, None]
)
def test_references_that_lead_nowhere_end(key: str, value: object) -> None:
    found = read_bundle(metadata(), inference(**{key: value, "a": "@b", "b": "@a"}))
    assert len(found.notes) + len(found.questions) > 0


@pytest.mark.parametrize(
    "size", ["", "**", "n**n", "9**9**9", "8*(n)", "__import__('os')", "8*n" * 30, True, None, [8], "0*n",
             "99**9*n", "n*n", "8 * n"]
)  # fmt: skip
def test_the_grammar_of_sizes_ends(size: object) -> None:
    assert divisor_of(size) in {None, 1, 8}


ODD: list[object] = [
    None, True, -1, 0, 1e300, 10**40, "", "x" * 5000, "$1", "@a", [], [[]], [None, "a"], {}, {"a": {}},
    [1, 2, 3], "\x00\x1b[31m", {"_target_": "Compose"}, {"0": None}, [{"_target_": ["x"]}],
]  # fmt: skip


def spoilt(content: Any, draw: np.random.Generator) -> Any:
    """Put an odd value at one place of a nested mapping or list."""
    if not isinstance(content, dict | list) or not content or draw.random() < 0.12:
        return ODD[draw.integers(len(ODD))]
    copy: Any = dict(content) if isinstance(content, dict) else list(content)
    places = list(copy) if isinstance(copy, dict) else list(range(len(copy)))
    place = places[draw.integers(len(places))]
    if isinstance(copy, dict) and draw.random() < 0.1:
        del copy[place]
    else:
        copy[place] = spoilt(copy[place], draw)
    return copy


def as_object(content: object) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


@pytest.mark.parametrize("seed", range(4))
def test_any_spoilt_description_ends_in_sentences(seed: int) -> None:
    """What stays readable parses, or has a problem that says so; nothing is raised but our own errors."""
    draw = np.random.default_rng(seed)
    for _ in range(300):
        bundle = read_bundle(
            as_object(spoilt(metadata(), draw)), as_object(spoilt(inference(), draw))
        )
        found = [bundle]
        planned = as_object(spoilt(plans(), draw))
        described = as_object(spoilt(dataset(), draw))
        with contextlib.suppress(CheckpointError):
            name = pick_configuration(planned, "a__b__3d_fullres")
            found.append(read_training(planned, described, name))
        for one in found:
            text = [*one.notes, *(q.why + q.line for q in one.questions)]
            assert all(len(line) < LONGEST and line.isprintable() for line in text), text
            json.dumps(one.sidecar, allow_nan=False)
            parse_contract([(Certainty.SIDECAR, one.sidecar)], "systems.a")
            assert not any(np.isnan(v) for v in one.input.get("spacing_mm", []))
