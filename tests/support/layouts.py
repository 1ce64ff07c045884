"""Folders in the layouts of nnU-Net, MSD and BIDS, with oblique, anisotropic scans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import SimpleITK
from volumes import ORIGIN_XYZ, SPACING_ZYX, box, oblique, scan, write_volume

sitk: Any = SimpleITK  # untyped


def write_json(path: Path, content: object) -> Path:
    """Write a JSON file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_nnunet(
    folder: Path,
    *,
    cases: Sequence[str] = ("liver_001", "liver_002"),
    channels: Sequence[str] = ("T1", "FLAIR"),
    parts: Sequence[str] = ("Tr",),
    **changes: Any,
) -> Path:
    """A raw dataset of nnU-Net, version 2; `changes` replace keys of its dataset.json."""
    for part in parts:
        for number, case in enumerate(cases):
            for channel in range(len(channels)):
                name = f"{case}_{channel:04d}.nii.gz"
                write_volume(folder / f"images{part}" / name, scan(10 * number + channel))
            write_volume(folder / f"labels{part}" / f"{case}.nii.gz", box())
    content = {
        "channel_names": {str(n): name for n, name in enumerate(channels)},
        "labels": {"background": 0, "liver": 1, "lesion": 2},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        **changes,
    }
    write_json(folder / "dataset.json", {k: v for k, v in content.items() if v is not None})
    return folder


def write_four_axes(path: Path, seeds: Sequence[int]) -> Path:
    """An oblique NIfTI file with one volume per seed along its fourth axis."""
    volumes = []
    for seed in seeds:
        volume = sitk.GetImageFromArray(scan(seed))
        volume.SetSpacing(SPACING_ZYX[::-1])
        volume.SetOrigin(ORIGIN_XYZ)
        volume.SetDirection(oblique().ravel())
        volumes.append(volume)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.JoinSeries(volumes), str(path))
    return path


def write_msd(
    folder: Path, *, modalities: Sequence[str] = ("T2", "ADC"), count: int = 2, **changes: Any
) -> Path:
    """A dataset of the Decathlon; several modalities are volumes along the fourth axis."""
    entries = []
    for number in range(count):
        name = f"prostate_{number:02d}.nii.gz"
        seeds = [10 * number + channel for channel in range(len(modalities))]
        if len(seeds) > 1:
            write_four_axes(folder / "imagesTr" / name, seeds)
        else:
            write_volume(folder / "imagesTr" / name, scan(seeds[0]))
        write_volume(folder / "labelsTr" / name, box())
        (folder / "imagesTr" / f"._{name}").write_bytes(b"\0")  # what macOS leaves
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    content = {
        "name": "Prostate",
        "modality": {str(n): name for n, name in enumerate(modalities)},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "numTraining": count,
        "numTest": 1,
        "training": entries,
        "test": ["./imagesTs/prostate_99.nii.gz"],
        **changes,
    }
    write_json(folder / "dataset.json", content)
    return folder


def write_bids(
    folder: Path,
    *,
    subjects: Sequence[str] = ("01", "02"),
    sessions: Sequence[str] = ("pre", "post"),
    suffixes: Sequence[str] = ("T1w",),
    pipelines: Sequence[str] = ("manual",),
    mask: str = "label-lesion_mask",
) -> Path:
    """A BIDS dataset with masks of each pipeline."""
    write_json(folder / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.10.0"})
    for subject in subjects:
        for number, session in enumerate(sessions or ("",)):
            place = f"sub-{subject}/ses-{session}/anat" if session else f"sub-{subject}/anat"
            name = f"sub-{subject}_ses-{session}" if session else f"sub-{subject}"
            for kind, suffix in enumerate(suffixes):
                seed = 100 * int(subject) + 10 * number + kind
                write_volume(folder / place / f"{name}_{suffix}.nii.gz", scan(seed))
                write_json(folder / place / f"{name}_{suffix}.json", {"SliceThickness": 4.5})
            for low, pipeline in enumerate(pipelines):
                path = folder / "derivatives" / pipeline / place / f"{name}_{mask}.nii.gz"
                write_volume(path, box((low, 2, 3), (low + 2, 5, 6)))
    return folder
