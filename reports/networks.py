"""Make ``skips.svg`` from the record of ``skips.json``: a picture that stands alone."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import NetworkFacts
from reports import svg
from reports.charts.network import network
from reports.html import TEMPLATES

__all__ = ["picture_of_skips"]

_COLOURS = """
.net{--ink:#17202a;--soft:#4a5763;--paper:#fff;--shade:#eef2f5;--accent:#0b5a8f}
@media (prefers-color-scheme:dark){.net{--ink:#e8edf2;--soft:#b3bec8;--paper:#14191f;--shade:#242d36;
--accent:#6db5e8}}
text{font-family:"Segoe UI","Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif;fill:var(--ink)}
"""
"""A file of its own has no style sheet of a page; it follows the light or dark of the reader."""


def picture_of_skips(facts: NetworkFacts) -> str:
    """Draw a network with its skip connections, for a file.

    Parameters
    ----------
    facts : NetworkFacts
        With its levels.

    Returns
    -------
    str
        The whole SVG, the same for the same facts, without scripts and references.
    """
    names = ", ".join(facts.systems)
    drawn = network(facts, f"Skip connections of {names}" if names else "Skip connections")
    style = svg.element("style", Markup(f"{_COLOURS}{_rules()}\n"))  # our own sheet
    head, rest = str(drawn).split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'


def _rules() -> str:
    """Return what the style sheet of the reports says of this picture."""
    sheet = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return "\n".join(line for line in sheet.splitlines() if line.startswith(".net-"))
