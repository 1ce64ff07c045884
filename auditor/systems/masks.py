"""From a label map in a file to what a system answers.

**Conventions.** A label map holds the numbers of `OutputSpec.labels`; every other number is
background, as in a reference, because an audit may look at one organ of fourteen. Scores are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from auditor.errors import DataError
from auditor.schema import Geometry, OutputSpec, Status
from auditor.systems.decision import decide, scores_of
from auditor.systems.reasons import one_line
from auditor.systems.running import Failure, Prediction
from auditor.volumes.label_maps import grid_as_written, read_label_map

__all__ = ["Answered", "read_answer", "told_of_numbers"]

_NAMED = 8
"""Numbers that are named; of the others only the count is told."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the label map of one scan says."""

    outcome: Prediction | Failure
    """Rejected: the file cannot be read, lies on another grid, or holds no label numbers."""
    undeclared: frozenset[int] = frozenset()
    """Numbers in it that no declared label has."""


def told_of_numbers(undeclared: Collection[int]) -> tuple[str, ...]:
    """Say, as a finding, that label maps hold numbers that nobody declared; empty when they do not."""
    if not undeclared:
        return ()
    numbers = sorted(undeclared)
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    listed = ", ".join(map(str, numbers[:_NAMED]))
    return (
        (
            f"label maps hold the numbers {listed}{more}, which output.labels does not name; they count as "
            "background"
        ),
    )


def read_answer(file: Path, geometry: Geometry, output: OutputSpec) -> Answered:
    """Read the label map of one scan.

    Parameters
    ----------
    file : Path
        The label map.
    geometry : Geometry
        Of the scan.
    output : OutputSpec
        Labels with their numbers.

    Returns
    -------
    Answered
    """
    try:
        numbers = read_label_map(file, grid_as_written(geometry))
    except DataError as error:
        return Answered(Failure(Status.REJECTED, one_line(error)))
    found = {int(number) for number in torch.unique(numbers)} - {0}
    undeclared = frozenset(found - {number for _, number in output.labels})
    scores = scores_of(numbers[None].numpy().astype("float32"), output)
    labels = decide(scores, output)
    return Answered(Prediction(scores, scores, labels), undeclared)
