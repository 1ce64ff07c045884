from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import FREE_2D, conv_graph, double_graph, save_graph, weighted_graph
from numpy.typing import NDArray
from onnx import TensorProto, helper

from auditor.errors import CheckpointError
from auditor.schema import InputSpec, OutputSpec, Status, WindowSpec
from auditor.systems.onnx import check_onnxruntime_installation
from auditor.systems.process import ModelFailure, ModelProcess, TensorInfo

LABELS = OutputSpec(activation="labels")


def drawn(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def run(
    path: Path,
    images: list[NDArray[np.float32]],
    *,
    window: WindowSpec | None = None,
    output: OutputSpec | None = None,
    input_: InputSpec | None = None,
    **keep: Any,
) -> list[NDArray[Any]]:
    with ModelProcess(path, "onnx", **keep) as process:
        return process.run(images, window, output or OutputSpec(), input_ or InputSpec())


def refusal(path: Path, *shape: int, **keep: Any) -> str:
    with pytest.raises(ModelFailure) as caught:
        run(path, [drawn(*shape)], **keep)
    assert caught.value.status == Status.REJECTED
    assert str(path.parent) not in caught.value.reason
    return caught.value.reason


def direct(path: Path, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(path), sess_options=options, providers=["CPUExecutionProvider"]
    )
    answer: NDArray[np.float32] = session.run(None, {"image": batch})[0]
    return answer


@pytest.mark.parametrize("shape", [(1, 20, 17), (1, 12, 17, 9)])
def test_a_network_answers_to_the_last_bit_as_when_it_is_run_directly(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = conv_graph(tmp_path / "net.onnx", dims=len(shape) - 1)
    image = drawn(*shape)
    assert np.array_equal(run(path, [image])[0], direct(path, image[None])[0])


def test_windows_of_several_images_give_back_each_image(tmp_path: Path) -> None:
    images = [drawn(1, 20, 17), drawn(1, 9, 30), drawn(1, 20, 17)]
    answers = run(
        double_graph(tmp_path / "net.onnx"), images, window=WindowSpec((8, 16), 0.5), batch=3
    )
    for image, answer in zip(images, answers, strict=True):
        assert answer.dtype == np.float32
        assert np.array_equal(answer, image + image)  # a mean of equal values is that value


def test_a_child_tells_what_the_graph_declares(tmp_path: Path) -> None:
    with ModelProcess(conv_graph(tmp_path / "net.onnx", dims=3, channels=2), "onnx") as process:
        info = process.info
    assert info.inputs == (TensorInfo("image", "tensor(float)", (None, 2, None, None, None)),)
    assert info.outputs == (TensorInfo("out", "tensor(float)", (None, 3, None, None, None)),)
    assert info.input_shape == (None, 2, None, None, None)
    assert info.sandbox[0] == "own process"
    assert info.sandbox[-1] == "ends with its parent"


def test_channels_may_stand_last_on_either_side(tmp_path: Path) -> None:
    free = ("n", "y", "x", 2)
    path = double_graph(
        tmp_path / "net.onnx", sizes=free, outputs=[("out", TensorProto.FLOAT, free)]
    )
    image = drawn(2, 5, 7)
    last = InputSpec(layout="channel_last")
    answer = run(
        path, [image], output=OutputSpec(layout="channel_last"), input_=last
    )  # fmt: skip
    assert np.array_equal(answer[0], image * 2)
    # declared only for the input, the answer (1, 5, 7, 2) has another place for its sizes
    assert "see output.layout" in refusal(path, 2, 5, 7, input_=last)


def several(path: Path) -> Path:
    """Write the mean over y first, then 2 x, then label numbers without a channel."""
    return save_graph(
        path,
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2]),
            helper.make_node("Add", ["image", "image"], ["double"]),
            helper.make_node("Greater", ["image", "zero"], ["above"]),
            helper.make_node("Cast", ["above"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Squeeze", ["whole", "channel"], ["labels"]),
        ],
        outputs=[
            ("mean", TensorProto.FLOAT, ("n", 1, 1, "x")),
            ("double", TensorProto.FLOAT, FREE_2D),
            ("labels", TensorProto.INT64, ("n", "y", "x")),
        ],
        weights=[("zero", np.zeros((), np.float32)), ("channel", np.array([1], np.int64))],
    )


def test_the_output_is_the_declared_one_or_the_first_that_fits(tmp_path: Path) -> None:
    path, image = several(tmp_path / "net.onnx"), drawn(1, 6, 8)
    with ModelProcess(path, "onnx") as process:

        def ask(output: OutputSpec) -> NDArray[Any]:
            return process.run([image], None, output, InputSpec())[0]

        assert np.array_equal(ask(OutputSpec()), image * 2)
        assert np.array_equal(ask(OutputSpec(index=1)), image * 2)
        labels = ask(OutputSpec(activation="labels", index="labels"))
        assert labels.dtype.kind == "i"
        assert np.array_equal(labels, (image > 0).astype(int))
        for index, told in (
            (0, "output mean must have 1 items and the sizes (6, 8)"),
            (3, "output.index must be one of mean, double, labels or from 0 to 2, was 3"),
            (-1, "was -1"),
            ("liver", "was 'liver'"),
        ):
            with pytest.raises(ModelFailure) as caught:
                ask(OutputSpec(index=index))
            assert caught.value.status == Status.REJECTED
            assert told in caught.value.reason
        assert np.array_equal(ask(OutputSpec()), image * 2)  # refusals leave the child as it was


@pytest.mark.parametrize(
    ("kind", "fed", "expected"),
    [
        # 1 + 2^-11 is a tie between two half-precision numbers, and goes to the even one, 1
        (TensorProto.FLOAT16, [1 + 2**-11, 0.5], [2.0, 1.0]),
        (TensorProto.DOUBLE, [0.1, 0.5], [np.float32(0.1) * 2, 1.0]),
        # 300 and -7 do not fit a byte, 1.6 is nearer to 2; 255 + 255 overflows in the graph itself
        (TensorProto.UINT8, [1.6, -7.0], [4.0, 0.0]),
        (TensorProto.INT32, [1.6, -7.0], [4.0, -14.0]),
    ],
)
def test_an_image_is_fed_in_the_declared_type(
    tmp_path: Path, kind: int, fed: list[float], expected: list[float]
) -> None:
    path = double_graph(tmp_path / "net.onnx", kind=kind, outputs=[("out", kind, FREE_2D)])
    answer = run(path, [np.array(fed, np.float32).reshape(1, 1, 2)])[0]
    assert answer.dtype == np.float32
    assert answer.ravel().tolist() == expected


@pytest.mark.parametrize("fixed", [1, 2, 4])
def test_a_graph_for_one_batch_is_fed_in_batches_of_it(tmp_path: Path, fixed: int) -> None:
    sizes = (fixed, 1, 4, 4)
    path = double_graph(
        tmp_path / "net.onnx", sizes=sizes, outputs=[("out", TensorProto.FLOAT, sizes)]
    )
    images = [drawn(1, 4, 4) + i for i in range(5)]
    answers = run(path, images, batch=3)
    assert all(np.array_equal(a, i * 2) for a, i in zip(answers, images, strict=True))


def test_other_sizes_than_declared_are_refused_with_both(tmp_path: Path) -> None:
    sizes = ("n", 1, 16, 16)
    path = double_graph(tmp_path / "net.onnx", sizes=sizes, outputs=[("out", 1, sizes)])
    told = "the input must have the sizes (any, 1, 16, 16) that the graph declares, it was fed "
    assert told + "(1, 2, 16, 16)" in refusal(path, 2, 16, 16)
    assert told + "(1, 1, 16, 17)" in refusal(path, 1, 16, 17)
    assert told + "(1, 1, 16, 16, 16)" in refusal(path, 1, 16, 16, 16)


def test_an_answer_of_another_size_is_refused_with_both(tmp_path: Path) -> None:
    node = helper.make_node("AveragePool", ["image"], ["out"], kernel_shape=[2, 2], strides=[2, 2])
    told = refusal(save_graph(tmp_path / "net.onnx", [node]), 1, 8, 6)
    assert "must have 1 items and the sizes (8, 6) of the input" in told
    assert "returned (1, 1, 4, 3)" in told


def test_answers_that_are_not_finite_or_all_equal_are_passed_on(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "net.onnx",
        [helper.make_node("Div", ["image", "zero"], ["out"])],
        weights=[("zero", np.zeros((), np.float32))],
    )
    image = np.array([[[1.0, 0.0, -1.0]]], np.float32)
    assert np.array_equal(
        run(path, [image])[0], [[[np.inf, np.nan, -np.inf]]], equal_nan=True
    )  # fmt: skip
    constant = weighted_graph(tmp_path / "zero.onnx", factor=0.0)
    assert np.array_equal(run(constant, [drawn(1, 4, 4)])[0], np.zeros((1, 4, 4)))


def test_words_as_an_answer_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["image"], ["out"], to=TensorProto.STRING)]
    path = save_graph(tmp_path / "net.onnx", nodes, outputs=[("out", TensorProto.STRING, FREE_2D)])
    assert refusal(path, 1, 4, 4) == "the model must return a tensor of numbers, it returned none"


