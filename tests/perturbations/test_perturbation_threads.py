"""The number of threads, and the order of work, never change a bit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from large_scans import large

import perturbations
from perturbations import CATALOG, Scan
from perturbations.catalog import get


def scan_for(name: str) -> Scan:
    """A scan of a modality that the line is for."""
    modality = (get(name).modalities or ("other",))[0]
    return large(modality)


def digests(name: str, scan: Scan, severities: list[float]) -> dict[float, str]:
    """SHA-256 of the outcome at every severity, in the order given."""
    drawn = perturbations.realise(name, scan, seed=17)
    return {
        severity: hashlib.sha256(drawn.at(severity=severity).image.numpy().tobytes()).hexdigest()
        for severity in severities
    }


@pytest.mark.parametrize("name", list(CATALOG))
def test_one_two_and_four_threads_make_the_same_bits_in_any_order(name: str) -> None:
    severities = [float(s) for s in range(1, len(get(name).body.values) + 1)]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            shuffled = list(np.random.default_rng(threads).permutation(severities))
            # a new scan each time: nothing may be remembered from the run before
            found.append(digests(name, scan_for(name), shuffled))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_work_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    for threads in (1, 3):
        torch.set_num_threads(threads)
        perturbations.realise("gaussian_noise", large("mr"), seed=1).at(severity=1)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)


def test_every_piece_is_computed_on_one_thread() -> None:
    from perturbations.chunks import spread

    before = torch.get_num_threads()
    seen: list[int] = []
    try:
        for threads in (2, 3, 4):
            torch.set_num_threads(threads)

            def piece(start: int, stop: int) -> None:
                torch.ones(stop - start) @ torch.ones(stop - start)
                seen.append(torch.get_num_threads())

            spread(piece, 64, 1)
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 3 * 64
    assert set(seen) == {1}
