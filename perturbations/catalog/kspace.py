"""Lines of the catalogue: what goes wrong while MR data are acquired."""

from types import MappingProxyType

from perturbations.catalog.entry import Levels, Perturbation

__all__ = ["LINES"]

LINES = (
    Perturbation(
        name="motion",
        family="k-space",
        function="perturbations.kspace_motion:motion",
        body=Levels("deg", (1.0, 2.0, 3.0, 5.0, 8.0)),
        neutral=0.0,
        limits=(0.0, 45.0),
        scale="linear",
        draws="one path of poses and the times of the moves, scaled by the level",
        channels="shared",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=(
            "Shaw et al. 2019 (MIDL): segments of k-space in moved poses; ROOD-MRI draws 1 to 5 deg and "
            "2 to 10 mm; the segment of k = 0 stays, else the anatomy moves as a whole"
        ),
        note=(
            "largest rotation of the path, with translations of 1, 2, 4, 6, 10 mm along with it; 5 deg and "
            "8 deg are scans that would be repeated; the anatomy is shared, so that channels are too"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType(
            {
                "phase_axis": None,
                "moves": 2,
                "translation_mm": ((1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (5.0, 6.0), (8.0, 10.0)),
            }
        ),
    ),
    Perturbation(
        name="ghosting",
        family="k-space",
        function="perturbations.kspace:ghosting",
        body=Levels("% ghost to parent", (5.0, 10.0, 15.0, 25.0, 40.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="one distance and one phase of the ghosts, whose amplitude is the level",
        channels="independent",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=(
            "shift theorem: K(k) [1 + a cos(2 pi m k / N + phi)] makes two ghosts of amplitude a / 2 at "
            "+-m voxels"
        ),
        note=(
            "amplitude of each of two ghosts over its parent, half the depth of the modulation; 25 % and "
            "40 % are beyond what is read clinically"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"phase_axis": None}),
    ),
    Perturbation(
        name="epi_ghosting",
        family="k-space",
        function="perturbations.kspace:epi_ghosting",
        body=Levels("% ghost to parent", (2.0, 5.0, 10.0, 20.0, 40.0)),
        neutral=0.0,
        limits=(0.0, 100.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=(
            "K(k) exp(i phi (-1)^k) is cos(phi) x + i sin(phi) x(y - N/2): the Nyquist ghost of "
            "echo-planar imaging; a few % remain after phase correction, 10 % and more without it"
        ),
        note="tan(phi), amplitude of the ghost at half the field of view; 20 % and 40 %: uncorrected",
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"phase_axis": None}),
    ),
    Perturbation(
        name="spike",
        family="k-space",
        function="perturbations.kspace_interference:spike",
        body=Levels("% of S_ref", (3.0, 6.0, 12.0, 25.0, 50.0)),
        neutral=0.0,
        limits=(0.0, 1000.0),
        scale="linear",
        draws="one sample of k-space and its phase, whose amplitude is the level",
        channels="independent",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=(
            "K + A exp(i theta) delta(k - k0): one sample, not its mirror image, so one complex plane "
            "wave; A in image units, not relative to the largest sample, which grows with the volume"
        ),
        note="amplitude of the stripes; 25 % and 50 % hide tissue contrast",
        refused_states=("normalised",),
        keeps_background=True,
    ),
    Perturbation(
        name="gibbs",
        family="k-space",
        function="perturbations.kspace_truncation:gibbs",
        body=Levels("kept fraction of native k", (0.85, 0.7, 0.55, 0.45, 0.35)),
        neutral=1.0,
        limits=(0.01, 1.0),
        scale="log",
        draws="nothing",
        channels="shared",
        modalities=("mr",),
        needs="magnitude >= 0",
        source=(
            "box truncation with zero filling, 9 % overshoot at an edge; Huang et al. 2015, "
            "doi 10.1148/rg.2015140289"
        ),
        note=(
            "share of the lines that is acquired along every axis of the scan's own grid; .45 and .35 "
            "are a third of the resolution"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"axes": None}),
    ),
    Perturbation(
        name="zipper",
        family="k-space",
        function="perturbations.kspace_interference:zipper",
        body=Levels("% of S_ref", (10.0, 25.0, 50.0, 100.0, 200.0)),
        neutral=0.0,
        limits=(0.0, 10000.0),
        scale="linear",
        draws="one place within the foreground and one complex noise on it, scaled by the level",
        channels="independent",
        modalities=("mr",),
        needs="magnitude >= 0",
        source="Graves & Mitchell 2013, doi 10.1002/jmri.24288: a line along the phase-encode axis",
        note=(
            "root mean square of the noise on a line 2 mm wide; 100 % and 200 % outshine the anatomy"
        ),
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"phase_axis": None, "width_mm": 2.0}),
    ),
    Perturbation(
        name="wraparound",
        family="k-space",
        function="perturbations.kspace:wraparound",
        body=Levels("% of the foreground's extent", (5.0, 10.0, 15.0, 20.0, 30.0)),
        neutral=0.0,
        limits=(0.0, 80.0),
        scale="linear",
        draws="nothing",
        channels="shared",
        modalities=("mr",),
        needs="magnitude >= 0",
        source="aliasing: y(p) = sum_m x(p + m L) in a field of view of L, smaller than the anatomy",
        note=(
            "how much the field of view lacks of the foreground's extent, half of it on either side; 20 % "
            "and 30 % fold into the middle of the anatomy"
        ),
        geometric=True,
        refused_states=("normalised",),
        keeps_background=True,
        options=MappingProxyType({"phase_axis": None}),
    ),
)
"""In the order of the listing."""
