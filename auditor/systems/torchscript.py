"""Run a TorchScript program in the child.

Loading alone runs code of the file, so this module is imported nowhere else. The program is run as it is:
freezing it would fold its normalisations into other last bits, and was no faster where measured.
"""

from __future__ import annotations

import functools
import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import AblationSpec, InputSpec, OutputSpec
from auditor.systems.ablation.patching import Around
from auditor.systems.answers import Refusal, chosen, fed
from auditor.systems.archive import examine_archive

if TYPE_CHECKING:
    from auditor.systems.ablation.torch_patching import TorchPatching
    from auditor.systems.describing import Facts

__all__ = ["TorchScriptModel", "prepared_device", "tensors_of"]


class TorchScriptModel:
    """A program that was loaded.

    Parameters
    ----------
    path : Path
        The archive.
    device : str
        cpu, cuda or cuda:1.
    threads : int
        Of one forward pass.
    precision : str
        float16 or bfloat16: weights and images are cast to it. float32: as they are stored, which is
        another type only in archives that were saved so.

    Raises
    ------
    Refusal
        When the device is not there or cannot compute in this precision, or the archive is damaged.
    """

    inputs: tuple[dict[str, Any], ...] = ()
    """TorchScript declares nothing about its inputs ..."""
    outputs: tuple[dict[str, Any], ...] = ()
    """... nor its outputs."""

    def __init__(
        self, path: Path, *, device: str, threads: int, precision: str = "float32"
    ) -> None:
        import torch

        self.findings = examine_archive(path)
        """What its code does that a network has no need of."""
        self._torch = torch
        self._path = path
        self._device = prepared_device(device, threads)
        with warnings.catch_warnings():
            # announced for a later version; the format is still what makers ship
            warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is deprecated.*")
            module = _loaded(path, self._device)
            module.eval()
        self._precision = precision
        if precision != "float32":
            _check_precision(precision, self._device)
            module.to(getattr(torch, precision))
        self._module = module
        self._dtype = _common_dtype(module) if precision == "float32" else getattr(torch, precision)
        if precision == "float32" and self._dtype != torch.float32:
            kind = str(self._dtype).removeprefix("torch.")
            self.findings = (*self.findings, f"its weights are stored as {kind} and run as such")

    @staticmethod
    def import_runtime() -> None:
        """Import torch, which takes its time."""
        import torch  # noqa: F401  # only loaded

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        """Run (n, channel, *sizes); see `chosen` for the answer."""
        return chosen(self.forward(fed(batch, inputs)), output, batch)

    def forward(
        self, fed_values: NDArray[np.float32], around: Around | None = None
    ) -> list[tuple[str, NDArray[Any]]]:
        """Run what is fed as it is; (name, array) of each tensor that comes back.

        Parameters
        ----------
        fed_values : (n, ...) as the program wants it.
        around : called with the network and a tensor, in its place; None: nothing is around it.
        """
        torch = self._torch
        run = self._answer if around is None else functools.partial(around, self._answer)
        # the profiling executor compiles after the first calls, and compiled code has other last bits
        with torch.inference_mode(), torch.jit.optimized_execution(should_optimize=False):
            return tensors_of(run(self._tensor(fed_values)))

    def patching(self, spec: AblationSpec) -> TorchPatching:
        """Prepare what replaces the values of skip connections; see `auditor.systems.ablation`."""
        from auditor.systems.ablation.torch_patching import TorchPatching

        return TorchPatching(spec)

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        """Tell what the program is made of; see `auditor.systems.describing`."""
        from auditor.systems.torch_facts import facts_of_torch

        parameters = sum(int(it.numel()) for it in self._module.parameters())
        return facts_of_torch(
            self._module,
            self._tensor(fed_values),
            inputs,
            parameters=parameters,
            versions=(f"TorchScript archive {_version(self._path)}",),
        )

    def _tensor(self, fed_values: NDArray[np.float32]) -> Any:  # noqa: ANN401  # a tensor
        return self._torch.from_numpy(fed_values).to(self._device, self._dtype)

    def _answer(self, values: Any) -> Any:  # noqa: ANN401  # a tensor, and whatever comes back
        try:
            return self._module(values)
        except RuntimeError as error:
            if self._precision == "float32":
                raise
            msg = (
                f"the model does not run with precision: {self._precision} (constants of its code "
                f"may be float32): {_last_line(error)}"
            )
            raise Refusal(msg) from error


