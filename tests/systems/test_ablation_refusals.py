"""What cannot be ablated is refused in a sentence that says what could be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from ablated_nets import OneSkip, one_skip_graph
from checkpoints import FREE_2D, save_graph, save_script
from in_process import opened
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import AblationSpec
from auditor.systems.ablation.ablated import ablated_model
from auditor.systems.ablation.onnx_surgery import replacing_graph
from auditor.systems.ablation.replacing import normals, replaced
from auditor.systems.ablation.selection import selected
from auditor.systems.answers import Refusal
from auditor.systems.skips import Skip, SkipEdge, Skips

MEAN = AblationSpec((), "mean")
IMAGE = np.random.default_rng(0).normal(size=(2, 1, 12, 10)).astype(np.float32)


def skip(level: int, source: str, *edges: str) -> Skip:
    return Skip(
        level=level,
        resolution=(8 >> level, 8 >> level),
        channels=4,
        channel_axis=1,
        source=source,
        operator="Concat",
        nested=False,
        edges=tuple(
            SkipEdge(it, "merged", "Concat", 7, i) for i, it in enumerate(edges or (source,))
        ),
    )


FOUND = Skips(
    found=(skip(1, "a"), skip(2, "b"), skip(2, "c", "c1", "c2")),
    complete=True,
    minimal=True,
    coarsest=(1, 2),
    one_voxel=False,
    levels=(),
)


def test_levels_and_names_by_hand() -> None:
    assert selected(FOUND, ()) == (0, 1, 2)
    assert selected(FOUND, (2,)) == (1, 2)
    assert selected(FOUND, ("b", 1)) == (0, 1)
    # a gate is known by its stem and by what enters its merges
    assert selected(FOUND, ("c",)) == selected(FOUND, ("c2",)) == (2,)


@pytest.mark.parametrize(
    ("skips", "wanted", "said"),
    [
        (FOUND, (3,), "level 3 has no skip connection; those that have one: 1, 2"),
        (FOUND, (0, 1), "level 0 has no skip connection; those that have one: 1, 2"),
        (FOUND, ("d",), "no value 'd' skips; those that do: a, b, c"),
        (replace(FOUND, complete=False), (1,), "name the values that are to be replaced instead, of: a, b, c"),
        (replace(FOUND, complete=False), (), "could not all be found"),
        (replace(FOUND, found=()), (1,), "has no skip connection at the size that it is fed"),
        (replace(FOUND, found=(), complete=False), (), "no skip connection of the network could be found"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused_with_what_is(
    skips: Skips, wanted: tuple[int | str, ...], said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        selected(skips, wanted)
    assert said in str(refused.value)


def test_values_of_an_incomplete_network_may_be_named() -> None:
    assert selected(replace(FOUND, complete=False), ("b",)) == (1,)


def test_many_names_are_cut() -> None:
    many = replace(FOUND, found=tuple(skip(0, f"v{i}") for i in range(30)))
    with pytest.raises(Refusal, match=r"v0, v1, .* v11 and 18 more"):
        selected(many, ("w",))


def test_a_network_without_skips(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["image"], ["out"])
    model = opened(save_graph(tmp_path / "net.onnx", [node]))
    with pytest.raises(Refusal, match="nothing to ablate"):
        ablated_model(model, MEAN).forward(IMAGE)


def branching_graph(path: Path) -> Path:
    """Write a network that joins what skips inside the body of a branch."""
    one_skip_graph(path)
    model = onnx.load(path)
    joined = next(node for node in model.graph.node if node.op_type == "Concat")
    bodies = {}
    for name in ("then_branch", "else_branch"):
        inner = helper.make_node("Concat", ["b", "up"], ["inner"], axis=1)
        out = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
        bodies[name] = helper.make_graph([inner], name, [], [out])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    branch = helper.make_node("If", ["yes"], ["joined"], **bodies)
    at = list(model.graph.node).index(joined)
    del model.graph.node[at]
    model.graph.node.insert(at, branch)
    model.graph.initializer.append(yes)
    onnx.save(model, path)
    return path


def test_a_merge_inside_of_a_branch_cannot_be_seen(tmp_path: Path) -> None:
    model = opened(branching_graph(tmp_path / "net.onnx"))
    assert np.isfinite(model.forward(IMAGE)[0][1]).all()
    with pytest.raises(Refusal, match="whose inside cannot be seen"):
        ablated_model(model, MEAN).forward(IMAGE)


def quantised(path: Path, *, only_merge: bool) -> Path:
    """Write a network whose merge takes 8 bits, or takes numbers that were 8 bits before."""
    one_skip_graph(path)
    model = onnx.load(path)
    scales = {"scale": np.float32(0.05), "zero": np.uint8(128)}
    for name, value in scales.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    at = next(i for i, node in enumerate(model.graph.node) if node.op_type == "Concat")
    del model.graph.node[at]
    made = [
        helper.make_node("QuantizeLinear", [it, "scale", "zero"], [f"{it}8"]) for it in ("b", "up")
    ]
    if only_merge:
        pairs = [text for it in ("b8", "up8") for text in (it, "scale", "zero")]
        made += [
            helper.make_node(
                "QLinearConcat",
                ["scale", "zero", *pairs],
                ["joined8"],
                axis=1,
                domain="com.microsoft",
            ),
            helper.make_node("DequantizeLinear", ["joined8", "scale", "zero"], ["joined"]),
        ]
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    else:
        made += [
            *(helper.make_node("DequantizeLinear", [f"{it}8", "scale", "zero"], [f"{it}9"])
              for it in ("b", "up")),
            helper.make_node("Concat", ["b9", "up9"], ["joined"], axis=1),
        ]  # fmt: skip
    for i, node in enumerate(made):
        model.graph.node.insert(at + i, node)
    onnx.save(model, path)
    return path


def test_eight_bits_that_skip_are_refused_and_numbers_around_them_are_not(tmp_path: Path) -> None:
    model = opened(quantised(tmp_path / "bits.onnx", only_merge=True))
    with pytest.raises(Refusal, match="b8 of level 0 is of type uint8, as in a quantised network"):
        ablated_model(model, MEAN).forward(IMAGE)
    model = opened(quantised(tmp_path / "around.onnx", only_merge=False))
    answer = ablated_model(model, AblationSpec((), "dose", 2.0)).forward(IMAGE)[0][1]
    # twice what 8 bits of a step of 0.05 hold of twice the image
    np.testing.assert_allclose(answer, 4 * IMAGE, atol=2 * 0.025 + 1e-5)


class Undecided(nn.Module):
    """Runs other operators when an image is bright, or large: one more, another, or one less at the end."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.net, self.what = OneSkip(), what

    @override
    def forward(self, x: Tensor) -> Tensor:
        bright = bool(x.mean() > 1)
        if self.what == "more" and bright:
            x = torch.relu(x)
        if self.what == "size" and x.shape[2] > 12:
            x = torch.relu(x)
        if self.what == "another":
            x = torch.relu(x) if bright else x.abs()
        answer: Tensor = self.net(x)
        if self.what == "less" and not bright:
            answer = answer.abs()
        return answer


