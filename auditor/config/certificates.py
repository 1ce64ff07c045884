"""Certificates of a configuration: which system and label, what is calibrated, and the mild copies.

A copy of a scan is the scan under one planned perturbation at severity 1. The masks of a scan and of
its copies are compared to tell how far the system can be trusted there, and what is compared must be
made in the same way on the scans of the audit and on a new scan: so only perturbations count that need
no reference and leave the anatomy where it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from auditor.config.ablations import as_used
from auditor.config.problems import Problems, must_be_one_of
from auditor.config.shape import BoundsShape, CertificateShape
from auditor.schema import (
    CLEAN,
    CertificateSpec,
    PerturbationSpec,
    ReferenceRule,
    SystemSpec,
    ablation_words,
)
from perturbations import derive_seed
from perturbations.catalog import ESTIMATED, get

__all__ = [
    "MILD",
    "Audited",
    "calibrated_by",
    "certificate_seed",
    "mild_copies",
    "read_certificates",
]

MILD = 1.0
"""Severity of the copies."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What certificates are read against."""

    systems: Sequence[SystemSpec]
    """Those that could be read."""
    unread_systems: Collection[str]
    """Entries whose own problems are told already."""
    labels: Sequence[str] | None
    """Labels and groups; None when a system could not be read, which may have the missing ones."""
    perturbations: Sequence[PerturbationSpec]
    """The planned ones that could be read."""
    unread_perturbations: Collection[str]
    """Entries whose own problems are told already."""
    metrics: Collection[str]
    """Names of all entries."""
    reference: ReferenceRule
    bounds: BoundsShape
    """Their levels hold for certificates that declare none."""


def mild_copies(planned: Sequence[PerturbationSpec], count: int) -> tuple[PerturbationSpec, ...]:
    """Choose the perturbations of the mild copies of a scan.

    Parameters
    ----------
    planned : sequence of PerturbationSpec
        Of the audit, in its order.
    count : int
        At most so many.

    Returns
    -------
    tuple of PerturbationSpec
        The first planned ones at severity 1 alone, one draw each. Left out is what moves the anatomy,
        what needs a reference, levels of equal effect, which differ from scan to scan, and `joint`,
        whose severity 1 is all that a scan of a site has.
    """
    found = []
    for spec in planned:
        entry = get(spec.name)
        at = next((i for i, it in enumerate(spec.severities) if abs(it - MILD) < 1e-9), None)
        unlike = entry.geometric or entry.uses_region or spec.iso_effect
        if (
            at is None or unlike or entry.stress_from <= MILD + 1
        ):  # a whole row of a site is not mild
            continue
        found.append(replace(spec, severities=(MILD,), levels=(spec.levels[at],), replicates=1))
    return tuple(found[:count])


def calibrated_by(
    certificates: Sequence[CertificateSpec], system: str, perturbation: str
) -> tuple[CertificateSpec, ...]:
    """Choose the certificates that scans under a perturbation calibrate: all of a system when clean."""
    return tuple(
        spec
        for spec in certificates
        if spec.system == system and (perturbation == CLEAN or perturbation in spec.perturbations)
    )


def certificate_seed(audit_seed: int) -> int:
    """Return the seed from which the draws of all copies derive, with the voxels of each scan."""
    return derive_seed(audit_seed, "", "certificate")


def read_certificates(
    given: Sequence[CertificateShape], audited: Audited, *, problems: Problems
) -> tuple[CertificateSpec, ...]:
    """Read the certificates.

    Parameters
    ----------
    given : sequence of CertificateShape
        As in the file.
    audited : Audited
        What they are read against.
    problems : list of str
        Sentences are added to it.

    Returns
    -------
    tuple of CertificateSpec
        In the order of the file.
    """
    specs = []
    for number, shape in enumerate(given):
        where = "certificate" if len(given) == 1 else f"certificate.{number}"
        own = _problems(shape, audited)
        problems += [f"{where}.{told}" for told in own]
        if not own:
            specs.append(_spec(shape, audited))
    pairs = [(spec.system, spec.label) for spec in specs]
    problems += [
        f"certificate: must name each system and label once, {system} with {label} stands twice"
        for system, label in sorted({pair for pair in pairs if pairs.count(pair) > 1})
    ]
    return tuple(specs)


def _spec(shape: CertificateShape, audited: Audited) -> CertificateSpec:
    grades = shape.grades or [0.0, 0.0]
    bounds = audited.bounds
    return CertificateSpec(
        system=_system(shape, audited) or "",
        label=_label(shape, audited) or "",
        perturbations=tuple(shape.perturbations),
        alpha=bounds.alpha if shape.alpha is None else shape.alpha,
        delta=bounds.delta if shape.delta is None else shape.delta,
        grades=(grades[0], grades[1]),
        outer_share=shape.shares.outer,
        inner_share=shape.shares.inner,
        copies=shape.copies,
        edges=tuple(shape.edges),
    )


