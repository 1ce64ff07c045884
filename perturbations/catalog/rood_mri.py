"""Lines of the catalogue: the transforms of ROOD-MRI, with its levels, mended where they were random."""

from functools import partial

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_FROM = "ROOD-MRI (Boone et al. 2023, doi 10.1016/j.neuroimage.2023.120289), levels of its code; mended: "

_line = partial(Perturbation, modalities=("mr",), protocol="rood-mri")

LINES: tuple[Perturbation, ...] = (
    _line(
        name="rood_affine",
        family="geometry",
        function="perturbations.rood_mri:affine_motion",
        body=Levels("mm, with 0.75 deg per mm", (8.0, 16.0, 24.0, 32.0, 40.0)),
        neutral=0.0,
        limits=(0.0, 200.0),
        scale="linear",
        draws="one sign for each axis of translation and rotation",
        channels="shared",
        geometric=True,
        source=(
            _FROM
            + "sizes are the root mean square of the published uniform draws, 1 / sqrt(3) of their bounds, "
            "instead of random; the prediction is warped back, the reference stays"
        ),
        note="bound of the translation along each axis, with 6 to 30 degrees about each; all are wide",
    ),
    _line(
        name="rood_anisotropy",
        family="resolution",
        function="perturbations.rood_mri:anisotropy",
        body=Levels("x the voxel", (2.8, 4.6, 6.4, 8.2, 10.0)),
        neutral=1.0,
        limits=(1.0, 100.0),
        scale="linear",
        draws="one axis",
        channels="shared",
        keeps_background=True,
        source=(
            _FROM
            + "coarse voxels are averages (the published code skips voxels); the reference stays (there it "
            "is sampled as coarsely)"
        ),
        note=(
            "factor along one random axis; 6.4 and more is beyond clinical scans; a coarser grid may by "
            "chance fit better"
        ),
    ),
    _line(
        name="rood_bias_field",
        family="intensity",
        function="perturbations.rood_mri:bias_field",
        body=Levels("range of coefficients", (0.3, 0.6, 0.9, 1.2, 1.5)),
        neutral=0.0,
        limits=(0.0, 10.0),
        scale="linear",
        draws="20 coefficients (10 in 2-D), uniform; the level scales them",
        channels="shared",
        refused_states=("normalised",),
        keeps_background=True,
        source=(
            _FROM
            + "one draw is scaled; the log-field has mean zero over the foreground. Its span is not "
            "normalised: at 0.3 the median field has a ratio of 1.7 within 70 % of the half axes"
        ),
        note="bound of the coefficients of a log-polynomial of order 3; bias_field is graded by what it does",
    ),
    _line(
        name="rood_contrast_compression",
        family="intensity",
        function="perturbations.rood_mri:contrast",
        body=Levels("exponent", (0.86, 0.72, 0.58, 0.44, 0.3)),
        neutral=1.0,
        limits=(0.01, 100.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        keeps_background=True,
        source=_FROM + "each channel by its own range",
        note="exponent over the whole range of values, so that one bright voxel decides its effect",
    ),
    _line(
        name="rood_contrast_expansion",
        family="intensity",
        function="perturbations.rood_mri:contrast",
        body=Levels("exponent", (1.4, 1.8, 2.2, 2.6, 3.0)),
        neutral=1.0,
        limits=(0.01, 100.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        keeps_background=True,
        source=_FROM + "each channel by its own range",
        note="exponent over the whole range of values, so that one bright voxel decides its effect",
    ),
    _line(
        name="rood_elastic",
        family="geometry",
        function="perturbations.rood_mri:elastic_deformation",
        body=Levels("mm", (6.0, 12.0, 18.0, 24.0, 30.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="one smooth field; the level is its largest displacement",
        channels="shared",
        geometric=True,
        source=(
            _FROM
            + "the lattice is coarse enough that nothing folds (7 control points an axis fold); the "
            "prediction is warped back, the reference stays"
        ),
        note="largest displacement; 18 mm and more are no anatomy",
    ),
    _line(
        name="rood_ghosting",
        family="k-space",
        function="perturbations.rood_mri:ghosting",
        body=Levels("intensity", (0.5, 1.0, 1.5, 2.0, 2.5)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="one of the two last axes",
        channels="shared",
        needs="magnitude >= 0",
        refused_states=("normalised",),
        keeps_background=True,
        source=(
            _FROM
            + "every 7th line at all severities instead of every 3rd to 11th; one axis; a magnitude "
            "instead of the real part, cut at 0"
        ),
        note="every 7th line of k-space is weakened by this factor, which turns its sign beyond 1",
    ),
    _line(
        name="rood_motion",
        family="k-space",
        function="perturbations.rood_mri:motion",
        body=Levels("deg, with 2 mm per deg", (1.0, 2.0, 3.0, 4.0, 5.0)),
        neutral=0.0,
        limits=(0.0, 45.0),
        scale="linear",
        draws="one path of 6 moves; the level scales it",
        channels="shared",
        needs="magnitude >= 0",
        refused_states=("normalised",),
        keeps_background=True,
        source=(
            _FROM
            + "one path with 6 moves instead of 2 to 10 new ones at each severity; k = 0 unmoved; a magnitude "
            "instead of the real part, cut at 0"
        ),
        note="largest rotation, with twice as many mm of translation",
    ),
    _line(
        name="rood_rician_noise",
        family="noise",
        function="perturbations.rood_mri:rician_noise",
        body=Levels("x sd of the scan", (0.16, 0.32, 0.48, 0.64, 0.8)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="two normal fields; the level scales them",
        channels="independent",
        needs="magnitude >= 0",
        refused_states=("normalised",),
        keeps_background=True,
        source=_FROM + "one field for all severities, none in a masked background",
        note=(
            "sigma over the standard deviation of the channel with its background; depends on the field of "
            "view"
        ),
    ),
    _line(
        name="rood_smoothing",
        family="blur",
        function="perturbations.rood_mri:smoothing",
        body=Levels("mm sd", (0.8, 1.6, 2.4, 3.2, 4.0)),
        neutral=0.0,
        limits=(0.0, 200.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        keeps_background=True,
        source=_FROM + "nothing",
        note="standard deviation along each axis, 1.9 to 9.4 mm FWHM",
    ),
)
"""In the order of the listing."""
