"""What a system is declared to be: what runs, how a scan gets in, how its answer comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.ablations import AblationSpec
from auditor.schema.inputs import Certainty

__all__ = ["InputSpec", "OutputSpec", "SystemSpec", "TrainingFacts", "WindowSpec"]

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
    condition: tuple[str, float] | None = None
    """(perturbation, level) that the training images had been through; (clean, 0): none."""


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
    architecture_group: str = ""
    """Kind of architecture that the family belongs to, as its user names it; empty: not stated."""
    ablation: AblationSpec | None = None
    """What is replaced in the network; None: it runs as it is."""
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
