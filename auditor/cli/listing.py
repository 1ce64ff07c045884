"""The command that lists the catalogues: ls."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from perturbations import Perturbation
    from perturbations.catalog import Levels

__all__ = ["ls"]

_MODALITIES = ["ct", "mr", "us", "xray", "microscopy", "other"]


@click.command()
@click.argument("what", type=click.Choice(["perturbations", "metrics", "presets"]))
@click.argument("name", required=False)
@click.option("--family", help="Perturbations of this family only: noise, geometry, ...")
@click.option(
    "--modality", type=click.Choice(_MODALITIES), help="Perturbations for these scans only."
)
@click.option("--json", "as_json", is_flag=True, help="Print every field as JSON on stdout.")
def ls(
    what: str, name: str | None, family: str | None, modality: str | None, as_json: bool
) -> None:
    """List perturbations, metrics or presets; with NAME, tell everything of one.

    \b
    segaudit ls perturbations --modality ct
    segaudit ls perturbations rician_noise
    segaudit ls presets
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.errors import ConfigError

    if what != "perturbations" and (family or modality):
        msg = f"--family and --modality choose perturbations, not {what}"
        raise ConfigError(msg)
    if what == "perturbations":
        rows: Sequence[Mapping[str, Any]] = _perturbations(name, family, modality)
    else:
        rows = _named(name, _metrics() if what == "metrics" else _presets(), what)
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif what != "perturbations":
        _print_plain(rows, what)
    elif name:
        _print_detail(rows[0])
    else:
        _print_table(rows)


def _perturbations(
    name: str | None, family: str | None, modality: str | None
) -> list[dict[str, Any]]:
    from auditor.errors import ConfigError
    from perturbations import CATALOG, get

    if name:
        try:
            return [_row(get(name))]
        except ValueError as error:
            raise ConfigError(str(error)) from error
    families = list(dict.fromkeys(entry.family for entry in CATALOG.values()))
    if family and family not in families:
        msg = f"--family must be one of {', '.join(families)}; was {family!r}"
        raise ConfigError(msg)
    return [
        _row(entry)
        for entry in CATALOG.values()
        if (not family or entry.family == family)
        and (not modality or not entry.modalities or modality in entry.modalities)
    ]


def _row(entry: Perturbation) -> dict[str, Any]:
    """Every field of a line, as JSON values."""
    from perturbations.catalog import STATES

    held = entry.modalities or tuple(_MODALITIES)
    return {
        "name": entry.name,
        "family": entry.family,
        "modalities": list(entry.modalities),
        "levels": {
            kind: {"unit": row.unit, "values": list(row.values)}
            for kind, row in _levels(entry).items()
        },
        "neutral": entry.neutral,
        "limits": list(entry.limits),
        "scale": entry.scale,
        "options": dict(entry.options),
        "draws": entry.draws,
        "channels": entry.channels,
        "needs": entry.needs,
        "needs_region": entry.uses_region,
        "geometric": entry.geometric,
        "states": {
            modality: {state: entry.on_state(state, modality) for state in STATES}
            for modality in held
        },
        "stress_from": entry.stress_from,
        "protocol": entry.protocol,
        "note": entry.note,
        "source": entry.source,
    }


def _levels(entry: Perturbation) -> dict[str, Levels]:
    """Rows of levels that scans can meet: only one where the modalities leave no other."""
    from perturbations.catalog import modality_class

    held = entry.modalities or tuple(_MODALITIES)
    rows: dict[str, Levels] = {}
    for modality in held:
        if modality == "ct" and entry.ct is not None:
            rows["ct"] = entry.ct
        elif modality_class(modality) == "display" and entry.display is not None:
            rows["display"] = entry.display
        else:
            rows["body"] = entry.body
    kinds = [kind for kind in ("body", "ct", "display") if kind in rows]
    return {kind: rows[kind] for kind in kinds}


