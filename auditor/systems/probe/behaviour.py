"""How a system behaves from call to call: batches, repetition, dependence on the number of calls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditor.systems.describing import noise
from auditor.systems.probe.attempts import Attempts
from auditor.systems.probe.candidates import Candidate
from auditor.systems.probe.report import Batches

__all__ = ["batches", "call_number", "repetition"]

_ALIKE = 1e-4
"""Batches have other last bits, because their products of matrices are cut elsewhere."""


def batches(attempt: Attempts, tried: Candidate, fixed: int | None) -> tuple[Batches, list[str]]:
    """Ask whether a batch of two gives what two batches of one give.

    Parameters
    ----------
    attempt : what runs, images of one call in one batch.
    tried : an accepted input.
    fixed : images in a batch that the file declares; None: any number.

    Returns
    -------
    The answer, and sentences for the report.
    """
    if fixed is not None:
        told = (
            f"the file is made for batches of {fixed}: images are run that way, whatever batch says"
        )
        return "fixed", [told]
    pair = [noise(tried.shape, seed=3), noise(tried.shape, seed=4)]
    alone = [answer for array in pair if (answer := attempt(array, tried)) is not None]
    if len(alone) < len(pair):
        return "not tried", []
    lost = attempt.lost
    together = attempt.together(pair, tried)
    if together is None:
        if attempt.over or attempt.lost != lost:
            return "not tried", []
        return "refused", [f"batches of two are refused, keep batch: 1 ({attempt.refusal})"]
    gaps = [difference(a, b) for a, b in zip(alone, together, strict=True)]
    if max(gaps) <= _ALIKE:
        return "alike", []
    told = (
        "a batch of two gives other answers than two batches of one (largest difference "
        f"{max(gaps):.3g}), keep batch: 1"
    )
    return "differ", [told]


def repetition(attempt: Attempts, tried: Candidate) -> list[str]:
    """Ask twice in a row, and say so when the answers differ.

    Parameters
    ----------
    attempt : what runs.
    tried : an accepted input.

    Returns
    -------
    Sentences for the report.
    """
    array = noise(tried.shape)
    first, second = attempt(array, tried), attempt(array, tried)
    if first is None or second is None:
        return []
    gap = difference(first, second)
    if gap == 0:
        return []
    told = (
        f"the same input gives another answer the second time (largest difference {gap:.3g}): "
        "dropout or another random part is live"
    )
    return [told]


def call_number(attempt: Attempts, tried: Candidate) -> list[str]:
    """Compare the first with the third call of a fresh process, another input in between.

    Parameters
    ----------
    attempt : what runs.
    tried : an accepted input.

    Returns
    -------
    Sentences for the report.
    """
    attempt.afresh()
    array = noise(tried.shape)
    first = attempt(array, tried)
    between = attempt(noise(tried.shape, seed=5), tried)
    third = attempt(array, tried)
    if first is None or between is None or third is None:
        return []
    gap = difference(first, third)
    if gap == 0:
        return []
    told = (
        f"the answer depends on the number of calls: the third one differs by {gap:.3g} from the "
        "first of the same input"
    )
    return [told]


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the largest difference, relative to values above one; infinite when shapes or NaN differ.

    Parameters
    ----------
    one, other : answers.
    """
    if one.shape != other.shape:
        return float("inf")
    a, b = one.astype(np.float64), other.astype(np.float64)
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    inside = np.isfinite(a)
    if not inside.any():
        return 0.0
    return float((np.abs(a - b)[inside] / np.maximum(1, np.abs(a))[inside]).max())
