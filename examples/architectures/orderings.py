"""The published orderings as questions, each with the answer that the numbers give.

Every function takes the summary of `findings` and returns an `Answer`. What would count as support is stated
here, before any number: see the constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from page_words import apart, counted, method, table, title, told, turned, verdict

from auditor.analysis.intervals import clopper_pearson

__all__ = ["HARD", "NEAR_ONE", "Answer", "answers"]

NEAR_ONE = 0.9
"""A mean DSC above this is read as near 1."""
HARD = 0.5
"""Share of blending from which on a test is read as hard."""
MOSTLY = 0.5
"""A share of the failures above this is read as how a network fails."""

_KAMATH = "Kamath et al. 2023, 2025"
_WILM = "Wilm et al. 2024"

Summary = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One published statement, and what this run says of it."""

    title: str
    source: str
    statement: str
    """As published."""
    rule: str
    """What counts as support here."""
    answer: str
    """In a few words."""
    evidence: tuple[str, ...]
    """Paragraphs and tables, in Markdown."""


def answers(summary: Summary) -> list[Answer]:
    """Answer the questions for which the runs hold numbers, in the order of the page."""
    asked = (matched, gated, further, failing_empty, failing_full, finest_in_domain, finest_beyond)
    found = [question(summary) for question in asked]
    return [it for it in found if it is not None]


def matched(summary: Summary) -> Answer | None:
    """Ask whether every network solves the task that it was trained on."""
    easy = summary["design"]["easy"]
    rows, verdicts = [], []
    for direction, found in summary["directions"].items():
        for cell in found["cells"]:
            if cell["trained"] == easy and cell["tested"] == easy:
                said = verdict(cell["mean"], beyond=NEAR_ONE)
                verdicts.append(said)
                rows.append(
                    (
                        direction, title(summary, cell["family"]), told(cell["mean"], signed=False),
                        _spread(cell), cell["mean"]["n"], cell["runs"], said,
                    )
                )  # fmt: skip
    if not rows:
        return None
    head = ("direction", "network", "mean DSC", "SD of runs", "n", "runs", "answer")
    return Answer(
        "Matched textures",
        _KAMATH,
        "Trained and tested on the same easy blend, every network comes near a DSC of 1.",
        f"The interval of the mean DSC at a blend of {easy:g} lies above {NEAR_ONE:g}.",
        counted(verdicts, "networks in a direction"),
        (table(head, rows), _methods(summary, "cells", "mean")),
    )


def gated(summary: Summary) -> Answer | None:
    """Ask whether the attention-gated network loses more than the one without skips."""
    return _losing(
        summary, "gated",
        heading="Gated skips against none",
        statement=(
            "Trained on easy foreground blends and tested on hard ones, the No-Skip U-Net loses less than the "
            "attention-gated one."
        ),
    )  # fmt: skip


def further(summary: Summary) -> Answer | None:
    """Ask the same of the other networks with skips."""
    return _losing(
        summary, "others",
        heading="Other skips against none",
        statement="Networks with skips lose more than their counterparts without.",
    )  # fmt: skip


def _losing(summary: Summary, question: str, *, heading: str, statement: str) -> Answer | None:
    easy = summary["design"]["easy"]
    rows, verdicts = [], []
    for direction, found in summary["directions"].items():
        for it in found["differences"].get(question, ()):
            if it["trained"] != easy or it["tested"] < HARD:
                continue
            said = verdict(it["loss"])
            if direction == "foreground":
                verdicts.append(said)
            rows.append(
                (
                    direction, f"{it['tested']:g}",
                    apart(summary, it),
                    told(it["loss"]), it["loss"]["n"], said,
                )
            )  # fmt: skip
    if not verdicts:
        return None
    head = ("direction", "tested", "loss of", "difference", "n", "answer")
    return Answer(
        heading,
        _KAMATH,
        statement,
        f"In the foreground direction, at tests of {HARD:g} and above, the interval of the difference of "
        f"losses from the test at {easy:g} lies above 0. The other direction is shown beside it.",
        counted(verdicts, "pairs at a test"),
        (table(head, rows), _methods(summary, "differences", "loss", question)),
    )


def failing_empty(summary: Summary) -> Answer | None:
    """Ask whether networks fail by predicting nothing where the object fades."""
    return _failing(
        summary, "foreground", "empty",
        heading="How they fail: the object fades",
        statement="In the foreground direction failures are empty masks.",
        kind="empty masks",
    )  # fmt: skip


def failing_full(summary: Summary) -> Answer | None:
    """Ask whether networks fail by predicting too much where the background grows alike."""
    return _failing(
        summary, "background", "over",
        heading="How they fail: the background grows alike",
        statement="In the background direction failures are over-segmentations.",
        kind="masks of more than twice the volume",
    )  # fmt: skip


