"""What a page is made of: records that the sections fill and the templates print.

**Conventions.** A `Text` is either a plain string, which the template escapes, or `Markup` that was
put together by `reports.wording` and `reports.svg`, which escape whatever they insert. Nothing here
or after it computes: values arrive finished from ``results.json``.

The files of an exhibit
-----------------------
``exhibits/E-01.json`` holds one object::

    {
     "id": "E-01",                          as in Results.exhibits
     "planes": [
      {
       "name": "axial",                     words for the caption
       "png": "E-01-1.png",             file in the same folder, greyscale, no path
       "width": 128, "height": 96,          pixels of the png
       "spacing": [3.0, 0.8],               [row, column], in the audit's unit of length
       "slice": 17,                         index along the axis that is not shown, or null
       "contours": {                        polygons of [x, y] = [column, row], in pixels of
        "reference": [[[x, y], ...], ...],  the png; the first pixel's centre is [0.5, 0.5]
        "prediction": [...],
        "clean": [...]                      the same system on the clean scan; may be empty
       }
      }
     ],
     "window": [low, high],                 intensities shown as black and white
     "reproduced": true,                    the re-run gave the stored mask digest
     "note": ""                             one sentence, or empty
    }

Unknown keys are ignored; missing contours count as empty; anything else that does not fit is a
`DataError` that names the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

Text = str | Markup
"""Escaped by the template, unless it is Markup."""

Point = tuple[float, float]
"""(x, y) in pixels of the picture."""

Polygon = tuple[Point, ...]
"""A closed line."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One picture of an exhibit with its contours."""

    name: str
    """Words: axial, coronal, image."""
    png: bytes
    """The grey picture; empty when pixels are left out."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    spacing: tuple[float, float]
    """(row, column), in the audit's unit of length."""
    slice: int | None
    """Index along the axis that is not shown; None: a 2-D image."""
    reference: tuple[Polygon, ...]
    """What is scored against."""
    prediction: tuple[Polygon, ...]
    """Of the system under this condition."""
    clean: tuple[Polygon, ...]
    """Of the system on the clean scan."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The stored pictures of one selected evaluation."""

    id: str
    """E-01."""
    planes: tuple[Plane, ...]
    """In the order of the file."""
    window: tuple[float, float] | None
    """Intensities shown as black and white."""
    reproduced: bool
    """Whether the re-run gave the stored mask."""
    note: str
    """One sentence, or empty."""


@dataclass(frozen=True, slots=True)
class Column:
    """Head of one column."""

    title: Text
    """Words and unit."""
    kind: Literal["text", "number", "wide", "bound"] = "text"
    """number: right-aligned digits; wide: sentences; bound: digits with their method below."""
    fold: bool = False
    """When every row says the same here, it is said once, below the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption; the first cell of a row is its heading."""

    caption: Text
    """What is shown, of whom, with which level and method."""
    columns: tuple[Column, ...]
    """Heads."""
    rows: tuple[tuple[Text, ...], ...]
    """As many cells as columns."""
    note: Text = ""
    """Below the table."""
    summary: str = ""
    """Words of the line that opens a folded table; empty: always open."""
    stacked: bool = False
    """On a narrow screen each row becomes a block of its own."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One picture with its caption and the table that says the same."""

    svg: Markup
    """With role, title and description."""
    caption: Text
    """What a reader should see."""
    table: Table | None = None
    """The numbers behind the picture; None when `Gallery.table` holds them."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small multiples: figures side by side, with one legend."""

    figures: tuple[Figure, ...]
    """In reading order."""
    legend: Text = ""
    """What lines and marks mean."""
    table: Table | None = None
    """The numbers of all figures."""
    title: str = ""
    """Heading above; empty: none."""
    summary: str = ""
    """Words of the line that opens a folded gallery; empty: always open."""
    width: Literal["whole", "half", "third"] = "half"
    """Share of a wide page that one figure takes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one line of a panel says, printed beside it."""

    key: Text
    """Mark and name: the legend, where the line is."""
    entries: tuple[tuple[str, Text], ...]
    """(what, number with its interval)."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One row of a figure."""

    title: str
    """What the row is about."""
    hint: Text
    """Which end is which, in words."""
    svg: Markup
    """With role, title and description; empty: nothing can be drawn, and `note` says why."""
    readings: tuple[Reading, ...]
    """One a line."""
    note: Text = ""
    """What a reader must know of this row."""


