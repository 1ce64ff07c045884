"""Devices: bound memory, never another device than asked for, the same bits in every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from checkpoints import ConvNet, conv_graph, double_graph, save_graph, save_script
from numpy.typing import NDArray
from onnx import TensorProto, helper

from auditor.cli import _run
from auditor.pipeline import examine_installation
from auditor.schema import InputSpec, OutputSpec, Status, WindowSpec
from auditor.systems import torchscript
from auditor.systems.answers import Refusal
from auditor.systems.onnx import OnnxModel
from auditor.systems.process import ModelFailure, ModelProcess

CUDA = ["CUDAExecutionProvider", "CPUExecutionProvider"]
SCORES = OutputSpec("logits_softmax", (("organ", 1),))


def drawn(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


class Session:
    """A session of onnxruntime that writes down what it is asked, and doubles."""

    def __init__(self, path: str, *, sess_options: Any, providers: list[Any]) -> None:
        self.real = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.asked, self.options = providers, sess_options
        self.bound: list[tuple[object, ...]] = []

    def disable_fallback(self) -> None:
        self.bound.append(("no fallback",))

    def get_providers(self) -> list[str]:
        return CUDA

    def get_inputs(self) -> Any:
        return self.real.get_inputs()

    def get_outputs(self) -> Any:
        return self.real.get_outputs()

    def io_binding(self) -> Session:
        return self

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.bound.append(("input", name, *value))

    def bind_output(self, name: str, kind: str, number: int) -> None:
        self.bound.append(("output", name, kind, number))

    def run_with_iobinding(self, binding: Session) -> None:
        assert binding is self

    def copy_outputs_to_cpu(self) -> list[NDArray[Any]]:
        return [np.ones((1, 1, 2, 2), np.float32)]


class CpuOnly(Session):
    """What onnxruntime gives where the CUDA libraries are missing: a session on the CPU, and no error."""

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An onnxruntime that was compiled with CUDA, whether or not there is a GPU."""
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: CUDA)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)

    class Value:
        @staticmethod
        def ortvalue_from_numpy(array: Any, kind: str, number: int) -> tuple[object, ...]:
            return kind, number, array.shape

    monkeypatch.setattr(onnxruntime, "OrtValue", Value)

    def of(kind: type[Session]) -> Any:
        def make(path: str, *, sess_options: Any, providers: list[Any]) -> Session:
            monkeypatch.setattr(onnxruntime, "InferenceSession", real)
            return kind(path, sess_options=sess_options, providers=providers)

        return make

    monkeypatch.setattr(onnxruntime, "sessions_of", of, raising=False)
    return monkeypatch


def opened(cuda_build: pytest.MonkeyPatch, path: Path, kind: type[Session], device: str) -> Any:
    made: Any = onnxruntime
    cuda_build.setattr(onnxruntime, "InferenceSession", made.sessions_of(kind))
    return OnnxModel(path, device=device, threads=1)


def test_a_session_that_fell_back_to_the_cpu_is_refused(
    tmp_path: Path, cuda_build: pytest.MonkeyPatch
) -> None:
    path = double_graph(tmp_path / "net.onnx")
    told = "device cuda was asked for, but onnxruntime can only use the CPU here; install the CUDA"
    with pytest.raises(Refusal, match=told):
        opened(cuda_build, path, CpuOnly, "cuda")


def test_an_onnxruntime_without_cuda_is_told_which_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    told = "install onnxruntime-gpu instead of onnxruntime, or declare device: cpu"
    with pytest.raises(Refusal, match=told):
        OnnxModel(double_graph(tmp_path / "net.onnx"), device="cuda:1", threads=1)


def test_on_a_gpu_image_and_answers_are_bound_to_its_memory_with_settings_that_repeat(
    tmp_path: Path, cuda_build: pytest.MonkeyPatch
) -> None:
    model = opened(cuda_build, double_graph(tmp_path / "net.onnx"), Session, "cuda:1")
    answer = model(drawn(1, 1, 2, 2), InputSpec(), SCORES)
    assert np.array_equal(answer, np.ones((1, 1, 2, 2)))
    session = model._session
    assert session.bound == [
        ("no fallback",),
        ("input", "image", "cuda", 1, (1, 1, 2, 2)),
        ("output", "out", "cuda", 1),
    ]
    ((name, settings),) = session.asked
    assert name == "CUDAExecutionProvider"
    assert settings["device_id"] == 1
    assert settings["use_tf32"] == 0  # ten bits of mantissa are no float32
    assert (
        settings["cudnn_conv_algo_search"] == "HEURISTIC"
    )  # searching may choose another each run
    assert session.options.use_deterministic_compute


