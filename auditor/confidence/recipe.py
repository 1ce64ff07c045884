"""The recipe: which systems are not beaten under a mix, with what can be said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from auditor.analysis.intervals import FEW
from auditor.confidence.recipe_mix import ScansOfSite
from auditor.confidence.recipe_scores import Condition, ScoreTable
from auditor.confidence.recipe_weighing import (
    Asked,
    Weighed,
    added_effects,
    by_family,
    by_system,
    scans_of,
)
from auditor.confidence.recipe_words import limits, sentences
from auditor.schema import CLEAN
from auditor.schema.recipe import (
    RECIPE_VERSION,
    Interaction,
    MixShare,
    RealityCheck,
    Recipe,
    SiteUse,
)

__all__ = ["make_recipe", "site_refusal"]

_NOT_OFFERED = "not offered"


def make_recipe(
    asked: Asked,
    table: ScoreTable | None,
    mix: Mapping[Condition, float],
    site: ScansOfSite | None,
    *,
    interaction: Interaction,
    reality: RealityCheck,
    refusal: str = "",
) -> Recipe:
    """Weigh the systems of a run under a mix.

    Parameters
    ----------
    asked : Asked
    table : ScoreTable, optional
        None when nothing can be weighed, which `refusal` then says.
    mix : condition -> share
    site : ScansOfSite, optional
        Its scans vary with the patients when the mix is theirs.
    interaction, reality : what else was looked at
    refusal : why the recipe is not offered, where that is known beforehand
    """
    weighed, added = Weighed((), (), (), None, ()), None
    if table is not None:
        scans = scans_of(asked, table, mix, site)
        weighed = (
            by_family(asked, table, scans) if asked.families else by_system(asked, table, scans)
        )
        added = added_effects(asked, table, site)
    refusal = refusal or _forbidden(asked, reality)
    if refusal:
        weighed = replace(
            weighed,
            not_beaten=(),
            pairs=tuple(
                replace(it, verdict=_NOT_OFFERED, ball=_NOT_OFFERED) for it in weighed.pairs
            ),
        )
    made = Recipe(
        version=RECIPE_VERSION,
        tool=asked.tool,
        audit=asked.audit,
        plan_digest=asked.plan_digest,
        label=asked.label,
        metric=asked.metric,
        level=asked.level,
        seed=asked.seed,
        by="family" if asked.families else "system",
        source=asked.source,
        mix=() if table is None else _shares(table, mix),
        site=None if site is None else site.use,
        n=0 if table is None else table.n,
        left_out=() if table is None else table.left_out,
        counted_clean=0 if table is None else table.counted_clean,
        systems=weighed.systems,
        pairs=weighed.pairs,
        not_beaten=weighed.not_beaten,
        added=added,
        kendall=weighed.kendall,
        ball=asked.ball,
        maps=weighed.maps,
        interaction=interaction,
        reality=reality,
        offered=not refusal,
        refusal=refusal,
        sentences=(),
        limits=(),
    )
    told = sentences(
        made, checkpoints_only=asked.checkpoints_only, doubted=asked.doubted, ablated=asked.ablated
    )
    return replace(made, sentences=told, limits=limits(made))


def site_refusal(use: SiteUse) -> str:
    """Say why a site's scans carry no recipe; empty when they do."""
    if use.placed < FEW:
        return (
            f"{use.placed} of the {use.scans} scans of the site lie within what the run tested; at least "
            f"{FEW} are needed to say what the scans of the site are like"
        )
    if 2 * use.placed <= use.scans:
        return (
            f"most scans of the site ({use.scans - use.placed} of {use.scans}) lie beyond the tested "
            "severities or could not be placed; test higher severities, or look at why they could not be "
            "placed"
        )
    return ""


def _forbidden(asked: Asked, reality: RealityCheck) -> str:
    """Refuse to carry curves to a site when they do not even carry between groups of the cases."""
    if asked.source != "stated mix" and reality.status == "not explained":
        return reality.sentence
    return ""


def _shares(table: ScoreTable, mix: Mapping[Condition, float]) -> tuple[MixShare, ...]:
    return tuple(
        MixShare(*condition, *table.levels[condition], mix[condition])
        for condition in sorted(mix, key=lambda it: (it[0] != CLEAN, *it))
        if mix[condition] > 0.0
    )
