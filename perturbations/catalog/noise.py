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
    Perturbation(
        name="noncentral_chi_noise",
        family="noise",
        function="perturbations.noise:noncentral_chi_noise",
        body=Levels("% of S_ref", (1.0, 2.0, 3.0, 5.0, 8.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="a unit normal field and a field of the root of chi-square, both scaled by sigma",
        channels="independent",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=(
            "sum of squares of L coils: Constantinides et al. 1997, doi 10.1002/mrm.1910380524; Dietrich "
            "et al. 2008, doi 10.1016/j.mri.2008.02.001; levels are a third of the Rician ones, for 8 "
            "coils lift the background to 3.9 sigma, one coil to 1.25 sigma"
        ),
        note=(
            "sigma of each coil's real and imaginary part, where every coil sees x / sqrt(coils); 5 % and "
            "8 % exceed routine"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options={"coils": 8},
    ),
    Perturbation(
        name="poisson_noise",
        family="noise",
        function="perturbations.noise:poisson_noise",
        body=Levels("of the dose", (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)),
        neutral=1.0,
        limits=(0.001, 1.0),
        scale="log",
        draws="one unit normal field times sqrt(signal), scaled by sqrt((1 - a) / a)",
        channels="independent",
        modalities=("xray", "microscopy", "other"),
        needs="intensities >= 0, in proportion to counts",
        source=(
            "variance of Poisson counts; levels halve the dose, as dose studies in CT do (Yu et al. 2012, "
            "doi 10.1097/RCT.0b013e318258e891)"
        ),
        note=(
            "fraction of the dose (counts, exposure) that the scan was made with; `counts` photons at "
            "S_ref at full dose; a sixteenth and less exceeds routine"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options={"counts": 1000.0},
    ),
    Perturbation(
        name="speckle_noise",
        family="noise",
        function="perturbations.noise:speckle_noise",
        body=Levels("sd of the factor", (0.10, 0.15, 0.20, 0.30, 0.45)),
        neutral=0.0,
        limits=(0.0, 10.0),
        scale="linear",
        draws="one unit normal field times the signal, scaled by the standard deviation",
        channels="independent",
        modalities=("mr", "us", "xray", "microscopy", "other"),
        source=(
            "x (1 + s n) of ImageNet-C (Hendrycks & Dietterich 2019, arXiv 1903.12261; levels .15 to .6) "
            "and MedMNIST-C (Di Salvo et al. 2024, arXiv 2406.17536; .05 to .45)"
        ),
        note=(
            "white multiplicative noise, for comparison with the literature; it is no model of ultrasound, "
            "whose speckle is correlated; .3 and .45 are stress"
        ),
        refused_states=("normalised",),
        keeps_background=True,
    ),
    Perturbation(
        name="salt_and_pepper",
        family="noise",
        function="perturbations.noise:salt_and_pepper",
        body=Levels("of the voxels", (0.001, 0.003, 0.01, 0.03, 0.08)),
        neutral=0.0,
        limits=(0.0, 1.0),
        scale="linear",
        draws="one uniform field; voxels below the fraction have failed, so that the sets are nested",
        channels="independent",
        modalities=("us", "xray", "microscopy", "other"),
        source=(
            "defective detector elements; .001 to .02 in MedFM-Robust, .005 to .17 in MedMNIST-C (Di Salvo "
            "et al. 2024, arXiv 2406.17536)"
        ),
        note=(
            "fraction of failed voxels, half at the 99.9th, half at the 0.1th percentile; .03 and .08 exceed "
            "what a detector in service has"
        ),
        keeps_background=True,
    ),
)
"""In the order of the listing."""
