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
