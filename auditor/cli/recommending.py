"""The command that recommends: recommend."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

__all__ = ["recommend"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--site", type=_FILE, help="site.json of `segaudit profile SCANS --run RUN`.")
@click.option(
    "--mix", metavar="CONDITION=SHARE,..",
    help="Stated mix, as clean=0.6,rician_noise:1=0.4; or a YAML or JSON file of such pairs.",
)  # fmt: skip
@click.option("--label", help="What is scored, where the audit has several labels.")
@click.option("--metric", default="dsc", show_default=True, help="In [0, 1], more is better.")
@click.option(
    "--by", type=click.Choice(["system", "family"]), default="system", show_default=True,
    help="family: architectures, from several training runs of each.",
)  # fmt: skip
@click.option(
    "--ball", type=click.FloatRange(0.0, 1.0), default=0.1, show_default=True,
    help="Share of scans that may move to any other tested condition in the worst case.",
)  # fmt: skip
@click.option(
    "--groups", help="Column of the cases for the reality check [default: site, scanner ..]."
)
@click.option("--out", "-o", type=_FILE, default=Path("recipe"), show_default=True, help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="Print recipe.json on stdout.")
def recommend(  # noqa: PLR0913  # one parameter an option
    run: Path,
    *,
    site: Path | None,
    mix: str | None,
    label: str | None,
    metric: str,
    by: Literal["system", "family"],
    ball: float,
    groups: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Tell which systems of a finished run are not beaten at a site, or under a stated mix.

    RUN is the folder of a finished audit. Systems are compared on each patient's mean over the mix, all
    pairs at once; "no clear winner" is a normal answer. Writes recipe.json and recipe.html.

    \b
    segaudit profile scans/ --run audit-runs/demo/run -o site.json
    segaudit recommend audit-runs/demo/run --site site.json
    segaudit recommend audit-runs/demo/run --mix clean=0.6,rician_noise:2=0.4
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.errors import ConfigError
    from auditor.execution.store import write_bytes
    from auditor.pipeline import recommend as make
    from auditor.pipeline.output_folder import make_folder
    from auditor.schema import encode
    from reports.recipe import build_recipe

    if out.resolve() == run.resolve() or run.resolve() in out.resolve().parents:
        msg = "the recipe must be written outside the run, whose files are sealed; give another folder with -o"
        raise ConfigError(msg)
    found = make(
        run, site=site, mix=mix, label=label, metric=metric, by=by, ball=ball, groups=groups
    )
    make_folder(out)
    text = encode(found)
    write_bytes(out / "recipe.json", text.encode())
    page = build_recipe(out, found)
    if as_json:
        click.echo(text, nl=False)
    else:
        for sentence in found.sentences:
            click.echo(sentence)
        if found.interaction.lines:
            click.echo(
                "To look at the two worst axes together, add this to audit.yaml and run it again:"
            )
        for line in found.interaction.lines:
            click.echo(f"    {line}")
    click.echo(f"page       {page}", err=as_json)
