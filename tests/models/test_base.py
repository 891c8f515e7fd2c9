from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.panel import Refusal
from models.base import FitError, Sample


@pytest.fixture
def sample() -> Sample:
    return Sample(
        X=np.arange(12, dtype=np.float32).reshape(6, 2),
        y=np.linspace(-1, 1, 6),
        session=np.array([3, 3, 4, 4, 7, 7]),
        weight=np.full(6, 0.5),
        columns=("a", "b"),
        gap=1,
    )


def holed(array: np.ndarray, place: object, value: float) -> np.ndarray:
    out = array.copy()
    out[place] = value
    return out


def test_a_sample_counts_the_sessions_that_have_rows(sample):
    assert sample.sessions == 3


def test_weights_are_brought_to_a_mean_of_one(sample):
    assert replace(sample, weight=np.array([1.0, 1, 1, 3, 3, 3])).unit_weight.tolist() == [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]


def test_a_refusal_of_a_fit_is_a_refusal_and_a_runtime_error():
    assert issubclass(FitError, Refusal)
    assert issubclass(FitError, RuntimeError)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: {"X": holed(s.X, (2, 1), np.nan)}, "row 2, column b"),
        (lambda s: {"X": holed(s.X, (5, 0), np.inf)}, "row 5, column a"),
        (lambda s: {"X": s.X[:, :1]}, r"\(6, 2\); found \(6, 1\)"),
        (lambda s: {"X": s.X.astype(np.float64)}, "X must be float32"),
        (lambda s: {"y": holed(s.y, 4, np.nan)}, "every label must be a finite number; found nan, first at row 4"),
        (
            lambda s: {"session": np.array([3, 3, 4, 4, 3, 7])},
            "sorted by session; found 3 after a later one, first at row 4",
        ),
        (lambda s: {"session": s.session[:5]}, "session and weight"),
        (lambda s: {"session": np.full(6, 3)}, "at least 2 sessions; found 1"),
        (lambda s: {"weight": holed(s.weight, 0, -1.0)}, "weights"),
        (lambda s: {"weight": holed(s.weight, 0, np.nan)}, "weights"),
        (lambda s: {"weight": np.zeros(6)}, "weights"),
        (lambda s: {"columns": ("a", "a")}, "each named once"),
        (lambda s: {"gap": -1}, "gap"),
    ],
)
def test_a_sample_refuses_what_cannot_be_learnt_from(sample, change, says):
    with pytest.raises(FitError, match=says):
        replace(sample, **change(sample))


def test_the_rows_of_a_slice_share_memory(sample):
    assert np.shares_memory(sample.rows(slice(2, None)).X, sample.X)
