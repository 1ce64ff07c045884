"""Seeds derived from who a draw is for."""

from __future__ import annotations

import hashlib
import operator

__all__ = ["check_seed", "derive_seed"]


def check_seed(seed: object) -> int:
    """Return a seed as a whole number.

    Raises
    ------
    TypeError
        When it is no whole number.
    ValueError
        When it is negative.

    Examples
    --------
    >>> check_seed(7)
    7
    """
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        msg = f"seed must be a whole number, got {seed!r}; see perturbations.derive_seed"
        raise TypeError(msg) from None
    if number < 0:
        msg = (
            f"seed must be a whole number of 0 or more, got {seed!r}; see perturbations.derive_seed"
        )
        raise ValueError(msg)
    return number


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
