"""Run an ONNX graph in the child, by onnxruntime. torch is not needed.

One graph optimisation level for every audit (all of them): levels change results in the fifth digit,
and this is what makers run.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.errors import CheckpointError
from auditor.schema import InputSpec, OutputSpec
from auditor.systems.answers import Refusal, chosen, fed

__all__ = ["OnnxModel", "check_onnxruntime_installation"]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def check_onnxruntime_installation() -> str:
    """Return name and version of the installed onnxruntime.

    Raises
    ------
    CheckpointError
        When onnxruntime and onnxruntime-gpu are both installed (they overwrite each other's files),
        or neither is.
    """
    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if len(found) == 2:
        msg = (
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; run "
            "`pip uninstall -y onnxruntime onnxruntime-gpu`, then install one of them again"
        )
        raise CheckpointError(msg)
    if not found:
        msg = "onnxruntime is not installed; run `pip install onnxruntime-gpu` (or onnxruntime)"
        raise CheckpointError(msg)
    ((name, version),) = found.items()
    return f"{name} {version}"


class OnnxModel:
    """A graph that was loaded."""

    def __init__(self, path: Path, *, device: str, threads: int) -> None:
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        check_onnxruntime_installation()
        import onnxruntime as ort

        ort.set_default_logger_severity(3)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self._session = ort.InferenceSession(
            str(path), sess_options=options, providers=_providers(device)
        )
        self._session.disable_fallback()
        used = self._session.get_providers()[0]
        if device != "cpu" and used != "CUDAExecutionProvider":
            msg = (
                f"device {device} was asked for, but onnxruntime can only use {used} here; install the "
                "CUDA libraries (pip install 'segaudit[cuda]') or declare device: cpu"
            )
            raise Refusal(msg)
        if len(self._session.get_inputs()) != 1:
            names = ", ".join(node.name for node in self._session.get_inputs())
            msg = f"the graph must have one input, it has {names}"
            raise Refusal(msg)
        self._input = self._session.get_inputs()[0]
        if self._input.type not in _TYPES:
            msg = f"the input must be a tensor of numbers, it is {self._input.type}"
            raise Refusal(msg)
        self._outputs = [node.name for node in self._session.get_outputs()]

    @property
    def input_shape(self) -> list[int | None]:
        """Declared sizes of the input, None where they are free."""
        return [size if isinstance(size, int) else None for size in self._input.shape]

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        """Run (n, channel, *sizes); see `chosen` for the answer."""
        values = fed(batch, inputs).astype(_TYPES[self._input.type])
        fixed = self.input_shape[0] if self.input_shape else None
        if fixed is not None and fixed != len(values) and fixed == 1:
            parts = [self._run(values[i : i + 1]) for i in range(len(values))]
            answers = [np.concatenate(it) for it in zip(*parts, strict=True)]
        else:
            answers = self._run(values)
        named = [
            (name, array)
            for name, array in zip(self._outputs, answers, strict=True)
            if hasattr(array, "dtype")  # sequences and maps are no tensors
        ]
        return chosen(named, output, batch)

    def _run(self, values: NDArray[Any]) -> list[Any]:
        return list(self._session.run(None, {self._input.name: values}))


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    import onnxruntime as ort

    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    number = int(device.partition(":")[2] or 0)
    # audit-grade numbers: full float32, and an algorithm that does not change from run to run
    settings = {"device_id": number, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}
    return [("CUDAExecutionProvider", settings)]
