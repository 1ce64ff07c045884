"""Read layers of what torch runs, by an outer dispatch mode; in the child only.

The mode counts the operators as `skips.torch_recording` does, and hands on what the chosen ones made. It
sees them with the arguments that they really take, so also those of an ablated network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.systems.answers import Refusal
from auditor.systems.layers.choosing import Layer

__all__ = ["TorchTaps"]

Take = Callable[[int, NDArray[Any]], None]

_OTHERWISE = (
    "the network runs other operators on this scan than on its clean scan, so that its layers cannot be "
    "compared"
)


class TorchTaps:
    """Runs a network and hands on the values of its layers."""

    def __init__(self, model: Any, layers: Sequence[Layer]) -> None:  # noqa: ANN401  # of the child
        self._model, self._layers = model, layers
        self._starts: dict[tuple[int, ...], int] = {}
        self._names: list[str] = []

    def run(self, values: NDArray[np.float32], take: Take) -> None:
        """Run once.

        Parameters
        ----------
        values : (1, ...) as it is fed.
        take : is given (place of the layer, its value), as soon as each is made.

        Raises
        ------
        Refusal
            When the operators are not those of the recorded pass.
        """
        start = self._start(values)
        wanted = {start + layer.call: place for place, layer in enumerate(self._layers)}
        seen = set()

        def look(number: int, name: str, answer: object) -> None:
            place = wanted.get(number)
            if place is None:
                return
            if name != self._layers[place].operator:
                raise Refusal(_OTHERWISE)
            seen.add(place)
            take(place, _array(answer))

        _watched(lambda: self._model.forward(values), look)
        if len(seen) < len(self._layers):
            raise Refusal(_OTHERWISE)

    def _start(self, values: NDArray[np.float32]) -> int:
        """Return at which operator the network begins: its image is cast before it runs."""
        if values.shape not in self._starts:
            self._model.forward(values)  # what is looked up once for a size is looked up now
            names: list[str] = []
            _watched(lambda: self._model.forward(values), lambda _, name, __: names.append(name))
            if self._names and names != self._names:
                raise Refusal(_OTHERWISE)
            self._names = names
            self._starts[values.shape] = _shift(
                names, {it.call: it.operator for it in self._layers}
            )
        return self._starts[values.shape]


def _shift(names: Sequence[str], wanted: Mapping[int, str]) -> int:
    """Return the last shift at which every wanted operator is where it was recorded."""
    for start in range(len(names) - max(wanted) - 1, -1, -1):
        if all(names[start + call][:80] == operator for call, operator in wanted.items()):
            return start
    raise Refusal(_OTHERWISE)


def _watched(run: Callable[[], object], look: Callable[[int, str, object], None]) -> None:
    """Run something, and look at every operator: its number from 0, its name and what it made."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    calls = 0

    class Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
        """Looks at each operator."""

        def __torch_dispatch__(
            self,
            func: Any,  # noqa: ANN401  # an overload of an operator
            types: Any,  # noqa: ANN401
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:  # noqa: ANN401
            nonlocal calls
            answer = func(*args, **(kwargs or {}))
            name = func._schema.name.partition("::")[2]  # noqa: SLF001  # the only way to it
            number, calls = calls, calls + 1
            look(number, name, answer)
            return answer

    jit: Any = torch.jit  # it does not export what its documentation names
    watcher = Watcher()  # type: ignore[no-untyped-call]  # torch has no types here
    with torch.inference_mode(), jit.optimized_execution(should_optimize=False), watcher:
        run()


def _array(answer: object) -> NDArray[Any]:
    """First tensor of what an operator made."""
    import torch

    tensor = answer[0] if isinstance(answer, list | tuple) else answer
    if not isinstance(tensor, torch.Tensor):
        raise Refusal(_OTHERWISE)
    kept = tensor.detach().cpu()
    if kept.is_quantized:
        kept = kept.dequantize()
    if kept.dtype in (torch.bfloat16, torch.float16):
        kept = kept.float()
    return np.asarray(kept.numpy())
