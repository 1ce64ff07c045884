"""The shape of audit.yaml: keys, types, ranges, and its JSON Schema.

Only this file, `auditor.config.values`, `auditor.config.inference`, `auditor.config.ablations` and
`auditor.config.sentences` know pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from auditor.config.ablations import AblateShape
from auditor.config.inference import Flips, TrainingShape
from auditor.config.layers import LayersShape
from auditor.config.values import (
    At,
    Claimed,
    Command,
    Device,
    Edges,
    FewOf,
    Input,
    Name,
    Output,
    Rate,
    Severities,
    Share,
    Window,
)
from auditor.schema import LARGEST_LABEL

__all__ = ["Shape", "json_schema"]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        populate_by_name=False,
        use_attribute_docstrings=True,
    )


class ReferenceShape(_Strict):
    """Which mask counts when there are several raters."""

    use: str = "given"
    """given, majority, staple, mean_over_raters, or one rater: rater_1."""
    tie: Literal["above_half", "at_least_half"] | None = None
    """How a majority is counted; required where a case has an even number of raters."""


class CasesShape(_Strict):
    """Where the cases are: a table, a folder, or two folders whose file names pair up."""

    table: str | None = None
    """CSV table: case, patient, image, reference or rater_1 .., metadata."""
    folder: str | None = None
    """Folder in a layout that is recognised: images/ and references/."""
    images: str | None = None
    """Folder of images, with references."""
    references: str | None = None
    """Folder of references with the names of the images."""
    modality: Literal["ct", "mr", "us", "xray", "microscopy", "other"]
    """Decides units and levels."""
    state: Literal["raw", "windowed", "normalised", "skull_stripped"] = "raw"
    """What was done to the scans before."""
    reference: ReferenceShape = ReferenceShape()
    """Which mask counts."""
    exclude: str | None = None
    """CSV table whose column `patient` names patients that are left out: those of a screen."""


class SystemShape(_Strict):
    """One system; `input`, `window` and `output` are its contract."""

    checkpoint: str | None = None
    """File to audit, or the folder of a MONAI bundle or an nnU-Net training."""
    command: Command | None = None
    """Program with arguments, among them {input} and {output}: folders of scans and of label maps."""
    files: Literal["nnunet", "single"] = "nnunet"
    """How a command finds its scans: scan_1_0000.nii.gz, one file a channel, or scan_1.nii.gz."""
    version: str = ""
    """Of the program behind a command or predictions: of a container its image digest."""
    predictions: str | None = None
    """Folder of label maps that were predicted elsewhere, for the scans of `segaudit scans`."""
    contract: str | None = None
    """File with input, window and output; what stands here wins over it."""
    like: str | None = None
    """Another system, whose entries hold unless they stand here."""
    expand: dict[str, Annotated[list[Any], Field(min_length=1)]] | None = None
    """One system per value: {window.size: [64, 96], flips: [[], [0, 1, 2]], precision: [float32]}."""
    input: Input | None = None
    """Preprocessing."""
    window: Window | None = None
    """Sliding windows; nothing: the whole image in one call."""
    output: Output | None = None
    """Postprocessing."""
    golden: str | None = None
    """CSV table of images with the maker's own predictions."""
    golden_agree_at_least: Annotated[float, Field(gt=0.0, le=1.0)] = 0.99
    """Smallest DSC with them that confirms the contract."""
    contract_sensitivity: bool = True
    """False: no other contracts are tried on three cases; for systems too slow for that."""
    claimed: Claimed | None = None
    """What the maker claims, and where."""
    family: str = ""
    """Architecture that this is an instance of."""
    training_seed: int | None = None
    """Which training run of the family."""
    architecture_group: str = ""
    """Kind of architecture that the family belongs to: no_skip, standard, enhanced."""
    training: TrainingShape | None = None
    """Declared facts of the training."""
    ablate: AblateShape | None = None
    """What is replaced in the network: an explanation of it, not another system."""
    flips: Flips = []
    """Fed axes, counted from 0, that are mirrored, or all; answers are averaged."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number type of the weights while they run."""
    batch: Annotated[int, Field(ge=1)] = 1
    """Windows or images per forward pass."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Threads of one stream."""
    device: Device = "cpu"
    """cpu, cuda, cuda:1."""
    timeout_s: Annotated[float, Field(gt=0.0)] = 600.0
    """Longest time of one call."""
    memory_gb: Annotated[float, Field(gt=0.0)] = 8.0
    """Memory of the child process."""


