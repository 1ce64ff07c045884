"""Take the numbers of the study from its runs: small enough to be kept beside the page.

Nothing is judged here and no number is typed. Every estimate keeps its n, interval, level, method and note; the
pairs of families that are compared, and with them how many intervals hold at once, were named in `PAIRS`
before any test picture was predicted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from audits import MIXES, Study
from networks import NETWORKS
from textures import DIRECTIONS

from auditor.pipeline import family_differences, read_run
from auditor.pipeline.recommending import recommend
from auditor.schema import CLEAN, ContractStatus, FailureTypes, Results

__all__ = ["PAIRS", "SUMMARY_VERSION", "summary_of"]

SUMMARY_VERSION = 1
"""Of the summary."""

PAIRS: dict[str, tuple[tuple[str, str], ...]] = {
    "gated": (("attention_unet", "noskip_unet"),),
    "others": (("unet", "noskip_unet"), ("unet_plus_plus", "noskip_unet"), ("vnet", "noskip_vnet")),
    "finest": (("unet_without_finest", "unet"), ("unet", "noskip_unet")),
}
"""Question -> pairs of families; the intervals of one question hold together."""

_KINDS = ("good", "empty", "under", "over", "misplaced", "unknown")

Plain = dict[str, Any]


def summary_of(
    study: Study,
    trained: Sequence[Mapping[str, Any]],
    runs: Mapping[str, Path],
    *,
    spheres: Mapping[str, Any] | None = None,
) -> Plain:
    """Take what the page shows from the folders of the runs.

    Parameters
    ----------
    study : Study
    trained : facts of the networks
    runs : name of the audit -> folder of its run, see `audits`
    spheres : of `spheres.sphere_summary`; None: the sphere task was left out

    Returns
    -------
    Plain values, for JSON.
    """
    found = {name: read_run(folder).results for name, folder in runs.items()}
    recipe = study.recipe
    content = {
        "version": SUMMARY_VERSION,
        "design": {
            "size": recipe.size,
            "pair": recipe.pair,
            "cases": recipe.cases,
            "patients": study.patients,
            "epochs": recipe.epochs,
            "rate": recipe.rate,
            "seeds": study.seeds,
            "easy": study.easy,
            "hard": study.hard,
            "severities": study.severities,
            "level": found["foreground"].audit.interval_level,
            "networks": len(trained),
            "confirmed": sum(
                it.contract.status is ContractStatus.CONFIRMED
                for name in DIRECTIONS
                if name in found
                for it in found[name].systems
            ),
        },
        "networks": [_network(name, trained) for name in study.architectures],
        "trained": _trained(trained),
        "directions": {
            name: _direction(found[name], runs[name], study) for name in DIRECTIONS if name in runs
        },
        "ablations": _ablations(found["skips"]) if "skips" in found else [],
        "layers": _layers(found["skips"]) if "skips" in found else [],
        "recipes": [_recipe(runs["recipe"], name, mix) for name, mix in MIXES.items()]
        if "recipe" in runs
        else [],
        "spheres": spheres,
    }
    plain: Plain = _plain(content)
    return plain


def _network(name: str, trained: Sequence[Mapping[str, Any]]) -> Plain:
    network = NETWORKS[name]
    own = next(it for it in trained if it["network"] == name)
    widths = own["recipe"]["widths"] or network.small
    return {
        "name": name,
        "title": network.title,
        "group": network.group,
        "skips": network.skips(len(widths)),
        "parameters": own["parameters"],
    }


def _trained(trained: Sequence[Mapping[str, Any]]) -> list[Plain]:
    """Gather the validation DSC of every run, by what it was trained on."""
    groups: dict[tuple[str, str, float], list[float]] = {}
    for it in trained:
        key = (it["network"], it["direction"], it["level"])
        groups.setdefault(key, []).append(it["validation_dsc"])
    return [
        {"family": family, "direction": direction, "level": level, "validation_dsc": scores}
        for (family, direction, level), scores in groups.items()
    ]


def _direction(results: Results, run: Path, study: Study) -> Plain:
    line = results.train_test[0].perturbation
    cells = [
        {
            "family": matrix.family,
            "trained": cell.trained,
            "tested": cell.tested,
            "runs": len(cell.systems),
            "mean": cell.mean,
            "spread": cell.spread,
            "loss": cell.loss,
        }
        for matrix in results.train_test
        for cell in matrix.cells
    ]
    return {
        "perturbation": line,
        "cells": cells,
        "failures": _failures(results, study),
        "differences": {
            question: [
                {
                    "trained": it.trained,
                    "tested": it.tested,
                    "first": it.first,
                    "second": it.second,
                    "difference": it.difference,
                    "baseline": it.baseline,
                    "loss": it.loss,
                }
                for it in family_differences(run, pairs)
            ]
            for question, pairs in _asked(study).items()
        },
    }


def _asked(study: Study) -> dict[str, list[tuple[str, str]]]:
    """Keep the questions whose families are all there."""
    there = set(study.architectures)
    kept = {
        question: [pair for pair in pairs if set(pair) <= there]
        for question, pairs in PAIRS.items()
    }
    return {question: pairs for question, pairs in kept.items() if pairs}


def _failures(results: Results, study: Study) -> list[Plain]:
    """How the runs that were trained on easy blends fail, by family and level: a count for every run."""
    easy = {
        it.name: it.family
        for it in results.systems
        if it.training is not None
        and it.training.condition is not None
        and math.isclose(it.training.condition[1], study.easy)
    }
    groups: dict[tuple[str, float], list[FailureTypes]] = {}
    for it in results.failure_types:
        if it.system in easy and it.perturbation != CLEAN:
            groups.setdefault((easy[it.system], it.level or 0.0), []).append(it)
    return [
        {
            "family": family,
            "tested": level,
            "runs": [{"n": it.n, **{kind: getattr(it, kind) for kind in _KINDS}} for it in own],
        }
        for (family, level), own in sorted(
            groups.items(), key=lambda it: (study.architectures.index(it[0][0]), it[0][1])
        )
    ]


def _ablations(results: Results) -> list[Plain]:
    return [
        {
            "family": _family(results, curve.base),
            "skips": curve.skips,
            "level": curve.level,
            "by": curve.by,
            "perturbation": curve.perturbation,
            "severity": curve.severity,
            "tested": curve.severity_level,
            "unit": curve.unit,
            "points": [
                {"strength": it.strength, "reliance": it.reliance, "spared": it.spared}
                for it in curve.points
            ],
        }
        for curve in results.ablations
    ]


def _layers(results: Results) -> list[Plain]:
    return [
        {
            "family": _family(results, own.system),
            "places": [list(it.resolution) for it in own.layers],
            "between": [it.between.value for it in own.layers],
            "curves": [
                {
                    "perturbation": it.perturbation,
                    "tested": it.level,
                    "unit": it.unit,
                    "n": max((d.n for d in it.distances), default=0),
                    "distances": [d.value for d in it.distances],
                    "most": list(it.most),
                }
                for it in own.curves
            ],
            "note": own.note,
        }
        for own in results.layers
    ]


def _recipe(run: Path, name: str, mix: Mapping[str, float]) -> Plain:
    made = recommend(run, mix=mix, by="family")
    return {
        "name": name,
        "mix": mix,
        "n": made.n,
        "level": made.level,
        "by": made.by,
        "offered": made.offered,
        "refusal": made.refusal,
        "not_beaten": made.not_beaten,
        "kendall": made.kendall,
        "systems": [
            {"name": it.name, "runs": len(it.members), "score": it.score} for it in made.systems
        ],
        "pairs": [
            {
                "first": it.first,
                "second": it.second,
                "difference": it.difference,
                "verdict": it.verdict,
            }
            for it in made.pairs
        ],
        "sentences": made.sentences,
    }


def _family(results: Results, system: str) -> str:
    return next(it.family for it in results.systems if it.name == system)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a summary holds
    """Turn records into mappings, and round to four places, which is more than any interval has."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(it) for key, it in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Iterable):
        return [_plain(it) for it in value]
    return value
