"""`layers` of audit.yaml: whose activations are compared under perturbations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from auditor.config.problems import Problems, must_be_one_of
from auditor.schema import LayerSpec, SystemSpec

__all__ = ["LayersShape", "read_layers"]


class LayersShape(BaseModel):
    """Whose activations are compared under perturbations, and how."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    systems: Annotated[list[str], Field(min_length=1)]
    """Systems with a checkpoint."""
    bins: Annotated[int, Field(ge=2, le=1024)] = 64
    """Bins of equal width over the clean activations of a channel."""


def read_layers(
    given: LayersShape | None,
    systems: Sequence[SystemSpec],
    *,
    unread: Collection[str],
    problems: Problems,
) -> LayerSpec | None:
    """Read whose layers are compared.

    Parameters
    ----------
    given : LayersShape or None
        As in the file.
    systems : sequence of SystemSpec
        Those that could be read.
    unread : collection of str
        Entries whose own problems are told already.
    problems : Problems
        Sentences are added to it.

    Returns
    -------
    LayerSpec or None
        None where nothing is declared.
    """
    if given is None:
        return None
    known = {spec.name: spec for spec in systems}
    for name in dict.fromkeys(given.systems):
        told = must_be_one_of(name, list(known), broken=unread)
        if not told and name in known:
            told = _unseen(known[name])
        if told:
            problems.append(f"layers.systems: {told}")
    if len(set(given.systems)) < len(given.systems):
        problems.append(f"layers.systems: must name each system once, was {given.systems}")
    return LayerSpec(tuple(spec.name for spec in systems if spec.name in given.systems), given.bins)


def _unseen(spec: SystemSpec) -> str:
    """Say why nothing can be seen of the layers of a system; empty when it can."""
    if spec.checkpoint is None:
        kind = (
            "predictions"
            if spec.predictions is not None
            else "a command"
            if spec.command
            else "a Python callable"
        )
        return (
            f"must be systems with a checkpoint, {spec.name} is {kind}, whose activations cannot be seen; "
            "leave it out"
        )
    if spec.ablation is not None and spec.ablation.by == "image":
        return (
            f"must not be ablated by the activation of another image, {spec.name} is: what is compared would "
            "be two images at once; ablate by mean, or leave it out"
        )
    return ""
