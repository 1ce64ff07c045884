"""Memory of volumes that nobody holds serves the next ones, and never one that somebody holds."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import torch
from scans import head

import perturbations
from perturbations import Scan
from perturbations.chunks import empty, forget

SHAPE = (1, 16, 160, 160)
"""409600 values: enough to be kept."""


def test_what_is_held_by_a_view_alone_is_not_given_away() -> None:
    forget()
    first = empty(SHAPE).fill_(1.0)
    kept = first[0, 3:5].numpy()
    del first
    gc.collect()
    others = [empty(SHAPE).fill_(2.0) for _ in range(4)]
    assert len(others) == 4
    assert (kept == 1.0).all()


def test_memory_that_was_left_is_used_again_for_volumes_of_about_its_size_alone() -> None:
    forget()
    first = empty(SHAPE)
    place = first.data_ptr()
    del first
    gc.collect()
    much_smaller = empty((1, 8, 160, 160))
    assert much_smaller.data_ptr() != place
    again = empty((1, 15, 160, 160))
    assert again.data_ptr() == place
    assert tuple(again.shape) == (1, 15, 160, 160)


def test_no_more_than_two_volumes_are_kept() -> None:
    forget()
    volumes = [empty(SHAPE) for _ in range(5)]
    places = [it.data_ptr() for it in volumes]
    while volumes:
        volumes.pop(0)
    gc.collect()
    taken = [empty(SHAPE) for _ in range(2)]
    assert {it.data_ptr() for it in taken} == set(places[-2:])


def test_outcomes_on_many_threads_keep_their_values() -> None:
    image = head().image.repeat(1, 1, 2, 3)
    scan = Scan(image=image, spacing=head().spacing, modality="mr")
    assert image.numel() > 1 << 18

    def made(seed: int) -> torch.Tensor:
        return perturbations.realise("rician_noise", scan, seed=seed).at(severity=3).image

    expected = [made(seed).clone() for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(made, [seed % 4 for seed in range(32)]))
    assert all(torch.equal(it, expected[k % 4]) for k, it in enumerate(found))
