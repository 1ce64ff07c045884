"""Seeds derived from who a draw is for."""

from __future__ import annotations

import hashlib

__all__ = ["derive_seed"]


def derive_seed(audit_seed: int, case: str, perturbation: str, replicate: int = 0) -> int:
    """Derive the seed of a draw from who it is for.

    Never from a severity, a system, or the order of work: the severities of a case share one draw,
    and all systems see the same images.

    Returns
    -------
    int
        The first 8 bytes of a SHA-256, so that neighbouring names share nothing.

    Examples
    --------
    >>> derive_seed(1, "a", "rotation") == derive_seed(1, "a", "rotation", 1)
    False
    """
    text = "\x1f".join((str(audit_seed), case, perturbation, str(replicate)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
