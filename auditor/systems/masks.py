"""From a label map in a file to what a system answers.

**Conventions.** A label map holds the numbers of `OutputSpec.labels`; every other number is
background, as in a reference, because an audit may look at one organ of fourteen. Scores are 0 and 1.
"""

from __future__ import annotations

from pathlib import Path

import torch

from auditor.errors import DataError
from auditor.schema import Geometry, OutputSpec, Status
from auditor.systems.decision import decide, scores_of
from auditor.systems.running import Failure, Prediction
from auditor.volumes.label_maps import grid_as_written, read_label_map

__all__ = ["read_answer"]


def read_answer(file: Path, geometry: Geometry, output: OutputSpec) -> Prediction | Failure:
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
    Prediction or Failure
        Rejected: it cannot be read, lies on another grid, or holds no label numbers.
    """
    try:
        numbers = read_label_map(file, grid_as_written(geometry))
    except DataError as error:
        return Failure(Status.REJECTED, " ".join(str(error).split())[:500])
    scores = scores_of(numbers[None].numpy().astype("float32"), output)
    return Prediction(scores, scores, decide(scores, output).to(torch.int16))
