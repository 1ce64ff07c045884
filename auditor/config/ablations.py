"""`ablate` in the entry of a system: which skip connections are replaced, and by what.

What an ablation needs beside `skip` and `by` is exactly the strength of its kind: a number that means
nothing is refused like one that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from auditor.config.problems import Problems
from auditor.errors import AuditError, ConfigError
from auditor.schema import (
    ABLATION_KINDS,
    AblationKind,
    AblationSpec,
    CriterionSpec,
    SystemSpec,
    ablation_words,
)

__all__ = [
    "AblateShape",
    "ablations_alone",
    "as_used",
    "claims_on_ablations",
    "laid_over",
    "name_of_ablation",
    "read_ablation",
]

_ALL = "all"
"""Of `skip`: every skip connection."""

_STRENGTHS: Mapping[str, tuple[AblationKind, str]] = {
    "sigma": ("blur", "SD of the Gaussian in voxels of the activation, as 2"),
    "sd": ("noise", "SD of the noise in SDs of each channel, as 0.5"),
    "alpha": ("dose", "the factor of the activation, as 0.5 (1 leaves it as it is)"),
    "image": ("image", "path of another scan, or a list of one file a channel"),
}
"""Key -> the kind that needs it, and what it is."""
_OF_A_KIND = {key: kind for key, (kind, _) in _STRENGTHS.items()} | {"seed": "noise"}
"""Key -> the only kind to which it means something."""


def _skip(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    listed = value if isinstance(value, list) else [value]
    right = all(
        (type(it) is int and it >= 0) or (isinstance(it, str) and it.strip()) for it in listed
    )
    if not right or not listed or (isinstance(value, list) and _ALL in value):
        msg = (
            "must be a level from 0 on (the finest), the name of a value, a list of them, or all; "
            "`segaudit skips` lists levels and names"
        )
        raise ValueError(msg)
    if len(set(listed)) < len(listed):
        msg = "must name each level or value once"
        raise ValueError(msg)
    return value


def _image(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(it, str) and it for it in listed):
        msg = "must be the path of a scan, or a list of one file a channel"
        raise ValueError(msg)
    return value


_NAME = {"type": "string", "minLength": 1}
_LEVEL = {"type": "integer", "minimum": 0}

Skip = Annotated[
    Any,
    PlainValidator(_skip),
    WithJsonSchema(
        {
            "anyOf": [
                _LEVEL,
                _NAME,
                {"type": "array", "items": {"anyOf": [_LEVEL, _NAME]}, "minItems": 1},
            ]
        }
    ),
]
Image = Annotated[
    Any,
    PlainValidator(_image),
    WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1}]}),
]


class AblateShape(BaseModel):
    """What is replaced in the network, and by what; `skip`, `by` and the strength that fits."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    skip: Skip | None = None
    """Level (0 is the finest), name of a value, a list of them, or all."""
    by: AblationKind | None = None
    """zero, mean (of each channel), blur, noise, dose (alpha times the activation), or image."""
    sigma: Annotated[float, Field(gt=0.0)] | None = None
    """blur: SD of the Gaussian, in voxels of the activation."""
    sd: Annotated[float, Field(gt=0.0)] | None = None
    """noise: SD, in SDs of each channel."""
    alpha: float | None = None
    """dose: factor; 1 leaves everything as it is."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """noise: another seed, other noise; 0 by default."""
    image: Image | None = None
    """image: path of another scan, or one file a channel."""


def laid_over(below: Mapping[str, Any] | None, above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what an entry says of an ablation over what it inherits.

    Parameters
    ----------
    below, above : mapping
        Keys of `AblateShape`; None: nothing is ablated there.

    Returns
    -------
    dict
        Another `by` takes the strength of the inherited one away.
    """
    kept = dict(below or {})
    if "by" in above and above["by"] != kept.get("by"):
        kept = {key: value for key, value in kept.items() if key not in _OF_A_KIND}
    return {**kept, **above}


def name_of_ablation(key: str, value: object) -> str:
    """Write one key of an ablation as a part of a name.

    Parameters
    ----------
    key : str
        Of `AblateShape`.
    value : object
        As it was accepted there.

    Examples
    --------
    >>> (
    ...     name_of_ablation("skip", [1, 2]),
    ...     name_of_ablation("sd", 0.25),
    ...     name_of_ablation("by", "mean"),
    ... )
    ('1x2', 'sd-0.25', 'mean')
    """
    if key in {"skip", "image"}:
        listed = value if isinstance(value, list) else [value]
        words = [Path(str(it)).name.partition(".")[0] if key == "image" else it for it in listed]
        return "x".join(_plain(str(it)) for it in words)
    if key == "by":
        return str(value)
    return f"{key}-{value:g}" if isinstance(value, float) else f"{key}-{value}"


def _plain(text: str) -> str:
    """Keep what the name of a system may hold."""
    kept = "".join(it if it.isascii() and (it.isalnum() or it in "._+-") else "-" for it in text)
    return kept.strip("-") or "value"


