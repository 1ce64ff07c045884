"""How it was done: metrics, perturbations, statistics, in words."""

from __future__ import annotations

from markupsafe import Markup

from reports.document import Block, Column, Items, Prose, Section, Table, Terms, Text
from reports.view import View
from reports.wording import compact, count, digits, heading, parameter, percent

_EMPTY = (
    (
        "Both masks empty",
        (
            "finding nothing where there is nothing is right, and no metric of agreement can "
            "grade it: undefined, and left out of means; the volume difference is 0"
        ),
    ),
    (
        "Prediction empty, reference not",
        "a total miss: DSC, IoU, NSD and sensitivity are 0; distances are undefined",
    ),
    (
        "Reference empty, prediction not",
        "DSC, IoU, NSD and precision are 0; distances and sensitivity are undefined",
    ),
    (
        "No usable output",
        "failed, crashed, timed out, rejected, quarantined or not finite: listed, never left out",
    ),
    (
        "Worst values",
        (
            "stand in for missing values in worst-case means: 0 for ratios, the diagonal of the "
            "image for distances, the largest possible difference for volumes"
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
            "descriptive and has no interval."
        ),
    ),
    (
        "Assured bounds",
        (
            "One-sided. The phantom-zero bound of a mean in [0, 1] adds one imagined patient with "
            "the worst value; Clopper-Pearson bounds a share of patients. Both hold without "
            "assumptions about failures that were not seen."
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
    ("Correlations", "Spearman's rank correlation over cases on clean scans."),
)


def methods(view: View) -> Section:
    """Give the sheet of each metric and perturbation, and the statistics in words."""
    audit = view.results.audit
    stats = Markup("Two-sided intervals have level {}, one-sided bounds of verdicts {}.").format(
        percent(audit.interval_level), percent(audit.criteria_level)
    )
    blocks: list[Block] = [
        _metrics(view),
        Terms(_EMPTY, "Empty masks and missing outputs"),
    ]
    if view.perturbations:
        blocks.append(_perturbations(view))
    blocks += [Terms(_STATISTICS, "Statistics"), Prose(stats)]
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


def limits(view: View) -> Section:
    """Say what must not be concluded."""
    always = "Perturbations are simulated; they do not replace scans from other scanners and sites."
    items = [always, *view.results.limits]
    lead = "What a reader must not conclude from this audit."
    return Section("limits", "Limits", lead, (Items(tuple(items)),))
