"""Make ``skips.svg`` from the record of ``skips.json``: a picture that stands alone."""

from __future__ import annotations

from markupsafe import Markup

from auditor.schema import NetworkFacts
from reports import svg
from reports.charts.network import network

__all__ = ["picture_of_skips"]

_STYLE = """
.net{--ink:#17202a;--soft:#4a5763;--paper:#fff;--shade:#eef2f5;--edge:#8794a0;--skip:#0b5a8f;
font-family:"Segoe UI","Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif}
@media (prefers-color-scheme:dark){.net{--ink:#e8edf2;--soft:#b3bec8;--paper:#14191f;--shade:#242d36;
--edge:#76838f;--skip:#6db5e8}}
.net-ground{fill:var(--paper)}
.net-box{fill:var(--shade);stroke:var(--edge);stroke-width:1}
.net-title{font-size:14px;font-weight:650;fill:var(--ink)}
.net-strong{font-size:12px;font-weight:650;fill:var(--ink)}
.net-text{font-size:12px;fill:var(--ink)}
.net-small{font-size:11px;fill:var(--soft)}
.net-way{fill:none;stroke:var(--edge);stroke-width:1.5}
.net-skip{fill:none;stroke:var(--skip);stroke-width:2}
.net-nested{stroke-dasharray:6 3}
.net-start{fill:var(--paper);stroke:var(--skip);stroke-width:1.6}
.net-way.net-head{fill:var(--edge);stroke:none}
.net-skip.net-head{fill:var(--skip);stroke:none}
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
    style = svg.element("style", Markup(_STYLE))
    head, rest = str(drawn).split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'
