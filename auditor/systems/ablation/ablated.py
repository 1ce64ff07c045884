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

__all__ = ["Ablated", "AblatedGraph", "ablated_model"]


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
        self._channel_last = False
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
        self._channel_last = inputs.layout == "channel_last"
        own = _halves(batch, 1)[0] if self._spec.by == "image" else batch
        return chosen(self.forward(fed(batch, inputs)), output, own)

    def forward(self, fed_values: NDArray[np.float32]) -> list[tuple[str, NDArray[Any]]]:
        """Run what is fed as it is; (name, array) of each tensor that comes back.

        Parameters
        ----------
        fed_values : (n, ...) as the model wants it; its channels stand where they did when the model was
            last called, or asked for its facts.

        Raises
        ------
        Refusal
            When the network has no such skip connection, or cannot be followed.
        """
        last = self._channel_last
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

        stacked = np.stack(_halves(fed_values, self._axis(fed_values)), axis=1)
        # here, so that both travel in the same batches
        answers = in_fixed_batches(stacked, self.inputs[0]["sizes"] if self.inputs else (), run)
        return list(zip(names, answers, strict=True))

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        """Tell what the network is made of as it is; see `auditor.systems.describing`."""
        self._channel_last = inputs.layout == "channel_last"
        facts: Facts = self.whole.facts(self._own(fed_values), inputs)
        return facts

    def _own(self, fed_values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Leave out the channels of the other image."""
        if self._spec.by != "image":
            return fed_values
        return np.ascontiguousarray(_halves(fed_values, self._axis(fed_values))[0])

    def _axis(self, fed_values: NDArray[np.float32]) -> int:
        return fed_values.ndim - 1 if self._channel_last else 1


class AblatedGraph(Ablated):
    """An ONNX graph whose skip connections carry something else."""

    def __init__(self, whole: Any, spec: AblationSpec) -> None:  # noqa: ANN401  # of onnx
        super().__init__(whole, spec)
        self._asked: NDArray[np.float32] | None = None

    def facts(self, fed_values: NDArray[np.float32], inputs: InputSpec) -> Facts:
        """Tell what the graph is made of as it is, and remember for what size."""
        self._asked = fed_values
        return super().facts(fed_values, inputs)

    def proto(self) -> tuple[Any, Path]:
        """Return the graph with the replacements in it, and the folder of its weights.

        At another size other values may skip, so this is the graph of the size of the last `facts`.

        Raises
        ------
        Refusal
            When there is no such size, or the other image that a network is ablated by is no part of it.
        """
        if self._asked is None:
            msg = "the graph of an ablated network must be asked for after its facts"
            raise Refusal(msg)
        found: tuple[Any, Path] = self.whole.ablated_proto(
            self._asked, self._patching, channel_last=self._channel_last
        )
        return found


def ablated_model(whole: Any, spec: AblationSpec) -> Ablated:  # noqa: ANN401  # of any kind
    """Ablate a model of any format.

    Parameters
    ----------
    whole : the model as it is.
    spec : what is replaced, and by what.
    """
    return (AblatedGraph if hasattr(whole, "proto") else Ablated)(whole, spec)


def _halves(values: NDArray[Any], axis: int) -> list[NDArray[Any]]:
    if values.shape[axis] % 2:
        msg = (
            "an ablation by another image must be fed the channels of two images, it was fed "
            f"{values.shape[axis]}"
        )
        raise Refusal(msg)
    return list(np.split(values, 2, axis=axis))
