"""Run an ONNX graph in the child, by onnxruntime. torch is not needed.

One graph optimisation level for every audit (all of them): levels change results in the fifth digit,
and this is what makers run. Images and answers are bound to the device's memory, on a CPU as on a GPU,
so that there is one way through this file.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auditor.errors import CheckpointError
from auditor.schema import AblationSpec, InputSpec, OutputSpec
from auditor.systems.ablation.patching import Around
from auditor.systems.answers import Refusal, chosen, fed
from auditor.systems.declared_sizes import as_type, in_fixed_batches, require_declared_sizes

if TYPE_CHECKING:
    from auditor.systems.ablation.onnx_patching import OnnxPatching
    from auditor.systems.describing import Facts

__all__ = ["OnnxModel", "check_onnxruntime_installation", "run_session", "session_of"]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
_ANSWERS = frozenset(_TYPES) | {
    f"tensor({kind})" for kind in ("bool", "int8", "int16", "uint16", "uint32", "uint64")
}
"""What can be bound and read; words would end the process, sequences and maps are no answers."""


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
    """A graph that was loaded.

    Parameters
    ----------
    path : Path
        The graph; its weights may lie beside it.
    device : str
        cpu, cuda or cuda:1.
    threads : int
        Of one forward pass.
    precision : str
        Must be float32: a graph fixes the types of its numbers itself.

    Raises
    ------
    Refusal
        When the device is not there, another precision is asked for, or the graph is none of one image.
    CheckpointError
        When onnxruntime is not properly installed.
    """

    findings: tuple[str, ...] = ()
    """A graph of the standard's operators reads and writes nothing."""

    def __init__(
        self, path: Path, *, device: str, threads: int, precision: str = "float32"
    ) -> None:
        self._path = path
        check_onnxruntime_installation()
        if precision != "float32":
            msg = (
                f"precision must be float32 for ONNX, was {precision}: a graph fixes the types of its "
                "numbers itself; leave precision out, or ask the maker for a graph in that type"
            )
            raise Refusal(msg)
        self._device, self._threads = device, threads
        self._session = session_of(str(path), device=device, threads=threads)
        if len(self._session.get_inputs()) != 1:
            names = ", ".join(node.name for node in self._session.get_inputs()) or "none"
            msg = f"the graph must have one input, the image; it has {names}"
            raise Refusal(msg)
        image = self._session.get_inputs()[0]
        # texts, because what onnxruntime tells of an input keeps its session alive
        self._name, self._type = str(image.name), str(image.type)
        if self._type not in _TYPES:
            msg = f"the input must be a tensor of numbers, it is {self._type}"
            raise Refusal(msg)
        self._declared = _sizes(image)
        self._place = (device.partition(":")[0], int(device.partition(":")[2] or 0))
        self._tensors = [
            str(node.name) for node in self._session.get_outputs() if str(node.type) in _ANSWERS
        ]
        self.inputs = (_described(image),)
        """Name, type and sizes of the input."""
        self.outputs = tuple(map(_described, self._session.get_outputs()))
        """Name, type and sizes of each output."""

    @staticmethod
    def import_runtime() -> None:
        """Import onnxruntime, which must be told first to report nothing to its maker."""
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime  # noqa: F401  # only loaded

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        """Run (n, channel, *sizes); see `chosen` for the answer."""
        return chosen(self.forward(fed(batch, inputs)), output, batch)

    def forward(
        self, fed_values: NDArray[np.float32], around: Around | None = None
    ) -> list[tuple[str, NDArray[Any]]]:
        """Run what is fed as it is; (name, array) of each output that is a tensor.

        Parameters
        ----------
        fed_values : (n, ...) as the graph wants it.
        around : called with what runs a batch and the batch, in its place; None: nothing is around it.
        """
        values = as_type(fed_values, _TYPES[self._type])
        require_declared_sizes(self._declared, values.shape)
        if not self._tensors:
            return []
        run = self._run if around is None else functools.partial(around, self._run)
        answers = in_fixed_batches(values, self._declared, run)
        return list(zip(self._tensors, answers, strict=False))  # a pass may only keep values

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        """Tell what the graph is made of; see `auditor.systems.describing`."""
        from auditor.systems.onnx_facts import facts_of_onnx

        return facts_of_onnx(self._path, self._whole_batch(fed_values), inputs)

    def patching(self, spec: AblationSpec) -> OnnxPatching:
        """Prepare what replaces the values of skip connections; see `auditor.systems.ablation`."""
        from auditor.systems.ablation.onnx_patching import OnnxPatching

        # an ablated graph is a session of its own, and its weights need not be held twice
        self._session = None
        open_ = functools.partial(session_of, device=self._device, threads=self._threads)
        run = functools.partial(run_session, names=self._tensors, place=self._place)
        return OnnxPatching(spec, self._path, open_=open_, run=run)

    def proto(self) -> tuple[Any, Path]:
        """Parse the graph again: ModelProto without the weights beside it, and their folder."""
        from auditor.systems.skips.onnx_recording import read_graph

        return read_graph(self._path).model, self._path.parent

    def ablated_proto(
        self, fed_values: NDArray[np.float32], patching: OnnxPatching, *, channel_last: bool
    ) -> tuple[Any, Path]:
        """Return what `proto` does, with values replaced.

        Parameters
        ----------
        fed_values : (n, ...) of a size at which values are replaced.
        patching : replaces them.
        channel_last : the channels are the last axis.
        """
        values = self._whole_batch(fed_values)
        return patching.graph(values, channel_last=channel_last), self._path.parent

    def _whole_batch(self, fed_values: NDArray[np.float32]) -> NDArray[Any]:
        """Cast to the declared type, one item as often as the graph wants items."""
        values = as_type(fed_values, _TYPES[self._type])
        fixed = self._declared[0] if self._declared else None
        return np.repeat(values, fixed, axis=0) if fixed and len(values) == 1 else values

    def _run(self, values: NDArray[Any]) -> list[Any]:
        if self._session is None:
            self._session = session_of(str(self._path), device=self._device, threads=self._threads)
        return run_session(
            self._session, {self._name: values}, names=self._tensors, place=self._place
        )