@dataclass(frozen=True, slots=True)
class Panels:
    """One figure of rows that share their scales; the numbers of each row stand beside it."""

    rows: tuple[Panel, ...]
    """In reading order."""
    caption: Text
    """What a reader should see."""
    tables: tuple[Table, ...]
    """The numbers of all rows."""
    title: str = ""
    """Heading above; empty: none."""
    summary: str = ""
    """Words of the line that opens a folded figure; empty: always open."""


@dataclass(frozen=True, slots=True)
class Prose:
    """One paragraph."""

    text: Text
    """A sentence or a few."""
    kind: Literal["plain", "empty", "notice"] = "plain"
    """empty: says why there is nothing to show; notice: must not be overlooked."""


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    items: tuple[Text, ...]
    """At least one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Words with their meanings."""

    entries: tuple[tuple[Text, Text], ...]
    """(word, meaning)."""
    title: str = ""
    """Heading above; empty: none."""


Block = Table | Figure | Gallery | Panels | Prose | Items | Terms


@dataclass(frozen=True, slots=True)
class Section:
    """One numbered part of the report."""

    id: str
    """Anchor."""
    title: str
    """Heading."""
    lead: Text
    """What the part says, in a sentence or two."""
    blocks: tuple[Block, ...]
    """What it shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the five answers of the front page."""

    question: str
    """As a reader asks it."""
    sentence: Text
    """The answer, with its number."""
    details: tuple[tuple[str, Text], ...]
    """(system or words, its number)."""
    basis: Text
    """n, level and method."""
    section: str
    """Anchor of the evidence."""
    link: str
    """Words of the link."""


@dataclass(frozen=True, slots=True)
class Front:
    """Everything above the numbered sections."""

    name: str
    """Of the audit."""
    stamp: str
    """EXPLORATORY, PRE-DECLARED, WITNESSED."""
    stamp_meaning: str
    """What the stamp says, in words."""
    overall: Text
    """Badge of the overall verdict; empty when the stamp says it all."""
    facts: tuple[tuple[Text, Text], ...]
    """(number, what it counts)."""
    identities: tuple[tuple[str, Text], ...]
    """(what, digest or version)."""
    banners: tuple[tuple[str, Text], ...]
    """(kind, words): info or warning."""
    answers: tuple[Answer, ...]
    """Five."""
    not_assessed: tuple[Text, ...]
    """What the audit says nothing about."""
    claims: Text
    """'2 of 3 declared claims are supported'."""
    verdicts: Table | None
    """None: no criteria."""
    envelope: Table | None = None
    """Operating envelope; None: no limit was declared."""


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    front: Front
    """First page."""
    sections: tuple[Section, ...]
    """In order."""


@dataclass(frozen=True, slots=True)
class CardPage:
    """One printed page about one scan."""

    name: str
    """Of the scan."""
    stamp: str
    """Its grade in words."""
    stamp_meaning: str
    """What the grade means."""
    overall: Text
    """Empty: a card judges no system."""
    identities: tuple[tuple[str, Text], ...]
    """(what, digest or version)."""
    banners: tuple[tuple[str, Text], ...]
    """(kind, words): info or warning."""
    bound: Text
    """The number, large; or that there is none."""
    promise: Text
    """What it means, in a sentence or two."""
    lists: tuple[tuple[str, Items], ...]
    """(heading, sentences): reasons, what must be known."""
    pictures: Gallery | None
    """None: there are none."""
    tables: tuple[Table, ...]
    """Axes, what the grade was worth."""
    facts: Terms
    """Of the calibration."""
    limits: Items
    """What the page does not say."""
    source: str
    """Words of the foot."""
    kind: str = "rating of one scan"
    """Words beside the product's name."""


@dataclass(frozen=True, slots=True)
class ScreenPage:
    """A short report on one page: a screen, or raters alone."""

    name: str
    """Of the screen, or of the table."""
    stamp: str
    """EXPLORATORY, DESCRIPTIVE."""
    stamp_meaning: str
    """What the stamp says, in words."""
    overall: Text
    """Empty: such a page judges nothing."""
    identities: tuple[tuple[str, Text], ...]
    """(what, digest or version)."""
    banners: tuple[tuple[str, Text], ...]
    """(kind, words): info or warning."""
    facts: tuple[tuple[Text, Text], ...]
    """(number, what it counts)."""
    sentences: tuple[Text, ...]
    """What was found, in words."""
    sections: tuple[Section, ...]
    """In order."""
    kind: str = "screen: a first look"
    """Words beside the product's name."""
    source: str = (
        "Every number on this page comes from screen.json of this folder. Simulated perturbations – not "
        "clinical validation."
    )
    """Words of the foot."""
