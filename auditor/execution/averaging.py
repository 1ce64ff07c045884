"""The mean over raters instead of one reference: every metric against each rater, then averaged.

**Conventions.** A value is the mean over the raters against whom the metric has one, and the row says of how
many; raters against whom nothing can be graded (both masks empty) are left out. Where a worst case stands
in against one rater (a distance to a mask that is empty), the mean has no value either, so that a false
alarm or a miss is not averaged away; its worst case is then the mean of the others' values and of the
worst cases. The status is the one that all raters share, else ``ok`` with a value, and without one that of
the first rater with a worst case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from auditor.execution.scoring import Scorer
from auditor.schema import OutputSpec, Record, Row, Status
from perturbations import Warp

__all__ = ["MeanScorer", "mean_rows"]


@dataclass(frozen=True, slots=True)
class MeanScorer:
    """The raters of one case, each prepared once; it scores as `Scorer` does."""

    scorers: tuple[Scorer, ...]
    """One per rater, at least one."""

    def rows(
        self,
        labels: Tensor,
        *,
        template: Row,
        output: OutputSpec | None = None,
        probabilities: Tensor | None = None,
        clean: Tensor | None = None,
        warp: Warp | None = None,
        seconds: float | None = None,
    ) -> list[Row]:
        """Score one predicted label map; see `Scorer.rows`."""

        def scored(scorer: Scorer) -> list[Row]:
            return scorer.rows(
                labels, template=template, output=output, probabilities=probabilities, clean=clean,
                warp=warp, seconds=seconds,
            )  # fmt: skip

        return self._mean(scored)

    def failed(
        self,
        template: Row,
        status: Status,
        reason: str,
        *,
        geometric: bool,
        output: OutputSpec | None = None,
    ) -> list[Row]:
        """Give the rows of an evaluation without a prediction; see `Scorer.failed`."""
        return self._mean(
            lambda scorer: scorer.failed(
                template, status, reason, geometric=geometric, output=output
            )
        )

    def _mean(self, scored: Callable[[Scorer], list[Row]]) -> list[Row]:
        return mean_rows([scored(scorer) for scorer in self.scorers])


def mean_rows(of_raters: Sequence[Sequence[Row]]) -> list[Row]:
    """Average the measurement rows of several raters, one by one.

    Parameters
    ----------
    of_raters : sequence of sequences of Row
        The same rows in the same order for every rater; only values, worst cases and statuses of
        measurements may differ.

    Returns
    -------
    list of Row
        One per row of the first rater; rows of other kinds as they are there.
    """
    return [
        _mean(rows) if rows[0].record == Record.MEASUREMENT.value else rows[0]
        for rows in zip(*of_raters, strict=True)
    ]


def _mean(rows: Sequence[Row]) -> Row:
    known = [row for row in rows if row.value is not None]
    missed = [row for row in rows if row.value is None and row.worst is not None]
    if known and not missed:
        statuses = {row.status for row in known}
        return replace(
            rows[0],
            value=_average(row.value for row in known),
            worst=_average(row.worst for row in rows),
            status=statuses.pop() if len(statuses) == 1 else Status.OK.value,
            reason=_reason(rows, f"mean over {len(known)} of {len(rows)} raters", known),
        )
    told = f"a value against {len(known)} of {len(rows)} raters only, and no mean"
    return replace(
        rows[0],
        value=None,
        worst=_average(row.worst if row.value is None else row.value for row in rows),
        status=(missed or rows)[0].status,
        reason=_reason(rows, told, known),
    )


def _average(values: Iterable[float | None]) -> float | None:
    """Mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _reason(rows: Sequence[Row], told: str, known: Sequence[Row]) -> str:
    """Say against how many raters there is a value, where it is not all of them or none."""
    if len(known) in (0, len(rows)):
        return next((row.reason for row in rows if row.reason), "")
    without = sorted({row.status for row in rows if row.value is None})
    return f"{told}; no value against the others: {', '.join(without)}"
