"""Lines of the catalogue: what coils, calibration and display do to values."""

from types import MappingProxyType

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_AFFINE = "a system that standardises its input is invariant to it where no background is masked"

LINES = (
    Perturbation(
        name="bias_field",
        family="intensity",
        function="perturbations.intensity:bias_field",
        body=Levels("% INU", (20.0, 40.0, 60.0, 80.0, 100.0)),
        neutral=0.0,
        limits=(0.0, 199.0),
        scale="linear",
        draws="one log-polynomial of order 3, scaled to the level",
        channels="independent",
        modalities=("mr",),
        source=(
            "Van Leemput et al. 1999, doi 10.1109/42.811268 (log-domain polynomial); BrainWeb: 20 % "
            "INU spans 0.90 to 1.10 over the head"
        ),
        note="max / min over the foreground is (1 + u/2) / (1 - u/2); 80 and 100 % are stress",
        refused_states=("normalised",),
    ),
    Perturbation(
        name="gamma_up",
        family="intensity",
        function="perturbations.intensity:gamma",
        body=Levels("exponent", (1.1, 1.25, 1.5, 1.8, 2.2)),
        neutral=1.0,
        limits=(0.1, 10.0),
        scale="log",
        draws="nothing",
        channels="shared",
        source="power law on the robust range (1st to 99th percentile), linear beyond",
        note="darkens middle tones; exponents of 1.8 and 2.2 are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="gamma_down",
        family="intensity",
        function="perturbations.intensity:gamma",
        body=Levels("exponent", (1 / 1.1, 1 / 1.25, 1 / 1.5, 1 / 1.8, 1 / 2.2)),
        neutral=1.0,
        limits=(0.1, 10.0),
        scale="log",
        draws="nothing",
        channels="shared",
        source="reciprocal exponents of gamma_up",
        note="brightens middle tones; exponents of 1/1.8 and 1/2.2 are stress",
        keeps_background=True,
    ),
    Perturbation(
        name="contrast_loss",
        family="intensity",
        function="perturbations.intensity:contrast_loss",
        body=Levels("factor", (0.9, 0.75, 0.6, 0.45, 0.3)),
        neutral=1.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=(
            "y = m + c (x - m) about the mean m of the foreground; ImageNet-C has .4 to .05 and MedMNIST-C "
            ".9 to .4 for radiographs, of which these are the part that is still read"
        ),
        note=f"contrast that is left; .45 and .3 are stress; {_AFFINE}",
        affine=True,
        keeps_background=True,
    ),
    Perturbation(
        name="intensity_shift",
        family="intensity",
        function="perturbations.intensity:intensity_shift",
        body=Levels("% of S_ref", (3.0, 6.0, 10.0, 15.0, 25.0)),
        ct=Levels("HU", (4.0, 8.0, 15.0, 30.0, 60.0)),
        neutral=0.0,
        limits=(-1000.0, 1000.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        source=(
            "offset of detector and display; CT: water reads 0 HU within 5 HU (ACR 2017 CT quality control "
            "manual), and one organ differed by 10 to 23 HU between scanners of one vendor (Systematic "
            "scanner variability of patient CT attenuation measurements, SPIE Medical Imaging 2009)"
        ),
        note=f"offset, the same everywhere; 15 % and 25 % (30 and 60 HU) are stress; {_AFFINE}",
        affine=True,
        keeps_background=True,
    ),
    Perturbation(
        name="intensity_scale",
        family="intensity",
        function="perturbations.intensity:intensity_scale",
        body=Levels("slope", (1.05, 1.1, 1.2, 1.35, 1.5)),
        ct=Levels("slope about -1000 HU", (1.01, 1.02, 1.04, 1.08, 1.15)),
        neutral=1.0,
        limits=(0.01, 100.0),
        scale="log",
        draws="nothing",
        channels="shared",
        source=(
            "error of calibration: HU = 1000 (mu - mu_w) / mu_w, so that a wrong mu_w is a slope about "
            "-1000 HU, where 1 % moves soft tissue by 10 HU; other scans scale about 0"
        ),
        note=f"factor; 1.35 and 1.5 (1.08 and 1.15 for CT) are stress; {_AFFINE}",
        affine=True,
        keeps_background=True,
    ),
    Perturbation(
        name="quantisation",
        family="intensity",
        function="perturbations.display:quantisation",
        body=Levels("bits", (8.0, 7.0, 6.0, 5.0, 4.0)),
        neutral=32.0,
        limits=(1.0, 16.0),
        scale="ordinal",
        draws="nothing",
        channels="shared",
        source=(
            "uniform quantiser of 2^b values on the robust range (1st to 99th percentile); display "
            "pipelines keep 8 bits"
        ),
        note=(
            "bits over the robust range, in equal steps beyond it too; 5 and 4 bits show contours and are "
            "stress; for scans that go through a display, which CT and MR do not"
        ),
        keeps_background=True,
    ),
    Perturbation(
        name="jpeg",
        family="intensity",
        function="perturbations.display:jpeg",
        body=Levels("quality", (90.0, 70.0, 50.0, 30.0, 10.0)),
        neutral=101.0,
        limits=(1.0, 100.0),
        scale="ordinal",
        draws="nothing",
        channels="shared",
        source=(
            "Wallace 1992, doi 10.1109/30.125072; quality as libjpeg counts it; MedFM-Robust has the same "
            "levels, MedMNIST-C 50 to 7 for radiographs"
        ),
        note=(
            "quality of a grey picture of 8 bits per slice and channel, between the ends of the window; 30 "
            "and 10 show blocks and are stress; for scans that are stored as pictures: declare the window "
            "for CT, and read it as a study of exported pictures for CT and MR"
        ),
        keeps_background=True,
        options=MappingProxyType({"window": None}),
    ),
)
"""In the order of the listing."""
