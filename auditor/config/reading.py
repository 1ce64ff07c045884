"""Read audit.yaml: duplicate keys are refused, problems are collected, nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from auditor.config.records import AuditConfig
from auditor.config.resolve import resolve
from auditor.config.sentences import read_shape
from auditor.config.settings import ALL
from auditor.errors import ConfigError

__all__ = ["load_config", "parse_config", "parse_settings"]


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys (the last one would silently win), and with 1e-3 as a number."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:  # before merge keys (<<) are resolved: those may be overridden
        if not isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            msg = f"line {line}: a key must be a text, was a list or mapping"
            raise ConfigError(msg)
        if key.value in seen:
            line = key.start_mark.line + 1
            msg = f"line {line}: the key {key.value!r} stands twice; keep one of them"
            raise ConfigError(msg)
        seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


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
    data = _content(path)
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


def _content(path: Path) -> Any:  # noqa: ANN401  # any YAML value
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        msg = f"the configuration {path} must be a readable file: {error.strerror or error}"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"the configuration {path.name} must be UTF-8 text, was not at byte {error.start}"
        raise ConfigError(msg) from error
    try:
        return yaml.load(text, Loader=_Loader)  # derived from SafeLoader
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        msg = f"{path.name} must be YAML: {line}{error.problem or error}"
        raise ConfigError(msg) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        msg = f"{path.name} must be YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg) from error
    except ConfigError as error:
        msg = f"{path.name}: {error}"
        raise ConfigError(msg) from error


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
    found: dict[str, Any] = {} if device is None else {f"{ALL}.device": device}
    problems = []
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or "." not in path.strip():
            problems.append(f"--set {text}: must be SYSTEM.FIELD=VALUE, as vendor-a.batch=4")
            continue
        try:
            found[path.strip()] = yaml.load(value, Loader=_Loader)  # derived from SafeLoader
        except (yaml.YAMLError, ConfigError, ValueError, RecursionError) as error:
            problems.append(f"--set {text}: the value must be YAML: {' '.join(str(error).split())}")
    if problems:
        msg = "these settings cannot be read:"
        raise ConfigError(msg, problems)
    return found
