"""Look at what a perturbation does to one scan: volumes, a contact sheet, and a record to replay."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditor.cases import difference, read_mask, read_volume
from auditor.cases.writing import Written, write_like
from auditor.errors import ConfigError, DataError
from auditor.exhibits.contact_sheet import SheetColumn, shared_difference
from auditor.pipeline.folder import tool_version
from auditor.pipeline.preview_folder import (
    SHEET,
    files_of_earlier,
    filling,
    finish,
    refuse_folder,
    volume_names,
)
from auditor.pipeline.preview_sheet import Cuts, column_of, cuts_through, sheet_of
from auditor.schema import Geometry
from auditor.schema.preview import PREVIEW_VERSION, Preview, PreviewedLevel
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
from perturbations.catalog.wording import worded

__all__ = ["PreviewRequest", "modality_of", "preview"]


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
        folder is in use or cannot be made.
    DataError
        When the scan or the region cannot be read, or the perturbation is not for it.
    StoreError
        When the folder cannot be written.
    """
    tell = progress or (lambda _: None)
    entry = _entry(asked.perturbation)
    modality = modality_of(entry, asked.modality)
    points = _points(asked, entry, modality)
    refuse_folder(asked.out, force=asked.force)
    earlier = files_of_earlier(asked.out)
    with filling(asked.out) as names:
        scan, geometry = _scan(asked, modality)
        if asked.modality is None:
            tell(f"modality {modality}, the only one of {entry.name}")
        tell(f"read {', '.join(path.name for path in asked.scans)}: {_grid(geometry)}")
        try:
            drawn = realise(entry.name, scan, seed=asked.seed, **asked.options)
        except ValueError as error:
            raise DataError(str(error)) from error
        tell(f"drew {entry.name} with seed {asked.seed} ({entry.draws})")
        rows, columns, cuts = _levels(asked, drawn, points, geometry, names, tell)
        found = _told(asked, drawn, rows, columns, cuts)
        finish(asked.out, found, sheet_of(found, columns, cuts, scan.image.shape[0]), earlier)
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


def _levels(
    asked: PreviewRequest,
    drawn: Realisation,
    points: Sequence[_Point],
    geometry: Geometry,
    names: list[str],
    tell: Callable[[str], None],
) -> tuple[list[PreviewedLevel], list[SheetColumn], Cuts]:
    """Evaluate, store, measure and cut every level; at most two of them are held at once."""
    scan = drawn.scan
    # where the strongest level changes the scan most is where all are cut
    strongest = max(points, key=lambda point: _strength(drawn.entry, point.level))
    extreme = _at(drawn, strongest)
    cuts = cuts_through(scan, extreme.image, geometry, asked.window)
    columns = [SheetColumn("0: the scan as it is", "", cuts.through(scan.image))]
    rows = []
    for point in points:
        result = extreme if point is strongest else _at(drawn, point)
        row = _measured(drawn, result, *_stored(asked, point, result, names))
        rows.append(row)
        columns.append(column_of(row, cuts.through(result.image), result.unit, scan.unit))
        tell(f"{len(rows)} of {len(points)}: {worded(f'{row.level:.4g}', result.unit)}")
    return rows, columns, cuts


def _stored(
    asked: PreviewRequest, point: _Point, result: Perturbed, names: list[str]
) -> tuple[tuple[str, ...], tuple[Written, ...]]:
    """Write the volumes of one level; tell their names."""
    if not asked.volumes:
        return (), ()
    at = f"s{point.severity:.10g}" if point.severity is not None else f"level_{point.level:.10g}"
    files = volume_names(asked.scans, asked.perturbation, at)
    names.extend(files)
    return files, write_like([asked.out / name for name in files], result.image, asked.scans)


def _told(
    asked: PreviewRequest,
    drawn: Realisation,
    rows: Sequence[PreviewedLevel],
    columns: Sequence[SheetColumn],
    cuts: Cuts,
) -> Preview:
    entry, scan = drawn.entry, drawn.scan
    return Preview(
        version=PREVIEW_VERSION,
        tool=f"segaudit {tool_version()}",
        perturbation=entry.name,
        family=entry.family,
        unit=drawn.listed[1],
        modality=scan.modality,
        state=scan.state,
        seed=asked.seed,
        options=drawn.options,
        scan=tuple(path.name for path in asked.scans),
        sha256=tuple(_digest(path) for path in asked.scans),
        region=asked.region.name if asked.region else "",
        shape=scan.spatial_shape,
        spacing=scan.spacing,
        length=scan.unit,
        signals=scan.signals,
        window=cuts.window,
        difference=shared_difference(columns),
        planes=cuts.shown,
        levels=tuple(rows),
        sheet=SHEET,
    )


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


def _measured(
    drawn: Realisation, result: Perturbed, names: tuple[str, ...], written: tuple[Written, ...]
) -> PreviewedLevel:
    found = effect.measure(drawn.scan, result.image)
    if not all(map(math.isfinite, (found.nrmse, found.ssim or 0.0, found.psnr or 0.0))):
        msg = (
            "the values of the scan are too large for its changes to be measured; rescale the scan"
        )
        raise DataError(msg)
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


def _grid(geometry: Geometry) -> str:
    sizes = " x ".join(str(size) for size in geometry.shape)
    spacing = " x ".join(f"{value:.4g}" for value in geometry.spacing)
    return f"{sizes} voxels of {spacing} {geometry.unit}"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
