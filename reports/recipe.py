"""Make ``recipe.html`` from the record of ``recipe.json``: the answer, what it rests on, its limits."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from auditor.schema.recipe import MixMap, Recipe, RecipePair, RecipeSystem
from reports import html, svg
from reports.build import write_page
from reports.charts.recipe import (
    map_legend,
    map_title,
    mix_map,
    pair_chart,
    rank_chart,
    share_words,
)
from reports.document import (
    Block,
    Column,
    Figure,
    Gallery,
    Items,
    Prose,
    ScreenPage,
    Section,
    Table,
    Text,
)
from reports.sections.recipe_checks import checks
from reports.wording import (
    count,
    digest,
    heading,
    in_words,
    level,
    method_of,
    number,
    percent,
    short,
    value_of,
)

__all__ = ["build_recipe", "render_recipe"]


def build_recipe(folder: Path, recipe: Recipe) -> Path:
    """Write the page of a recipe.

    Parameters
    ----------
    folder
        Where it is written.
    recipe
        The content of recipe.json.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    target = folder / "recipe.html"
    write_page(target, render_recipe(recipe))
    return target


def render_recipe(recipe: Recipe) -> str:
    """Print the page; the same record gives the same bytes."""
    sections = (
        Section("pairs", "Every pair", _pairs_lead(recipe), _pairs(recipe)),
        Section("systems", "Scores and ranks", "", _systems(recipe)),
        Section("maps", "Other mixes", _maps_lead(recipe), _maps(recipe)),
        Section("mix", "What it was weighed by", "", _mix(recipe)),
        Section("checks", "Checks", "", checks(recipe)),
        Section("limits", "What this says, and what not", "", (Items(recipe.limits),)),
    )
    return html.write(
        ScreenPage(
            name=recipe.audit,
            stamp="RECIPE" if recipe.offered else "NOT OFFERED",
            stamp_meaning={
                "stated mix": "for a stated mix of conditions",
                "site profile": "for scans like those of a site",
                "joint condition": "for the joint degradations of a site's scans",
            }[recipe.source],
            overall="",
            identities=(
                ("plan", digest(recipe.plan_digest)),
                ("tool", recipe.tool),
                ("seed", str(recipe.seed)),
            ),
            banners=(
                *([] if recipe.offered else [("warning", in_words(recipe.refusal))]),
                ("info", "No pixel of a scan is embedded."),
            ),
            facts=_facts(recipe),
            sentences=tuple(in_words(it) for it in recipe.sentences),
            sections=tuple(it for it in sections if it.blocks),
            kind="recipe: which system for these images",
            source=(
                "Every number on this page comes from recipe.json of this folder. Simulated perturbations – "
                "not clinical validation."
            ),
        )
    )


def _facts(recipe: Recipe) -> tuple[tuple[Text, Text], ...]:
    facts: list[tuple[Text, Text]] = [
        (count(recipe.n), "patients"),
        (count(len(recipe.systems)), "families" if recipe.by == "family" else "systems"),
    ]
    if recipe.site is not None:
        facts.append((count(recipe.site.placed), f"of {recipe.site.scans} scans of the site"))
    if recipe.offered and recipe.systems:
        facts.append((count(len(recipe.not_beaten)), "not beaten"))
    return tuple(facts)


def _pairs_lead(recipe: Recipe) -> Text:
    return Markup(
        "Each patient's mean {} of {} over the mix, paired. Intervals hold for all pairs together ({}); one is "
        "preferred only where its interval excludes zero."
    ).format(short(recipe.metric), recipe.label, percent(recipe.level))


