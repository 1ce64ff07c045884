"""What ``segaudit check`` tells of an audit before any long work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from auditor.cli.axes import lines_of_axes
from auditor.cli.certificates import lines_of_certificates
from auditor.cli.progress import duration

if TYPE_CHECKING:
    from auditor.pipeline import Preflight
    from auditor.pipeline.layer_look import LayerLook

__all__ = ["lines_of_layers", "look_as_json", "print_look"]


def look_as_json(found: Preflight) -> dict[str, object]:
    """Write the findings of `segaudit check` as JSON values."""
    return {
        "problems": found.problems,
        "warnings": found.warnings,
        "unattainable": [it.id for it in found.unattainable],
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
        "layers": [asdict(it) for it in found.layers],
        "undecided": [asdict(it) for it in found.undecided],
    }


def print_look(found: Preflight) -> None:
    """Print what `segaudit check` found, problems apart."""
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
        # of an ablated system the finding says why
        if record.contract.sensitivity is not None and record.ablation is None:
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
    for line in (
        *lines_of_axes(found.strata),
        *lines_of_certificates(found.certificates),
        *lines_of_layers(found.layers),
    ):
        click.echo(line)
    _print_claims(found)


def lines_of_layers(looks: Sequence[LayerLook]) -> Iterator[str]:
    """Tell what comparing layers costs."""
    for it in looks:
        told = "" if it.seconds is None else f", about {duration(it.seconds)} on one worker"
        yield f"layers     {it.system}: at most {it.passes} further passes{told}"


def _print_claims(found: Preflight) -> None:
    """Print which claims cannot be met, which choices nobody made, and warnings."""
    for it in found.unattainable:
        of = f" of {it.group}" if it.group else ""
        click.echo(
            f"criterion  {it.id} is NOT ATTAINABLE: no data of {it.patients} patients{of} could meet it"
        )
    if found.undecided:
        told = ", ".join(f"{it.where} {it.value}" for it in found.undecided)
        click.echo(f"undecided  defaults of segaudit count, until somebody declares them: {told}")
    for warning in found.warnings:
        click.echo(f"warning    {warning}")
