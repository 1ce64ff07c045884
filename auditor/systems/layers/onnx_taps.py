"""Read layers of an ONNX graph as further outputs of it; in the child only.

Layers are read in groups, each by a run of its own, so that never more than `_AT_ONCE` bytes of activations
are held. The graph is run as it was recorded: without optimisations, which join operators whose values are
asked for here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.systems.layers.choosing import Layer

__all__ = ["OnnxTaps"]

_AT_ONCE = 512 << 20
_NUMBER_BYTES = 4


class OnnxTaps:
    """Runs a graph and hands on the values of its layers.

    Parameters
    ----------
    graph : ModelProto, without the weights that lie in files.
    folder : of these files.
    layers : to be read.
    device : cpu, cuda or cuda:1.
    threads : of one run.
    """

    def __init__(
        self,
        graph: Any,  # noqa: ANN401  # of onnx, without types
        folder: Path,
        layers: Sequence[Layer],
        *,
        device: str,
        threads: int,
    ) -> None:
        import onnx

        from auditor.systems.onnx import session_of

        self._groups = []
        for group in _groups(layers):
            model = onnx.ModelProto()
            model.CopyFrom(graph)
            del model.graph.output[:]
            model.graph.output.extend(
                onnx.ValueInfoProto(name=layers[place].name) for place in group
            )
            session = session_of(
                model.SerializeToString(),
                device=device,
                threads=threads,
                folder=folder,
                optimised=False,
            )
            self._groups.append((group, session))
        weights = {it.name for it in graph.graph.initializer}
        (self._input,) = (it for it in graph.graph.input if it.name not in weights)
        self._names = [layer.name for layer in layers]

    def run(self, values: NDArray[np.float32], take: Callable[[int, NDArray[Any]], None]) -> None:
        """Run once for each group.

        Parameters
        ----------
        values : (1, ...) as it is fed; repeated where the graph has a fixed batch, which changes no
            histogram.
        take : is given (place of the layer, its value).
        """
        import onnx

        from auditor.systems.declared_sizes import as_type, require_declared_sizes

        tensor = self._input.type.tensor_type
        sizes = [it.dim_value or None for it in tensor.shape.dim]
        require_declared_sizes(sizes, values.shape)
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).type
        batch = np.repeat(as_type(values, kind), (sizes or [1])[0] or 1, axis=0)
        for group, session in self._groups:
            names = [self._names[place] for place in group]
            found = session.run(names, {self._input.name: batch})
            for place in group:
                take(place, found.pop(0))


def _groups(layers: Sequence[Layer]) -> Iterator[list[int]]:
    """Cut the layers into runs of neighbours that may be held together."""
    group: list[int] = []
    held = 0
    for place, layer in enumerate(layers):
        needed = layer.numbers * _NUMBER_BYTES
        if group and held + needed > _AT_ONCE:
            yield group
            group, held = [], 0
        group.append(place)
        held += needed
    if group:
        yield group
