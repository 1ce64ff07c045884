"""Read audit.yaml: duplicate keys are refused, problems are collected, nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from auditor.config.records import AuditConfig
from auditor.config.resolve import resolve
from auditor.config.sentences import read_shape
from auditor.errors import ConfigError

__all__ = ["load_config", "parse_config"]


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


def load_config(path: Path, *, callables: Sequence[str] = ()) -> AuditConfig:
    """Read and resolve a configuration file.

    Parameters
    ----------
    path : Path
        audit.yaml. Paths inside are relative to its folder.
    callables : sequence of str
        Names of systems that are Python callables.

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
    return parse_config(data, folder=path.resolve().parent, name=path.name, callables=callables)


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

    Raises
    ------
    ConfigError
        With every problem at once, sorted by path.
    """
    systems = data.get("systems") or {}
    if callables and isinstance(systems, Mapping):
        data = {**data, "systems": {**{call: {} for call in callables}, **systems}}
    shaped = read_shape(data)
    config, problems = resolve(shaped, folder=folder, callables=frozenset(callables))
    if config is None:
        msg = f"{len(problems)} problem(s) in {name}:"
        raise ConfigError(msg, problems)
    return config
