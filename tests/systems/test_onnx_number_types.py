"""ONNX graphs of other number types: half precision, label numbers, quantised, weights beside them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checkpoints import FREE_2D, conv_graph, save_graph
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from auditor.errors import CheckpointError
from auditor.schema import InputSpec, OutputSpec, Status, SystemSpec, WindowSpec
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.running import open_system

LABELS = OutputSpec("labels", (("organ", 1),))
WINDOW = WindowSpec((16, 8), 0.5)


def drawn(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def answer_of(
    path: Path, image: NDArray[np.float32], *, output: OutputSpec | None = None, **keep: Any
) -> NDArray[Any]:
    window = keep.pop("window", None)
    with ModelProcess(path, "onnx", **keep) as process:
        return process.run([image], window, output or OutputSpec(), InputSpec())[0]


def direct(path: Path, batch: NDArray[Any]) -> NDArray[Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=providers)
    found: NDArray[Any] = session.run(None, {"image": batch})[0]
    return found


def halved(source: Path, target: Path) -> Path:
    """Write a graph with every float as half precision: input, weights and answer."""
    model = onnx.load(str(source))
    for node in (*model.graph.input, *model.graph.output):
        node.type.tensor_type.elem_type = TensorProto.FLOAT16
    for weight in model.graph.initializer:
        half = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(half, weight.name))
    onnx.save(model, str(target))
    return target


def test_a_graph_in_half_precision_is_fed_halves_and_answers_in_float32(tmp_path: Path) -> None:
    whole = conv_graph(tmp_path / "whole.onnx", dims=2)
    path, image = halved(whole, tmp_path / "half.onnx"), drawn(1, 20, 17)
    answer = answer_of(path, image)
    assert answer.dtype == np.float32
    assert np.array_equal(answer, direct(path, image[None].astype(np.float16))[0])
    # the logits of this network reach about 30, of which a half has 2^-6 = 0.016
    assert answer == pytest.approx(direct(whole, image[None])[0], abs=0.05)
    # windows of halves are blended in float32: probabilities still sum to one
    blended = answer_of(path, image, window=WINDOW)
    assert blended.sum(axis=0) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(
    "kind", [TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.BOOL]
)
def test_labels_of_every_whole_type_stay_what_they_are_through_windows(
    tmp_path: Path, kind: int
) -> None:
    path = save_graph(
        tmp_path / "net.onnx",
        [
            helper.make_node("Greater", ["image", "zero"], ["above"]),
            helper.make_node("Cast", ["above"], ["out"], to=kind),
        ],
        outputs=[("out", kind, FREE_2D)],
        weights=[("zero", np.zeros((), np.float32))],
    )
    image = drawn(1, 37, 21)
    for window in (None, WINDOW):
        answer = answer_of(path, image, output=LABELS, window=window)
        assert answer.dtype.kind in "iu"
        assert np.array_equal(answer, image > 0)


def test_the_class_of_each_voxel_as_an_answer_needs_no_channel(tmp_path: Path) -> None:
    source = onnx.load(str(conv_graph(tmp_path / "soft.onnx", dims=3)))
    source.graph.node.append(helper.make_node("ArgMax", ["out"], ["labels"], axis=1, keepdims=0))
    del source.graph.output[:]
    made = helper.make_tensor_value_info("labels", TensorProto.INT64, ["n", "z", "y", "x"])
    source.graph.output.append(made)
    path, image = tmp_path / "net.onnx", drawn(1, 9, 12, 7)
    onnx.save(source, str(path))
    answer = answer_of(path, image, output=LABELS)
    assert answer.shape == (1, 9, 12, 7)
    assert np.array_equal(answer[0], direct(path, image[None])[0])
    assert set(np.unique(answer)) == {0, 1, 2}


def calibrated(source: Path, target: Path) -> Path:
    """Quantise to 8 bits with ranges of drawn images; QuantizeLinear and DequantizeLinear nodes."""
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]  # has no types
        def __init__(self) -> None:
            self.left = [{"image": drawn(1, 1, 20, 17, seed=seed)} for seed in range(8)]

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return self.left.pop() if self.left else None

    quantization.quantize_static(
        str(source), str(target), Images(), quant_format=quantization.QuantFormat.QDQ
    )
    return target


def quantised(source: Path, target: Path) -> Path:
    """Quantise the weights to 8 bits, and images while the graph runs."""
    from onnxruntime import quantization

    quantization.quantize_dynamic(
        str(source), str(target), op_types_to_quantize=["Conv"],
        weight_type=quantization.QuantType.QUInt8,
    )  # fmt: skip
    return target


@pytest.mark.parametrize(
    ("make", "nodes"),
    [(calibrated, {"QuantizeLinear", "DequantizeLinear"}), (quantised, {"ConvInteger"})],
)
def test_quantised_graphs_run_as_they_do_directly(
    tmp_path: Path, make: Any, nodes: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)  # it recommends a preparation of the graph
    whole = conv_graph(tmp_path / "whole.onnx", dims=2)
    path, image = make(whole, tmp_path / "net.onnx"), drawn(1, 20, 17)
    assert nodes <= {node.op_type for node in onnx.load(str(path)).graph.node}
    answer = answer_of(path, image)
    assert answer.dtype == np.float32
    assert np.array_equal(answer, direct(path, image[None])[0])
    exact = direct(whole, image[None])[0]
    assert (answer.argmax(0) == exact.argmax(0)).mean() > 0.95
    assert not np.array_equal(answer, exact)
    assert answer_of(path, image, window=WINDOW).shape == exact.shape


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_another_precision_than_the_graphs_own_is_refused_with_the_reason(
    tmp_path: Path, precision: str
) -> None:
    path = conv_graph(tmp_path / "net.onnx", dims=2)
    told = f"precision must be float32 for ONNX, was {precision}: a graph fixes the types"
    with pytest.raises(ModelFailure, match=told) as caught:
        ModelProcess(path, "onnx", precision=precision).start()
    assert caught.value.status == Status.REJECTED
    output = OutputSpec(labels=(("organ", 1),))
    spec = SystemSpec("net", str(path), output=output, precision="bfloat16")
    with pytest.raises(CheckpointError, match=r"cannot be started: precision must be float32"):
        open_system(spec)
