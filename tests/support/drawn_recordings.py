"""Recordings of networks, drawn operator by operator."""

from __future__ import annotations

from auditor.systems.skips import Operation, Recording, Skips, Value, find_skips
from auditor.systems.skips.recording import Kind

FULL, HALF, QUARTER, ONE = (4, 16, 8), (4, 8, 4), (2, 4, 2), (1, 1, 1)
"""Anisotropic: the first halving leaves the thick slices alone."""


class Net:
    """Writes a recording, operator by operator."""

    def __init__(self, sizes: tuple[int, ...] = FULL) -> None:
        self.values = [Value("image", (1, 1, *sizes), "float32", feature=True)]
        self.operations: list[Operation] = []

    def op(
        self,
        kind: Kind,
        given: list[int],
        sizes: tuple[int, ...],
        *,
        feature: bool = True,
        kernel: int | None = None,
    ) -> int:
        self.values.append(
            Value(f"v{len(self.values)}", (1, 4, *sizes), "float32", feature=feature)
        )
        made = len(self.values) - 1
        call = len(self.operations)
        inputs = tuple(enumerate(given))
        shape = None if kernel is None else (kernel,) * len(sizes)
        self.operations.append(Operation(kind, kind, inputs, (made,), call, kernel=shape))
        return made

    def conv(self, given: int, sizes: tuple[int, ...]) -> int:
        return self.op("pointwise", [self.op("convolution", [given], sizes)], sizes)

    def skips(self, *outputs: int) -> Skips:
        named = tuple((f"out{i}", value) for i, value in enumerate(outputs))
        return find_skips(Recording(tuple(self.values), tuple(self.operations), (0,), named))


def u_net(merge: Kind) -> tuple[Net, int]:
    net = Net()
    first = net.conv(0, FULL)
    second = net.conv(net.op("spatial", [first], HALF), HALF)
    bottom = net.conv(net.op("spatial", [second], QUARTER), QUARTER)
    up = net.op("convolution", [bottom], HALF)
    middle = net.conv(net.op(merge, [second, up], HALF), HALF)
    top = net.op(merge, [net.op("spatial", [middle], FULL), first], FULL)
    return net, net.op("convolution", [top], FULL)
