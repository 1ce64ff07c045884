"""Read a finished run and a site or a mix, and make the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from auditor.confidence.axes import AxisEstimates, axes_of_run, estimates_of_run
from auditor.confidence.mix_promises import mix_promises
from auditor.confidence.reality_check import GroupAxis, not_checked, reality_check
from auditor.confidence.recipe import make_recipe, site_refusal
from auditor.confidence.recipe_families import families_of
from auditor.confidence.recipe_interaction import (
    interaction,
    not_assessed,
    pair_of_rows,
    worst_two,
)
from auditor.confidence.recipe_mix import (
    ScansOfSite,
    listed,
    parse_mix,
    scans_of_site,
    split_mix,
)
from auditor.confidence.recipe_scores import (
    CLEAN_CONDITION,
    Condition,
    ScoreTable,
    with_clean,
)
from auditor.confidence.recipe_weighing import Asked, weights_of
from auditor.config.site_rows import rows_of_site
from auditor.documents import json_content, read_text, yaml_content
from auditor.errors import ConfigError, DataError
from auditor.pipeline.folder import read_lock, tool_version
from auditor.pipeline.run import read_run
from auditor.pipeline.run_scores import RunScores, read_scores
from auditor.schema import ContractStatus, Estimate, SystemRecord, decode
from auditor.schema.recipe import Interaction, RealityCheck, Recipe
from auditor.schema.site import SiteProfile
from perturbations import CATALOG

__all__ = ["recommend"]

BALL = 0.1
"""Radius of the mixes around, where none is given."""

_JOINT: Condition = ("joint", 1.0)

_TOGETHER = Interaction(
    "not assessed", (), (), 0.0,
    "The degradations of a scan act together here, so that nothing is assumed of how they add up.",
)  # fmt: skip
"""Where a joint condition of the site is used."""

_COLUMNS = (
    "site", "centre", "center", "hospital", "institution", "scanner", "manufacturer", "vendor",
    "field_strength",
)  # fmt: skip
"""Columns of metadata that the reality check looks for, in this order."""


def recommend(
    run: Path | str,
    *,
    site: Path | str | None = None,
    mix: str | Path | Mapping[str, float] | None = None,
    label: str | None = None,
    metric: str = "dsc",
    by: Literal["system", "family"] = "system",
    ball: float = BALL,
    groups: str | None = None,
) -> Recipe:
    """Tell which systems of a finished run are not beaten at a site, or under a stated mix.

    Parameters
    ----------
    run : Path or str
        Folder of the run.
    site : Path or str, optional
        A site.json of ``segaudit profile --run``.
    mix : str, Path or mapping, optional
        ``clean=0.6,rician_noise:1=0.3,rician_noise:3=0.1``, a YAML or JSON file or a mapping of the same
        pairs. Either a site or a mix is needed.
    label : str, optional
        May be left out when the audit has only one.
    metric : str
        One in [0, 1] of which more is better.
    by : str
        ``family``: claims about architectures, from several training runs of each.
    ball : float
        Radius, in total variation, of the mixes around: the share of scans that may move to other conditions.
    groups : str, optional
        Column of metadata for the reality check; site, scanner and their like are found alone.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError
        When neither or both of site and mix are given, or one of the choices is not of this run.
    DataError
        When the run is not finished, or the profile is not of such scans.
    """
    run, site = Path(run), None if site is None else Path(site)
    results = read_run(run).results
    read = read_scores(run, results, label, metric)
    if not 0.0 <= ball <= 1.0:
        msg = f"the ball must be a share of scans from 0 to 1, was {ball:g}"
        raise ConfigError(msg)
    used = tuple(it for it in results.systems if it.ablation is None)
    names = tuple(record.name for record in used)
    families, checkpoints_only = _families(used, by)
    shares, scans, source, refusal = _mix(read, site, mix)
    asked = Asked(
        tool=f"segaudit {tool_version()}",
        audit=results.audit.name,
        plan_digest=results.audit.plan_digest,
        label=read.label,
        metric=read.metric,
        level=results.audit.interval_level,
        seed=results.audit.seed,
        source=source,
        ball=ball,
        families=families,
        checkpoints_only=checkpoints_only,
        doubted=tuple(it.name for it in used if it.contract.status is ContractStatus.IN_DOUBT),
        ablated=len(results.systems) - len(used),
    )
    if results.audit.preview:
        refusal = "the run is a preview of a few cases; run it without --limit"
    if not refusal:
        try:
            together = _JOINT if source == "joint condition" else None
            table = read.table(tuple(shares), names, together)
        except KeyError as error:
            lacking = f"{error.args[0][0]} at severity {error.args[0][1]:g}"
            msg = (
                f"every system must have been run under every condition of the mix; {lacking} is missing for "
                "one"
            )
            raise DataError(msg) from error
        if table.n:
            made = make_recipe(
                asked,
                table,
                shares,
                scans,
                interaction=_TOGETHER if together else _interaction(read, table),
                reality=_reality(read, table, groups),
            )
            placed = None if scans is None else scans.use.placed
            promised = _promised(read, names, shares, placed, together) if made.offered else ()
            return replace(made, promised=promised)
        refusal = (
            f"no case has a number under every condition of the mix: {_lost(table)}; state another"
        )
    nothing = "the recipe is refused before"
    return make_recipe(
        asked, None, {}, scans,
        interaction=Interaction("not assessed", (), (), 0.0, f"Interactions not assessed: {nothing}."),
        reality=not_checked(nothing), refusal=refusal,
    )  # fmt: skip


def _promised(
    read: RunScores,
    systems: Sequence[str],
    mix: Mapping[Condition, float],
    scans: int | None,
    as_clean: Condition | None,
) -> tuple[tuple[str, Estimate], ...]:
    """Bound one new scan under the mix, at the level of the run's other bounds on single scans."""
    alpha = next((it.alpha for it in read.results.conformal), 0.10)
    return mix_promises(
        with_clean(read.columns, as_clean), read.patients, systems=systems, label=read.label,
        metric=read.metric.name, mix=mix, alpha=alpha, scans=scans,
    )  # fmt: skip


