"""What takes the place of a skip, by arithmetic: on networks of which it is known what skips."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from ablated_nets import OneSkip, one_skip_graph
from checkpoints import save_graph, save_script
from in_process import opened
from numpy.typing import NDArray
from onnx import TensorProto, helper
from scipy import ndimage
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import AblationSpec, InputSpec, OutputSpec
from auditor.systems.ablation.ablated import Ablated, ablated_model
from auditor.systems.ablation.replacing import NORMALS, gaussian_kernel, normals, replaced
from auditor.systems.answers import Refusal
from auditor.systems.onnx import OnnxModel

Array = NDArray[np.float32]


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ran(model: Any, spec: AblationSpec, values: Array) -> NDArray[Any]:
    """Return the first output of a model that is ablated."""
    answer: NDArray[Any] = ablated_model(model, spec).forward(values)[0][1]
    return answer


def _script(skip: float, deep: float, folder: Path) -> Path:
    return save_script(OneSkip(skip, deep), folder / "net.pt")


def _program(skip: float, deep: float, folder: Path) -> Path:
    path = folder / "net.pt2"
    n = torch.export.Dim("n", min=1, max=16)
    module = OneSkip(skip, deep).eval()
    program = torch.export.export(module, (torch.randn(2, 1, 12, 10),), dynamic_shapes=({0: n},))
    torch.export.save(program, path)
    return path


def _graph(skip: float, deep: float, folder: Path) -> Path:
    return one_skip_graph(folder / "net.onnx", skip=skip, deep=deep)


WRITERS: dict[str, Callable[[float, float, Path], Path]] = {
    "graph": _graph, "script": _script, "program": _program,
}  # fmt: skip


@pytest.fixture(params=WRITERS)
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return what skips, twice the image, and nothing else."""
    return opened(WRITERS[request.param](1.0, 0.0, tmp_path))


