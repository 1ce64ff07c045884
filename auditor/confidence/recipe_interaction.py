"""Whether two perturbations together do what they do one at a time.

Of every patient, the drop from clean under both minus the sum of its drops under each alone: the excess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import simultaneous
from auditor.analysis.intervals import studentized_draws
from auditor.confidence.recipe_scores import CLEAN_CONDITION, Condition, ScoreTable
from auditor.config.site_rows import SAME_PROPERTY
from auditor.schema import CLEAN, Estimate
from auditor.schema.recipe import Interaction, InteractionRow

__all__ = ["INTERACTION_MARGIN", "interaction", "not_assessed", "pair_of_rows", "worst_two"]

Floats = NDArray[np.float64]

INTERACTION_MARGIN = 0.05
"""Mean excess that does not matter, in the unit of a metric in [0, 1]."""

SEVERITY = 2.0
"""Of both perturbations of the default check."""


def pair_of_rows(
    rows: Sequence[Mapping[str, float]], levels: Mapping[Condition, tuple[float | None, str]]
) -> tuple[Condition, Condition] | None:
    """Find the two tested conditions that the only row of a joint condition puts together.

    Returns
    -------
    pair of conditions
        None when there are several rows, more or fewer than two perturbations, or levels that were not
        tested alone.
    """
    if len(rows) != 1 or len(rows[0]) != 2:
        return None
    found = []
    for name, level in rows[0].items():
        own = [
            condition
            for condition, (it, _) in levels.items()
            if condition[0] == name and it is not None and abs(it - level) <= 1e-9 * abs(level)
        ]
        if len(own) != 1:
            return None
        found.append(own[0])
    return found[0], found[1]


def interaction(
    table: ScoreTable,
    joint: Condition,
    pair: tuple[Condition, Condition],
    weights: Floats,
    *,
    level: float,
    margin: float = INTERACTION_MARGIN,
) -> Interaction:
    """Compare the drop under two perturbations with the sum of their single drops.

    Parameters
    ----------
    table : ScoreTable
        With clean, the joint condition and both single ones.
    joint : of both together
    pair : each alone
    weights : (draws, patients)
        See `bootstrap_weights`.
    level : simultaneous over systems
    margin : mean excess that does not matter

    Returns
    -------
    Interaction
        adds up: every interval of the excess lies within the margin; does not add up: one excludes 0 with a
        mean beyond the margin; undecided otherwise.
    """
    clean = table.values[:, table.place(CLEAN_CONDITION)]
    together = clean - table.values[:, table.place(joint)]
    first, second = (clean - table.values[:, table.place(it)] for it in pair)
    summed = first + second
    columns = [_estimates(it, weights, level) for it in (together, summed, together - summed)]
    rows = tuple(
        InteractionRow(name, *(column[k] for column in columns))
        for k, name in enumerate(table.systems)
    )
    verdicts = [_verdict(row.excess, margin) for row in rows]
    status = (
        "does not add up"
        if "does not add up" in verdicts
        else "adds up"
        if set(verdicts) == {"adds up"}
        else "undecided"
    )
    parts = tuple((*it, table.levels[it][0] or 0.0, table.levels[it][1]) for it in pair)
    names = " and ".join(f"{name} at severity {severity:g}" for name, severity in pair)
    told = {
        "adds up": f"{names} together do what the sum of their single drops says, within {margin:g}.",
        "does not add up": (
            f"{names} together do not do what the sum of their single drops says: what is said here of one "
            "axis at a time does not carry over to scans with both."
        ),
        "undecided": (
            f"Whether {names} together do what the sum of their single drops says is undecided with these "
            "patients."
        ),
    }
    return Interaction(status, parts, rows, margin, told[status])  # type: ignore[arg-type]  # one of the three


def _verdict(excess: Estimate, margin: float) -> str:
    if excess.low is None or excess.high is None or excess.value is None:
        return "undecided"
    if excess.low > -margin and excess.high < margin:
        return "adds up"
    apart = excess.low > 0 or excess.high < 0
    return "does not add up" if apart and abs(excess.value) > margin else "undecided"


def _estimates(values: Floats, weights: Floats, level: float) -> list[Estimate]:
    return simultaneous(
        studentized_draws(values, weights),
        len(values),
        level=level,
        reach=None,
        method="paired studentized bootstrap, max-T over systems",
    )


def worst_two(table: ScoreTable, movable: Sequence[str]) -> tuple[Condition, Condition] | None:
    """Choose the two perturbations that hurt most at severity 2, of different properties.

    Parameters
    ----------
    table : ScoreTable
    movable : perturbations that can be applied together with others

    Returns
    -------
    pair of conditions
        The largest mean drop of a system decides; None when fewer than two were tested there.
    """
    if CLEAN_CONDITION not in table.conditions:
        return None
    means = table.values.mean(axis=0)
    clean = means[table.place(CLEAN_CONDITION)]
    drops = {
        condition: float(np.max(clean - means[place]))
        for place, condition in enumerate(table.conditions)
        if condition[1] == SEVERITY and condition[0] != CLEAN and condition[0] in movable
    }
    ranked = sorted(drops, key=lambda it: (-drops[it], it))
    for second in ranked[1:]:
        both = {ranked[0][0], second[0]}
        if not any(both <= set(same) for same in SAME_PROPERTY):
            return ranked[0], second
    return None


def not_assessed(table: ScoreTable, pair: tuple[Condition, Condition] | None) -> Interaction:
    """Say that interactions were not looked at, and what would look at them."""
    sentence = "One axis at a time; interactions not assessed."
    if pair is None:
        return Interaction("not assessed", (), (), INTERACTION_MARGIN, sentence)
    parts = tuple((*it, table.levels[it][0] or 0.0, table.levels[it][1]) for it in pair)
    row = ", ".join(f"{name}: {level!r}" for name, _, level, _ in parts)
    lines = ("perturbations:", f"  joint: {{options: {{rows: [{{{row}}}]}}}}")
    return Interaction("not assessed", parts, (), INTERACTION_MARGIN, sentence, lines)
