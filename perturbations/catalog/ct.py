"""Lines of the catalogue: what dose, spectrum, detector and metal do to CT."""

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

_NO_HU = ("windowed", "normalised")

LINES: tuple[Perturbation, ...] = (
    Perturbation(
        name="ct_dose",
        family="noise",
        function="perturbations.ct:ct_dose",
        body=Levels("of the dose", (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)),
        neutral=1.0,
        limits=(0.001, 1.0),
        scale="log",
        draws="one unit normal sinogram, reconstructed once, scaled by sqrt((1 - a) / a)",
        channels="independent",
        modalities=("ct",),
        needs="HU and a spacing in mm",
        source=(
            "dose insertion: Yu et al. 2012, doi 10.1097/RCT.0b013e318258e891; levels halve the dose; "
            "a quarter is that of the AAPM low-dose challenge (McCollough et al. 2017, doi "
            "10.1002/mp.12345)"
        ),
        note=(
            "fraction of the dose that the scan was made with; its own noise in soft tissue (estimated, at "
            "least 5 HU) sets the photons; a sixteenth and less is below what is used for diagnosis"
        ),
        refused_states=_NO_HU,
        keeps_background=True,
        options={"full_dose_noise_hu": None, "kernel": "soft"},
    ),
    Perturbation(
        name="beam_hardening",
        family="ct",
        function="perturbations.ct:beam_hardening",
        body=Levels("HU at the centre", (20.0, 40.0, 70.0, 110.0, 160.0)),
        neutral=0.0,
        limits=(0.0, 500.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        modalities=("ct",),
        needs="HU and a spacing in mm",
        source=(
            "p - b p^2: Herman 1979, doi 10.1088/0031-9155/24/1/008; levels chosen here: "
            "scanners correct for water, so that the lower ones are what bone and size leave"
        ),
        note="depth of the cup at the body's centre; 110 and 160 HU are scans without correction",
        refused_states=_NO_HU,
        keeps_background=True,
    ),
    Perturbation(
        name="ring_artefact",
        family="ct",
        function="perturbations.ct:ring_artefact",
        body=Levels("HU", (5.0, 10.0, 20.0, 40.0, 70.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="radii, signs and heights of twelve rings per 5 mm of slices, scaled",
        channels="shared",
        modalities=("ct",),
        needs="HU and a spacing in mm",
        source=(
            "gain errors constant over views: Sijbers & Postnov 2004, Phys. Med. Biol. 49: N247; "
            "levels chosen here: from below the noise of a scan to several times it"
        ),
        note="largest deviation of the rings; 40 and 70 HU are a detector in need of service",
        refused_states=_NO_HU,
        keeps_background=True,
        options={"width_mm": 1.5},
    ),
    Perturbation(
        name="metal_streaks",
        family="ct",
        function="perturbations.metal:metal_streaks",
        body=Levels("HU", (50.0, 100.0, 200.0, 400.0, 800.0)),
        neutral=0.0,
        limits=(0.0, 5000.0),
        scale="linear",
        draws="two rods of steel in bone (else soft tissue) and the noise of their rays; streaks scaled",
        channels="independent",
        modalities=("ct",),
        needs="HU and a spacing in mm",
        source=(
            "hardening and starvation: De Man et al. 1999, doi 10.1109/23.775600; attenuation: Hubbell & "
            "Seltzer, NISTIR 5632; levels chosen here: from the noise of a scan to what hides tissue"
        ),
        note=(
            "99th percentile of the streaks over the body beside the metal: an approximation, for their "
            "shape is computed and their strength declared; 400 and 800 HU are large implants"
        ),
        refused_states=_NO_HU,
        keeps_background=True,
    ),
)
"""In the order of the listing."""
