"""Windows that a checkpoint cannot take, because the size of its input is fixed: said before a run.

A graph may declare its sizes (ONNX, torch.export); what declares nothing (TorchScript) shows it by what it
refuses. Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from auditor.schema import SystemSpec
from auditor.systems.contract import canonical_text

__all__ = ["declared_otherwise", "refused_window"]


def declared_otherwise(spec: SystemSpec, declared: Sequence[int | None] | None) -> str:
    """Say that the declared sizes of a graph leave no room for the window.

    Parameters
    ----------
    spec : with the window
    declared : (batch, channel, *sizes) of the graph, None where free; None: nothing is declared

    Returns
    -------
    One sentence that starts with the field; empty where the window fits, or nothing can be said.
    """
    if spec.window is None or not declared:
        return ""
    sizes = list(declared[2:] if spec.input.layout == "channel_first" else declared[1:-1])
    asked = spec.window.size
    if len(sizes) != len(asked):
        return ""  # another number of axes is told where a case is run
    if all(want in (None, is_) for want, is_ in zip(sizes, asked, strict=True)):
        return ""
    told = ", ".join("any" if it is None else str(it) for it in sizes)
    return _sentence(spec, f"[{told}]", "as the graph declares this size only")


def refused_window(spec: SystemSpec, taken: Sequence[int], by: str, reason: str) -> str:
    """Say that a checkpoint refuses one window and takes another.

    Parameters
    ----------
    spec : with the refused window
    taken : size that the same checkpoint takes
    by : who has shown that
    reason : of the refusal, one sentence

    Returns
    -------
    One sentence that starts with the field.
    """
    return _sentence(spec, canonical_text(taken), f"as {by} and this size is refused ({reason})")


def _sentence(spec: SystemSpec, size: str, why: str) -> str:
    asked = () if spec.window is None else spec.window.size
    return (
        f"window.size: must be {size}, {why}, was {canonical_text(asked)}; a network whose input has a fixed "
        "size cannot be swept over windows: leave this window out, or audit a checkpoint made for it"
    )
