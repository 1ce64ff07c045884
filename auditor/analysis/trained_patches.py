"""Families of checkpoints that were trained per patch size, each run under its own patch.

The published design (Kamath et al., "How do 3D image segmentation networks behave across the context versus
foreground ratio trade-off?", Medical Imaging meets NeurIPS 2022): one model per architecture, patch size and
training run, windows of the size of the training patches, and cases inside or outside of the foreground
ratios that the patches held. Window and training change together, so that it cannot say which of them a
difference comes from; a sweep of one checkpoint (`window_sweep`) changes the window alone.

**Conventions.** Those of `window_groups`. A system takes part when it declares its family and its training
patch and runs under windows of that size. Checkpoints of one family and patch that share everything else
are its training runs, each checkpoint and each training seed once; other conditions of the training images,
contracts or settings make another family.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from auditor.analysis.properties import Properties
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key
from auditor.analysis.trained_systems import distinct
from auditor.analysis.window_estimates import drop_between
from auditor.analysis.window_groups import Member, Range, size_groups
from auditor.analysis.window_sweep import (
    clean_dsc,
    contract_beside_window,
    extent,
    members_of,
    study_of,
)
from auditor.schema import RangeDropDifference, SystemRecord, WindowStudy

__all__ = ["range_drops", "runs_by_patch", "trained_patches"]

Runs = dict[str, tuple[SystemRecord, ...]]
"""Patch, as 64x64x32 -> its training runs; from the smallest patch to the largest."""


def runs_by_patch(setup: AnalysisSetup) -> tuple[dict[str, Runs], dict[str, list[str]]]:
    """Find families with checkpoints of a declared training patch, run under that patch.

    Returns
    -------
    families : name -> its runs by patch
    told : declared family -> its systems that declare a patch and do not take part, and why
    """
    alike: dict[tuple[str, object], dict[str, list[SystemRecord]]] = {}
    told: dict[str, list[str]] = {}
    for record in setup.systems:
        facts = record.training
        if not record.family or facts is None or facts.patch is None or record.ablation is not None:
            continue
        if record.name not in setup.windows:
            continue
        patch = "x".join(map(str, facts.patch))
        if not _runs_under(patch, setup.windows[record.name]):
            told.setdefault(record.family, []).append(
                f"{record.name} was trained with patches of {patch} and does not run under windows of "
                "that size, so that it is not among its family's training patches."
            )
            continue
        # shares of foreground belong to one window with its overlap and grid
        rest = setup.windows[record.name].partition("[")[2].partition(";")[2]
        key = (record.family, (facts.condition, contract_beside_window(record), rest))
        alike.setdefault(key, {}).setdefault(patch, []).append(record)
    for (family, _), by_patch in alike.items():
        for patch, records in by_patch.items():
            by_patch[patch], left_out = map(list, distinct(records))
            for it in left_out:
                told.setdefault(family, []).append(
                    f"{it.name} is the same checkpoint as another run of {family} with patches of {patch}, or "
                    "has its training seed: it is no repetition, and is left out."
                )
    return _named(alike), told


def _runs_under(patch: str, window: str) -> bool:
    size, *rest = window.partition("[")[2].removesuffix("]").split("; ")
    return size == patch or (size == "whole image" and f"size {patch}" in rest)


def _named(
    alike: Mapping[tuple[str, object], Mapping[str, Sequence[SystemRecord]]],
) -> dict[str, Runs]:
    """Name groups by their family, and by their first system where a family has several."""
    counts = [family for family, _ in alike]
    return {
        family
        if counts.count(family) == 1
        else f"{family} (as {next(iter(by_patch.values()))[0].name})": {
            patch: tuple(by_patch[patch])
            for patch in sorted(by_patch, key=lambda it: extent(f"[{it}]"))
        }
        for (family, _), by_patch in alike.items()
    }


def trained_patches(
    columns: Mapping[Key, Column], found: Properties, setup: AnalysisSetup
) -> tuple[WindowStudy, ...]:
    """Read every family that was trained with two patch sizes or more, for every label."""
    clean = clean_dsc(columns)
    families, told = runs_by_patch(setup)
    studies = []
    for (family, runs), label in itertools.product(families.items(), setup.labels):
        if len(runs) < 2 or not _measured(runs, label, clean):
            continue
        ranges, unsided = _ranges(runs)
        mine = told.get(next(iter(runs.values()))[0].family, [])
        studies.append(
            study_of(
                {f"{family}, patch {patch}": it for patch, it in runs.items()},
                {f"{family}, patch {patch}": it for patch, it in ranges.items()},
                label,
                clean,
                found,
                setup,
                family=family,
                told=[*mine, *unsided],
            )
        )
    return tuple(studies)


def _measured(runs: Runs, label: str, clean: Mapping[tuple[str, str], Column]) -> bool:
    return all((it.name, label) in clean for records in runs.values() for it in records)


def _ranges(runs: Runs) -> tuple[dict[str, tuple[Range, ...]], list[str]]:
    """Collect the declared training ranges of each patch; none where a run declares none."""
    found: dict[str, tuple[Range, ...]] = {}
    told = []
    for patch, records in runs.items():
        declared = [it.training.foreground_ratio for it in records if it.training is not None]
        known = [it for it in declared if it is not None]
        lacking = len(records) - len(known)
        if lacking:
            told.append(
                f"Inside and outside of the training range of patches of {patch}: {lacking} of "
                f"{len(records)} training run(s) declare no training.foreground_ratio."
            )
        elif len(set(known)) > 1:
            told.append(
                f"The {len(known)} training runs with patches of {patch} declare different ranges: a case "
                "counts as inside, below or above where it is so for every run, and as neither otherwise."
            )
        found[patch] = () if lacking else tuple(dict.fromkeys(known))
    return found, told


def range_drops(
    columns: Mapping[Key, Column], found: Properties, setup: AnalysisSetup
) -> tuple[RangeDropDifference, ...]:
    """Compare what leaving the training range costs families of the same patch, on the same patients.

    A case counts as inside or outside where it is so for both families.
    """
    clean = clean_dsc(columns)
    families, _ = runs_by_patch(setup)
    patches = sorted(
        {it for runs in families.values() for it in runs}, key=lambda it: extent(f"[{it}]")
    )
    rows = []
    for label, patch in itertools.product(setup.labels, patches):
        groups = {
            family: runs[patch]
            for family, runs in families.items()
            if patch in runs and _measured({patch: runs[patch]}, label, clean)
        }
        ranges = {name: _ranges({patch: it})[0][patch] for name, it in groups.items()}
        members, _ = members_of(groups, ranges, label, clean, found, setup, family="families")
        sided = [it for it in members if it.sides]
        sizes, _ = size_groups(found, label, setup)
        everywhere = np.ones(len(setup.names), dtype=bool)
        pairs = list(itertools.combinations(sided, 2))
        rows += [
            RangeDropDifference(
                label,
                patch,
                one.name,
                other.name,
                size,
                drop_between([one, other], _both(one, other), where, setup, pairs=len(pairs)),
            )
            for size, where in {"all": everywhere, **sizes}.items()
            for one, other in pairs
        ]
    return tuple(rows)


def _both(one: Member, other: Member) -> dict[str, np.typing.NDArray[np.bool_]]:
    return {side: one.sides[side] & other.sides[side] for side in ("inside", "outside")}
