"""What an audit is made of: cases, systems with their contracts, perturbations, metrics, criteria.

**Conventions.** Arrays are native ``(z, y, x)`` (2-D: ``(y, x)``) and every tuple of a `Geometry`
follows the array. Tuples of `InputSpec` and `WindowSpec` follow the *system's* axes (``axes``).
Paths are kept as the user wrote them, resolved against the folder of the file that named them;
they are never copied into results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

LARGEST_LABEL = 65535
"""Largest number of a label: what label maps of 16 bits hold."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the voxels of one image lie. Tuples follow the array, not the file."""

    shape: tuple[int, ...]
    """Number of voxels along each array axis: (z, y, x) or (y, x)."""
    spacing: tuple[float, ...]
    """Distance of neighbouring voxel centres along each array axis, in `unit`."""
    direction: tuple[tuple[float, ...], ...] = ()
    """One unit vector per array axis, in LPS+ patient coordinates (x, y, z) or image (x, y)."""
    origin: tuple[float, ...] = ()
    """Physical position (x, y, z) or (x, y) of the first voxel's centre."""
    unit: Literal["mm", "px"] = "mm"
    """``px`` for images without a spacing (PNG, TIFF): one pixel is then the unit of length."""


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One scan with its references, as files; nothing is loaded."""

    case: str
    """The user's name for the case; unique."""
    patient: str
    """The user's name for the patient: the unit of statistics."""
    images: tuple[str, ...]
    """One file per channel, or one multi-channel file; ``p.nii.gz[2]`` is the third channel of one."""
    reference: str | None
    """The mask scored against, when one is given directly."""
    raters: tuple[str, ...] = ()
    """One mask per rater, in the order of the columns; cells without a mask are left out."""
    rater_numbers: tuple[int, ...] = ()
    """Number of each rater, where a cell before the last is empty; else they count 1, 2, .."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Further columns of the table: (name, value)."""
    display_case: str = ""
    """Id shown in reports (C001); carries nothing of the user's name."""
    display_patient: str = ""
    """Id shown in reports (P001)."""
    digests: tuple[tuple[str, str], ...] = ()
    """(role, SHA-256) of every file: image_1 .., reference, rater_1 ..; no paths. ``image_1[2]`` is
    the third channel of its file."""
    slice_thickness_mm: float | None = None
    """Along the axis of the largest spacing, from the column of that name; None: not known."""

    @property
    def rater_names(self) -> tuple[str, ...]:
        """Name of each rater: rater_1, rater_3."""
        numbers = self.rater_numbers or range(1, len(self.raters) + 1)
        return tuple(f"rater_{number}" for number in numbers)


REFERENCE_RULES = ("given", "majority", "staple", "mean_over_raters")
"""Every way to make the reference, beside one rater by its number."""


@dataclass(frozen=True, slots=True)
class ReferenceRule:
    """How the mask that is scored against is made."""

    use: str = "given"
    """given (the column reference), majority or staple (of the raters), one of them: rater_1, or
    mean_over_raters: no mask, but the mean of each metric against every rater."""
    tie: Literal["above_half", "at_least_half"] | None = None
    """majority: foreground when more than half of the raters say so, or at least half; None: not
    declared, which only odd numbers of raters allow."""

    @property
    def votes(self) -> bool:
        """Whether a majority of the raters is taken: as the reference, or for pictures and groups."""
        return self.use in ("majority", "mean_over_raters")


class Certainty(StrEnum):
    """Where a field of a contract comes from; an earlier one wins over a later one."""

    COMMAND_LINE = "command line"
    """``--set`` of the command that is run."""
    DECLARED = "declared"
    """The configuration."""
    CONTRACT_FILE = "contract file"
    """contract.yaml beside the checkpoint, or the file that the configuration names."""
    SIDECAR = "sidecar"
    """What the maker ships with the checkpoint: plans.json, metadata.json, metadata inside the file."""
    PROBED = "probed"
    """Found by trying, not declared by anybody."""
    DEFAULT = "default"
    """Nobody said anything."""


class ContractStatus(StrEnum):
    """What is known of the contract as a whole."""

    CONFIRMED = "confirmed"
    """Golden pairs agree: the system is run as its maker runs it."""
    DECLARED_ONLY = "declared only"
    """Nothing contradicts the contract, nothing proves it."""
    IN_DOUBT = "in doubt"
    """Golden pairs disagree, or an alternative fits better."""


