"""Lines of the catalogue: what dose, spectrum, detector and metal do to CT."""

from perturbations.catalog.entry import Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = ()
"""In the order of the listing."""
