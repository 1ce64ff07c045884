"""The command that tells what a checkpoint is: inspect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # --help must stay fast
    from auditor.pipeline import Inspection
    from auditor.systems.description import Description

__all__ = ["inspect"]

_FILE = click.Path(path_type=Path)

_SHOWN = 12
"""Kinds of operators in one line; --json has all of them."""


@click.command()
@click.argument("checkpoint", type=_FILE)
@click.option(
    "--set", "texts", multiple=True, metavar="FIELD=VALUE",
    help="A field of the contract that is known, as input.channels=2; it is not tried then.",
)  # fmt: skip
@click.option("--device", metavar="NAME", help="cpu [default], cuda, cuda:1.")
@click.option(
    "--limit", "limit_s", type=click.FloatRange(min=1), default=60.0, show_default=True,
    metavar="SECONDS", help="After this time no further try begins.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON on stdout.")
def inspect(
    checkpoint: Path, texts: tuple[str, ...], device: str | None, limit_s: float, as_json: bool
) -> None:
    """Tell what a checkpoint is and what it needs; no data needed.

    The file is recognised by its bytes, never by its name, and tried in the sandboxed child process
    with small inputs: operators, parameters, skip connections, one forward pass with its time and
    memory, and the contract as far as the maker ships it, a contract.yaml beside it says it, or it can be
    found out. What cannot be is asked for by name, with the line to add. CHECKPOINT may also be the
    folder of a MONAI bundle or of an nnU-Net training, whose own description is read.
    """
    from auditor.config import parse_fields
    from auditor.pipeline import inspect_checkpoint

    settings = parse_fields(texts) | ({} if device is None else {"device": device})
    found = inspect_checkpoint(checkpoint, settings=settings, limit_s=limit_s)
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=1))
        return
    for line in _lines(found):
        click.echo(line)


def _as_json(found: Inspection) -> dict[str, Any]:
    return {
        "file": {"name": found.located.checkpoint.name, **asdict(found.sniffed)},
        "shipped": asdict(found.located) | {"checkpoint": found.located.checkpoint.name},
        "contract": [asdict(it) for it in found.contract],
        "probe": asdict(found.report),
        "questions": [asdict(it) for it in found.questions],
        "notes": found.notes,
    }


def _lines(found: Inspection) -> Iterator[str]:
    yield from _of_file(found)
    if found.description is not None:
        yield from _of_network(found.description, found.report.batches)
    yield from _of_contract(found)
    for line in (*found.notes, *(it for it in found.located.notes if it not in found.notes)):
        yield f"note       {line}"
    for line in (*found.report.findings, *_untried(found.report.not_tried)):
        yield f"finding    {line}"
    yield f"sandbox    {', '.join(found.report.sandbox)}"
    for question in found.questions:
        yield f"declare    {question.line}  # {question.name}: {question.why}"


def _untried(names: Sequence[str]) -> tuple[str, ...]:
    return (f"not tried: {', '.join(names)}",) if names else ()


def _of_file(found: Inspection) -> Iterator[str]:
    located, sniffed = found.located, found.sniffed
    kind = "" if located.kind == "file" else f", from: {located.kind}"
    mb = sniffed.size_bytes / 2**20
    size = f"{mb:.1f} MB" if mb >= 1 else f"{sniffed.size_bytes / 2**10:.1f} kB"
    yield f"file       {located.checkpoint.name}, {size}{kind}"
    yield f"format     {sniffed.format} {sniffed.detail}".rstrip()
    yield f"sha256     {sniffed.sha256}"


def _of_network(known: Description, batches: str) -> Iterator[str]:
    made = ", ".join(it for it in (known.producer, *known.versions) if it)
    if made:
        yield f"made by    {made}"
    most = ", ".join(f"{it.name} {it.count}" for it in known.operators[:_SHOWN])
    more = len(known.operators) - _SHOWN
    yield f"operators  {most}{f', and {more} kinds more' if more > 0 else ''}"
    yield f"parameters {known.parameters:,}"
    yield f"skips      {_skips(known)}"
    fed = " x ".join(map(str, known.fed))
    spent = f"{known.seconds:.2f}" if known.seconds >= 0.1 else f"{known.seconds:.4f}"
    yield (
        f"forward    {fed}: {spent} s, at most {known.peak_mb:.0f} MB of memory with the "
        f"libraries; a batch of two: {_BATCHES.get(batches, batches)}"
    )
    for output in known.outputs:
        shape = " x ".join(map(str, output.shape))
        last = output.ending.operations[:1]
        told = f"last operation {last[0]}" if last else "last operation unknown"
        yield f"output     {output.name}: {shape}, {output.dtype}, {told}"


_BATCHES = {"alike": "the same answers", "differ": "other answers", "fixed": "not possible"}


def _skips(known: Description) -> str:
    """Count the skip connections, and say what the count is worth."""
    if known.skips is None:
        return f"could not be counted: {known.skips_note or 'no recording of a forward pass'}"
    found = known.skips
    nested = sum(skip.nested for skip in found.found)
    worth = [
        "complete"
        if found.complete
        else "not complete: some way around the bottleneck was not seen",
        "minimal" if found.minimal else "not minimal: some go around others",
    ]
    told = f", {nested} of them nested" if nested else ""
    number = len(found.found)
    return f"{number} {'skip connection' if number == 1 else 'skip connections'}{told} ({'; '.join(worth)})"


def _of_contract(found: Inspection) -> Iterator[str]:
    from auditor.systems.contract import canonical_text

    open_ = {it.name for it in found.questions}
    shown = [it for it in found.contract if it.source.value != "default"]
    wide = max((len(it.name) for it in shown), default=0)
    for it in shown:
        yield f"contract   {it.name:{wide}}  {it.value}  [{it.source.value}]"
    nothing = {"none", "[]"}
    rest = [
        it
        for it in found.contract
        if it.source.value == "default" and it.name not in open_ and it.value not in nothing
    ]
    if rest:
        yield f"           default: {', '.join(f'{it.name} {it.value}' for it in rest)}"
    for name, value in found.located.settings.items():
        yield f"setting    {name}: {canonical_text(value)}  # as the maker predicts; not switched on"
