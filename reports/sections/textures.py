"""Families by what they were trained and tested on; how predictions fail; measures by family and group."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import FailureTypes, FamilyDifference, FamilyMeasures, Results, TrainTestMatrix
from auditor.schema.rows import CLEAN
from reports.charts import failures as bars
from reports.charts.matrix import matrix
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Section, Table, Text
from reports.view import View
from reports.wording import (
    count,
    heading,
    joined,
    level,
    lines,
    method_of,
    number,
    plain,
    short,
    value_of,
)

MOST_ROWS = 400
"""With more rows than this, differences are listed at the highest tested severity alone."""
MOST_SENTENCES = 12
GROUPED = (
    "Groups are means over their families, every family weighing alike, and are described only: an "
    "inference about a kind of architecture needs many families of it."
)


def has_trainings(results: Results) -> bool:
    """Tell whether families or conditions of trainings are there to be shown."""
    return bool(results.train_test or results.families)


def has_failures(results: Results) -> bool:
    """Tell whether some prediction fails by its DSC."""
    return any(it.failures for it in results.failure_types)


def trainings(view: View) -> Section:
    """Show every family by trained and tested level, families against each other, and their measures."""
    results = view.results
    blocks: list[Block] = []
    keys = dict.fromkeys((it.label, it.perturbation) for it in results.train_test)
    for label, perturbation in keys:
        own = [
            it for it in results.train_test if (it.label, it.perturbation) == (label, perturbation)
        ]
        blocks += _matrices(view, own)
        apart = [
            it
            for it in results.family_differences
            if (it.label, it.perturbation) == (label, perturbation)
        ]
        blocks += _differences(view, apart)
    if results.families:
        blocks += _families(view)
    lead = (
        "Families of training runs: what an architecture does, apart from the luck of one run. Where the "
        "condition of the training images is declared, rows say what a family was trained on and columns what "
        "it was tested on."
    )
    return Section("trainings", "Families and what they were trained on", lead, tuple(blocks))


def _matrices(view: View, found: Sequence[TrainTestMatrix]) -> list[Block]:
    first = found[0]
    metric = view.metric(first.metric)
    values = [it.mean.value for one in found for it in one.cells if it.mean.value is not None]
    low, high = (
        (0.0, 1.0) if metric.high == 1.0 else (min(values, default=0.0), max(values, default=1.0))
    )
    blocks: list[Block] = (
        [Items(tuple(dict.fromkeys(f"{heading(it.note)}." for it in found if it.note)))]
        if any(it.note for it in found)
        else []
    )
    left_out = [name for it in found for name in it.left_out]
    if left_out:
        words = f"{joined(left_out)}: no repetitions of a training, as their checkpoint or training seed"
        blocks.append(Prose(f"{words} is that of another run; left out."))
    title = f"{short(metric)} of {first.label}: {plain(first.perturbation)}, trained by tested"
    figures = tuple(Figure(matrix(it, title, _family(it), low, high), _family(it)) for it in found)
    blocks.append(
        Gallery(
            figures,
            legend=Markup(
                "<span>Numbers: mean over patients, training runs averaged within the patient. Darker: "
                "higher. Framed: tested at the level of the training.</span>"
            ),
            table=_cells(view, found),
            title=title,
            width="half",
        )
    )
    return blocks


def _family(it: TrainTestMatrix) -> str:
    return f"{it.family} ({it.group})" if it.group else it.family


def _cells(view: View, found: Sequence[TrainTestMatrix]) -> Table:
    unit = view.metric(found[0].metric).unit
    rows = tuple(
        (
            _family(one),
            _level(it.trained, one.unit),
            _level(it.tested, one.unit),
            value_of(it.mean, unit=unit),
            "none" if it.spread is None else number(it.spread, unit=unit),
            value_of(it.loss, unit=unit),
            _level(it.baseline, one.unit),
            count(it.mean.n),
            count(len(it.systems)),
            method_of(it.mean),
        )
        for one in found
        for it in one.cells
    )
    columns = (
        *(Column("Family"), Column("Trained at"), Column("Tested at")),
        *(Column("Mean [interval]", "number"), Column("SD over runs", "number")),
        *(Column("Loss [interval]", "number"), Column("Loss from", fold=True)),
        *(Column("n", "number", fold=True), Column("Runs", "number", fold=True)),
        Column("Level and method", fold=True),
    )
    metric = view.metric(found[0].metric)
    caption = (
        f"{short(metric)} of {found[0].label} by trained and tested level of "
        f"{plain(found[0].perturbation)}"
    )
    return Table(
        f"{caption}.",
        columns,
        rows,
        summary=f"{caption}: every cell with its interval and its loss",
        note="Loss: paired change for the worse from the test at the level of the training, or from clean "
        "where that was not tested; positive is worse. What failed counts at its worst value.",
    )


def _level(value: float, unit: str) -> Text:
    return "clean" if value == 0 else level(value, unit)


def _differences(view: View, found: Sequence[FamilyDifference]) -> list[Block]:
    """Say which losses differ at the hardest test, and list all differences."""
    if not found:
        return []
    hardest = max(it.severity for it in found)
    told: list[Text] = []
    ordered = sorted(found, key=lambda it: it.trained)
    for trained, group in itertools.groupby(ordered, key=lambda it: it.trained):
        own = [it for it in group if it.severity == hardest]
        told += _answers(view, trained, own)
    shown = found if len(found) <= MOST_ROWS else [it for it in found if it.severity == hardest]
    unit = view.metric(found[0].metric).unit
    rows = tuple(
        (
            f"{it.first} less {it.second}",
            _level(it.trained, it.unit),
            _level(it.tested, it.unit),
            value_of(it.difference, unit=unit),
            value_of(it.loss, unit=unit),
            count(it.difference.n),
            method_of(it.difference),
        )
        for it in shown
    )
    columns = (
        *(Column("Families"), Column("Trained at"), Column("Tested at")),
        *(Column("Difference of means", "number"), Column("Difference of losses", "number")),
        *(Column("n", "number", fold=True), Column("Level and method", fold=True)),
    )
    caption = f"Families against each other, {plain(found[0].perturbation)}, {found[0].label}."
    table = Table(
        caption,
        columns,
        rows,
        note="On the same patients. Intervals hold for all pairs of families of one place at once. A positive "
        "difference of losses: the first family loses more.",
        summary=f"{caption[:-1]}: every difference with its interval",
    )
    return [Items(tuple(told)), table] if told else [table]


def _answers(view: View, trained: float, own: Sequence[FamilyDifference]) -> list[Text]:
    """Name the pairs whose losses differ, or say that none is told apart."""
    known = [it for it in own if it.loss.low is not None and it.loss.high is not None]
    if not own or all(it.loss.status == "not_applicable" for it in own):
        return []
    it = own[0]
    place = Markup("Trained at {}, tested at {}").format(
        _level(trained, it.unit), _level(it.tested, it.unit)
    )
    unit = view.metric(it.metric).unit
    if not known:
        notes = dict.fromkeys(one.loss.note for one in own if one.loss.note)
        return [
            Markup("{}: losses of families are described only ({}).").format(
                place, "; ".join(notes)
            )
        ]
    apart = [one for one in known if _excludes_zero(one)]
    if not apart:
        return [
            Markup("{}: no two families ({}) are told apart by what they lose.").format(
                place,
                joined(list(dict.fromkeys(n for one in known for n in (one.first, one.second)))),
            )
        ]
    sentences: list[Text] = []
    for one in apart:
        less = one.first if (one.loss.value or 0.0) < 0 else one.second
        more = one.second if less == one.first else one.first
        sentences.append(
            Markup("{}: {} loses less than {}; loss of {} less that of {} {} (n = {}).").format(
                place,
                less,
                more,
                one.first,
                one.second,
                value_of(one.loss, unit=unit),
                count(one.loss.n),
            )
        )
    return sentences


def _excludes_zero(it: FamilyDifference) -> bool:
    low, high = it.loss.low, it.loss.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _families(view: View) -> list[Block]:
    """Show the measures of the literature: of the front page's metric openly, of the others folded."""
    main = view.results.headline.metric
    blocks: list[Block] = []
    if any(it.scope == "group" for it in view.results.families):
        blocks.append(Prose(GROUPED))
    by_metric: dict[str, list[FamilyMeasures]] = {}
    for it in view.results.families:
        by_metric.setdefault(it.metric, []).append(it)
    for name in sorted(by_metric, key=lambda it: it != main):
        blocks.append(_measures(view, by_metric[name], folded=name != main))
    return blocks


