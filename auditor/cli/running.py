"""Commands that run systems: demo, check, run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from auditor.pipeline import Preflight, Run

__all__ = ["check", "demo", "run"]

_FILE = click.Path(path_type=Path)


_WORKERS = click.option(
    "--workers",
    "-j",
    type=click.IntRange(min=1),
    default=max(1, min(4, os.cpu_count() or 1)),
    show_default=True,
    help="Worker processes. Changes no number, only the time.",
)


def _read_settings(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ANN401  # click's
    from auditor.config import parse_settings

    known = ctx.meta.setdefault(_SETTINGS, {})
    typed = parse_settings(value) if param.name == "set" else parse_settings((), device=value)
    known |= typed


_SETTINGS = "segaudit.settings"
"""Where a command keeps what was typed of systems."""

_SET = click.option(
    "--set",
    multiple=True,
    metavar="SYSTEM.FIELD=VALUE",
    expose_value=False,
    callback=_read_settings,
    help="Set a field of a system over the configuration: vendor-a.input.axes=LPS, or '*.batch=4' of "
    "all systems. May be given several times.",
)

_DEVICE = click.option(
    "--device",
    metavar="DEVICE",
    expose_value=False,
    callback=_read_settings,
    help="cpu, cuda or cuda:1, of all systems.",
)


def _typed() -> Mapping[str, Any]:
    """Return what --set and --device of the running command say."""
    found: Mapping[str, Any] = click.get_current_context().meta[_SETTINGS]
    return found


@click.command()
@click.argument("config", type=_FILE)
@_SET
@_DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
def check(config: Path, as_json: bool) -> None:
    """Look at everything once, before any long work.

    Reads CONFIG (audit.yaml), opens every checkpoint, finds by trying what its contract leaves open,
    compares golden pairs or tries other contracts on three cases, checks the geometry and labels of
    every case, runs one dry case, and tells the size of the plan, the time and disk it takes, how
    narrow an interval can get, and which criteria no data of this size could meet. Of the axes of
    groups it shows how the references are spread, and the patients in every group of some ways to
    cut them. Exits 4 when something would stop the audit.
    """
    from auditor.cli.progress import measured_cases, tries
    from auditor.config import load_config
    from auditor.errors import ConfigError
    from auditor.pipeline import look

    found = look(
        load_config(config, settings=_typed()),
        told=tries(),
        measured=measured_cases("axes of groups"),
    )
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=1, sort_keys=True))
    else:
        _print_look(found)
    if found.problems:
        msg = f"{len(found.problems)} problem(s) would stop this audit:"
        raise ConfigError(msg, found.problems)


@click.command()
@click.argument("config", type=_FILE)
@click.option("--out", "-o", type=_FILE, help="Folder of the run [default: audit-runs/<audit>].")
@_WORKERS
@_SET
@_DEVICE
@click.option(
    "--limit", type=click.IntRange(min=1), help="Preview: only this many cases, no verdicts."
)
@click.option(
    "--amend", metavar="WHY", help="Accept and record a change of the locked configuration."
)
@click.option(
    "--gate", "gated", is_flag=True, help="Exit with the verdict, as `segaudit gate` does."
)
@click.option("--no-images", is_flag=True, help="Embed no pixel data in the report.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def run(
    config: Path,
    out: Path | None,
    workers: int,
    limit: int | None,
    amend: str | None,
    gated: bool,
    no_images: bool,
    quiet: bool,
) -> int:
    """Run an audit; resumes by itself.

    Reads CONFIG (audit.yaml) and writes a folder with results.json and report.html. Interrupt it
    whenever you like: the same command goes on where it stopped, with the same result.
    """
    from auditor.pipeline import exit_code_of

    finished = _audited(
        config, out=out, workers=workers, limit=limit, amend=amend, quiet=quiet,
        images=not no_images, settings=_typed(),
    )  # fmt: skip
    for result in finished.results.criteria:
        click.echo(f"{result.id}  {result.verdict.value}  {result.text}")
    click.echo(f"report: {finished.folder / 'report.html'}")
    return exit_code_of(finished.results) if gated else 0


@click.command()
@click.option("--out", "-o", type=_FILE, default=Path("audit-runs/demo"), show_default=True)
@click.option("--patients", type=click.IntRange(min=2), default=60, show_default=True)
@_WORKERS
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def demo(out: Path, patients: int, workers: int, quiet: bool) -> None:
    """Audit three small systems on phantom patients; writes a report.

    Everything is embedded: 60 phantoms with known truth and three raters each, a U-Net, the same
    without skip connections, and one with attention gates. Works offline. A second, tiny audit
    declares a wrong axis order on purpose and is caught by its golden pair.
    """
    from auditor.demo import write_demo
    from auditor.pipeline import demo_lines, doubt_lines

    click.echo(f"writing {patients} phantom patients", err=True)
    config = write_demo(out / "input", patients=patients)
    finished = _audited(config, out=out / "run", workers=workers, quiet=quiet, images=True)
    doubted = _audited(
        config.with_name("wrong-axes.yaml"),
        out=out / "wrong-axes",
        workers=1,
        quiet=True,
        images=True,
    )
    for line in (*demo_lines(finished.results), *doubt_lines(doubted.results)):
        click.echo(line)
    click.echo(f"report: {finished.folder / 'report.html'}")


def _audited(
    config: Path,
    *,
    out: Path | None,
    workers: int,
    quiet: bool,
    images: bool,
    limit: int | None = None,
    amend: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    from auditor.cli.progress import shown
    from auditor.pipeline import audit
    from reports.build import build

    with shown(quiet=quiet) as show:
        finished = audit(
            config, out=out, workers=workers, limit=limit, amend=amend, progress=show,
            settings=settings,
        )  # fmt: skip
    build(finished.folder, images=images)
    return finished


def _as_json(found: Preflight) -> dict[str, object]:
    return {
        "problems": found.problems,
        "warnings": found.warnings,
        "unattainable": found.unattainable,
        "systems": [asdict(record) for record in found.systems],
        "dry": [asdict(it) for it in found.dry],
        "estimates": asdict(found.estimates),
        "cases": len(found.cases),
        "patients": len({case.patient for case in found.cases}),
        "excluded_patients": found.excluded,
        "units": len(found.plan.units),
        "plan_digest": found.plan.digest,
        "strata": [asdict(it) for it in found.strata],
        "certificates": [asdict(it) for it in found.certificates],
    }


def _print_look(found: Preflight) -> None:
    from auditor.cli.axes import lines_of_axes
    from auditor.cli.certificates import lines_of_certificates
    from auditor.cli.progress import duration

    patients = len({case.patient for case in found.cases})
    apart = f"; {found.excluded} more are excluded by cases.exclude" if found.excluded else ""
    click.echo(f"cases      {len(found.cases)} of {patients} patients{apart}")
    for record in found.systems:
        click.echo(
            f"system     {record.name}: {record.format}, sha256 {record.sha256[:12]}, contract "
            f"{record.contract.status.value}"
            + (
                f" ({record.golden_pairs} golden pairs, smallest DSC {record.golden_agreement:.4f})"
                if record.golden_agreement is not None
                else ""
            )
        )
        probed = [it for it in record.contract.fields if it.source.value == "probed"]
        for field in probed:
            click.echo(f"           {field.name}: {field.value} (probed, not declared)")
        if record.contract.sensitivity is not None:
            click.echo(f"           {record.contract.sensitivity.note}")
        for finding in record.findings:
            click.echo(f"           {finding}")
    for it in found.dry:
        if not it.problem:
            click.echo(f"dry case   {it.system}: {it.seconds:.2f} s")
    size = found.estimates
    click.echo(f"plan       {len(found.plan.units)} units, {size.evaluations} evaluations")
    spent = (
        "is not known, as nothing ran"
        if size.seconds is None
        else f"about {duration(size.seconds)} of forward passes on one worker"
    )
    click.echo(
        f"time       {spent}; disk about {size.disk_mb:.0f} MB of {size.free_mb:.0f} MB free"
    )
    click.echo(
        f"precision  with {patients} patients a 95 % interval of a mean DSC with SD 0.10 is about "
        f"± {size.half_width:.3f}"
    )
    for line in (*lines_of_axes(found.strata), *lines_of_certificates(found.certificates)):
        click.echo(line)
    for name in found.unattainable:
        click.echo(
            f"criterion  {name} is NOT ATTAINABLE: no data of {patients} patients could meet it"
        )
    for warning in found.warnings:
        click.echo(f"warning    {warning}")
