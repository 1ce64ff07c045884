"""TorchScript archives made to harm, by their content or by what they do; payloads are harmless."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from checkpoints import ConvNet, Threshold, deep_parentheses, rewrite, save_script, short_weights
from hostile_files import Hostile, Yard
from torch import Tensor, nn
from typing_extensions import override

jit: Any = torch.jit  # typed only in part


class Reads(nn.Module):
    """Answers with the bytes of a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x * 0 + torch.from_file(self.path, shared=False, size=1, dtype=torch.uint8)[0]


class Writes(nn.Module):
    """Saves its input into a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    @override
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x


class WritesWhenLoaded(nn.Module):
    """Saves a tensor into a file while it is being loaded."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    @jit.export  # type: ignore[untyped-decorator]
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @jit.export  # type: ignore[untyped-decorator]
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x


class Endless(nn.Module):
    """Never answers."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        while bool(x.sum() < 1e30):
            x = x * 1
        return x


class Huge(nn.Module):
    """Asks for 4 TB."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros([1 << 40]).sum()


class Raises(nn.Module):
    """Raises with a folder of this machine in its words."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        if x.size(0) > 0:
            msg = "no such file: /home/jo/secret/plan.txt"
            raise ValueError(msg)
        return x


class TakesNumber(nn.Module):
    """Takes no image."""

    @override
    def forward(self, x: int) -> Tensor:
        return torch.zeros([x])


class TakesTwo(nn.Module):
    """Takes two images."""

    @override
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Counts(nn.Module):
    """Adds the number of the call to its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.calls: Tensor

    @override
    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls


class AnswersText(nn.Module):
    """Answers with no tensor."""

    @override
    def forward(self, x: Tensor) -> str:
        return "liver"


class Deep(nn.Module):
    """Answers with a list in a list in a list."""

    @override
    def forward(self, x: Tensor) -> list[list[list[Tensor]]]:
        return [[[x[:, :, 1:]]]]


def scripted(module: Callable[[Yard], nn.Module]) -> Callable[[Yard], Path]:
    """Make an archive of a module."""
    return lambda yard: save_script(module(yard), yard.folder / "net.pt")


def changed(tail: str, change: Callable[[bytes], bytes]) -> Callable[[Yard], Path]:
    """Make an archive of a network with one changed entry."""

    def make(yard: Yard) -> Path:
        source = save_script(ConvNet(dims=2), yard.folder / "source.pt")

        def only(name: str, content: bytes) -> bytes:
            return change(content) if name.endswith(tail) else content

        return rewrite(source, yard.folder / "net.pt", only)

    return make


def _without(pattern: str) -> Callable[[Yard], Path]:
    def make(yard: Yard) -> Path:
        source = save_script(ConvNet(dims=2), yard.folder / "source.pt")
        path = yard.folder / "net.pt"
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                if not re.search(pattern, name):
                    new.writestr(name, old.read(name))
        return path

    return make


def _no_forward(yard: Yard) -> Path:
    return changed(".py", lambda it: it.replace(b"def forward(", b"def backward("))(yard)


def _deep(yard: Yard) -> Path:
    return deep_parentheses(
        save_script(Threshold(), yard.folder / "source.pt"), yard.folder / "net.pt"
    )


def _short(yard: Yard) -> Path:
    return short_weights(
        save_script(ConvNet(dims=2), yard.folder / "source.pt"), yard.folder / "net.pt"
    )


def _encrypted(yard: Yard) -> Path:
    """Set the flag of encryption on the first entry of the listing."""
    path = save_script(ConvNet(dims=2), yard.folder / "net.pt")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def _foreign(content: bytes) -> bytes:
    return re.sub(rb"torch\.relu\(", b"ops.hostile.relu(", content)


def _posix(content: bytes) -> bytes:
    del content
    return b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."


SCRIPTS = (
    Hostile("no_code", _without(r"/code/"), "refused", "weights without a program"),
    Hostile("corrupt_pickle", changed("data.pkl", lambda it: it[:40]), "unstarted", slow=True),
    Hostile("pickle_of_a_command", changed("data.pkl", _posix), "unstarted", slow=True),
    Hostile("short_weights", _short, "unstarted", "must hold 144 bytes as announced", slow=True),
    Hostile(
        "missing_weights", _without(r"/data/0$"), "unstarted", "their record is missing", slow=True
    ),
    Hostile("syntax_error", changed(".py", lambda it: it + b"\n)"), "unstarted", slow=True),
    Hostile("version_999", changed("/version", lambda _: b"999\n"), "unstarted", "999", slow=True),
    Hostile("encrypted", _encrypted, "unstarted", slow=True),
    Hostile("deep_parentheses", _deep, "unstarted", "its process was ended by SIG", slow=True),
    Hostile("no_forward", _no_forward, "unstarted", "'forward'", slow=True),
    Hostile(
        "foreign_operator", changed(".py", _foreign), "unstarted", "operator of another library"
    ),
    Hostile("reads_a_file", scripted(lambda yard: Reads(yard.secret)), "rejected", "denied"),
    Hostile("writes_a_file", scripted(lambda yard: Writes(yard.written)), "answered", slow=True),
    Hostile(
        "writes_when_loaded",
        scripted(lambda yard: WritesWhenLoaded(yard.written)),
        "answered",
        "runs while it is loaded",
    ),
    Hostile("hangs", scripted(lambda _: Endless()), "timed_out", "no answer within"),
    Hostile("four_terabytes", scripted(lambda _: Huge()), "crashed", "more memory", slow=True),
    Hostile("raises", scripted(lambda _: Raises()), "rejected", "plan.txt", slow=True),
    Hostile("takes_a_number", scripted(lambda _: TakesNumber()), "rejected", slow=True),
    Hostile("takes_two_images", scripted(lambda _: TakesTwo()), "rejected", "argument", slow=True),
    Hostile(
        "answers_text", scripted(lambda _: AnswersText()), "rejected", "returned none", slow=True
    ),
    Hostile("nested_answer", scripted(lambda _: Deep()), "rejected", "of the input", slow=True),
    Hostile("counts_its_calls", scripted(lambda _: Counts()), "answered", slow=True),
)
"""Each needs a child of its own."""
