from __future__ import annotations

from dataclasses import replace

import pytest
from drawn_recordings import FULL, HALF, ONE, QUARTER, Net, u_net

from auditor.systems.skips import Level, Operation, Recording, Skips, Value, find_skips
from auditor.systems.skips.graph import feature_graph
from auditor.systems.skips.recording import Kind


def nothing(*levels: Level) -> Skips:
    return Skips(
        (),
        complete=True,
        minimal=True,
        coarsest=levels[-1].resolution,
        one_voxel=False,
        levels=levels,
    )


@pytest.mark.parametrize("merge", ["concat", "merge"])
def test_a_u_net_has_one_skip_a_level_whether_it_joins_or_adds(merge: Kind) -> None:
    net, out = u_net(merge)
    found = net.skips(out)
    assert [(s.level, s.resolution, s.nested) for s in found.found] == [
        (0, FULL, False),
        (1, HALF, False),
    ]
    assert (found.complete, found.minimal, found.one_voxel) == (True, True, False)
    assert found.coarsest == QUARTER
    # all values of `Net` have four channels, after the batch; nothing goes up at the bottom
    assert found.levels == (Level(FULL, 4, 4), Level(HALF, 4, 4), Level(QUARTER, 4, 0))
    assert [(s.channels, s.channel_axis) for s in found.found] == [(4, 1), (4, 1)]
    finest, next_ = found.found
    # the image is value 0, the first convolution 1, its activation 2, the pooled 3, the second 4, 5
    assert (finest.source, next_.source) == ("v2", "v5")
    assert finest.edges[0].slot == 1
    assert next_.edges[0].slot == 0
    merged = net.operations[next_.edges[0].call]
    assert merged.kind == merge
    assert net.values[merged.outputs[0]].name == next_.edges[0].merge


def test_returned_label_numbers_are_followed_back() -> None:
    net, out = u_net("concat")
    labels = net.op("other", [out], FULL, feature=False)
    assert len(net.skips(labels).found) == 2
    assert net.skips(labels).complete


def test_residual_sums_strided_or_not_are_no_skips() -> None:
    net = Net()
    first = net.conv(0, FULL)
    summed = net.op("merge", [first, net.conv(net.conv(first, FULL), FULL)], FULL)
    strided = net.op("convolution", [summed], HALF)
    short = net.op("convolution", [summed], HALF)
    low = net.op("merge", [net.conv(strided, HALF), short], HALF)
    found = net.skips(net.op("spatial", [low], FULL))
    assert found.found == ()
    assert (found.complete, found.minimal) == (True, True)


def test_gates_and_contexts_of_one_voxel_are_no_skips() -> None:
    net = Net()
    first = net.conv(0, FULL)
    gate = net.op("pointwise", [net.op("convolution", [net.op("spatial", [first], ONE)], ONE)], ONE)
    gated = net.op("merge", [first, gate], FULL)
    context = net.op("spatial", [net.op("convolution", [gate], ONE)], FULL)
    joined = net.op("concat", [gated, context], FULL)
    found = net.skips(net.op("convolution", [joined], FULL))
    assert found.found == ()
    assert found.one_voxel  # a larger input might show more
    assert found.coarsest == FULL


def test_the_two_edges_of_an_attention_gate_are_one_skip_with_their_stem() -> None:
    net = Net()
    first = net.conv(0, FULL)
    below = net.conv(net.op("spatial", [first], HALF), HALF)
    up = net.op("convolution", [below], FULL)
    added = net.op(
        "merge", [net.op("convolution", [up], FULL), net.op("convolution", [first], FULL)], FULL
    )
    psi = net.op("pointwise", [net.op("convolution", [added], FULL)], FULL)
    gated = net.op("merge", [first, psi], FULL)
    found = net.skips(net.op("convolution", [net.op("concat", [gated, up], FULL)], FULL))
    assert len(found.found) == 1
    skip = found.found[0]
    assert skip.source == net.values[first].name
    assert [(edge.merge, edge.slot) for edge in skip.edges] == [
        (net.values[added].name, 1),
        (net.values[gated].name, 0),
    ]
    assert (found.complete, found.minimal) == (True, True)


def test_a_dense_decoder_has_every_edge_and_is_not_minimal() -> None:
    # UNet++ of two levels: X01 <- X00; X11 <- X10; X02 <- X00, X01
    net = Net()
    x00 = net.conv(0, FULL)
    x10 = net.conv(net.op("spatial", [x00], HALF), HALF)
    x20 = net.conv(net.op("spatial", [x10], QUARTER), QUARTER)
    x01 = net.conv(net.op("concat", [x00, net.op("convolution", [x10], FULL)], FULL), FULL)
    x11 = net.conv(net.op("concat", [x10, net.op("convolution", [x20], HALF)], HALF), HALF)
    both = net.op("concat", [x00, x01], FULL)
    x02 = net.conv(net.op("concat", [both, net.op("convolution", [x11], FULL)], FULL), FULL)
    found = net.skips(net.op("convolution", [x02], FULL))
    assert [(s.source, s.level, s.nested) for s in found.found] == [
        (net.values[x00].name, 0, False),
        (net.values[x00].name, 0, False),
        (net.values[x01].name, 0, True),
        (net.values[x10].name, 1, False),
    ]
    assert found.complete
    assert not found.minimal  # X00 to X01 alone leads nowhere while X01 to X02 is cut