def read_ablation(
    where: str,
    given: Mapping[str, Any] | None,
    spec: SystemSpec,
    *,
    folder: Path,
    refused: str,
    problems: Problems,
) -> SystemSpec:
    """Read what a system replaces in its network.

    Parameters
    ----------
    where : str
        Path of the system: ``systems.vendor-a``.
    given : mapping or None
        Keys of `AblateShape`, those it inherits included; None: nothing is replaced.
    spec : SystemSpec
        The system without its ablation.
    folder : Path
        Of the configuration; the other scan is relative to it.
    refused : str
        Why this system cannot be ablated; empty when it can.
    problems : list of str
        Sentences are added to it.

    Returns
    -------
    SystemSpec
        With the ablation, and without the maker's golden pairs and claims, which are about the
        network as it is; as it was given when there is none.
    """
    if given is None:
        return spec
    where = f"{where}.ablate"
    unread = replace(spec, ablation=AblationSpec())  # so that nobody takes it for one that is used
    if refused:
        problems.append(f"{where}: must be left out, {refused}")
        return unread
    told = list(_lacking(given))
    problems += [f"{where}.{it}" for it in told]
    files: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    if given.get("by") == "image" and given.get("image") is not None:
        files = _listed(given["image"])
        paths = tuple(str(folder / it) for it in files)
        read = problems.attempt(f"{where}.image", partial(_identified, paths, files, spec))
        files, digests = paths, read or ()
    if told:
        return unread
    by = given["by"]
    key = next((key for key, (kind, _) in _STRENGTHS.items() if kind == by), None)
    strength = None if key in {None, "image"} else float(given[str(key)])
    ablation = AblationSpec(
        skips=_ordered(given["skip"]),
        by=by,
        # the same identity for -0 and 0
        strength=None if strength is None else strength + 0.0,
        seed=given.get("seed") or 0,
        images=files,
        images_sha256=digests,
    )
    return replace(spec, ablation=ablation, golden=None, claimed=(), claimed_source="")


def _lacking(given: Mapping[str, Any]) -> Iterator[str]:
    """Name what is missing, and what means nothing."""
    by = given.get("by")
    if given.get("skip") is None:
        yield (
            "skip: is required, a level (0 is the finest), the name of a value, a list of them, or all; "
            "`segaudit skips` lists levels and names"
        )
    if by is None:
        yield f"by: is required, one of {', '.join(ABLATION_KINDS)}"
        return
    for key, (kind, what) in _STRENGTHS.items():
        if kind == by and given.get(key) is None:
            yield f"{key}: is required with by: {by}, {what}"
    for key, owner in _OF_A_KIND.items():
        if owner != by and given.get(key) is not None:
            yield f"{key}: must be left out with by: {by}, it belongs to by: {owner}"


def _listed(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _ordered(given: Any) -> tuple[int | str, ...]:  # noqa: ANN401  # what `_skip` accepted
    """Levels first, rising, then names: their order changes nothing."""
    if given == _ALL:
        return ()
    listed = given if isinstance(given, list) else [given]
    levels = sorted(it for it in listed if isinstance(it, int))
    return (*levels, *sorted(it for it in listed if isinstance(it, str)))


def _identified(paths: Sequence[str], names: Sequence[str], spec: SystemSpec) -> tuple[str, ...]:
    """SHA-256 of every file of the other scan, which must be readable and have the system's channels."""
    # a plan that needs no scan stays small
    from auditor.volumes.digests import image_digest
    from auditor.volumes.images import read_volume
    from auditor.volumes.selectors import file_of

    missing = [name for name, path in zip(names, paths, strict=True) if not file_of(path).is_file()]
    if missing:
        msg = (
            f"must be a file, {', '.join(map(repr, missing))} is none (paths are relative to the "
            "configuration)"
        )
        raise ConfigError(msg)
    try:
        image, _ = read_volume(paths)
        digests = tuple(map(image_digest, paths))
    except AuditError as error:
        raise ConfigError(str(error)) from error
    channels = spec.input.channels
    if "input.channels" in dict(spec.sources) and len(image) != channels:
        msg = f"must hold the {channels} channel(s) of input.channels, holds {len(image)}"
        raise ConfigError(msg)
    return digests


def as_used(systems: Sequence[SystemSpec]) -> tuple[SystemSpec, ...]:
    """Keep the systems of which nothing is ablated."""
    return tuple(spec for spec in systems if spec.ablation is None)


def ablations_alone(systems: Sequence[SystemSpec]) -> list[str]:
    """Warn of ablated systems beside which the same system does not run as it is.

    Returns
    -------
    One sentence each.
    """
    whole = {_alike(spec) for spec in as_used(systems)}
    return [
        f"systems.{spec.name}.ablate: what the network loses by it cannot be told, as no system runs the "
        "same checkpoint with the same contract, window, flips and precision as it is; add one"
        for spec in systems
        if spec.ablation is not None and _alike(spec) not in whole
    ]


def _alike(spec: SystemSpec) -> object:
    return (spec.checkpoint, spec.input, spec.output, spec.window, spec.flips, spec.precision)


def claims_on_ablations(
    criteria: Sequence[CriterionSpec], systems: Sequence[SystemSpec]
) -> list[str]:
    """Warn of claims about ablated systems.

    Returns
    -------
    One sentence each.
    """
    ablated = {it.name: ablation_words(it.ablation) for it in systems if it.ablation is not None}
    return [
        f"criteria.{it.id}.system: {it.system} is ablated ({ablated[it.system]}); that explains the network, "
        "and a claim about it says nothing of the system that is used"
        for it in criteria
        if it.system in ablated
    ]
