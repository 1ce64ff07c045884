from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn
from typing_extensions import override

from auditor.errors import CheckpointError, IntegrityError
from auditor.schema import (
    ContractStatus,
    Geometry,
    InputSpec,
    OutputSpec,
    Status,
    SystemSpec,
    WindowSpec,
)
from auditor.systems.golden import check_golden
from auditor.systems.probe import probe, probe_system
from auditor.systems.running import Failure, Prediction, open_system

GEOMETRY = Geometry(
    shape=(10, 14, 12),
    spacing=(3.0, 0.8, 1.2),
    direction=((0.17, 0.0, 0.985), (0.0, 1.0, 0.0), (0.985, 0.0, -0.17)),
)
SIGMOID = OutputSpec(activation="sigmoid", labels=(("organ", 1),))
LOGITS = OutputSpec(activation="logits_sigmoid", labels=(("organ", 1),))


class Slope(nn.Module):
    """Logits that rise along the first axis, so that its direction matters; hangs above 1000."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.max() > 1000):
            x = x + 0
        ramp = torch.arange(x.size(2), dtype=x.dtype).reshape(1, 1, -1, 1, 1)
        return (x - 0.5) * 20 - ramp


def torchscript(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted: Any = torch.jit.script(Slope())
        scripted.save(str(path))
    return str(path)


def onnx_sigmoid(path: Path, sizes: tuple[str | int, ...] = ("z", "y", "x")) -> str:
    """Write sigmoid(20 x - 10)."""
    shape = [1 if isinstance(sizes[0], int) else "n", 1, *sizes]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["image", "slope"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift"], ["moved"]),
            helper.make_node("Sigmoid", ["moved"], ["probability"]),
        ],
        "sigmoid",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor("slope", TensorProto.FLOAT, [], [20.0]),
            helper.make_tensor("shift", TensorProto.FLOAT, [], [-10.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return str(path)


def scan(seed: int = 0) -> Tensor:
    drawn = np.random.default_rng(seed).uniform(0, 1, (1, *GEOMETRY.shape))
    return torch.from_numpy(drawn.astype(np.float32))


def same_in_numpy(image: NDArray[np.float32]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-(20 * image - 10))))


@pytest.mark.parametrize("window", [None, WindowSpec((8, 8, 8), 0.5)])
def test_a_checkpoint_and_the_same_function_predict_the_same(
    tmp_path: Path, window: WindowSpec | None
) -> None:
    declared = InputSpec(axes="RAS", spacing_mm=(1.5, 1.0, 2.0))
    path = onnx_sigmoid(tmp_path / "net.onnx")
    spec = SystemSpec("net", path, declared, SIGMOID, window, batch=2)
    images = [scan(0), scan(1), scan(2)]
    with open_system(spec) as system:
        assert system.info.format == "onnx"
        assert len(system.info.sha256) == 64
        assert system.info.size_bytes == Path(path).stat().st_size
        answers = system.predict(images, GEOMETRY)
        alone = system.predict(images[1:2], GEOMETRY)[0]
    function = SystemSpec("net", None, declared, SIGMOID, window)
    with open_system(function, callable=same_in_numpy) as system:
        expected = system.predict(images, GEOMETRY)
    for answer, other in zip(answers, expected, strict=True):
        assert isinstance(answer, Prediction)
        assert isinstance(other, Prediction)
        assert torch.allclose(answer.probabilities, other.probabilities, atol=1e-5)
    assert isinstance(alone, Prediction)
    assert isinstance(answers[1], Prediction)
    assert torch.equal(alone.scores, answers[1].scores)


def test_a_hang_is_a_row_and_what_was_answered_before_it_stays(tmp_path: Path) -> None:
    path = torchscript(tmp_path / "net.pt")
    spec = SystemSpec("net", path, output=LOGITS, timeout_s=4.0)
    with open_system(spec) as system:
        before = system.predict([scan(0)], GEOMETRY)[0]
        answers = system.predict([scan(0), scan(1) + 2000, scan(2)], GEOMETRY)
    assert [type(answer) for answer in answers] == [Prediction, Failure, Failure]
    assert isinstance(answers[1], Failure)
    assert answers[1].status == Status.TIMED_OUT
    # all three together were the first time-out, this image alone the second
    assert isinstance(answers[2], Failure)
    assert answers[2].status == Status.QUARANTINED
    assert isinstance(before, Prediction)
    assert isinstance(answers[0], Prediction)
    assert torch.equal(before.scores, answers[0].scores)


def test_golden_pairs_of_a_checkpoint_name_its_flipped_axis(tmp_path: Path) -> None:
    path = torchscript(tmp_path / "net.pt")
    spec = SystemSpec("net", path, InputSpec(axes="SPL"), LOGITS)
    with open_system(spec) as system:
        made = system.predict([scan()], GEOMETRY)[0]
    assert isinstance(made, Prediction)
    pairs = [(scan(), GEOMETRY, made.labels)]
    assert check_golden(spec, pairs).status == ContractStatus.CONFIRMED
    wrong = SystemSpec("net", path, InputSpec(axes="IPL"), LOGITS)
    outcome = check_golden(wrong, pairs)
    assert outcome.status == ContractStatus.IN_DOUBT
    assert "axes: SPL instead of IPL gives 1.000" in outcome.note


def test_a_checkpoint_is_probed_in_its_sandbox(tmp_path: Path) -> None:
    report = probe_system(SystemSpec("net", onnx_sigmoid(tmp_path / "net.onnx")))
    found = {field.name: field.value for field in report.fields}
    assert found["input.dims"] == "3"
    assert found["input.channels"] == "1"
    assert found["output.activation"] == "sigmoid"
    assert "input.divisor" not in found
    assert report.classes == 1


def test_the_size_that_a_file_declares_is_the_one_that_is_found(tmp_path: Path) -> None:
    path = onnx_sigmoid(tmp_path / "net.onnx", (20, 24, 28))
    found = {field.name: field.value for field in probe(Path(path)).fields}
    assert found["input.size"] == "[20, 24, 28]"
    assert found["input.channels"] == "1"


def test_a_file_that_is_no_checkpoint_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CheckpointError):
        open_system(SystemSpec("net", str(path), output=SIGMOID))


def test_a_checkpoint_that_was_exchanged_after_it_was_identified_is_not_run(tmp_path: Path) -> None:
    path = Path(onnx_sigmoid(tmp_path / "net.onnx"))
    content = path.read_bytes()
    spec = SystemSpec(
        name="net",
        checkpoint=str(path),
        output=OutputSpec(activation="sigmoid", labels=(("organ", 1),)),
    )
    with open_system(spec) as running:
        first = running.predict([scan()], GEOMETRY)[0]
        running.close()
        path.write_bytes(content)  # the same bytes again are the same checkpoint
        second = running.predict([scan()], GEOMETRY)[0]
        assert isinstance(first, Prediction)
        assert isinstance(second, Prediction)
        assert torch.equal(first.scores, second.scores)
        running.close()
        model = onnx.load(path)
        model.graph.doc_string = "another"
        onnx.save(model, path)
        with pytest.raises(IntegrityError, match="its files were changed since"):
            running.predict([scan()], GEOMETRY)
