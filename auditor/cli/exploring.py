"""Commands that need no run: inspect, init, schema, doctor."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # --help must stay fast
    from auditor.systems.sidecars import Located

__all__ = ["doctor", "init", "inspect", "schema"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("checkpoint", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON on stdout.")
def inspect(checkpoint: Path, as_json: bool) -> None:
    """Tell what a checkpoint is and what it needs; no data needed.

    The file is recognised by its bytes, never by its name, and tried in the sandboxed child process
    with small inputs. CHECKPOINT may also be the folder of a MONAI bundle or of an nnU-Net training,
    whose own description is read. What cannot be found out is asked for by name, with the line to add.
    """
    from auditor.systems.probe import probe
    from auditor.systems.questions import still_open
    from auditor.systems.sidecars import locate
    from auditor.systems.sniff import sniff

    located = locate(checkpoint)
    sniffed = sniff(located.checkpoint)
    found = probe(located.checkpoint)
    if as_json:
        shipped = asdict(located) | {"checkpoint": located.checkpoint.name}
        content = {"file": asdict(sniffed), "shipped": shipped, "probe": asdict(found)}
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(f"file       {located.checkpoint.name}, {sniffed.size_bytes / 2**20:.1f} MB")
    for line in _shipped(located):
        click.echo(line)
    click.echo(f"format     {sniffed.format} {sniffed.detail}".rstrip())
    click.echo(f"sha256     {sniffed.sha256}")
    for line in found.sandbox:
        click.echo(f"sandbox    {line}")
    for field in found.fields:
        click.echo(f"{field.source.value:10} {field.name}: {field.value}")
    for line in found.findings:
        click.echo(f"finding    {line}")
    for question in still_open(found.questions, located.sidecar, located.questions):
        click.echo(f"declare    {question.line}  # {question.name}: {question.why}")


def _shipped(located: Located) -> list[str]:
    """Write what a maker ships, a line each."""
    from auditor.systems.contract import canonical_text

    lines = [
        f"sidecar    {part}.{name}: {canonical_text(value)}"
        for part, values in located.sidecar.items()
        for name, value in values.items()
    ]
    lines += [
        f"setting    {name}: {canonical_text(value)}  # as the maker predicts; not switched on"
        for name, value in located.settings.items()
    ]
    lines += [f"note       {line}" for line in located.notes]
    return [*lines, *(f"declare    {q.line}  # {q.name}: {q.why}" for q in located.questions)]


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
