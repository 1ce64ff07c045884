"""Which keys of audit.yaml somebody wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

__all__ = ["given_keys"]


def given_keys(shape: BaseModel) -> frozenset[str]:
    """List the dotted keys that a configuration names, sections and entries included.

    Parameters
    ----------
    shape : BaseModel
        Of the whole file, or a part of it.

    Returns
    -------
    frozenset of str
        ``{"confidence", "confidence.criteria"}`` for ``confidence: {criteria: 0.95}``.
    """
    return frozenset(_keys(shape, ""))


def _keys(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        names = {
            name: value.__class__.model_fields[name].alias or name
            for name in value.model_fields_set
        }
        entries: dict[str, object] = {names[name]: getattr(value, name) for name in names}
    elif isinstance(value, Mapping):
        entries = {str(name): entry for name, entry in value.items()}
    else:
        return
    for name, entry in entries.items():
        key = f"{path}.{name}".lstrip(".")
        yield key
        yield from _keys(entry, key)
