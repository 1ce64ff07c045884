"""The operating envelope as tables: what is supported of the declared limits, and the tests behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from auditor.schema import (
    Breakpoint,
    BreakpointStep,
    EnvelopeRow,
    Estimate,
    Response,
    StepVerdict,
)
from reports.document import Block, Column, Prose, Table, Text
from reports.view import View
from reports.wording import (
    count,
    heading,
    in_words,
    level,
    lines,
    method_of,
    number,
    patients,
    percent,
    short,
    value_of,
)

_MOST_ROWS = 8
"""With more perturbations than this, the table of the front page is folded."""


def envelope(view: View) -> list[Block]:
    """Envelope, the tests behind it, and the areas; says so when no limit was declared."""
    rows = sorted(view.results.envelope, key=_order(view))
    if not rows:
        return []
    if not any(row.claims for row in rows):
        why = next((row.note for row in rows if row.note), "no margin was declared")
        how = "response: {margin: 0.10} in the configuration, before there are results"
        if view.results.measured is not None:
            how = "--margin 0.10"
        words = f"Operating envelope: not assessed, {why}. A limit is declared as {how}."
        return [Prose(words, "empty"), areas(view)]
    return [_table(view, rows), _steps(view), areas(view)]


def _order(view: View) -> Callable[[EnvelopeRow | Response], tuple[int, str, str]]:
    """Sort rows as the systems stand in the report."""
    place = {name: at for at, name in enumerate(view.systems)}
    return lambda it: (place.get(it.system, len(place)), it.label, it.perturbation)


def small(view: View) -> Table | None:
    """Build the front page's table: one row a perturbation, one column a system; None: no limit is declared."""
    head = view.results.headline
    rows = [row for row in view.results.envelope if row.label == head.label and row.claims]
    if not rows:
        return None
    found = {(row.perturbation, row.system): row for row in rows}
    names = [name for name in view.perturbations if any(key[0] == name for key in found)]
    cells = tuple(
        (heading(name), *(_short(found.get((name, system))) for system in view.systems))
        for name in names
    )
    columns = (Column("Perturbation"), *(Column(name, "wide") for name in view.systems))
    return Table(
        caption=Markup("Operating envelope: up to which level {}.").format(_claims(view, rows[0])),
        columns=columns,
        rows=cells,
        note=Markup(
            "{}; phantom bounds. In between, the evidence decides neither way. Axes that are not listed were "
            "not assessed. {}"
        ).format(_sizes(rows), _stamp(view)),
        summary="Operating envelope" if len(names) > _MOST_ROWS else "",
    )


def _sizes(rows: Sequence[EnvelopeRow]) -> Markup:
    low, high = min(row.n for row in rows), max(row.n for row in rows)
    if low == high:
        return patients(low)
    return Markup("n\u00a0=\u00a0{} to {} patients").format(count(low), count(high))


def _stamp(view: View) -> str:
    if view.results.audit.stamp == "EXPLORATORY":
        return "Exploratory: no limit was locked before the first result."
    return ""


def _short(row: EnvelopeRow | None) -> Text:
    if row is None:
        return "not assessed"
    below = [Markup('<span class="quiet">{}</span>').format(it) for it in _degraded_words(row)]
    return lines([_supported(row), *below])


def _supported(row: EnvelopeRow) -> Markup:
    if row.supported is not None:
        return Markup("up to {} (severity {})").format(
            level(row.supported_level, row.unit), _severity(row.supported)
        )
    words = {
        StepVerdict.NOT_ASSESSED: "not assessed",
        StepVerdict.NOT_ATTAINABLE: "not attainable at this n",
        StepVerdict.UNDETERMINED: "undetermined from the lowest severity on",
        StepVerdict.VIOLATED: "no severity",
    }
    return Markup(words.get(row.status, "no severity"))


def _degraded_words(row: EnvelopeRow) -> list[Text]:
    return [] if row.degraded is None else [Markup("degraded from {}").format(_degraded(row))]


def _degraded(row: EnvelopeRow) -> Text:
    if row.degraded is None:
        return "no evidence of it"
    if row.degraded == 0:
        return "clean scans on"
    return Markup("{} (severity {})").format(
        level(row.degraded_level, row.unit), _severity(row.degraded)
    )


def _severity(value: float) -> Markup:
    return number(value, text=f"{value:g}")


def _claims(view: View, row: EnvelopeRow) -> Markup:
    """Write all declared limits: mean drop of DSC at most 0.10 assured at 95 %."""
    metric = short(view.metric(row.metric))
    forms = {
        "drop": Markup("the mean drop of {} from clean is at most {}"),
        "mean": Markup("the mean {} is at least {}"),
    }
    told = [forms[claim].format(metric, number(value)) for claim, value in row.claims]
    return Markup("{}, assured at {}").format(Markup(" and ").join(told), percent(row.level))


