"""Every stored property of a case: size, parts, texture, and the share of foreground in windows.

**Conventions.** A property belongs to one label of one case and is measured on the clean scan and the
reference that counts. An empty reference has a volume of 0 and no part, and no texture and no window:
these have the status ``reference_empty``. What a measure refuses is ``not_applicable``, with its words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auditor.errors import AuditError
from auditor.schema import Geometry, InputSpec, Status
from auditor.strata.size import components, object_volume
from auditor.strata.texture import (
    TextureDisparity,
    texture_disparity,
    texture_disparity_compat,
)
from auditor.strata.window_rules import WindowRule
from auditor.strata.windows import shares_of
from auditor.systems.preparation import fed_mask

__all__ = ["PUBLISHED_SLICES", "CaseProperty", "case_properties"]

PUBLISHED_SLICES = 8
"""That the published texture disparity reads of a scan: each costs ten times a slice of the other."""


@dataclass(frozen=True, slots=True)
class CaseProperty:
    """One property of one label of a case."""

    name: str
    """As `auditor.strata.window_rules.property_names` lists it."""
    label: str
    """Name of the label."""
    value: float | None
    """None: see `status`."""
    status: Status = Status.OK
    """ok, reference_empty, not_finite or not_applicable."""
    reason: str = ""
    """Why there is no value, or what weakens it."""
    facts: str | None = None
    """JSON object of what belongs to the value: floor and slices of a texture, number of windows."""


def case_properties(
    image: torch.Tensor,
    references: Mapping[str, torch.Tensor],
    geometry: Geometry,
    rules: Sequence[WindowRule],
    *,
    wanted: Callable[[str], bool] = lambda _: True,
) -> tuple[CaseProperty, ...]:
    """Measure everything that is stored of a case.

    Parameters
    ----------
    image : (channel, z, y, x) or (channel, y, x): the clean scan
    references : label -> bool mask of its reference
    geometry : of the scan
    rules : windows whose share of foreground is measured
    wanted : leaves out what it is False for, by the name of the property

    Returns
    -------
    Label by label, in the order of `auditor.strata.window_rules.property_names`.
    """
    found: list[CaseProperty] = []
    for label, mask in references.items():
        found += [it for it in _of_size(label, mask, geometry) if wanted(it.name)]
        if wanted("texture_disparity"):
            found.append(_texture("texture_disparity", label, texture_disparity(image, mask)))
        if wanted("texture_disparity_compat"):
            published = texture_disparity_compat(image, mask, most_slices=PUBLISHED_SLICES)
            found.append(_texture("texture_disparity_compat", label, published))
        fed: dict[InputSpec, NDArray[np.bool_]] = {}  # a sweep of windows shares one grid
        for rule in rules:
            if wanted(rule.name):
                found += _of_windows(label, mask, image, geometry, rule, fed)
    return tuple(found)


def _of_size(label: str, mask: torch.Tensor, geometry: Geometry) -> Iterator[CaseProperty]:
    volume = object_volume(mask, geometry.spacing, geometry.unit)
    yield CaseProperty("object_volume", label, volume)
    yield CaseProperty("components", label, float(components(mask)))


def _texture(name: str, label: str, found: TextureDisparity) -> CaseProperty:
    facts: dict[str, float] = {
        "slices": found.slices,
        "slices_with_object": found.slices_with_object,
    }
    if found.floor is not None and found.floor_high is not None:
        facts |= {"floor": found.floor, "floor_high": found.floor_high, "draws": found.draws}
    return CaseProperty(name, label, found.value, found.status, found.reason, json.dumps(facts))


def _of_windows(
    label: str,
    mask: torch.Tensor,
    image: torch.Tensor,
    geometry: Geometry,
    rule: WindowRule,
    fed: dict[InputSpec, NDArray[np.bool_]],
) -> Iterator[CaseProperty]:
    names = (rule.name, *rule.ends())
    try:
        if rule.grid not in fed:
            fed[rule.grid] = fed_mask(mask, image, geometry, rule.grid)
        slicewise = rule.grid.dims == 2 and mask.ndim == 3
        found = shares_of(fed[rule.grid], rule.window, slicewise=slicewise)
    except (AuditError, ValueError) as error:
        reason = str(error).splitlines()[0]
        yield from (
            CaseProperty(name, label, None, Status.NOT_APPLICABLE, reason) for name in names
        )
        return
    if found is None:
        empty = not bool(mask.any())
        reason = "no window holds a voxel of the label"
        status = Status.REFERENCE_EMPTY if empty else Status.NOT_APPLICABLE
        yield from (CaseProperty(name, label, None, status, reason) for name in names)
        return
    facts = json.dumps({"windows": found.windows, "holding": found.holding})
    for name, value in zip(names, (found.mean, found.low, found.high), strict=True):
        yield CaseProperty(name, label, value, facts=facts)
