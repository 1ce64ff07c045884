"""The command that scores one pair of label maps: score."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # --help must stay fast
    from auditor.pipeline import PairScore
    from auditor.pipeline.pair_score import LeftOut, ScoredMetric

__all__ = ["score"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("reference", type=_FILE)
@click.argument("prediction", type=_FILE)
@click.option(
    "--metric", "-m", "metrics", multiple=True, metavar="NAME",
    help="Only this metric; repeatable. Default: all that two label maps are enough for.",
)  # fmt: skip
@click.option(
    "--label", "-l", "labels", multiple=True, metavar="NAME=NUMBER",
    help="Only this label; repeatable. NAME=1+2 scores two labels as one. Default: every number.",
)  # fmt: skip
@click.option("--tolerance-mm", type=float, metavar="MM", help="For nsd and its like.")
@click.option("--width-mm", type=float, metavar="MM", help="For boundary_iou: width of the band.")
@click.option(
    "--overlap", type=float, metavar="IOU", help="For lesions: from which IoU on two are one."
)
@click.option(
    "--spacing-mm", metavar="Y,X", help="Of PNG and TIFF, by axis of the array: 0.5,0.5; Z,Y,X."
)
@click.option("--definitions", is_flag=True, help="Say below what each metric is.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON on stdout.")
def score(  # noqa: PLR0913  # one parameter an option
    reference: Path,
    prediction: Path,
    *,
    metrics: tuple[str, ...],
    labels: tuple[str, ...],
    tolerance_mm: float | None,
    width_mm: float | None,
    overlap: float | None,
    spacing_mm: str | None,
    definitions: bool,
    as_json: bool,
) -> None:
    """Score one prediction against its reference, label by label.

    \b
    segaudit score reference.nii.gz prediction.nii.gz
    segaudit score reference.nii.gz prediction.nii.gz --tolerance-mm 2 --label liver=1
    segaudit score reference.png prediction.png -m dsc -m hd95 --spacing-mm 0.5,0.5 --json

    Both must be label maps on one grid: nothing is resampled. Values are those that an audit stores
    for the same pair.
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.pipeline import score as score_pair

    found = score_pair(
        reference,
        prediction,
        spacing_mm=None if spacing_mm is None else _numbers(spacing_mm),
        metrics=metrics or None,
        labels=_labels(labels) or None,
        tolerance_mm=tolerance_mm,
        width_mm=width_mm,
        overlap=overlap,
    )
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        click.echo(json.dumps({"version": 1, **asdict(found)}, indent=1, allow_nan=False))
        return
    for line in _lines(found, definitions=definitions):
        click.echo(line)


def _numbers(text: str) -> list[float]:
    from auditor.errors import ConfigError

    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"--spacing-mm must be numbers with commas between them, as 0.5,0.5; was {text!r}"
        raise ConfigError(msg) from error


def _labels(texts: Sequence[str]) -> dict[str, list[int]]:
    from auditor.errors import ConfigError

    found: dict[str, list[int]] = {}
    for text in texts:
        name, equals, numbers = text.rpartition("=")
        parts = numbers.split("+")
        if not equals or not name or not all(part.strip().isdecimal() for part in parts):
            msg = f"--label must be NAME=NUMBER, as liver=1, or NAME=1+2; was {text!r}"
            raise ConfigError(msg)
        if name in found:
            msg = f"--label must name each label once, {name!r} is there twice"
            raise ConfigError(msg)
        found[name] = [int(part) for part in parts]
    return found


def _lines(found: PairScore, *, definitions: bool) -> Iterator[str]:
    sizes = " x ".join(map(str, found.shape))
    steps = " x ".join(f"{step:g}" for step in found.spacing)
    axes = "z, y, x" if len(found.shape) == 3 else "y, x"
    yield f"reference   {found.reference}"
    yield f"prediction  {found.prediction}"
    yield f"grid        {sizes} voxels of {steps} {found.unit} ({axes})"
    given = {name: value for row in found.rows for name, value in row.parameters}
    if given:
        yield f"parameters  {', '.join(f'{name} {value:g}' for name, value in given.items())}"
    for note in found.notes:
        yield f"note        {note}"
    wide = max(len(row.metric) for row in found.rows)
    for label in dict.fromkeys(row.label for row in found.rows):
        rows = [row for row in found.rows if row.label == label]
        yield ""
        shared = _shared_reason(rows)
        yield _heading(rows[0]) + (f": {shared}" if shared else "")
        texts = [_value(row) for row in rows]
        column = max(map(len, texts))
        for row, text in zip(rows, texts, strict=True):
            yield f"  {row.metric:{wide}}  {text:{column}}  {_status(row, shared)}".rstrip()
    if definitions:
        yield from _explained(found.rows, wide)
    yield from _lacking(found.left_out)


def _heading(row: ScoredMetric) -> str:
    numbers = "+".join(map(str, row.numbers))
    return f"label {row.label}" if row.label == numbers else f"label {row.label} ({numbers})"


def _value(row: ScoredMetric) -> str:
    if row.value is None:
        return "none"
    return _number(row.value, row.unit)


def _number(value: float, unit: str) -> str:
    """Write a ratio with four digits, and other numbers with five that count, never as 1e+05."""
    if not unit:
        return f"{value:.4f}"
    plain = f"{float(f'{value:.5g}'):.6f}".rstrip("0").rstrip(".")
    return f"{plain} {unit}"


def _shared_reason(rows: Sequence[ScoredMetric]) -> str:
    """Find what most rows of a label say, so that it is said once: an empty mask."""
    reasons = [row.reason for row in rows if row.reason]
    shared = max(reasons, key=reasons.count, default="")
    return shared if reasons.count(shared) > 1 else ""


def _status(row: ScoredMetric, shared: str) -> str:
    if row.status == "ok":
        return ""
    words = row.status.value.replace("_", " ")
    reason = f": {row.reason}" if row.reason and row.reason != shared else ""
    missing = row.value is None and row.worst is not None
    worst = f"; worst case {_number(row.worst or 0.0, row.unit)}" if missing else ""
    return f"{words}{reason}{worst}"


def _explained(rows: Sequence[ScoredMetric], wide: int) -> Iterator[str]:
    """Tell once what each metric is."""
    yield ""
    yield "definitions"
    for row in {row.metric: row for row in rows}.values():
        head = f"  {row.metric:{wide}}  "
        yield textwrap.fill(
            row.definition,
            _columns(),
            initial_indent=head,
            subsequent_indent=" " * len(head),
        )


def _lacking(left_out: Sequence[LeftOut]) -> Iterator[str]:
    if left_out:
        yield ""
        yield "left out"
    wide = max((len(it.metric) for it in left_out), default=0)
    for it in left_out:
        options = " and ".join(f"--{name.replace('_', '-')}" for name in it.needs)
        yield f"  {it.metric:{wide}}  {f'needs {options}' if options else it.reason}"


def _columns() -> int:
    return max(40, min(112, shutil.get_terminal_size((100, 24)).columns))
