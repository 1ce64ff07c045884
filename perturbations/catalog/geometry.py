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
    Perturbation(
        name="translation",
        family="geometry",
        function="perturbations.geometry:translation",
        body=Levels("mm", (5.0, 10.0, 20.0, 30.0, 40.0)),
        display=Levels("% of the side", (2.0, 4.0, 8.0, 12.0, 16.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="one direction; the distance is the level",
        channels="shared",
        geometric=True,
        source="positioning: 5 to 20 mm off the iso-centre occur; ROOD-MRI shifts up to 40 mm per axis",
        note="same direction at every severity; 30 and 40 mm are stress; scored in the original frame",
    ),
    Perturbation(
        name="scaling",
        family="geometry",
        function="perturbations.geometry:scaling",
        body=Levels("factor", (1.05, 1.1, 1.15, 1.2, 1.3)),
        neutral=1.0,
        limits=(1.0, 4.0),
        scale="log",
        draws="whether the anatomy grows or shrinks; the factor is the level",
        channels="shared",
        geometric=True,
        source=(
            "chosen here: lengths of adult heads and trunks differ by some 5 to 10 % from the mean, those of "
            "children by more; pixel sizes in a file may be wrong by any factor"
        ),
        note="lengths times the factor, or divided by it; 1.2 and 1.3 are stress; in the original frame",
    ),
    Perturbation(
        name="elastic",
        family="geometry",
        function="perturbations.elastic:elastic",
        body=Levels("mm at most", (2.0, 4.0, 6.0, 9.0, 12.0)),
        display=Levels("% of the side at most", (0.5, 1.0, 1.5, 2.0, 3.0)),
        neutral=0.0,
        limits=(0.0, 18.0),
        scale="linear",
        draws="one smooth vector field, scaled to the largest displacement",
        channels="shared",
        geometric=True,
        source=(
            "cubic B-splines on a coarse lattice (Rueckert et al. 1999, doi 10.1109/42.796284); levels chosen "
            "here: breathing and filling move organs by 5 to 15 mm"
        ),
        note="largest displacement in the scan; det J > 0; 9 and 12 mm are stress; in the original frame",
    ),
)
"""In the order of the listing."""
