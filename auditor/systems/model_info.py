"""What a started child tells of its checkpoint, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditor.schema import Status
from auditor.systems.reasons import plain
from auditor.systems.sandbox import missing_layers

__all__ = ["ModelFailure", "ModelInfo", "TensorInfo", "told_of"]


class ModelFailure(Exception):  # a failure of the model, not of this program
    """A checkpoint did not answer, or not as it must."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status = status
        """crashed, timed_out, rejected or failed."""
        self.reason = reason
        """One sentence; names no folder of this machine."""
        super().__init__(f"{status.value}: {reason}")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output as a graph declares it."""

    name: str
    """In the graph."""
    dtype: str
    """tensor(float), tensor(int64) ..."""
    sizes: tuple[int | None, ...]
    """With the batch; None where free."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a started child tells."""

    sandbox: tuple[str, ...]
    """Layers that hold."""
    findings: tuple[str, ...]
    """Worth saying in the report."""
    inputs: tuple[TensorInfo, ...]
    """As declared (ONNX, torch.export); empty: nothing declared (TorchScript)."""
    outputs: tuple[TensorInfo, ...]
    """As declared (ONNX, torch.export)."""

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """Declared sizes of the input, None where free; None: nothing declared."""
        return self.inputs[0].sizes if self.inputs else None


def told_of(
    header: Mapping[str, Any], layers: tuple[str, ...], clean: Callable[[str], str]
) -> ModelInfo:
    """Take over what a child knows of its checkpoint; words of the file stay short.

    Parameters
    ----------
    header : what it sent
    layers : of the sandbox, that hold
    clean : takes folders of this machine out of a sentence

    Raises
    ------
    ModelFailure
        When it is no answer.
    """
    try:
        findings = tuple(clean(str(it)) for it in header["findings"])
        inputs = tuple(map(_tensor, header["inputs"]))
        outputs = tuple(map(_tensor, header["outputs"]))
    except (KeyError, TypeError, ValueError) as error:
        reason = "its process sent what is no answer"
        raise ModelFailure(Status.CRASHED, reason) from error
    return ModelInfo(layers, (*findings, *missing_layers(layers)), inputs, outputs)


def _tensor(given: dict[str, Any]) -> TensorInfo:
    sizes = tuple(None if size is None else int(size) for size in given["sizes"])
    return TensorInfo(plain(str(given["name"])), str(given["dtype"])[:40], sizes)
