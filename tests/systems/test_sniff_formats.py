from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from checkpoints import ConvNet, conv_graph, double_graph, save_script, weighted_graph
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from auditor.errors import CheckpointError
from auditor.systems.onnx_file import outline
from auditor.systems.sniff import files_beside, sniff


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        sniff(path)
    message = str(caught.value)
    assert path.name in message
    assert str(path.parent) not in message
    return message


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return path


def test_a_graph_is_told_by_its_bytes_whatever_its_name(tmp_path: Path) -> None:
    found = sniff(conv_graph(tmp_path / "net.pt", dims=3))
    assert (found.format, found.detail) == ("onnx", "IR version 9, made by by hand 1")
    assert found.size_bytes == (tmp_path / "net.pt").stat().st_size


def test_a_program_is_told_by_its_bytes_whatever_its_name(tmp_path: Path) -> None:
    found = sniff(save_script(ConvNet(dims=2), tmp_path / "net.onnx"))
    assert (found.format, found.detail) == ("torchscript", "")


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    # IR version 8; a graph of 2 bytes with one empty node; one empty opset_import
    path.write_bytes(b"\x08\x08\x3a\x02\x0a\x00\x42\x00")
    # printf '\x08\x08\x3a\x02\x0a\x00\x42\x00' | sha256sum
    assert sniff(path).sha256 == (
        "f13b2340cbcfb7e5b8753ade5bb17ab10cb467fe22ceeb9bd956718f6e18f856"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\n <!DOCTYPE html><html>Sign in", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        (b"\x80\x04\x95\x00\x00", "pickle"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x93NUMPY\x01\x00", "numpy array"),
        (b"\x20\x00\x00\x00ORTM....", "ORT format"),
        (b"\x20\x00\x00\x00TFL3....", "TensorFlow Lite"),
        (b"\x20\x00\x00\x00ET12....", "ExecuTorch"),
        (b"ptrt" + bytes(32), "TensorRT"),
        (b"GGUF" + bytes(32), "language models"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (bytes(257) + b"ustar\x00", "tar archive"),
        (struct.pack("<Q", 20) + b'{"weight":{}}', "safetensors"),
        (b"hello, I am a text", "neither TorchScript nor ONNX"),
        (b"\x00" * 4096, "neither TorchScript nor ONNX"),
        (b"PK\x03\x04" + bytes(100), "its end is missing"),
        (b"\x08\x09", "neither TorchScript nor ONNX"),
        (b"\x08\x09\x3a\x00\x42\x00", "damaged (no graph)"),
        (b"\x08\x09\x3a\x02\x0a\x00", "damaged (no version of its operators)"),
        (b"\x08\x09\x3a\x7f\x0a", "its end is missing"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert told in refused(path)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("net/archive_format", "net/models/model.json"), "torch.export"),
        (("net/data.pkl", "net/data/0"), "state_dict"),
        (("a.npy", "b.npy"), "npz"),
        (("config.json", "model.weights.h5"), "Keras"),
        (("model.onnx", "readme.txt"), "unpack it"),
        (("readme.txt",), "without a TorchScript program"),
    ],
)
def test_other_archives_are_named(tmp_path: Path, names: tuple[str, ...], told: str) -> None:
    assert told in refused(zipped(tmp_path / "net.pt", *names))


@pytest.mark.parametrize("saved", ["state_dict", "module"])
@pytest.mark.parametrize("zipped_", [True, False])
def test_what_torch_save_wrote_is_no_model_and_the_way_out_is_told(
    tmp_path: Path, saved: str, zipped_: Any
) -> None:
    path = tmp_path / "net.pt"
    module = nn.Conv2d(1, 1, 1)
    content = module.state_dict() if saved == "state_dict" else module
    torch.save(content, path, _use_new_zipfile_serialization=zipped_)
    message = refused(path)
    assert ("state_dict" if zipped_ else "torch.save before version 1.6") in message
    assert "torch.onnx.export(model, example, 'model.onnx')" in message


def test_npz_files_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", weight=np.zeros(3))
    assert "npz" in refused(tmp_path / "net.npz")


