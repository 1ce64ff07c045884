"""Complete a contract: what nobody declared is found by trying, what cannot be found is asked for.

**Conventions.** What is declared is never changed, whoever said it; a found field has the source
*probed*. The probe is only asked where something is undeclared. It is restricted to what is declared;
when nothing is accepted so, it is asked once more without that, and a difference is a contradiction.

A Python callable is not probed: it may be slow, keep a state or count its calls, and whoever hands
over a function can say how it is called. Systems without a checkpoint have nothing to be probed.

A fixed size is filled in only where no scan would be cropped to it: whether larger scans are resampled,
cropped or cut into windows is the maker's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import yaml

from auditor.errors import AuditError
from auditor.schema import Certainty, ContractField, Geometry, SystemSpec
from auditor.systems.contract import canonical_text
from auditor.systems.contract_values import INPUT_VALUES, OUTPUT_VALUES, Value
from auditor.systems.fixed_size import refused_window
from auditor.systems.preparation import fed_sizes
from auditor.systems.probe import ProbeReport, probe_system

__all__ = ["Completion", "complete", "filled", "undeclared"]

_KNOWN: dict[str, dict[str, Value]] = {"input": dict(INPUT_VALUES), "output": dict(OUTPUT_VALUES)}

_ALWAYS = (
    "input.channels", "input.dims", "input.layout", "output.layout", "output.activation",
)  # fmt: skip
"""Looked for in every system."""

_SIZES = ("input.size", "input.divisor")
"""Looked for in a system without windows of which neither is declared."""

_RUNS = ("input.channels", "input.dims", "input.layout", "input.size")
"""What decides whether an input is accepted at all."""

_NEEDED = frozenset({"output.activation", "output.index"})
"""What decides how an answer is read; there is no default to fall back on."""

_LIMIT_S = 600.0
"""Seconds after which no further try begins."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What trying a checkpoint adds to its contract."""

    fields: tuple[ContractField, ...] = ()
    """Found, with the source *probed*."""
    findings: tuple[str, ...] = ()
    """Declared fields that what was seen speaks against, in sentences."""
    problems: tuple[str, ...] = ()
    """Why it cannot be run, or what must be declared: each names the field, and the line to add."""


def undeclared(spec: SystemSpec) -> frozenset[str]:
    """Name the fields that nobody declared and that can be found by trying.

    Parameters
    ----------
    spec : the system as declared.

    Returns
    -------
    Dotted names; none for a system without a checkpoint.
    """
    if spec.checkpoint is None:
        return frozenset()
    known = {name for name, _ in spec.sources}
    names = set(_ALWAYS) - known
    if spec.window is None and not known & set(_SIZES):
        names |= set(_SIZES)
    return frozenset(names)


def complete(spec: SystemSpec, geometries: Sequence[Geometry] = ()) -> Completion:
    """Probe a checkpoint for what its contract leaves open.

    Parameters
    ----------
    spec : the system as declared.
    geometries : of the scans that it will be fed with.

    Returns
    -------
    Found fields, contradictions, and what must be asked for.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be started.
    """
    missing = undeclared(spec)
    if not missing:
        return Completion()
    trial, declared = _restricted(spec, geometries)
    # a declared divisor is compared with what is found, so it is looked for all the same
    report = _probed(trial, declared - {"input.divisor"})
    if report.classes is None and (declared & set(_RUNS) or spec.window is not None):
        other = _probed(replace(spec, window=None), frozenset())
        if other.classes is not None:
            return Completion(problems=_refusals(trial, other, declared))
    if report.classes is None:
        return Completion(problems=_unseen(spec, report, missing))
    found = {it.name: it for it in report.fields}
    if "input.dims" in missing & declared:
        dims = canonical_text(trial.input.dims)
        found["input.dims"] = ContractField("input.dims", dims, Certainty.PROBED)
    problems = _unanswered(report)
    if "input.size" in missing & found.keys():
        problems += _cropped(filled(spec, [found["input.size"]]), geometries)
    free = {*missing, "output.index"} - {name for name, _ in spec.sources}
    kept = tuple(found[name] for name in sorted(free & found.keys()))
    against = [it for it in report.findings if " is declared as " in it]
    return Completion(kept, (*against, *_too_small(spec, found)), problems)


def _probed(spec: SystemSpec, declared: frozenset[str]) -> ProbeReport:
    # a plan must not depend on how fast a machine is, so the limit is only one against endless probing
    return probe_system(spec, declared=declared, limit_s=_LIMIT_S, thorough=False)


def filled(spec: SystemSpec, fields: Iterable[ContractField]) -> SystemSpec:
    """Write found fields into a contract; nothing that is declared is changed.

    Parameters
    ----------
    spec : the system as declared.
    fields : as `Completion.fields`; each value is the YAML text of the field.

    Returns
    -------
    The system with these fields and their sources.

    Raises
    ------
    ValueError, TypeError
        A value that the field cannot hold.
    """
    sources = dict(spec.sources)
    parts: dict[str, dict[str, Any]] = {"input": {}, "output": {}}
    for it in fields:
        part, _, key = it.name.partition(".")
        if it.name in sources or key not in _KNOWN.get(part, {}):
            continue
        parts[part][key] = _KNOWN[part][key].read(yaml.safe_load(it.value))
        sources[it.name] = Certainty.PROBED
    return replace(
        spec,
        input=replace(spec.input, **parts["input"]),
        output=replace(spec.output, **parts["output"]),
        sources=tuple(sorted(sources.items())),
    )


