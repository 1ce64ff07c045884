"""Lines of the catalogue: the anatomy lies differently in the field of view."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

LINES = (
    Perturbation(
        name="rotation",
        family="geometry",
        function="perturbations.geometry:rotation",
        body=Levels("deg", (3.0, 6.0, 10.0, 15.0, 25.0)),
        neutral=0.0,
        limits=(0.0, 180.0),
        scale="linear",
        draws="one axis of rotation (3-D) or sense (2-D); the angle is the level",
        channels="shared",
        geometric=True,
        source="patient positioning; angles of 3 to 10 degrees occur, 15 and 25 are stress",
        note="about the centre of the scan, in mm; scored in the original frame",
    ),
)
"""In the order of the listing."""
