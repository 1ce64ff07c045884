"""Durations as people write them."""

from __future__ import annotations

import pytest

from auditor.cli.screening import seconds_of
from reports.screen import time_words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1h30m15s", 5415),
        (" 30M ", 1800), ("0h1s", 1),
    ],
)  # fmt: skip
def test_hours_minutes_and_seconds_are_added(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "30m1h", "-5m", "1.5h", "0s", "5 m", "1d", "nan"])
def test_everything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="as 90s, 30m or 1h30m"):
        seconds_of(text)


def test_times_are_written_in_two_units_at_most() -> None:
    assert [time_words(it) for it in (0.4, 59.4, 60, 3599, 3600, 36061)] == [
        "0 s", "59 s", "1 min 00 s", "59 min 59 s", "1 h 00 min", "10 h 01 min",
    ]  # fmt: skip