def _loaded(path: Path, device: Any) -> Any:  # noqa: ANN401  # a ScriptModule
    import torch

    try:
        return torch.jit.load(  # type: ignore[no-untyped-call]  # torch has no types here
            str(path), map_location=device
        )
    except RuntimeError as error:
        if unknown := re.search(r"Unknown builtin op: (\w+::\w+)", str(error)):
            msg = (
                f"it calls {unknown[1][:80]}, an operator of another library; none is loaded here, "
                "export the model without it"
            )
            raise Refusal(msg) from error
        raise


def prepared_device(name: str, threads: int) -> Any:  # noqa: ANN401  # torch is imported in the child only
    """Set the threads, refuse a GPU that is not there, and ask one that is for repeatable numbers."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return _found(torch.device(name))


def _found(device: Any) -> Any:  # noqa: ANN401  # a torch.device
    import torch

    if device.type == "cpu":
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= count:
        msg = (
            f"device {device} was asked for, but torch sees {count} GPUs here; declare device: cpu"
        )
        raise Refusal(msg)
    _make_repeatable()
    return device


def _make_repeatable() -> None:
    """Ask for the same bits in every run, and for full float32; on a CPU they are so already."""
    import torch

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # a few operations have no deterministic form on a GPU: better run than refused
    torch.use_deterministic_algorithms(mode=True, warn_only=True)


def _check_precision(precision: str, device: Any) -> None:  # noqa: ANN401  # a torch.device
    """Refuse a precision in which this device cannot convolve."""
    import torch

    kind = getattr(torch, precision)
    try:
        with torch.inference_mode():
            for dims in (2, 3):
                image = torch.ones((1, 1, *[3] * dims), dtype=kind, device=device)
                (torch.nn.functional.conv2d, torch.nn.functional.conv3d)[dims - 2](image, image)
    except RuntimeError as error:
        msg = f"precision {precision} cannot be used on device {device}: {_last_line(error)}"
        raise Refusal(msg) from error


def _last_line(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _common_dtype(module: Any) -> Any:  # noqa: ANN401  # a ScriptModule
    """Return the type of the weights, float32 when there are none or of several types."""
    import torch

    kinds = {it.dtype for it in module.state_dict().values() if it.is_floating_point()}
    return kinds.pop() if len(kinds) == 1 else torch.float32


def _version(path: Path) -> str:
    """Return the version of the archive's layout, which it holds as a text."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.partition("/")[2] in {"version", ".data/version"}:
                with archive.open(name) as entry:
                    return entry.read(20).decode(errors="replace").strip()
    return "of unknown version"


def tensors_of(answer: Any) -> list[tuple[str, NDArray[Any]]]:  # noqa: ANN401  # whatever a model returns
    """List the tensors of an answer: one, a sequence, or a dictionary of them."""
    import torch

    if isinstance(answer, torch.Tensor):
        kept = answer.detach().cpu()
        if kept.dtype in (torch.bfloat16, torch.float16):
            kept = kept.float()
        return [("0", kept.numpy())]
    if isinstance(answer, dict):
        pairs = [(str(key), value) for key, value in answer.items()]
    elif isinstance(answer, list | tuple):
        pairs = [(str(i), value) for i, value in enumerate(answer)]
    else:
        return []
    named = []
    for name, value in pairs:
        for inner, array in tensors_of(value):
            named.append((name if inner == "0" else f"{name}.{inner}", array))
    return named
