"""Lines of the catalogue: several perturbations in the order in which an acquisition has them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_SEVERITY = Levels("severity", (1.0, 2.0, 3.0, 4.0, 5.0))


def _chain(
    name: str,
    modality: str,
    parts: tuple[tuple[str, float], ...],
    why: str,
    *,
    channels: Literal["shared", "independent"] = "independent",
    part_options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Perturbation:
    """Make the line of a named chain."""
    told = ", ".join(f"{part} x {share:g}" if share != 1 else part for part, share in parts)
    return Perturbation(
        name=name,
        family="acquisition",
        function="perturbations.chains:chain",
        body=_SEVERITY,
        neutral=0.0,
        limits=(0.0, 5.0),
        scale="linear",
        draws="one seed for each part, whose draws all severities share",
        channels=channels,
        modalities=(modality,),
        source=why,
        note=f"severity of each part: {told}; 4 and 5 are stress",
        refused_states=("windowed", "normalised") if modality == "ct" else ("normalised",),
        keeps_background=True,
        options=MappingProxyType[str, Any]({"parts": parts, "part_options": dict(part_options)}),
    )


LINES: tuple[Perturbation, ...] = (
    _chain(
        "low_field_mr",
        "mr",
        (
            ("bias_field", 0.5),
            ("thick_slices", 0.6),
            ("low_resolution", 0.6),
            ("rician_noise", 1.0),
        ),
        (
            "signal rises with the field strength, so that portable and low-field scanners have coarser voxels "
            "and more noise (Arnold et al. 2023, doi 10.1002/jmri.28408); shares chosen here. Noise comes "
            "after the voxels were made coarser, for averages over them would lower it by factors that depend "
            "on the grid: its sigma is that of the finished image, as of rician_noise, and it is white on the "
            "scan's grid, where interpolated coarse voxels would have grains of their own size"
        ),
    ),
    _chain(
        "low_dose_ct",
        "ct",
        (("gaussian_blur", 0.4), ("beam_hardening", 0.4), ("ring_artefact", 0.4), ("ct_dose", 1.0)),
        (
            "low dose comes with softer kernels, and photon-starved detectors with rings. It also comes with a "
            "lower tube voltage, whose streaks are stronger (Seyal et al. 2015, RadioGraphics 35: 1922): "
            "water's attenuation falls by 23 % from 40 to 60 keV, by 7 % from 80 to 100 (NISTIR 5632), so that "
            "a softer beam hardens more; other HU of bone and iodine are left out. Shares chosen here, doses "
            "as of ct_dose. The kernel acts first: rings and dose are graded in the finished image"
        ),
    ),
    _chain(
        "portable_ultrasound",
        "us",
        (("gaussian_blur", 0.12), ("depth_attenuation", 1.0), ("ultrasound_speckle", 1.0)),
        (
            "handheld probes have fewer channels and less power: weaker depth, coarser speckle, a wider beam; "
            "shares chosen here. The blur comes before the speckle, whose contrast no beam lowers (signal-to-"
            "noise ratio 1.91: Wagner et al. 1983, doi 10.1109/T-SU.1983.31404), and is as much as new speckle "
            "makes up for: a blur of echoes already in decibels weakens the speckle they have. The new one is "
            "twice as wide across the beam as that of ultrasound_speckle, as from half the aperture"
        ),
        channels="shared",
        part_options={"ultrasound_speckle": {"psf_fwhm_px": (3.0, 8.0)}},
    ),
    Perturbation(
        name="chain",
        family="acquisition",
        function="perturbations.chains:chain",
        body=_SEVERITY,
        neutral=0.0,
        limits=(0.0, 5.0),
        scale="linear",
        draws="one seed for each part, whose draws all severities share",
        channels="independent",
        source="parts of your own choice, as [name, share] in the order in which they act",
        note="each part acts at its share of the severity; 4 and 5 are stress",
        options=MappingProxyType[str, Any](
            {"parts": (("gamma_up", 1.0), ("gaussian_noise", 1.0)), "part_options": {}}
        ),
    ),
    Perturbation(
        name="joint",
        family="acquisition",
        function="perturbations.chains:mixture",
        body=Levels("of the row", (1.0,)),
        neutral=0.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="one row of a site, and the draws of what it holds",
        channels="independent",
        source="rows of `segaudit profile`: what occurs together in a site's scans is applied together",
        note="1 is a row as it is; the default rows are an example",
        stress_from=2,
        options=MappingProxyType[str, Any](
            {
                "rows": (
                    {"gamma_up": 1.25, "gaussian_noise": 6.0},
                    {"gamma_down": 0.8, "gaussian_noise": 9.0},
                )
            }
        ),
    ),
)
"""In the order of the listing."""
