"""Lines of the catalogue: what coils, calibration and display do to values."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

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
)
"""In the order of the listing."""
