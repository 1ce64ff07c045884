"""Settings of a system beside its contract, and facts of its training: their types in audit.yaml.

What `expand` may sweep is read by the same functions as what stands in the entry itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, WithJsonSchema

from auditor.config.values import At

__all__ = ["SETTINGS", "Flips", "TrainingShape"]

PRECISIONS = ("float32", "float16", "bfloat16")
"""Number types in which weights may run."""


def _flips(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    if value == "all":
        return value
    right = isinstance(value, list) and all(type(axis) is int and 0 <= axis < 3 for axis in value)
    if not right or len(set(value)) < len(value):
        msg = "must be different fed axes, counted from 0, as [0, 1, 2], or all"
        raise ValueError(msg)
    return value


def _precision(value: object) -> object:
    if value not in PRECISIONS:
        msg = f"must be one of {', '.join(PRECISIONS)}"
        raise ValueError(msg)
    return value


def _count(value: object) -> object:
    if type(value) is not int or value < 1:
        msg = "must be a whole number of at least 1"
        raise ValueError(msg)
    return value


def _training_patch(value: list[int]) -> list[int]:
    if len(value) not in {2, 3} or min(value) < 1:
        msg = "must be two or three whole numbers of at least 1, as [96, 96, 96]"
        raise ValueError(msg)
    return value


def _foreground_ratio(value: list[float]) -> list[float]:
    if len(value) != 2 or not 0.0 <= value[0] <= value[1] <= 1.0:
        msg = "must be two rising shares between 0 and 1, as [0.001, 0.2]"
        raise ValueError(msg)
    return value


Flips = Annotated[
    list[int] | Literal["all"],
    PlainValidator(_flips),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2}},
                {"const": "all"},
            ]
        }
    ),
]

SETTINGS: Mapping[str, Callable[[object], object]] = {
    "flips": _flips,
    "precision": _precision,
    "batch": _count,
    "threads": _count,
}
"""Settings of a system that `expand` may sweep, beside the fields of its contract; each refuses a
wrong value by a ValueError."""


class TrainingShape(BaseModel):
    """What the maker says of the training: facts, never used to predict."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    patch: Annotated[list[int], AfterValidator(_training_patch)] | None = None
    """Voxels of a training patch, in the order of the system's axes."""
    foreground_ratio: Annotated[list[float], AfterValidator(_foreground_ratio)] | None = None
    """Smallest and largest share of foreground in the training patches."""
    condition: At | None = None
    """What the training images had been through: clean, or {kamath_texture_blend: 0.3}."""
