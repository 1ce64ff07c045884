"""Run a TorchScript program in the child.

Loading alone runs code of the file, so this module is imported nowhere else.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import InputSpec, OutputSpec
from auditor.systems.answers import Refusal, chosen, fed

__all__ = ["TorchScriptModel"]


class TorchScriptModel:
    """A program that was loaded."""

    def __init__(self, path: Path, *, device: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        if device != "cpu" and not torch.cuda.is_available():
            msg = f"device {device} was asked for, but torch sees no GPU here; declare device: cpu"
            raise Refusal(msg)
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        self._torch = torch
        self._device = torch.device(device)
        with warnings.catch_warnings():
            # announced for a later version; the format is still what makers ship
            warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is deprecated.*")
            module = torch.jit.load(  # type: ignore[no-untyped-call]  # torch has no types here
                str(path), map_location=self._device
            )
            module.eval()
        self._module = module

    @property
    def input_shape(self) -> None:
        """TorchScript declares no sizes."""
        return

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        """Run (n, channel, *sizes); see `chosen` for the answer."""
        torch = self._torch
        values = torch.from_numpy(fed(batch, inputs)).to(self._device)
        # the profiling executor compiles after the first calls, and compiled code has other last bits
        with torch.inference_mode(), torch.jit.optimized_execution(should_optimize=False):
            answer = self._module(values)
        return chosen(_named(answer), output, batch)


def _named(answer: Any) -> list[tuple[str, NDArray[Any]]]:  # noqa: ANN401  # whatever a model returns
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
        for inner, array in _named(value):
            named.append((name if inner == "0" else f"{name}.{inner}", array))
    return named
