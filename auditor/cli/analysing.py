"""The command for measurements that were made elsewhere: analyse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from auditor.schema import Estimate, Results

__all__ = ["analyse"]

_FILE = click.Path(path_type=Path)


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read a,b."""
    names = tuple(it.strip() for it in value.split(",") if it.strip()) if value else ()
    if value is not None and not names:
        msg = f"must be names with commas between them, was {value!r}"
        raise click.BadParameter(msg, ctx, param)
    return names


def _pairs(text: str, ctx: click.Context, param: click.Parameter) -> list[tuple[str, str]]:
    """Read a=1,b=2."""
    pairs = []
    for part in text.split(","):
        name, equals, value = (it.strip() for it in part.rpartition("="))
        if not equals or not name or not value:
            msg = f"must be NAME=VALUE, with commas between several, was {part!r}"
            raise click.BadParameter(msg, ctx, param)
        pairs.append((name, value))
    return pairs


def _mapped(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    return dict(pair for text in values for pair in _pairs(text, ctx, param))


def _numbered(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    return {
        name: _number(value, ctx, param)
        for text in values
        for name, value in _pairs(text, ctx, param)
    }


def _number(text: str, ctx: click.Context, param: click.Parameter) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"must be a number, was {text!r}"
        raise click.BadParameter(msg, ctx, param) from error


def _edges(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[float, ...] | str]:
    """Read age=65,75 or age=tertiles."""
    found: dict[str, tuple[float, ...] | str] = {}
    for text in values:
        name, equals, rest = text.partition("=")
        if not equals or not name or not rest:
            msg = f"must be COLUMN=NUMBER,NUMBER or COLUMN=tertiles, was {text!r}"
            raise click.BadParameter(msg, ctx, param)
        found[name] = (
            rest if rest == "tertiles" else tuple(_number(it, ctx, param) for it in rest.split(","))
        )
    return found


def _conditions(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[str, float]]:
    """Read low=speckle:1."""
    found = {}
    for name, text in _mapped(ctx, param, values).items():
        perturbation, colon, severity = text.rpartition(":")
        if not colon or not perturbation:
            msg = f"must be NAME=PERTURBATION:SEVERITY, as low=speckle:1, was {name}={text}"
            raise click.BadParameter(msg, ctx, param)
        found[name] = (perturbation, _number(severity, ctx, param))
    return found


def _declared(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    from auditor.errors import ConfigError
    from auditor.pipeline.measured_options import declared_metric

    try:
        return dict(declared_metric(text) for text in values)
    except ConfigError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _listed(
    flag: str, help_text: str, callback: Callable[..., Any], metavar: str, name: str = ""
) -> Callable[..., Any]:
    """Make an option that may stand several times."""
    names = (flag, name) if name else (flag,)
    return click.option(*names, multiple=True, callback=callback, metavar=metavar, help=help_text)


@click.command()
@click.argument("table", type=_FILE, nargs=-1, required=True)
@click.option("--out", "-o", type=_FILE, help="Folder [default: audit-runs/<table>].")
@_listed(
    "--map",
    "Which column is what: system, case, patient, metric, value, label, condition, "
    "perturbation, severity, level, unit, replicate, training_seed, family, status, reason.",
    _mapped,
    "ROLE=COLUMN,..",
    "columns",
)
@click.option("--metrics", callback=_names, metavar="A,B", help="Columns that are metrics.")
@click.option("--systems", callback=_names, metavar="A,B", help="Columns that are systems.")
@click.option("--system", default="", help="The system, where no column says it.")
@click.option("--label", default="", help="The label, where no column says it [foreground].")
@_listed("--labels", "Names of the labels of a summary.json.", _mapped, "1=spleen,..")
@click.option(
    "--name-pattern",
    default="",
    metavar="PATTERN",
    help="What names of files say, as '{system}_{condition}.csv' or '{system}/summary.json'.",
)
@click.option(
    "--clean", default="", metavar="NAME", help="The clean condition, as the table calls it."
)
@_listed(
    "--condition",
    "What a condition is: low=speckle:1.",
    _conditions,
    "NAME=PERTURBATION:SEVERITY",
    "conditions",
)
@click.option(
    "--patients-are-cases",
    is_flag=True,
    help="Assume that no patient has two cases, where no column names patients.",
)
@_listed(
    "--metric-info",
    "A metric that is not in the catalogue.",
    _declared,
    "NAME=higher|lower[,LOW,HIGH,UNIT]",
)
@_listed("--scale", "Factor on the values: dsc=0.01 for per cent.", _numbered, "METRIC=FACTOR")
@_listed(
    "--cap", "What stands in for infinite values and nan, in means too.", _numbered, "METRIC=VALUE"
)
@click.option(
    "--cap-order",
    type=click.Choice(["before", "after"]),
    help="Cap before replicates are averaged, or after.",
)
@_listed(
    "--worst",
    "What infinite values, nan and failures count as where failures count; means leave them out.",
    _numbered,
    "METRIC=VALUE",
)
@click.option(
    "--nan",
    type=click.Choice(["not_finite", "both_empty"]),
    default="not_finite",
    show_default=True,
    help="What nan means where no column status says it.",
)
@click.option("--length-unit", type=click.Choice(["mm", "px"]), help="Of distances.")
@click.option("--strata", callback=_names, metavar="A,B", help="Columns that group cases.")
@_listed(
    "--edges", "Where a column of numbers is cut: age=65,75 or age=tertiles.", _edges, "COLUMN=.."
)
@click.option(
    "--metadata", callback=_names, metavar="A,B", help="Further columns shown with each case."
)
@click.option(
    "--margin",
    type=float,
    metavar="DROP",
    help="Largest mean drop of the DSC from clean that counts as none, for breakpoints.",
)
@click.option("--floor", type=float, metavar="DSC", help="Smallest mean DSC that is enough.")
@click.option("--criteria", type=_FILE, help="YAML with criteria, as in audit.yaml; exploratory.")
@click.option("--modality", default="not stated", help="Of the scans, for the report.")
@click.option("--name", default="", help="Of the analysis [default: that of the table].")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resampling.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json on stdout.")
def analyse(table: tuple[Path, ...], out: Path | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401  # one keyword an option
    """Analyse measurements that were made elsewhere.

    TABLE is a CSV or TSV file (one line a measurement, one column per metric, or one column per system),
    or nnU-Net's summary.json; several files may hold the system or the condition in their names. Writes a
    folder like that of an audit: report.html, results.json, measurements.parquet. Nothing is run.

    \b
    segaudit analyse table.csv --clean clean -o audit-runs/table
    segaudit analyse table.csv --map system=arch,case=id --clean none --cap hd=362.04 --length-unit px
    segaudit analyse a/summary.json b/summary.json --name-pattern '{system}/summary.json' --patients-are-cases
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.pipeline import analyse as analysed
    from auditor.schema import encode
    from reports.build import build

    options: dict[str, Any] = {key: "" if value is None else value for key, value in given.items()}
    options |= {key: given[key] for key in ("criteria", "margin", "floor")}
    run = analysed(table[0] if len(table) == 1 else table, out=out, **options)
    page = build(run.folder)
    if as_json:
        click.echo(encode(run.results), nl=False)
    else:
        _print(run.results)
    click.echo(f"report     {page}", err=as_json)


def _print(results: Results) -> None:
    """Print what was read as what, what is missing, and the clean means."""
    told = results.measured
    assert told is not None  # the results of an analysed table
    for it in told.columns:
        click.echo(f"read       column {it.column!r} as {it.meaning}")
    people = len({case.patient for case in results.cases})
    click.echo(
        f"found      {len(results.systems)} systems, {len(results.cases)} cases of {people} patients, "
        f"{len(results.conditions)} conditions, {results.planned} evaluations"
    )
    if told.patients_are_cases:
        click.echo("assumed    no patient has two cases (--patients-are-cases)")
    for choice in told.choices:
        click.echo(f"declared   {choice}")
    for replaced in told.replaced:
        click.echo(f"replaced   {replaced.n} values of {replaced.metric}: {replaced.treatment}")
    missing = sum(it.missing for it in told.gaps)
    if told.gaps:
        click.echo(
            f"missing    {missing} cells of {len(told.gaps)} columns of system, condition, label and metric; "
            "the report lists them"
        )
    head = results.headline
    for name, mean in head.clean:
        click.echo(f"clean      {name}: mean {head.metric} of {head.label} {_estimate(mean)}")


def _estimate(it: Estimate) -> str:
    if it.value is None:
        return f"{it.note or it.status}; what failed counts at its worst value in the report"
    level = "" if it.level is None or it.low is None else f", {100 * it.level:.3g} % interval"
    ends = "" if it.low is None or it.high is None else f" [{it.low:.3f}, {it.high:.3f}]"
    return f"{it.value:.3f}{ends}, n = {it.n}{level}"
