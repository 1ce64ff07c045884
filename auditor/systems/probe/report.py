"""What a probe answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from auditor.schema import ContractField
from auditor.systems.description import Description
from auditor.systems.questions import Question

__all__ = ["Batches", "ProbeReport"]

Batches = Literal["alike", "differ", "refused", "fixed", "not tried"]
"""Whether a batch of two images gives what two batches of one give; fixed: the file declares a number."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found by trying, and what must be asked for."""

    fields: tuple[ContractField, ...]
    """Found, sorted by name; each value is the YAML text of the field. Declared ones are left out."""
    questions: tuple[Question, ...]
    """Not found, in the order of the configuration."""
    classes: int | None
    """Channels of the output."""
    findings: tuple[str, ...]
    """What else was seen, in sentences."""
    sandbox: tuple[str, ...] = ()
    """Layers that were active."""
    batches: Batches = "not tried"
    """What a batch of two does."""
    description: Description | None = None
    """Operators, outputs and skip connections; None when the network could not be looked into."""
    not_tried: tuple[str, ...] = ()
    """What the limit of time, or crashes, left untried."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The lines to write, each with its reason as a comment."""
        return tuple(f"{q.line}  # {q.name}: {q.why}" for q in self.questions)