def _measures(view: View, found: Sequence[FamilyMeasures], *, folded: bool) -> Table:
    metric = view.metric(found[0].metric)
    tail = "5th percentile" if metric.higher_is_better else "95th percentile"

    def value(it: float | None, unit: str = metric.unit) -> Text:
        return "none" if it is None else number(it, unit=unit)

    rows = tuple(
        (
            it.name if it.scope == "family" else Markup("<b>group</b> {}").format(it.name),
            it.label,
            it.training or "one way",
            it.policy,
            value(it.clean),
            value(it.perturbed),
            value(it.change),
            value(it.variation, ""),
            lines([value(it.best_clean, ""), value(it.best, "")]),
            lines([value(it.tail_clean), value(it.tail)]),
            value(it.worst),
            value(it.spread),
            count(len(it.members)),
            count(it.n_conditions),
            count(it.n_patients),
        )
        for it in found
    )
    columns = (
        *(Column("Family"), Column("Label", fold=True), Column("Training", fold=True)),
        *(Column("Run without a value", fold=True), Column("Clean", "number")),
        *(Column("Perturbed", "number"), Column("Mean change", "number")),
        Column("Coefficient of variation", "number"),
        Column(lines(["Best: clean,", "everywhere"]), "number"),
        *(Column(lines([f"{tail}:", "clean, all"]), "number"), Column("Worst", "number")),
        *(Column("SD of members", "number"), Column("Members", "number")),
        *(Column("Conditions", "number", fold=True), Column("n", "number", fold=True)),
    )
    caption = f"Measures of {short(metric)} by family of training runs and by group (descriptive)."
    return Table(
        caption,
        columns,
        rows,
        note="Members: training runs of a family, families of a group; SD: of their means over conditions. Run "
        "without a value: each run, that run counts at its worst value (of a distance the diagonal of the "
        "image); any run, the case counts as the worst value, whichever run it was. Best: share of cases, "
        "ties shared.",
        summary=caption[:-1] if folded else "",
    )


