"""Bring cases in any layout to the canonical table: cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from auditor.cases import Choice, Gathered

__all__ = ["cases"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("data", type=_FILE)
@click.option("--out", "-o", type=_FILE, help="Write the table here; its paths are relative to it.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "nnunet", "msd", "bids", "pairs", "dicom"]),
    default="auto",
    show_default=True,
)
@click.option(
    "--split", type=click.Choice(["test", "training"]), help="nnU-Net, MSD: which cases count."
)
@click.option(
    "--images", metavar="NAME,..", help="Channels by name: T1w,FLAIR (BIDS), T2 (dataset.json)."
)
@click.option("--references", metavar="NAME", help="The masks that count, by name (BIDS, DICOM).")
@click.option("--raters", metavar="NAME,..", help="Masks of several raters, by name (BIDS, DICOM).")
@click.option("--labels", metavar="NAME,..", help="DICOM: structures that count, numbered from 1.")
@click.option("--volumes", type=_FILE, help="DICOM: new folder for the converted volumes.")
def cases(
    data: Path, out: Path | None, layout: str, volumes: Path | None, **named: str | None
) -> None:
    """Bring the cases in DATA to the table that an audit reads.

    DATA is a folder of nnU-Net, the Decathlon (MSD), BIDS, paired folders or DICOM, or such a table,
    which is checked. The table goes to stdout, and to --out; what was recognised, the labels for
    audit.yaml and the next command go to stderr. DICOM is converted to NIfTI: case001, case002 and
    on, without names, ids or dates.
    """
    from auditor.cases import canonical_table
    from auditor.errors import ConfigError

    if out is not None and out.exists():
        msg = f"{out.name} exists already; give another name with -o, or remove it first"
        raise ConfigError(msg)
    choice = _choice(named)
    gathered, identities = _gathered(data, layout, choice, volumes)
    if volumes is not None and out is None:
        out = volumes / "cases.csv"
    table = canonical_table(gathered.cases, Path.cwd() if out is None else out.parent)
    if out is not None:
        _write(out, table)
    click.echo(table, nl=False)
    for line in (*_told(gathered, identities), *_next(gathered, out)):
        click.echo(line, err=True)


def _choice(named: Mapping[str, str | None]) -> Choice:
    from auditor.cases import Choice
    from auditor.errors import ConfigError

    if named["references"] and named["raters"]:
        msg = "--references and --raters exclude each other: one mask per case, or one per rater"
        raise ConfigError(msg)
    split = named["split"]
    return Choice(
        split="test" if split == "test" else "training" if split else "",
        images=_names(named["images"]),
        references=named["references"] or "",
        raters=_names(named["raters"]),
        labels=_names(named["labels"]),
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _gathered(
    data: Path, layout: str, choice: Choice, volumes: Path | None
) -> tuple[Gathered, Path | None]:
    """Gather a folder; DICOM is converted, and the file that says who is who comes with it."""
    from auditor.cases import Gathered, gather, names_patients, read_table, recognise
    from auditor.errors import ConfigError

    if data.is_file() and volumes is None:
        named = names_patients(data)
        return Gathered("table", f"table {data.name}", read_table(data), names_patients=named), None

    dicom = layout == "dicom" or (
        layout == "auto" and data.is_dir() and recognise(data) == ("dicom",)
    )
    if not dicom:
        if volumes is not None:
            msg = f"--volumes is for DICOM; {data.name} is in another layout, whose files are read in place"
            raise ConfigError(msg)
        return gather(data, layout=layout, choice=choice), None
    if volumes is None:
        msg = (
            f"{data.name} holds DICOM files; name a new folder for the converted volumes with --volumes: "
            f"segaudit cases {data.name} --volumes volumes"
        )
        raise ConfigError(msg)
    from auditor.cases.dicom import convert

    converted = convert(data, volumes, choice)
    return converted.gathered, converted.identities


def _write(out: Path, table: str) -> None:
    from auditor.errors import StoreError

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(table, encoding="utf-8")
    except OSError as error:
        msg = f"the table could not be written to {out.name}: {error.strerror or error}"
        raise StoreError(msg) from error


def _told(gathered: Gathered, identities: Path | None) -> list[str]:
    import yaml

    patients = len({record.patient for record in gathered.cases})
    lines = [f"recognised {gathered.text}", f"{len(gathered.cases)} cases of {patients} patients"]
    if not gathered.names_patients and len(gathered.cases) > 1:
        lines.append(
            "note: every case counts as a patient of its own; if one patient has several, name them in "
            "the column patient, or intervals and bounds are too narrow"
        )
    if gathered.channels:
        told = ", ".join(f"{n} {name}" for n, name in enumerate(gathered.channels))
        lines.append(f"channels: {told}")
    lines += [f"note: {note}" for note in gathered.notes]
    if identities is not None:
        lines.append(f"who is who stands in {identities}, which must not leave this machine")
    if gathered.labels:
        block = yaml.safe_dump(
            {"labels": dict(gathered.labels)}, sort_keys=False, allow_unicode=True
        )
        lines += ["for audit.yaml:", *block.rstrip().splitlines()]
    return lines


def _next(gathered: Gathered, out: Path | None) -> list[str]:
    modality = f" --modality {gathered.modality}" if gathered.modality else ""
    if out is None:
        return ["write it with -o cases.csv, then: segaudit init MODEL cases.csv" + modality]
    return [f"wrote {out}; next: segaudit init MODEL {out}{modality}"]
