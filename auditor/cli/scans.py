"""The command that writes the scans of an audit for systems that can only run elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["scans"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("config", type=_FILE)
@click.option("--out", "-o", type=_FILE, required=True, help="Folder, new or begun earlier.")
@click.option(
    "--files",
    type=click.Choice(["nnunet", "single"]),
    default="nnunet",
    show_default=True,
    help="One file a channel, with _0000, or one file a scan.",
)
@click.option("--limit", type=click.IntRange(min=1), help="So many cases only.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def scans(config: Path, out: Path, files: str, limit: int | None, quiet: bool) -> None:
    """Write every scan of an audit, for systems that run elsewhere.

    Reads CONFIG (audit.yaml) and writes the scans of all cases, clean and under every condition, to
    OUT/images: the very bits that systems are given, under names that say neither who nor what. Let the
    system predict them wherever it runs, put its label maps into a folder (scan_x.nii.gz for
    scan_x_0000.nii.gz), name that folder under `predictions:`, and run the audit. OUT/scans.csv says
    which scan is which. Goes on where it was interrupted.
    """
    from auditor.cli.progress import shown
    from auditor.config import load_config
    from auditor.pipeline import write_scans

    with shown(quiet=quiet) as show:
        found = write_scans(load_config(config), out, files=files, limit=limit, progress=show)
    click.echo(f"{found.scans} scans in {found.files} files: {out / 'images'}")
    if found.without:
        click.echo(
            f"{found.without} planned evaluations have no scan: a level changes nothing there, or is not "
            f"applicable (column status of {out / 'scans.csv'})"
        )
