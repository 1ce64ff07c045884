"""Which mask a prediction is scored against, where a case has several raters.

**Rules.** ``given``: the column ``reference`` (or the only rater). ``majority``: what most raters say; with
an even number of them the tie rule decides, and must be declared. ``staple``: the mask that best explains
all raters, each with a sensitivity and specificity of its own (Warfield 2004). ``rater_k``: one rater.
``mean_over_raters``: no mask at all; every metric is measured against each rater, and the mean counts.
Pictures, groups of cases and the region of the scan need one mask nevertheless: the majority.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from auditor.cases.raters import majority, staple
from auditor.errors import DataError
from auditor.schema import CaseRecord, ReferenceRule

__all__ = ["chosen_reference", "rule_problems", "rule_warnings"]

_FEW_FOR_STAPLE = 4


def chosen_reference(
    given: Tensor | None,
    raters: Mapping[str, Tensor],
    labels: Sequence[int],
    rule: ReferenceRule,
    *,
    case: str,
) -> Tensor:
    """Return the mask that is scored against, or that stands for the case.

    Parameters
    ----------
    given : (z, y, x) or (y, x), int16, or None
        Of the column ``reference``.
    raters : mapping of name to a mask of the same shape
        rater_1 and on.
    labels : sequence of int
        Audited label numbers.
    rule : ReferenceRule
        As declared.
    case : str
        Its name, for the message.

    Returns
    -------
    Tensor
        int16; for ``mean_over_raters`` the majority.

    Raises
    ------
    DataError
        When the rule asks for a mask that the case does not have.
    """
    problems = _problems(given is not None, tuple(raters), rule, where=f"case {case!r}")
    if problems:
        raise DataError(problems[0])
    masks = list(raters.values())
    if rule.use == "given":
        return given if given is not None else masks[0]
    if rule.votes:
        return majority(masks, labels, tie=rule.tie or "above_half")  # odd: both say the same
    return staple(masks, labels) if rule.use == "staple" else raters[rule.use]


def rule_problems(record: CaseRecord, rule: ReferenceRule) -> list[str]:
    """Say, from its files alone, why a case does not fit the rule; empty when it does."""
    where = f"case {record.case!r}"
    return _problems(record.reference is not None, record.rater_names, rule, where=where)


def rule_warnings(cases: Sequence[CaseRecord], rule: ReferenceRule) -> list[str]:
    """Say what a reader should know of the rule on these cases."""
    fewest = min((len(record.raters) for record in cases), default=0)
    if rule.use == "staple" and 0 < fewest < _FEW_FOR_STAPLE:
        return [
            (
                f"cases.reference: STAPLE of {fewest} raters depends much on its prior; majority or "
                "mean_over_raters do not"
            )
        ]
    return []


def _problems(
    given: bool,  # noqa: FBT001  # whether there is a column reference
    raters: Sequence[str],
    rule: ReferenceRule,
    *,
    where: str,
) -> list[str]:
    count = len(raters)
    if rule.use == "given":
        if given or count == 1:
            return []
        return [
            (
                f"{where}: has {count} raters and no reference; say cases.reference: "
                "{use: majority, tie: above_half}"
            )
        ]
    asked = f"for cases.reference.use: {rule.use}"
    if rule.use.startswith("rater_"):
        held = f"it has {', '.join(raters) or 'none'}"
        return [] if rule.use in raters else [f"{where}: must have {rule.use} {asked}, {held}"]
    if not count:
        return [f"{where}: must have raters {asked}, has none"]
    if rule.votes and rule.tie is None and count % 2 == 0:
        what = (
            "a majority of them"
            if rule.use == "majority"
            else "the majority for pictures and groups"
        )
        return [
            (
                f"{where}: has {count} raters, and {what} may be a tie; say cases.reference.tie: above_half "
                "(half is not enough) or at_least_half"
            )
        ]
    return []
