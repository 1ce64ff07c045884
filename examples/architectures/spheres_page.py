"""What the sphere task says, from the results of its audit: the numbers, and the words made of them.

`sphere_summary` takes from ``results.json`` what a page shows; it is small enough to be kept beside the page.
`sphere_section` writes the page's section from it. Nothing is known in advance: every sentence about an
ordering is chosen by the interval that stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import page_words

from auditor.pipeline import read_run
from auditor.schema import WindowStudy

__all__ = ["NEARLY_ALL", "sphere_section", "sphere_summary"]

NEARLY_ALL = 0.8
"""What is read as nearly all of the loss; stated here before any result."""
TITLES = {"unet": "U-Net", "attention_unet": "Attention U-Net", "unetr": "UNETR"}
PLAIN = "unet"

_OTHER_QUESTION = (
    "Another question, and not the published one: the window of one trained model is changed, and the model "
    "sees what it has not learned from."
)

Numbers = Mapping[str, Any]
"""One estimate, as in results.json."""


def sphere_summary(run: Path) -> dict[str, Any]:
    """Take the numbers of the page from the folder of a run.

    Parameters
    ----------
    run : folder with ``results.json``

    Returns
    -------
    Plain values, for JSON.
    """
    results = read_run(run).results
    return {
        "patients": len({it.patient for it in results.cases}),
        "level": results.audit.interval_level,
        "families": [_family(it) for it in results.trained_patches],
        "between": [asdict(it) for it in results.range_drops],
        "sweeps": [_family(it) for it in results.sweeps],
    }


def _family(study: WindowStudy) -> dict[str, Any]:
    return {
        "family": study.family,
        "windows": [
            {
                "name": it.name,
                "window": it.window,
                "runs": len(it.systems),
                "training": it.training,
                "systems": list(it.systems),
            }
            for it in study.uses
        ],
        "sizes": list(study.sizes),
        "cells": [asdict(it) for it in study.cells],
        "differences": [asdict(it) for it in study.differences],
        "drops": [asdict(it) for it in study.drops],
        "losses": [asdict(it) for it in study.losses],
        "missing": list(study.missing),
    }


def sphere_section(summary: Mapping[str, Any]) -> str:
    """Write the section of the page, in Markdown.

    Parameters
    ----------
    summary : of `sphere_summary`
    """
    parts = [
        "## Context against foreground: the sphere task",
        _design(summary),
        "### Does leaving the training range cost gated and transformer networks more?",
        *_between(summary),
        "### Is small foreground where nearly all of the loss sits?",
        *_losses(summary),
        "### What the patch size does",
        *_patches(summary),
        "### One model under several windows",
        *_sweep(summary),
    ]
    return "\n\n".join(parts) + "\n"


def _design(summary: Mapping[str, Any]) -> str:
    runs = sorted({it["runs"] for family in summary["families"] for it in family["windows"]})
    told = f"{' or '.join(map(str, runs))} training run(s)" if runs else "Training runs"
    return (
        f"One bright sphere on uniform noise; {summary['patients']} test volumes whose radii are spread "
        f"wider than those of the training. {told} per architecture and patch size, each "
        "under windows of its own patch. A volume is *inside* where the share of foreground in the windows "
        "that hold any lies strictly between the smallest and the largest share of any training patch, of "
        f"every run. Intervals are at {summary['level']:.0%}, on patients and training runs together where "
        "there are three runs, and say so where there are fewer."
    )


def _between(summary: Mapping[str, Any]) -> list[str]:
    rows = [
        it
        for it in summary["between"]
        if it["size"] == "all" and PLAIN in (it["first"], it["second"])
    ]
    if not rows:
        return ["Not assessable: no two architectures have cases on both sides of the range."]
    table = [
        "| patch | loss outside of the range, | difference | n | method |",
        "|---|---|---|---|---|",
    ]
    verdicts: dict[str, list[str]] = {}
    for it in rows:
        # turned so that positive means: the other network loses more than the plain one
        turned = it["first"] == PLAIN
        other = it["second"] if turned else it["first"]
        value = page_words.turned(it["difference"]) if turned else it["difference"]
        verdicts.setdefault(other, []).append(
            f"{page_words.verdict(value)} at patches of {it['patch']}"
        )
        names = f"{TITLES.get(other, other)} less {TITLES[PLAIN]}"
        table.append(
            f"| {it['patch']} | {names} | {_text(value)} | {value['n']} | {page_words.method(value)} |"
        )
    said = [f"{TITLES.get(name, name)}: {'; '.join(told)}." for name, told in verdicts.items()]
    return [
        "Claim: outside of the training range the mean DSC falls further than for the plain U-Net.",
        "\n".join(f"- {it}" for it in said),
        "\n".join(table),
        *_within_sizes(summary),
    ]


def _within_sizes(summary: Mapping[str, Any]) -> list[str]:
    """Say how much of it can be told from object size."""
    turned = [
        page_words.turned(it["difference"]) if it["first"] == PLAIN else it["difference"]
        for it in summary["between"]
        if it["size"] != "all" and PLAIN in (it["first"], it["second"])
    ]
    known = [page_words.verdict(it) for it in turned if it["low"] is not None]
    told = (
        "The range and the size of the sphere go together, so that the same was asked within thirds of "
        f"object size: {len(known)} of {len(turned)} comparisons have ten patients on both sides of the "
        f"range there; of these the claim is supported in {known.count('supported')}, contradicted in "
        f"{known.count('contradicted')}, and open in {known.count('open')}."
    )
    return [told]


def _losses(summary: Mapping[str, Any]) -> list[str]:
    table = [
        "| network | patch | share of the loss in the smallest third | n | method |",
        "|---|---|---|---|---|",
    ]
    counts = {"supported": 0, "not supported": 0, "open": 0}
    for family in summary["families"]:
        if not family["sizes"]:
            continue
        windows = {it["name"]: it["window"] for it in family["windows"]}
        for it in family["losses"]:
            if it["group"] != family["sizes"][0]:
                continue
            share = it["share"]
            low, high = share["low"], share["high"]
            answer = "open"
            if low is not None and high is not None:
                answer = (
                    "supported"
                    if low >= NEARLY_ALL
                    else "not supported"
                    if high < NEARLY_ALL
                    else "open"
                )
            counts[answer] += 1
            network = TITLES.get(family["family"], family["family"])
            table.append(
                f"| {network} | {windows[it['use']]} | {_text(share, signed=False)} ({answer}) | "
                f"{share['n']} | {page_words.method(share)} |"
            )
    if len(table) == 2:
        return ["Not assessable: object sizes cannot be cut into thirds."]
    told = (
        f"Nearly all is read as {NEARLY_ALL:.0%} or more of the summed loss (1 - DSC). The smallest third of "
        f"the spheres holds it in {counts['supported']} of {sum(counts.values())} networks and patches, does "
        f"not in {counts['not supported']}, and {counts['open']} leave it open."
    )
    return [told, "\n".join(table)]


def _patches(summary: Mapping[str, Any]) -> list[str]:
    table = ["| network | patches | difference of mean DSC | n | method |", "|---|---|---|---|---|"]
    for family in summary["families"]:
        windows = {it["name"]: it["window"] for it in family["windows"]}
        network = TITLES.get(family["family"], family["family"])
        table += [
            f"| {network} | {windows[it['first']]} less {windows[it['second']]} | {_text(it['difference'])} | "
            f"{it['difference']['n']} | {page_words.method(it['difference'])} |"
            for it in family["differences"]
            if it["group"] == "all"
        ]
    if len(table) == 2:
        return ["Not assessable: no architecture has two patch sizes."]
    return [
        "Patch and window change together here, as published: a difference may come from either.",
        "\n".join(table),
    ]


def _sweep(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    for sweep in summary["sweeps"]:
        windows = {it["name"]: it["window"] for it in sweep["windows"]}
        lines += [
            f"- {it['first']} ({windows[it['first']]}) less {it['second']} ({windows[it['second']]}): "
            f"{_text(it['difference'])}, n {it['difference']['n']}, {page_words.method(it['difference'])}"
            for it in sweep["differences"]
            if it["group"] == "all"
        ]
    if not lines:
        return ["No model was run under several windows."]
    return [
        _OTHER_QUESTION,
        "\n".join(lines),
    ]


def _text(value: Numbers, *, signed: bool = True) -> str:
    if value["value"] is None:
        return str(value["note"] or value["status"]).replace("_", " ")
    form = "+.3f" if signed else ".3f"
    told = f"{value['value']:{form}}"
    if value["low"] is None:
        return f"{told} (no interval: {value['note'] or value['status']})"
    return f"{told} [{value['low']:{form}}, {value['high']:{form}}]"
