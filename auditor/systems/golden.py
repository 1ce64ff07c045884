"""Golden pairs: whether the auditor runs the system as its maker does.

**Conventions.** A golden pair is a scan with the maker's own label map, on the scan's grid.
Agreement is the DSC between that map and what the system answers here, per declared label; a label
that is empty in both maps says nothing and is not counted. The contract is confirmed when the
smallest agreement over all pairs and labels reaches the declared limit. Otherwise it is in doubt,
and contracts that are one change away are tried on the first pair that holds a label, in a bounded
time, to name the likeliest mistake.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from torch import Tensor

from auditor.errors import DataError
from auditor.proxies import agreement
from auditor.schema import ContractStatus, Geometry, OutputSpec, SystemSpec
from auditor.systems.alternatives import Alternative, alternatives
from auditor.systems.runners import CallableSystem
from auditor.systems.running import Failure, Prediction, System, open_system

Pair = tuple[Tensor, Geometry, Tensor]
"""(channel, *native) float32 image, its geometry, the maker's (*native) label numbers."""

MOST_ALTERNATIVES = 100
"""More contracts than these are never tried."""


@dataclass(frozen=True, slots=True)
class GoldenOutcome:
    """What golden pairs say about a contract."""

    pairs: int
    """Number of pairs."""
    agreement: float | None
    """Smallest DSC over pairs and labels, 0 for a pair that could not be run; None when no pair
    holds a declared label."""
    status: ContractStatus
    """Confirmed, in doubt, or declared only when the pairs prove nothing."""
    note: str
    """One sentence, with the best alternative if one was looked for."""
    alternative: Alternative | None = None
    """The contract one change away that agrees best, if it agrees better than the declared one."""
    alternative_agreement: float | None = None
    """Its smallest DSC on the pair on which it was tried."""


def read_golden_table(table: Path) -> tuple[tuple[tuple[Path, ...], Path], ...]:
    """Read a table of golden pairs.

    Parameters
    ----------
    table : CSV with the columns ``image`` (several files of one scan separated by ``;``, or columns
        ``image_1``, ``image_2``, ..) and ``prediction``; paths relative to the table.

    Returns
    -------
    One (images, prediction) per row; nothing is opened.

    Raises
    ------
    DataError
        Missing columns, no rows, empty cells or missing files; every problem at once.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"the table of golden pairs {table.name} must be a readable CSV file: {error}"
        raise DataError(msg.replace(str(table), table.name)) from error
    pairs, problems = [], []
    for number, row in enumerate(rows, start=2):
        images = [
            part.strip()
            for key, cell in row.items()
            if key and (key == "image" or key.startswith("image_"))
            for part in (cell or "").split(";")
            if part.strip()
        ]
        prediction = (row.get("prediction") or "").strip()
        if not images or not prediction:
            problems.append(f"line {number}: must have an image and a prediction")
            continue
        problems += [
            f"line {number}: {name} does not exist beside the table"
            for name in (*images, prediction)
            if not (table.parent / name).exists()
        ]
        pairs.append((tuple(table.parent / name for name in images), table.parent / prediction))
    if not rows:
        problems.append("it must have at least one row below the columns image, prediction")
    if problems:
        msg = f"the table of golden pairs {table.name} is not usable"
        raise DataError(msg, problems)
    return tuple(pairs)


def check_golden(
    spec: SystemSpec,
    pairs: Sequence[Pair],
    *,
    callable: CallableSystem | None = None,  # noqa: A002 - as `open_system` has it
    seconds: float = 300.0,
) -> GoldenOutcome:
    """Compare a system with its maker's own outputs.

    Parameters
    ----------
    spec : the system with its contract and ``golden_agree_at_least``.
    pairs : loaded golden pairs.
    callable : a Python function instead of a checkpoint.
    seconds : alternatives are looked for no longer than this; a try that has begun is finished.

    Returns
    -------
    The status of the contract, with the reason.

    Raises
    ------
    CheckpointError
        The system cannot be started.
    DataError
        A maker's prediction does not lie on the grid of its scan.
    """
    if not pairs:
        return GoldenOutcome(0, None, ContractStatus.DECLARED_ONLY, "no golden pairs are declared")
    with open_system(spec, callable=callable) as system:
        return compare_golden(system, pairs, seconds=seconds)


def compare_golden(
    system: System, pairs: Sequence[Pair], *, seconds: float = 300.0
) -> GoldenOutcome:
    """Compare an open system with its maker's own outputs; see `check_golden`."""
    spec = system.spec
    answers = [system.predict([image], geometry)[0] for image, geometry, _ in pairs]
    found = [
        _agreement(answer, golden, spec.output, spec.output)
        for answer, (_, _, golden) in zip(answers, pairs, strict=True)
    ]
    smallest = min((value for value in found if value is not None), default=None)
    if smallest is None:
        note = "the golden predictions hold none of the declared labels, and so prove nothing"
        return GoldenOutcome(len(pairs), None, ContractStatus.DECLARED_ONLY, note)
    if smallest >= spec.golden_agree_at_least:
        note = f"the smallest DSC with the maker's own outputs is {smallest:.3f}"
        return GoldenOutcome(len(pairs), smallest, ContractStatus.CONFIRMED, note)
    place = next(i for i, value in enumerate(found) if value is not None)
    search = _search(system, pairs[place], answers[place], float(found[place] or 0.0), seconds)
    least = spec.golden_agree_at_least
    reasons = [f"the smallest DSC with the maker's own outputs is {smallest:.3f}, below {least:g}"]
    reasons += [_told(answer) for answer in answers if isinstance(answer, Failure)]
    return GoldenOutcome(
        pairs=len(pairs),
        agreement=smallest,
        status=ContractStatus.IN_DOUBT,
        note="; ".join([*reasons[:2], search.text]),
        alternative=search.best,
        alternative_agreement=search.agreement,
    )


