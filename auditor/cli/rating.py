"""The command that rates new scans with the certificate of an audit: rate."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from auditor.pipeline.rated_cases import NamedScan, Rated
    from auditor.pipeline.rating import ScanRater
    from auditor.schema.ratings import Promises, RatedScans, Rating

__all__ = ["rate"]

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("certificate", type=_FILE)
@click.argument("scans", type=_FILE, nargs=-1)
@click.option("--checkpoint", type=_FILE, required=True, help="The system of the certificate.")
@click.option(
    "--cases", type=_FILE, metavar="TABLE",
    help="Table of cases to rate; with references the kept promises are counted.",
)  # fmt: skip
@click.option("--out", "-o", type=_FILE, required=True, help="Folder of the ratings.")
@click.option(
    "--modality", type=click.Choice(["ct", "mr", "us", "xray", "microscopy", "other"]),
    help="Of the scans [default: what the certificate is for].",
)  # fmt: skip
@click.option(
    "--state", type=click.Choice(["raw", "windowed", "normalised", "skull_stripped"]),
    help="Of the scans [default: what the certificate is for].",
)  # fmt: skip
@click.option(
    "--masks", type=click.Choice(["distance", "probability"]), default="distance",
    show_default=True, help="By which inner and outer mask lie around the prediction.",
)  # fmt: skip
@click.option(
    "--timeout-s", type=click.FloatRange(min=1), help="Longest time of one call [default: 600]."
)
@click.option(
    "--memory-gb", type=click.FloatRange(min=1), help="Of the sandboxed process [default: 8]."
)
@click.option("--no-images", is_flag=True, help="Embed no pixel data in the cards.")
@click.option("--force", is_flag=True, help="Replace the files of an earlier rating.")
@click.option("--json", "as_json", is_flag=True, help="Print the ratings as JSON on stdout.")
def rate(  # noqa: PLR0913  # one parameter an option
    certificate: Path,
    scans: tuple[Path, ...],
    *,
    checkpoint: Path,
    cases: Path | None,
    out: Path,
    modality: str | None,
    state: str | None,
    masks: str,
    timeout_s: float | None,
    memory_gb: float | None,
    no_images: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Rate new scans: a lower bound of their DSC, a grade, inner and outer masks.

    CERTIFICATE is a file that an audit wrote under certificates/; --checkpoint is its system, and no
    other is run. One of SCANS gets prediction.nii.gz, outer.nii.gz, inner.nii.gz, rating.json and a page,
    rating.html; several, or those of a table, a folder each, and ratings.json and ratings.csv. A scan that
    the certificate was not calibrated for is not rated (NR), and its card says why.

    \b
    segaudit rate certificates/vendor-a.spleen.json --checkpoint vendor_a.onnx scan.nii.gz -o out
    segaudit rate certificates/vendor-a.spleen.json --checkpoint vendor_a.onnx --cases new.csv -o out
    """  # noqa: D301  # click keeps the lines of a paragraph that starts so
    from auditor.errors import ConfigError
    from auditor.pipeline.rated_cases import scans_of_files, scans_of_table
    from auditor.pipeline.rated_files import make_room
    from auditor.pipeline.rating import ScanRater

    if bool(scans) == (cases is not None):
        msg = "give the scans to rate, or a table of them with --cases" + (
            ", not both" if scans else ""
        )
        raise ConfigError(msg)
    named = scans_of_table(cases) if cases is not None else scans_of_files(scans)
    alone = cases is None and len(named) == 1
    limits = {"timeout_s": timeout_s, "memory_gb": memory_gb}
    with ScanRater.of(
        certificate,
        checkpoint,
        masks="probability" if masks == "probability" else "distance",
        limits={name: value for name, value in limits.items() if value is not None},
    ) as rater:
        make_room(out, [] if alone else [it.name for it in named], force=force)
        shown = _Shown(out, alone=alone, images=not no_images, quiet=as_json)
        rated = shown.rated(rater, named, modality=modality, state=state)
        if alone:
            text = _text_of(rated[0])
        else:
            summary = shown.summary(rater, rated)
            text = json.dumps(asdict(summary), sort_keys=True, indent=1, allow_nan=False)
    if as_json:
        click.echo(text)
    click.echo(f"wrote {out}", err=as_json)


