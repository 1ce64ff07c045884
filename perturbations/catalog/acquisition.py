"""Lines of the catalogue: several perturbations in the order in which an acquisition has them."""

from perturbations.catalog.entry import Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = ()
"""In the order of the listing."""
