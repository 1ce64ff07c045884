"""What `segaudit check` says of declared certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from auditor.cli.progress import duration

if TYPE_CHECKING:
    from auditor.pipeline.certificate_look import CertificateLook

__all__ = ["lines_of_certificates"]


def lines_of_certificates(looks: Sequence[CertificateLook]) -> Iterator[str]:
    """Tell who calibrates, what it costs, and what it can promise at best."""
    for it in looks:
        yield (
            f"certificate {it.system}, {it.label}: {it.patients} patients with {it.scans} scans calibrate; a "
            f"bound at alpha {it.alpha:g} needs {it.needed} patients in a bin of noise, one that also holds "
            f"with an unlucky calibration set (delta {it.delta:g}) {it.needed_pac}"
        )
        spent = "" if it.seconds is None else f", about {duration(it.seconds)} on one worker"
        told = f" ({', '.join(it.copies)})" if it.copies else ""
        yield (
            f"           {len(it.copies)} mild copies of a scan{told}: {it.passes} more forward "
            f"passes{spent}"
        )
        for note in it.notes:
            yield f"           {note}"
