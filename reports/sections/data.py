"""What was planned and what came of it; the cases."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import CaseRow
from reports.document import Block, Column, Prose, Section, Table, Text
from reports.view import View
from reports.wording import count, digest, link, number, plain, status_words, statuses


def accounting(view: View) -> Section:
    """Account for every planned evaluation, by status and system."""
    results = view.results
    audit = results.audit
    counted = sorted(results.statuses, key=lambda c: c.status != "ok")
    names = list(dict.fromkeys(c.status for c in counted))
    for system in results.systems:
        names += [c.status for c in system.statuses if c.status not in names]
    rows: list[tuple[Text, ...]] = []
    for system in results.systems:
        mine = {c.status: c.n for c in system.statuses}
        rows.append((system.name, *(count(mine.get(name, 0)) for name in names)))
    totals = {c.status: c.n for c in results.statuses}
    rows.append(("all systems", *(count(totals.get(name, 0)) for name in names)))
    table = Table(
        caption="Evaluations by status. Failures are results too: they are never left out.",
        columns=(
            Column("System"),
            *(Column(status_words(name), "number") for name in names),
        ),
        rows=tuple(rows),
        note=_ablated(view),
    )
    apart: Text = ""
    if audit.excluded_patients:
        apart = Markup(
            " {} {} left out by a list before anything was looked at (SHA-256 {})."
        ).format(
            count(audit.excluded_patients),
            "patient was" if audit.excluded_patients == 1 else "patients were",
            digest(audit.excluded_digest),
        )
    lead = Markup(
        "{} evaluations were planned on {} {} ({}, {}). They ended as: {}. Reference: {}.{}"
    ).format(
        count(results.planned),
        count(len(results.cases)),
        "scan" if len(results.cases) == 1 else "scans",
        audit.modality.upper() if len(audit.modality) == 2 else audit.modality,
        plain(audit.state),
        statuses(counted),
        audit.reference_rule,
        apart,
    )
    return Section("data", "Data and accounting", lead, (table, *_cases(view)))


def _ablated(view: View) -> Text:
    """Say where the ablated systems are shown, which other sections leave out."""
    if not view.ablated:
        return ""
    one = len(view.ablated) == 1
    return Markup("{} {} counted here, and shown under {} alone.").format(
        count(len(view.ablated)),
        "ablated system is" if one else "ablated systems are",
        link("skips", "Skip connections"),
    )


def _cases(view: View) -> tuple[Block, ...]:
    results = view.results
    if not results.cases:
        return (Prose("No case was evaluated.", "empty"),)
    unit = results.audit.length_unit
    columns = (
        *(Column("Case"), Column("Patient"), Column("Shape"), Column(f"Spacing, {unit}")),
        *(Column(f"Foreground ratio, {label}", "number") for label in results.labels),
        Column("Raters", "number"),
        *(Column(f"Rater DSC, {label}", "number") for label in results.labels),
        Column("Own noise", "number"),
        *(Column(f"Clean DSC, {name}", "number") for name in _systems_with_points(view)),
        *(Column(plain(name)) for name in _metadata(view)),
    )
    rows = tuple(_case_row(view, case) for case in results.cases)
    table = Table(
        caption="Cases under their display names; array order of shape and spacing.",
        columns=columns,
        rows=rows,
        summary=f"All {len(rows)} cases" if len(rows) > 1 else "The case",
        note="Own noise: estimated on the clean scan, in % of the reference signal (CT: HU).",
    )
    return (table,)


def _systems_with_points(view: View) -> tuple[str, ...]:
    head = view.results.headline.label
    have = {d.system for d in view.results.difficulty if d.label == head}
    return tuple(name for name in view.systems if name in have)


def _metadata(view: View) -> tuple[str, ...]:
    return tuple(dict.fromkeys(k for case in view.results.cases for k, _ in case.metadata))


def _case_row(view: View, case: CaseRow) -> tuple[Text, ...]:
    labels = view.results.labels
    ratio, agreement, meta = (
        dict(case.foreground_ratio),
        dict(case.rater_dsc),
        dict(case.metadata),
    )
    one = "one rater" if case.raters == 1 else "no raters"
    spare = f"not assessable: {one}" if case.raters < 2 else "undefined"
    return (
        *(case.case, case.patient),
        " × ".join(str(n) for n in case.shape),
        " × ".join(f"{s:.4g}" for s in case.spacing),
        *(_maybe(ratio.get(label), "undefined", places=4) for label in labels),
        count(case.raters) if case.raters else "none",
        *(_maybe(agreement.get(label), spare) for label in labels),
        number(case.native_noise, unit=_noise_unit(view))
        if case.native_noise is not None
        else "not estimable",
        *(_clean_value(view, name, case.case) for name in _systems_with_points(view)),
        *(meta.get(name, "not given") for name in _metadata(view)),
    )


def _noise_unit(view: View) -> str:
    return "HU" if view.results.audit.modality == "ct" else "%"


def _maybe(value: float | None, words: str, *, places: int = 3) -> Text:
    return number(value, text=f"{value:.{places}f}") if value is not None else words


def _clean_value(view: View, system: str, case: str) -> Text:
    label = view.results.headline.label
    for axis in view.results.difficulty:
        if axis.system == system and axis.label == label:
            for name, _, value, _ in axis.points:
                if name == case:
                    return number(value)
    return "no value"
