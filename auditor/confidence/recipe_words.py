"""The recipe in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.analysis.comparison import NO_WINNER
from auditor.schema.recipe import Recipe

__all__ = ["limits", "sentences"]


def sentences(
    recipe: Recipe,
    *,
    checkpoints_only: bool = False,
    doubted: Sequence[str] = (),
    ablated: int = 0,
) -> tuple[str, ...]:
    """Answer first, then what it rests on.

    Parameters
    ----------
    recipe : Recipe
        Everything but its sentences.
    checkpoints_only : bool
        Families were asked for, and one of them has a single training run.
    doubted : sequence of str
        Systems whose contract is in doubt.
    ablated : int
        Systems of the run that were left out for it.
    """
    told = [_answer(recipe)]
    if doubted:
        told.append(
            f"CONTRACT IN DOUBT: {_joined(doubted)} may not be run as meant by the maker, and its numbers may "
            "be those of a wrong use."
        )
    if ablated:
        told.append(
            f"The run holds {ablated} ablated system(s), which explain a network and are used by nobody; they "
            "were not weighed."
        )
    if checkpoints_only:
        told.append(
            "A family has one training run only: this compares checkpoints; it cannot say which architecture "
            "is preferable."
        )
    elif recipe.by == "family":
        told.append(_runs(recipe))
    if recipe.site is not None:
        told.append(_site(recipe))
    if recipe.offered and len(recipe.systems) > 1:
        told += _around(recipe)
        told += _ranks(recipe)
    told += _added(recipe)
    told += _left_out(recipe)
    told.append(recipe.interaction.sentence)
    if recipe.reality.sentence != recipe.refusal:
        told.append(recipe.reality.sentence)
    return tuple(told)


def limits(recipe: Recipe) -> tuple[str, ...]:
    """Say what a reader must not conclude."""
    told = [
        (
            "The recipe speaks of patients like those of the audit. What differs at a site and is not "
            "measured on its scans is not in it."
        ),
        (
            "The degradations were simulated. A system that is preferred here need not be good enough: the "
            "audit's criteria say that, not the recipe."
        ),
    ]
    if recipe.source != "joint condition":
        told.append(
            "Every scan counts as one condition, on one axis at a time; severities between tested ones are "
            "interpolated on a straight line."
        )
    if recipe.maps:
        told.append(
            "The maps and the mixes around the stated one rest on one band that holds for all conditions of "
            "the run at once, which is wider than the comparison at the mix alone. Nominal 95 % bands cover "
            "91 to 94 % when 1 to 6 % of cases collapse (simulated)."
        )
    hidden = [] if recipe.site is None else [it for it in recipe.site.hidden if it[1] > 0]
    if hidden:
        names = ", ".join(f"{name} {severity:.2g}" for name, severity in hidden)
        told.append(
            "A scan that is worse than the test set by less than what the test scans differ among themselves "
            f"counts as severity 0 (up to: {names})."
        )
    if recipe.site is not None and recipe.source == "joint condition":
        told.append(
            "The rows of the site were drawn once for every patient; that other scans of the site would be "
            "other rows is not in the intervals."
        )
    return tuple(told)


def _where(recipe: Recipe) -> str:
    return {
        "stated mix": "under the stated mix",
        "site profile": "on scans like those of the site",
        "joint condition": "with the degradations of the site's scans applied together",
    }[recipe.source]


def _answer(recipe: Recipe) -> str:
    name = recipe.metric.name
    measure = f"mean {name.upper() if len(name) < 5 else name.replace('_', ' ')} of {recipe.label}"
    if not recipe.offered:
        return f"No recipe is offered: {recipe.refusal.rstrip('.')}."
    if len(recipe.systems) == 1:
        only = recipe.systems[0]
        value = "" if only.score.value is None else f" Its {measure} is {only.score.value:.3f}."
        return f"There is nothing to compare: {only.name} is the only {recipe.by}.{value}"
    descriptive = [it for it in recipe.pairs if it.difference.status == "too_few"]
    if len(descriptive) == len(recipe.pairs):
        return f"No clear winner can be named {_where(recipe)}: {descriptive[0].difference.note}."
    level = f"{100 * recipe.level:.3g} % for all pairs together, n = {recipe.n} patients"
    beaten = [it.name for it in recipe.systems if it.name not in recipe.not_beaten]
    if len(recipe.not_beaten) == 1:
        name = recipe.not_beaten[0]
        wins = {
            it.second if it.first == name else it.first for it in recipe.pairs if it.verdict == name
        }
        how = (
            f"its {measure} is higher than that of {_joined(beaten)}"
            if wins == set(beaten)
            else f"every other one has a lower {measure} than some {recipe.by}"
        )
        return f"{name} is preferred {_where(recipe)}: {how} ({level})."
    rest = f"; {_joined(beaten)} {'is' if len(beaten) == 1 else 'are'} beaten" if beaten else ""
    return (
        f"There is no clear winner {_where(recipe)}: none of {_joined(recipe.not_beaten)} is beaten by "
        f"another in its {measure}{rest} ({level})."
    )


def _runs(recipe: Recipe) -> str:
    counts = _joined([f"{it.name} {len(it.members)}" for it in recipe.systems])
    few = min((len(it.members) for it in recipe.systems), default=0) < 3
    told = (
        "two runs of a family describe it and prove nothing of its architecture"
        if few
        else "patients and training runs vary together in the intervals"
    )
    return f"Training runs: {counts}; {told}."


def _site(recipe: Recipe) -> str:
    site = recipe.site
    assert site is not None  # asked by the caller
    left = []
    if site.beyond:
        left.append(f"{site.beyond} lie beyond the tested severities")
    if site.undefined:
        left.append(f"{site.undefined} could not be placed")
    rest = f"; {' and '.join(left)}, and nothing is said of them" if left else ""
    again = " They were placed by the table of this run." if site.placed_again else ""
    return (
        f"It speaks of {site.placed} of the {site.scans} scans of the site "
        f"({100 * (site.placed / max(1, site.scans)):.3g} %){rest}.{again}"
    )


def _around(recipe: Recipe) -> list[str]:
    """Say whether the preference holds for the mixes around."""
    told = []
    for pair in recipe.pairs:
        if pair.verdict == NO_WINNER or pair.ball_low is None:
            continue
        other = pair.second if pair.verdict == pair.first else pair.first
        if pair.ball == pair.verdict and pair.radius is not None:
            reached = "any" if pair.radius >= 1.0 else f"{pair.radius:.2f}"
            told.append(
                f"{pair.verdict} stays better than {other} when a share {recipe.ball:g} of the scans moves to "
                f"any other tested condition (up to {reached})."
            )
        else:
            told.append(
                f"That {pair.verdict} is better than {other} is not shown for every mix in which a share "
                f"{recipe.ball:g} of the scans moves to another tested condition."
            )
    return told


def _ranks(recipe: Recipe) -> list[str]:
    if not all(it.ranks for it in recipe.systems):
        return []
    most = max(it.ranks[0] for it in recipe.systems)
    first = [it.name for it in recipe.systems if it.ranks[0] == most]
    tau = (
        ""
        if recipe.kendall is None
        else f"; mean rank correlation of the draws {recipe.kendall:.2f}"
    )
    how = (
        f"ranks first in {most:.1%} of the bootstrap draws"
        if len(first) == 1
        else f"rank first in {most:.1%} of the bootstrap draws each, equal ones sharing the rank"
    )
    return [f"{_joined(first)} {how}{tau}."]


def _added(recipe: Recipe) -> list[str]:
    if recipe.site is None or not recipe.site.several or recipe.source != "site profile":
        return []
    count = f"{recipe.site.several} scans lie above severity 0 on several axes and count on the furthest."
    if recipe.added is None or not recipe.offered:
        return [count]
    if recipe.added == recipe.not_beaten:
        return [
            f"{count} With the effects of all their axes added, the same systems are not beaten."
        ]
    told = (
        f"{count} With the effects of all their axes added, the systems not beaten would be "
        f"{_joined(recipe.added)}: the answer depends on how degradations act together."
    )
    return [told]


def _left_out(recipe: Recipe) -> list[str]:
    clean = recipe.counted_clean
    drawn = f"{clean} case(s) drew a scan of the site that is like the test set: their clean scan counts."
    used = [it for it in recipe.left_out if it.used]
    other = [it for it in recipe.left_out if not it.used]
    told = [drawn] if clean else []
    told += [
        f"{it.cases} case(s) of {it.patients} patient(s) have no number under {it.perturbation} at severity "
        f"{it.severity:g} ({', '.join(it.statuses)}) and enter nothing."
        for it in used
    ]
    if other:
        names = ", ".join(f"{it.perturbation} {it.severity:g}" for it in other)
        told.append(
            f"Left out of the maps and of the mixes around, for lack of numbers of some cases: {names}."
        )
    return told


def _joined(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