def _named(name: str | None, rows: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    import difflib

    from auditor.errors import ConfigError

    if name is None:
        return rows
    names = [row["name"] for row in rows]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        msg = f"there is no {name!r} among the {what}; {hint}"
        raise ConfigError(msg)
    return [row for row in rows if row["name"] == name]


def _metrics() -> list[dict[str, Any]]:
    from auditor.metrics.catalog import METRICS, PARAMETERS
    from auditor.metrics.policy import policy_words, worst_words

    rows = []
    for metric in METRICS.values():
        needs = [f"{name}: {PARAMETERS[name].must_be}" for name in metric.needs]
        needs += ["probabilities of the system"] * metric.needs_probabilities
        high = "unbounded" if metric.high is None else f"{metric.high:g}"
        rows.append(
            {
                "name": metric.name,
                "title": metric.title,
                "unit": metric.unit,
                "range": f"{metric.low:g} to {high}",
                "better": "higher" if metric.higher_is_better else "lower",
                "definition": metric.definition,
                "needs": needs,
                "policy": dict(policy_words(metric.name)),
                "worst": worst_words(metric.name),
                "blind": metric.blind,
                "reference": metric.reference,
            }
        )
    return rows


def _presets() -> list[dict[str, Any]]:
    """Presets of this catalogue first, then those that reproduce a published protocol."""
    from perturbations import CATALOG, PRESETS

    protocols = {entry.protocol for entry in CATALOG.values() if entry.protocol}
    rows = [
        {
            "name": name,
            "kind": "published protocol" if name in protocols else "graded by this catalogue",
            "holds": list(entries),
        }
        for name, entries in PRESETS.items()
    ]
    return sorted(rows, key=lambda row: row["kind"] == "published protocol")


def _print_plain(rows: Sequence[Mapping[str, Any]], what: str) -> None:
    kind = ""
    for row in rows:
        if row.get("kind", "") != kind:
            kind = row["kind"]
            click.echo(f"{'' if row is rows[0] else chr(10)}{kind}:")
        click.echo(row["name"])
        for key, value in row.items():
            if isinstance(value, Mapping):
                for place, (status, words) in enumerate(value.items()):
                    _field("" if place else key, f"{status}: {words}")
            elif key not in ("name", "kind") and value:
                _field(key, ", ".join(value) if isinstance(value, list) else value)
    if what == "presets":
        click.echo("\nIn audit.yaml: perturbations: {preset: NAME}")


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Names, modalities and levels; one block a family."""
    families = list(dict.fromkeys(row["family"] for row in rows))
    rows = sorted(rows, key=lambda row: families.index(row["family"]))
    family = ""
    for row in rows:
        if row["family"] != family:
            family = row["family"]
            click.echo(f"{'' if row is rows[0] else chr(10)}{family}")
        click.echo(f"  {row['name']:26} {', '.join(row['modalities']) or 'any'}")
        for kind, levels in row["levels"].items():
            _field(kind, _values(levels), indent=6)
        extra = [f"{key}={json.dumps(value)}" for key, value in row["options"].items()]
        if extra:
            _field("options", ", ".join(extra), indent=6)
        _field("source", row["source"], indent=6, lines=1)
    if not rows:
        click.echo("none")
        return
    told = (
        "Levels are those of severities 1, 2, 3, ...; body: scans in mm (ct: its own where listed), "
        "display: ultrasound, X-ray and microscopy. Everything of one: segaudit ls perturbations NAME"
    )
    click.echo("\n" + textwrap.fill(told, _width()))


def _values(levels: Mapping[str, Any]) -> str:
    from perturbations.catalog.wording import worded

    return worded(", ".join(f"{value:.4g}" for value in levels["values"]), levels["unit"])


def _print_detail(row: Mapping[str, Any]) -> None:
    from perturbations.catalog.wording import worded

    low, high = row["limits"]
    unit = next(iter(row["levels"].values()))["unit"]
    click.echo(f"{row['name']}  ({row['family']})")
    _field("level", row["note"])
    for kind, levels in row["levels"].items():
        _field(kind, _values(levels))
    limits = worded(f"{low:g} to {high:g}", unit)
    _field("limits", f"{limits}; {row['neutral']:g} changes nothing")
    between = "none: whole levels only" if row["scale"] == "ordinal" else f"{row['scale']} scale"
    _field("between", between)
    _field("stress", f"from severity {row['stress_from']} on")
    _field("modality", ", ".join(row["modalities"]) or "any")
    for option, default in row["options"].items():
        _field("option", f"{option}, {json.dumps(default)} unless declared")
    if row["needs"] or row["needs_region"]:
        _field("needs", row["needs"] or "the region of the reference")
    _print_states(row["states"])
    _field("draws", f"{row['draws']}; channels: {row['channels']}")
    if row["geometric"]:
        _field("geometry", "voxels move or leave the field of view; scored in the original frame")
    if row["protocol"]:
        _field("protocol", row["protocol"])
    _field("source", row["source"])
    click.echo(f"\nSee it: segaudit perturb SCAN {row['name']} -o preview/")


def _print_states(states: Mapping[str, Mapping[str, str]]) -> None:
    """Say once what is the same for most modalities, and beside it where one differs."""
    told = {
        modality: ", ".join(f"{state} {what}" for state, what in found.items())
        for modality, found in states.items()
    }
    usual = max(told.values(), key=list(told.values()).count)
    _field("states", usual)
    for modality, found in told.items():
        if found != usual:
            _field(f"on {modality}", found)


def _width() -> int:
    """Columns to print in: as many as the terminal has, within what can be read."""
    return max(40, min(112, shutil.get_terminal_size((100, 24)).columns))


def _field(key: str, value: str, *, indent: int = 4, lines: int | None = None) -> None:
    """Print one wrapped field; cut after some lines, with a mark."""
    head = f"{' ' * indent}{key:10} "
    wrapped = textwrap.wrap(
        value,
        _width(),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        max_lines=lines,
        placeholder=" ...",
    )
    click.echo("\n".join(wrapped) or head.rstrip())
