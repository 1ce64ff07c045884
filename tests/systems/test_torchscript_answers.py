from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import (
    ChannelLast,
    ConvNet,
    Moody,
    MultipleOf16,
    Named,
    Threshold,
    deep_parentheses,
    save_script,
    short_weights,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from auditor.schema import InputSpec, OutputSpec, Status, WindowSpec
from auditor.systems.archive import examine_archive
from auditor.systems.process import ModelFailure, ModelProcess

jit: Any = torch.jit  # typed only in part


def drawn(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).uniform(0, 1, shape).astype(np.float32)


def run(
    module: nn.Module,
    path: Path,
    images: list[NDArray[np.float32]],
    *,
    output: OutputSpec | None = None,
    input_: InputSpec | None = None,
) -> list[NDArray[Any]]:
    with ModelProcess(save_script(module, path), "torchscript") as process:
        return process.run(images, None, output or OutputSpec(), input_ or InputSpec())


@pytest.fixture(scope="module")
def moody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelProcess]:
    folder = tmp_path_factory.mktemp("moody")
    secret = folder / "elsewhere" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(bytes([42]) * 64)
    module = Moody(secret=secret, target=folder / "elsewhere" / "written")
    path = save_script(module, folder / "net.pt")
    with ModelProcess(path, "torchscript", timeout_s=3.0, memory_gb=6.0) as process:
        yield process


def ask(process: ModelProcess, mood: int) -> NDArray[Any]:
    image = np.full((1, 2, 3), 0.5, np.float32)
    image[0, 0, 0] = mood
    return process.run([image], None, OutputSpec(), InputSpec())[0]


def failure(process: ModelProcess, mood: int) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        ask(process, mood)
    return caught.value


