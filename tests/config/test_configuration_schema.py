"""The JSON Schema for editors says what the reader of configurations says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from configurations import changed, valid_data, without

from auditor.config import json_schema

DEMO = Path(__file__).parents[2] / "auditor" / "demo" / "audits"

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Validate by the few keywords of JSON Schema that are used here."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return fits(value, root["$defs"][name], root)
    if "anyOf" in schema:
        return any(fits(value, inner, root) for inner in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema.get("type", list(TYPES))
    kinds = kinds if isinstance(kinds, list) else [kinds]
    boolean = isinstance(value, bool)
    if not any(isinstance(value, TYPES[it]) and boolean <= (it == "boolean") for it in kinds):
        return False
    if isinstance(value, list):
        items = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
        return len(items) == len(value) and all(map(fits, value, items, [root] * len(value)))
    if not isinstance(value, dict):
        return True
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    return set(schema.get("required", [])) <= set(value) and all(
        fits(inner, known[key], root)
        if key in known
        else rest is not False and fits(inner, rest, root)
        for key, inner in value.items()
    )


def accepted(data: object) -> bool:
    schema = json_schema()
    return fits(data, schema, schema)


@pytest.mark.parametrize("name", ["audit.yaml", "wrong-axes.yaml"])
def test_the_audits_of_the_demo_fit_the_schema(name: str) -> None:
    assert accepted(yaml.safe_load((DEMO / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "data",
    [
        valid_data(),
        changed("perturbations", "ct"),
        changed("perturbations", ["rotation"]),
        changed("perturbations", {"preset": "ct", "severities": [1, 2.5]}),
        changed("perturbations/rotation", None),
        changed("strata/scanner", None),
        changed("strata/foreground_ratio/edges", "tertiles"),
        changed("systems/b", {"like": "vendor-a", "window": None}),
        changed("systems/vendor-a/output/index", "logits"),
    ],
)
def test_what_is_read_fits_the_schema(data: dict[str, Any]) -> None:
    assert accepted(data)


@pytest.mark.parametrize(
    "data",
    [
        without("purpose"),
        without("cases/modality"),
        changed("sed", 3),
        changed("cases/modality", "mri"),
        changed("systems/vendor-a/windw", {}),
        changed("systems/vendor-a/window/sise", [96, 96, 96]),
        changed("systems/vendor-a/input/clip", [1, 2, 3]),
        changed("systems/vendor-a/output/labels", ["spleen"]),
        changed("criteria/C-01/mean_at_lest", 0.9),
        changed("perturbations", 3),
    ],
)
def test_what_is_refused_for_its_shape_does_not_fit_the_schema(data: dict[str, Any]) -> None:
    assert not accepted(data)


def test_one_certificate_or_several() -> None:
    grades = {"grades": [0.85, 0.7]}
    assert accepted(changed("certificate", grades))
    assert accepted(changed("certificate", [grades, grades]))
    assert not accepted(changed("certificate", {"grade": 1}))
