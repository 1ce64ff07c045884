"""Words of files reach a terminal without anything that rules it."""

import io
import os
import sys
from pathlib import Path

import click
import pytest

from auditor.cli.terminal import harmless_output


def test_control_characters_become_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with harmless_output():
        sys.stdout.write("\x1b]0;title\x07")
        click.echo("tab\there\rback \x1b[31mred \x9b2J \x07 \x08 tf\u202egnp.exe é — 肝")
    assert sys.stdout is out
    assert out.getvalue() == "?]0;title?tab\there\rback red ?2J ? ? tf?gnp.exe é — 肝\n"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_sees_no_escape_of_a_file_name(tmp_path: Path) -> None:
    """click alone takes escapes out where the output is no terminal, and leaves them where it is one."""
    import subprocess

    name = tmp_path / "net\x1b[31m\x1b]0;title\x07.onnx"
    name.write_bytes(b"no model")
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "auditor", "inspect", str(name)], stdout=theirs, stderr=theirs
    ) as process:
        process.wait(timeout=60)
        os.close(theirs)
        shown = os.read(ours, 10_000)
        os.close(ours)
    assert process.returncode == 4
    assert b"cannot be audited" in shown
    assert b"\x1b" not in shown
    assert b"\x07" not in shown
