"""The command that shows a perturbation on one scan: perturb."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from auditor.schema.preview import Preview

__all__ = ["perturb"]

_FILE = click.Path(path_type=Path)


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """Read numbers with commas between them."""
    if value is None:
        return ()
    try:
        numbers = tuple(float(part) for part in value.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)):
        msg = f"must be numbers with commas between them, as 1,3,5; was {value!r}"
        raise click.BadParameter(msg, ctx, param)
    return numbers


@click.command()
@click.argument("scans", metavar="SCAN...", nargs=-1, required=True, type=_FILE)
@click.argument("name")
@click.option("--out", "-o", type=_FILE, required=True, help="Folder to be written.")
@click.option(
    "--modality",
    type=click.Choice(["ct", "mr", "us", "xray", "microscopy", "other"]),
    help="Of the scan; decides levels and units. Needed unless NAME is for one modality only.",
)
@click.option(
    "--state",
    type=click.Choice(["raw", "windowed", "normalised", "skull_stripped"]),
    default="raw",
    show_default=True,
    help="What was done to the scan before.",
)
@click.option(
    "--severities", metavar="NUMBERS", callback=_numbers, help="As 1,2.5,5 [default: all listed]."
)
@click.option(
    "--levels", metavar="NUMBERS", callback=_numbers, help="In the unit, instead of severities."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--region", type=_FILE, help="Mask of the object, on the grid of the scan.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="As phase_axis=1.")
@click.option(
    "--window",
    metavar="NUMBERS",
    callback=_numbers,
    help="Black and white of the picture: -160,240.",
)
@click.option("--volumes/--no-volumes", default=True, show_default=True, help="Write the scans.")
@click.option("--force", is_flag=True, help="Replace an earlier preview in the folder.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print preview.json on stdout.")
def perturb(
    scans: tuple[Path, ...], name: str, as_json: bool, quiet: bool, **given: Any  # noqa: ANN401
) -> None:  # fmt: skip
    """Show what the perturbation NAME does to a scan.

    SCAN is a file that an audit could read (several: one per channel). Writes the perturbed scan at
    every severity, contact_sheet.png with differences and measured effects, and preview.json, from
    which `perturbations.replay` makes the same bits again. `segaudit ls perturbations NAME` tells what
    its levels are.

    \b
    segaudit perturb scan.nii.gz rician_noise -o preview/
    segaudit perturb slide.png gaussian_blur --modality microscopy -o preview/
    segaudit perturb ct.nii.gz gaussian_noise --modality ct --levels 15,45 -o preview/

    NIfTI, NRRD and MetaImage are written as float32 on the very grid of the scan; PNG, TIFF and BMP
    rounded and clipped to their own number type (in an audit nothing is rounded).
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.pipeline.previewing import PreviewRequest, preview
    from auditor.schema import encode

    asked = PreviewRequest(
        scans=scans, perturbation=name, out=given["out"], modality=given["modality"],
        state=given["state"], severities=given["severities"], levels=given["levels"],
        seed=given["seed"], region=given["region"], options=_options(given["options"]),
        volumes=given["volumes"], force=given["force"], window=_window(given["window"]),
    )  # fmt: skip
    found = preview(asked, progress=None if quiet else lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(encode(found), nl=False)
        return
    for line in _lines(found):
        click.echo(line)
    click.echo(f"picture: {given['out'] / found.sheet}")


def _options(given: Sequence[str]) -> dict[str, object]:
    import yaml

    from auditor.errors import ConfigError

    read: dict[str, object] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key.strip() or key.strip() in read:
            msg = f"--option must be KEY=VALUE, each key once, as phase_axis=1; was {text!r}"
            raise ConfigError(msg)
        try:
            read[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            msg = f"the value of --option {key.strip()} must be a number, a word or a list; was {value!r}"
            raise ConfigError(msg) from error
    return read


def _window(given: tuple[float, ...]) -> tuple[float, float] | None:
    from auditor.errors import ConfigError

    if not given:
        return None
    if len(given) != 2 or not given[0] < given[1]:
        msg = f"--window must be two numbers, the lower one first, as -160,240; was {given!r}"
        raise ConfigError(msg)
    return given[0], given[1]


def _lines(found: Preview) -> list[str]:
    """Tell the effect of every level, as a table."""
    from perturbations.catalog.wording import levels_are

    lines = [f"{'severity':>8}  {'level':>10}  {'NRMSE':>8}  {'SSIM':>6}"]
    for row in found.levels:
        severity = "-" if row.severity is None else f"{row.severity:.3g}"
        ssim = "-" if row.ssim is None else f"{row.ssim:.3f}"
        line = f"{severity:>8}  {row.level:>10.4g}  {row.nrmse:>8.3g}  {ssim:>6}"
        if row.displacement is not None:
            line += f"  moved {row.displacement:.3g} {found.length} on average"
        if row.retained is not None:
            line += f"  {row.retained:.1%} of the frame retained"
        if row.clipped:
            line += f"  {row.clipped:.1%} of the values clipped to {row.dtype}"
        lines.append(f"{line}  {row.reason}".rstrip())
    lines.append(f"{levels_are(found.unit)}; NRMSE relative to the reference signal of the scan")
    return lines
