"""How it was done: metrics, perturbations, statistics, in words."""

from __future__ import annotations

from markupsafe import Markup

from reports.document import Block, Column, Items, Prose, Section, Table, Terms, Text
from reports.view import View
from reports.wording import (
    STATUS_WORDS,
    compact,
    count,
    digits,
    heading,
    joined,
    parameter,
    percent,
)

_POLICY = (
    ("prediction_empty", "Prediction empty, reference not"),
    ("reference_empty", "Reference empty, prediction not"),
    ("both_empty", "Both masks empty"),
    ("failed", "No usable output"),
    ("not_applicable", "Not applicable"),
)
"""Columns of the table of what a metric says in each status."""

_STATUSES = (
    (
        "Why some cells have no value",
        (
            "finding nothing where there is nothing is right, and no metric of agreement can grade "
            "it; nothing can be said of the sensitivity to an empty reference, or of a distance to "
            "an empty mask"
        ),
    ),
    (
        "No usable output",
        (
            "failed, crashed, timed out, rejected, quarantined or not finite: listed, never left "
            "out; worst-case means, criteria and comparisons count the worst value"
        ),
    ),
    (
        "Means",
        (
            "leave out what has no value; wherever a status other than evaluated stands behind one, "
            "the worst-case mean stands below it, and the number of each status beside it"
        ),
    ),
    (
        "No effect",
        "a level that changes nothing on a scan is not counted as evidence of stability",
    ),
)

_STATISTICS = (
    (
        "Unit",
        (
            "The patient. Several scans or draws of one patient are averaged first, so they do not "
            "count twice."
        ),
    ),
    (
        "Intervals of means",
        (
            "Two-sided, studentized bootstrap over patients; with too few patients the value is "
            "descriptive and has no interval. A failure that no patient shows is in no interval: the "
            "rate of them that is not excluded stands with every mean."
        ),
    ),
    (
        "Assured bounds",
        (
            "One-sided. The phantom-zero bound of a mean in [0, 1] adds one imagined patient with "
            "the worst value; Clopper-Pearson bounds a share of patients. Both hold without "
            "assumptions about failures that were not seen. For values other than 0 and 1 the "
            "phantom-zero bound rests on a conjecture, checked by simulation; the betting bound and "
            "Hoeffding's beside it are proven, and wider."
        ),
    ),
    (
        "Conditional bounds",
        (
            "One-sided studentized bounds; they hold given no unseen collapse, and state the "
            "failure rate that this number of patients cannot exclude."
        ),
    ),
    (
        "Losses",
        (
            "Paired: each patient under the perturbation against the same patient on the clean "
            "scan. Positive is worse."
        ),
    ),
    (
        "Conformal bounds",
        (
            "Split conformal, rank floor((n + 1) alpha) of the calibration values. Promises are "
            "counted on patients left out of the calibration."
        ),
    ),
    (
        "Comparisons",
        "Paired over patients, intervals simultaneous over the pairs of a condition.",
    ),
    (
        "Skip connections",
        (
            "Reliance and what is spared are paired over patients; intervals are simultaneous over all skips "
            "and strengths that are replaced in the same way at a condition, and not over conditions."
        ),
    ),
    ("Correlations", "Spearman's rank correlation over cases on clean scans."),
)


def methods(view: View) -> Section:
    """Give the sheet of each metric and perturbation, and the statistics in words."""
    audit = view.results.audit
    stats = Markup("Two-sided intervals have level {}, one-sided bounds of verdicts {}.").format(
        percent(audit.interval_level), percent(audit.criteria_level)
    )
    groups = tuple((name, f"the union of {joined(of)}") for name, of in audit.label_groups)
    blocks: list[Block] = [
        *([Terms(groups, "Groups of labels, scored like labels")] if groups else []),
        _metrics(view),
        _policy(view),
        Terms(_STATUSES, "Empty masks and missing outputs"),
    ]
    if view.perturbations:
        blocks.append(_perturbations(view))
    told = [it for it in _STATISTICS if view.results.ablations or it[0] != "Skip connections"]
    blocks += [Terms(tuple(told), "Statistics"), Prose(stats)]
    if view.results.decisions:
        blocks.append(_decisions(view))
    lead = Markup("Seed {}. Reference: {}. Lengths in {}.").format(
        audit.seed, audit.reference_rule, audit.length_unit
    )
    return Section("methods", "Methods", lead, tuple(blocks))


