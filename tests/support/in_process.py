"""Run the child's own models in this process: made by the tests themselves, so they may be trusted.

A process of its own for each network of a test would cost more than the network.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from auditor.schema import InputSpec, OutputSpec, Status, SystemSpec
from auditor.systems.answers import chosen, fed
from auditor.systems.describing import Facts, describe
from auditor.systems.description import Description, description_of
from auditor.systems.exported import ExportedModel
from auditor.systems.onnx import OnnxModel
from auditor.systems.probe import ProbeReport, probe_runner
from auditor.systems.runners import RunFailure, RunningInfo
from auditor.systems.skips.torch_recording import named_tensors
from auditor.systems.torch_facts import facts_of_torch
from auditor.systems.torchscript import TorchScriptModel
from auditor.systems.window import run_images

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any test imports onnxruntime


class TorchModel:
    """What the child's model of a TorchScript program does, for any module."""

    inputs: tuple[dict[str, Any], ...] = ()

    def __init__(self, module: Any) -> None:
        self._module = module

    def forward(self, fed_values: NDArray[np.float32]) -> list[tuple[str, NDArray[Any]]]:
        with torch.inference_mode():
            answer = self._module(torch.from_numpy(fed_values))
        return [(name, it.numpy()) for name, it in named_tensors(answer)]

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        values = torch.from_numpy(fed_values)
        count = sum(it.numel() for it in self._module.parameters())
        return facts_of_torch(self._module, values, inputs, parameters=count, versions=())

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        return chosen(self.forward(fed(batch, inputs)), output, batch)


class InProcess:
    """A runner without a process; what the child would send passes through JSON all the same.

    Parameters
    ----------
    begin : makes the model; called again when the process would be a new one.
    """

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin
        self.model = begin()

    @property
    def info(self) -> RunningInfo:
        declared = self.model.inputs
        shape = tuple(declared[0]["sizes"]) if declared else None
        return RunningInfo("in process", "", 0, (), (), shape)

    def run(self, pieces: Sequence[NDArray[np.float32]], spec: SystemSpec) -> list[NDArray[Any]]:
        try:
            return run_images(
                pieces, lambda b: self.model(b, spec.input, spec.output), spec.window, spec.batch
            )
        except Exception as error:
            raise RunFailure(Status.REJECTED, str(error)) from error

    def describe(
        self, shape: Sequence[int], layout: str, *, limit_s: float = math.inf
    ) -> Description:
        assert limit_s > 0
        try:
            told = describe(self.model, {"shape": list(shape), "layout": layout})
        except Exception as error:
            raise RunFailure(Status.REJECTED, str(error)) from error
        return description_of(json.loads(json.dumps(told)))

    def close(self) -> None:
        self.model = self._begin()


def opened(path: Path, **options: Any) -> Any:
    """Return the child's own model of a file; a process may set its threads only once, so they stay."""
    kind: Any = {".onnx": OnnxModel, ".pt": TorchScriptModel, ".pt2": ExportedModel}[path.suffix]
    kind.import_runtime()
    cpu = torch.device("cpu")
    with (
        patch("auditor.systems.torchscript.prepared_device", lambda *_: cpu),
        patch("auditor.systems.exported.prepared_device", lambda *_: cpu),
    ):
        return kind(path, device="cpu", threads=1, **options)


def of_module(module: nn.Module) -> InProcess:
    """Run a module."""
    return InProcess(lambda: TorchModel(module))


def of_script(path: Path) -> InProcess:
    """Run a TorchScript program."""
    jit: Any = torch.jit

    def begin() -> TorchModel:
        module = jit.load(str(path))
        module.eval()
        return TorchModel(_Unoptimised(module))

    return InProcess(begin)


class _Unoptimised:
    """As the child runs it: the first call like all others."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.parameters = module.parameters

    def __call__(self, x: Any) -> Any:
        jit: Any = torch.jit
        with jit.optimized_execution(should_optimize=False):
            return self._module(x)


def of_graph(path: Path) -> InProcess:
    """Run an ONNX graph."""
    return InProcess(lambda: OnnxModel(path, device="cpu", threads=1))


def of_exported(path: Path) -> InProcess:
    """Run a program of torch.export."""

    return InProcess(lambda: opened(path))


def probed(runner: InProcess, **options: Any) -> tuple[ProbeReport, dict[str, str]]:
    """Probe a runner; the report, and its fields as a dictionary."""
    report = probe_runner(
        runner, options.pop("spec", SystemSpec("net")), shape=runner.info.input_shape, **options
    )
    return report, {field.name: field.value for field in report.fields}
