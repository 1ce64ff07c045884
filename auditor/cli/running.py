"""Commands that run systems: demo, check, lock, run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from auditor.pipeline import Run

__all__ = ["check", "demo", "lock", "run"]

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
    from auditor.cli.preflight import look_as_json, print_look
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
        click.echo(json.dumps(look_as_json(found), indent=1, sort_keys=True))
    else:
        print_look(found)
    if found.problems:
        msg = f"{len(found.problems)} problem(s) would stop this audit:"
        raise ConfigError(msg, found.problems)


@click.command()
@click.argument("config", type=_FILE)
@click.option("--out", "-o", type=_FILE, help="Folder of the run [default: audit-runs/<audit>].")
@_SET
@_DEVICE
@click.option(
    "--amend", metavar="WHY", help="Accept and record a change of the locked configuration."
)
@click.option("--json", "as_json", is_flag=True, help="Print the digests as JSON on stdout.")
def lock(config: Path, out: Path | None, amend: str | None, as_json: bool) -> None:
    """Freeze an audit and its claims before the first result.

    Reads CONFIG (audit.yaml) and everything that it names, and writes audit.lock.yaml into the folder
    of the run: the resolved configuration with its criteria, and the SHA-256 of every file of the cases
    and of every checkpoint. `segaudit run` does the same before it begins; this command lets somebody
    else keep the digest first. A run in the same folder goes on from the lock, and refuses a silent
    change (exit 7).
    """
    from auditor.cli.progress import tries
    from auditor.config import load_config
    from auditor.execution.store import digest_file
    from auditor.pipeline import lock as freeze

    path, frozen = freeze(load_config(config, settings=_typed()), out, amend=amend, told=tries())
    digest = digest_file(path)
    if as_json:
        known = {
            "lock_sha256": digest,
            "config_digest": frozen.config_digest,
            "manifest_digest": frozen.manifest_digest,
            "systems": frozen.systems,
            "amendments": len(frozen.amendments),
        }
        click.echo(json.dumps(known, indent=1, sort_keys=True))
        return
    claims = len(frozen.config["criteria"])
    click.echo(f"locked     {path}: {claims} claim(s), {len(frozen.systems)} system(s)")
    click.echo(f"sha256     {digest}")
    click.echo("           kept by somebody else, it shows later that nothing was changed")


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
