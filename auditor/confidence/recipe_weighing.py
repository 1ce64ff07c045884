"""Systems, or families of them, weighed under a mix: scores, pairs, ranks, and the mixes around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditor.analysis.comparison import NO_WINNER, Pair, best_set, judged, simultaneous
from auditor.analysis.intervals import (
    DRAWS,
    FEW,
    bootstrap_weights,
    order_statistic,
    seed_of,
)
from auditor.confidence import recipe_map
from auditor.confidence.recipe_draws import (
    kendall,
    mean_draws,
    mixed_draws,
    pairs_of,
    rank_shares,
)
from auditor.confidence.recipe_families import crossed_draws, family_pairs, run_weights
from auditor.confidence.recipe_mix import ScansOfSite
from auditor.confidence.recipe_scores import Condition, ScoreTable
from auditor.schema import Estimate, MetricInfo
from auditor.schema.recipe import MixMap, RecipePair, RecipeSystem

__all__ = ["Asked", "Weighed", "added_effects", "by_family", "by_system", "scans_of", "weights_of"]

Floats = NDArray[np.float64]

_MAPS = 4
"""Axes that are mapped."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a recipe is asked for, of which run."""

    tool: str
    audit: str
    plan_digest: str
    label: str
    metric: MetricInfo
    """In [0, 1], more is better."""
    level: float
    seed: int
    """Of the audit."""
    source: Literal["stated mix", "site profile", "joint condition"]
    ball: float
    families: Mapping[str, tuple[str, ...]] | None = None
    """Family -> its systems, at least two each; None: by system."""
    checkpoints_only: bool = False
    """Families were asked for, and one of them has a single run."""
    doubted: tuple[str, ...] = ()
    """Systems whose contract is in doubt."""
    ablated: int = 0
    """So many ablated systems of the run are not weighed."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """Systems or families under the mix."""

    pairs: tuple[RecipePair, ...]
    systems: tuple[RecipeSystem, ...]
    not_beaten: tuple[str, ...]
    kendall: float | None
    maps: tuple[MixMap, ...]


def weights_of(n: int, seed: int) -> Floats:
    """Resampling weights of n patients: those of every other number of the audit."""
    return bootstrap_weights(n, seed_of(seed, "bootstrap"))


def scans_of(
    asked: Asked, table: ScoreTable, mix: Mapping[Condition, float], site: ScansOfSite | None
) -> Floats:
    """Mix of each scan that varies, (scans, conditions); one row where the mix is taken as known."""
    if site is not None and asked.source == "site profile":
        return np.stack([table.shares(scan) for scan in site.furthest])
    return table.shares(mix)[None, :]


def _scan_weights(asked: Asked, scans: Floats) -> Floats | None:
    return (
        None
        if len(scans) == 1
        else bootstrap_weights(len(scans), seed_of(asked.seed, "scans of the site"))
    )


def _differences(values: Floats, names: Sequence[str]) -> tuple[list[tuple[str, str]], Floats]:
    """Differences of every two columns, (patients, conditions, pairs)."""
    place = {name: k for k, name in enumerate(names)}
    pairs = pairs_of(names)
    if not pairs:
        return [], np.empty((*values.shape[:2], 0))
    apart = [values[:, :, place[a]] - values[:, :, place[b]] for a, b in pairs]
    return pairs, np.stack(apart, axis=2)


def _compared(asked: Asked, table: ScoreTable, scans: Floats) -> list[Pair]:
    pairs, apart = _differences(table.values, table.systems)
    if table.n < FEW:
        mean = np.einsum("ncK,c->nK", apart, scans.mean(axis=0)).mean(axis=0)
        drawn = (mean, mean, mean)  # fewer are described by their means alone
    else:
        found = mixed_draws(
            apart, scans, weights_of(table.n, asked.seed), _scan_weights(asked, scans)
        )
        drawn = (found.mean, found.error, found.t)
    method = "paired studentized bootstrap, max-T over pairs"
    if len(scans) > 1:
        method = (
            f"paired studentized bootstrap over patients and {len(scans)} scans, max-T over pairs"
        )
    estimates = simultaneous(drawn, table.n, level=asked.level, reach=1.0, method=method)
    return judged(pairs, estimates, higher_is_better=True)


def by_system(asked: Asked, table: ScoreTable, scans: Floats) -> Weighed:
    """Weigh every system; fewer than `FEW` patients are described by their means alone.

    Parameters
    ----------
    asked : Asked
    table : ScoreTable
    scans : (scans, conditions)
        Of `scans_of`.
    """
    compared = _compared(asked, table, scans)
    names, mix = table.systems, scans.mean(axis=0)
    scores = _scores(asked, table.values, scans)
    if table.n < FEW:
        absent = Estimate(None, table.n, "none", status="too_few", note=f"needs n >= {FEW}")
        pairs = tuple(_pair(it, None, mix, asked.ball) for it in compared)
        described = zip(names, scores, strict=True)
        systems = tuple(RecipeSystem(name, (name,), it, absent, ()) for name, it in described)
        return Weighed(pairs, systems, best_set(names, compared), None, ())
    weights = weights_of(table.n, asked.seed)
    _, apart = _differences(table.values, names)
    low, high = _bands(apart, weights, asked.level, two_sided=True, reach=(-1.0, 1.0))
    drawn = mean_draws(table.values, scans, weights, _scan_weights(asked, scans))
    shares, worst = rank_shares(drawn), _worst(asked, table, weights, mix)
    return Weighed(
        pairs=tuple(_pair(it, (low[k], high[k]), mix, asked.ball) for k, it in enumerate(compared)),
        systems=tuple(
            RecipeSystem(name, (name,), scores[k], worst[k], tuple(shares[k].tolist()))
            for k, name in enumerate(names)
        ),
        not_beaten=best_set(names, compared),
        kendall=kendall(np.array([it.value or 0.0 for it in scores]), drawn),
        maps=_maps(table, low, high, mix) if compared else (),
    )


def _worst(asked: Asked, table: ScoreTable, weights: Floats, mix: Floats) -> list[Estimate]:
    """Bound the smallest mean of every system over the mixes around."""
    floor, _ = _bands(table.values, weights, asked.level, two_sided=False, reach=(0.0, 1.0))
    method = "simultaneous lower band (studentized max-T over conditions and systems)"
    return [
        Estimate(
            recipe_map.worst_in_ball(row, mix, asked.ball), table.n, method, "lower", asked.level
        )
        for row in floor
    ]


def _bands(
    values: Floats, weights: Floats, level: float, *, two_sided: bool, reach: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Limits of all conditions and columns at once, (columns, conditions)."""
    n, conditions, columns = values.shape
    if not columns:
        return np.empty((0, conditions)), np.empty((0, conditions))
    found = recipe_map.band(
        values.reshape(n, conditions * columns), weights, level=level, two_sided=two_sided,
        reach=reach,
    )  # fmt: skip
    low, high = (it.reshape(conditions, columns).T for it in found)
    return low, high


