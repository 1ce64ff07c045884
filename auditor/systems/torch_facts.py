"""What can be told of anything that torch runs; in the child only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditor.schema import InputSpec
from auditor.systems.describing import Facts
from auditor.systems.skips.torch_recording import record_torch

__all__ = ["facts_of_torch"]


def facts_of_torch(
    forward: Callable[[Any], Any],
    values: Any,  # noqa: ANN401  # a tensor
    inputs: InputSpec,
    *,
    parameters: int,
    versions: tuple[str, ...],
) -> Facts:
    """Find the facts of a TorchScript program, an exported one, or a module.

    Parameters
    ----------
    forward : the network.
    values : what is fed, a tensor.
    inputs : where its channels stand.
    parameters : numbers in its weights; 0 for a frozen program, which keeps them as constants: those
        that its convolutions and products take are counted then.
    versions : of its format.

    Returns
    -------
    The facts.
    """
    seen, _ = record_torch(forward, values, channel_last=inputs.layout == "channel_last")
    return Facts(
        recording=seen.recording,
        operators=seen.counts,
        parameters=parameters or seen.weights,
        versions=versions,
        live=seen.live,
    )