def _pairs(recipe: Recipe) -> tuple[Block, ...]:
    if not recipe.pairs:
        return ()
    around = any(it.ball_low is not None for it in recipe.pairs)
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            f"{it.first} − {it.second}",
            value_of(it.difference),
            count(it.difference.n),
            method_of(it.difference),
            it.verdict,
            *(_around(it) if around else ()),
        )
        for it in recipe.pairs
    )
    columns: tuple[Column, ...] = (
        *(Column("Pair"), Column("Difference [interval]", "number"), Column("n", "number")),
        *(Column("Level and method", fold=True), Column("Preferred")),
    )
    note: Text = ""
    if around:
        columns += (
            *(Column("Over the mixes around", "number"), Column("Preferred there")),
            Column("Up to", "number"),
        )
        note = Markup(
            "The mixes around are all in which a share {} of the scans moves to any other tested condition; "
            "'up to' is the largest such share for which the preference is shown. They rest on the band of the "
            "maps, which takes the mix as known."
        ).format(number(recipe.ball, text=f"{recipe.ball:g}"))
    caption = f"Paired differences of the mean {short(recipe.metric)}, first minus second."
    table = Table(caption, columns, rows, note=note)
    if len(recipe.pairs) > _DRAWN:
        return (table,)
    svg_of = pair_chart(recipe.pairs, f"difference of mean {short(recipe.metric)}")
    return (Gallery((Figure(svg_of, "Differences under the mix"),), table=table),)


_DRAWN = 40
"""Most pairs that are drawn."""


def _around(pair: RecipePair) -> tuple[Text, ...]:
    """Print what is shown over the mixes around."""
    if pair.ball_low is None or pair.ball_high is None:
        return ("not assessed", pair.ball, "none")
    return (
        Markup("{} to {}").format(number(pair.ball_low), number(pair.ball_high)),
        pair.ball,
        "none" if pair.radius is None else number(pair.radius, text=f"{pair.radius:.2f}"),
    )


def _systems(recipe: Recipe) -> tuple[Block, ...]:
    if not recipe.systems:
        return ()
    around = any(it.worst.value is not None for it in recipe.systems)
    ranks = max((len(it.ranks) for it in recipe.systems), default=0)
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            it.name,
            *([", ".join(it.members)] if recipe.by == "family" else []),
            value_of(it.score),
            count(it.score.n),
            method_of(it.score),
            *((value_of(it.worst), method_of(it.worst)) if around else ()),
            *(percent(round(it.ranks[k], 4)) if it.ranks else "none" for k in range(ranks)),
        )
        for it in recipe.systems
    )
    columns = (
        Column("Family" if recipe.by == "family" else "System"),
        *([Column("Training runs")] if recipe.by == "family" else []),
        *(Column("Mean score", "number"), Column("n", "number")),
        Column("Level and method", fold=True),
        *(
            (
                Column("Smallest mean over the mixes around", "number"),
                Column("Level and method of it", fold=True),
            )
            if around
            else ()
        ),
        *(Column(f"Rank {k + 1}", "number") for k in range(ranks)),
    )
    table = Table(
        f"Mean {short(recipe.metric)} under the mix, failures at their worst value; ranks over bootstrap "
        "draws.",
        columns,
        rows,
        note=""
        if recipe.kendall is None
        else Markup(
            "Mean rank correlation (Kendall) of the draws with the order of the means: {}."
        ).format(number(recipe.kendall)),
    )
    promised = _promised(recipe)
    if not ranks or len(recipe.systems) < 2:
        return (table, *promised)
    figure = Figure(rank_chart(recipe.systems, _marks(recipe.systems)), "Ranks over draws")
    return (Gallery((figure,), table=table), *promised)


def _promised(recipe: Recipe) -> tuple[Block, ...]:
    """List what is promised for one new scan; the mean says nothing of it."""
    if not recipe.promised:
        return ()
    rows = tuple(
        (
            name,
            value_of(it),
            count(it.n),
            method_of(it),
            in_words(it.note) if it.value is not None else "",
        )
        for name, it in recipe.promised
    )
    columns = (
        *(Column("System"), Column(f"{short(recipe.metric)} of one new scan", "number")),
        *(
            Column("n", "number"),
            Column("Level and method", fold=True),
            Column("Remark", "wide", fold=True),
        ),
    )
    note = (
        "The mean above is of all scans. The bound is for one scan that is drawn from the mix, of a patient "
        "like these: it fails for the remaining share in the long run. Of a patient with several cases the "
        "worst counts."
    )
    return (
        Table(
            f"Lower bound on the {short(recipe.metric)} of one new scan.", columns, rows, note=note
        ),
    )


def _marks(systems: tuple[RecipeSystem, ...]) -> dict[str, svg.Mark]:
    return {it.name: svg.mark_of(k) for k, it in enumerate(systems)}


