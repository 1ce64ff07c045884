"""Lines of the catalogue: corruptions of ImageNet-C that pictures from scanners can have, with its levels."""

from functools import partial
from types import MappingProxyType
from typing import Any

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_FROM = "ImageNet-C (Hendrycks & Dietterich 2019, arXiv 1903.12261), levels of its code"
_SCALED = _FROM + "; mended: one draw for all severities"
_GREY = "of grey levels from 0 to 1 within the window"

_line = partial(
    Perturbation,
    protocol="imagenet-c",
    keeps_background=True,
    options=MappingProxyType[str, Any]({"window": None, "round_trip": False}),
)

LINES: tuple[Perturbation, ...] = (
    _line(
        name="imagenet_c_gaussian_noise",
        family="noise",
        function="perturbations.imagenet_c:gaussian_noise",
        body=Levels("sd of grey", (0.08, 0.12, 0.18, 0.26, 0.38)),
        neutral=0.0,
        limits=(0.0, 10.0),
        scale="linear",
        draws="one normal field; the level scales it",
        channels="independent",
        source=_SCALED,
        note=f"standard deviation {_GREY}, then clipped; strong already at 1",
    ),
    _line(
        name="imagenet_c_shot_noise",
        family="noise",
        function="perturbations.imagenet_c:shot_noise",
        body=Levels("1 / photons", (1 / 60, 1 / 25, 1 / 12, 1 / 5, 1 / 3)),
        neutral=0.0,
        limits=(1e-6, 1.0),
        scale="linear",
        draws="one rank per pixel, whose quantile of the Poisson distribution it shows",
        channels="independent",
        source=_SCALED,
        note="60, 25, 12, 5 and 3 photons at white",
    ),
    _line(
        name="imagenet_c_impulse_noise",
        family="noise",
        function="perturbations.imagenet_c:impulse_noise",
        body=Levels("share of pixels", (0.03, 0.06, 0.09, 0.17, 0.27)),
        neutral=0.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="one rank per pixel; what fails early fails at every higher severity",
        channels="independent",
        source=_SCALED,
        note="pixels that turn black or white, half each",
    ),
    _line(
        name="imagenet_c_speckle_noise",
        family="noise",
        function="perturbations.imagenet_c:speckle_noise",
        body=Levels("sd", (0.15, 0.2, 0.35, 0.45, 0.6)),
        neutral=0.0,
        limits=(0.0, 10.0),
        scale="linear",
        draws="one normal field; the level scales it",
        channels="independent",
        source=_SCALED,
        note="grey levels times 1 + n, clipped; a validation corruption of the benchmark",
    ),
    _line(
        name="imagenet_c_gaussian_blur",
        family="blur",
        function="perturbations.imagenet_c:gaussian_blur",
        body=Levels("px sd", (1.0, 2.0, 3.0, 4.0, 6.0)),
        neutral=0.0,
        limits=(0.0, 200.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=f"{_FROM}; as published",
        note="in plane; a validation corruption of the benchmark",
    ),
    _line(
        name="imagenet_c_defocus_blur",
        family="blur",
        function="perturbations.imagenet_c:defocus_blur",
        body=Levels("px radius", (3.0, 4.0, 6.0, 8.0, 10.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=f"{_FROM}; as published, edges of the disk softened by 0.1 px at 3 and 0.5 px from 4 on",
        note="in plane",
    ),
    _line(
        name="imagenet_c_glass_blur",
        family="blur",
        function="perturbations.imagenet_c:glass_blur",
        body=Levels("row of the table", (1.0, 2.0, 3.0, 4.0, 5.0)),
        neutral=0.0,
        limits=(1.0, 5.0),
        scale="ordinal",
        draws="where each pixel looks in each round, scaled by the largest step",
        channels="independent",
        source=(
            f"{_FROM}; mended: all pixels look at a neighbour at once and symmetrically (there they are "
            f"swapped "
            "one after the other, towards one corner)"
        ),
        note="sd, largest step, rounds: (.7, 1, 2), (.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2) px",
    ),
    _line(
        name="imagenet_c_motion_blur",
        family="blur",
        function="perturbations.imagenet_c:motion_blur",
        body=Levels("px", (3.0, 5.0, 8.0, 12.0, 15.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="one direction within 45 degrees of the rows",
        channels="shared",
        source=(
            f"{_FROM}; mended: the same spread along both directions of the line (one-sided weights shift the "
            "picture by 2 to 10 px against its reference)"
        ),
        note="width of the published one-sided Gaussian, which reaches 10, 15, 15, 15 and 20 px",
    ),
    _line(
        name="imagenet_c_zoom_blur",
        family="blur",
        function="perturbations.imagenet_c:zoom_blur",
        body=Levels("largest zoom - 1", (0.11, 0.15, 0.2, 0.24, 0.3)),
        neutral=0.0,
        limits=(0.0, 10.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=(
            f"{_FROM}; zooms in steps of .01 to .03, read linearly; its ranges end before 1.16, 1.21, 1.26 and "
            "1.31, but at 1.11, which np.arange(1, 1.11, .01) holds by rounding"
        ),
        note="mean of the picture and of zooms into its centre",
    ),
    _line(
        name="imagenet_c_contrast",
        family="intensity",
        function="perturbations.imagenet_c:contrast",
        body=Levels("factor", (0.4, 0.3, 0.2, 0.1, 0.05)),
        neutral=1.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=f"{_FROM}; as published",
        note="about the mean of each picture",
    ),
    _line(
        name="imagenet_c_brightness",
        family="intensity",
        function="perturbations.imagenet_c:brightness",
        body=Levels("grey", (0.1, 0.2, 0.3, 0.4, 0.5)),
        neutral=0.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=f"{_FROM}; the value of hue, saturation and value is the grey level of a grey picture",
        note=f"added, {_GREY}, and clipped at white",
    ),
    _line(
        name="imagenet_c_jpeg",
        family="intensity",
        function="perturbations.display:jpeg",
        body=Levels("quality", (25.0, 18.0, 15.0, 10.0, 7.0)),
        neutral=101.0,
        limits=(1.0, 100.0),
        scale="ordinal",
        draws="nothing",
        channels="shared",
        source=f"{_FROM}; as published, on grey pictures",
        note="as jpeg, at lower qualities",
        options=MappingProxyType[str, Any]({"window": None}),
    ),
    _line(
        name="imagenet_c_pixelate",
        family="resolution",
        function="perturbations.imagenet_c:pixelate",
        body=Levels("x the side in pixels", (0.6, 0.5, 0.4, 0.3, 0.25)),
        neutral=1.0,
        limits=(0.001, 1.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=f"{_FROM}; as published",
        note="boxes instead of pixels, in plane; a coarser grid may by chance fit a structure better",
    ),
    _line(
        name="imagenet_c_elastic",
        family="geometry",
        function="perturbations.imagenet_c:elastic_transform",
        body=Levels("alpha", (12.5, 16.25, 21.25, 25.0, 30.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="one smooth field; the level scales it",
        channels="shared",
        geometric=True,
        keeps_background=False,
        source=(
            "imagecorruptions (Michaelis et al. 2019, arXiv 1907.07484), for the levels of ImageNet-C do not "
            "rise; mended: the field is smooth enough that nothing folds, and its largest displacement is "
            "three "
            "times the published standard deviation along an axis, 0.24 alpha px; the prediction is warped back"
        ),
        note="3 to 7.3 px of the picture",
        options=MappingProxyType[str, Any]({}),
    ),
)
"""In the order of the listing."""
