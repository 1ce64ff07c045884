"""Lines of the catalogue: what the receiver and the detector add."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_BRAINWEB = (
    "BrainWeb: x % noise is sigma over the signal of a bright reference tissue (levels 3, 5, 9 %)"
)

LINES = (
    Perturbation(
        name="gaussian_noise",
        family="noise",
        function="perturbations.noise:gaussian_noise",
        body=Levels("% of S_ref", (3.0, 6.0, 9.0, 15.0, 25.0)),
        ct=Levels("HU", (10.0, 20.0, 35.0, 60.0, 100.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="one unit normal field, scaled by sigma",
        channels="independent",
        source=_BRAINWEB,
        note="sigma of additive white noise; 15 % and 25 % (60 and 100 HU) exceed routine",
        keeps_background=True,
    ),
    Perturbation(
        name="rician_noise",
        family="noise",
        function="perturbations.noise:rician_noise",
        body=Levels("% of S_ref", (3.0, 5.0, 9.0, 15.0, 25.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="two unit normal fields (real and imaginary part), scaled by sigma",
        channels="independent",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=f"Gudbjartsson & Patz 1995, doi 10.1002/mrm.1910340618; {_BRAINWEB}",
        note="sigma of the complex noise of a magnitude image; 15 % and 25 % exceed routine",
        refused_states=("normalised",),
        keeps_background=True,
    ),
)
"""In the order of the listing."""
