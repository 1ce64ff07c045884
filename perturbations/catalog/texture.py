"""Lines of the catalogue: studies of texture."""

from functools import partial
from types import MappingProxyType

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_blend = partial(
    Perturbation,
    family="texture",
    function="perturbations.texture:texture_blend",
    body=Levels("share", (0.2, 0.4, 0.6, 0.8, 0.9)),
    neutral=0.0,
    limits=(0.0, 1.0),
    scale="linear",
    draws="one texture of random phases with the donor's spectrum; its share is the level",
    channels="shared",
    needs="voxels on both sides of the reference",
    uses_region=True,
    keeps_background=True,
    source=(
        "blends of foreground and background as in Kamath et al., MICCAI 2023 and Computers in Biology "
        "and Medicine 184, 2025, with its levels; there two texture images are blended, of a scan the "
        "other texture is drawn anew (Galerne, Gousseau & Morel 2011, doi 10.1109/TIP.2010.2052822)"
    ),
)

LINES: tuple[Perturbation, ...] = (
    _blend(
        name="texture_blend",
        note=(
            "alpha: 0 the scan, 1 the donor's intensity and texture alone; option direction names the side "
            "that changes; 0.8 and 0.9 are stress, where texture no longer tells the sides apart; an oracle"
        ),
        options=MappingProxyType({"direction": "background", "scale": 15.0}),
    ),
    _blend(
        name="texture_blend_foreground",
        note=(
            "as texture_blend, but the object grows like what surrounds it: both directions stand in one "
            "audit; an oracle"
        ),
        options=MappingProxyType({"direction": "foreground", "scale": 15.0}),
    ),
)
"""In the order of the listing."""
