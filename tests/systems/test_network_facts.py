from __future__ import annotations

from dataclasses import replace

from auditor.schema import NetworkLevel, NetworkSkip
from auditor.systems.description import Description, OperatorCount
from auditor.systems.skips import Level, Skip, SkipEdge, Skips
from auditor.systems.skips.facts import network_facts

EDGES = (
    SkipEdge(source="b", merge="added", operator="add", call=7, slot=1),
    SkipEdge(source="b", merge="gated", operator="mul", call=9, slot=0),
)
SKIPS = Skips(
    found=(Skip(1, (8, 4), 16, 1, "b", "mul", nested=False, edges=EDGES),),
    complete=True,
    minimal=False,
    coarsest=(4, 2),
    one_voxel=False,
    levels=(Level((16, 8), 4, 3), Level((8, 4), 16, 8), Level((4, 2), 32, 0)),
)
DESCRIPTION = Description(
    fed=(1, 1, 16, 8),
    producer="",
    versions=(),
    parameters=1,
    operators=(OperatorCount("Conv", 5),),
    outputs=(),
    skips=SKIPS,
    skips_note="",
    live=(),
    seconds=0.0,
    peak_mb=0.0,
)


def test_facts_of_a_network_are_those_of_its_description() -> None:
    facts = network_facts(DESCRIPTION, ["a", "b"])
    assert facts.systems == ("a", "b")
    assert facts.fed == (1, 1, 16, 8)
    assert facts.skips == (NetworkSkip(1, (8, 4), 16, "b", "mul", nested=False, places=2),)
    assert (facts.complete, facts.minimal, facts.coarsest) == (True, False, (4, 2))
    assert facts.levels[1] == NetworkLevel((8, 4), 16, 8)
    assert (facts.note, facts.remarks) == ("", ())


def test_what_could_not_be_looked_for_has_its_reason() -> None:
    facts = network_facts(replace(DESCRIPTION, skips=None, skips_note="too large"))
    assert (facts.skips, facts.complete, facts.note) == ((), False, "too large")
    assert network_facts(replace(DESCRIPTION, skips=None)).note != ""


def test_bodies_that_are_not_looked_into_and_single_voxels_are_said() -> None:
    counts = (OperatorCount("Conv", 5), OperatorCount("Loop", 2))
    seen = replace(DESCRIPTION, operators=counts, skips=replace(SKIPS, one_voxel=True))
    bodies, voxel = network_facts(seen).remarks
    assert "Loop (2)" in bodies
    assert "not seen" in bodies
    assert "larger input may show more" in voxel