def _restricted(
    spec: SystemSpec, geometries: Sequence[Geometry]
) -> tuple[SystemSpec, frozenset[str]]:
    """Say what holds already: what is declared, and the dimensions that follow from it."""
    declared = frozenset(name for name, _ in spec.sources)
    if "input.dims" in declared:
        return spec, declared
    lists = (spec.input.size, spec.input.divisor, spec.window.size if spec.window else None)
    dims: set[int] = {len(it) for it in lists if it is not None}
    dims |= {len(it.shape) for it in geometries if len(it.shape) == 2}
    if not dims:
        return spec, declared
    implied: Literal[2, 3] = 2 if min(dims) == 2 else 3
    return replace(spec, input=replace(spec.input, dims=implied)), declared | {"input.dims"}


def _declared_value(spec: SystemSpec, name: str) -> Any:  # noqa: ANN401  # any field of a contract
    part, _, key = name.partition(".")
    return getattr(getattr(spec, part), key)


def _refusals(spec: SystemSpec, report: ProbeReport, declared: frozenset[str]) -> tuple[str, ...]:
    """Say which declared fields keep every input from being accepted."""
    found = {it.name: it.value for it in report.fields}
    told = []
    if spec.window is not None and "input.size" in found:
        taken = yaml.safe_load(found["input.size"])
        if list(spec.window.size) != taken:
            told.append(refused_window(spec, taken, "trying shows", "no input of it is accepted"))
    for name in sorted(declared & set(_RUNS) & found.keys()):
        value = canonical_text(_declared_value(spec, name))
        if value != found[name]:
            part, _, key = name.partition(".")
            who = (
                "is declared"
                if name in dict(spec.sources)
                else "follows from the scans or the lists"
            )
            told.append(
                f"{name}: {value} {who}, but only {found[name]} is accepted; if that is right, write "
                f"{part}: {{{key}: {found[name]}}}"
            )
    return tuple(told) or ("input: no input that fits what is declared is accepted",)


def _unseen(spec: SystemSpec, report: ProbeReport, missing: frozenset[str]) -> tuple[str, ...]:
    """Ask for everything, as no tried input was accepted."""
    why = "; ".join(report.findings[:2]) or "no tried input was accepted"
    lines = {
        "input.channels": "input: {channels: 1}",
        "input.size": "input: {size: [160, 160, 96]}, or window: {size: [160, 160, 96]}",
        "output.activation": "output: {activation: softmax}",
    }
    asked = tuple(
        f"{name}: is required, as it could not be found by trying ({why}); add {line}"
        for name, line in lines.items()
        if name in missing
    )
    if spec.window is None:
        return asked
    told = (
        f"window.size: {canonical_text(spec.window.size)} is the only size that was tried; a network whose "
        "input has a fixed size takes no other, and cannot be swept over windows"
    )
    return (*asked, told)


def _unanswered(report: ProbeReport) -> tuple[str, ...]:
    """Ask for what trying left open; sizes may be free, and the rest has been accepted."""
    return tuple(
        f"{it.name}: is required, as it could not be found by trying: {it.why}; add {it.line}"
        for it in report.questions
        if it.name in _NEEDED
    )


def _cropped(spec: SystemSpec, geometries: Sequence[Geometry]) -> tuple[str, ...]:
    """Ask how scans are made to fit a fixed size that some of them exceed."""
    size = spec.input.size
    assert size is not None  # it was found
    for geometry in geometries:
        try:
            fed = fed_sizes(geometry, spec.input)[-len(size) :]
        except AuditError:
            continue  # that the axes do not fit is told where a case is run
        if any(n > most for n, most in zip(fed, size, strict=False)):
            wanted = canonical_text(size)
            told = (
                f"input.size: is required, as the checkpoint takes {wanted} only and a scan has "
                f"{canonical_text(fed)}; add window: {{size: {wanted}}} for windows that slide over the "
                f"scan, or input: {{size: {wanted}, fit: resize}} where the whole scan is resampled"
            )
            return (told,)
    return ()


def _too_small(spec: SystemSpec, found: Mapping[str, ContractField]) -> tuple[str, ...]:
    """Compare a declared divisor with the one that sizes must be multiples of."""
    declared, seen = spec.input.divisor, found.get("input.divisor")
    if declared is None or seen is None or spec.window is not None:
        return ()
    needed = yaml.safe_load(seen.value)
    if len(needed) != len(declared) or not any(
        d % n for d, n in zip(declared, needed, strict=True)
    ):
        return ()
    told = (
        f"input.divisor is declared as {canonical_text(declared)}, but sizes must be multiples of "
    )
    return (f"{told}{seen.value}",)
