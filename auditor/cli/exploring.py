"""Commands that need no run: init, schema, doctor."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

__all__ = ["doctor", "init", "schema"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("checkpoint", type=_FILE)
@click.argument("data", type=_FILE)
@click.option("--out", "-o", type=_FILE, default=Path("audit.yaml"), show_default=True)
@click.option("--modality", type=click.Choice(["ct", "mr", "us", "xray", "microscopy", "other"]))
def init(checkpoint: Path, data: Path, out: Path, modality: str | None) -> None:
    """Write a first audit.yaml for CHECKPOINT and the cases in DATA.

    DATA is a CSV table of cases, or a folder in a layout that is recognised (said on stderr). What
    was probed is written; what would be a scientific choice stands there as a line to fill in, and
    `segaudit check` asks for it.
    """
    from auditor.errors import ConfigError
    from auditor.pipeline import draft

    if out.exists():
        msg = f"{out} exists already; give another name with -o, or remove it first"
        raise ConfigError(msg)
    text, notes = draft(checkpoint, data, modality=modality, folder=out.resolve().parent)
    out.write_text(text, encoding="utf-8")
    for note in notes:
        click.echo(note, err=True)
    click.echo(f"wrote {out}; look it over, then: segaudit check {out}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of audit.yaml, for editors that complete and check it."""
    from auditor.config import json_schema

    click.echo(json.dumps(json_schema(), indent=1, sort_keys=True))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON on stdout.")
def doctor(as_json: bool) -> None:
    """Check this installation: packages, devices, sandbox; exits 4 when something is broken."""
    from auditor.errors import ConfigError
    from auditor.pipeline import examine_installation

    findings = examine_installation()
    if as_json:
        click.echo(json.dumps([asdict(it) for it in findings], indent=1))
    else:
        for it in findings:
            click.echo(f"{'ok' if it.good else 'PROBLEM':8} {it.what}: {it.found}")
    problems = [f"{it.what}: {it.found}. {it.cure}" for it in findings if not it.good]
    if problems:
        msg = "this installation needs attention:"
        raise ConfigError(msg, problems)