def _told(failure: Failure) -> str:
    return f"a pair is {failure.status.value.replace('_', ' ')}: {failure.reason}"


def _agreement(
    answer: Prediction | Failure, golden: Tensor, declared: OutputSpec, used: OutputSpec
) -> float | None:
    """Smallest DSC over the labels; labels are matched by their names."""
    numbers = dict(used.labels)
    values = []
    for name, number in declared.labels:
        theirs = golden == number
        if isinstance(answer, Failure):
            if bool(theirs.any()):
                values.append(0.0)
            continue
        if golden.shape != answer.labels.shape:
            msg = (
                f"the maker's prediction must have the scan's shape {tuple(answer.labels.shape)}, "
                f"got {tuple(golden.shape)}"
            )
            raise DataError(msg)
        ours = answer.labels == numbers[name]
        if bool(theirs.any()) or bool(ours.any()):
            values.append(agreement(ours, theirs))
    return min(values, default=None)


@dataclass(frozen=True, slots=True)
class _Search:
    """The outcome of trying alternatives."""

    best: Alternative | None
    agreement: float | None
    text: str


def _search(
    system: System, pair: Pair, answered: Prediction | Failure, declared: float, seconds: float
) -> _Search:
    """Try alternatives on one pair until one agrees as the maker's contract would."""
    image, geometry, golden = pair
    spec = system.spec
    best: Alternative | None = None
    best_value, tried = declared, 0
    end = time.monotonic() + seconds
    for alternative in islice(alternatives(spec, geometry), MOST_ALTERNATIVES):
        if time.monotonic() > end:
            break
        tried += 1
        answer = answer_under(system, alternative, image, geometry, answered)
        value = _agreement(answer, golden, spec.output, alternative.spec.output)
        if value is not None and value > best_value:
            best, best_value = alternative, value
            if value >= spec.golden_agree_at_least:
                break
    if not tried:
        return _Search(None, None, "there is nothing in the contract that could be tried")
    if best is None:
        text = f"none of {tried} contracts that are one change away agrees better"
        return _Search(None, None, text)
    text = f"{best.text} gives {best_value:.3f} (declared: {declared:.3f})"
    return _Search(best, best_value, text)


def answer_under(
    system: System,
    alternative: Alternative,
    image: Tensor,
    geometry: Geometry,
    declared: Prediction | Failure,
) -> Prediction | Failure:
    """Answer as the system would under another contract.

    Parameters
    ----------
    system : under its declared contract.
    alternative : the other contract.
    image : (channel, *native).
    geometry : of the image.
    declared : what the system answered for the image under its declared contract.

    Returns
    -------
    A prediction whose ``labels`` hold the numbers of the other contract; no run is made where the
    declared answer need only be read in another way.
    """
    if not alternative.rereads:
        return system.under(alternative.spec).predict([alternative.fed(image)], geometry)[0]
    if isinstance(declared, Failure):
        return declared
    return replace(declared, labels=alternative.reread(declared.scores, system.spec.output))