def _table(view: View, rows: Sequence[EnvelopeRow]) -> Table:
    declared = next(row for row in rows if row.claims)
    many = len(view.results.labels) > 1
    cells = tuple(
        (
            row.system,
            *((row.label,) if many else ()),
            heading(row.perturbation),
            Markup("<strong>{}</strong>").format(_supported(row))
            if row.supported is not None
            else _supported(row),
            _degraded(row),
            "nothing"
            if row.tested is None
            else Markup("{} (severity {})").format(
                level(row.tested_level, row.unit), _severity(row.tested)
            ),
            count(row.n),
            in_words(row.note) or "none",
        )
        for row in rows
    )
    return Table(
        caption=Markup("Operating envelope: up to which level {}.").format(_claims(view, declared)),
        columns=(
            Column("System"),
            *((Column("Label"),) if many else ()),
            *(Column("Perturbation"), Column("Supported"), Column("Degraded from")),
            *(Column("Tested up to"), Column("n", "number"), Column("Remarks", "wide", fold=True)),
        ),
        rows=cells,
        note=Markup(
            "Severities are tested from the lowest on, each with the phantom bound at the full level, and the "
            "sequence ends at the first that is not supported: no level is split. Degraded: the opposite bound "
            "breaks a limit at that severity, each severity by itself. Every row is a statement by itself, not "
            "adjusted for the other rows. What failed counts at its worst value; "
            "scans that a level does not change are never counted as support. {}"
        ).format(_stamp(view)),
    )


def _steps(view: View) -> Table:
    rows = [
        _step_row(response, found, step)
        for response in sorted(view.results.responses, key=_order(view))
        for found in response.breakpoints
        for step in found.steps
    ]
    return Table(
        caption=Markup("Every test behind the operating envelope: {} phantom bounds.").format(
            percent(view.results.audit.criteria_level)
        ),
        columns=(
            *(Column("System"), Column("Label", fold=True), Column("Perturbation")),
            *(Column("Limit"), Column("Severity", "number"), Column("Level", "number")),
            *(Column("Estimate", "number"), Column("Lower bound", "number")),
            *(Column("Upper bound", "number"), Column("n", "number")),
            *(
                Column("Without a number", "number", fold=True),
                Column("Failed", "number", fold=True),
            ),
            Column("Verdict"),
        ),
        rows=tuple(rows),
        summary="Tests behind the envelope",
        note="A drop is a change for the worse from clean, patients paired: positive is worse. Not reached: "
        "the bound meets the limit, but the sequence ended at a lower severity.",
    )


def _step_row(response: Response, found: Breakpoint, step: BreakpointStep) -> tuple[Text, ...]:
    words = "drop\u00a0≤\u00a0{}" if found.claim == "drop" else "mean\u00a0≥\u00a0{}"
    return (
        response.system,
        response.label,
        heading(response.perturbation),
        Markup(words).format(number(found.threshold)),
        _severity(step.severity),
        level(step.level, response.unit),
        value_of(step.estimate),
        _bare(step.lower.value),
        _bare(step.upper.value),
        count(step.estimate.n),
        count(step.left_out),
        count(step.failed),
        step.verdict.value,
    )


def _bare(value: float | None) -> Text:
    return "none" if value is None else number(value)


def areas(view: View) -> Table:
    """Area under every response, its share of the clean mean, and where the falling fit passes a limit."""
    rows = [_area_row(it) for it in sorted(view.results.responses, key=_order(view))]
    return Table(
        caption="Area under the response: mean over severities, trapezoidal rule, one number a patient.",
        columns=(
            *(Column("System"), Column("Label", fold=True), Column("Perturbation")),
            *(Column("Area", "number"), Column("Share of the clean mean", "number")),
            *(Column("Falling fit passes (descriptive)", fold=True), Column("n", "number")),
            *(Column("Left out", "number"), Column("Level and method", fold=True)),
        ),
        rows=tuple(rows),
        summary="Areas under the responses, and where a falling fit passes the limits",
        note="The share is a ratio of means over patients. The fit is isotonic, its interval descriptive; "
        "open: beyond what was tested. Left out: patients without a number at some severity.",
    )


def _area_row(response: Response) -> tuple[Text, ...]:
    passes = [
        Markup("drop of {}: {}" if it.claim == "drop" else "mean of {}: {}").format(
            number(it.threshold), _passes(it.at)
        )
        for it in response.crossings
    ]
    return (
        response.system,
        response.label,
        heading(response.perturbation),
        value_of(response.area),
        value_of(response.relative_area),
        lines(passes) if passes else (in_words(response.note) or "no limit declared"),
        count(response.n),
        count(response.left_out),
        method_of(response.area),
    )


def _passes(at: Estimate) -> Text:
    """Write a severity with its interval, whose ends may lie beyond what was tested."""
    if at.value is None:
        return in_words(at.note)

    def end(value: float | None) -> Text:
        return "open" if value is None else number(value, text=f"{value:.1f}")

    interval = Markup(' <span class="interval">[{}, {}]</span>').format(end(at.low), end(at.high))
    return Markup("severity {}{}").format(end(at.value), interval)
