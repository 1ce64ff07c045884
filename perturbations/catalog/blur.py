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
    Perturbation(
        name="motion_blur",
        family="blur",
        function="perturbations.blur:motion_blur",
        body=Levels("mm", (3.0, 5.0, 9.0, 13.0, 19.0)),
        display=Levels("px", (3.0, 5.0, 9.0, 13.0, 19.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="one direction in the plane, shared by all levels",
        channels="shared",
        modalities=("us", "xray", "microscopy", "other"),
        source=(
            "motion at constant speed during the exposure is a line; 3 to 11 px in MedFM-Robust, 5 to 20 px "
            "of radius in MedMNIST-C (Di Salvo et al. 2024, arXiv 2406.17536); in pixels for X-ray too, for "
            "19 mm are further than a patient moves in an exposure"
        ),
        note="length of the line; 13 and 19 are stress. MR has `motion`, which acts in k-space",
        keeps_background=True,
    ),
    Perturbation(
        name="defocus",
        family="blur",
        function="perturbations.blur:defocus",
        body=Levels("mm", (2.0, 3.0, 5.0, 7.0, 9.0)),
        display=Levels("px", (2.0, 3.0, 5.0, 7.0, 9.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        modalities=("us", "xray", "microscopy", "other"),
        source=(
            "circle of confusion of geometrical optics; radii of .5 to 8 px in MedMNIST-C (Di Salvo et al. "
            "2024, arXiv 2406.17536), 3 to 10 px in ImageNet-C (Hendrycks & Dietterich 2019, arXiv "
            "1903.12261)"
        ),
        note="diameter of the disk; 7 and 9 are stress; for optics (microscopy, endoscopy)",
        keeps_background=True,
    ),
)
"""In the order of the listing."""
