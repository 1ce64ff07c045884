"""The command for two runs: compare."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["compare"]

_RUN = click.Path(path_type=Path, exists=True, file_okay=False)


def _successors(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, str] | None:
    """Read OLD=NEW."""
    found: dict[str, str] = {}
    for text in value:
        old, equals, new = (part.strip() for part in text.partition("="))
        if not (equals and old and new):
            msg = f"must be OLD=NEW, names of a system in the two runs, was {text!r}"
            raise click.BadParameter(msg, ctx, param)
        if old in found:
            msg = f"must name each system once, {old!r} stands twice"
            raise click.BadParameter(msg, ctx, param)
        found[old] = new
    return found or None


@click.command()
@click.argument("before", type=_RUN)
@click.argument("after", type=_RUN)
@click.option(
    "--system", "systems", multiple=True, metavar="OLD=NEW", callback=_successors,
    help="System of the run before, and its successor [default: the same name].",
)  # fmt: skip
@click.option("--metric", default="dsc", show_default=True, help="In [0, 1], in both runs.")
@click.option(
    "--margin", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.02,
    show_default=True, help="Largest mean loss that counts as none.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.8, show_default=True,
    help="Value at which a case changes sides.",
)  # fmt: skip
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path("compare"), show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print compare.json on stdout.")
@click.option(
    "--gate", "gated", is_flag=True, help="Exit 1 when a system is inferior, 6 when undecided."
)
def compare(  # noqa: PLR0913  # one parameter an option
    before: Path,
    after: Path,
    *,
    systems: dict[str, str] | None,
    metric: str,
    margin: float,
    threshold: float,
    out: Path,
    as_json: bool,
    gated: bool,
) -> int:
    """Compare a release with the one before, on the patients of both runs.

    BEFORE and AFTER are folders of finished runs. Cases are matched by the content of their files, and each
    system with its namesake. Every condition that means the same in both is judged: is the mean loss within
    the margin? Writes compare.json and compare.html: losses with intervals, groups of cases that lose, cases
    that flipped.

    \b
    segaudit compare audit-runs/v1 audit-runs/v2 --margin 0.02
    segaudit compare audit-runs/v1 audit-runs/v2 --system vendor-1=vendor-2 --gate
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.errors import ConfigError
    from auditor.execution.store import write_bytes
    from auditor.pipeline import compare_runs
    from auditor.pipeline.output_folder import make_folder
    from auditor.schema import encode
    from auditor.schema.release import ReleaseVerdict
    from reports.release import build_release

    for run in (before.resolve(), after.resolve()):
        if out.resolve() == run or run in out.resolve().parents:
            msg = (
                "the comparison must be written outside the runs, whose files are sealed; give another folder "
                "with -o"
            )
            raise ConfigError(msg)
    found = compare_runs(
        before, after, systems=systems, metric=metric, margin=margin, threshold=threshold
    )
    make_folder(out)
    text = encode(found)
    write_bytes(out / "compare.json", text.encode())
    page = build_release(out, found)
    if as_json:
        click.echo(text, nl=False)
    else:
        for line in (*found.sentences, *(f"not compared: {it}" for it in found.not_compared)):
            click.echo(line)
    click.echo(f"page       {page}", err=as_json)
    if not gated:
        return 0
    verdicts = {pair.verdict for pair in found.pairs}
    if ReleaseVerdict.INFERIOR in verdicts:
        return 1
    good = {ReleaseVerdict.NON_INFERIOR, ReleaseVerdict.CONDITIONAL}
    return 0 if verdicts <= good else 6
