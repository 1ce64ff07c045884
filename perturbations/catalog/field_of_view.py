"""Lines of the catalogue: what was not acquired, or is hidden."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

LINES: tuple[Perturbation, ...] = (
    Perturbation(
        name="crop",
        family="field of view",
        function="perturbations.field_of_view:crop",
        body=Levels("% of the extent", (5.0, 10.0, 20.0, 30.0, 40.0)),
        neutral=0.0,
        limits=(0.0, 95.0),
        scale="linear",
        draws="one axis and one end; how much is lost is the level",
        channels="shared",
        geometric=True,
        source=(
            "chosen here: planned fields of view end near the organ, and motion or a wrong scout cuts 5 to "
            "20 % of it off"
        ),
        note="share of the foreground's extent lost at one end; 30 and 40 % are stress; retained region first",
    ),
    Perturbation(
        name="missing_slices",
        family="field of view",
        function="perturbations.field_of_view:missing_slices",
        body=Levels("% of the slices", (2.0, 5.0, 10.0, 15.0, 25.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="one order in which slices are lost; how many is the level",
        channels="shared",
        modalities=("ct", "mr", "other"),
        geometric=True,
        needs="three axes",
        source="chosen here: single slices are lost in transfer and in gated acquisitions",
        note="of the slices with foreground, at least one; 15 and 25 % are stress; retained region first",
    ),
    Perturbation(
        name="occlusion",
        family="field of view",
        function="perturbations.field_of_view:occlusion",
        body=Levels("% of the area", (1.0, 3.0, 6.0, 10.0, 15.0)),
        neutral=0.0,
        limits=(0.0, 95.0),
        scale="linear",
        draws="one ellipse about a place in the foreground, dark or bright, which grows with the level",
        channels="shared",
        modalities=("us", "xray", "other"),
        geometric=True,
        source=(
            "chosen here: instruments, plaster, markers, annotations; hidden rectangles as in DeVries & Taylor "
            "2017, arXiv 1708.04552"
        ),
        note="share of the image hidden; 10 and 15 % are stress; retained region first",
    ),
)
"""In the order of the listing."""
