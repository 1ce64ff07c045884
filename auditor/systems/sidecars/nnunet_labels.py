"""Labels and regions of an nnU-Net dataset.json, as output channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditor.systems.sidecars.records import Findings, number, shown

__all__ = ["read_labels"]

_LINE = "output: {labels: {organ: 1, tumour: 2}}"
_MOST = 1000


def read_labels(found: Findings, dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Read the output part of a contract.

    Parameters
    ----------
    found : questions and notes are added to it.
    dataset : content of dataset.json.

    Returns
    -------
    The output part; without labels when they cannot be read.
    """
    labels = dataset.get("labels")
    if not isinstance(labels, Mapping) or not 1 < len(labels) <= _MOST:
        why = f"labels of dataset.json must name each label's number, got {shown(labels)}"
        found.ask("output.labels", why, _LINE)
        return {"resampled": "logits"}
    known: dict[str, tuple[int, ...]] = {}
    for name, told in labels.items():
        if name == "ignore":
            continue
        numbers = _numbers(told)
        if numbers is None:
            why = f"the label {shown(name)} must have whole numbers, got {shown(told)}"
            found.ask("output.labels", why, _LINE)
            return {"resampled": "logits"}
        if numbers != (0,):
            known[_clean(name, known)] = numbers
    if any(len(numbers) > 1 for numbers in known.values()):
        return _regions(found, known, dataset.get("regions_class_order"))
    single = {name: numbers[0] for name, numbers in known.items()}
    if sorted(single.values()) != list(range(1, len(single) + 1)):
        told = shown(single)
        why = f"label numbers of dataset.json must be 1, 2, 3 and so on, got {told}"
        found.ask("output.labels", why, _LINE)
        return {"activation": "logits_softmax", "resampled": "logits"}
    return {"activation": "logits_softmax", "labels": single, "resampled": "logits"}


def _regions(found: Findings, known: dict[str, tuple[int, ...]], order: object) -> dict[str, Any]:
    """Channel i holds region i and is written as the number order[i]; later ones win."""
    answer: dict[str, Any] = {"activation": "logits_sigmoid", "resampled": "logits"}
    numbers = [_whole(item) for item in order] if isinstance(order, list) else []
    if len(numbers) != len(known) or None in numbers or len(set(numbers)) < len(numbers):
        why = (
            f"regions_class_order must give each of the {len(known)} regions another number, got "
            f"{shown(order)}"
        )
        found.ask("output.labels", why, "output: {labels: {oedema: 1, core: 2, enhancing: 3}}")
        return answer
    written: dict[str, int] = {}
    for (region, parts), value in zip(known.items(), numbers, strict=True):
        name = region if len(parts) == 1 else f"{region}_rest"
        written[name] = int(value or 0)
        if name != region:
            found.note(
                f"region {region}: label {value} is what later regions leave of it, and is called {name}"
            )
    answer["labels"] = written
    moved = {n: i for i, (n, value) in enumerate(written.items(), 1) if i != value}
    if moved:
        answer["channels"] = moved
    return answer


def _numbers(told: object) -> tuple[int, ...] | None:
    items = told if isinstance(told, list) else [told]
    numbers = [_whole(item) for item in items]
    whole = [value for value in numbers if value is not None]
    return tuple(whole) if whole and len(whole) == len(numbers) and len(whole) <= _MOST else None


def _whole(value: object) -> int | None:
    # older files write label numbers as texts
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    found = number(value)
    return int(found) if found is not None and found == int(found) and 0 <= found < 32768 else None


def _clean(name: object, taken: Mapping[str, object]) -> str:
    text = "".join(letter for letter in str(name)[:60] if letter.isprintable()).strip() or "label"
    while text in taken:
        text += "_"
    return text
