"""Lines of the catalogue: what goes wrong while MR data are acquired."""

from perturbations.catalog.entry import Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = ()
"""In the order of the listing."""
