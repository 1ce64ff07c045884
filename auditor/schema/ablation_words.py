"""An ablation in words, the same ones wherever a system is described."""

from __future__ import annotations

from collections.abc import Sequence

from auditor.schema.ablations import AblationSpec

__all__ = ["ablation_words", "skips_words"]

_DIGEST = 12
"""Letters of a SHA-256 that are shown."""


def ablation_words(spec: AblationSpec) -> str:
    """Say what is replaced in a network, and by what.

    Parameters
    ----------
    spec : AblationSpec
        As it was resolved.

    Examples
    --------
    >>> ablation_words(AblationSpec((1,), "mean"))
    'level 1 by mean'
    >>> ablation_words(AblationSpec((0, 1), "dose", 0.25))
    'levels 0 and 1 by dose, alpha 0.25'
    """
    strength = spec.strength
    told = {
        "zero": "zero",
        "mean": "mean",
        "blur": f"blur, sigma {strength:g} voxels" if strength is not None else "blur",
        "noise": f"noise, SD {strength:g}, seed {spec.seed}" if strength is not None else "noise",
        "dose": f"dose, alpha {strength:g}" if strength is not None else "dose",
        "image": "another image",
    }[spec.by]
    if spec.by == "image" and spec.images_sha256:
        told += f", SHA-256 {', '.join(it[:_DIGEST] for it in spec.images_sha256)}"
    return f"{skips_words(spec.skips)} by {told}"


def skips_words(skips: Sequence[int | str]) -> str:
    """Say which skip connections are meant.

    Parameters
    ----------
    skips : sequence of int or str
        As `AblationSpec` has them.

    Examples
    --------
    >>> skips_words((2, 0))
    'levels 0 and 2'
    >>> skips_words(())
    'every skip connection'
    """
    if not skips:
        return "every skip connection"
    levels = [str(it) for it in sorted(it for it in skips if isinstance(it, int))]
    names = sorted(it for it in skips if isinstance(it, str))
    told = []
    if levels:
        told.append(f"level{'s' if len(levels) > 1 else ''} {_listed(levels)}")
    if names:
        told.append(f"value{'s' if len(names) > 1 else ''} {_listed(names)}")
    return " and ".join(told)


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