class _Shown:
    """Writes what was found scan by scan, and says so."""

    def __init__(self, out: Path, *, alone: bool, images: bool, quiet: bool) -> None:
        self._out, self._alone, self._images, self._quiet = out, alone, images, quiet

    def rated(
        self,
        rater: ScanRater,
        scans: tuple[NamedScan, ...],
        *,
        modality: str | None,
        state: str | None,
    ) -> list[Rated]:
        """Rate every scan; its voxels go when its files are written."""
        from dataclasses import replace

        from auditor.errors import DataError
        from auditor.pipeline.rated_cases import rate_all
        from auditor.pipeline.rated_files import write_rated
        from auditor.schema.ratings import RatingCard
        from reports.card import build_card

        kept = []
        copies = len(rater.certificate.copies)
        click.echo(f"each scan is predicted once, and {copies} mild copies of it", err=True)
        every = rate_all(rater, scans, modality=modality, state=state, pixels=self._images)
        for done, it in enumerate(every, start=1):
            if it.found is None and self._alone:
                raise DataError(it.problem.replace("the file", it.scan.source, 1))
            if it.found is not None:
                folder = self._out if self._alone else self._out / it.scan.name
                write_rated(folder, it.found)
                build_card(folder, RatingCard(it.found.rating, it.found.pictures))
            self._tell(it)
            if not self._alone:
                click.echo(f"{done} of {len(scans)} scans", err=True)
            small = it.found and replace(
                it.found, prediction=None, outer=None, inner=None, pictures=()
            )
            kept.append(replace(it, found=small))
        return kept

    def summary(self, rater: ScanRater, rated: list[Rated]) -> RatedScans:
        """Write the tables over all scans, and print the count of promises."""
        from auditor.pipeline.rated_cases import summary_of
        from auditor.pipeline.rated_files import write_summary

        found = summary_of(rater, rated)
        write_summary(self._out, found, rated)
        if found.promises is not None and not self._quiet:
            for line in _promise_lines(found.promises):
                click.echo(line)
        return found

    def _tell(self, it: Rated) -> None:
        if self._quiet:
            return
        if it.found is None:
            click.echo(f"{it.scan.name:6} NR  not read: {it.problem}")
            return
        for line in _lines(it.found.rating):
            click.echo(line)
        if it.problem:
            click.echo(f"{'':10} counts nowhere, not read: {it.problem}")


def _lines(rating: Rating) -> list[str]:
    """Say what a scan was given, or why not."""
    if rating.bound.value is None:
        first, *rest = rating.reasons
        return [f"{rating.scan:6} NR  {first}", *(f"{'':10} {it}" for it in rest), *_notes(rating)]
    from auditor.schema.ratings import bound_text

    strict = rating.pac_bound
    second = strict.note if strict.value is None else f"DSC above {bound_text(strict.value, 3)}"
    words = (
        f"{rating.scan:6} {rating.grade.value:2}  DSC above {bound_text(rating.bound.value, 3)} (for "
        f"{100 * (rating.bound.level or 0.0):.3g} % of scans like it, n = {rating.bound.n}, "
        f"{rating.bound.method}; against an unlucky calibration: {second})"
    )
    return [words, *_notes(rating)]


def _notes(rating: Rating) -> list[str]:
    return [f"{'':10} {it}" for it in rating.notes]


def _promise_lines(found: Promises) -> list[str]:
    """Say how many promises were kept, and what the grades turned out to be."""
    share = found.kept
    words = f"promises   none to count: {share.note}"
    if share.value is not None and share.low is not None and share.high is not None:
        words = (
            f"promises   kept for {found.held} of {found.patients} patients ({share.low:.3f} to "
            f"{share.high:.3f}, {100 * (share.level or 0.0):.3g} %, {share.method}); promised "
            f"{found.nominal:.2f}: {found.verdict}"
        )
    lines = [words]
    for it in found.outcomes:
        if it.reached.n and it.reached.value is not None:
            lines.append(
                f"grade {it.grade.value}    n = {it.reached.n}, mean DSC {it.mean_dsc:.3f}, DSC at least "
                f"{it.threshold:g} for {100 * it.reached.value:.3g} %"
            )
    if found.not_rated:
        lines.append(f"not rated  {_several(found.not_rated, 'patient')}")
    if found.calibration:
        lines.append(
            f"left out   {_several(found.calibration, 'scan')} used for calibration, proving no promise"
        )
    return lines


def _several(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _text_of(rated: Rated) -> str:
    from auditor.schema import encode

    assert rated.found is not None  # a scan alone that cannot be read ends the command
    return encode(rated.found.rating).rstrip("\n")
