"""Skip connections of audited networks, and systems with some of them ablated.

An ablated system is a system like any other: the same checkpoint, with what flows through one or more of
its skip connections replaced. What that tells is an explanation of the network; the replaced values lie
outside of what it was trained on, so it is no evidence of robustness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema.estimates import Estimate

__all__ = [
    "ABLATION_KINDS",
    "AblationCurve",
    "AblationKind",
    "AblationPoint",
    "AblationSpec",
    "NetworkFacts",
    "NetworkLevel",
    "NetworkSkip",
]

AblationKind = Literal["zero", "mean", "blur", "noise", "dose", "image"]
"""What takes the place of an activation b: zeros; the mean of each channel over the fed image (or
window); b blurred; b with noise; alpha times b; the activation of another image at the same place."""

ABLATION_KINDS: tuple[AblationKind, ...] = ("zero", "mean", "blur", "noise", "dose", "image")
"""All of them."""


@dataclass(frozen=True, slots=True)
class AblationSpec:
    """What is replaced in a network, and by what."""

    skips: tuple[int | str, ...] = ()
    """Levels, 0 for the finest resolution of the network (all skips of a level), or names of values as
    `segaudit skips` lists them; empty: every skip connection."""
    by: AblationKind = "mean"
    """What takes the place."""
    strength: float | None = None
    """blur: SD of the Gaussian in voxels of the activation; noise: SD in SDs of each channel over the fed
    image; dose: alpha, the factor (1 leaves everything as it is); else None."""
    seed: int = 0
    """Of the noise, which is the same for every image."""
    images: tuple[str, ...] = ()
    """image: path of the other scan, one file or one a channel. Never part of results."""
    images_sha256: tuple[str, ...] = ()
    """Of these files."""


@dataclass(frozen=True, slots=True)
class NetworkSkip:
    """One skip connection, as the report lists it."""

    level: int
    """0 for the finest resolution of the network."""
    resolution: tuple[int, ...]
    """Spatial sizes at the fed size."""
    channels: int
    """Of the value that skips; 0 where that is not known."""
    source: str
    """Name of the value that skips."""
    operator: str
    """That merges it: Concat, add .."""
    nested: bool
    """The value depends on a coarser one itself, as in dense decoders."""
    places: int
    """Where it enters; an attention gate has several."""


@dataclass(frozen=True, slots=True)
class NetworkLevel:
    """One resolution at which a network works."""

    resolution: tuple[int, ...]
    """Spatial sizes at the fed size."""
    down: int
    """Most channels of a convolution there that depends on nothing coarser; 0 when there is none."""
    up: int
    """The same of one that depends on something coarser."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """The skip connections of the network behind one or more systems."""

    systems: tuple[str, ...]
    """Names of the systems with this checkpoint, in the order of the configuration."""
    fed: tuple[int, ...]
    """Shape of what was fed, (1, channel, *sizes)."""
    skips: tuple[NetworkSkip, ...]
    """Finest first."""
    complete: bool
    """With all of them cut, every way crosses the coarsest resolution."""
    minimal: bool
    """Giving back any one opens a way around it."""
    coarsest: tuple[int, ...]
    """Resolution of the bottleneck."""
    note: str = ""
    """Why nothing could be found; empty otherwise."""
    levels: tuple[NetworkLevel, ...] = ()
    """Every resolution at which the network convolves or merges, finest first, with a skip or without."""
    remarks: tuple[str, ...] = ()
    """What may be missing from the list, in sentences: bodies of loops and branches, for one."""


@dataclass(frozen=True, slots=True)
class AblationPoint:
    """One ablated system beside the system as it is, on the same patients."""

    system: str
    """The ablated one."""
    strength: float | None
    """See `AblationSpec`."""
    reliance: Estimate
    """Mean of (as it is - ablated) of a metric of which more is better, else of (ablated - as it is),
    patients paired: what the replaced skips were worth at this condition."""
    spared: Estimate
    """Mean of (loss from clean as it is - loss from clean ablated), patients paired: positive where the
    replaced skips let the perturbation in. Not assessable at clean, and where the ablated network has less
    left to lose on clean scans than the network loses as it is."""


@dataclass(frozen=True, slots=True)
class AblationCurve:
    """One way to replace the same skips, at all its strengths, at one condition."""

    base: str
    """The system as it is."""
    skips: str
    """In words: level 1, levels 1 and 2, every skip connection, or names."""
    level: int | None
    """The only level that is replaced; None for several, and for names."""
    by: AblationKind
    label: str
    metric: str
    perturbation: str
    severity: float
    severity_level: float | None
    """Level of the perturbation, in `unit`."""
    unit: str
    points: tuple[AblationPoint, ...]
    """By rising strength."""
    variant: str = ""
    """Seed or image, where the same skips are replaced in the same way by several; empty otherwise."""
    left_out: int = 0
    """Patients with a number as it is that do not enter, because a system that is compared at once has none:
    the ablation could not be made on their scans, or a level has no effect there."""
