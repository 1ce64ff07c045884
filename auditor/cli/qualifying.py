"""The command for the qualification of this installation: qualify."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from auditor.pipeline.qualifying import Qualified

__all__ = ["qualify"]


@click.command()
@click.option(
    "--oq",
    is_flag=True,
    help="Operational qualification: the statistics, on cohorts whose true means are known.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every check as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="Print only what failed, and the last line.")
def qualify(oq: bool, as_json: bool, quiet: bool) -> None:
    """Check that the bounds of this installation hold as often as they promise.

    With --oq cohorts are drawn from seven laws with known means, and every interval and bound is counted
    on them: means, medians, shares, new patients (also under stated mixes and in bins of noise),
    severities together, and the claim of a small drop. Takes about a minute, needs no data, and gives the
    same counts on every run. Exits 7 when one misses its level.

    \b
    segaudit qualify --oq
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.errors import ConfigError, IntegrityError
    from auditor.pipeline.qualifying import qualify as check

    if not oq:
        msg = "say what is to be qualified: --oq, the statistics of this installation"
        raise ConfigError(msg)
    show = not (quiet or as_json)
    found = check(told=_print if show else lambda _: None)
    bad = [it for it in found if not it.good]
    if as_json:
        click.echo(json.dumps([asdict(it) for it in found], indent=1))
    elif quiet:
        for it in bad:
            _print(it)
    click.echo(f"{len(found) - len(bad)} of {len(found)} checks passed", err=as_json)
    if bad:
        msg = "this installation does not compute what it promises: " + "; ".join(
            f"{it.what}: {it.found:.4g}, promised {it.promised:.4g}" for it in bad
        )
        raise IntegrityError(msg)


def _print(it: Qualified) -> None:
    """Print one check."""
    if it.drawn:
        told = f"held for {it.found:.3f} of {it.drawn} cohorts (at least {it.promised:.3g})"
    else:
        told = f"{it.found:.6g} (must be {it.promised:.6g})"
    click.echo(f"{'ok' if it.good else 'FAILED':7} {it.what}: {told}")
