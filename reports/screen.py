"""Make ``screen.html`` from ``screen.json``: one page, as self-contained as a report."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from auditor.schema import ContractStatus
from auditor.schema.screen import CleanValue, DrawnCase, Screen
from reports import html
from reports.build import write_page
from reports.document import (
    Block,
    Column,
    Items,
    Prose,
    ScreenPage,
    Section,
    Table,
    Text,
)
from reports.sections.vulnerabilities import hurts, not_reached
from reports.wording import (
    count,
    digest,
    in_words,
    lines,
    number,
    patients,
    plain,
    status_words,
    statuses,
)

__all__ = ["build_screen", "render_screen", "time_words"]

_LIMITS = (
    (
        "A screen looks for what to look at next. It judges nothing: there are no criteria, and a mean over "
        "a few patients is no statement about others."
    ),
    "The drops are paired: each perturbed scan is compared with the clean scan of the same patient.",
    (
        "A failed evaluation counts as DSC 0 and is counted beside. A level without effect and a scan that "
        "cannot be perturbed so count in no mean, and never as stability."
    ),
    (
        "Severities of different perturbations are physical sizes, not equally likely at a site: the order "
        "says what hurts at these sizes."
    ),
    "One draw of each perturbation was made per patient, at severities 1, 3 and 5.",
    (
        "The drawn patients were seen before anything was declared. A confirmatory audit must leave them "
        "out."
    ),
)


def build_screen(folder: Path, screen: Screen) -> Path:
    """Write the page of a screen.

    Parameters
    ----------
    folder
        Where it is written.
    screen
        The content of screen.json.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    target = folder / "screen.html"
    write_page(target, render_screen(screen))
    return target


def render_screen(screen: Screen) -> str:
    """Print the page; the same record gives the same bytes."""
    sections = (
        _contract(screen),
        hurts(screen),
        not_reached(screen),
        _clean(screen),
        _next(screen),
        Section("limits", "What this says, and what not", "", (Items(_LIMITS),)),
    )
    return html.write(
        ScreenPage(
            name=screen.name,
            stamp=screen.stamp,
            stamp_meaning="a first look: nothing was declared before the first result",
            overall="",
            identities=(
                ("checkpoint", digest(screen.system.sha256)),
                ("configuration", digest(screen.config_digest)),
                ("plan", digest(screen.plan_digest)),
                ("tool", screen.tool),
                ("seed", str(screen.seed)),
            ),
            banners=_banners(screen),
            facts=_facts(screen),
            sentences=_sentences(screen),
            sections=tuple(section for section in sections if section.blocks),
        )
    )


