"""Do the selected evaluations once more, check that they reproduce, store their pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from auditor.cases import LoadedCase
from auditor.execution.job import Job
from auditor.execution.perturbed import Scanned, evaluation, perturb
from auditor.execution.scoring import mask_digest
from auditor.execution.store import write_bytes
from auditor.execution.unit import Callables, UnitRunner
from auditor.exhibits.planes import cut, display_window, png_of
from auditor.plan import Unit
from auditor.schema import ExhibitSelection, Status
from auditor.systems.decision import decide
from auditor.systems.running import Prediction

__all__ = ["make_exhibits"]


@dataclass(frozen=True, slots=True)
class _Redone:
    """One evaluation, done again."""

    image: Tensor
    labels: Tensor | None
    note: str


def make_exhibits(
    job: Job, selections: Sequence[ExhibitSelection], *, callables: Callables | None = None
) -> list[str]:
    """Write ``exhibits/<id>.json`` and its PNG files for every selection.

    Parameters
    ----------
    job : Job
        The executed audit.
    selections : sequence of ExhibitSelection
        Of results.json.
    callables : mapping, optional
        Systems that are Python callables.

    Returns
    -------
    list of str
        Ids of the exhibits that did *not* reproduce their stored mask; a finding about the audit
        itself.

    Raises
    ------
    StoreError
        When the folder cannot be written.
    """
    folder = job.run / "exhibits"
    # pictures of an earlier selection must not be taken for evidence of this one
    for stale in folder.glob("E-*"):
        stale.unlink()
    names = {record.display_case: record.case for record in job.cases}
    failed: list[str] = []
    with UnitRunner(job, callables=callables) as runner:
        for selection in sorted(selections, key=lambda it: (names[it.case], it.id)):
            unit = _unit_of(job, names[selection.case], selection)
            if not _exhibit(job, runner, unit, selection, folder):
                failed.append(selection.id)
    return sorted(failed)


def _exhibit(
    job: Job, runner: UnitRunner, unit: Unit, selection: ExhibitSelection, folder: Path
) -> bool:
    case = runner.load(unit.case)
    redone = _redo(job, runner, unit, case, selection)
    reproduced = redone.labels is not None and mask_digest(redone.labels) == selection.mask_digest
    label = next(it for it in job.config.scored if it.name == selection.label)
    empty = np.zeros(case.geometry.shape, dtype=bool)
    masks = {
        "reference": label.mask(case.references["reference"]).numpy(),
        "prediction": empty if redone.labels is None else label.mask(redone.labels).numpy(),
    }
    clean = runner.clean_labels(selection.system, case)
    if clean is not None and selection.severity > 0:
        masks["clean"] = label.mask(clean).numpy()
    image = redone.image[0].numpy()
    window = display_window(image)
    planes = cut(image, masks, spacing=case.geometry.spacing, window=window)
    described = []
    for position, plane in enumerate(planes):
        name = f"{selection.id}-{position + 1}.png"
        write_bytes(folder / name, png_of(plane.pixels))
        described.append(
            {
                "name": plane.name,
                "png": name,
                "width": plane.pixels.shape[1],
                "height": plane.pixels.shape[0],
                "spacing": list(plane.spacing),
                "slice": plane.slice,
                "contours": plane.contours,
            }
        )
    content = {
        "id": selection.id,
        "planes": described,
        "window": list(window),
        "reproduced": reproduced,
        "note": redone.note,
    }
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    write_bytes(folder / f"{selection.id}.json", text.encode())
    return reproduced


def _redo(
    job: Job, runner: UnitRunner, unit: Unit, case: LoadedCase, selection: ExhibitSelection
) -> _Redone:
    scanned = perturb(unit, case.scan)
    wanted = next(it for it in scanned if it.condition.severity == selection.severity)
    if wanted.status is not Status.OK:
        return _Redone(case.scan.image, None, wanted.reason)
    # all severities of the unit travel together, as they did when the numbers were made: other
    # batches could give other last bits
    usable = [item for item in scanned if item.status is Status.OK]
    outcomes = runner.system(selection.system).predict(
        [item.scan.image for item in usable],
        case.geometry,
        asked=[evaluation(unit, item) for item in usable],
    )
    outcome = outcomes[next(i for i, item in enumerate(usable) if item is wanted)]
    if not isinstance(outcome, Prediction):
        return _Redone(wanted.scan.image, None, outcome.reason)
    return _original_frame(job, selection.system, wanted, outcome)


def _original_frame(job: Job, system: str, item: Scanned, outcome: Prediction) -> _Redone:
    if item.warp is None:
        return _Redone(item.scan.image, outcome.labels, "")
    output = next(spec.output for spec in job.config.systems if spec.name == system)
    return _Redone(
        item.warp.pull_back(item.scan.image),
        decide(item.warp.pull_back(outcome.scores), output),
        "image and prediction are shown in the original frame, where they are scored",
    )


def _unit_of(job: Job, case: str, selection: ExhibitSelection) -> Unit:
    return next(
        unit
        for unit in job.plan.units
        if unit.case == case
        and unit.perturbation.name == selection.perturbation
        and unit.replicate == 0
    )
