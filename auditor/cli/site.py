"""Commands about the scans of a site, which have no references."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["profile"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("scans", type=_FILE)
@click.option("--out", "-o", type=_FILE, default=Path("site.json"), show_default=True)
@click.option(
    "--run", type=_FILE, help="Finished run whose table places the scans on its severity axes."
)
@click.option("--modality", type=click.Choice(["ct", "mr", "us", "xray", "microscopy", "other"]))
@click.option("--state", type=click.Choice(["raw", "windowed", "normalised", "skull_stripped"]))
@click.option(
    "--identities", type=_FILE, help="CSV of display ids and file names; it stays with you."
)
@click.option("--force", is_flag=True, help="Replace files of an earlier profile.")
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON on stdout.")
def profile(
    scans: Path,
    out: Path,
    run: Path | None,
    modality: str | None,
    state: str | None,
    identities: Path | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Measure the unlabelled scans of a site: noise, blur, bias, ghosting, slices, intensities.

    SCANS is a folder (searched to any depth) or one file. Every scan becomes a row under a display id;
    no file name and no voxel is written. With --run the scans are placed on the severity axes of that
    run by its own table from estimate to severity, where severity 0 is its test set as it is; without,
    the estimates stand in their units. Beside the JSON file lies a picture of the distribution.

    An example: segaudit profile scans/ --run audit-runs/spleen -o site.json
    """
    from auditor.errors import ConfigError
    from auditor.execution.store import write_bytes
    from auditor.exhibits.profile_picture import draw_profile
    from auditor.pipeline import profile as measure
    from auditor.pipeline import profile_lines
    from auditor.schema import encode

    if out.is_dir() or out.suffix.lower() == ".png":
        msg = f"-o must be the JSON file, as site.json (its picture lies beside it as .png), was {out}"
        raise ConfigError(msg)
    picture = out.with_suffix(".png")
    if identities in (out, picture):
        msg = (
            f"--identities must be another file than the profile and its picture, was {identities}"
        )
        raise ConfigError(msg)
    standing = [path for path in (out, picture, identities) if path is not None and path.exists()]
    if standing and not force:
        names = ", ".join(path.name for path in standing)
        msg = f"{names} exists already; give another name with -o, or replace it with --force"
        raise ConfigError(msg)
    found, names_of = measure(scans, modality=modality, state=state, run=run, progress=_told)
    text = encode(found)
    write_bytes(out, text.encode())
    write_bytes(picture, draw_profile(found))
    if identities is not None:
        rows = "".join(f"{scan},{_quoted(name)}\n" for scan, name in names_of)
        write_bytes(identities, f"scan,file\n{rows}".encode())
    for scan, reason in found.unread:
        click.echo(f"not read: {scan}: {reason}", err=True)
    if as_json:
        click.echo(text, nl=False)
        return
    for line in profile_lines(found):
        click.echo(line)
    click.echo(f"wrote {out} and {picture} ({len(found.scans)} scans)")


def _told(done: int, total: int) -> None:
    """Say how far it is, now and then."""
    if done == total or done % max(1, total // 10) == 0:
        click.echo(f"{done} of {total} scans", err=True)


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'
