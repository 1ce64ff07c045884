"""Lines of the catalogue: lines that reproduce published protocols, each with its own levels."""

from perturbations.catalog.entry import Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = ()
"""In the order of the listing."""
