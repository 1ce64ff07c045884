"""The catalogue's own levels, held against the design table of this project.

The values are typed out of the table whose rules docs/perturbations.md tells; they were not read from the
catalogue. Where the catalogue departs from the table, the comment says why.
"""

from __future__ import annotations

import pytest

from perturbations import CATALOG
from perturbations.catalog import levels_for

Row = tuple[str, str, str, tuple[float, ...]]

ROWS: list[Row] = [
    # name, modality, unit, severities 1 to 5
    ("gaussian_noise", "mr", "% of S_ref", (3, 6, 9, 15, 25)),
    ("gaussian_noise", "ct", "HU", (10, 20, 35, 60, 100)),
    ("gaussian_noise", "microscopy", "% of S_ref", (3, 6, 9, 15, 25)),
    ("rician_noise", "mr", "% of S_ref", (3, 5, 9, 15, 25)),
    ("noncentral_chi_noise", "mr", "% of S_ref", (1, 2, 3, 5, 8)),
    ("poisson_noise", "xray", "of the dose", (0.5, 0.25, 0.125, 0.0625, 0.03125)),
    ("ct_dose", "ct", "of the dose", (0.5, 0.25, 0.125, 0.0625, 0.03125)),
    ("speckle_noise", "other", "sd of the factor", (0.10, 0.15, 0.20, 0.30, 0.45)),
    ("ultrasound_speckle", "us", "mixing fraction", (0.1, 0.2, 0.35, 0.5, 0.7)),
    ("salt_and_pepper", "xray", "of the voxels", (0.001, 0.003, 0.01, 0.03, 0.08)),
    ("gaussian_blur", "mr", "mm FWHM", (1.5, 2.5, 4, 6, 9)),
    ("gaussian_blur", "ct", "mm FWHM", (1.5, 2.5, 4, 6, 9)),
    ("gaussian_blur", "us", "px FWHM", (1, 2, 3, 4, 6)),
    ("motion_blur", "us", "px", (3, 5, 9, 13, 19)),
    # mm in the table; its source tells why pixels
    ("motion_blur", "xray", "px", (3, 5, 9, 13, 19)),
    ("motion_blur", "other", "mm", (3, 5, 9, 13, 19)),
    ("defocus", "microscopy", "px", (2, 3, 5, 7, 9)),
    # not in the table, which knows defocus of displays alone
    ("defocus", "other", "mm", (2, 3, 5, 7, 9)),
    ("thick_slices", "mr", "x native thickness", (1.5, 2, 3, 4, 6)),
    ("low_resolution", "mr", "x native pixel", (1.25, 1.5, 2, 3, 4)),
    ("low_resolution", "xray", "x native pixel", (1.25, 1.5, 2, 3, 4)),
    ("bias_field", "mr", "% INU", (20, 40, 60, 80, 100)),
    ("gamma_up", "mr", "exponent", (1.1, 1.25, 1.5, 1.8, 2.2)),
    ("gamma_down", "mr", "exponent", (1 / 1.1, 1 / 1.25, 1 / 1.5, 1 / 1.8, 1 / 2.2)),
    ("contrast_loss", "mr", "factor", (0.9, 0.75, 0.6, 0.45, 0.3)),
    ("intensity_shift", "mr", "% of S_ref", (3, 6, 10, 15, 25)),
    ("intensity_shift", "ct", "HU", (4, 8, 15, 30, 60)),
    ("intensity_scale", "mr", "slope", (1.05, 1.1, 1.2, 1.35, 1.5)),
    ("intensity_scale", "ct", "slope about -1000 HU", (1.01, 1.02, 1.04, 1.08, 1.15)),
    ("quantisation", "us", "bits", (8, 7, 6, 5, 4)),
    ("jpeg", "us", "quality", (90, 70, 50, 30, 10)),
    ("motion", "mr", "deg", (1, 2, 3, 5, 8)),
    ("ghosting", "mr", "% ghost to parent", (5, 10, 15, 25, 40)),
    # not in the table, which knows ghosts of one kind: the catalogue's own choice
    ("epi_ghosting", "mr", "% ghost to parent", (2, 5, 10, 20, 40)),
    ("spike", "mr", "% of S_ref", (3, 6, 12, 25, 50)),
    ("gibbs", "mr", "kept fraction of native k", (0.85, 0.7, 0.55, 0.45, 0.35)),
    ("zipper", "mr", "% of S_ref", (10, 25, 50, 100, 200)),
    ("wraparound", "mr", "% of the foreground's extent", (5, 10, 15, 20, 30)),
    ("beam_hardening", "ct", "HU at the centre", (20, 40, 70, 110, 160)),
    ("ring_artefact", "ct", "HU", (5, 10, 20, 40, 70)),
    ("metal_streaks", "ct", "HU", (50, 100, 200, 400, 800)),
    ("rotation", "mr", "deg", (3, 6, 10, 15, 25)),
    ("rotation", "us", "deg", (3, 6, 10, 15, 25)),
    ("translation", "mr", "mm", (5, 10, 20, 30, 40)),
    ("translation", "xray", "% of the side", (2, 4, 8, 12, 16)),
    ("scaling", "mr", "factor", (1.05, 1.1, 1.15, 1.2, 1.3)),
    ("elastic", "ct", "mm at most", (2, 4, 6, 9, 12)),
    ("elastic", "microscopy", "% of the side at most", (0.5, 1, 1.5, 2, 3)),
    ("crop", "mr", "% of the extent", (5, 10, 20, 30, 40)),
    ("missing_slices", "ct", "% of the slices", (2, 5, 10, 15, 25)),
    ("occlusion", "us", "% of the area", (1, 3, 6, 10, 15)),
    ("shadow", "us", "dB", (3, 5, 7, 10, 16)),
    ("depth_attenuation", "us", "dB at full depth", (3, 6, 10, 15, 20)),
    ("texture_blend", "mr", "share", (0.2, 0.4, 0.6, 0.8, 0.9)),
    # the same levels, the other side of the reference
    ("texture_blend_foreground", "mr", "share", (0.2, 0.4, 0.6, 0.8, 0.9)),
]


@pytest.mark.parametrize(("name", "modality", "unit", "values"), ROWS)
def test_levels_and_units_are_those_of_the_design_table(
    name: str, modality: str, unit: str, values: tuple[float, ...]
) -> None:
    levels, told = levels_for(name, modality)
    assert levels == pytest.approx(values, rel=1e-12)
    assert told == unit


def test_the_table_holds_every_line_of_this_catalogue() -> None:
    own = {
        n for n, entry in CATALOG.items() if not entry.protocol and entry.family != "acquisition"
    }
    assert {name for name, *_ in ROWS} == own


def test_every_modality_reads_one_of_the_rows_that_were_typed_out() -> None:
    typed = {(name, unit, tuple(map(float, values))) for name, _, unit, values in ROWS}
    for name, entry in CATALOG.items():
        for row in (entry.body, entry.ct, entry.display):
            if row is not None and not entry.protocol and entry.family != "acquisition":
                assert (name, row.unit, row.values) in typed


@pytest.mark.parametrize(
    ("name", "option", "declared"),
    [
        ("motion", "translation_mm", ((1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (5.0, 6.0), (8.0, 10.0))),
        ("noncentral_chi_noise", "coils", 8),
        ("poisson_noise", "counts", 1000.0),
        ("ultrasound_speckle", "dynamic_range_db", 60.0),
    ],
)
def test_what_the_design_table_declares_beside_a_level_is_the_default(
    name: str, option: str, declared: object
) -> None:
    assert CATALOG[name].options[option] == declared
