"""What a maker ships with a checkpoint, beside what a configuration says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.schema import Certainty
from auditor.systems.contract import Told
from auditor.systems.questions import is_settled
from auditor.systems.sidecars import Located

__all__ = ["told_by", "unanswered", "with_labels", "without_doubles"]


def with_labels(told: Sequence[Told], audited: Mapping[str, int]) -> list[Told]:
    """Give a system whose labels nobody declares those of the audit.

    Parameters
    ----------
    told : sequence of (source, mapping)
        The weakest source first; the last one is the configuration.
    audited : mapping of name to number
        The key `labels` of the configuration.

    Returns
    -------
    list of (source, mapping)
        The same, where the configuration may have got labels. Of the classes that a maker lists, those
        that are not audited are left out where the strongest class wins. Of sigmoid channels each takes
        voxels from those before it, so all stay, in their order; audited ones get their audited names.
    """
    *weaker, (source, own) = told
    speaking = {who for who, parts in told if "labels" in _output(parts)}
    if not audited or speaking - {Certainty.SIDECAR} or not _may_hold_labels(own):
        return list(told)
    shipped: dict[str, Any] = {}
    for _, parts in weaker:
        shipped |= _output(parts)
    listed = shipped.get("labels")
    output: dict[str, Any] = {**_output(own), "labels": dict(audited)}
    if isinstance(listed, Mapping) and set(audited.values()) <= set(listed.values()):
        output |= _renamed(audited, listed, {**shipped, **_output(own)})
    return [*weaker, (source, {**own, "output": output})]


def _renamed(
    audited: Mapping[str, int], listed: Mapping[str, Any], output: Mapping[str, Any]
) -> dict[str, Any]:
    """Labels, and channels where they are told, under the audit's names in the maker's order."""
    all_stay = "sigmoid" in str(output.get("activation"))
    names = {number: name for name, number in audited.items()}
    called = {
        old: names.get(number, old) for old, number in listed.items() if all_stay or number in names
    }
    found: dict[str, Any] = {"labels": {new: listed[old] for old, new in called.items()}}
    channels = output.get("channels")
    if isinstance(channels, Mapping):
        found["channels"] = {
            called[old]: channel for old, channel in channels.items() if old in called
        } or None
    return found


def _output(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    output = parts.get("output")
    return output if isinstance(output, Mapping) else {}


def _may_hold_labels(parts: Mapping[str, Any]) -> bool:
    return parts.get("output") is None or isinstance(parts["output"], Mapping)


def unanswered(located: Located, told: Sequence[Told], where: str) -> list[str]:
    """List what a maker's files leave open and nobody declares.

    Parameters
    ----------
    located : Located
        With its questions.
    told : sequence of (source, mapping)
        Before `with_labels`: labels of the audit say nothing of a system's channels.
    where : str
        Path of the system.

    Returns
    -------
    list of str
        One sentence each; a field is answered by being declared, also as null.
    """
    declared = {
        f"{part}.{key}"
        for source, parts in told
        for part, values in parts.items()
        for key in (values if isinstance(values, Mapping) else ())
        if source is not Certainty.SIDECAR
    }
    return [
        f"{where}.{question.name}: must be declared: {question.why}; add {question.line}"
        for question in located.questions
        if not is_settled(question, declared)
    ]


def without_doubles(problems: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Put problems and questions together, and let a question speak for its field.

    Parameters
    ----------
    problems, asked : sequence of str
        Each begins with the path of a field and a colon.
    """
    named = {sentence.partition(":")[0] for sentence in asked}
    return [*asked, *(it for it in problems if it.partition(":")[0] not in named)]


def told_by(located: Located, where: str) -> list[str]:
    """Say what was read, and what is worth knowing about it.

    Parameters
    ----------
    located : Located
        What was found.
    where : str
        Path of the system.

    Returns
    -------
    list of str
        One sentence each.
    """
    lines = []
    if located.read:
        verb = "was" if len(located.read) == 1 else "were"
        lines.append(
            f"{where}: {' and '.join(located.read)}, which the maker ships with "
            f"{located.checkpoint.name}, {verb} read; what a contract file or the configuration says wins"
        )
    return [*lines, *(f"{where}: {note}" for note in located.notes)]