def test_weights_beside_the_graph_are_read_and_nothing_else_of_the_folder(tmp_path: Path) -> None:
    path = weighted_graph(tmp_path / "net.onnx", factor=3.0, beside="weights.bin")
    image = drawn(1, 4, 4)
    assert np.array_equal(run(path, [image])[0], image * np.float32(3))
    link = tmp_path / "elsewhere" / "link.onnx"
    link.parent.mkdir()
    link.symlink_to(path)
    # the weights are looked for beside the name that was given
    assert "'weights.bin', which must be in the same folder" in refusal(link, 1, 4, 4)


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([("Relu", ["nowhere"], ["out"])], "nowhere"),
        ([("Telepathy", ["image"], ["out"])], "Telepathy"),
    ],
)
def test_a_graph_that_cannot_be_loaded_is_rejected_in_words(
    tmp_path: Path, nodes: list[tuple[str, list[str], list[str]]], told: str
) -> None:
    made = [helper.make_node(kind, inputs, outputs) for kind, inputs, outputs in nodes]
    reason = refusal(save_graph(tmp_path / "net.onnx", made), 1, 4, 4)
    assert reason.startswith("it cannot be loaded: ")
    assert told in reason


def test_every_damage_is_a_refusal_in_words_and_never_more(tmp_path: Path) -> None:
    whole = conv_graph(tmp_path / "whole.onnx", dims=2).read_bytes()
    path, draw, outcomes = tmp_path / "net.onnx", np.random.default_rng(1), set()
    for _ in range(12):
        damaged = bytearray(whole)
        for place in draw.integers(len(whole), size=4):
            damaged[place] = draw.integers(256)
        path.write_bytes(damaged)
        try:
            run(path, [drawn(1, 8, 8)], timeout_s=20.0)
            outcomes.add("answered")  # a changed weight is still a network
        except ModelFailure as failure:
            outcomes.add(failure.status.value)
    assert outcomes <= {"answered", "rejected", "crashed"}
    assert "rejected" in outcomes