def _lost(table: ScoreTable) -> str:
    return ", ".join(
        f"{it.perturbation} {it.severity:g}: {it.cases} cases {' or '.join(it.statuses)}"
        for it in table.left_out
        if it.used
    )


def _families(
    systems: Sequence[SystemRecord], by: Literal["system", "family"]
) -> tuple[dict[str, tuple[str, ...]] | None, bool]:
    """Group the systems; a family with a single run leaves checkpoints to compare."""
    if by == "system":
        return None, False
    try:
        found = families_of(systems)
    except ValueError as error:
        msg = f"--by family: {error}; declare family and training_seed of the systems in audit.yaml"
        raise ConfigError(msg) from error
    single = min(len(runs) for runs in found.values()) < 2
    return (None, True) if single else (found, False)


def _mix(
    read: RunScores, site: Path | None, mix: str | Path | Mapping[str, float] | None
) -> tuple[
    dict[Condition, float],
    ScansOfSite | None,
    Literal["stated mix", "site profile", "joint condition"],
    str,
]:
    """Settle the mix: (shares, scans of the site, where it comes from, why there is no recipe)."""
    if (site is None) == (mix is None):
        given = "neither was" if site is None else "both were"
        msg = (
            f"a recipe needs the scans of a site or a stated mix, {given} given:\n"
            "  --site site.json     of segaudit profile SCANS/ --run RUN -o site.json\n"
            "  --mix clean=0.6,NAME:SEVERITY=0.4     or a YAML file of such pairs\n"
            f"conditions of this run: {listed(read.conditions)}"
        )
        raise ConfigError(msg)
    if mix is not None:
        return parse_mix(_pairs(mix), read.conditions), None, "stated mix", ""
    assert site is not None  # one of the two is given
    if read.results.measured is not None:
        msg = (
            "a table of measurements holds no scan that could place a site's scans on its conditions; state "
            f"the mix, as --mix clean=0.6,NAME:SEVERITY=0.4, of {listed(read.conditions)}"
        )
        raise ConfigError(msg)
    scans = _scans(read, site)
    if refusal := site_refusal(scans.use):
        return {}, scans, "site profile", refusal
    if _JOINT in read.conditions and _joint_rows(read) == _rows_of_site(read, site):
        return {_JOINT: 1.0}, scans, "joint condition", ""
    return scans.mix, scans, "site profile", ""


def _pairs(mix: str | Path | Mapping[str, float]) -> list[tuple[object, object]]:
    """Read a mix as pairs, from words, a file or a mapping."""
    if isinstance(mix, Mapping):
        return list(mix.items())
    path = Path(mix)
    if "=" in path.name and path.suffix.lower() not in (".yaml", ".yml", ".json"):
        return list(split_mix(str(mix)))
    what = f"the mix {path.name}"
    content = yaml_content(read_text(path, what=what), what=what)
    if not isinstance(content, dict):
        msg = f"{what} must be a mapping of condition to share, as 'rician_noise:1': 0.3, was none"
        raise ConfigError(msg)
    return list(content.items())