def _failing(
    summary: Summary, direction: str, column: str, *, heading: str, statement: str, kind: str
) -> Answer | None:
    failures = summary["directions"].get(direction, {}).get("failures", ())
    if not failures:
        return None
    hardest = max(it["tested"] for it in failures)
    level = summary["design"]["level"]
    rows, verdicts = [], []
    for it in failures:
        if it["tested"] != hardest:
            continue
        told_runs, said = [], []
        for run in it["runs"]:
            failed = run["n"] - run["good"] - run["unknown"]
            if failed == 0:
                continue
            low, high = clopper_pearson(run[column], failed, level=level)
            told_runs.append(f"{run[column]} of {failed} [{low:.2f}, {high:.2f}]")
            said.append(
                "supported" if low > MOSTLY else "contradicted" if high < MOSTLY else "open"
            )
        verdicts += said
        total = {key: sum(run[key] for run in it["runs"]) for key in it["runs"][0]}
        rows.append(
            (
                title(summary, it["family"]), f"{total['n'] - total['good']} of {total['n']}",
                total["empty"], total["under"], total["misplaced"], total["over"],
                "; ".join(told_runs) or "no failure", counted(said) if said else "no failure",
            )
        )  # fmt: skip
    head = (
        "network", "DSC below .5", "empty", "under", "misplaced", "over",
        f"{column} among failures, run by run", "answer",
    )  # fmt: skip
    return Answer(
        heading,
        _KAMATH,
        statement,
        f"At the hardest test ({hardest:g}), of networks trained on easy blends, the {level:.0%} "
        f"Clopper-Pearson interval of the share of {kind} among the failures of a run (DSC below .5) lies "
        f"above {MOSTLY:g}. It is about other patients of that very checkpoint; runs are not adjusted for each "
        "other.",
        counted(verdicts, "training runs with a failure"),
        (table(head, rows),),
    )


def finest_in_domain(summary: Summary) -> Answer | None:
    """Ask for the order of Wilm et al. where training and test agree."""
    return _finest(summary, beyond=False)


def finest_beyond(summary: Summary) -> Answer | None:
    """Ask for the order of Wilm et al. where the test is harder than the training."""
    return _finest(summary, beyond=True)


def _finest(summary: Summary, *, beyond: bool) -> Answer | None:
    easy = summary["design"]["easy"]
    rows, verdicts = [], []
    for direction, found in summary["directions"].items():
        for it in found["differences"].get("finest", ()):
            right = it["tested"] >= HARD if beyond else it["tested"] == easy
            if it["trained"] != easy or not right:
                continue
            said = verdict(it["difference"])
            verdicts.append(said)
            rows.append(
                (
                    direction, f"{it['tested']:g}",
                    apart(summary, it),
                    told(it["difference"]), it["difference"]["n"], said,
                )
            )  # fmt: skip
    if not rows:
        return None
    where = f"at tests of {HARD:g} and above" if beyond else f"at the test of {easy:g}"
    head = ("direction", "tested", "mean DSC of", "difference", "n", "answer")
    return Answer(
        "Without the finest skip: beyond the training"
        if beyond
        else "Without the finest skip: in domain",
        _WILM,
        "Without its finest skip a U-Net does better than with all of them, and without any it does worst"
        + (", out of domain, too." if beyond else "."),
        f"Trained at {easy:g}, {where}, the intervals of both differences of mean DSC lie above 0.",
        counted(verdicts, "pairs at a test, in a direction"),
        (table(head, rows), _methods(summary, "differences", "difference", "finest")),
    )


def conflict(summary: Summary) -> str:
    """Say plainly where the two lines of work disagree, and what this run has to say of it."""
    easy = summary["design"]["easy"]
    rows = [
        it
        for it in summary["directions"]
        .get("foreground", {})
        .get("differences", {})
        .get("finest", ())
        if it["trained"] == easy and it["second"] == "noskip_unet"
    ]
    within = [it for it in rows if it["tested"] == easy]
    hard = [it for it in rows if it["tested"] >= HARD]
    if not within or not hard:
        return "The two networks that they disagree about were not both trained."
    least = counted(verdict(it["difference"]) for it in within)
    loses = counted(verdict(it["loss"]) for it in hard)
    mean = counted(verdict(turned(it["difference"])) for it in hard)
    return (
        "Of the U-Net with all skips against the one with none, as the foreground fades: that the one without "
        f"skips is worse where training and test agree (Wilm) is *{least}*; that it loses less on hard tests "
        f"(Kamath) is *{loses}*; and that it ends with the higher mean DSC there is *{mean}*. A smaller loss "
        "from a lower start is no higher end: the two papers may both be right about what they measure."
    )


def _spread(cell: Row) -> str:
    return "one run" if cell["spread"] is None else f"{cell['spread']:.3f}"


def _methods(summary: Summary, part: str, field: str, question: str = "") -> str:
    """Name each method of the numbers once."""
    rows: list[Row] = []
    for found in summary["directions"].values():
        rows += found[part].get(question, ()) if question else found[part]
    return "Intervals: " + _named([it[field] for it in rows]) + "."


def _named(values: Sequence[Row]) -> str:
    # degrees of freedom differ from row to row
    names = [method(it).split(" (")[0] for it in values if it["low"] is not None]
    rest = ["Bonferroni over pairs" for it in values if "Bonferroni" in it["method"]]
    levels = [f"{it['level']:.0%}" for it in values if it["level"]]
    told_all = [*dict.fromkeys(names), *dict.fromkeys(rest), *dict.fromkeys(levels)]
    return ", ".join(told_all) or "none, because there are too few patients or training runs"
