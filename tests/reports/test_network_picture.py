"""The picture of a network: every level and skip is there, in words as well, and nothing overlaps."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from auditor.schema import NetworkFacts, NetworkLevel, NetworkSkip
from auditor.schema.network_words import certificate_words, conclusion_words
from reports.networks import picture_of_skips

SVG = "{http://www.w3.org/2000/svg}"


def skip(level: int, *, nested: bool = False, places: int = 1) -> NetworkSkip:
    sizes = (64 >> level, 32 >> level, 16)
    return NetworkSkip(level, sizes, 8 << level, f"v{level}", "Concat", nested, places)


def network(*skips: NetworkSkip, levels: int = 4, minimal: bool = True) -> NetworkFacts:
    last = levels - 1
    return NetworkFacts(
        systems=("net",),
        fed=(1, 2, 64, 32, 16),
        skips=skips,
        complete=True,
        minimal=minimal,
        coarsest=(64 >> last, 32 >> last, 16),
        levels=tuple(
            NetworkLevel((64 >> n, 32 >> n, 16), 8 << n, 0 if n == last else 4 << n)
            for n in range(levels)
        ),
    )


U_NET = network(skip(0), skip(1, places=2))
LATTICE = network(
    *(skip(0, nested=n % 3 > 0) for n in range(10)),
    *(skip(1, nested=n > 2) for n in range(6)),
    *(skip(2, nested=n > 1) for n in range(3)),
    skip(3),
    levels=5,
    minimal=False,
)


def drawn(facts: NetworkFacts) -> ET.Element:
    return ET.fromstring(picture_of_skips(facts))


def texts(facts: NetworkFacts) -> list[str]:
    return [str(it.text) for it in drawn(facts).iter(f"{SVG}text")]


def test_every_level_and_skip_is_drawn_with_its_number() -> None:
    words = texts(U_NET)
    for told in ("net", "image, 2 x 64 x 32 x 16", "answer", "level 0", "32 x 16 x 16", "1  Concat",
                 "2  Concat, 2 places", "no skip connection", "bottleneck, 64 channels",
                 "4 channels"):  # fmt: skip
        assert told in words
    # boxes: down and up at three levels, and the bottleneck
    assert len([it for it in drawn(U_NET).iter(f"{SVG}rect") if it.get("class") == "net-box"]) == 7


def test_who_cannot_see_the_picture_is_told_the_same() -> None:
    root = drawn(U_NET)
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert title.text == "Skip connections of net"
    assert description is not None
    told = str(description.text)
    assert "Level 1, 32 x 16 x 16: 16 channels on the way down, 8 channels on the way up" in told
    assert (
        "Level 2, 16 x 8 x 16: 32 channels on the way down, 16 channels on the way up; no skip"
        in told
    )
    assert "Complete: yes" in told


def test_nested_skips_are_dashed_begin_at_a_ring_and_say_so() -> None:
    text = picture_of_skips(LATTICE)
    nested = sum(it.nested for it in LATTICE.skips)
    assert text.count('class="net-start"') == nested
    assert text.count('class="net-skip net-nested"') == nested
    assert len([it for it in texts(LATTICE) if it.endswith(", nested")]) == nested
    assert any(it.startswith("dashed, from a ring") for it in texts(LATTICE))
    assert not any("ring" in it for it in texts(U_NET))


@pytest.mark.parametrize("facts", [U_NET, LATTICE, network(levels=2), network(levels=12)])
def test_words_and_rows_do_not_overlap(facts: NetworkFacts) -> None:
    root = drawn(facts)
    width, height = map(float, str(root.get("viewBox")).split()[2:])
    labels = [it for it in root.iter(f"{SVG}text") if "  " in str(it.text)]
    heights = sorted(float(str(it.get("y"))) for it in labels)
    assert all(b - a >= 15 for a, b in pairwise(heights))
    boxes = [
        (float(str(it.get("x"))), float(str(it.get("y"))), float(str(it.get("width"))),
         float(str(it.get("height"))))
        for it in root.iter(f"{SVG}rect") if it.get("class") == "net-box"
    ]  # fmt: skip
    for place, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= width
        assert y + h <= height
        for x2, y2, w2, h2 in boxes[place + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_a_long_name_has_a_line_of_its_own() -> None:
    named = replace(U_NET, systems=("a-very-long-name-of-a-system" * 2, "another"))
    places = [(float(str(it.get("y"))), str(it.text)) for it in drawn(named).iter(f"{SVG}text")]
    (title,) = [y for y, words in places if words.startswith("a-very-long")]
    assert min(y for y, words in places if not words.startswith("a-very-long")) - title >= 16


def test_the_picture_needs_nothing_from_elsewhere_and_is_the_same_again() -> None:
    text = picture_of_skips(LATTICE)
    assert text == picture_of_skips(LATTICE)
    assert not re.search(r"<script|href|url\(|@import|on\w+=", text)
    assert "prefers-color-scheme:dark" in text
    assert ".net-skip { fill: none" in text


def test_networks_of_one_level_or_without_a_way_up_are_drawn_as_well() -> None:
    flat = replace(
        network(levels=2),
        levels=(NetworkLevel((64, 32, 16), 8, 0),),
        coarsest=(64, 32, 16),
    )
    assert "bottleneck, 8 channels" in texts(flat)
    pooled = replace(flat, levels=(NetworkLevel((64, 32, 16), 8, 4),), coarsest=(16, 8, 16))
    assert "bottleneck" in texts(pooled)
    context = replace(network(levels=3), levels=tuple(
        NetworkLevel(it.resolution, it.down, 0) for it in network(levels=3).levels
    ))  # fmt: skip
    assert "no skip connection" not in texts(context)
    empty = replace(flat, levels=(), coarsest=())
    assert any("no resolution was seen" in it for it in texts(empty))


def test_certificates_in_words() -> None:
    complete, minimal = certificate_words(U_NET)
    assert complete == (
        "yes: with all of them cut, every way from the input to the output goes through the "
        "bottleneck, 8 x 4 x 16"
    )
    assert minimal.startswith("yes: giving back any one")
    assert conclusion_words(U_NET) == ()
    (dense,) = conclusion_words(LATTICE)
    assert "does not add up" in dense
    lost = replace(U_NET, complete=False, remarks=("bodies are opaque",))
    complete, _ = certificate_words(lost)
    assert complete.startswith("no: with all of them cut, some way")
    unsure, remark = conclusion_words(lost)
    assert "nothing may be concluded" in unsure
    assert remark == "Bodies are opaque."
    nothing = network(levels=3)
    assert certificate_words(nothing)[1] == "yes: there is none to be given back"
    assert "no fault" in conclusion_words(nothing)[0]
