"""Which channel is meant: of the image, where channels are treated differently, and of the output."""

from __future__ import annotations

from typing import Any

from auditor.schema import OutputSpec

__all__ = ["channels_of", "of_channel", "per_channel"]


def per_channel(value: object) -> tuple[Any, ...] | None:
    """Return the entries of a value that is declared channel by channel.

    Parameters
    ----------
    value : of `clip`, `scale_to`, `zscore` or `affine` of an `InputSpec`.

    Returns
    -------
    One entry per channel; None when one value holds for all of them.

    Examples
    --------
    >>> per_channel((-57.0, 164.0)) is None
    True
    >>> per_channel((None, (0.0, 1.0)))
    (None, (0.0, 1.0))
    """
    if not isinstance(value, tuple) or (value and isinstance(value[0], int | float)):
        return None
    return value


def of_channel(value: Any, channel: int) -> Any:  # noqa: ANN401  # of any such field
    """Return what a value says of one channel.

    Parameters
    ----------
    value : as in `per_channel`.
    channel : counted from 0.
    """
    entries = per_channel(value)
    return value if entries is None else entries[channel]


def channels_of(spec: OutputSpec) -> dict[str, int]:
    """Find the channel of each label, counted as label numbers are.

    Parameters
    ----------
    spec : the output contract.

    Returns
    -------
    Channel by name, in the order of the labels: the number of the label where nothing else is said.
    """
    return {name: dict(spec.channels).get(name, number) for name, number in spec.labels}