def test_on_a_cpu_the_same_binding_answers_to_the_last_bit(tmp_path: Path) -> None:
    path = conv_graph(tmp_path / "net.onnx", dims=3)
    model: Any = OnnxModel(path, device="cpu", threads=1)
    batch = drawn(2, 1, 9, 8, 7)
    (expected,) = model._session.run(None, {"image": batch})

    class OnlyBound:
        """Refuses every way but the bound one."""

        def __getattr__(self, name: str) -> Any:
            assert name in {"io_binding", "run_with_iobinding"}
            return getattr(real, name)

    real, model._session = model._session, OnlyBound()
    first = model(batch, InputSpec(), SCORES)
    kept = first.copy()
    assert np.array_equal(first, expected)
    model(batch * 2, InputSpec(), SCORES)
    assert np.array_equal(first, kept)  # an answer is no view of memory that the next one fills


def test_an_answer_without_a_declared_size_is_bound_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["image"], ["places"]),
        helper.make_node("Add", ["image", "image"], ["out"]),
    ]
    outputs = [("places", TensorProto.INT64, (4, "many")), ("out", 1, ("n", 1, "y", "x"))]
    model = OnnxModel(
        save_graph(tmp_path / "net.onnx", nodes, outputs=outputs), device="cpu", threads=1
    )
    batch = np.array([[[[0, 1.5], [2, 0]]]], np.float32)
    assert np.array_equal(model(batch, InputSpec(), SCORES), batch * 2)


@pytest.fixture
def restored() -> Iterator[None]:
    """Give torch's settings back."""
    backends, before = torch.backends, torch.are_deterministic_algorithms_enabled()
    kept = (backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.benchmark)
    deterministic = backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(before)
    backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, backends.cudnn.benchmark = kept
    backends.cudnn.deterministic = deterministic


@pytest.mark.usefixtures("restored")
def test_torch_on_a_gpu_is_asked_for_full_float32_and_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert torchscript._found(torch.device("cuda:1")) == torch.device("cuda:1")
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()  # better run than refused
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.deterministic
    with pytest.raises(Refusal, match="torch sees 2 GPUs here"):
        torchscript._found(torch.device("cuda:2"))


@pytest.mark.parametrize("format_", ["onnx", "torchscript"])
def test_the_same_case_twice_has_the_same_bits_on_any_number_of_threads_asked_for(
    tmp_path: Path, format_: str
) -> None:
    graph = conv_graph(tmp_path / "net.onnx", dims=3)
    path = graph if format_ == "onnx" else save_script(ConvNet(dims=3), tmp_path / "net.pt")
    image, window = drawn(1, 20, 17, 9), WindowSpec((8, 8, 8), 0.5)
    for threads in (1, 2):
        answers = []
        for _ in range(2):  # two processes, two calls in each
            with ModelProcess(path, format_, threads=threads, batch=2) as process:
                answers += [process.run([image], window, SCORES, InputSpec())[0] for _ in "ab"]
        assert all(np.array_equal(it, answers[0]) for it in answers[1:])


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("name", ["net.onnx", "net.pt"])
def test_check_refuses_a_gpu_that_is_not_there_before_any_work(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiny_audits import tiny_config, unet

    save_script(ConvNet(dims=3), tmp_path / "net.pt")
    conv_graph(tmp_path / "net.onnx", dims=3, classes=2)
    config = tiny_config(tmp_path, systems={"unet": unet(checkpoint=name, device="cuda")})
    assert _run(["check", str(config)]) == 4
    told = " ".join(capsys.readouterr().err.split())
    assert "systems.unet" in told
    assert "device cuda was asked for" in told
    assert "declare device: cpu" in told
    assert "Traceback" not in told


@pytest.fixture
def both_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make it look as if onnxruntime and onnxruntime-gpu were installed side by side."""
    folder = tmp_path / "site"
    for name in ("onnxruntime", "onnxruntime-gpu"):
        info = folder / f"{name.replace('-', '_')}-1.30.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.30\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    return folder


@pytest.mark.usefixtures("both_packages")
def test_both_packages_of_onnxruntime_are_told_by_doctor_and_by_the_child(tmp_path: Path) -> None:
    (found,) = [it for it in examine_installation() if it.what == "onnxruntime"]
    assert not found.good
    cure = "pip uninstall -y onnxruntime onnxruntime-gpu"
    assert cure in found.found
    with pytest.raises(ModelFailure) as caught:
        ModelProcess(double_graph(tmp_path / "net.onnx"), "onnx").start()
    assert caught.value.status == Status.REJECTED
    assert cure in caught.value.reason


@pytest.mark.parametrize("format_", ["onnx", "torchscript"])
def test_memory_of_a_child_stays_flat_over_scans_of_many_sizes(
    tmp_path: Path, format_: str
) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    graph = conv_graph(tmp_path / "net.onnx", dims=3)
    path = graph if format_ == "onnx" else save_script(ConvNet(dims=3), tmp_path / "net.pt")
    sizes = np.random.default_rng(1).integers(8, 56, (90, 3))
    with ModelProcess(path, format_) as process:

        def resident_mb() -> float:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return int(next(it for it in lines if it.startswith("VmRSS")).split()[1]) / 1024

        seen = []
        for size in sizes:
            process.run([drawn(1, *size)], None, SCORES, InputSpec())
            seen.append(resident_mb())
    # the largest scans come early; kept pieces of other sizes would go on adding up
    assert max(seen[60:]) < 1.15 * max(seen[:30])
