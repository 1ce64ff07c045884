"""One checkpoint under several windows, read against the share of foreground in them.

A sweep changes the window of *one trained model*. The published experiment (Kamath et al., "How do 3D
image segmentation networks behave across the context versus foreground ratio trade-off?", 2022) trained
one model per patch size: its results cannot be read off a sweep, and a sweep not off them. Families that
were trained so are read by `trained_patches`.

**Conventions.** Systems belong to one sweep when checkpoint, contract and network agree in everything but
the window. Everything else is as in `window_groups`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from auditor.analysis.difficulty import Values, values_of
from auditor.analysis.promises import main_columns
from auditor.analysis.properties import Properties
from auditor.analysis.setup import AnalysisSetup
from auditor.analysis.table import Column, Key
from auditor.analysis.window_estimates import cells, differences, drops, losses
from auditor.analysis.window_groups import (
    Member,
    Range,
    shared_range,
    sides_of,
    size_groups,
    window_words,
)
from auditor.schema import CLEAN, SystemRecord, WindowStudy, WindowUse

__all__ = ["Clean", "clean_dsc", "contract_beside_window", "study_of", "swept", "window_sweeps"]

Clean = Mapping[tuple[str, str], Column]
"""(system, label) -> clean DSC."""

_TUNED = ("flips", "precision")
"""Settings beside the contract that change predictions on purpose."""


def contract_beside_window(record: SystemRecord) -> object:
    """Return what two systems must share so that only their checkpoints or windows differ."""
    fields = record.contract.fields
    contract = tuple((it.name, it.value) for it in fields if not it.name.startswith("window"))
    tuned = tuple(it for it in record.settings if it[0] in _TUNED)
    return contract, tuned, record.ablation


def swept(setup: AnalysisSetup) -> tuple[tuple[SystemRecord, ...], ...]:
    """Find the systems that differ in nothing but their window.

    Returns
    -------
    tuple
        Groups of at least two different windows, each from the smallest window to the largest.
    """
    alike: dict[object, list[SystemRecord]] = {}
    for record in setup.systems:
        if record.sha256 and record.name in setup.windows:
            alike.setdefault((record.sha256, contract_beside_window(record)), []).append(record)
    return tuple(
        tuple(sorted(members, key=lambda it: extent(setup.windows[it.name])))
        for members in alike.values()
        if len({setup.windows[it.name] for it in members}) > 1
    )


def extent(window: str) -> tuple[float, str]:
    """Voxels of a window, by the name of its property; the whole image is larger than all of them."""
    sides = window.partition("[")[2].removesuffix("]").partition(";")[0].split("x")
    known = all(it.isdigit() for it in sides)
    return math.prod(int(it) for it in sides) if known else math.inf, window


def clean_dsc(columns: Mapping[Key, Column]) -> Clean:
    """Return the clean DSC of every system and label."""
    return {
        (key.system, key.label): column
        for key, column in main_columns(columns, "dsc").items()
        if key.perturbation == CLEAN
    }


def window_sweeps(
    columns: Mapping[Key, Column], found: Properties, setup: AnalysisSetup
) -> tuple[WindowStudy, ...]:
    """Read every sweep, for every label."""
    clean = clean_dsc(columns)
    return tuple(
        _sweep(members, label, clean, found, setup)
        for members in swept(setup)
        for label in setup.labels
        if all((it.name, label) in clean for it in members)
    )


def _sweep(
    records: Sequence[SystemRecord],
    label: str,
    clean: Clean,
    found: Properties,
    setup: AnalysisSetup,
) -> WindowStudy:
    ranges, told = _training(records)
    groups = {it.name: (it,) for it in records}
    return study_of(groups, dict.fromkeys(groups, ranges), label, clean, found, setup, told=told)


def _training(records: Sequence[SystemRecord]) -> tuple[tuple[Range, ...], list[str]]:
    ranges = {None if it.training is None else it.training.foreground_ratio for it in records}
    if len(ranges) > 1:
        return (), [
            "Inside and outside of the training range: the systems of this sweep declare different ranges."
        ]
    (found,) = ranges
    if found is None:
        return (), [
            "Inside and outside of the training range: training.foreground_ratio is not declared."
        ]
    return (found,), []


def study_of(
    groups: Mapping[str, Sequence[SystemRecord]],
    ranges: Mapping[str, Sequence[Range]],
    label: str,
    clean: Clean,
    found: Properties,
    setup: AnalysisSetup,
    *,
    family: str = "",
    told: Sequence[str] = (),
) -> WindowStudy:
    """Read windows of several sizes.

    Parameters
    ----------
    groups : name of a use -> its systems, all with one window; from the smallest window to the largest
    ranges : name of a use -> declared training ranges of its systems; none: no side can be told
    label : which
    clean : of all systems
    found : properties of the cases
    setup : the audit
    family : whose checkpoints were trained per patch size; empty: a sweep of one checkpoint
    told : what could not be read so far
    """
    members, values = members_of(groups, ranges, label, clean, found, setup, family=family)
    windows = {name: setup.windows[records[0].name] for name, records in groups.items()}
    words = window_words(list(windows.values()))
    missing = [
        f"The share of foreground in windows of {words[windows[name]]}: {it.note}."
        for name, it in values.items()
        if it.note
    ]
    sizes, unsized = size_groups(found, label, setup)
    return WindowStudy(
        label=label,
        family=family,
        uses=tuple(
            WindowUse(
                name=it.name,
                systems=it.systems,
                window=words[windows[it.name]],
                property=windows[it.name],
                training=shared_range(ranges[it.name]) if ranges[it.name] else None,
                points=_points(it, setup),
            )
            for it in members
        ),
        sizes=tuple(sizes),
        cells=cells(members, sizes, setup),
        differences=differences(members, sizes, setup),
        drops=drops(members, sizes, setup),
        losses=losses(members, sizes, setup),
        missing=(*missing, *told, *unsized),
    )


def members_of(
    groups: Mapping[str, Sequence[SystemRecord]],
    ranges: Mapping[str, Sequence[Range]],
    label: str,
    clean: Clean,
    found: Properties,
    setup: AnalysisSetup,
    *,
    family: str = "",
) -> tuple[list[Member], dict[str, Values]]:
    """Gather scores, shares and sides of every window; arguments as of `study_of`."""
    values = {
        name: values_of(found, setup.windows[records[0].name], label, setup)
        for name, records in groups.items()
    }
    members = [
        Member(
            name=name,
            systems=tuple(it.name for it in records),
            scores=np.stack([clean[it.name, label].judged for it in records]),
            shares=values[name].numbers,
            sides=sides_of(values[name].numbers, ranges[name]),
            of_family=bool(family),
        )
        for name, records in groups.items()
    ]
    return members, values


def _points(member: Member, setup: AnalysisSetup) -> tuple[tuple[str, float, float], ...]:
    known = member.known & ~np.isnan(member.shares)
    return tuple(
        (case.display_case, float(member.shares[i]), float(member.mean[i]))
        for i, case in enumerate(setup.cases)
        if known[i]
    )