def test_an_autoencoder_has_none_and_a_hidden_bypass_is_admitted() -> None:
    net = Net()
    first = net.conv(0, FULL)
    up = net.op("convolution", [net.conv(net.op("spatial", [first], HALF), HALF)], FULL)
    assert net.skips(net.op("convolution", [up], FULL)) == nothing(
        Level(FULL, 4, 4), Level(HALF, 4, 0)
    )
    hidden = net.op("other", [first, up], FULL)  # a merge that the rule does not know
    found = net.skips(hidden)
    assert found.found == ()
    assert not found.complete


def test_coarser_outputs_of_deep_supervision_count_for_nothing() -> None:
    net, out = u_net("concat")
    third = net.op("spatial", [net.op("spatial", [out], HALF)], QUARTER)
    side = net.op("merge", [net.op("spatial", [out], QUARTER), third], QUARTER)
    eighth = net.op("spatial", [side], (1, 2, 1))
    assert net.skips(side, eighth, out) == net.skips(out)
    assert net.skips(out).coarsest == QUARTER


def test_without_a_way_from_input_to_output_nothing_is_certified() -> None:
    net = Net()
    net.conv(0, FULL)
    shape = net.op("other", [0], FULL, feature=False)
    constant = net.op("other", [shape], FULL)
    assert not net.skips(constant).complete


def test_a_network_of_one_resolution_has_nothing_to_bypass() -> None:
    net = Net()
    found = net.skips(net.conv(net.op("merge", [0, net.conv(0, FULL)], FULL), FULL))
    assert found == nothing(Level(FULL, 4, 0))


def test_sizes_are_trusted_only_where_the_layout_is_known() -> None:
    net = Net()
    tokens = net.op("other", [net.op("convolution", [0], HALF)], HALF)
    again = net.op("pointwise", [tokens], HALF)
    recording = Recording(tuple(net.values), tuple(net.operations), (0,), (("out", again),))
    sizes = [feature.sizes for feature in feature_graph(recording).features]
    assert sizes == [FULL, HALF, (), ()]
    # an input with its channels last has space in the middle
    last = replace(recording, channel_last=True)
    assert feature_graph(last).features[0].sizes == (1, *FULL[:-1])


def _channels_last(axis: int) -> Recording:
    """A U-Net as TensorFlow's exporters write it, its concatenation along an axis of four."""
    fed = Value("image", (1, 4, 8, 2), "float32", feature=True)
    shapes = {
        "first": (1, 5, 4, 8), "second": (1, 7, 2, 4), "up": (1, 5, 4, 8), "head": (1, 3, 4, 8)
    }  # fmt: skip
    values, operations = [fed], list[Operation]()

    def op(name: str, kind: Kind, given: list[int], shape: tuple[int, ...], **more: object) -> int:
        values.append(Value(name, shape, "float32", feature=True))
        made = (len(values) - 1,)
        operations.append(
            Operation(kind, kind, tuple(enumerate(given)), made, len(operations), **more)  # type: ignore[arg-type]  # axis, order
        )
        return made[0]

    def wrapped(name: str, kind: Kind, given: int) -> int:
        """Write an operator between two transposes; its result has its channels last."""
        n, *space, c = values[given].shape
        first = op(f"{name}.in", "permute", [given], (n, c, *space), order=(0, 3, 1, 2))
        n, c, *space = shapes[name]
        inside = op(f"{name}.of", kind, [first], shapes[name])
        return op(name, "permute", [inside], (n, *space, c), order=(0, 2, 3, 1))

    first = op("relu", "pointwise", [wrapped("first", "convolution", 0)], (1, 4, 8, 5))
    up = wrapped("up", "convolution", wrapped("second", "convolution", first))
    whole = list(values[up].shape)
    whole[axis] *= 2
    joined = op("joined", "concat", [first, up], tuple(whole), axis=axis)
    out = wrapped("head", "convolution", joined)
    return Recording(tuple(values), tuple(operations), (0,), (("out", out),), channel_last=True)


def test_channels_last_is_followed_through_transposes_around_every_convolution() -> None:
    found = find_skips(_channels_last(3))
    (skip,) = found.found
    assert (skip.source, skip.resolution, skip.level) == ("relu", (4, 8), 0)
    assert (skip.channels, skip.channel_axis) == (5, 3)
    assert (found.complete, found.minimal, found.coarsest) == (True, True, (2, 4))
    # on the way up the convolution with five channels is wider than the head with three; the
    # concatenation with ten is no convolution
    assert found.levels == (Level((4, 8), 5, 5), Level((2, 4), 7, 0))


def test_a_concatenation_along_space_joins_no_channels() -> None:
    found = find_skips(_channels_last(1))
    assert found.found == ()
    assert not found.complete  # a way around the bottleneck that is no skip of this rule


