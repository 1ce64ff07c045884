"""The text of an audit.yaml that is drafted: by `segaudit init`, and by `segaudit screen`.

What is known stands there as a value with its source behind it; what would be a scientific choice, or
what only the maker knows, stands there as a line to fill in, or as a comment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from auditor.documents import yaml_content
from auditor.errors import ConfigError

__all__ = ["PRESET_OF", "AuditText", "flow", "relative", "system_name", "write_audit"]

PRESET_OF: Mapping[str, str] = {
    "mr": "mri", "ct": "ct", "us": "ultrasound", "xray": "xray", "microscopy": "microscopy",
    "other": "generic",
}  # fmt: skip
"""Modality -> the preset of its artefacts."""

_WIDTH = 34
"""Column at which comments begin, where the line is shorter; two blanks stand before each."""


@dataclass(frozen=True, slots=True)
class AuditText:
    """Everything that stands in a drafted audit.yaml."""

    name: str
    """Of the audit."""
    seed: int
    data: tuple[str, str]
    """(table or folder, path relative to the file)."""
    modality: str | None
    """None: to fill in."""
    system: str
    """Name of the one system."""
    checkpoint: str
    """Path relative to the file."""
    contract: tuple[tuple[str, str, str], ...]
    """(dotted name, YAML text, comment), as ("input.axes", "RAS", "command line")."""
    preset: str
    label: str
    """Label of strata and suggested criteria."""
    state: str = "raw"
    reference: str = ""
    """YAML text of the rule; empty: the reference that is given."""
    labels: str = ""
    """YAML text of the audited labels; empty: those of the system."""
    exclude: tuple[str, str] = ("", "")
    """(list of patients, comment); the line is a comment itself where the comment begins with #."""
    settings: tuple[tuple[str, str, str], ...] = ()
    """(key of the system, YAML text, comment), as ("batch", "4", "command line")."""
    found: tuple[tuple[str, str, str], ...] = ()
    """As `contract`, but not declared by the file: what the maker ships, and what was probed, will be
    found again. Comments, so that the report keeps saying who says it."""
    asked: tuple[tuple[str, str], ...] = ()
    """(YAML text, comment) of what only a person knows, as ("input: {axes: RAS}", "towards where?"): comments
    that become fields of the system when # and one blank are taken away, any of them together."""
    doubts: tuple[str, ...] = ()
    """Why the contract is in doubt, and what to write: comments below the system."""
    criteria: tuple[str, ...] = ()
    """Suggested criteria, as comments."""
    remarks: tuple[str, ...] = ()
    """Lines above everything, as comments."""


def write_audit(given: AuditText) -> str:
    """Write audit.yaml.

    Parameters
    ----------
    given : AuditText

    Returns
    -------
    str
        YAML, with one final newline.
    """
    kind, path = given.data
    lines = [*(_comment(remark) for remark in given.remarks), f"audit: {flow(given.name)}"]
    lines += [
        f"seed: {given.seed}",
        _line("purpose: exploratory", "confirmatory: declare criteria before the first run"),
        "",
        "cases:",
        f"  {kind}: {flow(path)}",
        f"  modality: {given.modality or '   # fill in: ct, mr, us, xray, microscopy, other'}",
        _line(f"  state: {given.state}", "raw, windowed, normalised, skull_stripped"),
    ]
    if given.reference:
        lines.append(f"  reference: {given.reference}")
    file, why = given.exclude
    if file and why.startswith("#"):
        lines.append(f"  {_comment(f'exclude: {flow(file)}   {why}')}")
    elif file:
        lines.append(_line(f"  exclude: {flow(file)}", why))
    if given.labels:
        lines += [
            "",
            _line(f"labels: {given.labels}", "of those that the maker or the contract file lists"),
        ]
    lines += ["", "systems:", f"  {flow(given.system)}:"]
    lines.append(f"    checkpoint: {flow(given.checkpoint)}")
    lines += [_line(f"    {key}: {value}", why) for key, value, why in given.settings]
    lines += _contract(given.contract, _by_part(given.asked))
    if given.found:
        lines.append(
            "    # found, and found again by check and run; a line of your own wins over it:"
        )
        lines += [
            f"    {_comment(f'  {name}: {text}   ({who})')}" for name, text, who in given.found
        ]
    lines += [f"    {_comment(doubt)}" for doubt in given.doubts]
    lines += [
        "",
        f"perturbations: {{preset: {flow(given.preset)}}}",
        "metrics: {dsc: {}, hd95: {}, volume_difference: {}}     # nsd: {tolerance_mm: ..}",
        "strata:",
        f"  foreground_ratio: {{label: {flow(given.label)}, edges: tertiles}}",
        "",
        "# criteria:                    # for purpose: confirmatory; the thresholds are yours to say",
        *(_comment(f"  {criterion}") for criterion in given.criteria),
        "",
    ]
    return "\n".join(lines)