def test_a_graph_of_two_images_is_rejected(tmp_path: Path) -> None:
    import onnx

    path = double_graph(tmp_path / "net.onnx")
    model = onnx.load(str(path))
    model.graph.input.append(helper.make_tensor_value_info("prompt", 1, [1]))
    onnx.save(model, str(path))
    assert refusal(path, 1, 4, 4) == (
        "the graph must have one input, the image; it has image, prompt"
    )


def test_more_memory_than_allowed_is_a_crash_in_plain_words(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "net.onnx",
        [
            helper.make_node("Expand", ["image", "huge"], ["big"]),
            helper.make_node("ReduceMax", ["big"], ["out"], axes=[0], keepdims=1),
        ],
        weights=[("huge", np.array([1 << 30, 1, 4, 4], np.int64))],
    )
    with pytest.raises(ModelFailure) as caught:
        run(path, [drawn(1, 4, 4)], memory_gb=1.0)
    assert caught.value.status == Status.CRASHED
    assert caught.value.reason.startswith("it asked for more memory than it may have")


def test_a_loop_without_end_is_stopped(tmp_path: Path) -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Mul", ["x", "x"], ["y"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    path = save_graph(
        tmp_path / "net.onnx",
        [helper.make_node("Loop", ["times", "", "image"], ["out"], body=body)],
        weights=[("times", np.array(1 << 62, np.int64))],
    )
    with pytest.raises(ModelFailure) as caught:
        run(path, [drawn(1, 4, 4)], timeout_s=1.5)
    assert caught.value.status == Status.TIMED_OUT
    assert caught.value.reason == "no answer within 1.5 s; the process was stopped"


def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(tmp_path: Path) -> None:
    told = refusal(double_graph(tmp_path / "net.onnx"), 1, 4, 4, device="cuda:9")
    assert "device cuda:9 was asked for" in told
    assert "declare device: cpu" in told


def test_both_packages_of_onnxruntime_are_one_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("onnxruntime", "onnxruntime-gpu"):
        folder = tmp_path / f"{name.replace('-', '_')}-1.30.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.30\n")
    assert check_onnxruntime_installation().startswith("onnxruntime")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        check_onnxruntime_installation()


def test_labels_stay_whole_numbers_through_windows(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Greater", ["image", "zero"], ["above"]),
        helper.make_node("Cast", ["above"], ["one"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["one", "seven"], ["out"]),
    ]
    weights = [("zero", np.zeros((), np.float32)), ("seven", np.full((), 7, np.float32))]
    path = save_graph(tmp_path / "net.onnx", nodes, weights=weights)
    image = drawn(1, 20, 11)
    answer = run(path, [image], window=WindowSpec((8, 8), 0.5), output=LABELS)[0]
    assert answer.dtype.kind == "i"
    assert np.array_equal(answer, 7 * (image > 0))
