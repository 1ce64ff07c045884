"""TorchScript programs in half precision: weights and images are cast, answers come back as float32."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import ConvNet, Threshold, save_script
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from auditor.errors import CheckpointError
from auditor.schema import Geometry, InputSpec, OutputSpec, Status, SystemSpec, WindowSpec
from auditor.systems import torchscript
from auditor.systems.answers import Refusal
from auditor.systems.process import ModelFailure, ModelProcess
from auditor.systems.running import Prediction, open_system

LOGITS = OutputSpec("logits_softmax", (("organ", 1),))
KINDS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def drawn(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).uniform(0, 1, shape).astype(np.float32)


class Constant(nn.Module):
    """Multiplies by a matrix that is written into its code, which no cast reaches."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, torch.eye(8, dtype=torch.float32))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("dims", [2, 3])
def test_weights_and_image_are_cast_and_answers_come_back(
    tmp_path: Path, precision: str, dims: int
) -> None:
    network, image = ConvNet(dims=dims), drawn(1, *[12, 9, 7][:dims])
    path = save_script(network, tmp_path / "net.pt")
    with ModelProcess(path, "torchscript", precision=precision) as process:
        assert not any("stored as" in it for it in process.info.findings)
        answer = process.run([image], None, LOGITS, InputSpec())[0]
        windowed = process.run([image], WindowSpec((8,) * dims, 0.5), LOGITS, InputSpec())[0]
    kind = KINDS[precision]
    with torch.inference_mode():
        cast = copy.deepcopy(network).to(kind)(torch.from_numpy(image[None]).to(kind))[0]
        exact = network(torch.from_numpy(image[None]))[0].numpy()
    assert answer.dtype == windowed.dtype == np.float32
    assert np.array_equal(answer, cast.float().numpy())
    # 8 bits of bfloat16: relative steps of 2^-8 in each of two layers
    assert 0 < np.abs(answer - exact).max() < 0.05 * np.abs(exact).max()


def test_probabilities_are_made_in_float32_of_the_half_answers(tmp_path: Path) -> None:
    geometry = Geometry(shape=(6, 9, 8), spacing=(3.0, 0.8, 1.2))
    path = save_script(ConvNet(dims=3), tmp_path / "net.pt")
    spec = SystemSpec("net", str(path), output=LOGITS, precision="bfloat16")
    image = torch.from_numpy(drawn(1, *geometry.shape))
    with open_system(spec) as system:
        (half,) = system.predict([image], geometry)
    with open_system(replace(spec, precision="float32")) as system:
        (whole,) = system.predict([image], geometry)
    assert isinstance(half, Prediction)
    assert isinstance(whole, Prediction)
    assert half.scores.dtype == torch.float32
    # to the precision of float32, which probabilities in bfloat16 would miss by 2^-8
    assert half.scores.sum(dim=0).sub(1).abs().max() < 1e-6
    assert 0 < (half.scores - whole.scores).abs().max() < 0.1


def test_float32_runs_weights_as_they_are_stored_and_says_so(tmp_path: Path) -> None:
    path = save_script(ConvNet(dims=2).half(), tmp_path / "net.pt")
    with ModelProcess(path, "torchscript") as process:
        assert "its weights are stored as float16 and run as such" in process.info.findings
    with ModelProcess(path, "torchscript", precision="bfloat16") as process:
        answer = process.run([drawn(1, 8, 8)], None, LOGITS, InputSpec())[0]
    with torch.inference_mode():
        image = torch.from_numpy(drawn(1, 8, 8))[None].bfloat16()
        expected = ConvNet(dims=2).half().bfloat16()(image)[0].float().numpy()
    assert np.array_equal(answer, expected)


def test_a_program_without_weights_is_fed_the_precision_too(tmp_path: Path) -> None:
    path = save_script(Threshold(), tmp_path / "net.pt")
    # 0.5 + 2^-10 is no bfloat16: it becomes 0.5, which is not above 0.5
    image = np.array([[[0.5 + 2**-10, 0.6]]], np.float32)
    labels = OutputSpec("labels", LOGITS.labels)
    for precision, expected in (("float32", [1, 1]), ("bfloat16", [0, 1])):
        with ModelProcess(path, "torchscript", precision=precision) as process:
            answer = process.run([image], None, labels, InputSpec())[0]
        assert answer.ravel().tolist() == expected


def test_a_program_with_constants_of_its_own_is_refused_in_words(tmp_path: Path) -> None:
    path = save_script(Constant(), tmp_path / "net.pt")
    with (
        ModelProcess(path, "torchscript", precision="float16") as process,
        pytest.raises(ModelFailure, match="does not run with precision: float16") as caught,
    ):
        process.run([drawn(1, 8, 8)], None, LOGITS, InputSpec())
    assert caught.value.status == Status.REJECTED
    assert "constants of its code may be float32" in caught.value.reason


def test_a_precision_that_the_device_cannot_compute_in_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Tensor:
        msg = "\"slow_conv3d_cpu\" not implemented for 'Half'"
        raise RuntimeError(msg)

    monkeypatch.setattr(torch.nn.functional, "conv3d", refuse)
    told = "precision float16 cannot be used on device cpu: .* not implemented for 'Half'"
    with pytest.raises(Refusal, match=told):
        torchscript._check_precision("float16", torch.device("cpu"))


def test_a_callable_casts_itself(tmp_path: Path) -> None:
    def echo(image: NDArray[np.float32]) -> NDArray[Any]:
        return image

    spec = SystemSpec("mine", output=LOGITS, precision="float16")
    with pytest.raises(
        CheckpointError, match=r"systems\.mine\.precision: must be float32 for a Py"
    ):
        open_system(spec, callable=echo)
