"""Record one forward pass of a TorchScript program, an exported one or a module; in the child only.

Every operator that torch runs passes a dispatch mode, which notes it and changes nothing. In inference
mode operators arrive as the network wrote them (a convolution is one call, whatever its kernel). What is
held of a tensor is its identity and shape, so that the pass needs no more memory than an ordinary one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor.systems.skips.kinds import kind_in_torch
from auditor.systems.skips.recording import Operation, Recording, Value

__all__ = ["TorchRecording", "named_tensors", "record_torch"]

_RANDOM = frozenset(
    {"bernoulli", "rand", "randn", "rand_like", "randn_like", "randint", "normal", "uniform",
     "multinomial", "randperm", "native_dropout"}
)  # fmt: skip
_DROPOUT = frozenset({"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"})
_NORMS = frozenset(
    {"batch_norm", "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"}
)
_WEIGHTED = frozenset({"convolution", "product"})
_WITH_AXIS = frozenset(
    {"softmax", "_softmax", "log_softmax", "_log_softmax", "argmax", "max", "cat", "concat",
     "concatenate"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TorchRecording:
    """One pass, and what else was seen in it."""

    recording: Recording
    """What was made of what."""
    counts: Mapping[str, int]
    """Calls of each operator, also of those that do not depend on the input."""
    live: tuple[str, ...]
    """What behaves as in training, in sentences; each once."""
    weights: int
    """Numbers in the tensors that convolutions and products took and that do not depend on the
    input: the parameters of a frozen program, which has no others."""


def record_torch(
    forward: Callable[[Any], Any],
    fed: Any,  # noqa: ANN401  # a tensor; torch is imported inside
    *,
    channel_last: bool,
) -> tuple[TorchRecording, Any]:
    """Run once and record what was made of what.

    Parameters
    ----------
    forward : the network.
    fed : a tensor.
    channel_last : it has its channels last.

    Returns
    -------
    The recording, and what the network returned.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    notes = _Notes()
    notes.take(fed, "input")

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
        """Notes each operator."""

        def __torch_dispatch__(
            self,
            func: Any,  # noqa: ANN401  # an overload of an operator
            types: Any,  # noqa: ANN401
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:  # noqa: ANN401
            answer = func(*args, **(kwargs or {}))
            notes.note(func, args, kwargs or {}, answer)
            return answer

    jit: Any = torch.jit  # it does not export what its documentation names
    recorder = Recorder()  # type: ignore[no-untyped-call]  # torch has no types here
    with torch.inference_mode(), jit.optimized_execution(should_optimize=False), recorder:
        answer = forward(fed)
    outputs = tuple(
        (name, notes.places[tensor._cdata])  # noqa: SLF001
        for name, tensor in named_tensors(answer)
        if tensor._cdata in notes.places  # noqa: SLF001
    )
    recording = Recording(
        values=tuple(notes.values),
        operations=tuple(notes.operations),
        inputs=(0,),
        outputs=outputs,
        channel_last=channel_last,
    )
    live = tuple(dict.fromkeys(notes.live))
    return TorchRecording(recording, notes.counts, live, sum(notes.weights.values())), answer


@dataclass(slots=True)
class _Notes:
    """What the recorder has seen so far."""

    values: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    live: list[str] = field(default_factory=list)
    weights: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    """Identity of a living tensor to its value. An address is used again once its tensor is gone,
    and is then written again here, by whatever made the new one."""
    written: dict[int, int] = field(default_factory=dict)
    """Memory to the value that was last written into it, for results seen through another view."""
    calls: int = 0

    def take(self, tensor: Any, name: str) -> int:  # noqa: ANN401  # a tensor
        """Add a value."""
        place = len(self.values)
        kind = str(tensor.dtype).removeprefix("torch.")
        feature = tensor.is_floating_point() or kind in {"quint8", "qint8", "int8", "uint8"}
        self.values.append(Value(name, tuple(map(int, tensor.shape)), kind, feature=feature))
        self.places[tensor._cdata] = place  # noqa: SLF001
        return place

    def note(
        self,
        func: Any,  # noqa: ANN401  # an overload of an operator
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        answer: object,
    ) -> None:
        """Add one call."""
        call, self.calls = self.calls, self.calls + 1
        schema = func._schema  # noqa: SLF001  # the only way to the names of arguments
        name = schema.name.partition("::")[2]
        self.counts[name] = self.counts.get(name, 0) + 1
        plain = name.removesuffix("_")
        named = {a.name: v for a, v in zip(schema.arguments, args, strict=False)} | dict(kwargs)
        self._look_for_training(plain, named)
        given = list(_tensors([*args, *kwargs.values()]))
        inputs = self._arguments(given, weighted=kind_in_torch(plain) in _WEIGHTED)
        outputs = self._results(
            list(_tensors([answer])), given, f"{name}#{call}" if inputs else "", schema.is_mutable
        )
        if not inputs or not outputs:
            return
        rank = len(self.values[inputs[0][1]].shape)
        axis = _axis(plain, named, rank)
        kind = kind_in_torch(name)
        self.operations.append(
            Operation(
                name=name[:80],
                kind=kind,
                inputs=inputs,
                outputs=outputs,
                call=call,
                axis=axis,
                order=_order(plain, named, rank),
                kernel=_kernel(named.get("weight")) if kind == "convolution" else None,
            )
        )

    def _arguments(self, given: Sequence[Any], *, weighted: bool) -> tuple[tuple[int, int], ...]:
        """Return (slot, value) of what depends on the input; other tensors may be weights."""
        inputs = []
        for slot, tensor in enumerate(given):
            place = self._place_of(tensor)
            if place is not None:
                inputs.append((slot, place))
            elif weighted:
                self.weights[tensor._cdata] = int(tensor.numel())  # noqa: SLF001
        return tuple(inputs)

    def _results(
        self,
        made: Sequence[Any],
        given: Sequence[Any],
        name: str,
        mutable: bool,  # noqa: FBT001  # of the schema
    ) -> tuple[int, ...]:
        """Add what a call made; without a name it does not depend on the input."""
        if not mutable:
            # a switched-off dropout returns its argument itself
            own = {id(tensor) for tensor in given}
            made = [tensor for tensor in made if id(tensor) not in own]
        if not name:
            if not mutable:
                for tensor in made:  # it may have got the address of a value that is gone
                    self.places.pop(tensor._cdata, None)  # noqa: SLF001
            return ()
        outputs = tuple(self.take(tensor, name) for tensor in made)
        if mutable:
            for tensor, place in zip(made, outputs, strict=True):
                self.written[_memory(tensor)] = place
        return outputs

    def _place_of(self, tensor: Any) -> int | None:  # noqa: ANN401  # a tensor
        """Return the value of a tensor, or of what was written into its memory since."""
        own = self.places.get(tensor._cdata)  # noqa: SLF001
        if own is not None and self.values[own].shape != tuple(tensor.shape):
            own = None
        late = self.written.get(_memory(tensor))
        if late is None or (own is not None and late <= own):
            return own
        if own is None:
            return None
        seen = self.take(tensor, f"{self.values[late].name}, seen through another view")
        self.operations.append(
            Operation("view", "reshape", ((0, own), (1, late)), (seen,), self.calls)
        )
        return seen

    def _look_for_training(self, name: str, named: Mapping[str, Any]) -> None:
        if name in _DROPOUT and named.get("train") and named.get("p"):
            self.live.append(f"dropout with a probability of {float(named['p']):g} is switched on")
        elif name in _RANDOM:
            self.live.append(f"random numbers are drawn ({name})")
        elif name in _NORMS and (named.get("training") or named.get("train")):
            self.live.append("batch normalisation uses the statistics of its input, as in training")


def _memory(tensor: Any) -> int:  # noqa: ANN401  # a tensor
    try:
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  # the identity of its memory
    except (RuntimeError, NotImplementedError):
        return -1  # without memory of its own (sparse, quantised elsewhere)


def _tensors(given: Sequence[object]) -> Iterator[Any]:
    import torch

    for it in given:
        if isinstance(it, torch.Tensor):
            yield it
        elif isinstance(it, list | tuple):
            yield from _tensors(it)


def named_tensors(answer: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield the returned tensors, under the names that `output.index` knows."""
    import torch

    if isinstance(answer, torch.Tensor):
        yield prefix or "0", answer
        return
    pairs: Sequence[tuple[object, Any]] = ()
    if isinstance(answer, dict):
        pairs = list(answer.items())
    elif isinstance(answer, list | tuple):
        pairs = list(enumerate(answer))
    for key, value in pairs:
        inner = str(key) if not prefix else f"{prefix}.{key}"
        yield from named_tensors(value, inner)


def _kernel(weight: Any) -> tuple[int, ...] | None:  # noqa: ANN401  # a tensor, or packed away
    shape = getattr(weight, "shape", ())
    return tuple(int(n) for n in shape[2:]) if len(shape) > 2 else None


def _axis(name: str, named: Mapping[str, Any], rank: int) -> int | None:
    if name not in _WITH_AXIS or not rank:
        return None
    axis = named.get("dim", 0 if name.startswith(("cat", "conc")) else None)
    return axis % rank if isinstance(axis, int) else None


def _order(name: str, named: Mapping[str, Any], rank: int) -> tuple[int, ...] | None:
    order = list(range(rank))
    if name == "permute" and named.get("dims") is not None:
        return tuple(int(n) % rank for n in named["dims"])
    if name in {"transpose", "swapaxes"}:
        first, second = named.get("dim0"), named.get("dim1")
        if isinstance(first, int) and isinstance(second, int):
            order[first % rank], order[second % rank] = second % rank, first % rank
            return tuple(order)
    return None
