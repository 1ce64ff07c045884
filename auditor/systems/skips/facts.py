"""What a report and `segaudit skips` tell of a network: the record of its description that is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditor.schema import NetworkFacts, NetworkLevel, NetworkSkip
from auditor.systems.description import Description
from auditor.systems.skips.rule import Skips

__all__ = ["network_facts", "skip_facts"]

_OPAQUE = ("If", "Loop", "Scan", "SequenceMap", "cond", "while_loop")
"""Operators with a body of their own, which is not looked into."""


def network_facts(description: Description, systems: Sequence[str] = ()) -> NetworkFacts:
    """Take over what of a description concerns skip connections.

    Parameters
    ----------
    description : of one forward pass.
    systems : names of the systems with this checkpoint.

    Returns
    -------
    The facts; without skips and with a note when they could not be looked for.
    """
    counts = {it.name: it.count for it in description.operators}
    opaque = [f"{name} ({counts[name]})" for name in _OPAQUE if name in counts]
    remarks = []
    if opaque:
        remarks.append(
            f"the network has operators with a body of their own, {', '.join(opaque)}; skip connections "
            "inside of them are not seen"
        )
    if description.skips is None:
        return NetworkFacts(
            systems=tuple(systems), fed=description.fed, skips=(), complete=False, minimal=False,
            coarsest=(), note=description.skips_note or "no forward pass could be recorded",
            remarks=tuple(remarks),
        )  # fmt: skip
    return skip_facts(description.skips, description.fed, systems=systems, remarks=remarks)


def skip_facts(
    skips: Skips, fed: Sequence[int], *, systems: Sequence[str] = (), remarks: Sequence[str] = ()
) -> NetworkFacts:
    """Turn the skip connections of a recording into the record that is stored.

    Parameters
    ----------
    skips : as they were found.
    fed : shape of what was fed, (1, channel, *sizes).
    systems : names of the systems with this checkpoint.
    remarks : what else may be missing, in sentences.
    """
    return NetworkFacts(
        systems=tuple(systems),
        fed=tuple(fed),
        skips=tuple(
            NetworkSkip(
                level=it.level, resolution=it.resolution, channels=it.channels, source=it.source,
                operator=it.operator, nested=it.nested, places=len(it.edges),
            )
            for it in skips.found
        ),
        complete=skips.complete,
        minimal=skips.minimal,
        coarsest=skips.coarsest,
        levels=tuple(NetworkLevel(it.resolution, it.down, it.up) for it in skips.levels),
        remarks=(*remarks, *_of_size(skips)),
    )  # fmt: skip


def _of_size(skips: Skips) -> Iterator[str]:
    if skips.one_voxel:
        yield (
            "a convolution works on a single voxel at this size, and a level of one voxel hides the skip "
            "connection around it; a larger input may show more"
        )
