"""Families of a finished run against each other, by what they were trained and tested on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auditor.analysis.intervals import seed_of
from auditor.analysis.train_test import Studied, train_test
from auditor.analysis.train_test import family_differences as differences_of
from auditor.errors import ConfigError
from auditor.pipeline.run import read_run
from auditor.pipeline.run_scores import read_scores
from auditor.schema import FamilyDifference

__all__ = ["family_differences"]


def family_differences(
    run: str | Path,
    between: Sequence[tuple[str, str]],
    *,
    label: str | None = None,
    metric: str = "dsc",
) -> tuple[FamilyDifference, ...]:
    """Compare pairs of families that were named before the run was looked at.

    ``results.json`` compares all pairs of families, and its intervals hold for all of them at once. Where
    one question was asked beforehand, its interval may be closer: here it holds for the named pairs alone.

    Parameters
    ----------
    run : folder of a finished run
        Its systems declare ``family``, ``training_seed`` and ``training.condition``.
    between : pairs of families
    label : which label; may be left out when there is one
    metric : in [0, 1], more being better

    Returns
    -------
    tuple of FamilyDifference
        By perturbation, trained level and test.

    Raises
    ------
    ConfigError
        When there is no such label, metric or family, or no system declares what it was trained on.
    DataError
        When the run is not finished.
    """
    results = read_run(Path(run)).results
    read = read_scores(Path(run), results, label, metric)
    studied = Studied(
        columns=read.columns,
        systems=results.systems,
        patients=read.patients,
        metric=read.metric,
        label=read.label,
        level=results.audit.interval_level,
        seed=seed_of(results.audit.seed, "bootstrap"),
        levels_of_effect=frozenset(
            it.perturbation for it in results.conditions if it.unit == "SSIM"
        ),
    )
    known = tuple(dict.fromkeys(it.family for it in train_test(studied)))
    if not known:
        msg = (
            "no system of this run declares that its training images had been through a perturbation; "
            "declare systems.NAME.training.condition, as {kamath_texture_blend: 0.3}"
        )
        raise ConfigError(msg)
    strangers = [it for pair in between for it in pair if it not in known]
    if strangers:
        msg = f"families must be of {', '.join(known)}, was {strangers[0]!r}"
        raise ConfigError(msg)
    return differences_of(studied, between=between)