@dataclass(frozen=True, slots=True)
class ContractField:
    """One declared or found property of a system's input or output."""

    name: str
    """Dotted, as in the configuration: input.axes, output.activation."""
    value: str
    """Canonical text of the value."""
    source: Certainty
    """Who says so."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Whether a contract that is one change away fits the references better than the declared one."""

    note: str
    """One sentence: what was found, or why it was not asked."""
    cases: int = 0
    """On so many cases; 0: it was not asked."""
    alternatives: int = 0
    """So many other contracts were tried."""
    declared: float | None = None
    """Mean DSC under the declared contract, over the cases and the labels that their references hold."""
    better: str = ""
    """The best of the contracts that are better; empty: none is."""
    better_dsc: float | None = None
    """Its mean DSC on the same cases."""
    line: str = ""
    """What to write, or to do, if it is the right one."""


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that is known of how a system wants to be run."""

    fields: tuple[ContractField, ...]
    """Sorted by name."""
    status: ContractStatus = ContractStatus.DECLARED_ONLY
    """As a whole."""
    note: str = ""
    """Why it is in doubt, or what the golden pairs showed."""
    sensitivity: Sensitivity | None = None
    """What other contracts would give; None: not asked, golden pairs had spoken."""


Range = tuple[float, float]
"""Two numbers: low and high, or factor and what is added."""
ZScore = Literal["none", "image", "nonzero", "filled"]
"""Voxels over which mean and standard deviation are taken; none: not at all."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a scan becomes the system's input. Every tuple is in the order of `axes`.

    What is done to intensities is the same for every channel, or a tuple with an entry per channel
    (where None, or ``none``, leaves the channel out).
    """

    channels: int = 1
    """Number of image channels."""
    axes: str = "native"
    """``native`` ((z, y, x) as stored), or towards which side each fed axis runs: RAS, LPS, SAR;
    2-D: native, or two of the letters."""
    transpose: tuple[int, ...] | None = None
    """Which native axis each fed axis is, counted from 0 (``native`` axes only): (2, 0, 1) feeds
    (x, z, y); None: in their own order."""
    crop: Literal["none", "nonzero"] = "none"
    """nonzero: first cut to the box around the voxels that are not 0 in any channel; what lies
    outside is background."""
    spacing_mm: tuple[float, ...] | None = None
    """Resample to this spacing before the system; None: native spacing."""
    interpolation: Literal["linear", "cubic", "cubic_in_plane"] = "linear"
    """Of that resampling. cubic_in_plane: cubic, clipped to the range of the scan, but to the
    nearest slice along an axis whose spacing is more than 3 times another's."""
    grid: Literal["centre", "corner", "extent"] = "centre"
    """Where the resampled voxels lie: around the same centre, from the same first voxel on, or
    over the same extent (the spacing is then rounded to whole voxels)."""
    intensities_on: Literal["resampled", "native"] = "resampled"
    """Whether the intensity steps below come after the resampling or before it."""
    clip: Range | tuple[Range | None, ...] | None = None
    """Clip intensities to this range, in the scan's units."""
    clip_quantiles: Range | None = None
    """Clip to these quantiles of the fed image (each channel)."""
    scale_to: Range | tuple[Range | None, ...] | None = None
    """Then map the clip range (or the image's minimum and maximum) onto this range."""
    zscore: ZScore | tuple[ZScore, ...] = "none"
    """Then subtract the mean and divide by the standard deviation, over all voxels, over the nonzero
    ones, or (filled) over those that are not 0 in any channel, with their holes filled."""
    affine: Range | tuple[Range | None, ...] | None = None
    """Then multiply by the first and add the second: (x * a) + b."""
    size: tuple[int, ...] | None = None
    """Fixed size of the system's input: the whole image is resampled to it when `fit` is resize,
    padded or cropped about its centre when it is pad."""
    fit: Literal["resize", "pad"] = "pad"
    """How a whole image is made to fit `size`."""
    divisor: tuple[int, ...] | None = None
    """Each size must be a multiple of this; padded with the image's minimum, then cut away."""
    layout: Literal["channel_first", "channel_last"] = "channel_first"
    """Where the channel stands in the tensor that is fed: (1, c, ...) or (1, ..., c)."""
    dims: Literal[2, 3] | None = None
    """2: a slice-wise system, fed one slice along the first fed axis at a time when the scan is
    3-D; None: as many as the scan has."""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Sliding-window inference, in the order of the system's axes."""

    size: tuple[int, ...]
    """Voxels of one window."""
    overlap: float = 0.5
    """Share of a window that neighbouring windows share, in [0, 1)."""
    blend: Literal["gaussian", "constant"] = "gaussian"
    """Weight of a voxel inside its window."""
    placement: Literal["even", "monai"] = "even"
    """Windows are spread evenly (nnU-Net), or follow each other by the whole step, the last one moved
    back to the end (MONAI)."""
    padding: Literal["minimum", "zero", "edge", "reflect"] = "minimum"
    """With what an image smaller than the window is filled up: the minimum of each channel, zero, its
    edge, or its reflection."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """How the system's output becomes a mask."""

    activation: Literal["softmax", "sigmoid", "logits_softmax", "logits_sigmoid", "labels"] = (
        "softmax"
    )
    """What the output holds: probabilities after softmax or sigmoid, logits that still need one of
    them, or label numbers."""
    labels: tuple[tuple[str, int], ...] = ()
    """(name, number): the channel of the output that holds it (with a background channel 0 for
    softmax; sigmoid channels count from 1), and the value in the reference masks."""
    channels: tuple[tuple[str, int], ...] = ()
    """(name, channel) of the labels whose channel is not their number, counted as theirs are."""
    threshold: float = 0.5
    """Sigmoid outputs: foreground from this probability on."""
    resampled: Literal["scores", "logits"] = "scores"
    """What is brought back to the scan's grid: probabilities, or the output as it is, whose
    activation is then applied afterwards."""
    index: int | str | None = None
    """Which output of several; None: the first with the input's spatial size."""
    layout: Literal["channel_first", "channel_last"] = "channel_first"
    """Where the channel stands in the output."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the maker says of the training: facts to read results against, never used to predict."""

    patch: tuple[int, ...] | None = None
    """Voxels of a training patch, in the order of the system's axes."""
    foreground_ratio: tuple[float, float] | None = None
    """Smallest and largest share of foreground in the training patches."""


