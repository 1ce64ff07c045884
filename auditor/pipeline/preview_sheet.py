"""From perturbed scans to the columns of a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditor.exhibits.contact_sheet import SheetColumn, SheetRow, contact_sheet, shared_window
from auditor.exhibits.views import View, telling_slices, views_of
from auditor.schema import Geometry
from auditor.schema.preview import Preview, PreviewedLevel, ShownPlane
from perturbations import Scan, get
from perturbations.catalog.wording import worded

__all__ = ["Cuts", "column_of", "cuts_through", "sheet_of"]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a scan is cut: the same for every level."""

    views: tuple[View, ...]
    slices: tuple[int, ...]
    """Index along the axis of each view."""
    window: tuple[float, float]
    """Intensities shown as black and white."""
    colours: bool
    """True: three channels are shown as one picture; False: the first channel is shown."""

    @property
    def shown(self) -> tuple[ShownPlane, ...]:
        """As they are stored."""
        return tuple(
            ShownPlane(view.name, view.axis or 0, index)
            for view, index in zip(self.views, self.slices, strict=True)
        )

    def through(self, image: Tensor) -> tuple[NDArray[np.float32], ...]:
        """Cut (channel, z, y, x) into one (rows, columns) or (rows, columns, 3) per view."""
        values = image.numpy()
        cuts = []
        for view, index in zip(self.views, self.slices, strict=True):
            if self.colours:
                cuts.append(np.stack([view.cut(channel, index) for channel in values[:3]], axis=-1))
            else:
                cuts.append(view.cut(values[0], index))
        return tuple(cuts)


def cuts_through(
    scan: Scan, strongest: Tensor, geometry: Geometry, window: tuple[float, float] | None
) -> Cuts:
    """Choose where to cut, by what the strongest level changes."""
    views = views_of(geometry)
    change = (strongest[0] - scan.image[0]).numpy()
    foreground = scan.foreground.numpy()
    values = scan.image.numpy()
    colours = geometry.unit == "px" and len(values) in (3, 4)
    if window is None and colours and values.min() >= 0 and values.max() <= 255:
        window = 0.0, 255.0  # as any viewer shows them
    return Cuts(
        views=views,
        slices=telling_slices(views, foreground, change),
        window=window
        or shared_window(values, foreground, modality=scan.modality, state=scan.state),
        colours=colours,
    )


def column_of(
    row: PreviewedLevel, planes: tuple[NDArray[np.float32], ...], unit: str, length: str
) -> SheetColumn:
    """Write what a level is, and what was measured, above its planes."""
    title = worded(f"{row.level:.4g}", unit)
    if row.severity is not None:
        title = f"{row.severity:.3g}: {title}"
    if row.status == "no_effect":
        return SheetColumn(title, "no effect on this scan", planes)
    told = f"NRMSE {row.nrmse:.3g}"
    if row.ssim is not None:
        told += f", SSIM {row.ssim:.3f}"
    if row.displacement is not None:
        told += f", {row.displacement:.3g} {length}"
    return SheetColumn(title, told, planes)


def sheet_of(found: Preview, columns: Sequence[SheetColumn], cuts: Cuts, channels: int) -> bytes:
    """Draw the contact sheet."""
    rows = [
        SheetRow(
            "" if view.axis is None else f"{view.name}, {'zyx'[view.axis]} = {index}",
            view.spacing,
            hung=view.hung,
        )
        for view, index in zip(cuts.views, cuts.slices, strict=True)
    ]
    usual = get(found.perturbation).options
    options = "".join(
        f", {name} {value}" for name, value in found.options.items() if value != usual[name]
    )
    several = "" if channels == 1 or cuts.colours else f", channel 1 of {channels}"
    below = f"{', '.join(found.scan)} ({found.modality}, {found.state}{several}), seed {found.seed}{options}"
    return contact_sheet(
        columns,
        rows,
        heading=(found.perturbation, below),
        window=found.window,
        difference=found.difference,
        unit="HU" if found.modality == "ct" else "",
    )