@pytest.fixture(params=WRITERS)
def ignores(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return what came up again, and nothing of what skips."""
    return opened(WRITERS[request.param](0.0, 1.0, tmp_path))


IMAGE = drawn(3, 1, 12, 10)
OTHER = drawn(3, 1, 12, 10, seed=1)
KINDS = (
    AblationSpec((), "zero"),
    AblationSpec((), "mean"),
    AblationSpec((), "blur", 1.5),
    AblationSpec((), "noise", 0.7, seed=5),
    AblationSpec((), "dose", 0.25),
)


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.by)
def test_a_skip_that_is_ignored_changes_nothing(ignores: Any, spec: AblationSpec) -> None:
    np.testing.assert_array_equal(ran(ignores, spec, IMAGE), ignores.forward(IMAGE)[0][1])


def test_another_image_in_a_skip_that_is_ignored_changes_nothing(ignores: Any) -> None:
    both = np.concatenate([IMAGE, OTHER], axis=1)
    answer = ran(ignores, AblationSpec((), "image"), both)
    np.testing.assert_array_equal(answer, ignores.forward(IMAGE)[0][1])


def test_a_skip_that_is_copied_shows_what_took_its_place(copies: Any) -> None:
    """The network returns b = 2 x, so it returns whatever stands in the place of b."""
    b = 2 * IMAGE
    mean = b.mean(axis=(2, 3), keepdims=True)
    sd = b.std(axis=(2, 3), keepdims=True)
    field = np.resize(
        np.random.default_rng([5, 0, 0]).standard_normal(65521, np.float32), (1, 1, 12, 10)
    )
    blurred = np.stack(
        [ndimage.gaussian_filter(it[0], 1.5, mode="nearest", truncate=4.0)[None] for it in b]
    )
    expected = [0 * b, mean + 0 * b, blurred, b + 0.7 * sd * field, b / 4]
    for spec, right in zip(KINDS, expected, strict=True):
        np.testing.assert_allclose(ran(copies, spec, IMAGE), right, atol=2e-6, err_msg=spec.by)
    both = np.concatenate([IMAGE, OTHER], axis=1)
    np.testing.assert_allclose(ran(copies, AblationSpec((), "image"), both), 2 * OTHER, atol=1e-6)


def test_a_whole_dose_is_the_network_as_it_is(copies: Any) -> None:
    whole = copies.forward(IMAGE)[0][1]
    answer = ran(copies, AblationSpec((0,), "dose", 1.0), IMAGE)
    if isinstance(copies, OnnxModel):
        np.testing.assert_allclose(answer, whole, atol=1e-6)
    else:
        np.testing.assert_array_equal(answer, whole)
    # and so is its own value in the place of a value
    both = np.concatenate([IMAGE, IMAGE], axis=1)
    np.testing.assert_allclose(ran(copies, AblationSpec((), "image"), both), whole, atol=1e-6)


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.by)
def test_neither_batch_nor_order_of_calls_matters(copies: Any, spec: AblationSpec) -> None:
    model = ablated_model(copies, spec)
    together = model.forward(IMAGE)[0][1].copy()
    for i in (2, 0, 1):
        alone = model.forward(IMAGE[i : i + 1])[0][1]
        np.testing.assert_allclose(alone, together[i : i + 1], atol=1e-6)
    np.testing.assert_array_equal(model.forward(IMAGE)[0][1], together)


def test_what_is_kept_of_another_image_is_that_of_the_same_call(copies: Any) -> None:
    model = ablated_model(copies, AblationSpec((), "image"))
    for first, second in itertools.permutations((drawn(2, 1, 12, 10, seed=s) for s in range(3)), 2):
        answer = model.forward(np.concatenate([first, second], axis=1))[0][1]
        np.testing.assert_allclose(answer, 2 * second, atol=1e-6)


def test_more_than_one_size_through_one_model(tmp_path: Path) -> None:
    for writer in (_graph, _script):
        model = ablated_model(opened(writer(1.0, 0.0, tmp_path)), AblationSpec((), "mean"))
        for sizes in ((12, 10), (8, 16), (12, 10)):
            image = drawn(2, 1, *sizes)
            mean = 2 * image.mean(axis=(2, 3), keepdims=True)
            np.testing.assert_allclose(model.forward(image)[0][1], mean + 0 * image, atol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_blur_is_that_of_scipy_on_every_number_of_axes(dims: int) -> None:
    b = drawn(2, 3, *(9, 5, 7)[:dims])
    for sigma in (0.1, 0.6, 2.0, 5.0):
        answer = replaced(torch.from_numpy(b), AblationSpec((), "blur", sigma), normals(0, 0))
        right = [
            [ndimage.gaussian_filter(c, sigma, mode="nearest", truncate=4.0) for c in it]
            for it in b
        ]
        np.testing.assert_allclose(answer.numpy(), right, atol=2e-6)


def test_kernel_and_noise_by_hand() -> None:
    # SD 1/2: at distance 1 exp(-2), at distance 2 exp(-8); 4 SDs are 2 voxels
    near, far = np.exp(-2.0), np.exp(-8.0)
    right = np.array([far, near, 1, near, far]) / (1 + 2 * near + 2 * far)
    np.testing.assert_allclose(gaussian_kernel(0.5), right, rtol=1e-6)
    assert NORMALS == 65521
    # numbers of another skip, another value or another seed are other numbers
    fields = [normals(0, 0), normals(1, 0), normals(0, 1), normals(0, 0, 1)]
    for one, two in itertools.combinations(fields, 2):
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.02
    assert abs(fields[0].mean()) < 0.02
    assert abs(fields[0].std() - 1) < 0.02


def test_noise_is_one_field_scaled_by_the_spread_of_each_channel_of_each_item() -> None:
    b = drawn(2, 2, 100, 90) * np.array([1, 10], np.float32).reshape(1, 2, 1, 1)
    b[1] += 7
    spec = AblationSpec((), "noise", 0.5)
    added = replaced(torch.from_numpy(b), spec, normals(0, 3)).numpy() - b
    ratio = added / b.std(axis=(2, 3), keepdims=True) / 0.5
    np.testing.assert_allclose(ratio[0], ratio[1], atol=1e-4)
    np.testing.assert_allclose(ratio.std(axis=(2, 3)), 1, atol=0.03)
    assert abs(np.corrcoef(ratio[0, 0].ravel(), ratio[0, 1].ravel())[0, 1]) < 0.03


def test_half_precision_keeps_its_type_and_its_statistics(tmp_path: Path) -> None:
    b = torch.full((1, 1, 300, 300), 300.0, dtype=torch.float16)
    b[..., ::2] = 340.0
    assert replaced(b, AblationSpec((), "mean"), normals(0, 0)).dtype == torch.float16
    assert float(replaced(b, AblationSpec((), "mean"), normals(0, 0)).max()) == 320.0
    noisy = replaced(b, AblationSpec((), "noise", 1.0), normals(0, 0))
    assert abs(float((noisy - b).float().std()) - 20) < 0.5
    # the square of 300 does not fit into half precision
    wide = 15 * (b - 320)
    noisy = replaced(wide, AblationSpec((), "noise", 1.0), normals(0, 0))
    assert abs(float((noisy - wide).float().std()) - 300) < 7.5
    script = save_script(OneSkip(), tmp_path / "net.pt")
    model = opened(script, precision="float16")
    mean = (2 * IMAGE.astype(np.float16)).mean(axis=(2, 3), dtype=np.float32, keepdims=True)
    answer = ran(model, AblationSpec((), "mean"), IMAGE)
    np.testing.assert_allclose(answer, mean + 0 * IMAGE, atol=2e-3)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("opset", [11, 12, 13, 17, 18, 21])
def test_every_opset_and_number_type_of_graphs(tmp_path: Path, kind: type, opset: int) -> None:
    path = one_skip_graph(tmp_path / "net.onnx", kind=kind, opset=opset)
    onnx.checker.check_model(str(path))
    model = opened(path)
    half = kind is np.float16
    b = 2 * IMAGE.astype(kind).astype(np.float32)
    for spec in KINDS:
        patched = model.patching(spec).graph(IMAGE.astype(kind), channel_last=False)
        onnx.checker.check_model(patched, full_check=True)
        right = replaced(torch.from_numpy(b), spec, normals(spec.seed, 0)).numpy()
        answer = ran(model, spec, IMAGE).astype(np.float32)
        np.testing.assert_allclose(answer, right, atol=2e-2 if half else 2e-6)
    both = np.concatenate([IMAGE, OTHER], axis=1)
    answer = ran(model, AblationSpec((), "image"), both).astype(np.float32)
    np.testing.assert_allclose(answer, 2 * OTHER, atol=1e-2 if half else 1e-6)


def test_double_precision_stays_double(tmp_path: Path) -> None:
    """Products of matrices and reshaping instead of what onnxruntime has in single precision only."""
    sizes = ("n", 1, 12, 10)
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("MatMul", ["image", "two"], "b", {}),
        ("MaxPool", ["b"], "down", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("MatMul", ["down", "one"], "low", {}),
        ("Reshape", ["low", "apart"], "six", {}),
        ("Expand", ["six", "twice"], "wide", {}),
        ("Reshape", ["wide", "joined"], "up", {}),
        ("Add", ["b", "up"], "out", {}),
    ]
    path = save_graph(
        tmp_path / "net.onnx",
        [helper.make_node(kind, given, [out], **more) for kind, given, out, more in steps],
        sizes=sizes,
        outputs=[("out", TensorProto.DOUBLE, sizes)],
        kind=TensorProto.DOUBLE,
        weights=[
            ("two", 2 * np.eye(10)),
            ("one", np.eye(5)),
            ("apart", np.array([-1, 1, 6, 1, 5, 1])),
            ("twice", np.array([1, 1, 1, 2, 1, 2])),
            ("joined", np.array([-1, 1, 12, 10])),
        ],
    )
    b = 2 * IMAGE.astype(np.float64)
    low = b.reshape(3, 1, 6, 2, 5, 2).max(axis=(3, 5)).repeat(2, axis=2).repeat(2, axis=3)
    for spec in KINDS:
        answer = ran(opened(path), spec, IMAGE)
        assert answer.dtype == np.float64
        right = replaced(torch.from_numpy(b), spec, normals(spec.seed, 0)).numpy()
        # the blur is one of single precision
        atol = 2e-6 if spec.by == "blur" else 1e-12
        np.testing.assert_allclose(answer - low, right, atol=atol, err_msg=spec.by)


def test_a_fixed_batch_and_weights_beside_the_graph(tmp_path: Path) -> None:
    path = one_skip_graph(tmp_path / "net.onnx", sizes=(2, 1, 12, 10), beside="weights.bin")
    model = opened(path)
    np.testing.assert_allclose(ran(model, AblationSpec((), "dose", 0.5), IMAGE), IMAGE, atol=1e-6)
    both = np.concatenate([IMAGE, OTHER], axis=1)
    np.testing.assert_allclose(ran(model, AblationSpec((), "image"), both), 2 * OTHER, atol=1e-6)
    patched = model.patching(KINDS[1]).graph(IMAGE[:2], channel_last=False)
    # what was added is small; the weights stayed where they are
    assert {it.data_location for it in patched.graph.initializer} == {onnx.TensorProto.EXTERNAL}


def test_names_of_a_graph_that_are_like_ours_are_not_taken(tmp_path: Path) -> None:
    path = one_skip_graph(tmp_path / "net.onnx")
    model = onnx.load(path)
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = {"up": "segaudit.ablated.0.0"}.get(name, name)
    onnx.save(model, path)
    np.testing.assert_allclose(
        ran(opened(path), AblationSpec((), "dose", 2.0), IMAGE), 4 * IMAGE, atol=1e-6
    )


class WritesIntoItsSkip(nn.Module):
    """Adds what came up to what skips, in the memory of what skips."""

    def __init__(self) -> None:
        super().__init__()
        self.net = OneSkip()

    @override
    def forward(self, x: Tensor) -> Tensor:
        b = self.net.first(x)
        deep = self.net.up(self.net.low(self.net.down(b)))
        b.add_(deep)  # what it returns is not looked at
        answer: Tensor = b
        return answer


def test_what_an_operator_writes_into_is_replaced_for_what_comes_after(tmp_path: Path) -> None:
    model = opened(save_script(WritesIntoItsSkip(), tmp_path / "net.pt"))
    low = np.max(2 * IMAGE.reshape(3, 1, 6, 2, 5, 2), axis=(3, 5)).repeat(2, 2).repeat(2, 3)
    np.testing.assert_allclose(ran(model, AblationSpec((), "zero"), IMAGE), low, atol=1e-6)
    both = np.concatenate([IMAGE, OTHER], axis=1)
    answer = ran(model, AblationSpec((), "image"), both)
    np.testing.assert_allclose(answer, 2 * OTHER + low, atol=1e-6)


def test_channels_last_around_the_network_and_inside_of_it(tmp_path: Path) -> None:
    class Last(nn.Module):
        """Channels at the end, of what is fed and of what is joined."""

        def __init__(self) -> None:
            super().__init__()
            self.net = OneSkip()

        @override
        def forward(self, x: Tensor) -> Tensor:
            b = self.net.first(x.permute(0, 3, 1, 2))
            deep = self.net.up(self.net.low(self.net.down(b)))
            joined = torch.cat([b.permute(0, 2, 3, 1), deep.permute(0, 2, 3, 1)], dim=3)
            answer: Tensor = self.net.last(joined.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return answer

    torch.jit.trace(Last(), torch.randn(1, 12, 10, 1)).save(str(tmp_path / "net.pt"))  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its end
        torch.onnx.export(
            Last(), (torch.randn(1, 12, 10, 1),), str(tmp_path / "net.onnx"), dynamo=False,
            input_names=["image"], dynamic_axes={"image": {0: "n"}}, verbose=False,
        )  # fmt: skip
    inputs, output = InputSpec(layout="channel_last"), OutputSpec(layout="channel_last")
    b = torch.from_numpy(2 * IMAGE)
    for name in ("net.pt", "net.onnx"):
        whole = opened(tmp_path / name)
        for spec in KINDS:
            answer = ablated_model(whole, spec)(IMAGE, inputs, output)
            right = replaced(b, spec, normals(spec.seed, 0)).numpy()
            np.testing.assert_allclose(answer, right, atol=2e-6, err_msg=f"{name} {spec.by}")
        both = np.concatenate([IMAGE, OTHER], axis=1)
        answer = ablated_model(whole, AblationSpec((), "image"))(both, inputs, output)
        np.testing.assert_allclose(answer, 2 * OTHER, atol=1e-6)


def test_the_graph_of_an_ablated_model_is_that_of_the_last_size_that_was_asked_for(
    tmp_path: Path,
) -> None:
    model = ablated_model(opened(one_skip_graph(tmp_path / "net.onnx")), KINDS[1])
    with pytest.raises(Refusal, match="after its facts"):
        model.proto()  # type: ignore[attr-defined]
    model.facts(IMAGE, InputSpec())
    graph, folder = model.proto()  # type: ignore[attr-defined]
    assert folder == tmp_path
    assert "ReduceMean" in {node.op_type for node in graph.graph.node}
    script = ablated_model(opened(save_script(OneSkip(), tmp_path / "net.pt")), KINDS[1])
    assert type(script) is Ablated
