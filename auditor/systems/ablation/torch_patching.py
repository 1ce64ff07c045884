"""Replace values of whatever torch runs, while it runs; in the child, or around a module.

A first pass at each size is recorded, and tells at which argument of which call each value is taken. Later
passes count the calls, compare their operators with those of the first, and put another tensor in its
place. Nothing of the program is rewritten, so that TorchScript, exported programs and modules are one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from auditor.schema import AblationSpec
from auditor.systems.ablation.patching import Replaced, require_same_shape, values_to_replace
from auditor.systems.ablation.replacing import normals, replaced
from auditor.systems.answers import Refusal
from auditor.systems.skips.torch_recording import record_torch

__all__ = ["TorchPatching"]

_Network = Callable[[Any], Any]
_Exchange = Callable[[int, Any], Any]
"""From a place among the replaced values, and a tensor, to the tensor that is taken instead."""


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a pass at one size looks like."""

    operators: tuple[str, ...]
    """Of each call."""
    values: tuple[Replaced, ...]
    """That are replaced."""
    at: Mapping[int, Mapping[int, int]]
    """Call to slot to value."""


class TorchPatching:
    """Runs a network with some of its values replaced.

    Parameters
    ----------
    spec : which, and by what.
    """

    def __init__(self, spec: AblationSpec) -> None:
        self._spec = spec
        self._passes: dict[tuple[object, ...], _Pass] = {}
        self._kept: dict[int, Any] = {}
        self._field = functools.lru_cache(maxsize=64)(normals)

    def replace(self, network: _Network, values: Any, *, channel_last: bool) -> Any:  # noqa: ANN401  # tensors
        """Run with the values replaced.

        Parameters
        ----------
        network : from a tensor to whatever it returns.
        values : the tensor.
        channel_last : it has its channels last.

        Raises
        ------
        Refusal
            When no such skip exists, or the network takes another way than in its first pass.
        """
        seen = self._pass(network, values, channel_last=channel_last)
        made: dict[int, Any] = {}

        def exchange(place: int, tensor: Any) -> Any:  # noqa: ANN401
            value = seen.values[place]
            if len(value.places) == 1:  # not kept any longer than it is needed
                return self._instead(value, place, tensor)
            if place not in made:
                made[place] = self._instead(value, place, tensor)
            return made[place]

        return _patched(network, values, seen, exchange)

    def keep(self, network: _Network, values: Any, *, channel_last: bool) -> Any:  # noqa: ANN401  # tensors
        """Run as it is, and keep the values for the next `replace`.

        Parameters
        ----------
        network, values, channel_last : as of `replace`.

        Raises
        ------
        Refusal
            As of `replace`.
        """
        seen = self._pass(network, values, channel_last=channel_last)
        self._kept.clear()

        def exchange(place: int, tensor: Any) -> Any:  # noqa: ANN401
            self._kept.setdefault(place, tensor.clone())
            return tensor

        return _patched(network, values, seen, exchange)

    def _instead(self, value: Replaced, place: int, tensor: Any) -> Any:  # noqa: ANN401
        if self._spec.by == "image":
            other = self._kept[place]
            require_same_shape(value.name, tuple(tensor.shape), tuple(other.shape))
            return other
        noise = self._field(self._spec.seed, value.skip, value.number)
        axis = value.channel_axis
        return replaced(tensor.movedim(axis, 1), self._spec, noise).movedim(1, axis)

    def _pass(self, network: _Network, values: Any, *, channel_last: bool) -> _Pass:  # noqa: ANN401
        key = (tuple(values.shape), channel_last)
        if key not in self._passes:
            self._passes[key] = _looked_at(network, values, self._spec, channel_last=channel_last)
        return self._passes[key]


def _looked_at(
    network: _Network,
    values: Any,  # noqa: ANN401
    spec: AblationSpec,
    *,
    channel_last: bool,
) -> _Pass:
    """Record the first pass at a size."""
    operators: list[str] = []

    def noted(tensor: Any) -> Any:  # noqa: ANN401
        with _Patcher({}, lambda _, it: it) as patcher:
            answer = network(tensor)
        operators.extend(patcher.operators)
        return answer

    seen, _ = record_torch(noted, values, channel_last=channel_last)
    found = values_to_replace(seen.recording, spec)
    at: dict[int, dict[int, int]] = {}
    for number, value in enumerate(found):
        for place in value.places:
            at.setdefault(place.call, {})[place.slot] = number
    return _Pass(tuple(operators), found, at)


def _patched(network: _Network, values: Any, seen: _Pass, exchange: _Exchange) -> Any:  # noqa: ANN401
    patcher = _Patcher(seen.at, exchange, seen.operators)
    jit: Any = torch.jit  # it does not export what its documentation names
    try:
        with torch.inference_mode(), jit.optimized_execution(should_optimize=False), patcher:
            answer = network(values)
    except Exception as error:  # a program turns what is raised inside of it into its own error
        if patcher.problem is not None:
            raise patcher.problem from error
        raise
    if len(patcher.operators) != len(seen.operators):
        raise _other_way(len(patcher.operators), "the end", seen.operators)
    return answer


class _Patcher(TorchDispatchMode):
    """Counts calls and exchanges arguments.

    What it computes itself is hidden from modes around it, which so see the calls of the network alone.
    """

    def __init__(
        self,
        at: Mapping[int, Mapping[int, int]],
        exchange: _Exchange,
        expected: Sequence[str] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types here
        self._at, self._exchange, self._expected = at, exchange, expected
        self.operators: list[str] = []
        self.problem: Exception | None = None

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401  # an overload of an operator
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        try:
            args, kwargs = self._exchanged(func, args, kwargs or {})
        except Exception as error:
            self.problem = error
            raise
        return func(*args, **kwargs)

    def _exchanged(
        self,
        func: Any,  # noqa: ANN401
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        schema = func._schema  # noqa: SLF001  # the only way to the names of arguments
        call, name = len(self.operators), schema.name.partition("::")[2]
        self.operators.append(name)
        expected = self._expected
        if expected is not None and (call >= len(expected) or expected[call] != name):
            raise _other_way(call, name, expected)
        slots = self._at.get(call)
        if not slots:
            return args, kwargs
        written = {
            argument.name
            for argument in schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        }
        count = iter(range(1 << 30))
        with _disable_current_modes():
            new = tuple(
                self._instead(it, count, slots, written=argument.name in written)
                for argument, it in zip(schema.arguments, args, strict=False)
            )
            named = {
                key: self._instead(it, count, slots, written=key in written)
                for key, it in kwargs.items()
            }
        return new, named

    def _instead(
        self,
        given: Any,  # noqa: ANN401
        count: Iterator[int],
        slots: Mapping[int, int],
        *,
        written: bool,
    ) -> Any:  # noqa: ANN401
        """Exchange the tensors in an argument, numbered as in a recording."""
        if isinstance(given, list | tuple):
            return [self._instead(it, count, slots, written=written) for it in given]
        if not isinstance(given, torch.Tensor):
            return given
        slot = next(count)
        if slot not in slots:
            return given
        other = self._exchange(slots[slot], given)
        # what the operator writes into is what the network goes on with
        return given.copy_(other) if written and other is not given else other


def _other_way(call: int, name: str, expected: Sequence[str]) -> Refusal:
    first = expected[call] if call < len(expected) else "the end"
    msg = (
        "the network must run the same operators each time that it is fed this size, call "
        f"{call} was {first[:40]} and is now {name[:40]}; a network whose operators "
        "depend on the values cannot be ablated"
    )
    return Refusal(msg)