def failures(view: View) -> Section:
    """Show how predictions fail, of families where training runs are repeated, else of systems."""
    results = view.results
    rows = _shown(results)
    blocks: list[Block] = [Items(told)] if (told := _sentences(rows)) else []
    labels = sorted({it.label for it in rows}, key=lambda it: (it != results.headline.label, it))
    for label in labels:
        for perturbation in view.perturbations:
            own = [
                it for it in rows if it.label == label and it.perturbation in {CLEAN, perturbation}
            ]
            if any(it.failures and it.perturbation == perturbation for it in own):
                is_open = label == results.headline.label
                blocks.append(_bars(own, perturbation, label, is_open=is_open))
    lead = (
        "A prediction fails with a DSC below .5. Its volume beside that of the reference says how: empty, less "
        "than half, more than twice, or misplaced with a volume in between. Cases are counted, nothing is "
        "inferred; control systems are not among them."
    )
    return Section("failures", "How predictions fail", lead, tuple(blocks))


def _shown(results: Results) -> list[FailureTypes]:
    """Rows of families, and of systems that are no run of one of them."""
    families = [it for it in results.failure_types if it.scope == "family"]
    members = {
        run
        for it in results.families
        if it.scope == "family" and len(it.members) > 1
        for run in it.members
    }
    return [
        *families,
        *(it for it in results.failure_types if it.scope == "system" and it.system not in members),
    ]


def _sentences(rows: Sequence[FailureTypes]) -> tuple[Text, ...]:
    """Say in words what most failures of each system are, where it fails most under a perturbation."""
    worst: dict[tuple[str, str, str], FailureTypes] = {}
    for it in rows:
        known = worst.get((it.system, it.label, it.perturbation))
        if it.failures and (known is None or it.failures >= known.failures):
            worst[it.system, it.label, it.perturbation] = it
    chosen = sorted(worst.values(), key=lambda it: -it.failures)[:MOST_SENTENCES]
    return tuple(_sentence(it) for it in chosen)


def _sentence(it: FailureTypes) -> Text:
    kind = max(bars.TYPES, key=lambda name: getattr(it, name))
    place: Text = "on clean scans"
    if it.level is not None:
        place = Markup("at {} {}").format(plain(it.perturbation), level(it.level, it.unit))
    return Markup("{} of {} failures of {} {} are {} (n = {}).").format(
        count(getattr(it, kind)), count(it.failures), it.system, place, _KINDS[kind], count(it.n)
    )


_KINDS = {
    "empty": "empty masks",
    "under": "masks of less than half the volume",
    "misplaced": "misplaced masks",
    "over": "masks of more than twice the volume",
    "unknown": "without a usable mask",
}


def _bars(rows: Sequence[FailureTypes], perturbation: str, label: str, *, is_open: bool) -> Gallery:
    title = f"How predictions of {label} fail: {plain(perturbation)}"
    by_system: dict[str, list[FailureTypes]] = {}
    for it in rows:
        by_system.setdefault(it.system, []).append(it)
    ordered = {name: sorted(own, key=lambda it: it.severity) for name, own in by_system.items()}
    figures = tuple(
        Figure(bars.bars(own, title, name), name)
        for name, own in ordered.items()
        if any(it.failures for it in own)
    )
    return Gallery(
        figures,
        legend=bars.legend(),
        table=_counts([it for own in ordered.values() for it in own], title),
        title=title if is_open else "",
        summary="" if is_open else title,
        width="half",
    )


def _counts(rows: Sequence[FailureTypes], title: str) -> Table:
    cells = tuple(
        (
            it.system,
            "clean" if it.level is None else level(it.level, it.unit),
            *(count(getattr(it, kind)) for kind in bars.WORDS),
            count(it.n),
        )
        for it in rows
    )
    columns = (
        *(Column("System or family"), Column("Level")),
        *(Column(heading(words), "number") for words in bars.WORDS.values()),
        Column("n", "number"),
    )
    return Table(
        f"{title}.",
        columns,
        cells,
        note="Of a family every case counts once a training run. Unknown: no usable prediction, or no volume.",
    )