def _maps_lead(recipe: Recipe) -> Text:
    return Markup(
        "From one band that holds for all conditions at once ({}), so that every mix on every map may be read: "
        "where a system is named, it is better than every other one under that mix."
    ).format(percent(recipe.level))


def _maps(recipe: Recipe) -> tuple[Block, ...]:
    if not recipe.maps or len(recipe.systems) < 2:
        return ()
    marks = _marks(recipe.systems)
    figures = tuple(
        Figure(mix_map(it, marks), f"Not beaten by mix: {map_title(it)}")
        for it in recipe.maps
        if not _blank(it, recipe)
    )
    blank = [map_title(it) for it in recipe.maps if _blank(it, recipe)]
    told: tuple[Block, ...] = ()
    if blank:
        words = f"Every mix that was looked at is undecided between all for: {'; '.join(blank)}."
        told = (Prose(words),)
    if not figures:
        return told
    return (
        Gallery(figures, legend=map_legend(marks), table=_map_table(recipe), title="Maps of mixes"),
        *told,
        Prose(
            "Across: the share of scans that are degraded; the rest is as the test set. Undecided does not "
            "mean equal: with these patients the order is not known there.",
        ),
    )


def _blank(found: MixMap, recipe: Recipe) -> bool:
    """Tell whether a map decides nothing."""
    return all(len(kept) == len(recipe.systems) for kept in found.sets)


def _map_table(recipe: Recipe) -> Table:
    rows: list[tuple[Text, ...]] = []
    for found in recipe.maps:
        cells = [value for row in found.cells for value in row if value >= 0]
        for place, kept in enumerate(found.sets):
            rows.append(
                (
                    heading(map_title(found)),
                    share_words(kept),
                    count(cells.count(place)),
                    _first(found, place),
                )
            )
    columns = (
        *(Column("Map"), Column("Answer"), Column("Mixes shown", "number")),
        Column("One of them"),
    )
    return Table(
        "How many of the mixes on each map have which answer.", columns, tuple(rows),
        summary="The maps as a table",
    )  # fmt: skip


def _first(found: MixMap, place: int) -> Text:
    """Name the first mix with an answer."""
    for upward, row in zip(found.upward, found.cells, strict=True):
        for across, value in zip(found.across, row, strict=True):
            if value == place:
                second = (
                    f"severity {upward:g}"
                    if found.kind == "severity"
                    else f"{upward:.0%} on the second"
                )
                return f"{across:.0%} of the scans, {second}"
    return ""


def _mix(recipe: Recipe) -> tuple[Block, ...]:
    blocks: list[Block] = []
    if recipe.mix:
        rows: tuple[tuple[Text, ...], ...] = tuple(
            (
                heading(it.perturbation),
                number(it.severity, text=f"{it.severity:g}"),
                level(it.level, it.unit),
                percent(round(it.share, 6)),
            )
            for it in recipe.mix
        )
        columns = (
            *(Column("Condition"), Column("Severity", "number"), Column("Level", "number")),
            Column("Share", "number"),
        )
        blocks.append(Table("The mix: shares sum to 1.", columns, rows))
    if recipe.site is not None:
        site = recipe.site
        named = (
            *(("in the profile", site.scans), ("placed: the recipe speaks of these", site.placed)),
            ("beyond the tested severities", site.beyond),
            ("could not be placed", site.undefined),
            ("above severity 0 on several axes", site.several),
        )
        blocks.append(
            Table(
                "Scans of the site.",
                (Column("Scans"), Column("Number", "number")),
                tuple((words, count(it)) for words, it in named),
            )
        )
    if recipe.left_out:
        blocks.append(_left_out(recipe))
    return tuple(blocks)


def _left_out(recipe: Recipe) -> Table:
    rows: tuple[tuple[Text, ...], ...] = tuple(
        (
            heading(it.perturbation),
            number(it.severity, text=f"{it.severity:g}"),
            count(it.cases),
            count(it.patients),
            ", ".join(it.statuses),
            "these cases enter nothing"
            if it.used
            else "the condition is left out of maps and mixes around",
        )
        for it in recipe.left_out
    )
    columns = (
        *(Column("Condition"), Column("Severity", "number"), Column("Cases", "number")),
        *(Column("Patients", "number"), Column("Why"), Column("What follows")),
    )
    return Table("Cases without a number on some system.", columns, rows)