class GridShape(_Strict):
    """Levels of one perturbation: severities, or levels in its unit."""

    severities: Severities | None = None
    """Above 0 and up to 5, or to the last of a protocol; all by default."""
    levels: Annotated[list[float], Field(min_length=1)] | None = None
    """In the unit of the perturbation."""
    replicates: Annotated[int, Field(ge=1)] = 1
    """Independent draws."""
    iso_effect: bool = False
    """True: levels of equal effect, solved on every scan for an SSIM of .95, .85, .75, .65, .55 (or for
    `levels`, which are then SSIM)."""
    options: dict[str, Any] = {}
    """What is declared beside the level, as `segaudit ls perturbations` lists it."""
    profile: str | None = None
    """For `joint`: a site.json of `segaudit profile --run`, whose scans are the rows."""


class PresetShape(_Strict):
    """A named list of perturbations."""

    preset: str
    """As `segaudit ls presets` lists them."""
    iso_effect: bool = False
    """True: levels of equal effect, solved on every scan for an SSIM of .95, .85, .75, .65, .55;
    perturbations whose effect SSIM does not measure are left out."""
    severities: Severities | None = None
    """Above 0 and up to 5; all that the preset lists by default."""
    replicates: Annotated[int, Field(ge=1)] = 1
    """Independent draws."""


class MetricShape(_Strict):
    """Parameters of one metric."""

    tolerance_mm: float | None = None
    """NSD: what counts as no error; pixels for images without a spacing."""
    width_mm: float | None = None
    """Boundary IoU: how far inside its border a mask counts; pixels for images without a spacing."""
    overlap: float | None = None
    """Lesion-wise metrics: smallest IoU of two lesions that match."""
    bins: int | None = None
    """Expected calibration error: number of bins of equal width."""
    within: float | None = None
    """Value that is good enough: the share of patients that do at least as well is reported."""


class StratumShape(_Strict):
    """One axis of groups."""

    label: str | None = None
    """Label that is measured."""
    edges: Edges | None = None
    """Inner edges, tertiles of the references, or the training range that a system declares."""
    window: (
        Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=3)] | None
    ) = None
    """window_foreground_ratio: voxels of a window on the native axes of the scans ..."""
    system: str | None = None
    """... or the system whose windows count; with edges: training, the one whose range counts."""
    cross: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    """Two other axes, whose groups are paired."""
    minimum_patients: Annotated[int, Field(ge=10)] = 10
    """Groups of fewer patients are shown, but never inferred from."""


class ValueShape(_Strict):
    """What a patient must reach."""

    at_least: float | None = None
    """In the unit of the metric."""
    at_most: float | None = None
    """In the unit of the metric."""


class WaiverShape(_Strict):
    """A claim that is not insisted on."""

    by: Annotated[str, Field(min_length=1)]
    """Name or role of who decided it."""
    reason: Annotated[str, Field(min_length=1)]
    """Why."""


class CriterionShape(_Strict):
    """One claim with a threshold."""

    label: str
    """Which label."""
    metric: str
    """Which metric."""
    system: str | None = None
    """Which system; may be left out when there is one."""
    at: At = "clean"
    """Condition: clean, {name: level} or {perturbation: name, severity: 2}."""
    mean_at_least: float | None = None
    """The mean over patients."""
    mean_drop_at_most: float | None = None
    """The fall of the mean from the clean scans."""
    share_of_patients_at_least: Rate | None = None
    """The share of patients that reach the value under `with`."""
    reaching: ValueShape | None = Field(default=None, alias="with")
    """{at_least: value} or {at_most: value}."""
    evidence: Literal["assured", "conditional"]
    """assured: without assumptions on unseen failures."""
    hazard: str = ""
    """Id in the risk file."""
    required: bool = True
    """Counts for the overall verdict."""
    stratum: Annotated[dict[str, str], Field(min_length=1, max_length=1)] | None = None
    """{axis: group}: these cases only."""
    waived: WaiverShape | None = None
    """Who decided not to insist on it, and why; it is still judged and shown."""


class RatersShape(_Strict):
    """Systems against the raters, on the clean scans."""

    margin: Rate
    """How much less than raters with each other a system may agree with them, in DSC, and still count as
    within their range."""


class ResponseShape(_Strict):
    """What counts as a drop, for breakpoints and the operating envelope."""

    margin: Rate | None = None
    """Largest drop of the mean DSC from clean that counts as none."""
    floor: Rate | None = None
    """Smallest mean DSC that is enough."""


class ConfidenceShape(_Strict):
    """Levels of confidence."""

    criteria: Share = 0.95
    """One-sided, of verdicts."""
    intervals: Share = 0.95
    """Two-sided."""


class BoundsShape(_Strict):
    """Conformal bounds on single cases."""

    alpha: FewOf = 0.10
    """Share of new patients for which the bound may fail."""
    delta: Rate = 0.10
    """Probability that the calibration set is a bad one."""


class SharesShape(_Strict):
    """What the outer and the inner mask of a scan shall reach."""

    outer: Rate = 0.99
    """Share of the reference that the outer mask shall hold."""
    inner: Rate = 0.95
    """Share of the inner mask that shall belong to the reference."""