def test_every_beginning_of_a_graph_is_refused(tmp_path: Path) -> None:
    whole = double_graph(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "net.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        message = refused(path)
        if length > 3:
            assert "begins as ONNX" in message, length
    path.write_bytes(whole)
    assert sniff(path).format == "onnx"


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.999])
def test_a_cut_archive_is_refused(tmp_path: Path, share: float) -> None:
    path = save_script(ConvNet(dims=2), tmp_path / "net.pt")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "its end is missing" in refused(path)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "net.onnx"
    for begin in (b"", b"\x08\x09", b"\x08\x09\x3a", b"PK\x03\x04"):
        path.write_bytes(begin + content)
        try:
            sniff(path)
        except CheckpointError as error:
            assert str(path.parent) not in str(error)  # noqa: PT017  # any bytes may also be a graph


def _elsewhere() -> Any:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[2, 3])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _sparse() -> Any:
    sparse = onnx.SparseTensorProto(dims=[6])
    sparse.values.CopyFrom(_elsewhere())
    return sparse


def _inner() -> Any:
    return onnx.GraphProto(name="inner", initializer=[_elsewhere()])


def _attribute(model: Any) -> Any:
    return model.graph.node[0].attribute.add(name="a")


PLACES: dict[str, Callable[[Any], None]] = {
    "initializer": lambda model: model.graph.initializer.append(_elsewhere()),
    "sparse initializer": lambda model: model.graph.sparse_initializer.append(_sparse()),
    "attribute": lambda model: _attribute(model).t.CopyFrom(_elsewhere()),
    "attributes": lambda model: _attribute(model).tensors.append(_elsewhere()),
    "branch": lambda model: _attribute(model).g.CopyFrom(_inner()),
    "branches": lambda model: _attribute(model).graphs.append(_inner()),
    "sparse": lambda model: _attribute(model).sparse_tensor.CopyFrom(_sparse()),
    "sparse ones": lambda model: _attribute(model).sparse_tensors.append(_sparse()),
    "function": lambda model: (
        model.functions.add(name="f").node.add().attribute.add(name="a").t.CopyFrom(_elsewhere())
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_elsewhere_are_seen_wherever_a_tensor_may_stand(tmp_path: Path, place: str) -> None:
    path = double_graph(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    PLACES[place](model)
    path.write_bytes(model.SerializeToString())
    assert outline(path).external == ("w.bin",)
    # 2 x 3 float32 are 24 bytes, although 4 are announced
    (tmp_path / "w.bin").write_bytes(bytes(23))
    message = refused(path)
    assert "are announced as 24 bytes from byte 0 of 'w.bin' on, which holds 23" in message
    (tmp_path / "w.bin").write_bytes(bytes(24))
    assert sniff(path).detail.endswith("weights in w.bin")


def test_what_is_no_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    assert "pipe" in refused(tmp_path / "pipe")  # opening it would wait for ever
    assert "device" in refused(Path("/dev/zero"))
    for name in ("loop", "dangling", "missing"):
        assert "readable file" in refused(tmp_path / name)
    assert "readable file" in refused(Path("/proc/self/mem"))  # a file that even root cannot read


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    double_graph(tmp_path / "net.onnx")
    assert "name the file inside it" in refused(tmp_path)


def test_other_weights_beside_a_graph_are_another_system(tmp_path: Path) -> None:
    path = weighted_graph(tmp_path / "net.onnx", beside="weights.bin")
    before = sniff(path)
    assert files_beside(path) == (tmp_path / "weights.bin",)
    assert before.detail.endswith("weights in weights.bin")
    assert before.size_bytes == path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    (tmp_path / "weights.bin").write_bytes(np.full(1, 3, np.float32).tobytes())
    assert sniff(path).sha256 != before.sha256


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = weighted_graph(tmp_path / "net.onnx", beside="weights.bin")
    (tmp_path / "weights.bin").unlink()
    assert "'weights.bin', which must be in the same folder" in refused(path)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "a/../../b", "..\\b", "C:b"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    path = weighted_graph(tmp_path / "net.onnx", beside="weights.bin")
    model = onnx.load(str(path), load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    assert "must lie in the folder of the file" in refused(path)


def test_weights_of_a_constant_inside_a_branch_are_found(tmp_path: Path) -> None:
    path = weighted_graph(tmp_path / "net.onnx", beside="weights.bin")
    model = onnx.load(str(path), load_external_data=False)
    weights = model.graph.initializer[0]
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Constant", [], ["c"], value=weights)], "inner", [], []
    )
    del model.graph.initializer[:]
    branch = onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    model.graph.node.append(branch)
    path.write_bytes(model.SerializeToString())
    assert files_beside(path) == (tmp_path / "weights.bin",)
