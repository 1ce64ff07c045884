"""Lines of the catalogue: what the point-spread function takes away."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

LINES = (
    Perturbation(
        name="gaussian_blur",
        family="blur",
        function="perturbations.blur:gaussian_blur",
        body=Levels("mm FWHM", (1.5, 2.5, 4.0, 6.0, 9.0)),
        display=Levels("px FWHM", (1.0, 2.0, 3.0, 4.0, 6.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source="width of a Gaussian point-spread function; smoothing kernels of 4 to 8 mm are common",
        note="full width at half maximum, the same in mm along every axis; 6 and 9 mm are stress",
        keeps_background=True,
    ),
)
"""In the order of the listing."""
