"""Commands that read a run: report, gate, status, verify."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["gate", "report", "status", "verify"]

_RUN = click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.command()
@_RUN
@click.option("--no-images", is_flag=True, help="Embed no pixel data.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Write the report elsewhere.")
def report(run: Path, no_images: bool, out: Path | None) -> None:
    """Render report.html again from a finished run.

    Needs only results.json, provenance.json and exhibits/ of the folder RUN: neither the checkpoint
    nor the images.
    """
    from reports.build import build

    click.echo(f"report: {build(run, images=not no_images, out=out)}")


@click.command()
@_RUN
def gate(run: Path) -> int:
    """Exit with the verdict of a finished run.

    0 all required criteria are met, 1 one fails, 5 there is nothing to judge, 6 the evidence does
    not decide one, 7 the folder was changed after it was written.
    """
    from auditor.errors import IntegrityError
    from auditor.pipeline import exit_code_of, read_run, verify_sums

    finished = read_run(run)
    changed = verify_sums(run)
    if changed:
        msg = f"{run.name} was changed after it was written: {changed[0]}"
        raise IntegrityError(msg)
    for result in finished.results.criteria:
        click.echo(f"{result.id}  {result.verdict.value}", err=True)
    code = exit_code_of(finished.results)
    click.echo(finished.results.overall, err=True)
    return code


@click.command()
@_RUN
@click.option("--json", "as_json", is_flag=True, help="Print as JSON on stdout.")
def status(run: Path, as_json: bool) -> None:
    """Tell how far a run is: finished units, failures, whether results are written."""
    from auditor.pipeline import state_of

    state = state_of(run)
    if as_json:
        click.echo(json.dumps(state, indent=1, sort_keys=True))
        return
    for key, value in state.items():
        click.echo(f"{key.replace('_', ' '):18} {value}")


@click.command()
@_RUN
def verify(run: Path) -> None:
    """Check that a run is as it was written.

    Compares every listed file with SHA256SUMS and the lock with its own digest. Exits 7 when
    something was changed, is missing, or does not belong there.
    """
    from auditor.errors import IntegrityError
    from auditor.pipeline import read_lock, verify_sums

    read_lock(run)
    problems = verify_sums(run)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        msg = f"{run.name} is not as it was written:\n{listed}"
        raise IntegrityError(msg)
    click.echo(f"{run.name} is as it was written")
