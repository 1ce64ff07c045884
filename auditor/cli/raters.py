"""The command for raters alone: raters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from auditor.schema.rater_page import RaterPage

__all__ = ["raters"]

_FILE = click.Path(path_type=Path)


def _numbered(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> dict[str, int] | None:
    """Read nodule=1,vessel=2."""
    if value is None:
        return None
    found: dict[str, int] = {}
    for text in value.split(","):
        name, equals, number = (part.strip() for part in text.rpartition("="))
        if not equals or not name or not re.fullmatch(r"[1-9]\d{0,4}", number):
            msg = (
                f"must be NAME=NUMBER,.. with numbers from 1 on, as nodule=1,vessel=2; was {text!r}"
            )
            raise click.BadParameter(msg, ctx, param)
        if name in found or int(number) in found.values():
            msg = f"must name each label and each number once, {text.strip()!r} repeats one"
            raise click.BadParameter(msg, ctx, param)
        found[name] = int(number)
    return found


@click.command()
@click.argument("table", type=_FILE)
@click.option("--out", "-o", type=_FILE, help="Folder [default: audit-runs/<table>-raters].")
@click.option(
    "--labels", callback=_numbered, metavar="NAME=NUMBER,..",
    help="Labels with their numbers in the masks [default: every number that occurs].",
)  # fmt: skip
@click.option("--no-images", is_flag=True, help="Read no image and embed no pixel.")
@click.option(
    "--level", type=click.FloatRange(0.5, 1.0, min_open=True, max_open=True), default=0.95,
    show_default=True, help="Of the intervals.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resampling.")
@click.option("--json", "as_json", is_flag=True, help="Print raters.json on stdout.")
def raters(
    table: Path,
    out: Path | None,
    labels: dict[str, int] | None,
    no_images: bool,
    level: float,
    seed: int,
    as_json: bool,
) -> None:
    """Tell how much the raters of a table of cases agree; needs no system.

    TABLE has the columns case, rater_1, rater_2 and on, and where there are some patient and image. A
    rater who did not see a case has an empty cell. Writes raters.html and raters.json (agreement with
    intervals, cases by disagreement, pictures of the worst) and identities.csv, which says which case
    is meant by which id and stays with you.

    \b
    segaudit raters cases.csv
    segaudit raters cases.csv --labels nodule=1 --no-images -o nodule-raters
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.cli.progress import measured_cases
    from auditor.execution.store import write_bytes
    from auditor.pipeline import compare_raters
    from auditor.schema import encode
    from reports.raters import build_raters

    folder = out if out is not None else Path("audit-runs") / f"{table.stem}-raters"
    found = compare_raters(
        table, labels=labels, images=not no_images, level=level, seed=seed, out=folder,
        told=measured_cases("raters"),
    )  # fmt: skip
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    text = encode(found)
    write_bytes(folder / "raters.json", text.encode())
    page = build_raters(folder, found)
    if as_json:
        click.echo(text, nl=False)
    else:
        _print(found)
    click.echo(f"page       {page}", err=as_json)


def _print(found: RaterPage) -> None:
    """Print the agreement of each label, and the cases that differ most."""
    click.echo(f"cases      {found.cases} of {found.patients} patients, {found.alone} left out")
    unit = found.length_unit
    for label in found.results.labels:
        dsc, apart = label.dsc, label.assd
        raters_of = (
            f"{label.fewest}" if label.fewest == label.most else f"{label.fewest} to {label.most}"
        )
        click.echo(
            f"{label.label:10} DSC {_interval(dsc.value, dsc.low, dsc.high)}, ASSD "
            f"{_interval(apart.value, apart.low, apart.high, unit=unit)}, n = {dsc.n} and {apart.n}, "
            f"{raters_of} raters, disputed {label.disputed} of {label.cases}{_intervals(dsc.level, dsc.low)}"
        )
        for case in [it for it in found.results.cases if it.label == label.label][:3]:
            told = "only some marked it" if case.empty else f"ASSD {_number(case.assd, unit=unit)}"
            click.echo(f"           {case.case}: {told}, DSC {_number(case.dsc)}")


def _interval(value: float | None, low: float | None, high: float | None, *, unit: str = "") -> str:
    ends = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{_number(value, unit=unit)}{ends}"


def _intervals(level: float | None, low: float | None) -> str:
    """Say of which level the brackets are, where there are any."""
    return "" if level is None or low is None else f", {100 * level:.3g} % intervals"


def _number(value: float | None, *, unit: str = "") -> str:
    return "not defined" if value is None else f"{value:.3f} {unit}".rstrip()
