"""A certificate as a file: written with its own digest, and read only when that still fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from auditor.documents import json_content, read_text
from auditor.errors import AuditError, DataError, IntegrityError
from auditor.schema import CERTIFICATE_VERSION, Certificate, decode, encode

__all__ = ["certificate_name", "certificate_text", "read_certificate"]


def certificate_name(system: str, label: str) -> str:
    """Name the file of a certificate; what is no letter, digit or one of ``._+-`` becomes a dash.

    Examples
    --------
    >>> certificate_name("vendor-a", "left kidney")
    'vendor-a.left-kidney.json'
    """
    plain = "".join(it if it.isascii() and (it.isalnum() or it in "._+-") else "-" for it in label)
    return f"{system}.{plain}.json"


def certificate_text(certificate: Certificate) -> str:
    """Write a certificate as JSON, with the digest of everything else in it."""
    return encode(replace(certificate, digest=_digest(json.loads(encode(certificate)))))


def read_certificate(path: Path) -> Certificate:
    """Read a certificate.

    Parameters
    ----------
    path : Path
        As an audit wrote it, ``certificates/SYSTEM.LABEL.json``.

    Returns
    -------
    Certificate

    Raises
    ------
    DataError
        When the file cannot be read, or is no certificate of this version.
    IntegrityError
        When it was changed after it was written.
    """
    name = path.name
    try:
        text = read_text(path, what=f"the certificate {name}")
        content: Any = json_content(text, what=name)
    except AuditError as error:
        msg = f"a certificate must be a file that an audit wrote under certificates/: {error}"
        raise DataError(msg) from error
    if not isinstance(content, dict) or not {"declared", "scans", "digest"} <= content.keys():
        msg = (
            f"{name} must be a certificate, as an audit writes it under certificates/; this is another "
            "file"
        )
        raise DataError(msg)
    if content.get("version") != CERTIFICATE_VERSION:
        msg = (
            f"{name} must be a certificate of version {CERTIFICATE_VERSION}, is of version "
            f"{content.get('version')!r}; run the audit again with this segaudit to have it written anew"
        )
        raise DataError(msg)
    if content["digest"] != _digest(content):
        msg = (
            f"{name} was changed after it was written: it no longer fits its own digest; take the file "
            "that the audit wrote, or run the audit again"
        )
        raise IntegrityError(msg)
    try:
        return decode(json.dumps(content), Certificate)
    except ValueError as error:
        msg = f"{name} was written by another segaudit; run the audit again with this one: {error}"
        raise DataError(msg) from error


def _digest(content: Mapping[str, Any]) -> str:
    """Digest of what stands in a certificate, its own digest apart: layout and order do not count."""
    bare = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