def _pair(
    pair: Pair, limits_of: tuple[Floats, Floats] | None, mix: Floats, ball: float
) -> RecipePair:
    """Join the comparison at the mix with what the band says of the mixes around it."""
    if limits_of is None:
        return RecipePair(
            pair.first, pair.second, pair.difference, pair.verdict, NO_WINNER, None, None, None
        )
    low, high = limits_of
    least = recipe_map.worst_in_ball(low, mix, ball)
    most = -recipe_map.worst_in_ball(-high, mix, ball)
    around = pair.first if least > 0 else pair.second if most < 0 else NO_WINNER
    # the band takes the mix as known: it claims nothing that the comparison at the mix does not
    if around != pair.verdict:
        around = NO_WINNER
    radius = None
    if pair.verdict == pair.first:
        radius = recipe_map.radius_of(low, mix)
    elif pair.verdict == pair.second:
        radius = recipe_map.radius_of(-high, mix)
    return RecipePair(
        pair.first, pair.second, pair.difference, pair.verdict, around, least, most, radius
    )


def _scores(asked: Asked, values: Floats, scans: Floats) -> list[Estimate]:
    """Mean score of each column with its own two-sided studentized interval."""
    n = len(values)
    if n < FEW:
        mean = np.einsum("ncK,c->nK", values, scans.mean(axis=0)).mean(axis=0)
        note = f"{n} patient(s): described, not inferred from (needs n >= {FEW})"
        return [Estimate(float(m), n, "descriptive", status="too_few", note=note) for m in mean]
    found = mixed_draws(values, scans, weights_of(n, asked.seed), _scan_weights(asked, scans))
    tail = (1.0 - asked.level) / 2.0
    with np.errstate(invalid="ignore"):
        low = found.mean - order_statistic(found.t, 1.0 - tail) * found.error
        high = found.mean - order_statistic(found.t, tail) * found.error
    method = f"studentized bootstrap ({DRAWS} draws)"
    estimates = []
    for mean, error, a, b in zip(found.mean, found.error, low, high, strict=True):
        if error == 0 or not (np.isfinite(a) and np.isfinite(b)):
            note = "too few different values for a resampling interval"
            estimates.append(
                Estimate(float(mean), n, "descriptive", status="degenerate", note=note)
            )
            continue
        ends = max(0.0, float(a)), min(1.0, float(b))
        estimates.append(Estimate(float(mean), n, method, "two-sided", asked.level, *ends))
    return estimates