def _system(shape: CertificateShape, audited: Audited) -> str | None:
    """Name the system; the only one need not be named."""
    used = as_used(audited.systems)
    only = used[0].name if len(used) == 1 else None
    return only if shape.system is None and not audited.unread_systems else shape.system


def _label(shape: CertificateShape, audited: Audited) -> str | None:
    labels = audited.labels or ()
    return labels[0] if shape.label is None and len(labels) == 1 else shape.label


def _problems(shape: CertificateShape, audited: Audited) -> list[str]:
    systems = [spec.name for spec in audited.systems]
    told = {
        "system": must_be_one_of(_system(shape, audited), systems, broken=audited.unread_systems),
        "label": ""
        if audited.labels is None
        else must_be_one_of(_label(shape, audited), audited.labels),
    }
    found = [f"{key}: {sentence}" for key, sentence in told.items() if sentence]
    spec = next((it for it in audited.systems if it.name == _system(shape, audited)), None)
    if spec is not None and spec.predictions is not None:
        found.append(
            f"system: must be one that can be run on further scans, {spec.name} gives predictions that "
            "were made elsewhere; a checkpoint, a command or a callable can be certified"
        )
    if spec is not None and spec.ablation is not None:
        found.append(
            f"system: must be a system as it is used, {spec.name} is ablated "
            f"({ablation_words(spec.ablation)}); certify the one that it is like"
        )
    return [*found, *_numbers(shape, audited), *_conditions(shape, audited, spec)]


def _numbers(shape: CertificateShape, audited: Audited) -> list[str]:
    found = []
    if shape.grades is None:
        found.append(
            "grades: is required, as [0.85, 0.70]: the lower bounds on the DSC from which a scan is "
            "graded A, and B; a default would be a scientific choice"
        )
    elif len(shape.grades) != 2 or not 1.0 > shape.grades[0] > shape.grades[1] > 0.0:
        found.append(
            f"grades: must be two falling numbers between 0 and 1, as [0.85, 0.70], was {shape.grades}"
        )
    edges = shape.edges
    rising = all(low < high for low, high in itertools.pairwise(edges))
    if not rising or not all(0.0 < edge < 1.0 for edge in edges):
        found.append(f"edges: must be rising numbers between 0 and 1, was {edges}")
    return found


def _conditions(shape: CertificateShape, audited: Audited, system: SystemSpec | None) -> list[str]:
    found = [f"perturbations: {told}" for told in _unfit(shape, audited) if told]
    if len(set(shape.perturbations)) < len(shape.perturbations):
        found.append(f"perturbations: must name each once, was {shape.perturbations}")
    if "dsc" not in audited.metrics:
        found.append("label: is certified by its DSC; add dsc: {} to metrics")
    if audited.reference.use == "mean_over_raters":
        found.append(
            "label: is certified against one reference, which cases.reference.use: mean_over_raters "
            "does not give; use majority or staple"
        )
    if (
        not audited.unread_perturbations
        and shape.copies
        and not mild_copies(audited.perturbations, 1)
    ):
        without = (
            "say copies: 0, which gives one bound to all scans"
            if system is not None and system.output.activation == "labels"
            else "say copies: 0, which takes the self-DSC"
        )
        found.append(
            f"copies: needs planned perturbations at severity 1, {_COPIED}; plan one, or {without}"
        )
    return found


_COPIED = "that move nothing, need no reference and have no levels of equal effect"


def _unfit(shape: CertificateShape, audited: Audited) -> list[str]:
    """Say of every perturbation to calibrate why it cannot be."""
    known: Mapping[str, PerturbationSpec] = {spec.name: spec for spec in audited.perturbations}
    told = []
    for name in dict.fromkeys(shape.perturbations):
        sentence = must_be_one_of(name, list(known), broken=audited.unread_perturbations)
        spec = known.get(name)
        if spec is not None and name not in ESTIMATED:
            sentence = (
                f"must be ones whose level can be estimated on a scan ({', '.join(ESTIMATED)}), {name} is "
                "not: nobody could tell where a new scan lies on it"
            )
        elif spec is not None and spec.iso_effect:
            sentence = (
                f"{name} has levels of equal effect, which differ from scan to scan and place no new "
                "one; plan it without iso_effect"
            )
        told.append(sentence)
    return told
