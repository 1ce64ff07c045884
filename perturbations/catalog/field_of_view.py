"""Lines of the catalogue: what was not acquired, or is hidden."""

from perturbations.catalog.entry import Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = ()
"""In the order of the listing."""
