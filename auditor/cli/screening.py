"""The command for a first look: screen."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from auditor.schema.screen import Screen, Vulnerability

__all__ = ["screen", "seconds_of"]

_FILE = click.Path(path_type=Path)

_UNITS = {"h": 3600, "m": 60, "s": 1}

_SHOWN = 10
"""Perturbations on stdout; the page has all of them."""


def seconds_of(text: str) -> float:
    """Read a duration.

    Parameters
    ----------
    text : str
        90s, 30m, 2h, 1h30m.

    Returns
    -------
    float
        Seconds, above 0.

    Raises
    ------
    ValueError
        For anything else; a bare number has no unit.

    Examples
    --------
    >>> seconds_of("90s"), seconds_of("1h30m")
    (90.0, 5400.0)
    """
    found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?", text.strip().lower())
    seconds = 0
    if found is not None:
        seconds = sum(
            int(number) * _UNITS[unit]
            for number, unit in zip(found.groups(), _UNITS, strict=True)
            if number
        )
    if seconds == 0:
        msg = f"must be a duration above 0 with its unit, as 90s, 30m or 1h30m; was {text!r}"
        raise ValueError(msg)
    return float(seconds)


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return seconds_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _numbered(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, int]:
    """Read labels with their numbers."""
    found = {}
    for text in value:
        name, equals, number = text.rpartition("=")
        if not equals or not name.strip() or not re.fullmatch(r"[1-9]\d{0,4}", number.strip()):
            msg = f"must be NAME=NUMBER with a number from 1 on, as organ=1; was {text!r}"
            raise click.BadParameter(msg, ctx, param)
        found[name.strip()] = int(number)
    return found


@click.command()
@click.argument("model", type=_FILE)
@click.argument("data", type=_FILE)
@click.option(
    "--time", "-t", "limit_s", metavar="DURATION", callback=_seconds, required=True,
    help="Time limit: 90s, 30m, 1h30m. The look at the contract counts.",
)  # fmt: skip
@click.option(
    "--modality",
    type=click.Choice(["ct", "mr", "us", "xray", "microscopy", "other"]),
    help="Of the scans; decides units and levels.",
)
@click.option(
    "--state",
    type=click.Choice(["raw", "windowed", "normalised", "skull_stripped"]),
    default="raw",
    show_default=True,
    help="What was done to the scans before.",
)
@click.option("--contract", type=_FILE, help="Contract file, instead of one beside the checkpoint.")
@click.option(
    "--set", "settings", multiple=True, metavar="FIELD=VALUE",
    help="A field of the system, as input.axes=RAS; wins over everything else.",
)  # fmt: skip
@click.option(
    "--label", "labels", callback=_numbered, multiple=True, metavar="NAME=NUMBER",
    help="A label with its number in the references.",
)  # fmt: skip
@click.option("--preset", help="Perturbations [default: the preset of the modality].")
@click.option("--patients", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws the patients.")
@click.option(
    "--workers",
    "-j",
    type=click.IntRange(min=1),
    default=max(1, min(4, os.cpu_count() or 1)),
    show_default=True,
    help="Worker processes.",
)
@click.option("--out", "-o", type=_FILE, help="Folder [default: audit-runs/<model>-screen].")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def screen(
    model: Path, data: Path, limit_s: float, quiet: bool, **given: Any  # noqa: ANN401
) -> int:  # fmt: skip
    """Take a first look at the checkpoint MODEL on the cases in DATA, within a time limit.

    Draws at most ten patients, checks the contract, and runs severities 1, 3 and 5 of the artefacts of
    the modality in an order that is fair whenever it stops. Writes one page with what hurts most, what
    the full audit would cost, a drafted audit.yaml, and the list of the drawn patients, which that audit
    leaves out. What cannot be found out is asked for by name. The same command goes on with more time.

    \b
    segaudit screen model.onnx cases.csv -t 30m --modality ct
    segaudit screen model.onnx DATA/ -t 1h30m --modality mr --set input.axes=RAS --label organ=1
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.cli.progress import shown
    from auditor.config import parse_fields
    from auditor.pipeline import Wanted
    from auditor.pipeline import screen as look
    from reports.screen import build_screen

    wanted = Wanted(
        checkpoint=model, data=data, modality=given["modality"], state=given["state"],
        contract=given["contract"], settings=parse_fields(given["settings"]),
        labels=given["labels"], preset=given["preset"], seed=given["seed"],
    )  # fmt: skip
    with shown(quiet=quiet) as show:
        done = look(
            wanted,
            limit_s=limit_s,
            patients=given["patients"],
            out=given["out"],
            workers=given["workers"],
            progress=show,
            told=lambda sentence: click.echo(sentence, err=True),
        )
    page = build_screen(done.folder, done.screen)
    _print(done.screen)
    if done.kept:
        click.echo("audit.yaml was changed since it was drafted, and stays as it is", err=True)
    click.echo(f"draft      {done.folder / 'audit.yaml'}")
    click.echo(f"page       {page}")
    if done.screen.ended != "interrupted":
        return 0
    click.echo("interrupted; run the same command again to go on", err=True)
    return 2


def _print(found: Screen) -> None:
    """Print a short ranking."""
    from auditor.cli.progress import duration

    contract = found.system.contract
    note = f": {contract.note}" if contract.note else ""
    click.echo(f"EXPLORATORY, {found.done} of {found.planned} evaluations, ended: {found.ended}")
    click.echo(f"contract   {contract.status.value}{note}")
    other = contract.sensitivity
    if contract.status.value == "in doubt" and other is not None and other.line:
        click.echo(f"           if that is right, write {other.line}")
    values = [v.dsc for case in found.drawn for v in case.clean if v.dsc is not None]
    if values:
        reached = sum(any(v.dsc is not None for v in case.clean) for case in found.drawn)
        click.echo(f"clean      DSC {min(values):.3f} to {max(values):.3f}, n = {reached}")
    ranked = [row for row in found.vulnerabilities if row.rank is not None]
    for row in ranked[:_SHOWN]:
        click.echo(_line(row))
    if len(ranked) > _SHOWN:
        click.echo(f"           and {len(ranked) - _SHOWN} more on the page")
    for row in found.vulnerabilities:
        if row.rank is None:
            click.echo(f"    -      {row.perturbation}: {row.note}")
    cost = found.cost
    click.echo(
        f"full audit {cost.patients} patients, {cost.evaluations} evaluations, "
        f"{'about ' if cost.seconds is not None else ''}{duration(cost.seconds)} on one worker, "
        f"{cost.disk_mb:.0f} MB"
    )


def _line(row: Vulnerability) -> str:
    each = ", ".join(
        f"{drop.severity:g}: {_number(drop.mean)} (n = {drop.n})" for drop in row.drops
    )
    failed = sum(drop.failures for drop in row.drops)
    more = f", {failed} failed" if failed else ""
    value = _number(row.area.value)
    return f"{row.rank:5}      {row.perturbation}: mean drop {value}, by severity {each}{more}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{round(value, 3) + 0.0:.3f}"
