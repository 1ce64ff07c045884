"""Every choice behind the numbers, and who made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Decision"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice."""

    where: str
    """Key of audit.yaml at which it is, or would be, declared: confidence.criteria."""
    value: str
    """What was chosen, in words."""
    made_by: Literal[
        "declared", "command line", "contract file", "maker", "probed", "default", "frozen rule"
    ]
    """declared: audit.yaml says so; maker: a file that ships with the checkpoint; probed: found by trying;
    default: of segaudit, nobody decided; frozen rule: read from the references by a declared rule, before
    the first prediction."""
    kind: Literal["scientific", "engineering"]
    """scientific: another choice could change what is concluded; engineering: how it was computed."""
