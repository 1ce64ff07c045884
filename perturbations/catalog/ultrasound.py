"""Lines of the catalogue: what scattering and attenuation do to ultrasound."""

from types import MappingProxyType

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

LINES = (
    Perturbation(
        name="ultrasound_speckle",
        family="ultrasound",
        function="perturbations.ultrasound:speckle",
        body=Levels("mixing fraction", (0.1, 0.2, 0.35, 0.5, 0.7)),
        neutral=0.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="one Rayleigh field, seen through the point spread function, mixed in by the level",
        channels="shared",
        modalities=("us",),
        needs="log-compressed values >= 0",
        source=(
            "Wagner et al. 1983, doi 10.1109/T-SU.1983.31404: fully developed speckle has a Rayleigh "
            "envelope of signal-to-noise ratio 1.91; levels after the speckle rows of MedMNIST-C for "
            "breast ultrasound (.1 to .3) and ImageNet-C (.15 to .6), on the envelope"
        ),
        note=(
            "share of the envelope that is replaced by newly drawn speckle, multiplicative before log "
            "compression; .5 and .7 are stress; declare the display range in dB and the width of the point "
            "spread function in voxels"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"dynamic_range_db": 60.0, "psf_fwhm_px": (2.0, 4.0)}),
    ),
    Perturbation(
        name="shadow",
        family="ultrasound",
        function="perturbations.ultrasound:shadow",
        body=Levels("dB", (3.0, 5.0, 7.0, 10.0, 16.0)),
        neutral=0.0,
        limits=(0.0, 200.0),
        scale="linear",
        draws="place, width and beginning of one sector of beam lines, whose loss is the level",
        channels="shared",
        modalities=("us",),
        needs="log-compressed values >= 0",
        source=(
            "loss on the envelope behind a reflector; MedFM-Robust takes 30, 45, 55, 70 and 85 % of the "
            "amplitude, which are 3.1, 5.2, 6.9, 10.5 and 16.5 dB"
        ),
        note=(
            "decibels lost in the core of the shadow; 10 and 16 dB hide what lies behind and are stress; "
            "declare the display range in dB, and the apex of a curved or phased array"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"dynamic_range_db": 60.0, "apex": None}),
    ),
    Perturbation(
        name="depth_attenuation",
        family="ultrasound",
        function="perturbations.ultrasound:depth_attenuation",
        body=Levels("dB at full depth", (3.0, 6.0, 10.0, 15.0, 20.0)),
        neutral=0.0,
        limits=(0.0, 200.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        modalities=("us",),
        needs="log-compressed values >= 0",
        source=(
            "soft tissue attenuates by about 0.5 dB / (cm MHz) on each way: 10 dB are what 10 cm more "
            "uncompensated at 1 MHz, or 2 cm at 5 MHz, take there and back"
        ),
        note=(
            "decibels lost at the deepest voxel of the sector, in proportion to depth; 15 and 20 dB leave "
            "the far field dark and are stress; declare the display range in dB, and the apex of a curved "
            "or phased array"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"dynamic_range_db": 60.0, "apex": None}),
    ),
)
"""In the order of the listing."""
