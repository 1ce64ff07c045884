"""Which layers of a network perturbations move, and where that is absorbed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from auditor.schema import LayerCurve, LayerFacts, LayerSusceptibility
from reports.charts import layers as chart
from reports.document import Block, Column, Figure, Gallery, Items, Prose, Section, Table, Text
from reports.view import View
from reports.wording import (
    condition,
    count,
    heading,
    in_words,
    joined,
    lines,
    method_of,
    number,
    value_of,
)

LEAD = (
    "Each panel goes along a network, from the image to its answer. A point is the Hellinger distance between "
    "the activations of the perturbed and of the clean scan, 0 for the same histogram and 1 for histograms "
    "without a common bin, as a mean over channels and then over patients. The broken line is the distance "
    "between clean scans of different patients: what is usual."
)
SAYS = "This explains where a change of the scan arrives in a network; it is no evidence of robustness."
HYPOTHESIS = (
    "Histograms forget where an activation was. That early layers move most, and that deeper ones move less "
    "without skip connections (Wilm et al., 2024), is a hypothesis to be looked at for each network."
)
REPLACED = (
    "Where a skip connection is replaced by one value a channel, its merge holds channels of one value, which "
    "are at distance 1 from any other one: read the layers behind the merge. A concatenation of such channels "
    "is not counted among what moves most."
)
FLOOR = (
    "Floor: about how far two samples of so many independent voxels and one law are apart, "
    "sqrt((bins − 1) / (4 voxels)). A distance between patients near it says nothing."
)


def layers(view: View) -> Section:
    """Say which layers move most, draw them along the network, and list every number."""
    found = view.results.layers
    blocks: list[Block] = [Prose(SAYS, "notice"), Prose(HYPOTHESIS)]
    constant = {
        it.name
        for it in view.results.systems
        if it.ablation is not None and it.ablation.by in {"mean", "zero"}
    }
    if any(it.system in constant for it in found):
        blocks.append(Prose(REPLACED))
    lost = tuple(f"{it.system}: {it.note}" for it in found if it.note)
    if lost:
        blocks.append(Items(lost))
    shown = [it for it in found if it.layers]
    if any(it.curves for it in shown):
        blocks.append(_answers(shown))
    top = chart.top_of(shown)
    names = dict.fromkeys(curve.perturbation for it in shown for curve in it.curves)
    for place, name in enumerate(names):
        blocks.append(_gallery(shown, name, top, is_open=place == 0))
    if shown:
        blocks.append(_facts(shown))
    return Section("layers", "Layers of the networks", LEAD, tuple(blocks))


def _answers(found: Sequence[LayerSusceptibility]) -> Table:
    """Say for the highest severity of every perturbation what moves most, and from where on no longer."""
    rows = []
    for it in found:
        last = {curve.perturbation: curve for curve in it.curves}
        for curve in last.values():
            place = next(iter(curve.most), None)
            estimate = None if place is None else curve.distances[place]
            rows.append(
                (
                    it.system,
                    condition(curve.perturbation, curve.severity, curve.level, curve.unit),
                    "none" if place is None else _named(it.layers[place]),
                    "none" if estimate is None else value_of(estimate),
                    "0" if estimate is None else count(estimate.n),
                    _absorbed(it, curve),
                    in_words(curve.below_how),
                )
            )
    columns = (
        *(Column("System"), Column("Condition"), Column("Moves most", "wide")),
        *(Column("Its distance", "number"), Column("n", "number")),
        Column("Less than between patients", "wide"),
        Column("That is told", "wide", fold=True),
    )
    caption = "Which layer moves most at the highest severity, and where the change is absorbed."
    return Table(caption, columns, tuple(rows))


def _absorbed(found: LayerSusceptibility, curve: LayerCurve) -> Text:
    if curve.below_from is None:
        unknown = all(it.between.value is None for it in found.layers)
        return "not known" if unknown else "not shown to the end of the network"
    assessed = (
        it.place
        for it, distance in zip(found.layers, curve.distances, strict=True)
        if distance.value is not None
    )
    if curve.below_from == next(assessed):
        return "in every layer"
    return Markup("from {} on").format(_named(found.layers[curve.below_from]))


def _named(layer: LayerFacts) -> Markup:
    return Markup("layer {} (<code>{}</code>, {})").format(
        count(layer.place), layer.name, layer.operator
    )


def _gallery(
    found: Sequence[LayerSusceptibility], name: str, top: float, *, is_open: bool
) -> Gallery:
    figures = []
    severities: list[float] = []
    for it in found:
        curves = [curve for curve in it.curves if curve.perturbation == name]
        severities = [curve.severity for curve in curves]
        figures.append(Figure(chart.along(it, curves, top, title=it.system), it.system))
    title = f"{heading(name)}: {joined([it.system for it in found])}"
    return Gallery(
        tuple(figures),
        legend=chart.legend(severities),
        table=_distances(found, name),
        title=title if is_open else "",
        summary="" if is_open else title,
    )


def _distances(found: Sequence[LayerSusceptibility], name: str) -> Table:
    rows: list[tuple[Text, ...]] = []
    told: list[Text] = []
    heads: dict[str, Text] = {}
    for it in found:
        curves = [curve for curve in it.curves if curve.perturbation == name]
        for curve in curves:
            heads[f"{curve.severity:g}"] = condition(name, curve.severity, curve.level, curve.unit)
            if curve.missing:
                told.append(f"{it.system}, severity {curve.severity:g}: {curve.missing}.")
        for layer in it.layers:
            own = [curve.distances[layer.place] for curve in curves]
            rows.append(
                (
                    it.system,
                    _named(layer),
                    *(value_of(estimate) for estimate in own),
                    lines(dict.fromkeys(count(estimate.n) for estimate in own)),
                    lines(dict.fromkeys(method_of(estimate) for estimate in own)),
                )
            )
    columns = (
        *(Column("System"), Column("Layer", "wide")),
        *(Column(head, "number") for head in heads.values()),
        *(Column("n", "number"), Column("Level and method", fold=True)),
    )
    caption = (
        f"{heading(name)}: Hellinger distance of activations to the clean scan, mean over channels and "
        "patients; every interval for one layer and severity."
    )
    return Table(
        caption,
        columns,
        tuple(rows),
        summary="Numbers of this figure",
        note=" ".join(map(str, told)),
    )


def _facts(found: Sequence[LayerSusceptibility]) -> Table:
    rows = tuple(
        (
            it.system,
            count(layer.place),
            Markup("<code>{}</code>").format(layer.name),
            layer.operator,
            " × ".join(map(str, layer.resolution)) or "not known",
            count(layer.channels),
            count(layer.voxels),
            number(layer.floor),
            value_of(layer.between),
            count(layer.between.n),
            method_of(layer.between),
        )
        for it in found
        for layer in it.layers
    )
    columns = (
        *(Column("System"), Column("Place", "number"), Column("Value"), Column("Operator")),
        *(Column("Resolution"), Column("Channels", "number"), Column("Voxels", "number")),
        *(Column("Floor", "number"), Column("Between patients", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
    )
    caption = "Layers, and the distance between clean scans of different patients."
    return Table(caption, columns, rows, summary="Layers of the networks", note=FLOOR)