@pytest.mark.parametrize("shape", [(2, 20, 17), (1, 12, 17, 9)])
def test_a_network_answers_to_the_last_bit_as_when_it_is_run_directly(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path, image = tmp_path / "net.pt", drawn(*shape)
    module = ConvNet(dims=len(shape) - 1, channels=shape[0])
    answer = run(module, path, [image])[0]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loaded: Any = jit.load(str(path))
        with torch.inference_mode(), jit.optimized_execution(should_optimize=False):
            expected = loaded(torch.from_numpy(image[None]))[0].numpy()
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(answer, expected)


def test_half_precision_networks_are_fed_half_precision(tmp_path: Path) -> None:
    image = drawn(1, 8, 8)
    answer = run(ConvNet(dims=2).half(), tmp_path / "net.pt", [image])[0]
    with torch.inference_mode():
        expected = ConvNet(dims=2).half()(torch.from_numpy(image[None]).half())[0]
    assert answer.dtype == np.float32
    assert np.array_equal(answer, expected.float().numpy())


def test_the_answer_is_the_declared_one_or_the_first_that_fits(tmp_path: Path) -> None:
    image = drawn(1, 6, 8)
    with ModelProcess(save_script(Named(), tmp_path / "net.pt"), "torchscript") as process:
        assert process.info.input_shape is None

        def of(output: OutputSpec) -> NDArray[Any]:
            return process.run([image], None, output, InputSpec())[0]

        assert np.array_equal(of(OutputSpec()), image * 2 - 1)
        assert np.array_equal(of(OutputSpec(index="logits")), image * 2 - 1)
        assert np.array_equal(of(OutputSpec(index=2, activation="labels")), image > 0.5)
        for index in ("half", "liver", 3):
            with pytest.raises(ModelFailure, match=r"output|index") as caught:
                of(OutputSpec(index=index))
            assert caught.value.status == Status.REJECTED


def test_label_numbers_stay_whole_numbers_through_windows(tmp_path: Path) -> None:
    image = drawn(1, 20, 11)
    with ModelProcess(save_script(Threshold(), tmp_path / "net.pt"), "torchscript") as process:
        window, labels = WindowSpec((8, 8), 0.5), OutputSpec(activation="labels")
        answer = process.run([image], window, labels, InputSpec())[0]
    assert answer.dtype.kind == "i"
    assert np.array_equal(answer, image > 0.5)


def test_channels_may_stand_last(tmp_path: Path) -> None:
    image, last = drawn(2, 5, 7), InputSpec(layout="channel_last")
    path, output = tmp_path / "net.pt", OutputSpec(layout="channel_last")
    answer = run(ChannelLast(), path, [image], output=output, input_=last)[0]
    assert np.array_equal(answer, np.concatenate([image, image.sum(axis=0, keepdims=True)]))
    with (
        ModelProcess(path, "torchscript") as process,
        pytest.raises(ModelFailure, match="two channels, please") as caught,
    ):
        process.run([drawn(1, 5, 7)], None, output, last)
    assert caught.value.status == Status.REJECTED


def test_sizes_that_do_not_divide_are_rejected_and_others_run(tmp_path: Path) -> None:
    with ModelProcess(save_script(MultipleOf16(), tmp_path / "net.pt"), "torchscript") as process:
        with pytest.raises(ModelFailure, match="the model refused its input") as caught:
            process.run([drawn(1, 40, 32)], None, OutputSpec(), InputSpec())
        assert caught.value.status == Status.REJECTED
        answer = process.run([drawn(1, 48, 32)], None, OutputSpec(), InputSpec())[0]
    assert np.array_equal(answer[:1], drawn(1, 48, 32))


def test_what_a_model_prints_disturbs_nothing(moody: ModelProcess) -> None:
    assert ask(moody, 11)[0, 0, 0] == 11


def test_files_of_the_user_are_neither_read_nor_written(moody: ModelProcess) -> None:
    told = moody.info.findings
    assert "its code reads files" in told
    assert "its code writes files" in told
    closed = any(it.startswith("files by Landlock") for it in moody.info.sandbox)
    assert closed != any("the user's files" in it for it in told)
    path = Path(moody._settings["checkpoint"])
    written = path.parent / "elsewhere" / "written"
    if closed:
        refused = failure(moody, 12)
        assert refused.status == Status.REJECTED
        assert "ermission denied" in refused.reason
        assert "elsewhere" not in refused.reason  # folders stay unnamed
        ask(moody, 13)  # torch says nothing when it cannot write
        assert not written.exists()
    with torch.inference_mode():
        jit.load(str(path))(torch.full((1, 1, 2, 2), 13.0))
    assert written.exists()  # so it would have been written without the sandbox


def test_infinities_pass_and_other_sizes_do_not(moody: ModelProcess) -> None:
    assert np.isinf(ask(moody, 16)).all()
    assert np.array_equal(ask(moody, 18), np.zeros((1, 2, 3)))
    refused = failure(moody, 17)
    assert refused.status == Status.REJECTED
    assert "sizes (2, 3) of the input, the model returned (1, 1, 1, 3)" in refused.reason


def test_more_memory_than_allowed_is_a_crash_and_the_next_start_is_as_the_first(
    moody: ModelProcess,
) -> None:
    before = ask(moody, 5)
    crashed = failure(moody, 14)
    assert crashed.status == Status.CRASHED
    assert crashed.reason.startswith("it asked for more memory than it may have")
    assert moody.pid is None
    assert np.array_equal(ask(moody, 5), before)


def test_a_loop_without_end_is_stopped(moody: ModelProcess) -> None:
    moody.start()
    stopped = failure(moody, 15)
    assert stopped.status == Status.TIMED_OUT
    assert stopped.reason == "no answer within 3 s; the process was stopped"
    assert moody.pid is None


def test_code_that_crashes_the_parser_is_a_crash(tmp_path: Path) -> None:
    path = deep_parentheses(save_script(Threshold(), tmp_path / "net.pt"), tmp_path / "deep.pt")
    with pytest.raises(ModelFailure) as caught:
        ModelProcess(path, "torchscript").start()
    assert caught.value.status == Status.CRASHED
    assert "its process was ended by SIG" in caught.value.reason


def test_weights_shorter_than_announced_are_refused_instead_of_filled_with_anything(
    tmp_path: Path,
) -> None:
    whole = save_script(ConvNet(dims=2), tmp_path / "net.pt")
    assert examine_archive(whole) == ()
    path = short_weights(whole, tmp_path / "short.pt")
    with pytest.raises(ModelFailure) as caught:
        ModelProcess(path, "torchscript").start()
    assert caught.value.status == Status.REJECTED
    # 4 filters x 1 channel x 3 x 3 numbers of 4 bytes
    assert "must hold 144 bytes as announced, their record holds 8" in caught.value.reason


class OddWeights(nn.Module):
    """Weights of every kind, shared and as constants, of which nothing may be remarked."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.narrow = nn.Parameter(torch.ones(3).half(), requires_grad=False)
        self.whole = nn.Parameter(torch.arange(5), requires_grad=False)
        self.tied = self.narrow
        self.many = [torch.ones(2), torch.zeros(0)]

    @override
    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x) + self.narrow.sum().float() + self.tied.sum() + self.many[0].sum()
        return x + torch.tensor([1.5, 2.5]).sum() + self.whole.sum()


def test_honest_archives_give_no_findings(tmp_path: Path) -> None:
    path = save_script(OddWeights(), tmp_path / "net.pt")
    assert examine_archive(path) == ()


def test_a_gpu_that_is_not_there_is_never_replaced_by_the_cpu(tmp_path: Path) -> None:
    path = save_script(Threshold(), tmp_path / "net.pt")
    with pytest.raises(ModelFailure, match="device cuda:9 was asked for, but torch sees") as caught:
        ModelProcess(path, "torchscript", device="cuda:9").start()
    assert caught.value.status == Status.REJECTED
