"""The contract of a system: reading its declaration, and listing it with the source of each field.

**Conventions.** Mappings are what YAML gives. Parsing never stops at the first problem: it returns
the record with defaults for what could not be read, and one sentence per problem that says where,
what must be, and what was. Nothing here imports torch.

A contract file (``contract.yaml`` beside the checkpoint, or ``NAME.contract.yaml``) has the keys
``input``, ``output`` and ``window`` as a system of the configuration has. Field by field the command
line wins over the configuration, that over the contract file, that over what the maker ships with the
checkpoint (a sidecar); what nobody declares may be probed.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from auditor.documents import read_text, yaml_content
from auditor.errors import ConfigError
from auditor.schema import (
    Certainty,
    Contract,
    ContractField,
    ContractStatus,
    InputSpec,
    OutputSpec,
    Sensitivity,
    SystemSpec,
    WindowSpec,
)
from auditor.systems.channels import channels_of, per_channel
from auditor.systems.command_line import shown_command
from auditor.systems.contract_values import INPUT_VALUES, OUTPUT_VALUES, WINDOW_VALUES, Value
from auditor.systems.orientation import NATIVE

PARTS = ("input", "output", "window")
"""The keys of a contract."""


def _read(
    mapping: object, where: str, known: Mapping[str, Value]
) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(mapping, Mapping):
        keys = ", ".join(known)
        return {}, [f"{where}: must hold some of {keys}, got {mapping!r}"]
    values, problems = {}, []
    for key, value in mapping.items():
        if key not in known:
            problems.append(_unknown(f"{where}.{key}", str(key), known))
            continue
        if value is None:
            continue  # `spacing_mm:` with nothing behind it says nothing
        try:
            values[str(key)] = known[key].read(value)
        except (TypeError, ValueError):
            problems.append(f"{where}.{key}: must be {known[key].must_be}, got {value!r}")
    return values, problems


def _unknown(where: str, key: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(known)
    return f"{where}: is not known; {advice}"


def parse_input(mapping: object, where: str) -> tuple[InputSpec, list[str]]:
    """Read the input part of a contract.

    Parameters
    ----------
    mapping : what YAML gave.
    where : path of the part, for messages: ``systems.vendor-a.input``.

    Returns
    -------
    The record, with defaults for what could not be read, and one sentence per problem.
    """
    values, problems = _read(mapping, where, INPUT_VALUES)
    spec = replace(InputSpec(), **values)
    lists = ["transpose", "spacing_mm", "size", "divisor"]
    lengths = {name: len(values[name]) for name in lists if name in values}
    if spec.axes != NATIVE:
        lengths["axes"] = len(spec.axes)
    if spec.dims is None and len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        problems.append(
            f"{where}: axes and lists must have one entry per axis, got: {told}; a slice-wise "
            "system needs dims: 2"
        )
    if "fit" in values and spec.size is None:
        problems.append(f"{where}.fit: needs size, the fixed size to fit to")
    if spec.transpose is not None and spec.axes != NATIVE:
        problems.append(f"{where}.transpose: needs axes: native; letters name the order already")
    if spec.interpolation == "cubic_in_plane" and spec.grid != "extent":
        problems.append(f"{where}.interpolation: cubic_in_plane needs grid: extent")
    for name in ("clip", "scale_to", "zscore", "affine"):
        entries = per_channel(getattr(spec, name))
        if entries is not None and len(entries) != spec.channels:
            problems.append(
                f"{where}.{name}: must have one entry for all channels, or one for each of the "
                f"{spec.channels} of input.channels, got {len(entries)}"
            )
    return spec, problems


def parse_output(mapping: object, where: str) -> tuple[OutputSpec, list[str]]:
    """Read the output part of a contract.

    Parameters
    ----------
    mapping : what YAML gave.
    where : path of the part, for messages.

    Returns
    -------
    As `parse_input`. Labels are required: which channel holds what cannot be found by looking.
    """
    values, problems = _read(mapping, where, OUTPUT_VALUES)
    if isinstance(mapping, Mapping) and "labels" not in mapping:
        problems.append(
            f"{where}.labels: is required: each label's name with its channel, as {{spleen: 1}}"
        )
    spec = replace(OutputSpec(), **values)
    unknown = [name for name, _ in spec.channels if name not in dict(spec.labels)]
    if unknown:
        problems.append(f"{where}.channels: must name labels, {', '.join(unknown)} is none")
    taken = list(channels_of(spec).values())
    if spec.channels and len(set(taken)) < len(taken):
        problems.append(f"{where}.channels: must give each label a channel of its own, got {taken}")
    if spec.activation == "labels" and (spec.channels or spec.resampled == "logits"):
        name = "channels" if spec.channels else "resampled"
        problems.append(f"{where}.{name}: needs an activation other than labels")
    return spec, problems


def parse_window(mapping: object, where: str) -> tuple[WindowSpec | None, list[str]]:
    """Read the window part of a contract.

    Parameters
    ----------
    mapping : what YAML gave; None: the whole image in one call.
    where : path of the part, for messages.

    Returns
    -------
    As `parse_input`; None without a usable size.
    """
    if mapping is None:
        return None, []
    values, problems = _read(mapping, where, WINDOW_VALUES)
    if isinstance(mapping, Mapping) and "size" not in mapping:
        problems.append(f"{where}.size: is required: the voxels of a window, as [96, 96, 96]")
    return (WindowSpec(**values) if "size" in values else None), problems


@dataclass(frozen=True, slots=True)
class ContractParts:
    """A contract as it was read, with the source of each declared field."""

    input: InputSpec
    """Preprocessing."""
    output: OutputSpec
    """Postprocessing."""
    window: WindowSpec | None
    """Sliding windows."""
    sources: tuple[tuple[str, Certainty], ...]
    """(dotted name, source) of each field that is not a default; sorted."""
    problems: tuple[str, ...] = field(default=())
    """One sentence each; empty when all is well."""


Told = tuple[Certainty, Mapping[str, Any]]
"""Who says something, and what: a mapping with the keys input, output, window."""


def parse_contract(told: Sequence[Told], where: str) -> ContractParts:
    """Read a whole contract from everybody who says something about it.

    Parameters
    ----------
    told : the weakest source first; a later one wins field by field, and its ``window: null`` takes an
        earlier one's window away. Other keys than input, output, window are left alone.
    where : path of the system, for messages: ``systems.vendor-a``.

    Returns
    -------
    The parts, their sources and all problems.
    """
    merged: dict[str, Any] = {}
    sources: dict[str, Certainty] = {}
    for part in PARTS:
        for source, mapping in told:
            if part not in mapping:
                continue
            value, before = mapping[part], merged.get(part)
            if isinstance(value, Mapping) and isinstance(before, Mapping):
                merged[part] = {**before, **value}
            else:
                merged[part] = value
                sources = {n: s for n, s in sources.items() if not n.startswith(f"{part}.")}
            if isinstance(value, Mapping):
                sources |= {f"{part}.{key}": source for key in value}
    _write_out(merged, told)
    read_input, input_problems = parse_input(merged.get("input") or {}, f"{where}.input")
    read_output, output_problems = parse_output(merged.get("output") or {}, f"{where}.output")
    window, window_problems = parse_window(merged.get("window"), f"{where}.window")
    problems = [*input_problems, *output_problems, *window_problems]
    if window is not None:
        problems += _window_problems(read_input, window, where)
    if read_output.resampled == "logits" and read_input.size and read_input.fit == "pad":
        problems.append(
            f"{where}.output.resampled: logits need input.fit: resize, as nothing is known of the "
            "logits of what a fixed size cuts away"
        )
    return ContractParts(
        read_input, read_output, window, tuple(sorted(sources.items())), tuple(sorted(problems))
    )


def _write_out(merged: dict[str, Any], told: Sequence[Told]) -> None:
    """Write one number for the size of a window out for each axis that anybody named."""
    window = merged.get("window")
    size = window.get("size") if isinstance(window, Mapping) else None
    if not isinstance(window, Mapping) or isinstance(size, bool) or not isinstance(size, int):
        return
    spec, _ = parse_input(merged.get("input") or {}, "")
    weaker = [
        mapping["window"] for _, mapping in told if isinstance(mapping.get("window"), Mapping)
    ]
    named = [len(it["size"]) for it in weaker if isinstance(it.get("size"), list | tuple)]
    count = fed_axes(spec, None) or (named[-1] if named else None)
    if count is not None:
        merged["window"] = {**window, "size": [size] * count}


def fed_axes(spec: InputSpec, window: WindowSpec | None) -> int | None:
    """Count the spatial axes of the array that a system is fed with.

    Parameters
    ----------
    spec : its input.
    window : its window.

    Returns
    -------
    2 or 3; None when the contract says nothing of them, so that each scan decides.
    """
    if spec.dims is not None:
        return spec.dims
    lists = (window.size if window is not None else None, spec.size, spec.divisor, spec.spacing_mm)
    if spec.axes != NATIVE:
        return len(spec.axes)
    return next((len(values) for values in lists if values is not None), None)


def _window_problems(spec: InputSpec, window: WindowSpec, where: str) -> list[str]:
    problems = []
    dims = spec.dims or (len(spec.axes) if spec.axes != NATIVE else len(window.size))
    if len(window.size) == 1:
        problems.append(
            f"{where}.window.size: must be one number per axis, as [96, 96, 96]: neither input.axes nor "
            f"another list says how many axes {window.size[0]} is for"
        )
    elif len(window.size) != dims:
        problems.append(f"{where}.window.size: must have {dims} numbers, got {window.size}")
    elif spec.divisor is not None and any(
        w % d for w, d in zip(window.size, spec.divisor, strict=False)
    ):
        problems.append(
            f"{where}.window.size: must be multiples of input.divisor {spec.divisor}, "
            f"got {window.size}"
        )
    return problems


def find_contract_file(checkpoint: Path) -> Path | None:
    """Look for a contract file beside a checkpoint.

    Parameters
    ----------
    checkpoint : ``models/vendor_a.onnx``.

    Returns
    -------
    ``models/vendor_a.contract.yaml``, else ``models/contract.yaml``, else None.
    """
    names = (f"{checkpoint.stem}.contract.yaml", "contract.yaml")
    return next((p for name in names if (p := checkpoint.parent / name).is_file()), None)


def read_contract_file(path: Path) -> dict[str, Any]:
    """Read a contract file, without judging its values.

    Parameters
    ----------
    path : of the file.

    Returns
    -------
    Its mapping, for `parse_contract`.

    Raises
    ------
    ConfigError
        The file is unreadable, no YAML mapping, or has other keys than input, output, window.
    """
    content = yaml_content(read_text(path, what=path.name), what=path.name)
    if not isinstance(content, dict):
        msg = f"{path.name} must hold input, output and window, got {type(content).__name__}"
        raise ConfigError(msg)
    known = dict.fromkeys(PARTS)
    problems = [_unknown(str(key), str(key), known) for key in content if key not in known]
    if problems:
        msg = f"{path.name} has keys that no contract has"
        raise ConfigError(msg, problems)
    return {str(key): value for key, value in content.items()}


def contract_fields(spec: SystemSpec) -> tuple[ContractField, ...]:
    """List every field of a system's contract with its value and source.

    Parameters
    ----------
    spec : the system.

    Returns
    -------
    Sorted by name; fields that nobody named have the source *default*.
    """
    parts: dict[str, InputSpec | OutputSpec | WindowSpec] = {
        "input": spec.input,
        "output": spec.output,
    }
    if spec.window is not None:
        parts["window"] = spec.window
    values = {"window": "whole image"} if spec.window is None else {}
    for part, record in parts.items():
        values |= {
            f"{part}.{f.name}": canonical_text(getattr(record, f.name)) for f in fields(record)
        }
    sources = dict(spec.sources)
    if spec.command or spec.predictions is not None:
        # a network's fields say nothing here, unless somebody stated them
        kept = {"output.activation", "output.labels", *sources}
        values = {name: value for name, value in values.items() if name in kept}
        values |= _of_files(spec)
        stated = dict.fromkeys(("command", "version", "predictions"), Certainty.DECLARED)
        sources = {**stated, **sources}
    return tuple(
        ContractField(name, value, sources.get(name, Certainty.DEFAULT))
        for name, value in sorted(values.items())
    )


def _of_files(spec: SystemSpec) -> dict[str, str]:
    told = {"version": spec.version} if spec.version else {}
    if spec.command:
        return {**told, "command": shlex.join(shown_command(spec)), "files": spec.files}
    return {**told, "predictions": "label maps that were made elsewhere"}


def build_contract(
    spec: SystemSpec,
    *,
    status: ContractStatus = ContractStatus.DECLARED_ONLY,
    note: str = "",
    sensitivity: Sensitivity | None = None,
) -> Contract:
    """Put a system's contract into the form that results carry.

    Parameters
    ----------
    spec : the system.
    status : what golden pairs said, see `auditor.systems.golden`.
    note : why.
    sensitivity : what other contracts gave, see `auditor.systems.sensitivity`.

    Returns
    -------
    The contract.
    """
    return Contract(contract_fields(spec), status, note, sensitivity)


def canonical_text(value: object) -> str:
    """Write a value of a contract as one text, the same on every machine.

    Parameters
    ----------
    value : of any field of `InputSpec`, `OutputSpec` or `WindowSpec`.

    Returns
    -------
    As YAML has it on one line.

    Examples
    --------
    >>> [canonical_text(v) for v in (None, 1.5, (1.0, 2.0), (("spleen", 1),))]
    ['none', '1.5', '[1, 2]', '{spleen: 1}']
    """
    if value is None:
        return "none"
    if isinstance(value, tuple) and value and isinstance(value[0], tuple) and _named(value[0]):
        return "{" + ", ".join(f"{name}: {number}" for name, number in value) + "}"
    if isinstance(value, Mapping):
        return canonical_text(tuple(value.items())) if value else "{}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(canonical_text(v) for v in value) + "]"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _named(entry: tuple[object, ...]) -> bool:
    return bool(entry) and isinstance(entry[0], str)
