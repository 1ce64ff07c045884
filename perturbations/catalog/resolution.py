"""Lines of the catalogue: coarser sampling than the scan has."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

LINES = (
    Perturbation(
        name="thick_slices",
        family="resolution",
        function="perturbations.resolution:thick_slices",
        body=Levels("x native thickness", (1.5, 2.0, 3.0, 4.0, 6.0)),
        neutral=1.0,
        limits=(1.0, 100.0),
        scale="log",
        draws="nothing",
        channels="shared",
        modalities=("ct", "mr", "other"),
        needs="three axes",
        source="boxcar slice profile, contiguous slices, linear interpolation back to the grid",
        note="slices thicker than acquired, along the axis of the largest spacing; 4 and 6 x are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="low_resolution",
        family="resolution",
        function="perturbations.resolution:low_resolution",
        body=Levels("x native pixel", (1.25, 1.5, 2.0, 3.0, 4.0)),
        neutral=1.0,
        limits=(1.0, 100.0),
        scale="log",
        draws="nothing",
        channels="shared",
        needs="a plane of more than one pixel",
        source=(
            "mean over the area of larger pixels, linear interpolation back to the grid; pixelate keeps .8 to "
            ".25 of the side (factors 1.25 to 4) in ImageNet-C (Hendrycks & Dietterich 2019, arXiv "
            "1903.12261) and MedMNIST-C (Di Salvo et al. 2024, arXiv 2406.17536)"
        ),
        note="pixels larger than acquired, along both axes of the plane; 3 and 4 x are stress",
        keeps_background=True,
    ),
)
"""In the order of the listing."""