@dataclass(frozen=True, slots=True)
class SystemSpec:
    """One system to audit: what runs, its contract, inference settings."""

    name: str
    """As the user calls it; unique in the audit."""
    checkpoint: str | None = None
    """Path of the checkpoint's file; None for every other kind of system."""
    input: InputSpec = InputSpec()
    """Preprocessing."""
    output: OutputSpec = OutputSpec()
    """Postprocessing."""
    window: WindowSpec | None = None
    """None: the whole image in one call."""
    command: tuple[str, ...] = ()
    """Program with its arguments, which reads a folder of scans and writes one of label maps; runs
    outside the sandbox."""
    runs_in: str | None = None
    """Folder in which a command runs; None: the current one. Never part of results."""
    files: Literal["nnunet", "single"] = "nnunet"
    """How a command finds its scans: one file a channel (``scan_1_0000.nii.gz``), or one a scan."""
    version: str = ""
    """Of the program behind a command or predictions, as its user declares it; empty: not stated."""
    predictions: str | None = None
    """Folder of label maps that were predicted elsewhere."""
    sources: tuple[tuple[str, Certainty], ...] = ()
    """Source of each contract field that is not a default: (dotted name, source)."""
    golden: str | None = None
    """CSV table of golden pairs: image, prediction; None: none."""
    golden_agree_at_least: float = 0.99
    """Smallest DSC with the maker's own output that confirms the contract."""
    contract_sensitivity: bool = True
    """False: no other contracts are tried on three cases, because the system is too slow for that."""
    claimed: tuple[tuple[str, float], ...] = ()
    """(metric, value) that the maker claims."""
    claimed_source: str = ""
    """Where the claim is written."""
    family: str = ""
    """Architecture that this system is an instance of; empty: not stated."""
    training_seed: int | None = None
    """Which training run of the family."""
    training: TrainingFacts | None = None
    """Declared facts of the training; None: not stated."""
    flips: tuple[int, ...] = ()
    """Fed axes, counted from 0, that are mirrored: the answers of all their combinations are
    averaged (test-time augmentation); none: one forward pass."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number type of the weights while they run; formats that fix it refuse another."""
    batch: int = 1
    """Windows (or whole images) per forward pass; fixed, part of the plan."""
    threads: int = 1
    """Threads of one stream; fixed, part of the plan."""
    device: str = "cpu"
    """cpu or cuda, cuda:1; asking for cuda and getting cpu is an error."""
    timeout_s: float = 600.0
    """Longest time of one call, wall clock."""
    memory_gb: float = 8.0
    """Address space of the child process on CPU."""


