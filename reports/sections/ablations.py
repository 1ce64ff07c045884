"""Skip connections of a network, and what replacing them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from auditor.schema import AblationCurve, AblationPoint, NetworkFacts, Results
from auditor.schema.network_words import certificate_words, conclusion_words
from reports.charts import ablations as chart
from reports.charts.network import network as draw
from reports.charts.response import key_of
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Section, Table, Text
from reports.sections.skip_answers import answers, condition_words, noise_condition
from reports.svg import mark_of
from reports.view import View
from reports.wording import (
    condition,
    count,
    joined,
    method_of,
    number,
    short,
    status_words,
    value_of,
)

SAYS = (
    "Replacing what flows through a skip connection explains this network; it is no evidence of robustness. "
    "The replaced values lie outside of what the network was trained on. A network that was trained without "
    "the skip is another network (the published design), and can score quite otherwise."
)
MOST_OPEN = 4
"""Figures of further networks are folded."""
MOST_ROWS = 400
"""With more rows than this, a table shows clean scans and the noise of the front page."""

KINDS = {
    "mean": "replaced by the mean of each channel",
    "zero": "replaced by zeros",
    "image": "replaced by those of another image",
    "blur": "blurred",
    "noise": "with noise added",
    "dose": "multiplied by alpha",
}
"""What is done to activations, in the order of the section."""
STRENGTHS = {
    "blur": "SD of the blur, voxels of the activation",
    "noise": "SD of the noise, SDs of each channel",
    "dose": "alpha (1: as it is)",
}
"""What a strength is."""


def has_skips(results: Results) -> bool:
    """Tell whether there is anything to say of skip connections."""
    ablated = any(it.ablation is not None for it in results.systems)
    return ablated or bool(results.networks or results.ablations)


def ablations(view: View) -> Section:
    """List skip connections, say what the network relies on, and show every number behind it."""
    results = view.results
    blocks: list[Block] = [Prose(SAYS, "notice")]
    told = answers(view)
    if told:
        blocks.append(Items(told))
    for network in results.networks:
        blocks += _network(view, network)
    labels = sorted(results.labels, key=lambda name: name != results.headline.label)
    bases = dict.fromkeys(it.base for it in results.ablations)
    for label in labels:
        for place, base in enumerate(bases):
            mine = [it for it in results.ablations if (it.base, it.label) == (base, label)]
            is_open = label == results.headline.label and place < MOST_OPEN
            blocks += _base(view, mine, f"{base}, {label}", is_open=is_open)
    if not results.ablations:
        blocks.append(Prose(_nothing(results), "empty"))
    lead = (
        "Where activations skip the deeper part of a network, and what it costs to replace them: reliance is "
        "the paired loss against the network as it is, on the same scans."
    )
    return Section("skips", "Skip connections", lead, tuple(blocks))


def _nothing(results: Results) -> str:
    if any(it.ablation is not None for it in results.systems):
        return "Not assessable: no ablated system has its network, as it is, in this audit."
    return "No system of this audit is ablated, so that nothing is known of what the skips carry."


def _network(view: View, network: NetworkFacts) -> list[Block]:
    own = tuple(it for it in network.systems if it not in view.ablated)
    network = replace(network, systems=own or network.systems)
    names = joined(network.systems)
    if not network.skips:
        why = network.note or "it has none"
        return [Prose(f"Skip connections of {names}: {why}.", "empty")]
    rows = tuple(
        (
            f"level {it.level}",
            _sizes(it.resolution),
            count(it.channels) if it.channels else "not known",
            it.operator,
            Markup("<code>{}</code>").format(it.source),
            count(it.places),
            "yes" if it.nested else "no",
        )
        for it in network.skips
    )
    columns = (
        *(Column("Level"), Column("Resolution"), Column("Channels", "number")),
        *(Column("Merged by"), Column("Value"), Column("Places", "number"), Column("Nested")),
    )
    caption = Markup("Skip connections of {}, fed {}; coarsest resolution {}.").format(
        names, _sizes(network.fed), _sizes(network.coarsest)
    )
    table = Table(
        caption,
        columns,
        rows,
        note="Level 0 is the finest resolution of the network. Nested: the value depends on a coarser one. "
        "Places: where it enters; an attention gate has several.",
    )
    complete, minimal = certificate_words(network)
    drawn = Figure(
        draw(network, f"Skip connections of {names}"),
        "Levels of the network, and its skip connections between the way down and the way up.",
    )
    warned = [Prose(it, "notice") for it in conclusion_words(network)]
    certificates = Items((f"Complete: {complete}.", f"Minimal: {minimal}."))
    return [Gallery((drawn,), width="whole"), table, certificates, *warned]


def _sizes(sizes: Sequence[int]) -> Markup:
    return Markup(" × ").join(count(it) for it in sizes)


def _base(view: View, curves: Sequence[AblationCurve], whose: str, *, is_open: bool) -> list[Block]:
    """Show one network and label, a gallery for each way to replace."""
    return [
        _gallery(view, mine, f"{whose}: skips {words}", is_open=is_open)
        for kind, words in KINDS.items()
        if (mine := [it for it in curves if it.by == kind])
    ]


def _gallery(view: View, curves: Sequence[AblationCurve], title: str, *, is_open: bool) -> Gallery:
    several = any(len(it.points) > 1 for it in curves)
    figures = _strengths(view, curves) if several else _levels(view, curves)
    return Gallery(
        figures,
        legend=_legend(view, curves, lines=several),
        table=_table(view, curves, title),
        title=title if is_open else "",
        summary="" if is_open else title,
        width="third",
    )


def _name(curve: AblationCurve) -> str:
    return f"{curve.skips}, {curve.variant}" if curve.variant else curve.skips


def _brief(curve: AblationCurve) -> str:
    """Name it beside its line in a figure."""
    return _name(curve).replace("every skip connection", "every skip")


def _at(curves: Sequence[AblationCurve], place: tuple[str, float]) -> list[AblationCurve]:
    return [it for it in curves if (it.perturbation, it.severity) == place]


def _levels(view: View, curves: Sequence[AblationCurve]) -> tuple[Figure, ...]:
    """Reliance on clean scans and under noise side by side, then what is spared under noise."""
    metric = short(view.metric(curves[0].metric))
    places = dict.fromkeys([("clean", 0.0), noise_condition(view)])
    shown = [found for place in places if (found := _at(curves, place))]
    panels = [
        (
            _title(found[0]),
            f"reliance: {metric} lost",
            [(_brief(it), it.points[0].reliance) for it in found],
        )
        for found in shown
    ]
    panels += [
        (
            _title(found[0]),
            "loss spared without the skip",
            [(_brief(it), it.points[0].spared) for it in found],
        )
        for found in shown
        if found[0].perturbation != "clean"
    ]
    ends = chart.ends_of(estimate for *_, rows in panels for _, estimate in rows)
    return tuple(
        Figure(
            chart.skips(
                rows, ends, mark_of(2 if "spared" in axis else place), title=title, axis=axis
            ),
            f"{title}: {axis}",
        )
        for place, (title, axis, rows) in enumerate(panels)
    )


def _title(curve: AblationCurve) -> str:
    if curve.perturbation == "clean":
        return "Clean scans"
    words = condition_words(curve)
    return words[:1].upper() + words[1:]


def _strengths(view: View, curves: Sequence[AblationCurve]) -> tuple[Figure, ...]:
    """One small panel a skip: a line for clean scans, one under noise."""
    metric = short(view.metric(curves[0].metric))
    places = dict.fromkeys([("clean", 0.0), noise_condition(view)])
    shown = [it for place in places for it in _at(curves, place)]
    ends = chart.ends_of(point.reliance for it in shown for point in it.points)
    axis = (f"reliance: {metric} lost", STRENGTHS.get(curves[0].by, "strength"))
    figures = []
    for name in dict.fromkeys(map(_name, shown)):
        lines = [(_title(it), it.points) for it in shown if _name(it) == name]
        title = name[:1].upper() + name[1:]
        drawn = chart.strengths(lines, ends, title=title, axis=axis)
        figures.append(Figure(drawn, f"{title}: {axis[0]} by {axis[1]}"))
    return tuple(figures)


def _legend(view: View, curves: Sequence[AblationCurve], *, lines: bool) -> Markup:
    """Say which line is which condition, and what a hollow mark is; nothing where neither is drawn."""
    places = dict.fromkeys([("clean", 0.0), noise_condition(view)])
    shown = [found for place in places if (found := _at(curves, place))]
    keys = [key_of(mark_of(at), _title(it[0])) for at, it in enumerate(shown)] if lines else []
    drawn = [point.reliance for several in shown for it in several for point in it.points]
    if not lines:
        noisy = [it for several in shown for it in several if it.perturbation != "clean"]
        drawn += [it.points[0].spared for it in noisy]
    if any(it.low is None and it.value is not None for it in drawn):
        keys.append(Markup('<span class="key">hollow mark: without an interval</span>'))
    return Markup("").join(keys)


def _table(view: View, curves: Sequence[AblationCurve], title: str) -> Table:
    rows = sum(len(it.points) for it in curves)
    listed = list(curves)
    if rows > MOST_ROWS:
        places = {("clean", 0.0), noise_condition(view)}
        listed = [it for it in curves if (it.perturbation, it.severity) in places]
    strength = any(point.strength is not None for it in curves for point in it.points)
    columns = (
        *(Column("Skips"), *((Column("Strength", "number"),) if strength else ())),
        *(Column("Condition"), Column("Reliance [interval]", "number"), Column("n", "number")),
        *(Column("Loss spared [interval]", "number"), Column("n", "number")),
        *(Column("Left out", "number", fold=True), Column("Without interval", "wide")),
    )
    cells = tuple(_row(view, it, point, strength=strength) for it in listed for point in it.points)
    metric = short(view.metric(curves[0].metric))
    caption = f"{title}. {metric} lost against the network as it is, and loss from clean spared."
    note = Markup("{} Left out: patients without a number under all that are compared at once.")
    told = [_methods([point for it in listed for point in it.points])]
    if strength:
        told.append(Markup("Strength: {}.").format(STRENGTHS.get(curves[0].by, "as declared")))
    if len(listed) < len(curves):
        told.append(Markup("Other conditions: results.json has them."))
    if all(row[-1] == "none" for row in cells):
        columns, cells = columns[:-1], tuple(row[:-1] for row in cells)
    return Table(
        caption, columns, cells, note=note.format(Markup(" ").join(told)),
        summary="Numbers of these figures",
    )  # fmt: skip


def _row(
    view: View, curve: AblationCurve, point: AblationPoint, *, strength: bool
) -> tuple[Text, ...]:
    unit = view.metric(curve.metric).unit
    shown = "none" if point.strength is None else number(point.strength, text=f"{point.strength:g}")
    clean = curve.perturbation == "clean"
    return (
        _name(curve),
        *((shown,) if strength else ()),
        condition(curve.perturbation, curve.severity, curve.severity_level, curve.unit),
        value_of(point.reliance, unit=unit),
        count(point.reliance.n),
        "reference point" if clean else value_of(point.spared, unit=unit),
        "none" if clean else count(point.spared.n),
        count(curve.left_out),
        _missing(point, clean=clean),
    )


def _methods(points: Sequence[AblationPoint]) -> Markup:
    """Say once how intervals were made: those of one table are all made alike."""
    found = dict.fromkeys(
        method_of(it)
        for point in points
        for it in (point.reliance, point.spared)
        if it.low is not None
    )
    told = Markup("; ").join(found) if found else Markup("no interval")
    return Markup("Level and method: {}.").format(told)


def _missing(point: AblationPoint, *, clean: bool) -> str:
    """Say why a number has no interval."""
    numbers = [("reliance", point.reliance), *([] if clean else [("spared", point.spared)])]
    told: dict[str, list[str]] = {}
    for what, it in numbers:
        if it.low is None:
            told.setdefault(status_words(it.status, it.note), []).append(what)
    return "; ".join(f"{joined(whats)}: {why}" for why, whats in told.items()) or "none"
