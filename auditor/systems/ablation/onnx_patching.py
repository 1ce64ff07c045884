"""Run an ONNX graph with some of its values replaced; in the child only.

The graph is read, followed once at each size that is fed, and loaded with the nodes of `onnx_surgery` in it:
one session for all sizes at which the same values are replaced. Nothing of a graph is held but its sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditor.schema import AblationSpec
from auditor.systems.ablation.onnx_surgery import (
    keeping_graph,
    kept_names,
    other_names,
    replacing_graph,
)
from auditor.systems.ablation.patching import Replaced, values_to_replace
from auditor.systems.answers import Refusal
from auditor.systems.skips.onnx_recording import read_graph, record_onnx

__all__ = ["OnnxPatching"]

_Values = tuple[Replaced, ...]


class _Open(Protocol):
    def __call__(self, graph: bytes, *, folder: Path) -> Any:  # noqa: ANN401  # a session
        """Load a graph in memory."""


class _Run(Protocol):
    def __call__(self, session: Any, fed_values: dict[str, Any], **options: Any) -> list[Any]:  # noqa: ANN401
        """Run a session on its device."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Values of another image."""

    values: _Values
    names: tuple[str, ...]
    """Inputs of the graph that takes them."""
    arrays: tuple[NDArray[Any], ...]


class OnnxPatching:
    """Runs a graph with some of its values replaced.

    Parameters
    ----------
    spec : which, and by what.
    path : the graph; weights may lie beside it.
    open_ : loads a graph from memory.
    run : runs what was loaded.
    """

    def __init__(self, spec: AblationSpec, path: Path, *, open_: _Open, run: _Run) -> None:
        self._spec, self._path = spec, path
        self._open, self._run = open_, run
        self._values: dict[tuple[object, ...], _Values] = {}
        self._sessions: dict[tuple[object, ...], Any] = {}
        self._kept: _Kept | None = None

    def replace(
        self,
        network: Callable[[Any], Any],  # the session without replacements
        values: NDArray[Any],
        *,
        channel_last: bool,
    ) -> list[Any]:
        """Run with the values replaced.

        Parameters
        ----------
        network : not used: a graph with replacements is another session.
        values : what is fed, of the type that the graph declares.
        channel_last : it has its channels last.

        Returns
        -------
        The outputs.

        Raises
        ------
        Refusal
            When no such skip exists, or the graph cannot be followed.
        """
        found = self._found(values, channel_last=channel_last)
        others: dict[str, NDArray[Any]] = {}
        if self._spec.by == "image":
            others = self._others(found)
        kinds = {name: array.dtype for name, array in others.items()}
        key = ("replace", found, *kinds.items())
        if key not in self._sessions:
            model = read_graph(self._path).model
            self._sessions[key] = self._loaded(replacing_graph(model, found, self._spec, kinds))
        session = self._sessions[key]
        image = next(it.name for it in session.get_inputs() if it.name not in others)
        return self._run(session, {image: values, **others})

    def keep(
        self,
        network: Callable[[Any], Any],
        values: NDArray[Any],
        *,
        channel_last: bool,
    ) -> list[Any]:
        """Run as it is, and keep the values for the next `replace`.

        Parameters
        ----------
        network, values, channel_last : as of `replace`.

        Returns
        -------
        Nothing of use: only what makes the kept values is run.

        Raises
        ------
        Refusal
            As of `replace`.
        """
        found = self._found(values, channel_last=channel_last)
        key = ("keep", found)
        if key not in self._sessions:
            model = read_graph(self._path).model
            names = tuple(kept_names(model, found)), tuple(other_names(model, found))
            self._sessions[key] = (self._loaded(keeping_graph(model, found)), *names)
        session, kept, others = self._sessions[key]
        arrays = self._run(session, {session.get_inputs()[0].name: values}, names=kept)
        self._kept = _Kept(found, others, tuple(map(np.array, arrays)))
        return []

    def graph(self, values: NDArray[Any], *, channel_last: bool) -> Any:  # noqa: ANN401  # of onnx
        """Return the graph with the replacements in it.

        Parameters
        ----------
        values, channel_last : as of `replace`.

        Raises
        ------
        Refusal
            As of `replace`, and for ablations by another image, whose values are no part of a graph.
        """
        if self._spec.by == "image":
            msg = "a graph that is ablated by another image is no graph of one image"
            raise Refusal(msg)
        found = self._found(values, channel_last=channel_last)
        return replacing_graph(read_graph(self._path).model, found, self._spec)

    def _others(self, found: _Values) -> dict[str, NDArray[Any]]:
        """Return what was kept of another image, under the names of the inputs that take it."""
        if self._kept is None or [it.name for it in self._kept.values] != [it.name for it in found]:
            msg = "the other image must be of the size of this one"
            raise Refusal(msg)
        return dict(zip(self._kept.names, self._kept.arrays, strict=True))

    def _found(self, values: NDArray[Any], *, channel_last: bool) -> _Values:
        key = (values.shape, channel_last)
        if key not in self._values:
            graph = read_graph(self._path)
            try:
                recording = record_onnx(
                    graph, values, folder=self._path.parent, channel_last=channel_last
                )
            except MemoryError:
                raise
            except Exception as error:
                said = " ".join(str(error).split())[:300]
                msg = f"the graph could not be followed, so its skip connections are not known: {said}"
                raise Refusal(msg) from error
            self._values[key] = values_to_replace(recording, self._spec)
        return self._values[key]

    def _loaded(self, model: Any) -> Any:  # noqa: ANN401  # of onnx and onnxruntime, without types
        return self._open(model.SerializeToString(), folder=self._path.parent)