@dataclass(frozen=True, slots=True)
class PerturbationSpec:
    """One row of the plan's grid: a perturbation with its severities and levels."""

    name: str
    """Name in the catalogue."""
    severities: tuple[float, ...]
    """Without 0, which is `clean`."""
    levels: tuple[float, ...]
    """The level of each severity, in `unit`."""
    unit: str
    """Unit of the levels, as printed: '% of S_ref', 'mm', 'deg'."""
    replicates: int = 1
    """Independent draws."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What was declared beside the level (`phase_axis: 1`); empty: the defaults of the catalogue."""
    iso_effect: bool = False
    """True: `levels` are structural similarities (SSIM) to the clean scan, and the level that has them
    is solved on every scan."""


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric with its declared parameters."""

    name: str
    """Name in the catalogue of metrics."""
    tolerance_mm: float | None = None
    """NSD only: required there."""
    within: float | None = None
    """In the metric's unit: the share of patients that do at least as well is reported."""
    width_mm: float | None = None
    """Boundary IoU only, required there: width of the band inside each border."""
    overlap: float | None = None
    """Lesion-wise metrics only, required there: smallest IoU of two lesions that match."""
    bins: int | None = None
    """Expected calibration error only, required there: number of bins of equal width."""


@dataclass(frozen=True, slots=True)
class StratumSpec:
    """One axis along which cases are grouped."""

    axis: str
    """A measured axis (`auditor.strata.axes`), a metadata column, or the name of a cross."""
    label: str = ""
    """Label that it is measured on; empty for metadata and for what is measured on whole scans."""
    edges: tuple[float, ...] | Literal["tertiles"] | None = None
    """Inner edges, or tertiles of the references frozen before the first prediction."""
    training: bool = False
    """True: the two edges are the declared training range of `system`; the groups are inside
    (strictly between them) and outside."""
    window: tuple[int, ...] | None = None
    """window_foreground_ratio: voxels of a window on the native axes of the scan ..."""
    system: str = ""
    """... or the system whose windows, or whose training range, count."""
    cross: tuple[str, ...] = ()
    """Two other declared axes, whose groups are paired; empty: this is no cross."""
    minimum_patients: int = 10
    """Groups of fewer patients are shown, but never inferred from."""


@dataclass(frozen=True, slots=True)
class CriterionSpec:
    """A pre-declared claim with a threshold; exactly one of the three forms is set."""

    id: str
    """C-01."""
    system: str
    """Which system it is about."""
    label: str
    """Which label."""
    metric: str
    """Which metric."""
    perturbation: str = "clean"
    """Condition: perturbation, or clean."""
    level: float | None = None
    """Condition: level in `unit`; None at clean."""
    severity: float = 0.0
    """The severity of that level, for pictures and tables."""
    unit: str = ""
    """Unit of the level."""
    form: Literal["mean_at_least", "mean_drop_at_most", "share_of_patients_at_least"] = (
        "mean_at_least"
    )
    """What is claimed."""
    threshold: float = 0.0
    """Of the mean, the drop or the share."""
    value_at_least: float | None = None
    """share form: a patient counts when its value is at least this ..."""
    value_at_most: float | None = None
    """... or at most this."""
    evidence: Literal["assured", "conditional"] = "assured"
    """assured: holds without assumptions on unseen failures; conditional: given no unseen
    collapse."""
    hazard: str = ""
    """Id in the user's risk file."""
    required: bool = True
    """Counts for the overall verdict."""
    stratum: tuple[str, str] | None = None
    """(axis, name): only these cases."""
    text: str = field(default="", compare=False)
    """The sentence of the claim, generated from the fields."""
    waived_by: str = ""
    """Who decided not to insist on it; empty: nobody."""
    waived_reason: str = ""
    """Why."""
