"""Windows that are larger than the scans which they slide over: padded, and said before a run."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.config import AuditConfig
from auditor.errors import AuditError
from auditor.schema import CaseRecord, Geometry, SystemSpec
from auditor.systems.contract import canonical_text
from auditor.systems.preparation import fed_sizes

__all__ = ["windows_beyond_scans"]

_PADDING = {
    "minimum": "the minimum of each channel",
    "zero": "zero",
    "edge": "their edge",
    "reflect": "their reflection",
}


def windows_beyond_scans(
    config: AuditConfig, cases: Sequence[CaseRecord], geometries: Sequence[Geometry]
) -> tuple[str, ...]:
    """Warn of windows that are larger than scans.

    Parameters
    ----------
    config : AuditConfig
        With completed contracts.
    cases, geometries
        In the same order.

    Returns
    -------
    One sentence for each such system.
    """
    told = []
    for spec in config.systems:
        if spec.window is None:
            continue
        fed = [(case, _fed(spec, grid)) for case, grid in zip(cases, geometries, strict=True)]
        small = [(case, sizes) for case, sizes in fed if sizes and _exceeds(spec, sizes)]
        if small:
            case, sizes = small[0]
            told.append(
                f"systems.{spec.name}.window.size: {canonical_text(spec.window.size)} is larger than "
                f"{len(small)} of {len(fed)} scans as they are fed (case {case.case!r}: "
                f"{canonical_text(sizes)}); they are padded with {_PADDING[spec.window.padding]} on both "
                "sides, so that a part of every window is no image, and its share of foreground is smaller"
            )
    return tuple(told)


def _fed(spec: SystemSpec, geometry: Geometry) -> tuple[int, ...]:
    """Sizes that windows slide over; () where the contract does not fit the scan, which is told elsewhere."""
    given, count = spec.input, len(spec.window.size) if spec.window is not None else 0
    if given.size is not None:
        return given.size[-count:]
    try:
        sizes = fed_sizes(geometry, given)[-count:]
    except AuditError:
        return ()
    divisor = given.divisor or (1,) * count
    return tuple(-(-n // d) * d for n, d in zip(sizes, divisor[-count:], strict=False))


def _exceeds(spec: SystemSpec, sizes: Sequence[int]) -> bool:
    assert spec.window is not None  # asked of windows only
    return any(most > n for most, n in zip(spec.window.size, sizes, strict=False))