def _metrics(view: View) -> Table:
    rows: list[tuple[Text, ...]] = []
    for metric in view.results.metrics:
        bounds = ["unbounded" if v is None else compact(v) for v in (metric.low, metric.high)]
        settings = [parameter(name, value) for name, value in metric.parameters]
        rows.append(
            (
                metric.title,
                metric.definition,
                metric.unit or "ratio",
                " to ".join(bounds),
                "higher" if metric.higher_is_better else "lower",
                ", ".join(settings) or "none",
                metric.reference,
            )
        )
    columns = (
        *(Column("Metric"), Column("Definition", "wide"), Column("Unit"), Column("Range")),
        *(Column("Better is"), Column("Parameters"), Column("Source", "wide")),
    )
    return Table("Metric sheet.", columns, tuple(rows))


def _policy(view: View) -> Table:
    """Show what each metric says when a mask is empty or nothing was measured, as it was applied."""
    rows: list[tuple[Text, ...]] = []
    for metric in view.results.metrics:
        words = dict(metric.policy)
        rows.append(
            (
                metric.title,
                *(words.get(status, "not stated") for status, _ in _POLICY),
                metric.worst or "not stated",
                metric.blind or "no",
            )
        )
    columns = (
        Column("Metric"),
        *(Column(title) for _, title in _POLICY),
        *(Column("Worst value"), Column("Can a total miss look good?")),
    )
    named = ", ".join(STATUS_WORDS[status] for status, _ in _POLICY)
    return Table(
        "What a metric says when there are not two masks to compare.",
        columns,
        tuple(rows),
        note=f"Statuses in the stored rows: {named}. A worst value is one that no prediction exceeds "
        "on that scan; those that are no end of a range depend on the field of view.",
    )


def _perturbations(view: View) -> Table:
    rows: list[tuple[Text, ...]] = []
    for name in view.perturbations:
        cells = [view.grid[name, s] for s in view.severities(name)]
        first = cells[0]
        levels = ", ".join(f"{c.level:.4g}" for c in cells if c.level is not None)
        own = "not estimable"
        if first.native_level is not None:
            own = digits(first.native_level, unit=first.axis_unit or first.unit)
            if first.native_low is not None and first.native_high is not None:
                low, high = (
                    digits(v, unit=first.axis_unit or first.unit)
                    for v in (first.native_low, first.native_high)
                )
                own = f"{own} ({low} to {high})"
        rows.append(
            (
                Markup("{}<br><code>{}</code>").format(heading(name), name),
                first.family or "not stated",
                first.unit or "none",
                ", ".join(f"{c.severity:g}" for c in cells),
                levels or "none",
                own,
                count(max(c.n_no_effect for c in cells)),
            )
        )
    columns = (
        *(Column("Perturbation"), Column("Family"), Column("Unit")),
        *(Column("Severities", fold=True), Column("Their levels")),
        Column("Own level of clean scans (5th to 95th percentile)"),
        Column("Most scans without effect", "number"),
    )
    return Table("Perturbation sheet.", columns, tuple(rows))


_MADE_BY = {
    "declared": "declared in audit.yaml",
    "command line": "on the command line",
    "contract file": "in a contract file",
    "maker": "by the maker, in a file beside the checkpoint",
    "probed": "found by trying",
    "default": "default of segaudit",
    "frozen rule": "by a declared rule from the references, before any prediction",
}


def _decisions(view: View) -> Table:
    """Show every choice behind the numbers, and who made it."""
    rows: list[tuple[Text, ...]] = [
        (Markup("<code>{}</code>").format(it.where), it.value, _MADE_BY[it.made_by], it.kind)
        for it in view.results.decisions
    ]
    open_ = sum((it.made_by, it.kind) == ("default", "scientific") for it in view.results.decisions)
    note = (
        f"{open_} of {len(rows)} are scientific choices that nobody made for this audit: defaults of "
        "segaudit count."
        if open_
        else ""
    )
    columns = (
        Column("Choice"),
        Column("What was chosen", "wide"),
        Column("By whom"),
        Column("Kind"),
    )
    return Table("Decisions: what was chosen, and by whom.", columns, tuple(rows), note=note)


def limits(view: View) -> Section:
    """Say what must not be concluded."""
    always = "Perturbations are simulated; they do not replace scans from other scanners and sites."
    # what the conditions of a table are is not known here
    items = [*([always] if view.results.measured is None else []), *view.results.limits]
    lead = "What a reader must not conclude from this audit."
    return Section("limits", "Limits", lead, (Items(tuple(items)),))
