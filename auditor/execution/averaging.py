"""The mean over raters instead of one reference: every metric against each rater, then averaged.

**Conventions.** A value is the mean over the raters against whom the metric has one, and the row says of how
many. Its status is the one that those raters share, else ``ok``; without any value it is the status that
all share, else that of the first rater who has a worst case. The worst case is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    worst = [row.worst for row in rows if row.worst is not None]
    statuses = {row.status for row in (known or rows)}
    if len(statuses) == 1:
        (status,) = statuses
    elif known:
        status = Status.OK.value
    else:
        status = next((row.status for row in rows if row.worst is not None), rows[0].status)
    values = [row.value for row in known if row.value is not None]
    return replace(
        rows[0],
        value=sum(values) / len(values) if values else None,
        worst=sum(worst) / len(worst) if worst else None,
        status=status,
        reason=_reason(rows, len(known)),
    )


def _reason(rows: Sequence[Row], known: int) -> str:
    """Say of how many raters a value is the mean, where it is not of all of them."""
    told = next((row.reason for row in rows if row.reason), "")
    without = sorted({row.status for row in rows if row.value is None})
    if known == len(rows) or not known:
        return told
    return f"mean over {known} of {len(rows)} raters; no value against the others: {', '.join(without)}"
