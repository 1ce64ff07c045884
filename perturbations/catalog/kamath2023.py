"""Lines of the catalogue: the perturbations of a study of skip connections, with its levels."""

from functools import partial
from types import MappingProxyType

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_FROM = "Kamath et al., MICCAI 2023, and Computers in Biology and Medicine 184, 2025; "

_PICTURE = MappingProxyType({"window": None, "round_trip": False})

_line = partial(Perturbation, protocol="kamath2023", neutral=0.0, keeps_background=True)

_blend = partial(
    _line,
    family="texture",
    function="perturbations.texture:texture_blend",
    body=Levels("share", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
    limits=(0.0, 1.0),
    scale="linear",
    draws="one texture of random phases with the donor's spectrum; its share is the level",
    channels="shared",
    needs="voxels on both sides of the reference",
    uses_region=True,
    source=(
        _FROM
        + "its nine reported levels; the study blends two texture images, of a scan the donor's texture "
        "is drawn anew"
    ),
    stress_from=8,
)

LINES: tuple[Perturbation, ...] = (
    _line(
        name="kamath_background_blur",
        family="texture",
        function="perturbations.kamath2023:background_blur",
        body=Levels("px sd", (3.0, 7.0)),
        limits=(0.0, 200.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        uses_region=True,
        source=_FROM
        + "as its code (the papers call 3 and 7 variances; they are standard deviations)",
        note=(
            "the study's 'easier' and 'easiest': what surrounds the object is blurred, and so told from it "
            "more "
            "easily; 1 and 2 are its two levels. An oracle; option round_trip gives its pictures of 8 bits"
        ),
        stress_from=3,
        options=_PICTURE,
    ),
    _line(
        name="kamath_speckle",
        family="noise",
        function="perturbations.kamath2023:picture_speckle",
        body=Levels("variance", (0.1, 0.3)),
        limits=(0.0, 10.0),
        scale="linear",
        draws="one normal field, scaled by the root of the level",
        channels="independent",
        source=_FROM + "mended: one field for both levels, seeded",
        note=(
            "the study's 'harder' and 'hardest': grey levels times 1 + n, clipped; 1 and 2 are its two levels; "
            "option round_trip gives its pictures of 8 bits"
        ),
        stress_from=3,
        options=_PICTURE,
    ),
    _blend(
        name="kamath_texture_blend",
        note=(
            "as texture_blend, in steps of 0.1, so that severity 9 is the hardest; option direction names "
            "the side "
            "that changes; an oracle"
        ),
        options=MappingProxyType({"direction": "background", "scale": 15.0}),
    ),
    _blend(
        name="kamath_texture_blend_foreground",
        note=(
            "as kamath_texture_blend, but the object grows like what surrounds it: the study's other "
            "direction; an oracle"
        ),
        options=MappingProxyType({"direction": "foreground", "scale": 15.0}),
    ),
)
"""In the order of the listing."""
