"""Look at what a perturbation does to one scan: volumes, a contact sheet, and a record to replay."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditor.cases import difference, read_mask, read_volume
from auditor.cases.writing import Written, suffix_of, write_like
from auditor.errors import ConfigError, DataError, StoreError
from auditor.exhibits.contact_sheet import (
    SheetColumn,
    SheetRow,
    contact_sheet,
    shared_difference,
    shared_window,
)
from auditor.exhibits.views import View, telling_slices, views_of
from auditor.pipeline.folder import tool_version
from auditor.schema import Geometry, decode, encode
from auditor.schema.preview import PREVIEW_VERSION, Preview, PreviewedLevel, ShownPlane
from perturbations import (
    Perturbation,
    Perturbed,
    Realisation,
    Scan,
    effect,
    get,
    levels_for,
    realise,
)
from perturbations.catalog import MODALITIES, admit, level_at, options_for

__all__ = ["PreviewRequest", "modality_of", "preview"]

RECORD = "preview.json"
SHEET = "contact_sheet.png"


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """What is asked for."""

    scans: tuple[Path, ...]
    """One file, or one per channel."""
    perturbation: str
    """In the catalogue."""
    out: Path
    """Folder to be written."""
    modality: str | None = None
    """None: where the perturbation is for a single one."""
    state: str = "raw"
    """raw, windowed, normalised, skull_stripped."""
    severities: tuple[float, ...] = ()
    """Empty without levels: all that are listed."""
    levels: tuple[float, ...] = ()
    """In the unit of the catalogue, instead of severities."""
    seed: int = 0
    """Of the draw."""
    region: Path | None = None
    """Mask on the grid of the scan; everything above 0 is the region."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """As the line of the catalogue names them."""
    volumes: bool = True
    """False: the picture and the record only."""
    force: bool = False
    """True: replace an earlier preview in the folder."""
    window: tuple[float, float] | None = None
    """Intensities shown as black and white; None: chosen from the scan."""


def preview(asked: PreviewRequest, *, progress: Callable[[str], None] | None = None) -> Preview:
    """Perturb one scan at several levels, and show it.

    Parameters
    ----------
    asked : PreviewRequest
        Everything that decides the outcome.
    progress : function of str, optional
        Is told every step in words.

    Returns
    -------
    Preview
        As it was written to preview.json.

    Raises
    ------
    ConfigError
        When the perturbation, a level or an option does not exist, the modality is not known, or the
        folder is in use.
    DataError
        When the scan or the region cannot be read, or the perturbation is not for it.
    StoreError
        When the folder cannot be written.
    """
    tell = progress or (lambda _: None)
    entry = _entry(asked.perturbation)
    modality = modality_of(entry, asked.modality)
    points = _points(asked, entry, modality)
    _refuse_folder(asked)
    scan, geometry = _scan(asked, modality)
    if asked.modality is None:
        tell(f"modality {modality}, the only one of {entry.name}")
    tell(f"read {', '.join(path.name for path in asked.scans)}: {_grid(geometry)}")
    try:
        drawn = realise(entry.name, scan, seed=asked.seed, **asked.options)
    except ValueError as error:
        raise DataError(str(error)) from error
    tell(f"drew {entry.name} with seed {asked.seed} ({entry.draws})")
    # where the strongest level changes the scan most is where all are cut
    strongest = max(points, key=lambda point: _strength(entry, point.level))
    extreme = _at(drawn, strongest)
    views = views_of(geometry)
    change = (extreme.image[0] - scan.image[0]).numpy()
    slices = telling_slices(views, scan.foreground.numpy(), change)
    del change
    columns = [
        SheetColumn("0: the scan as it is", "", _planes(scan.image, geometry, views, slices))
    ]
    rows, earlier = [], _files_of_earlier(asked.out)
    _make(asked.out)
    for point in points:
        result = extreme if point is strongest else _at(drawn, point)
        row = _measured(drawn, result, _store(asked, point, result))
        columns.append(
            SheetColumn(
                _title(row, result.unit), _effect(row, scan.unit),
                _planes(result.image, geometry, views, slices),
            )
        )  # fmt: skip
        rows.append(row)
        tell(f"{len(rows)} of {len(points)}: {row.level:.4g} {result.unit}")
    window = asked.window or _window(scan, geometry)
    found = Preview(
        version=PREVIEW_VERSION,
        tool=f"segaudit {tool_version()}",
        perturbation=entry.name,
        family=entry.family,
        unit=levels_for(entry.name, modality)[1],
        modality=modality,
        state=asked.state,
        seed=asked.seed,
        options=drawn.options,
        scan=tuple(path.name for path in asked.scans),
        sha256=tuple(_digest(path) for path in asked.scans),
        region=asked.region.name if asked.region else "",
        shape=scan.spatial_shape,
        spacing=scan.spacing,
        length=scan.unit,
        signals=scan.signals,
        window=window,
        difference=shared_difference(columns),
        planes=tuple(
            ShownPlane(view.name, view.axis or 0, index)
            for view, index in zip(views, slices, strict=True)
        ),
        levels=tuple(rows),
        sheet=SHEET,
    )
    _finish(asked.out, found, _drawn(found, columns, views, scan.image.shape[0]), earlier)
    return found


def modality_of(entry: Perturbation, given: str | None) -> str:
    """Return the modality that was declared, or the only one that a perturbation is for.

    Raises
    ------
    ConfigError
        When it is not known, or the perturbation is not for it.
    """
    if given is None:
        if len(entry.modalities) == 1:
            return entry.modalities[0]
        msg = (
            f"the modality of the scan must be declared, for it decides the levels of {entry.name}; "
            f"add --modality with one of {', '.join(entry.modalities or MODALITIES)}"
        )
        raise ConfigError(msg)
    try:
        levels_for(entry.name, given)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return given


@dataclass(frozen=True, slots=True)
class _Point:
    """One level to be shown."""

    severity: float | None
    """None: declared as a level."""
    level: float


def _entry(name: str) -> Perturbation:
    try:
        return get(name)
    except ValueError as error:
        msg = f"{error} (segaudit ls perturbations lists them)"
        raise ConfigError(msg) from error


def _points(asked: PreviewRequest, entry: Perturbation, modality: str) -> list[_Point]:
    """Check every severity, level and option before a scan is read."""
    if asked.severities and asked.levels:
        msg = "give severities or levels, not both: --severities 1,3,5 or --levels 10,20"
        raise ConfigError(msg)
    listed, _ = levels_for(entry.name, modality)
    severities = asked.severities or tuple(float(n + 1) for n in range(len(listed)))
    try:
        options_for(entry.name, asked.options)
        if asked.levels:
            for level in asked.levels:
                admit(entry.name, level, modality)
            return [_Point(None, level) for level in dict.fromkeys(asked.levels)]
        return [
            _Point(severity, level_at(entry.name, severity, modality))
            for severity in dict.fromkeys(severities)
        ]
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _strength(entry: Perturbation, level: float) -> float:
    if entry.scale == "log" and level > 0 and entry.neutral > 0:
        return abs(math.log(level / entry.neutral))
    return abs(level - entry.neutral)


def _at(drawn: Realisation, point: _Point) -> Perturbed:
    try:
        if point.severity is None:
            return drawn.at(level=point.level)
        return drawn.at(severity=point.severity)
    except ValueError as error:
        raise DataError(str(error)) from error


def _scan(asked: PreviewRequest, modality: str) -> tuple[Scan, Geometry]:
    image, geometry = read_volume([str(path) for path in asked.scans])
    region = None
    if asked.region is not None:
        mask, grid = read_mask(str(asked.region))
        if told := difference(geometry, grid):
            msg = (
                f"{asked.scans[0].name} and {asked.region.name} must lie on one grid: {told}; "
                "resample the mask yourself, nothing is resampled silently"
            )
            raise DataError(msg)
        region = mask > 0
    try:
        scan = Scan(
            image=image,
            spacing=geometry.spacing,
            unit=geometry.unit,
            modality=modality,
            state=asked.state,
            region=region,
        )
    except ValueError as error:
        raise DataError(str(error)) from error
    if get(asked.perturbation).uses_region and asked.region is None:
        msg = (
            f"{asked.perturbation} needs to know where the object is: add --region with a mask on the "
            "grid of the scan; everything above 0 in it counts"
        )
        raise ConfigError(msg)
    return scan, geometry


def _planes(
    image: Tensor, geometry: Geometry, views: tuple[View, ...], slices: tuple[int, ...]
) -> tuple[NDArray[np.float32], ...]:
    """Cut the first channel; all three of a picture in colours."""
    values = image.numpy()
    cuts = []
    for view, index in zip(views, slices, strict=True):
        if _in_colours(geometry, len(values)):
            cuts.append(np.stack([view.cut(channel, index) for channel in values[:3]], axis=-1))
        else:
            cuts.append(view.cut(values[0], index))
    return tuple(cuts)


def _in_colours(geometry: Geometry, channels: int) -> bool:
    return geometry.unit == "px" and channels in (3, 4)


def _window(scan: Scan, geometry: Geometry) -> tuple[float, float]:
    values = scan.image.numpy()
    if _in_colours(geometry, len(values)) and values.min() >= 0 and values.max() <= 255:
        return 0.0, 255.0
    return shared_window(values, scan.foreground.numpy(), modality=scan.modality, state=scan.state)


def _measured(
    drawn: Realisation, result: Perturbed, stored: tuple[tuple[str, ...], tuple[Written, ...]]
) -> PreviewedLevel:
    names, written = stored
    found = effect.measure(drawn.scan, result.image)
    moved = result.warp
    return PreviewedLevel(
        severity=result.severity,
        level=result.level,
        status=result.status,
        reason=result.reason,
        nrmse=found.nrmse,
        psnr=found.psnr,
        ssim=found.ssim,
        contrast_to_noise=found.contrast_to_noise,
        retained=None if moved is None else float(moved.retained.float().mean()),
        displacement=float(moved.displacement().mean()) if moved and moved.moves else None,
        files=names,
        dtype=written[0].dtype if written else "",
        clipped=max((it.clipped for it in written), default=0.0),
        record=drawn.record(result.level),
    )


def _title(row: PreviewedLevel, unit: str) -> str:
    level = f"{row.level:.4g} {unit}"
    return level if row.severity is None else f"{row.severity:.3g}: {level}"


def _effect(row: PreviewedLevel, length: str) -> str:
    """Write what was measured in one line."""
    if row.status == "no_effect":
        return "no effect on this scan"
    told = f"NRMSE {row.nrmse:.3g}"
    if row.ssim is not None:
        told += f", SSIM {row.ssim:.3f}"
    if row.displacement is not None:
        told += f", {row.displacement:.3g} {length}"
    return told


def _drawn(
    found: Preview, columns: list[SheetColumn], views: tuple[View, ...], channels: int
) -> bytes:
    rows = [
        SheetRow(
            view.name if view.axis is None else f"{view.name}, {'zyx'[view.axis]} = {plane.slice}",
            view.spacing,
            hung=view.hung,
        )
        for view, plane in zip(views, found.planes, strict=True)
    ]
    options = "".join(f", {name} {value}" for name, value in found.options.items())
    several = (
        "" if channels == 1 or columns[0].planes[0].ndim == 3 else f", channel 1 of {channels}"
    )
    below = f"{', '.join(found.scan)} ({found.modality}, {found.state}{several}), seed {found.seed}{options}"
    return contact_sheet(
        columns,
        rows,
        heading=(found.perturbation, below),
        window=found.window,
        difference=found.difference,
        unit="HU" if found.modality == "ct" else "",
    )


def _grid(geometry: Geometry) -> str:
    sizes = " x ".join(str(size) for size in geometry.shape)
    spacing = " x ".join(f"{value:.4g}" for value in geometry.spacing)
    return f"{sizes} voxels of {spacing} {geometry.unit}"


def _refuse_folder(asked: PreviewRequest) -> None:
    if asked.out.is_dir() and not any(asked.out.iterdir()):
        return
    if asked.out.exists() and not (asked.force and asked.out.is_dir()):
        msg = (
            f"{asked.out} exists already; give another folder with -o, or add --force to replace the "
            "preview in it"
            if asked.out.is_dir()
            else f"-o must be a folder, {asked.out} is a file"
        )
        raise ConfigError(msg)


def _files_of_earlier(folder: Path) -> tuple[str, ...]:
    """Names of the files that an earlier preview wrote; nothing else is ever removed."""
    try:
        earlier = decode((folder / RECORD).read_text(encoding="utf-8"), Preview)
    except (OSError, ValueError):
        return ()
    return tuple(name for row in earlier.levels for name in row.files)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the folder {folder.name} could not be made: {error.strerror}"
        raise StoreError(msg) from error


def _store(
    asked: PreviewRequest, point: _Point, result: Perturbed
) -> tuple[tuple[str, ...], tuple[Written, ...]]:
    """Write the volumes of one level; tell their names."""
    if not asked.volumes:
        return (), ()
    at = f"level_{point.level:g}" if point.severity is None else f"s{point.severity:g}"
    names: list[str] = []
    for number, path in enumerate(asked.scans, start=1):
        ending = path.name[-7:] if path.name.lower().endswith(".nii.gz") else path.suffix
        name = f"{path.name[: -len(ending)]}_{asked.perturbation}_{at}"
        name += (
            suffix_of(path)
            if name + suffix_of(path) not in names
            else f"_{number}{suffix_of(path)}"
        )
        names.append(name)
    written = write_like([asked.out / name for name in names], result.image, asked.scans)
    return tuple(names), written


def _finish(folder: Path, found: Preview, sheet: bytes, earlier: tuple[str, ...]) -> None:
    """Write the picture, then the record: a folder with a record is complete."""
    written = {name for row in found.levels for name in row.files}
    try:
        (folder / SHEET).write_bytes(sheet)
        (folder / RECORD).write_text(encode(found), encoding="utf-8")
        for name in earlier:
            if name not in written and name == Path(name).name:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        msg = f"{folder.name} could not be written: {error.strerror}"
        raise StoreError(msg) from error


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
