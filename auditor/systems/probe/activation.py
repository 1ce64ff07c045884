"""Read the activation from the values of an output and from the last operations before it.

Both must agree. Ranges alone mislead: a ReLU on small logits looks like a sigmoid. Last operations alone
mislead, too: a softmax may run along another axis. Of a Python callable only the values are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditor.systems.last_operations import Ending

__all__ = ["Judged", "Seen", "judge", "look"]

Range = Literal[
    "not finite", "constant", "whole", "sums to one", "unit", "log sums to one", "positive", "any"
]

_NEAR = 1e-3


@dataclass(frozen=True, slots=True)
class Seen:
    """Values of one output on several inputs."""

    range: Range
    """What they have in common."""
    binary: bool
    """0 and 1 only."""
    least: float
    """Smallest finite value."""
    most: float
    """Largest finite value."""
    classes: int
    """Channels."""
    not_finite: float = 0.0
    """Share of NaN and infinite values."""

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        told = {
            "not finite": f"{self.not_finite:.2%} of the values are NaN or infinite",
            "constant": "the values are the same everywhere",
            "whole": "the values are whole numbers",
            "sums to one": "the channels sum to one everywhere",
            "unit": "the values lie in [0, 1]",
            "log sums to one": "the exponentials of the channels sum to one everywhere",
        }
        return told.get(self.range, f"the values lie in [{self.least:.3g}, {self.most:.3g}]")


@dataclass(frozen=True, slots=True)
class Judged:
    """What the activation is, or why it must be asked for."""

    activation: str | None
    """None: to be asked for."""
    words: str
    """What was seen."""


def look(answers: Sequence[NDArray[Any]]) -> Seen:
    """Look at values.

    Parameters
    ----------
    answers : (class, *sizes) of the same output to several inputs.

    Returns
    -------
    What they have in common.
    """
    classes = int(answers[0].shape[0])
    values = np.concatenate([a.reshape(classes, -1) for a in answers], axis=1).astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        inside = values[finite]
        least, most = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
        return Seen("not finite", False, least, most, classes, 1 - float(finite.mean()))  # noqa: FBT003
    least, most = float(values.min()), float(values.max())
    binary = bool(np.isin(values, (0.0, 1.0)).all())
    return Seen(_range(values, least, most, classes), binary, least, most, classes)


def _range(values: NDArray[np.float64], least: float, most: float, classes: int) -> Range:
    if least == most:
        return "constant"
    unit = least >= -_NEAR and most <= 1 + _NEAR
    if unit and classes > 1 and np.allclose(values.sum(axis=0), 1, atol=_NEAR):
        return "sums to one"
    if classes == 1 and least >= 0 and np.array_equal(values, np.rint(values)):
        return "whole"
    if unit:
        return "unit"
    if classes > 1 and most <= _NEAR and np.allclose(np.exp(values).sum(axis=0), 1, atol=_NEAR):
        return "log sums to one"
    return "positive" if least >= 0 else "any"


def judge(seen: Seen, end: Ending | None, *, whole_type: bool, axis: int, alone: bool) -> Judged:
    """Judge what values and last operations agree on.

    Parameters
    ----------
    seen : values.
    end : last operations; None: they could not be seen.
    whole_type : the output is of an integer type.
    axis : of the channels in the output.
    alone : values alone may decide, because there is no network to look into.

    Returns
    -------
    The activation with what was seen, or None with what was seen.
    """
    by_values = _by_values(seen, whole_type=whole_type)
    if end is None or not end.meaning:
        if alone:
            note = " (read from the values alone, so of medium certainty)" if by_values else ""
            return Judged(by_values, f"{seen.words}{note}")
        return Judged(None, f"{seen.words}; the last operation could not be seen")
    words = f"{seen.words}, the last operation is {_said(end, axis)}"
    if _agree(seen, end, whole_type=whole_type, axis=axis):
        return Judged(by_values, words)
    return Judged(None, words)


def _said(end: Ending, axis: int) -> str:
    name = end.operations[-1].partition("(")[0]
    if end.axis is None:
        return name
    return f"{name} along the channels" if end.axis == axis else f"{name} along axis {end.axis}"


def _by_values(seen: Seen, *, whole_type: bool) -> str | None:
    simple = {
        "whole": "labels",
        "sums to one": "softmax",
        "unit": "sigmoid",
        "log sums to one": "logits_softmax",
    }
    if seen.range == "constant" and whole_type:
        return "labels" if seen.classes == 1 else None
    if seen.range == "any" and seen.classes == 1:
        return "logits_sigmoid"  # one channel can be nothing else
    return simple.get(seen.range)


def _agree(seen: Seen, end: Ending, *, whole_type: bool, axis: int) -> bool:
    """Tell whether the last operation makes such values."""
    meaning = end.meaning
    along = end.axis in (None, axis)
    if seen.range == "constant":
        return whole_type and meaning in {"argmax", "comparison"}
    makes: dict[str, bool] = {
        "sums to one": (meaning == "softmax" and along)
        or (seen.binary and meaning in {"one_hot", "comparison"}),
        "unit": meaning in {"sigmoid", "hard_sigmoid"}
        or (seen.binary and meaning in {"comparison", "rounding"}),
        "whole": whole_type or meaning in {"argmax", "comparison", "rounding"},
        "log sums to one": meaning == "log_softmax" and along,
        "any": meaning == "linear",
    }
    return makes.get(seen.range, False)