def test_a_transpose_that_mixes_space_ends_what_is_known() -> None:
    values = [Value("image", (1, 2, 4, 8), "float32", feature=True)]
    values += [Value(name, shape, "float32", feature=True) for name, shape in
               (("turned", (1, 2, 8, 4)), ("kept", (1, 4, 8, 2)), ("back", (1, 2, 4, 8)))]  # fmt: skip
    operations = (
        Operation("T", "permute", ((0, 0),), (1,), 0, order=(0, 1, 3, 2)),
        Operation("T", "permute", ((0, 0),), (2,), 1, order=(0, 2, 3, 1)),
        Operation("T", "permute", ((0, 2),), (3,), 2, order=(0, 3, 1, 2)),
    )
    graph = feature_graph(Recording(tuple(values), operations, (0,), (("out", 3),)))
    assert [it.channel_axis for it in graph.features] == [1, None, 3, 1]
    assert [it.channels for it in graph.features] == [2, 0, 2, 2]
    assert [it.sizes for it in graph.features] == [(4, 8), (), (4, 8), (4, 8)]


def _down_and_up(*, below: int, at_full: int, at_half: int) -> Skips:
    """Beside features of half size go their averages over few bins: convolved there, and back."""
    net = Net()
    first = net.op("convolution", [0], FULL, kernel=at_full)
    half = net.op("convolution", [net.op("spatial", [first], HALF)], HALF, kernel=at_half)
    bins = net.op("convolution", [net.op("spatial", [half], QUARTER)], QUARTER, kernel=below)
    joined = net.op("concat", [half, net.op("spatial", [bins], HALF)], HALF)
    last = net.op("convolution", [joined], HALF, kernel=at_half)
    return net.skips(net.op("spatial", [last], FULL))


def test_averages_over_bins_are_no_level_and_nothing_bypasses_them() -> None:
    found = _down_and_up(below=1, at_full=3, at_half=3)
    assert found.found == ()
    assert (found.complete, found.coarsest) == (True, HALF)
    assert [it.resolution for it in found.levels] == [FULL, HALF]


@pytest.mark.parametrize(
    ("below", "at_full", "at_half"),
    [(3, 3, 3), (1, 1, 1), (1, 3, 1)],
    ids=["neighbours are seen below", "nowhere", "only at the finest resolution"],
)
def test_a_level_is_one_where_neighbours_are_seen_or_hardly_anywhere(
    below: int, at_full: int, at_half: int
) -> None:
    found = _down_and_up(below=below, at_full=at_full, at_half=at_half)
    assert [(it.level, it.source) for it in found.found] == [(1, "v3")]
    assert (found.complete, found.coarsest) == (True, QUARTER)


def test_an_image_that_is_smaller_than_the_first_level_is_no_coarser_one() -> None:
    """Padded by 4 x 16 x 8 before the first convolution, cropped at the end."""
    net = Net(HALF)
    first = net.conv(net.op("crop", [0], FULL), FULL)
    up = net.op("convolution", [net.conv(net.op("spatial", [first], QUARTER), QUARTER)], FULL)
    out = net.op("convolution", [net.op("concat", [first, up], FULL)], FULL)
    (skip,) = net.skips(net.op("crop", [out], HALF)).found
    assert (skip.level, skip.nested) == (0, False)


def test_one_voxel_hides_a_skip_only_from_kernels_that_see_more() -> None:
    def gated(kernel: int) -> Skips:
        net = Net()
        first = net.conv(0, FULL)
        gate = net.op("convolution", [net.op("spatial", [first], ONE)], ONE, kernel=kernel)
        return net.skips(net.conv(net.op("merge", [first, gate], FULL), FULL))

    assert not gated(1).one_voxel
    assert gated(3).one_voxel


def test_depths_and_ancestors_by_hand() -> None:
    net = Net()
    first = net.conv(0, FULL)
    summed = net.op("merge", [0, first], FULL)
    recording = Recording(tuple(net.values), tuple(net.operations), (0,), (("out", summed),))
    features = feature_graph(recording).features
    assert [it.depth for it in features] == [0, 1, 1, 1]
    assert [it.ancestors for it in features] == [0b1, 0b11, 0b111, 0b1111]
    assert features[3].parents == ((0, 0), (1, 2))


def test_branches_of_one_depth_are_side_by_side() -> None:
    """One convolution goes down and up again by interpolation, the other stays: neither bypasses the other."""
    net = Net()
    down = net.op("convolution", [net.op("spatial", [0], HALF)], HALF)
    around, straight = net.op("spatial", [down], FULL), net.conv(0, FULL)
    found = net.skips(net.op("convolution", [net.op("concat", [around, straight], FULL)], FULL))
    assert found.found == ()
    deeper = net.op("spatial", [net.op("convolution", [down], HALF)], FULL)
    found = net.skips(net.op("convolution", [net.op("concat", [deeper, straight], FULL)], FULL))
    assert [skip.source for skip in found.found] == ["v5"]