@pytest.mark.parametrize("what", ["more", "another", "less"])
def test_a_network_whose_operators_depend_on_the_values(what: str, tmp_path: Path) -> None:
    model = opened(save_script(Undecided(what), tmp_path / "net.pt"))
    ablated = ablated_model(model, AblationSpec((), "dose", 1.0))
    right = 2 * IMAGE if what == "more" else 2 * np.abs(IMAGE)
    np.testing.assert_allclose(ablated.forward(IMAGE)[0][1], right, atol=1e-6)
    with pytest.raises(
        Refusal, match="must run the same operators each time that it is fed this size"
    ):
        ablated.forward(IMAGE + 5)
    np.testing.assert_allclose(ablated.forward(IMAGE)[0][1], right, atol=1e-6)


def test_operators_may_depend_on_the_size(tmp_path: Path) -> None:
    model = opened(save_script(Undecided("size"), tmp_path / "net.pt"))
    ablated = ablated_model(model, AblationSpec((), "dose", 1.0))
    large = np.concatenate([IMAGE, IMAGE], axis=2)
    for image, right in ((IMAGE, 2 * IMAGE), (large, 2 * large.clip(0)), (IMAGE, 2 * IMAGE)):
        np.testing.assert_allclose(ablated.forward(image)[0][1], right, atol=1e-6)


def test_graphs_before_opset_11(tmp_path: Path) -> None:
    model = onnx.load(one_skip_graph(tmp_path / "net.onnx"))
    model.opset_import[0].version = 9
    with pytest.raises(Refusal, match="of opset 11 or later for an ablation, it is of 9"):
        replacing_graph(model, (), MEAN)


def test_half_a_pair_of_images(tmp_path: Path) -> None:
    model = opened(one_skip_graph(tmp_path / "net.onnx"))
    three = np.concatenate([IMAGE] * 3, axis=1)
    with pytest.raises(Refusal, match="channels of two images, it was fed 3"):
        ablated_model(model, AblationSpec((), "image")).forward(three)


def test_a_kind_without_its_number_is_no_silent_zero() -> None:
    with pytest.raises(ValueError, match="an ablation by dose must have a strength"):
        replaced(torch.zeros(1, 1, 4), AblationSpec((), "dose"), normals(0, 0))


def test_several_inputs_are_refused_before_any_ablation(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "net.onnx", [helper.make_node("Add", ["image", "more"], ["out"])])
    model = onnx.load(path)
    more = helper.make_tensor_value_info("more", TensorProto.FLOAT, list(FREE_2D))
    model.graph.input.append(more)
    onnx.save(model, path)
    with pytest.raises(Refusal, match="must have one input, the image; it has image, more"):
        opened(path)


def test_a_graph_that_cannot_be_followed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> NDArray[Any]:
        msg = "NOT_IMPLEMENTED : operator"
        raise RuntimeError(msg)

    monkeypatch.setattr("auditor.systems.ablation.onnx_patching.record_onnx", broken)
    model = opened(one_skip_graph(tmp_path / "net.onnx"))
    with pytest.raises(Refusal, match=r"could not be followed, .*: NOT_IMPLEMENTED : operator"):
        ablated_model(model, MEAN).forward(IMAGE)