def _by_part(asked: Sequence[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Return part -> (field with its value, comment); "" holds the keys of the system itself."""
    found: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for text, why in asked:
        for part, value in _as_mapping(text).items():
            inside = value if part in _PARTS else {part: value}
            own = found.setdefault(part if part in _PARTS else "", {})
            # one comment for fields that are asked for together
            comments = (why, *[""] * (len(inside) - 1))
            for (key, one), comment in zip(inside.items(), comments, strict=True):
                own.setdefault(str(key), (_printable(f"{key}: {flow(one)}"), comment))
    return {part: list(own.values()) for part, own in found.items()}


def _as_mapping(text: str) -> Mapping[str, Any]:
    """Read a line to add; what is none, as a maker's words in it may break it, is no field to offer."""
    try:
        content = yaml_content(text, what="the line")
    except ConfigError:
        return {}
    parts = content if isinstance(content, dict) else {}
    return {
        str(part): value
        for part, value in parts.items()
        if part not in _PARTS or isinstance(value, dict)
    }


_PARTS = ("input", "window", "output")


def _contract(
    entries: Sequence[tuple[str, str, str]], asked: Mapping[str, Sequence[tuple[str, str]]]
) -> list[str]:
    lines = [_line(f"    # {text}", why) for text, why in asked.get("", ())]
    for part in _PARTS:
        own = [it for it in entries if it[0].partition(".")[0] == part]
        more = asked.get(part, ())
        if own:
            lines.append(f"    {part}:")
        elif more:
            lines.append(_line(f"    # {part}:", "with what you know of it:"))
        lines += [_line(f"      {name.partition('.')[2]}: {text}", why) for name, text, why in own]
        lines += [_line(f"      # {text}" if own else f"    #   {text}", why) for text, why in more]
    return lines


def _line(text: str, comment: str) -> str:
    return f"{text:{_WIDTH - 2}}  {_comment(comment)}" if comment else text


def _comment(text: str) -> str:
    """Write a comment that stays one: a line break in a maker's words would begin a line of the audit."""
    return f"# {_printable(text)}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def flow(value: Any) -> str:  # noqa: ANN401  # any YAML value
    """Write a value as YAML on one line, quoted where it must be, also within braces.

    Examples
    --------
    >>> flow("spleen"), flow("a: b"), flow([1.5, 2]), flow({"yes": 1})
    ('spleen', "'a: b'", '[1.5, 2]', "{'yes': 1}")
    """
    text: str = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, width=100_000, sort_keys=False
    )
    return text.strip()[1:-1]


def relative(path: Path, folder: Path) -> str:
    """Write a path as seen from a folder."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def system_name(checkpoint: Path) -> str:
    """Make the name of a system from its file: letters, digits and . _ + - only.

    Examples
    --------
    >>> system_name(Path("models/vendor a (v2).onnx")), system_name(Path("…"))
    ('vendor-a--v2', 'system')
    """
    plain = re.sub(r"[^A-Za-z0-9._+-]", "-", checkpoint.stem)[:60].strip("._+-")
    return "system" if plain in ("", "controls") else plain
