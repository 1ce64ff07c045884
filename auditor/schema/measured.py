"""Where the numbers of an analysed table come from: its files, what was read as what, and what is missing.

**Conventions.** Those of `results`: cases appear under display ids; files by their last part, without a
path; every choice that its user made stands here in words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """One file of measurements."""

    name: str
    """Last part of its path; ``columns`` for columns that were handed over in memory."""
    layout: str
    """long table, wide table, one column per system, nnU-Net summary."""
    sha256: str
    """Of its bytes; of columns in memory, of their text."""
    lines: int
    """Lines with measurements, or entries."""


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """What one column was read as."""

    column: str
    """Its name in the table."""
    meaning: str
    """``system``, ``case``, ``metric dsc``, ``group of cases``, ``not used`` .."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """Values of one metric that were no finite number, and what stands in for them."""

    metric: str
    n: int
    """Cells, or means over replicates where those are taken first."""
    treatment: str
    """In words."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Cells that the table does not have: one metric of one label, for one system and condition."""

    system: str
    perturbation: str
    severity: float
    level: float | None
    unit: str
    label: str
    metric: str
    missing: int
    """Cases without any value or status."""
    partial: int
    """Cases with fewer replicates than others have under this condition."""
    cases: tuple[str, ...]
    """Display ids of the missing and partial ones, at most ten."""


@dataclass(frozen=True, slots=True)
class MeasuredElsewhere:
    """How a table of measurements was read."""

    files: tuple[MeasuredFile, ...]
    columns: tuple[ReadColumn, ...]
    """In the order of the files and their columns, each pair once."""
    clean: str
    """What the table calls the clean condition; empty: it holds no other."""
    patients_are_cases: bool
    """True: the table names no patients, and its user says that every case is a patient."""
    choices: tuple[str, ...]
    """What its user declared, in words: caps, scales, groups."""
    replaced: tuple[Replaced, ...]
    gaps: tuple[Gap, ...]
    """Columns that are not whole; empty: every system has every case under every condition."""
    replicates: int = 1
    """Most replicates of a case under one condition."""
