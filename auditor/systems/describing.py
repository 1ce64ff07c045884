"""The child's answer when it is asked what network it holds."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.schema import InputSpec
from auditor.systems.answers import fed
from auditor.systems.description import (
    MOST_EDGES,
    MOST_LEVELS,
    MOST_OPERATORS,
    MOST_OUTPUTS,
    MOST_SKIPS,
)
from auditor.systems.last_operations import ending
from auditor.systems.peak_memory import peak_mb
from auditor.systems.skips.recording import Recording
from auditor.systems.skips.rule import find_skips

__all__ = ["Facts", "describe", "noise"]

_MOST_TOLD = 500_000
"""Letters of the skips; a message has twice as many at most."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What each kind of model finds out by itself."""

    recording: Recording | None
    """Of one forward pass; None when it could not be recorded."""
    operators: Mapping[str, int] = field(default_factory=dict)
    """How often each is used."""
    parameters: int = 0
    """Numbers in the weights."""
    producer: str = ""
    """What made the file."""
    versions: tuple[str, ...] = ()
    """Of the format."""
    live: tuple[str, ...] = ()
    """What behaves as in training."""
    why_none: str = ""
    """Why there is no recording."""


def describe(model: Any, header: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401  # of any kind
    """Run the model once as it is, and once more recorded.

    Parameters
    ----------
    model : of the child. Its ``forward(batch)`` runs what is fed as it is and lists (name, array) of
        what came back; its ``facts(batch, inputs)`` tells the rest, with the same names.
    header : ``shape`` (1, channel, *sizes) and ``layout`` of the question.

    Returns
    -------
    What `auditor.systems.description.description_of` reads.
    """
    inputs = InputSpec(layout=header["layout"])
    batch = noise(tuple(header["shape"]))
    values = fed(batch, inputs)
    start = time.perf_counter()
    answers = model.forward(values)
    seconds = time.perf_counter() - start
    peak = peak_mb()
    facts: Facts = model.facts(values, inputs)
    skips, note = _skips(facts)
    return {
        "fed": list(batch.shape),
        "producer": facts.producer[:300],
        "versions": [text[:300] for text in facts.versions[:40]],
        "parameters": int(facts.parameters),
        "operators": Counter(facts.operators).most_common(MOST_OPERATORS),
        "outputs": _outputs(facts, answers),
        "skips": skips,
        "skips_note": note,
        "live": list(facts.live[:40]),
        "seconds": seconds,
        "peak_mb": peak,
    }


def noise(shape: tuple[int, ...], *, seed: int = 0) -> NDArray[np.float32]:
    """Draw normal numbers, repeated after a prime number of them so that no axis is favoured.

    Parameters
    ----------
    shape : of the array.
    seed : another one, other numbers.
    """
    drawn = np.random.default_rng(seed).standard_normal(65521, dtype=np.float32)
    return np.resize(drawn, shape)


def _skips(facts: Facts) -> tuple[dict[str, Any] | None, str]:
    if facts.recording is None:
        return None, facts.why_none[:300]
    found = find_skips(facts.recording)
    told = asdict(found)
    told["levels"] = told["levels"][:MOST_LEVELS]
    for skip in told["found"]:
        for record in (skip, *skip["edges"]):
            record |= {key: record[key][:200] for key in ("source", "merge") if key in record}
    many = len(found.found) > MOST_SKIPS or any(len(s.edges) > MOST_EDGES for s in found.found)
    if many or len(json.dumps(told)) > _MOST_TOLD:
        places = sum(len(skip.edges) for skip in found.found)
        return None, f"too many skip connections to be told: {len(found.found)}, at {places} places"
    return told, ""


def _outputs(facts: Facts, answers: Sequence[tuple[str, NDArray[Any]]]) -> list[dict[str, Any]]:
    places = dict(facts.recording.outputs) if facts.recording is not None else {}
    told = []
    for name, array in answers[:MOST_OUTPUTS]:
        place = places.get(name)
        last: dict[str, Any] = {"operations": [], "meaning": "", "axis": None}
        if facts.recording is not None and place is not None:
            last = asdict(ending(facts.recording, place))
        about = {"name": name[:300], "shape": list(array.shape), "dtype": array.dtype.name}
        told.append({**about, **last})
    return told
