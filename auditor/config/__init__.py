"""audit.yaml as a frozen record: every problem at once, each with its path.

Importing this loads no torch. pydantic checks the shape of the file and publishes its JSON Schema;
everything behind it sees `AuditConfig` only.
"""

from __future__ import annotations

from auditor.config.reading import load_config, parse_config, parse_fields, parse_settings
from auditor.config.records import AuditConfig, CasesConfig, Keep, digest, with_systems
from auditor.config.shape import json_schema

__all__ = [
    "AuditConfig",
    "CasesConfig",
    "Keep",
    "digest",
    "json_schema",
    "load_config",
    "parse_config",
    "parse_fields",
    "parse_settings",
    "with_systems",
]
