"""Certificates: what new scans are rated with, what that promises, and what it cannot rate."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema.ratings import CalibratedBin, CertificateFacts, GradeOutcome
from reports.document import Block, Column, Items, Prose, Section, Table, Text
from reports.sections.carried import complement
from reports.view import View
from reports.wording import (
    count,
    digest,
    heading,
    joined,
    method_of,
    number,
    plain,
    value_of,
)

_PROXIES = {"agreement": "agreement", "self_dsc": "self-DSC"}


def certificates(view: View) -> Section:
    """Show every certificate of the audit; says so where none was declared."""
    found = view.results.certificates
    lead = (
        "A certificate rates a new scan of one system and label: a lower bound on its DSC without a "
        "reference, for scans like those that calibrated it."
    )
    if not found:
        why = (
            "A preview has no certificates."
            if view.results.audit.preview
            else "No certificate was declared: this audit rates no new scans."
        )
        return Section("certificates", "Certificates", lead, (Prose(why, "empty"),))
    blocks: list[Block] = []
    for facts in found:
        blocks += _certificate(facts)
    return Section("certificates", "Certificates", lead, tuple(blocks))


def _certificate(facts: CertificateFacts) -> list[Block]:
    name = f"{facts.label} by {facts.system}"
    return [
        Prose(_calibrated(facts)),
        _bins(facts, name),
        _grades(facts, name),
        Items(_limits(facts)),
    ]


def _calibrated(facts: CertificateFacts) -> Markup:
    lost = (
        Markup(" {} of these scans have no usable prediction and count with DSC 0.").format(
            count(facts.failed)
        )
        if facts.failed
        else Markup("")
    )
    return Markup(
        "{} patients with {} scans calibrated the certificate {} of {} by {}, which lies in the folder "
        "certificates of the run.{} Of 100 scans like these, about {} have a DSC above the bound that is "
        "shown for them. {}."
    ).format(
        count(facts.patients), count(facts.scans), digest(facts.digest), facts.label, facts.system, lost,
        f"{100 * (1 - facts.alpha):.3g}", _proxy(facts),
    )  # fmt: skip


def _proxy(facts: CertificateFacts) -> str:
    if facts.proxy:
        return f"Proxy of the quality: {facts.proxy_note}"
    return f"There is no proxy of the quality: {facts.proxy_note.removeprefix('none: ')}"


def _bins(facts: CertificateFacts, name: str) -> Table:
    columns = (
        *(Column("Calibrated on"), Column("Severity")),
        *(Column("Patients", "number"), Column("Lower bound on the DSC", "number")),
        Column("PAC bound", "number"),
    )
    rows = tuple(
        (
            "clean scans" if it.axis == "clean" else heading(it.axis),
            _severity(it.bin),
            count(it.patients),
            _bound(facts, it.offset, it.needed),
            _bound(facts, it.pac_offset, it.needed_pac),
        )
        for it in facts.bins
    )
    shown = _PROXIES.get(facts.proxy, "")
    note = (
        f"The bound of a scan is its own {shown} plus the number shown, between 0 and 1. "
        if shown
        else "The bound is the same for every scan of a row. "
    )
    return Table(
        caption=Markup("Lower bounds on the DSC of {}, split conformal at {} of new scans.").format(
            name, complement(facts.alpha)
        ),
        columns=columns,
        rows=rows,
        note=Markup(
            "{}A patient counts with the worst of their scans in the row; a bound never rises with noise. The "
            "PAC bound also holds with {} confidence in the calibration set."
        ).format(note, complement(facts.delta)),
    )


def _severity(name: str) -> str:
    """Words of a bin: a bin holds its upper end."""
    return "0, as the clean scans" if name == "0" else name.replace("-", " to ")


def _bound(facts: CertificateFacts, offset: float | None, needed: int) -> Text:
    if offset is None:
        return Markup("not certifiable: needs n ≥ {}").format(count(needed))
    shown = _PROXIES.get(facts.proxy)
    if shown is None:
        return number(offset)
    return Markup("{} {}{}").format(shown, "" if offset < 0 else "+ ", number(offset))


def _grades(facts: CertificateFacts, name: str) -> Table:
    columns = (
        *(Column("Grade"), Column("Lower bound", "number"), Column("DSC asked for", "number")),
        *(Column("Patients", "number"), Column("Share that reaches it [interval]", "number")),
        *(Column("Mean DSC", "number"), Column("Level and method", fold=True)),
    )
    return Table(
        caption=f"What the grades of {name} are worth: clean calibration scans, each patient rated by "
        "the others.",
        columns=columns,
        rows=tuple(_grade(facts, it) for it in facts.outcomes),
        note="A bound holds for its share of all scans together, not among those of one grade; so the "
        "share is counted.",
    )


def _grade(facts: CertificateFacts, it: GradeOutcome) -> tuple[Text, ...]:
    first, second = (number(grade) for grade in facts.grades)
    ranges = {
        "A": Markup("at least {}").format(first),
        "B": Markup("{} to below {}").format(second, first),
        "C": Markup("below {}").format(second),
    }
    return (
        it.grade.value,
        ranges.get(it.grade.value, ""),
        number(it.threshold),
        count(it.reached.n),
        value_of(it.reached) if it.reached.n else "no patient",
        "none" if it.mean_dsc is None else number(it.mean_dsc),
        method_of(it.reached) if it.reached.n else "",
    )


def _limits(facts: CertificateFacts) -> tuple[Text, ...]:
    axes = joined([plain(axis) for axis in facts.axes])
    where = (
        f"It rates scans like the clean ones of this audit, and with {axes} up to its highest severity; scans "
        "that lie elsewhere, or off on another axis, are not rated."
        if axes
        else "It rates scans like the clean ones of this audit; scans with more noise are not rated."
    )
    found: list[Text] = [
        where,
        "Only this system as it was audited: another checkpoint, contract or window is refused.",
        "A bound speaks of many scans like these, not of one patient; it is no treatment margin.",
    ]
    if axes:
        found.append(
            f"Other artefacts than {axes} were not calibrated, whatever the estimates of a scan say."
        )
    if facts.not_placed:
        names = joined([plain(name) for name in facts.not_placed])
        found.append(
            f"Declared, but calibrating nothing: {names}. Its estimate does not rise along the severities "
            "of this audit, so that no scan can be placed."
        )
    uncertified = [it for it in facts.bins if it.offset is None]
    if uncertified:
        found.append(f"Not certifiable: {_named(uncertified)}. Scans there are not rated.")
    return tuple(found)


def _named(bins: list[CalibratedBin]) -> str:
    by_axis: dict[str, list[str]] = {}
    for it in bins:
        by_axis.setdefault(it.axis, []).append(it.bin.replace("-", " to "))
    return "; ".join(f"{plain(axis)} at severity {joined(own)}" for axis, own in by_axis.items())
