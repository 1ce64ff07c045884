"""Where skips are cut, in recordings drawn by hand."""

from __future__ import annotations

import pytest
from drawn_recordings import FULL, HALF, Net, u_net

from auditor.systems.skips import Recording, find_skips
from auditor.systems.skips.cuts import Cut, Place, find_cuts
from auditor.systems.skips.recording import Kind


def cuts(net: Net, out: int) -> tuple[tuple[Cut, ...], ...]:
    recording = Recording(tuple(net.values), tuple(net.operations), (0,), (("out", out),))
    return find_cuts(recording, find_skips(recording))


def made_by(net: Net, value: int) -> int:
    """Return the call that made a value."""
    return next(op.call for op in net.operations if value in op.outputs)


@pytest.mark.parametrize("merge", ["concat", "merge"])
def test_a_skip_is_cut_where_it_is_merged(merge: Kind) -> None:
    net, out = u_net(merge)
    (finest,), (next_,) = cuts(net, out)
    # of `u_net`: values 2 and 5 skip, the first into slot 1 of its merge, the second into slot 0
    assert (finest.value, next_.value) == (2, 5)
    assert finest.channel_axis == next_.channel_axis == 1
    merges = [op.call for op in net.operations if op.kind == merge]
    assert next_.places == (Place(merges[0], 0),)
    assert finest.places == (Place(merges[1], 1),)


def gated(*, encoder_reads_gate: bool = False, gate_steps: int = 1) -> tuple[Net, int, list[int]]:
    """Return an attention gate; where the encoder goes on with the stem, or with a value of the gate."""
    net = Net()
    first = net.conv(0, FULL)
    inside = first
    for _ in range(gate_steps):
        inside = net.op("convolution", [inside], FULL)
    below = net.conv(net.op("spatial", [inside if encoder_reads_gate else first], HALF), HALF)
    up = net.op("convolution", [below], FULL)
    added = net.op("merge", [net.op("convolution", [up], FULL), inside], FULL)
    psi = net.op("pointwise", [net.op("convolution", [added], FULL)], FULL)
    product = net.op("merge", [first, psi], FULL)
    out = net.op("convolution", [net.op("concat", [product, up], FULL)], FULL)
    return net, out, [first, inside, added, product]


@pytest.mark.parametrize("steps", [1, 2])
def test_a_gate_is_cut_at_its_stem_and_the_encoder_is_not(steps: int) -> None:
    net, out, (first, _, _, product) = gated(gate_steps=steps)
    ((cut,),) = cuts(net, out)
    assert cut.value == first
    # the convolution of the gate and the product; not the pooling, which is the encoder
    assert cut.places == (Place(2, 0), Place(made_by(net, product), 0))
    assert net.operations[2].kind == "convolution"


def test_a_gate_whose_inside_feeds_the_encoder_is_cut_at_its_edges() -> None:
    net, out, (first, inside, added, product) = gated(encoder_reads_gate=True)
    (found,) = cuts(net, out)
    assert [(cut.value, cut.places) for cut in found] == [
        (first, (Place(made_by(net, product), 0),)),
        (inside, (Place(made_by(net, added), 1),)),
    ]


def test_nested_skips_of_one_value_are_cut_one_by_one() -> None:
    net = Net()
    x00 = net.conv(0, FULL)
    x10 = net.conv(net.op("spatial", [x00], HALF), HALF)
    x01 = net.conv(net.op("concat", [x00, net.op("convolution", [x10], FULL)], FULL), FULL)
    below = net.conv(net.op("spatial", [x01], HALF), HALF)
    last = net.op("concat", [x00, x01, net.op("convolution", [below], FULL)], FULL)
    found = cuts(net, net.op("convolution", [last], FULL))
    assert [(cut.value, cut.places) for (cut,) in found] == [
        (x00, (Place(made_by(net, x01) - 2, 0),)),
        (x00, (Place(made_by(net, last), 0),)),
        (x01, (Place(made_by(net, last), 1),)),
    ]


def test_a_residual_encoder_is_cut_behind_its_sum() -> None:
    net = Net()
    first = net.conv(0, FULL)
    summed = net.op("merge", [first, net.conv(first, FULL)], FULL)
    up = net.op("convolution", [net.conv(net.op("spatial", [summed], HALF), HALF)], FULL)
    merged = net.op("merge", [up, summed], FULL)
    ((cut,),) = cuts(net, net.op("convolution", [merged], FULL))
    # the sum of the encoder, that is no skip, is not touched
    assert cut == Cut(summed, 1, (Place(made_by(net, merged), 1),))
