"""The lines of the catalogue: every metric with its meaning, as plain data.

**Conventions.** P and R are the voxels of prediction and reference, V their volumes, N the voxels of
the image (of the region, where one is scored). Look lines up in `auditor.metrics.catalog`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from auditor.metrics.policy import BLIND, POLICY, Worst
from auditor.schema import MetricSpec

__all__ = ["LINES", "Metric"]

Parameter = Literal["tolerance_mm", "width_mm", "overlap", "bins"]
"""Fields of `MetricSpec` that a metric may need."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue."""

    name: str
    """Name in configurations and tables."""
    title: str
    """Name in reports."""
    definition: str
    """What it is, with the formula."""
    reference: str
    """Where the definition comes from."""
    function: str
    """``module:function`` that computes it from two masks."""
    unit: Literal["", "ml", "mm", "%", "lesions"] = ""
    """Unit for 3-D images with a spacing in mm; empty for a ratio. See `catalog.unit_text`."""
    low: float = 0.0
    """Smallest possible value."""
    high: float | None = 1.0
    """Largest possible value; None: unbounded."""
    higher_is_better: bool = True
    """Direction."""
    needs: tuple[Parameter, ...] = ()
    """Fields of `MetricSpec` that must be declared."""
    needs_probabilities: bool = False
    """True when the masks alone are not enough."""

    @property
    def needs_tolerance(self) -> bool:
        """True when `MetricSpec.tolerance_mm` must be declared."""
        return "tolerance_mm" in self.needs

    @property
    def worst(self) -> Worst:
        """Rule of its named worst case; see `auditor.metrics.policy`."""
        return POLICY[self.name].worst

    @property
    def blind(self) -> str:
        """Why a total miss may look good on it; empty where it cannot."""
        return BLIND.get(self.name, "")

    def resolve(self) -> Callable[[Any, MetricSpec], float | None]:
        """Load the function that computes the metric from a `MaskPair` and a `MetricSpec`."""
        module, _, function = self.function.partition(":")
        resolved: Callable[[Any, MetricSpec], float | None] = getattr(
            importlib.import_module(module), function
        )
        return resolved


_RELOADED = "Maier-Hein, Reinke et al., Metrics reloaded, Nature Methods 21, 195-212 (2024)"
_SURFELS = (
    "surface elements of 2x2x2 (2x2) voxel neighbourhoods, weighted by their area (length), as in "
    "google-deepmind/surface-distance"
)
_VOXELS = (
    "surface voxels: those of a mask that an erosion by the 6 (2-D: 4) neighbours removes, all of "
    "equal weight, as in MONAI"
)
_NSD_PAPER = (
    "Nikolov et al., Clinically applicable segmentation of head and neck anatomy, "
    "J Med Internet Res 23(7):e26151 (2021)"
)
_TAHA = "Taha, Hanbury, Metrics for evaluating 3D medical image segmentation, BMC Med Imaging 15:29 (2015)"
_MATCHED = (
    "Lesions are the components of a mask under full connectivity (26 neighbours, 2-D: 8). Two match "
    "when their IoU reaches the declared overlap, one to one: up to an overlap of 0.5 a lesion may "
    "reach it with several others, and then as many pairs are matched as can be."
)
_CALIBRATION = (
    "over all voxels of the image, most of which are background, so that images are compared that "
    "show about the same field of view"
)


def _surface(kind: str, title: str, what: str, source: str, surface: str, *, voxel: bool) -> Metric:
    """Make the line of a surface metric in one of its two definitions."""
    name = f"{kind}_voxel" if voxel else kind
    ratio = kind == "nsd"
    return Metric(
        name=name,
        title=title,
        definition=f"{what}; {surface}.",
        reference=source,
        function=f"auditor.metrics.surface:{name}",
        unit="" if ratio else "mm",
        high=1.0 if ratio else None,
        higher_is_better=ratio,
        needs=("tolerance_mm",) if ratio else (),
    )


