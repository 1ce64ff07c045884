"""From records to one self-contained page.

**Conventions.** The page holds one style sheet, no script, no style attribute and no address of
another host. Its content policy allows exactly that: the style by its hash, and pictures as data.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from reports.document import (
    CardPage,
    Figure,
    Gallery,
    Items,
    Page,
    Panels,
    Prose,
    ScreenPage,
    Table,
    Terms,
)
from reports.tables import folded

TEMPLATES = Path(__file__).parent / "templates"


_TEMPLATE_OF: dict[type, str] = {
    Page: "report.html.j2",
    ScreenPage: "screen.html.j2",
    CardPage: "card.html.j2",
}


def block_kind(block: object) -> str:
    """Name the macro that prints a block."""
    kinds = {
        Table: "table",
        Figure: "figure",
        Gallery: "gallery",
        Panels: "panels",
        Prose: "prose",
        Items: "items",
        Terms: "terms",
    }
    return kinds[type(block)]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = block_kind
    environment.filters["folded"] = folded
    return environment


@cache
def style() -> str:
    """Read the style sheet without its indentation."""
    text = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def policy(css: str) -> str:
    """Content policy that allows this style sheet and pictures as data, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def write(page: Page | ScreenPage | CardPage) -> str:
    """Print a page.

    Parameters
    ----------
    page
        A whole report, the page of a screen, or a card.

    Returns
    -------
    str
        HTML with one final newline.
    """
    css = style()
    template = _environment().get_template(_TEMPLATE_OF[type(page)])
    text = template.render(page=page, css=Markup(css), policy=Markup(policy(css)))
    return f"{text.rstrip()}\n"