def _scans(read: RunScores, site: Path) -> ScansOfSite:
    what = f"the profile {site.name}"
    try:
        text = read_text(site, what=what)
        json_content(text, what=what)  # also refuses what is no finite number
        profile = decode(text, SiteProfile)
    except ValueError as error:
        msg = f"{what} must be a site.json of `segaudit profile`: {error}"
        raise DataError(msg) from error
    audit = read.results.audit
    if (profile.modality, profile.state) != (audit.modality, audit.state):
        msg = (
            f"{what} must be of {audit.modality} scans in the state {audit.state}, as the cases of the run "
            f"are; it is of {profile.modality}, {profile.state}"
        )
        raise DataError(msg)
    return scans_of_site(
        profile, axes_of_run(read.folder), read.conditions, plan_digest=audit.plan_digest
    )


def _joint_rows(read: RunScores) -> list[dict[str, float]] | None:
    """Rows of the joint condition, as the lock of the run holds them; None: there is no lock."""
    lock = read_lock(read.folder)
    if lock is None:
        return None
    declared = (lock.config.get("perturbations") or {}).get("joint") or {}
    rows = (declared.get("options") or {}).get("rows")
    return None if rows is None else [dict(row) for row in rows]


def _rows_of_site(read: RunScores, site: Path) -> list[dict[str, float]]:
    audit = read.results.audit
    try:
        return rows_of_site(site, audit.modality, audit.state, [])
    except ValueError:
        return []


def _interaction(read: RunScores, table: ScoreTable) -> Interaction:
    """Check two perturbations applied together, or say what would."""
    levels = table.levels
    rows = _joint_rows(read) if _JOINT in table.conditions else None
    pair = None if rows is None else pair_of_rows(rows, levels)
    needed = {CLEAN_CONDITION, _JOINT, *(pair or ())}
    if pair is not None and needed <= set(table.conditions) and table.n:
        weights = weights_of(table.n, read.results.audit.seed)
        return interaction(table, _JOINT, pair, weights, level=read.results.audit.interval_level)
    names = {name for name, _ in table.conditions if name != CLEAN_CONDITION[0]}
    if read.results.measured is not None:
        return not_assessed(table, None)  # nothing can be applied to scans that were never here
    movable = [
        name for name in names & set(CATALOG) - {"joint", "chain"} if not CATALOG[name].geometric
    ]
    return not_assessed(table, worst_two(table, movable))


def _reality(read: RunScores, table: ScoreTable, groups: str | None) -> RealityCheck:
    """Predict groups of the cases from each other, where metadata split them."""
    if not read.rows:
        return not_checked("identities.csv is missing in the folder of the run")
    held = {name for row in read.rows.values() for name, value in row.metadata if value}
    column = groups or next((name for name in _COLUMNS if name in held), None)
    if groups is not None and groups not in held:
        msg = f"--groups must be a column of the cases ({', '.join(sorted(held)) or 'none'}), was {groups!r}"
        raise ConfigError(msg)
    if column is None:
        return not_checked("the cases have no column of sites or scanners")
    try:
        found = estimates_of_run(read.folder)
    except DataError as error:
        return not_checked(str(error), column)
    axes = [axis for it in found if (axis := _group_axis(read, table, it)) is not None]
    return reality_check(
        axes,
        _groups(read, table, column),
        table.systems,
        column=column,
        level=read.results.audit.interval_level,
        seed=read.results.audit.seed,
    )


def _groups(read: RunScores, table: ScoreTable, column: str) -> list[str]:
    """Group of each patient; empty where its cases do not agree."""
    found: dict[int, set[str]] = {}
    for case, patient in zip(read.cases, read.patients.tolist(), strict=True):
        found.setdefault(patient, set()).add(dict(read.rows[case].metadata).get(column, ""))
    return [
        next(iter(found[patient])) if len(found[patient]) == 1 else "" for patient in table.patients
    ]


def _group_axis(read: RunScores, table: ScoreTable, found: AxisEstimates) -> GroupAxis | None:
    """Arrange one axis over the patients of a table; None when too little of it was tested."""
    name = found.perturbation
    if CLEAN_CONDITION not in table.conditions:
        return None
    tested = [it for it in sorted(found.levels) if (name, it) in table.conditions]
    places = [table.place(CLEAN_CONDITION), *(table.place((name, it)) for it in tested)]
    cases_of: dict[int, list[str]] = {}
    for case, patient in zip(read.cases, read.patients.tolist(), strict=True):
        cases_of.setdefault(patient, []).append(case)
    estimates = np.full((table.n, len(places)), np.nan)
    for i, patient in enumerate(table.patients):
        for k, severity in enumerate((0.0, *tested)):
            of_cases = found.of_cases[severity]
            values = [of_cases[case] for case in cases_of[patient] if case in of_cases]
            if values:
                estimates[i, k] = np.median(values)
    return GroupAxis(name, (0.0, *tested), estimates, table.values[:, places])