def run_session(
    session: Any,  # noqa: ANN401  # of onnxruntime, without types
    fed_values: Mapping[str, NDArray[Any]],
    *,
    names: Sequence[str],
    place: tuple[str, int],
) -> list[Any]:
    """Run a session on its device.

    Parameters
    ----------
    session : of `session_of`.
    fed_values : an array for each input.
    names : outputs that are asked for.
    place : kind and number of the device.

    Returns
    -------
    One array per name.
    """
    import onnxruntime as ort

    binding = session.io_binding()
    for name, values in fed_values.items():
        image = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), *place)
        binding.bind_ortvalue_input(name, image)
    for name in names:
        binding.bind_output(name, *place)
    session.run_with_iobinding(binding)
    if place[0] == "cpu":
        return [value.numpy() for value in binding.get_outputs()]  # where they are, not copied
    return list(binding.copy_outputs_to_cpu())


def session_of(
    graph: str | bytes,
    *,
    device: str,
    threads: int,
    folder: Path | None = None,
    optimised: bool = True,
) -> Any:  # noqa: ANN401  # of onnxruntime, without types
    """Load a graph, so that it gives the same numbers in every run.

    Parameters
    ----------
    graph : path of a file, or what `ModelProto.SerializeToString` wrote.
    device : cpu, cuda or cuda:1.
    threads : of one run.
    folder : of the weights beside a graph that is given as bytes.
    optimised : False: every operator is run as it stands in the graph.

    Raises
    ------
    Refusal
        When the device is not there.
    """
    import onnxruntime as ort

    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # threads that wait in a loop take the processor from the other streams
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    options.use_deterministic_compute = True
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
    session = ort.InferenceSession(graph, sess_options=options, providers=_providers(device))
    session.disable_fallback()
    if device != "cpu" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise Refusal(_no_gpu(device))
    return session


def _sizes(node: Any) -> tuple[int | None, ...]:  # noqa: ANN401  # of onnxruntime, without types
    return tuple(size if isinstance(size, int) else None for size in node.shape or ())


def _described(node: Any) -> dict[str, Any]:  # noqa: ANN401  # of onnxruntime, without types
    return {"name": str(node.name)[:200], "dtype": str(node.type), "sizes": list(_sizes(node))}


def _no_gpu(device: str) -> str:
    import onnxruntime as ort

    cure = "install the CUDA libraries (pip install 'segaudit[cuda]') or declare device: cpu"
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        cure = "install onnxruntime-gpu instead of onnxruntime, or declare device: cpu"
    return f"device {device} was asked for, but onnxruntime can only use the CPU here; {cure}"


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise Refusal(_no_gpu(device))
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    number = int(device.partition(":")[2] or 0)
    # audit-grade numbers: full float32, and an algorithm that does not change from run to run
    settings = {
        "device_id": number,
        "use_tf32": 0,
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
    return [("CUDAExecutionProvider", settings)]
