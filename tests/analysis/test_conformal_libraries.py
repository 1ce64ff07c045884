"""Ranks against two conformal libraries, where they are installed.

Both bound |residuals| from above: their quantile is the rank ceil((n + 1) (1 - alpha)) = n + 1 - k from below,
so that minus it is our bound of the scores -|residual|.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from auditor.analysis.conformal import lower_bound, marginal_rank

SIZES = (30, 50, 118)


def residuals(n: int) -> NDArray[np.float64]:
    return np.random.default_rng(n).exponential(size=n)


def ours(n: int) -> float:
    bound = lower_bound(-residuals(n), marginal_rank(n, 0.1))
    assert bound is not None
    return -bound


@pytest.mark.parametrize("n", SIZES)
def test_the_bound_is_that_of_crepes(n: int) -> None:
    crepes = pytest.importorskip("crepes", exc_type=ImportError)
    fitted = crepes.ConformalRegressor()
    fitted.fit(residuals(n))
    low, high = fitted.predict_int(np.zeros(1), confidence=0.9)[0]
    assert (low, high) == (pytest.approx(-ours(n)), pytest.approx(ours(n)))


@pytest.mark.parametrize("n", [*SIZES, 99])  # at 99, crepes truncates 9.99.. to 9: one rank lower
def test_the_bound_is_that_of_mapie(n: int) -> None:
    regression = pytest.importorskip("mapie.regression", exc_type=ImportError)
    dummy = pytest.importorskip("sklearn.dummy", exc_type=ImportError)
    nothing = np.zeros((n, 1))
    model = dummy.DummyRegressor(strategy="constant", constant=0.0).fit(nothing, np.zeros(n))
    fitted = regression.SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
    fitted.conformalize(nothing, residuals(n))
    _, intervals = fitted.predict_interval(nothing[:1])
    assert intervals.ravel()[1] == pytest.approx(ours(n))
