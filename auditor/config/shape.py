"""The shape of audit.yaml: types, required keys, unknown keys. pydantic stays in this file."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = ["Shape", "json_schema", "shape_of"]

Share = Annotated[float, Field(gt=0.5, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True
    )


class ReferenceShape(_Strict):
    """Which mask counts when there are several raters."""

    use: str = "given"
    tie: Literal["above_half", "at_least_half"] = "above_half"


class CasesShape(_Strict):
    """Where the cases are."""

    table: str | None = None
    folder: str | None = None
    images: str | None = None
    references: str | None = None
    modality: Literal["ct", "mr", "us", "xray", "microscopy", "other"]
    state: Literal["raw", "windowed", "normalised", "skull_stripped"] = "raw"
    reference: ReferenceShape = ReferenceShape()


class SystemShape(_Strict):
    """One system; `input`, `window` and `output` are its contract."""

    checkpoint: str | None = None
    contract: str | None = None
    like: str | None = None
    expand: dict[str, list[Any]] | None = None
    input: dict[str, Any] | None = None
    window: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    golden: str | None = None
    golden_agree_at_least: Annotated[float, Field(gt=0.0, le=1.0)] = 0.99
    claimed: dict[str, float | str] | None = None
    family: str = ""
    training_seed: int | None = None
    batch: Annotated[int, Field(ge=1)] = 1
    threads: Annotated[int, Field(ge=1)] = 1
    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cpu"
    timeout_s: Annotated[float, Field(gt=0.0)] = 600.0
    memory_gb: Annotated[float, Field(gt=0.0)] = 8.0


class GridShape(_Strict):
    """Levels of one perturbation."""

    severities: list[Annotated[float, Field(gt=0.0, le=5.0)]] | None = None
    levels: list[float] | None = None
    replicates: Annotated[int, Field(ge=1)] = 1


class PresetShape(_Strict):
    """A named list of perturbations."""

    preset: str
    severities: list[Annotated[float, Field(gt=0.0, le=5.0)]] = [1.0, 2.0, 3.0, 4.0, 5.0]
    replicates: Annotated[int, Field(ge=1)] = 1


class MetricShape(_Strict):
    """Parameters of one metric."""

    tolerance_mm: Annotated[float, Field(gt=0.0)] | None = None


class StratumShape(_Strict):
    """One axis of groups."""

    label: str | None = None
    edges: list[float] | Literal["tertiles"] | None = None


class ValueShape(_Strict):
    """What a patient must reach."""

    at_least: float | None = None
    at_most: float | None = None


class CriterionShape(_Strict):
    """One claim with a threshold."""

    label: str
    metric: str
    system: str | None = None
    at: Literal["clean"] | dict[str, float | str] = "clean"
    mean_at_least: float | None = None
    mean_drop_at_most: float | None = None
    share_of_patients_at_least: Rate | None = None
    reaching: ValueShape | None = Field(default=None, alias="with")
    evidence: Literal["assured", "conditional"]
    hazard: str = ""
    required: bool = True
    stratum: dict[str, str] | None = None


class ConfidenceShape(_Strict):
    """Levels of confidence."""

    criteria: Share = 0.95
    intervals: Share = 0.95


class BoundsShape(_Strict):
    """Conformal bounds on single cases."""

    alpha: Rate = 0.10
    delta: Rate = 0.10


class KeepShape(_Strict):
    """What a run leaves behind."""

    predictions: bool = False
    exhibits: Annotated[int, Field(ge=0, le=12)] = 12


class Shape(_Strict):
    """audit.yaml."""

    audit: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    seed: int = 0
    purpose: Literal["confirmatory", "exploratory"]
    cases: CasesShape
    labels: dict[str, Annotated[int, Field(ge=1)]] | None = None
    systems: dict[str, SystemShape] = {}
    perturbations: PresetShape | list[str] | dict[str, GridShape]
    metrics: dict[str, MetricShape]
    strata: dict[str, StratumShape] = {}
    criteria: dict[str, CriterionShape] = {}
    confidence: ConfidenceShape = ConfidenceShape()
    bounds: BoundsShape = BoundsShape()
    keep: KeepShape = KeepShape()


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of audit.yaml, for editors."""
    return Shape.model_json_schema(by_alias=True)


def shape_of(data: Mapping[str, Any]) -> tuple[Shape | None, list[str]]:
    """Check the shape of a configuration.

    Returns
    -------
    shape : Shape or None
        None when there are problems.
    problems : list of str
        One sentence each: path, what must be, what was.
    """
    try:
        return Shape.model_validate(_whole_numbers_as_floats(data)), []
    except ValidationError as error:
        return None, sorted({_sentence(dict(it)) for it in error.errors()})


def _whole_numbers_as_floats(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """Empty entries (`dsc:`) mean no parameters."""
    if isinstance(value, Mapping):
        return {
            key: {}
            if inner is None and key not in _NONE_MEANS_NONE
            else _whole_numbers_as_floats(inner)
            for key, inner in value.items()
        }
    return value


_NONE_MEANS_NONE = frozenset(
    {"window", "table", "folder", "golden", "like", "checkpoint", "contract", "training_seed",
     "system", "level", "edges", "expand", "claimed", "tolerance_mm", "labels"}
)  # fmt: skip


def _sentence(error: dict[str, Any]) -> str:
    # the names that pydantic gives to the branches of a union are no keys of the file
    branches = ("PresetShape", "list[str]", "dict[", "literal[", "list[", "Shape", "str", "float")
    where = ".".join(
        str(part)
        for part in error["loc"]
        if not (isinstance(part, str) and part.startswith(branches))
    )
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{where}: is not known{_near(error)}"
    if kind == "missing":
        return f"{where}: is required"
    must = str(error["msg"]).replace("Input should be", "must be").replace("Value error, ", "")
    return f"{where}: {must[0].lower()}{must[1:]}, was {error['input']!r}"


_KEYS = sorted(
    {
        name
        for shape in (
            Shape, CasesShape, ReferenceShape, SystemShape, GridShape, PresetShape, MetricShape,
            StratumShape, ValueShape, CriterionShape, ConfidenceShape, BoundsShape, KeepShape,
        )
        for field, info in shape.model_fields.items()
        for name in (info.alias or field,)
    }
)  # fmt: skip


def _near(error: dict[str, Any]) -> str:
    near = difflib.get_close_matches(str(error["loc"][-1]), _KEYS, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
