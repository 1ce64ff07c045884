"""A model with some of its skip connections ablated, which answers like any other.

**Conventions.** Ablated by another image, a model is fed both at once: the channels of the image and, behind
them, those of the other one, cut from it at the same place.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import AblationSpec, InputSpec, OutputSpec
from auditor.systems.ablation.patching import Patching
from auditor.systems.answers import Refusal, chosen, fed
from auditor.systems.declared_sizes import in_fixed_batches

if TYPE_CHECKING:
    from auditor.systems.describing import Facts

__all__ = ["Ablated"]

_FIRST = InputSpec()
"""Channels first."""


class Ablated:
    """A model whose skip connections carry something else.

    Parameters
    ----------
    whole : the model as it is, of any format.
    spec : what is replaced, and by what.
    """

    def __init__(self, whole: Any, spec: AblationSpec) -> None:  # noqa: ANN401  # of any kind
        self.whole = whole
        """As it is."""
        self._spec = spec
        self._patching: Patching = whole.patching(spec)
        self.inputs = whole.inputs
        """Name, type and sizes of the input; with the channels of one image."""
        self.outputs = whole.outputs
        """Name, type and sizes of each output."""
        self.findings = whole.findings
        """Of the checkpoint."""

    def __call__(
        self, batch: NDArray[np.float32], inputs: InputSpec, output: OutputSpec
    ) -> NDArray[Any]:
        """Run (n, channel, *sizes); see `chosen` for the answer."""
        own = _halves(batch, 1)[0] if self._spec.by == "image" else batch
        return chosen(self.forward(fed(batch, inputs), inputs), output, own)

    def forward(
        self, fed_values: NDArray[np.float32], inputs: InputSpec = _FIRST
    ) -> list[tuple[str, NDArray[Any]]]:
        """Run what is fed as it is; (name, array) of each tensor that comes back.

        Parameters
        ----------
        fed_values : (n, ...) as the model wants it.
        inputs : where its channels stand.

        Raises
        ------
        Refusal
            When the network has no such skip connection, or cannot be followed.
        """
        last = inputs.layout == "channel_last"
        replace = functools.partial(self._patching.replace, channel_last=last)
        if self._spec.by != "image":
            found: list[tuple[str, NDArray[Any]]] = self.whole.forward(fed_values, replace)
            return found
        keep = functools.partial(self._patching.keep, channel_last=last)
        names: list[str] = []

        def run(both: NDArray[Any]) -> list[NDArray[Any]]:
            own, other = (np.ascontiguousarray(both[:, i]) for i in (0, 1))
            self.whole.forward(other, keep)
            answers = self.whole.forward(own, replace)
            names[:] = [name for name, _ in answers]
            return [array for _, array in answers]

        stacked = np.stack(_halves(fed_values, fed_values.ndim - 1 if last else 1), axis=1)
        # here, so that both travel in the same batches
        answers = in_fixed_batches(stacked, self.inputs[0]["sizes"] if self.inputs else (), run)
        return list(zip(names, answers, strict=True))

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        """Tell what the network is made of as it is; see `auditor.systems.describing`."""
        facts: Facts = self.whole.facts(fed_values, inputs)
        return facts

    def proto(
        self, fed_values: NDArray[np.float32], inputs: InputSpec = _FIRST
    ) -> tuple[Any, Path]:
        """Return the graph with the replacements in it, and the folder of its weights; of ONNX only.

        Parameters
        ----------
        fed_values : (n, ...) of the size whose skip connections are meant.
        inputs : where its channels stand.
        """
        found: tuple[Any, Path] = self.whole.proto(fed_values, inputs, self._patching)
        return found


def _halves(values: NDArray[Any], axis: int) -> list[NDArray[Any]]:
    if values.shape[axis] % 2:
        msg = (
            "an ablation by another image must be fed the channels of two images, it was fed "
            f"{values.shape[axis]}"
        )
        raise Refusal(msg)
    return list(np.split(values, 2, axis=axis))