def time_words(seconds: float) -> str:
    """Write a duration: 45 s, 12 min, 5 h 10 min.

    Examples
    --------
    >>> time_words(45.2), time_words(754), time_words(18600)
    ('45 s', '12 min 34 s', '5 h 10 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _time(seconds: float) -> Markup:
    return number(seconds, text=time_words(seconds))


def _doubted(screen: Screen) -> bool:
    return screen.system.contract.status is ContractStatus.IN_DOUBT


def _banners(screen: Screen) -> tuple[tuple[str, Text], ...]:
    told: list[tuple[str, Text]] = [("info", "No pixel of a scan is embedded.")]
    if _doubted(screen):
        told.insert(
            0, ("warning", "CONTRACT IN DOUBT: the numbers below may be those of a wrong use")
        )
    if screen.ended != "finished":
        words = Markup("Ended by {}: {} of {} evaluations were done").format(
            "the time limit" if screen.ended == "time limit" else "an interrupt",
            count(screen.done),
            count(screen.planned),
        )
        told.append(("info", words))
    if not screen.remaining:
        told.append(("warning", "Every patient was drawn: none is left for a confirmatory audit"))
    return tuple(told)


def _facts(screen: Screen) -> tuple[tuple[Text, Text], ...]:
    reached = sum(bool(case.clean) for case in screen.drawn)
    met = sum(row.reached > 0 for row in screen.vulnerabilities)
    return (
        (Markup("{} of {}").format(count(reached), count(screen.patients)), "patients looked at"),
        (
            Markup("{} of {}").format(count(met), count(len(screen.vulnerabilities))),
            "perturbations reached",
        ),
        (Markup("{} of {}").format(count(screen.done), count(screen.planned)), "evaluations"),
        (_time(screen.spent_s), "spent by the last call"),
        (str(screen.system.contract.status), "contract"),
        (statuses(screen.statuses), "ended as"),
    )


def _sentences(screen: Screen) -> tuple[Text, ...]:
    told: list[Text] = []
    known = [v.dsc for case in screen.drawn for v in case.clean if v.dsc is not None]
    if known:
        told.append(
            Markup("On their clean scans the DSC runs from {} to {} ({}).").format(
                number(min(known)), number(max(known)), _n(_with_value(screen))
            )
        )
    ranked = [row for row in screen.vulnerabilities if row.rank is not None]
    worst = [row for row in ranked if row.rank == 1]
    if worst and worst[0].area.value is not None and round(worst[0].area.value, 3) > 0:
        told.append(
            Markup("What hurts most: {}, with a mean drop of {} over severities {} ({}).").format(
                " and ".join(plain(row.perturbation) for row in worst),
                number(worst[0].area.value),
                ", ".join(f"{it:g}" for it in worst[0].severities),
                _n(worst[0].area.n),
            )
        )
    elif ranked:
        told.append("Nothing that was reached lowers the DSC of these patients.")
    cost = screen.cost
    spent = (
        Markup("about {} on one worker").format(_time(cost.seconds)) if cost.seconds else "unknown"
    )
    told.append(
        Markup("The full audit of {} would take {} evaluations, {}.").format(
            _n(cost.patients, words=True), count(cost.evaluations), spent
        )
    )
    return tuple(told)


def _with_value(screen: Screen) -> int:
    return sum(any(v.dsc is not None for v in case.clean) for case in screen.drawn)


def _n(n: int, *, words: bool = False) -> Markup:
    if words:
        return Markup("{} {}").format(count(n), "patient" if n == 1 else "patients")
    return patients(n)


def _contract(screen: Screen) -> Section:
    system = screen.system
    contract = system.contract
    blocks: list[Block] = []
    if _doubted(screen):
        blocks.append(Prose(Markup("Contract in doubt. {}").format(contract.note), "notice"))
        if contract.sensitivity is not None and contract.sensitivity.line:
            mend = Markup("If that is right, write <code>{}</code>.").format(
                contract.sensitivity.line
            )
            blocks.append(Prose(mend))
    elif contract.note:
        blocks.append(Prose(contract.note))
    if screen.said:
        blocks.append(Items(screen.said))
    if system.findings:
        blocks.append(Items(system.findings))
    rows = tuple((f.name, f.value, str(f.source)) for f in contract.fields)
    blocks.append(
        Table(
            caption=f"Contract of {system.name}, field by field.",
            columns=(Column("Field"), Column("Value"), Column("Source")),
            rows=rows or (("no field", "none", "none"),),
            summary=f"Contract of {system.name}",
            note="probed: found by trying; default: nobody says anything.",
        )
    )
    lead = Markup(
        "Status: {}. {} is {}, {} bytes; sandbox: {}. Cases: {}, {}; reference: {}."
    ).format(
        str(contract.status),
        system.name,
        system.format,
        count(system.size_bytes),
        ", ".join(system.sandbox) or "none",
        plain(screen.modality),
        plain(screen.state),
        plain(screen.reference_rule),
    )
    return Section("contract", "Contract check", lead, tuple(blocks))


def _clean(screen: Screen) -> Section:
    far = screen.metrics[1]
    rows = tuple(row for case in screen.drawn for row in _clean_rows(case, screen))
    table = Table(
        caption="Clean scans of the drawn patients, under their display names.",
        columns=(
            Column("Patient"),
            Column("Case"),
            Column("Label", fold=len(screen.labels) == 1),
            Column("DSC", "number"),
            Column(far.name.upper(), "number"),
            Column("Ended as"),
            Column("Perturbations met", "number"),
        ),
        rows=rows,
    )
    lead = Markup("Seed {} drew {} of {}, one case of each.").format(
        str(screen.seed), count(len(screen.drawn)), _n(screen.patients, words=True)
    )
    return Section("clean", "Clean scans", lead, (table,))


def _clean_rows(case: DrawnCase, screen: Screen) -> list[tuple[Text, ...]]:
    found = {value.label: value for value in case.clean}
    return [
        (
            case.patient,
            case.case,
            label,
            *_clean_cells(found.get(label), screen),
            count(case.perturbations),
        )
        for label in screen.labels
    ]


def _clean_cells(value: CleanValue | None, screen: Screen) -> tuple[Text, Text, Text]:
    if value is None:
        return "not reached", "not reached", "not reached"
    unit = screen.metrics[1].unit
    return (
        number(value.dsc) if value.dsc is not None else "none",
        number(value.distance, unit=unit) if value.distance is not None else "none",
        lines([status_words(value.status), in_words(value.reason)]),
    )


def _next(screen: Screen) -> Section:
    cost = screen.cost
    seconds: Text = (
        Markup("about {}, measured on {} units here").format(
            _time(cost.seconds), count(cost.measured_units)
        )
        if cost.seconds is not None
        else "unknown: no unit was measured"
    )
    rows: tuple[tuple[Text, ...], ...] = (
        ("patients", Markup("{} ({} cases)").format(count(cost.patients), count(cost.cases))),
        ("evaluations", count(cost.evaluations)),
        ("time on one worker", seconds),
        (
            "disk",
            Markup("about {} MB of {} MB free").format(
                number(cost.disk_mb, text=f"{cost.disk_mb:.0f}"),
                number(cost.free_mb, text=f"{cost.free_mb:.0f}"),
            ),
        ),
    )
    whom, apart = "on the patients that were not drawn", "the drawn patients excluded, "
    if not screen.remaining:
        whom, apart = "on all patients, as none would be left", ""
    table = Table(
        caption=f"The drafted audit: every severity of every perturbation of the preset, {whom}.",
        columns=(Column("What"), Column("How much")),
        rows=rows,
    )
    lead = Markup(
        "audit.yaml beside this page is a draft of it (preset {}), with the contract as it stands above, "
        "{}and suggestions of criteria. Look it over, then: <code>segaudit check audit.yaml</code>"
    ).format(screen.preset, apart)
    return Section("next", "The full audit", lead, (table,))
