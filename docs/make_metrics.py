"""Write the tables of metrics.md from the catalogue: ``python docs/make_metrics.py``.

What stands between ``<!-- catalogue -->`` or ``<!-- policy -->`` and the next ``<!-- end -->`` is
replaced; everything else on the page is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from auditor.metrics.catalog import METRICS, PARAMETERS
from auditor.metrics.policy import policy_words, worst_words

PAGE = Path(__file__).resolve().parent / "metrics.md"

_STATUSES = {
    "prediction_empty": "prediction empty, reference not",
    "reference_empty": "reference empty, prediction not",
    "both_empty": "both empty",
}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in lines)


def catalogue() -> str:
    """Give the table of all metrics."""
    rows = []
    for line in METRICS.values():
        high = "unbounded" if line.high is None else f"{line.high:g}"
        needs = [f"`{name}`" for name in line.needs]
        needs += ["probabilities"] * line.needs_probabilities
        rows.append(
            (
                f"`{line.name}`",
                line.title,
                line.unit or "ratio",
                f"{line.low:g} to {high}",
                "higher" if line.higher_is_better else "lower",
                ", ".join(needs) or "nothing",
                line.definition,
                line.reference,
            )
        )
    heads = ("name", "title", "unit", "range", "better", "needs", "definition", "source")
    return _table(heads, rows)


def parameters() -> str:
    """Give the table of what must be declared."""
    rows = (
        (
            f"`{name}`",
            it.must_be,
            it.advice,
            ", ".join(f"`{m.name}`" for m in METRICS.values() if name in m.needs),
        )
        for name, it in PARAMETERS.items()
    )
    return _table(("parameter", "must be", "how to choose", "needed by"), rows)


def policy() -> str:
    """Give the table of what each metric says when a mask is empty."""
    rows = []
    for line in METRICS.values():
        words = dict(policy_words(line.name))
        cells = [words[status] for status in _STATUSES]
        rows.append((f"`{line.name}`", *cells, worst_words(line.name), line.blind or "no"))
    heads = ("metric", *_STATUSES.values(), "worst value", "can a total miss look good?")
    return _table(heads, rows)


def page(text: str) -> str:
    """Put the tables into the text of the page."""
    for name, table in (("catalogue", catalogue), ("parameters", parameters), ("policy", policy)):
        begin = f"<!-- {name} -->"
        pattern = re.compile(f"{re.escape(begin)}\n.*?<!-- end -->", re.DOTALL)
        if not pattern.search(text):
            msg = f"{PAGE.name} must hold {begin} and, after it, <!-- end -->"
            raise SystemExit(msg)
        filled = f"{begin}\n\n{table()}\n\n<!-- end -->"
        text = pattern.sub(lambda _, filled=filled: filled, text)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
