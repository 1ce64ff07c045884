"""Read audit.yaml: problems are collected, nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from auditor.config.records import AuditConfig
from auditor.config.resolve import resolve
from auditor.config.sentences import read_shape
from auditor.config.settings import ALL
from auditor.documents import read_text, yaml_content
from auditor.errors import ConfigError

__all__ = ["load_config", "parse_config", "parse_fields", "parse_settings"]


def load_config(
    path: Path,
    *,
    callables: Sequence[str] = (),
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> AuditConfig:
    """Read and resolve a configuration file.

    Parameters
    ----------
    path : Path
        audit.yaml. Paths inside are relative to its folder.
    callables : sequence of str
        Names of systems that are Python callables.
    settings : mapping
        Dotted path -> value: fields of systems that win over the file, see `auditor.config.settings`.

    Raises
    ------
    ConfigError
        With every problem at once, sorted by path.
    """
    text = read_text(path, what=f"the configuration {path}")
    data = yaml_content(text, what=path.name)
    if not isinstance(data, dict):
        was = "nothing" if data is None else type(data).__name__
        msg = f"{path.name} must hold keys and values, was {was}; see `segaudit init`"
        raise ConfigError(msg)
    return parse_config(
        data,
        folder=path.resolve().parent,
        name=path.name,
        callables=callables,
        settings=settings,
    )


def parse_config(
    data: Mapping[str, Any],
    *,
    folder: Path,
    name: str = "the configuration",
    callables: Sequence[str] = (),
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> AuditConfig:
    """Resolve a configuration that was read already.

    Parameters
    ----------
    data : mapping
        Content of audit.yaml.
    folder : Path
        Paths are relative to it.
    name : str
        How the configuration is called in messages.
    callables : sequence of str
        Names of systems that are Python callables; those that `data` does not describe get a
        default contract.
    settings : mapping
        As `load_config` takes them.

    Raises
    ------
    ConfigError
        With every problem at once, sorted by path.
    """
    systems = data.get("systems") or {}
    if callables and isinstance(systems, Mapping):
        data = {**data, "systems": {**{call: {} for call in callables}, **systems}}
    shaped = read_shape(data)
    config, problems = resolve(
        shaped, folder=folder, callables=frozenset(callables), settings=settings
    )
    if config is None:
        msg = f"{len(problems)} problem(s) in {name}:"
        raise ConfigError(msg, problems)
    return config


def parse_settings(texts: Sequence[str], *, device: str | None = None) -> dict[str, Any]:
    """Read settings as they are typed.

    Parameters
    ----------
    texts : sequence of str
        ``SYSTEM.FIELD=VALUE``; the value is YAML: ``vendor-a.window.size=[96, 96, 96]``.
    device : str, optional
        Of all systems.

    Returns
    -------
    dict
        Dotted path -> value.

    Raises
    ------
    ConfigError
        Every text that has not this form, at once.
    """
    typed = _typed(texts, "SYSTEM.FIELD=VALUE, as vendor-a.batch=4", right=lambda path: "." in path)
    return typed if device is None else {f"{ALL}.device": device, **typed}


def parse_fields(texts: Sequence[str]) -> dict[str, Any]:
    """Read settings of the only system there is, as they are typed.

    Parameters
    ----------
    texts : sequence of str
        ``FIELD=VALUE``; the value is YAML: ``input.axes=RAS``, ``window.size=[96, 96, 96]``.

    Returns
    -------
    dict
        Dotted field -> value; of a field that stands twice the last value.

    Raises
    ------
    ConfigError
        Every text that has not this form, at once.
    """
    form = "FIELD=VALUE, as input.axes=RAS, window.size=[96, 96, 96] or batch=4"
    return _typed(
        texts, form, right=lambda path: bool(path) and path.partition(".")[0] not in _OF_NO_SETTING
    )


_OF_NO_SETTING = frozenset({"checkpoint", "contract", "like", "expand", "ablate"})
"""Keys of a system that a command has words of its own for, or that make several systems."""


def _typed(texts: Sequence[str], form: str, *, right: Callable[[str], bool]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    problems = []
    for text in texts:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not right(path):
            problems.append(f"--set {text}: must be {form}")
            continue
        try:
            found[path] = yaml_content(value, what="the value")
        except ConfigError as error:
            problems.append(f"--set {text}: {error}")
    if problems:
        msg = "these settings cannot be read:"
        raise ConfigError(msg, problems)
    return found