class CertificateShape(_Strict):
    """What new scans of one system and label are rated with."""

    system: str | None = None
    """Which system; may be left out when there is one."""
    label: str | None = None
    """Which label, or group of labels; may be left out when there is one."""
    perturbations: list[str] = []
    """Planned perturbations whose severities are calibrated beside the clean scans."""
    alpha: FewOf | None = None
    """Share of new scans for which the bound may fail; that of `bounds` by default."""
    delta: Rate | None = None
    """Probability that the calibration set is a bad one; that of `bounds` by default."""
    grades: list[float] | None = None
    """[0.85, 0.70]: the lower bounds on the DSC from which a scan is graded A, and B."""
    shares: SharesShape = SharesShape()
    """Of the outer and the inner mask."""
    copies: Annotated[int, Field(ge=0, le=32)] = 8
    """Mild copies of a scan whose masks are compared with its own, at most; 0: none."""
    edges: list[float] = []
    """Inner edges of the predicted foreground ratio, whose groups are calibrated apart."""


class KeepShape(_Strict):
    """What a run leaves behind."""

    predictions: bool = False
    """Every predicted mask."""
    exhibits: Annotated[int, Field(ge=0, le=12)] = 12
    """Evaluations with pictures."""


def _empty(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """``dsc:`` with nothing behind it has no parameters."""
    return {} if value is None else value


def _as_list(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    """One certificate alone needs no list."""
    return [value] if isinstance(value, Mapping) else value


Certificates = Annotated[list[CertificateShape], BeforeValidator(_as_list)]
Grid = Annotated[GridShape, BeforeValidator(_empty)]
Metric = Annotated[MetricShape, BeforeValidator(_empty)]
Stratum = Annotated[StratumShape, BeforeValidator(_empty)]


def _form(value: Any) -> str:  # noqa: ANN401  # any YAML value
    """Tell which of the three forms is meant, so that only its problems are reported."""
    if isinstance(value, list):
        return "names"
    preset = isinstance(value, PresetShape) or (isinstance(value, Mapping) and "preset" in value)
    return "preset" if preset else "grids"


Perturbations = Annotated[
    Annotated[PresetShape, Tag("preset")]
    | Annotated[list[str], Tag("names")]
    | Annotated[dict[str, Grid], Tag("grids")],
    Discriminator(_form),
]


class Shape(_Strict):
    """audit.yaml."""

    audit: Name
    """Name of the audit, and of its folder."""
    seed: int = 0
    """From which every draw is derived."""
    purpose: Literal["confirmatory", "exploratory"]
    """confirmatory needs criteria, frozen before the first result."""
    cases: CasesShape
    """Where the cases are."""
    labels: dict[str, Annotated[int, Field(ge=1, le=LARGEST_LABEL)]] | None = None
    """Audited labels with their numbers in the references; from the systems by default."""
    label_groups: dict[str, list[str]] = {}
    """Unions of labels that are scored like labels: {whole_tumour: [oedema, core, enhancing]}."""
    systems: dict[Name, SystemShape] = {}
    """What is audited."""
    perturbations: Perturbations
    """A preset, a list of names, or names with their levels."""
    metrics: dict[str, Metric]
    """Metrics with their parameters."""
    strata: dict[str, Stratum] = {}
    """Groups of cases."""
    criteria: dict[Name, CriterionShape] = {}
    """Claims with thresholds."""
    raters: RatersShape | None = None
    """Margin of the comparison with the raters."""
    response: ResponseShape | None = None
    """Limits of the operating envelope; without them no breakpoint is assessed."""
    confidence: ConfidenceShape = ConfidenceShape()
    """Levels of confidence."""
    bounds: BoundsShape = BoundsShape()
    """Conformal bounds."""
    certificate: Certificates = []
    """What new scans are rated with, for each system and label; one, or a list."""
    layers: LayersShape | None = None
    """Whose activations are compared under perturbations; nothing: nobody's."""
    keep: KeepShape = KeepShape()
    """What is left behind."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of audit.yaml, for editors.

    Returns
    -------
    dict
        JSON Schema, draft 2020-12.
    """
    schema = Shape.model_json_schema(by_alias=True)
    properties = schema["properties"]
    # what is read beside the records: a preset by its name alone, and entries without parameters
    forms = properties["perturbations"].pop("oneOf")
    properties["perturbations"]["anyOf"] = [*forms, {"type": "string"}]
    for owner in (properties["metrics"], properties["strata"], _of_objects(forms)):
        owner["additionalProperties"] = {"anyOf": [owner["additionalProperties"], {"type": "null"}]}
    several = {key: properties["certificate"].pop(key) for key in ("type", "items")}
    properties["certificate"]["anyOf"] = [several["items"], several]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _of_objects(forms: list[dict[str, Any]]) -> dict[str, Any]:
    return next(form for form in forms if "additionalProperties" in form)
