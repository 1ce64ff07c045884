"""The child's answer when it is asked how far layers move between scans.

Windows are run one at a time: a batch that is filled up with copies would count its last window more often
than the others. A network that was exported for a batch is run on copies of each, which changes no share.
What is kept of the clean scan, the range and the histogram of each channel, serves the next question about
the same scan.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auditor.schema import InputSpec, WindowSpec
from auditor.systems.answers import Refusal, fed
from auditor.systems.layers.choosing import Layer, choose_layers
from auditor.systems.layers.histograms import (
    Range,
    by_channel,
    counts_of,
    hellinger,
    joined,
    range_of,
)
from auditor.systems.window import windows_of

__all__ = ["LayerMeter"]

Pieces = Sequence[NDArray[np.float32]]


class Taps(Protocol):
    """What runs a network and hands on the values of its layers."""

    def run(self, values: NDArray[np.float32], take: Callable[[int, NDArray[Any]], None]) -> None:
        """Run (1, ...) and call take(place of the layer, value)."""


@dataclass(slots=True)
class _Reference:
    """What is known of a clean scan."""

    key: str
    """Digest of its pieces and of how they were counted."""
    layers: tuple[Layer, ...]
    taps: Taps
    ranges: list[Range | None] = field(default_factory=list)
    """Of each layer."""
    counts: list[NDArray[np.int64] | None] = field(default_factory=list)
    """Histogram of each layer; None where it is not finite."""


class LayerMeter:
    """Compares scans with a clean one, layer by layer, on one checkpoint.

    Parameters
    ----------
    model : of the child.
    device : cpu, cuda or cuda:1.
    threads : of one forward pass.
    """

    def __init__(self, model: Any, *, device: str, threads: int) -> None:  # noqa: ANN401  # any kind
        self._model, self._device, self._threads = model, device, threads
        self._reference: _Reference | None = None
        self._chosen: tuple[tuple[object, ...], tuple[Layer, ...], Taps] | None = None

    def measure(self, header: Mapping[str, Any], pieces: Pieces) -> list[dict[str, Any]]:
        """Compare scans with the first one.

        Parameters
        ----------
        header : ``input_layout``, ``window``, ``bins``, and ``pieces``: of each scan how many there are,
            the clean one first.
        pieces : of all scans, one after the other.

        Returns
        -------
        What `auditor.systems.layers.answer.layers_of` reads.

        Raises
        ------
        Refusal
            When no layer can be compared, or a scan runs through other ones.
        """
        inputs = InputSpec(layout=header["input_layout"])
        given = header["window"]
        window = None if given is None else WindowSpec(**{**given, "size": tuple(given["size"])})

        def windows(of: Pieces) -> Iterator[NDArray[np.float32]]:
            for piece in of:
                for cut in windows_of(piece, window):
                    # its memory may be the scan itself, and a system may write into it
                    yield fed(np.array(cut[None], dtype=np.float32, order="C"), inputs)

        scans = iter(pieces)
        clean, *others = [list(itertools.islice(scans, n)) for n in header["pieces"]]
        known = {name: header[name] for name in ("input_layout", "window", "bins")}
        reference = self._of_clean(clean, windows, known, inputs)
        distances = [self._distances(reference, windows(it), header["bins"]) for it in others]
        copies = _copies(self._model)
        return [
            {
                "name": layer.name[:200],
                "operator": layer.operator[:80],
                "resolution": list(layer.resolution),
                "channels": layer.channels,
                "voxels": 0 if counts is None else int(counts[0].sum()) // copies,
                "distances": [it[place] for it in distances],
            }
            for place, (layer, counts) in enumerate(
                zip(reference.layers, reference.counts, strict=True)
            )
        ]

    def _of_clean(
        self,
        clean: Pieces,
        windows: Callable[[Pieces], Iterator[NDArray[np.float32]]],
        known: Mapping[str, Any],
        inputs: InputSpec,
    ) -> _Reference:
        """Find range and histogram of each channel: two passes, unless the last question was about it."""
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
        for piece in clean:
            digest.update(repr(piece.shape).encode() + np.ascontiguousarray(piece).tobytes())
        key = digest.hexdigest()
        if self._reference is not None and self._reference.key == key:
            return self._reference
        self._reference = None
        layers, taps = self._layers(next(windows(clean)), inputs)
        ranges: list[Range | None] = [None] * len(layers)

        def widen(place: int, value: NDArray[Any]) -> None:
            ranges[place] = joined(ranges[place], range_of(by_channel(value, layers[place].axis)))

        for values in windows(clean):
            taps.run(values, widen)
        reference = _Reference(key, layers, taps, ranges)
        reference.counts, _ = self._counted(reference, windows(clean), known["bins"])
        self._reference = reference
        return reference

    def _distances(
        self, reference: _Reference, windows: Iterator[NDArray[np.float32]], bins: int
    ) -> list[float | None]:
        """Return the distance of each layer; None where an activation is not a number."""
        counts, sound = self._counted(reference, windows, bins)
        found: list[float | None] = []
        for clean, own, is_sound in zip(reference.counts, counts, sound, strict=True):
            if clean is None or own is None or not is_sound:
                found.append(None)
            else:
                found.append(float(hellinger(clean, own).mean()))
        return found

    def _counted(
        self, reference: _Reference, windows: Iterator[NDArray[np.float32]], bins: int
    ) -> tuple[list[NDArray[np.int64] | None], list[bool]]:
        """Count what the layers hold of one scan; and whether all of it are numbers."""
        found: list[NDArray[np.int64] | None] = [None] * len(reference.layers)
        sound = [True] * len(reference.layers)

        def count(place: int, value: NDArray[Any]) -> None:
            layer, within = reference.layers[place], reference.ranges[place]
            if value.ndim <= layer.axis or value.shape[layer.axis] != layer.channels:
                raise Refusal(_other_channels(layer))
            if within is None or not within.finite:
                return
            part = by_channel(value, layer.axis)
            counts = counts_of(part, within, bins)
            sound[place] &= int(counts.sum()) == part.size
            before = found[place]
            found[place] = counts if before is None else before + counts

        for values in windows:
            reference.taps.run(values, count)
        return found, sound

    def _layers(
        self, values: NDArray[np.float32], inputs: InputSpec
    ) -> tuple[tuple[Layer, ...], Taps]:
        """Choose the layers at a size of the input, unless they were chosen at it before."""
        at = (values.shape, inputs.layout)
        if self._chosen is None or self._chosen[0] != at:
            facts = self._model.facts(values, inputs)
            if facts.recording is None:
                raise Refusal(facts.why_none or "its network could not be recorded")
            layers = choose_layers(facts.recording)
            if not layers:
                msg = "no value of its network could be told to hold channels, so that none can be compared"
                raise Refusal(msg)
            self._chosen = (at, layers, self._taps(layers))
        return self._chosen[1:]

    def _taps(self, layers: Sequence[Layer]) -> Taps:
        if hasattr(self._model, "proto"):
            from auditor.systems.layers.onnx_taps import OnnxTaps

            graph, folder = self._model.proto()
            return OnnxTaps(graph, folder, layers, device=self._device, threads=self._threads)
        from auditor.systems.layers.torch_taps import TorchTaps

        return TorchTaps(self._model, layers)


def _copies(model: Any) -> int:  # noqa: ANN401  # any kind
    """How often each window is run at once: as often as the batch for which the network was exported."""
    declared = model.inputs[0]["sizes"] if model.inputs else ()
    return declared[0] if declared and isinstance(declared[0], int) and declared[0] else 1


def _other_channels(layer: Layer) -> str:
    return (
        f"the value {layer.name[:80]} must have the {layer.channels} channels of the clean scan on every scan; "
        "the number of its channels depends on the size of the image"
    )
