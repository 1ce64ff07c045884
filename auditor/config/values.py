"""Values of audit.yaml that are more than a number or a text: how they are checked, and their schema.

What the keys `input`, `window` and `output` of a system may hold is said once, by
`auditor.systems.contract`, for the configuration and for contract files alike; here they are mappings
whose schema is derived from the same records.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, TypeAdapter, WithJsonSchema

from auditor.schema import CONTROLS, InputSpec, OutputSpec, WindowSpec
from auditor.systems.command_line import read_command
from auditor.systems.contract_values import INPUT_VALUES, OUTPUT_VALUES, WINDOW_VALUES, Value
from perturbations.catalog import CATALOG

__all__ = [
    "At", "Claimed", "Command", "Device", "Edges", "FewOf", "Input", "Name", "Output", "Rate", "Severities",
    "Share", "Window", "valid_name",
]  # fmt: skip

_NUMBER = {"type": "number"}


def valid_name(value: str) -> str:
    """Return the name of a system, a criterion or an audit.

    Raises
    ------
    ValueError
        In words, when it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}", value) or value == CONTROLS:
        msg = (
            "must be a name of at most 80 letters, digits and . _ + -, beginning with a letter or "
            f"digit, other than {CONTROLS!r}"
        )
        raise ValueError(msg)
    return value


def _device(value: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", value):
        msg = "must be cpu, cuda or cuda:1"
        raise ValueError(msg)
    return value


def _is_number(value: object) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(float(str(value)))


def _edges(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    if value in ("tertiles", "training"):
        return value
    rising = (
        isinstance(value, list)
        and bool(value)
        and all(map(_is_number, value))
        and all(low < high for low, high in itertools.pairwise(value))
    )
    if not rising:
        msg = "must be rising numbers, as [0.002, 0.01], or tertiles, or training"
        raise ValueError(msg)
    return [float(edge) for edge in value]


def _at(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    if value == "clean":
        return value
    if isinstance(value, dict) and set(value) == {"perturbation", "severity"}:
        if isinstance(value["perturbation"], str) and _is_number(value["severity"]):
            return value
    elif isinstance(value, dict) and len(value) == 1:
        name, level = next(iter(value.items()))
        if isinstance(name, str) and _is_number(level):
            return value
    msg = "must be clean, {name: level} or {perturbation: name, severity: 2}"
    raise ValueError(msg)


def _claimed(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    right = isinstance(value, dict) and all(
        isinstance(inner, str) if key == "source" else isinstance(key, str) and _is_number(inner)
        for key, inner in value.items()
    )
    if not right:
        msg = "must hold numbers by metric, and the text source: {dsc: 0.94, source: where}"
        raise ValueError(msg)
    return value


_MOST = max(len(line.body.values) for line in CATALOG.values())
"""Severities of the longest protocol; what a line has is checked with its name."""


def _severities(value: list[float]) -> list[float]:
    if not value or len(set(value)) < len(value) or not all(0.0 < it <= _MOST for it in value):
        msg = (
            "must be different numbers above 0 (which is clean) and up to 5, as [1, 2, 3, 4, 5] (protocols "
            f"may have up to {_MOST})"
        )
        raise ValueError(msg)
    return value


def _part(record: type, known: Mapping[str, Value]) -> dict[str, Any]:
    """JSON Schema of one part of a contract, from its record."""
    schema = TypeAdapter(record).json_schema()
    properties = {key: dict(schema["properties"][key]) for key in known}
    for key, value in known.items():
        properties[key]["description"] = f"Must be {value.must_be}."
        if record is WindowSpec and key == "size":
            sizes = {name: properties[key].pop(name) for name in ("type", "items")}
            properties[key]["anyOf"] = [sizes, {"type": "integer", "minimum": 1}]
        if key == "labels":
            properties[key] |= {"type": "object", "additionalProperties": {"type": "integer"}}
            for unfit in ("items", "default"):
                properties[key].pop(unfit, None)
    return {"type": "object", "properties": properties, "additionalProperties": False}


Name = Annotated[str, AfterValidator(valid_name)]
Device = Annotated[str, AfterValidator(_device)]
Share = Annotated[float, Field(gt=0.5, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, lt=1.0)]
FewOf = Annotated[float, Field(gt=0.0, le=0.5)]
Severities = Annotated[list[float], AfterValidator(_severities)]
Edges = Annotated[
    list[float] | Literal["tertiles", "training"],
    PlainValidator(_edges),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": _NUMBER},
                {"const": "tertiles"},
                {"const": "training"},
            ]
        }
    ),
]
At = Annotated[
    Literal["clean"] | dict[str, Any],
    PlainValidator(_at),
    WithJsonSchema({"anyOf": [{"const": "clean"}, {"type": "object"}]}),
]
Claimed = Annotated[
    dict[str, float | str],
    PlainValidator(_claimed),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["number", "string"]}}),
]
Command = Annotated[
    list[str], PlainValidator(read_command), WithJsonSchema({"type": ["string", "array"]})
]
Input = Annotated[dict[str, Any], WithJsonSchema(_part(InputSpec, INPUT_VALUES))]
Output = Annotated[dict[str, Any], WithJsonSchema(_part(OutputSpec, OUTPUT_VALUES))]
Window = Annotated[dict[str, Any], WithJsonSchema(_part(WindowSpec, WINDOW_VALUES))]