def _maps(table: ScoreTable, low: Floats, high: Floats, mix: Floats) -> tuple[MixMap, ...]:
    """Map the axes that matter most, and the first two of them together."""
    shares = dict(zip(table.conditions, mix.tolist(), strict=True))
    names = recipe_map.axes_of_map(table, shares, _MAPS)
    found = [recipe_map.severity_map(table, low, high, name) for name in names]
    if len(names) > 1:
        tested = [
            {severity for name, severity in table.conditions if name == axis} for axis in names[:2]
        ]
        both = sorted(tested[0] & tested[1])
        if both:
            # the last severity that is meant to lie in what is seen in practice, or the nearest
            severity = max((it for it in both if it <= 3.0), default=both[0])
            found.append(recipe_map.axes_map(table, low, high, (names[0], names[1]), severity))
    return tuple(it for it in found if it is not None)


def by_family(asked: Asked, table: ScoreTable, scans: Floats) -> Weighed:
    """Weigh families; the draws of ranks take the mix as known, the intervals do not."""
    assert asked.families is not None  # the caller asks for them
    mix = scans.mean(axis=0)
    scores = np.einsum("ncK,c->Kn", table.values, mix)
    under_scans = scans @ table.values.mean(axis=0)
    place = {name: k for k, name in enumerate(table.systems)}
    members = {name: [place[it] for it in own] for name, own in asked.families.items()}
    of_runs = {name: scores[own] for name, own in members.items()}
    compared = family_pairs(
        of_runs,
        level=asked.level,
        of_scans={name: under_scans[:, own].mean(axis=1) for name, own in members.items()},
    )
    means = np.stack([table.values[:, :, own].mean(axis=2) for own in members.values()], axis=2)
    drawn = crossed_draws(
        of_runs,
        weights_of(table.n, asked.seed),
        {
            name: run_weights(len(own), DRAWS, seed_of(asked.seed, "training runs", name))
            for name, own in members.items()
        },
    )
    shares = rank_shares(drawn)
    note = "the mixes around it were looked at for systems only"
    absent = Estimate(None, table.n, "none", status="not_assessable", note=note)
    of_means = [float(it) for it in np.einsum("ncK,c->nK", means, mix).mean(axis=0)]
    return Weighed(
        pairs=tuple(_pair(it, None, mix, asked.ball) for it in compared),
        systems=tuple(
            RecipeSystem(
                name,
                own,
                Estimate(
                    of_means[k], table.n, "descriptive",
                    note=f"mean over {len(own)} training runs",
                ),
                absent,
                tuple(float(it) for it in shares[k]) if table.n >= FEW else (),
            )
            for k, (name, own) in enumerate(asked.families.items())
        ),
        not_beaten=best_set(tuple(asked.families), compared),
        kendall=kendall(np.array(of_means), drawn) if table.n >= FEW else None,
        maps=(),
    )  # fmt: skip


def added_effects(
    asked: Asked, table: ScoreTable, site: ScansOfSite | None
) -> tuple[str, ...] | None:
    """Systems not beaten if the effects of all axes of a scan were added; None: there is no such scan."""
    if site is None or asked.source != "site profile" or asked.families or not site.use.several:
        return None
    if any(it not in table.conditions for scan in site.added for it in scan):
        return None
    scans = np.stack([table.shares(scan) for scan in site.added])
    return best_set(table.systems, _compared(asked, table, scans))
