"""The command line: one thin function a command, and the only place that prints.

Results for machines go to stdout, progress and messages to stderr. Every command exits 0 when its
own job is done, whatever the verdict; only ``gate`` (and ``run --gate``) maps verdicts.
"""

from __future__ import annotations

import sys
import traceback

import click

from auditor.cli.terminal import harmless_output
from auditor.errors import AuditError

__all__ = ["main", "segaudit"]

_COMMANDS = {
    "demo": "auditor.cli.running:demo",
    "check": "auditor.cli.running:check",
    "lock": "auditor.cli.running:lock",
    "run": "auditor.cli.running:run",
    "scans": "auditor.cli.scans:scans",
    "report": "auditor.cli.reading:report",
    "gate": "auditor.cli.reading:gate",
    "status": "auditor.cli.reading:status",
    "verify": "auditor.cli.reading:verify",
    "compare": "auditor.cli.comparing:compare",
    "inspect": "auditor.cli.inspecting:inspect",
    "skips": "auditor.cli.skips:skips",
    "screen": "auditor.cli.screening:screen",
    "init": "auditor.cli.exploring:init",
    "cases": "auditor.cli.gathering:cases",
    "raters": "auditor.cli.raters:raters",
    "analyse": "auditor.cli.analysing:analyse",
    "profile": "auditor.cli.site:profile",
    "rate": "auditor.cli.rating:rate",
    "recommend": "auditor.cli.recommending:recommend",
    "perturb": "auditor.cli.perturbing:perturb",
    "score": "auditor.cli.scoring:score",
    "ls": "auditor.cli.listing:ls",
    "schema": "auditor.cli.exploring:schema",
    "doctor": "auditor.cli.exploring:doctor",
    "qualify": "auditor.cli.qualifying:qualify",
}

_SUMMARIES = {
    "demo": "Audit three small systems on phantom patients; writes a report.",
    "check": "Look at everything once, before any long work.",
    "lock": "Freeze an audit and its claims before the first result.",
    "run": "Run an audit; resumes by itself.",
    "scans": "Write every scan of an audit, for systems that run elsewhere.",
    "report": "Render report.html again from a finished run.",
    "gate": "Exit with the verdict of a finished run.",
    "status": "Tell how far a run is.",
    "verify": "Check that a run is as it was written.",
    "compare": "Compare a release with the one before, patient by patient.",
    "inspect": "Tell what a checkpoint is and what it needs.",
    "skips": "Tell which skip connections a network has, and how to ablate them.",
    "screen": "Take a first look at a checkpoint on your data, in half an hour.",
    "init": "Write a first audit.yaml for a checkpoint and a folder of cases.",
    "cases": "Bring the cases of a folder to the table that an audit reads.",
    "raters": "Tell how much the raters of a table of cases agree; needs no system.",
    "analyse": "Analyse measurements that were made elsewhere.",
    "profile": "Measure the scans of a site, and place them on the axes of a run.",
    "rate": "Rate a new scan: a lower bound of its DSC, a grade, inner and outer masks.",
    "recommend": "Tell which systems of a run are not beaten at a site, or under a mix.",
    "perturb": "Show what a perturbation does to a scan.",
    "score": "Score one prediction against its reference.",
    "ls": "List perturbations, metrics or presets.",
    "schema": "Print the JSON Schema of audit.yaml.",
    "doctor": "Check this installation.",
    "qualify": "Check that the bounds of this installation hold as promised.",
}


class _Lazy(click.Group):
    """A group that imports a command only when it is called, so that --help is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # click's signature
        return list(_COMMANDS)

    def get_command(
        self, ctx: click.Context, cmd_name: str
    ) -> click.Command | None:  # click's signature
        if cmd_name not in _COMMANDS:
            return None
        import importlib

        module, _, name = _COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # the table above names commands
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:  # click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUMMARIES.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if not near or "Did you mean" in error.message:
                raise
            told = f"{error.message} Did you mean {near[0]!r}?"
            raise click.UsageError(told, ctx) from error


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
@click.version_option(package_name="segaudit", prog_name="segaudit")
def segaudit(debug: bool) -> None:  # read by main() from the command line
    """Audit a segmentation checkpoint that you did not train.

    \b
    A first look:      segaudit demo
    Your checkpoint:   segaudit inspect model.onnx
                       segaudit screen model.onnx DATA/ -t 30m --modality mr
                       segaudit init model.onnx DATA/
                       segaudit check audit.yaml
                       segaudit run audit.yaml -o audit-runs/mine

    Exit status: 0 done, 1 a criterion fails (gate), 2 interrupted (run the same command again), 3
    internal error, 4 bad usage, configuration or data, 5 nothing to judge (gate), 6 evidence
    insufficient (gate), 7 the folder belongs to another audit or was changed.
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so


def main() -> None:
    """Run the command line and exit with its status."""
    with harmless_output():
        status = _run(sys.argv[1:])
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    try:
        status = segaudit.main(args=arguments, prog_name="segaudit", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("\ninterrupted; run the same command again to go on", err=True)
        return 2
    except click.ClickException as error:
        error.show()
        return 4
    except AuditError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        return 0  # the reader of our output has seen enough (| head)
    except KeyboardInterrupt:
        click.echo("\ninterrupted; run the same command again to go on", err=True)
        return 2
    except Exception as error:  # noqa: BLE001  # the one place that turns a defect into a message
        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(
            f"internal error: {type(error).__name__}: {error}\n"
            "This is a defect of segaudit. Finished units are kept. "
            "`segaudit --debug ..` shows where it happened.",
            err=True,
        )
        return 3
    return status if isinstance(status, int) else 0
