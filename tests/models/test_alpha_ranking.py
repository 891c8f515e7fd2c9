from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from models.alpha.ranking import relevance, session_ranks, session_starts, session_weights
from models.base import FitError


def rows(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    session = np.sort(rng.integers(0, 9, 400))
    x = rng.integers(0, 12, 400).astype(np.float64) if ties else rng.standard_normal(400)
    return x, session


@pytest.mark.parametrize("ties", [False, True])
def test_ranks_are_those_of_scipy_within_each_session(ties):
    x, session = rows(3, ties)
    found = session_ranks(x, session)
    for day in np.unique(session):
        mine = session == day
        assert np.allclose(found[mine], (rankdata(x[mine]) - 0.5) / mine.sum() - 0.5, rtol=0, atol=1e-15)


def test_of_no_rows_there_are_no_ranks_and_no_sessions():
    none = np.zeros(0)
    assert session_ranks(none, none.astype(np.int64)).shape == (0,)
    assert session_starts(none.astype(np.int64)).tolist() == [0]


def test_a_worked_session_of_ten_in_five_grades():
    y = np.array([0.3, -1.0, 0.9, 0.1, -0.2, 2.0, -3.0, 0.4, 0.5, -0.5])
    assert relevance(y, np.zeros(10, np.int64), 5).tolist() == [2, 0, 4, 2, 1, 4, 0, 3, 3, 1]


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 60), bins=st.integers(2, 20), seed=st.integers(0, 99))
def test_without_ties_each_grade_has_its_share_of_a_session(size, bins, seed):
    y = np.random.default_rng(seed).standard_normal(size)
    grade = relevance(y, np.full(size, 4), bins)
    assert (np.diff(grade[np.argsort(y)]) >= 0).all()
    count = np.bincount(grade.astype(int), minlength=bins)
    assert len(count) == bins
    assert count.max() - count.min() <= 1
    assert sum(count) == size


def test_equal_labels_have_equal_grades():
    x, session = rows(5, ties=True)
    grade = relevance(x, session, 10)
    for day in np.unique(session):
        for value in np.unique(x[session == day]):
            assert len(np.unique(grade[(session == day) & (x == value)])) == 1


def test_labels_that_are_constant_in_every_session_cannot_be_ranked():
    session = np.repeat([0, 1, 2], 5)
    with pytest.raises(FitError, match="constant labels"):
        relevance(session.astype(np.float64), session, 5)


def test_a_session_weighs_the_sum_of_its_rows():
    session = np.array([1, 1, 1, 2, 5, 5])
    found = session_weights(np.array([1.0, 1, 1, 3, 3, 3]), session)
    assert found / found[0] == pytest.approx([1, 1, 1, 1, 2, 2])
    assert found.mean() == pytest.approx(1.0)