LINES = (
    Metric(
        name="dsc",
        title="Dice similarity coefficient (DSC)",
        definition="2 |P ∩ R| / (|P| + |R|), voxels of prediction P and reference R.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:dsc",
    ),
    Metric(
        name="iou",
        title="Intersection over union (IoU)",
        definition="|P ∩ R| / |P ∪ R|, voxels of prediction P and reference R.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:iou",
    ),
    Metric(
        name="precision",
        title="Precision",
        definition="|P ∩ R| / |P|: the share of the predicted voxels that lie in the reference.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:precision",
    ),
    Metric(
        name="sensitivity",
        title="Sensitivity",
        definition="|P ∩ R| / |R|: the share of the reference's voxels that are predicted.",
        reference=_RELOADED,
        function="auditor.metrics.overlap:sensitivity",
    ),
    Metric(
        name="specificity",
        title="Specificity",
        definition=(
            "(N - |P ∪ R|) / (N - |R|): the share of the N voxels of the image outside the reference "
            "that are not predicted. It grows with the field of view, and cannot see a total miss."
        ),
        reference=_RELOADED,
        function="auditor.metrics.overlap:specificity",
    ),
    Metric(
        name="boundary_iou",
        title="Boundary IoU",
        definition=(
            "IoU of two bands: the voxels of each mask whose centre lies at most the declared width "
            "from the centre of a voxel outside the mask (exact distances in mm), and those that "
            "share a face with one, so that a band is at least one voxel thick. Outside the image is "
            "outside."
        ),
        reference=(
            f"{_RELOADED}; Cheng et al., Boundary IoU, CVPR 2021, 15334-15342, with distances in the "
            "place of repeated erosions"
        ),
        function="auditor.metrics.boundary:boundary_iou",
        needs=("width_mm",),
    ),
    Metric(
        name="centreline_dsc",
        title="Centreline DSC (clDice)",
        definition=(
            "Harmonic mean of |S(P) ∩ R| / |S(P)| and |S(R) ∩ P| / |S(R)|, S the skeleton by "
            "scikit-image's skeletonize (2-D: Zhang-Suen, 3-D: Lee), which counts voxels and ignores "
            "the spacing. A component that the thinning erases keeps its deepest voxels."
        ),
        reference=f"{_RELOADED}; Shit et al., clDice, CVPR 2021, 16560-16569",
        function="auditor.metrics.centreline:centreline_dsc",
    ),
    Metric(
        name="volume_difference",
        title="Absolute volume difference",
        unit="ml",
        high=None,
        higher_is_better=False,
        definition=(
            "| V(P) - V(R) |: absolute difference of the volumes (2-D: areas) of prediction and "
            "reference; it does not see where the voxels lie."
        ),
        reference=_RELOADED,
        function="auditor.metrics.volume:volume_difference",
    ),
    Metric(
        name="relative_volume_difference",
        title="Relative volume difference",
        unit="%",
        high=None,
        higher_is_better=False,
        definition=(
            "100 | V(P) - V(R) | / V(R): absolute difference of the volumes in per cent of the "
            "reference's, without an upper end; it does not see where the voxels lie."
        ),
        reference=f"{_RELOADED} (absolute volume difference ratio)",
        function="auditor.metrics.volume:relative_volume_difference",
    ),
    Metric(
        name="volume_similarity",
        title="Volume similarity",
        definition=(
            "1 - | V(P) - V(R) | / (V(P) + V(R)): the DSC that masks of these volumes could have at "
            "best; it does not see where the voxels lie."
        ),
        reference=_TAHA,
        function="auditor.metrics.volume:volume_similarity",
    ),
    *(
        line
        for voxel, surface in ((False, _SURFELS), (True, _VOXELS))
        for line in (
            _surface(
                "hd95",
                f"95 % Hausdorff distance{', voxels' * voxel} (HD95{'-voxel' * voxel})",
                (
                    "The larger of the two directed 95th percentiles of the distances from one "
                    "surface to the other"
                ),
                (
                    f"{_RELOADED}; MONAI, compute_hausdorff_distance with percentile 95"
                    if voxel
                    else f"{_RELOADED}; surface-distance, compute_robust_hausdorff"
                ),
                surface,
                voxel=voxel,
            ),
            _surface(
                "hd100",
                f"Hausdorff distance{', voxels' * voxel} (HD{'-voxel' * voxel})",
                (
                    "The largest distance from one surface to the other, in either direction: one "
                    "stray voxel decides it"
                ),
                (
                    f"{_RELOADED}; MONAI, compute_hausdorff_distance"
                    if voxel
                    else f"{_RELOADED}; surface-distance, compute_robust_hausdorff at 100 %"
                ),
                surface,
                voxel=voxel,
            ),
            _surface(
                "assd",
                f"Average symmetric surface distance{', voxels' * voxel} (ASSD{'-voxel' * voxel})",
                (
                    "Mean distance to the other surface over the elements of both surfaces pooled, "
                    "so that the larger surface counts more"
                ),
                (
                    f"{_RELOADED}; MONAI, compute_average_surface_distance, symmetric"
                    if voxel
                    else f"{_RELOADED}; surface-distance, compute_average_surface_distance, pooled"
                ),
                surface,
                voxel=voxel,
            ),
            _surface(
                "masd",
                f"Mean average surface distance{', voxels' * voxel} (MASD{'-voxel' * voxel})",
                (
                    "Mean of the two directed mean distances from one surface to the other, so that "
                    "both surfaces count alike"
                ),
                (
                    f"{_RELOADED}; MONAI, compute_average_surface_distance in both directions"
                    if voxel
                    else f"{_RELOADED}; surface-distance, compute_average_surface_distance"
                ),
                surface,
                voxel=voxel,
            ),
            _surface(
                "nsd",
                f"Normalised surface distance{', voxels' * voxel} (NSD{'-voxel' * voxel})",
                (
                    "Share of both surfaces together that lies within the declared tolerance of the "
                    "other surface"
                ),
                (
                    f"{_NSD_PAPER}; MONAI, compute_surface_dice"
                    if voxel
                    else f"{_NSD_PAPER}; surface-distance, compute_surface_dice_at_tolerance"
                ),
                surface,
                voxel=voxel,
            ),
        )
    ),
    Metric(
        name="lesion_f1",
        title="Lesion-wise F1",
        definition=f"2 TP / (lesions of P + lesions of R), TP the matched pairs. {_MATCHED}",
        reference=_RELOADED,
        function="auditor.metrics.lesions:lesion_f1",
        needs=("overlap",),
    ),
    Metric(
        name="lesion_sensitivity",
        title="Lesion-wise sensitivity",
        definition=f"TP / lesions of R: the share of lesions that are found. {_MATCHED}",
        reference=_RELOADED,
        function="auditor.metrics.lesions:lesion_sensitivity",
        needs=("overlap",),
    ),
    Metric(
        name="lesion_false_positives",
        title="False-positive lesions per case",
        unit="lesions",
        high=None,
        higher_is_better=False,
        definition=(
            "Lesions of P that match none of R, a count; a second prediction of one lesion is among "
            f"them, and a total miss is not seen. {_MATCHED}"
        ),
        reference=f"{_RELOADED} (false positives per image)",
        function="auditor.metrics.lesions:lesion_false_positives",
        needs=("overlap",),
    ),
    Metric(
        name="brier",
        title="Brier score",
        higher_is_better=False,
        definition=(
            "Mean of (p - r)² over voxels, p the probability of the label and r 1 in the reference, 0 "
            f"elsewhere, {_CALIBRATION}. A total miss is hardly seen."
        ),
        reference=f"{_RELOADED}; Brier, Monthly Weather Review 78, 1-3 (1950)",
        function="auditor.metrics.calibration:brier",
        needs_probabilities=True,
    ),
    Metric(
        name="ece",
        title="Expected calibration error (ECE)",
        higher_is_better=False,
        definition=(
            "Sum over bins of (n / N) | mean p - share of the reference |, p the probability of the "
            "label and n the voxels of one of B equal bins [k / B, (k + 1) / B), the last with its "
            f"upper end; {_CALIBRATION}. A total miss is hardly seen."
        ),
        reference=(
            f"{_RELOADED}; Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using "
            "Bayesian binning, AAAI 2015, of one label against the rest"
        ),
        function="auditor.metrics.calibration:ece",
        needs=("bins",),
        needs_probabilities=True,
    ),
)
"""All lines, in the order in which reports list them."""
