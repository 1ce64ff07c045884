"""Lines of the catalogue: what scattering and attenuation do to ultrasound."""

from perturbations.catalog.entry import Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = ()
"""In the order of the listing."""
