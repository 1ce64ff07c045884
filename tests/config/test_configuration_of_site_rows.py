"""Rows of a site profile become what is applied together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from configurations import changed, write_named_files, write_yaml

from auditor.config import AuditConfig, load_config
from auditor.errors import ConfigError
from auditor.schema import encode
from auditor.schema.site import (
    SITE_VERSION,
    Placement,
    ProfiledScan,
    SeverityAxis,
    Side,
    SiteProfile,
)


def axis(name: str, unit: str, levels: tuple[float, ...]) -> SeverityAxis:
    severities = tuple(float(k) for k in range(len(levels)))
    return SeverityAxis(
        perturbation=name, unit=unit, severities=severities, levels=levels,
        median=levels, low=levels, high=levels, n=12, share=0.95,
    )  # fmt: skip


def placed(name: str, side: Side, severity: float | None) -> Placement:
    return Placement(name, 12.0, side, severity, severity, severity)


def site() -> SiteProfile:
    noise, blur = "gaussian_noise", "gaussian_blur"
    scans = (
        (placed(noise, Side.WITHIN, 1.5), placed(blur, Side.WITHIN, 0.0)),
        (placed(noise, Side.CLEANER, 0.0), placed(blur, Side.CLEANER, 0.0)),
        (placed(noise, Side.BEYOND, None), placed(blur, Side.WITHIN, 2.0)),
        (placed(noise, Side.WITHIN, 1.0), placed(blur, Side.UNDEFINED, None)),
    )
    return SiteProfile(
        version=SITE_VERSION, tool="segaudit", modality="ct", state="raw",
        scans=tuple(
            ProfiledScan(f"S{k:03d}", (3.0, 0.7, 0.7), (20, 64, 64), (), row)
            for k, row in enumerate(scans, start=1)
        ),
        run="ab" * 32,
        axes=(
            axis(noise, "HU", (0.0, 10.0, 20.0, 35.0)),
            axis(blur, "mm FWHM", (0.0, 1.5, 2.5)),
        ),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_named_files(tmp_path)
    return tmp_path


def read(
    folder: Path, profile: SiteProfile | str, grid: Mapping[str, object] | None = None
) -> AuditConfig:
    text = profile if isinstance(profile, str) else encode(profile)
    (folder / "site.json").write_text(text, encoding="utf-8")
    data = changed("perturbations/joint", grid or {"profile": "site.json"})
    return load_config(write_yaml(folder, data))


def test_each_scan_is_a_row_of_levels_that_are_applied_together(folder: Path) -> None:
    config = read(folder, site())
    spec = next(it for it in config.perturbations if it.name == "joint")
    # severity 1.5 lies half way between 10 and 20 HU; beyond severity 3 counts as 35 HU
    assert spec.options["rows"] == [
        {"gaussian_noise": 15.0},
        {},
        {"gaussian_noise": 35.0, "gaussian_blur": 2.5},
        {"gaussian_noise": 10.0},
    ]
    assert (spec.severities, spec.levels) == ((1.0,), (1.0,))
    told = " ".join(config.warnings)
    assert "1 of 4 scans of the site lie beyond the last tested severity" in told
    assert "1 of 4 scans of the site could not be placed" in told


def test_a_site_like_the_test_set_is_a_warning(folder: Path) -> None:
    like = replace(site(), scans=site().scans[1:2])
    assert "joint changes nothing" in " ".join(read(folder, like).warnings)
    assert "joint changes nothing" not in " ".join(read(folder, site()).warnings)


def test_noise_of_two_laws_is_one_noise(folder: Path) -> None:
    profile = site()
    rician = axis("rician_noise", "% of S_ref", (0.0, 3.0, 5.0))
    scans = tuple(
        replace(it, placements=(*it.placements, placed("rician_noise", Side.WITHIN, 1.0)))
        for it in profile.scans
    )
    both = replace(profile, axes=(*profile.axes, rician), scans=scans)
    spec = next(it for it in read(folder, both).perturbations if it.name == "joint")
    assert all("gaussian_noise" not in row for row in spec.options["rows"])
    assert all(row["rician_noise"] == 3.0 for row in spec.options["rows"])


@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ("{}", "must be a site.json of `segaudit profile`"),
        ("no JSON", "must be a site.json of `segaudit profile`"),
        (replace(site(), axes=()), "must hold scans that a run placed"),
        (replace(site(), scans=()), "must hold scans that a run placed"),
        (
            replace(site(), modality="mr"),
            "must be of ct scans in the state raw, as the cases are, was of mr",
        ),
    ],
)
def test_what_is_no_placed_profile_is_a_problem(
    folder: Path, profile: SiteProfile | str, told: str
) -> None:
    with pytest.raises(ConfigError, match=f"perturbations.joint: the profile {told}"):
        read(folder, profile)


def test_a_profile_is_for_joint_alone(folder: Path) -> None:
    data = changed("perturbations/gaussian_noise/profile", "site.json")
    with pytest.raises(ConfigError, match=r"perturbations.gaussian_noise: profile is for joint"):
        load_config(write_yaml(folder, data))
    both = {"profile": "site.json", "options": {"rows": [{"gaussian_noise": 5.0}]}}
    with pytest.raises(
        ConfigError, match=r"perturbations.joint: profile is for joint.*leave out options"
    ):
        read(folder, site(), both)


def test_a_missing_profile_is_a_problem_without_a_path(folder: Path) -> None:
    data = changed("perturbations/joint", {"profile": "nowhere.json"})
    with pytest.raises(ConfigError, match=r"nowhere.json is not") as raised:
        load_config(write_yaml(folder, data))
    assert str(folder) not in str(raised.value).replace(f"{folder}/audit.yaml", "")
