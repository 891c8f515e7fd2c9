from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from models.alpha.validation import DailyRankIC, expanding_folds, latest_sessions
from models.base import FitError, Sample


def sample_on(session: np.ndarray, gap: int, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((len(session), 2), dtype=np.float32)
    return Sample(X, rng.standard_normal(len(session)), session, np.ones(len(session)), ("a", "b"), gap)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(1, 4), min_size=60, max_size=90),
    gap=st.integers(0, 12),
    share=st.floats(0.05, 0.4),
)
def test_no_label_of_the_earlier_part_reaches_the_later_part(steps, gap, share):
    sample = sample_on(np.repeat(np.cumsum(steps), 2), gap)
    earlier, later = latest_sessions(sample, share)
    assert earlier.session.max() + gap < later.session.min()
    assert later.session.max() == sample.session.max()
    present = np.unique(sample.session)
    assert later.sessions == max(2, round(share * len(present)))
    # nothing but the gap is lost
    between = present[(present > earlier.session.max()) & (present < later.session.min())]
    assert (between >= later.session.min() - gap).all()


def test_a_span_too_short_to_hold_out_sessions_is_refused():
    with pytest.raises(FitError, match="2 sessions must remain"):
        latest_sessions(sample_on(np.repeat(np.arange(8), 3), gap=5), 0.15)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.integers(1, 4), min_size=70, max_size=90), gap=st.integers(0, 10), folds=st.integers(1, 4))
def test_inner_folds_meet_no_label_of_the_past_and_together_hold_all_but_the_first_stretch(steps, gap, folds):
    sample = sample_on(np.repeat(np.cumsum(steps), 2), gap)
    parts = expanding_folds(sample, folds)
    present = np.unique(sample.session)
    for earlier, later in parts:
        assert earlier.session.min() == present[0]
        assert earlier.session.max() + gap < later.session.min()
        between = present[(present > earlier.session.max()) & (present < later.session.min())]
        assert (between >= later.session.min() - gap).all()
    held = np.concatenate([later.session for _, later in parts])
    assert np.array_equal(held, sample.session[-len(held) :])
    lengths = [later.sessions for _, later in parts]
    assert max(lengths) - min(lengths) <= 1
    assert abs(len(present) - sum(lengths) - lengths[0]) <= 1


def test_daily_rank_ic_is_the_mean_of_spearman_correlations_with_ties():
    rng = np.random.default_rng(4)
    session = np.sort(rng.integers(0, 9, 300))
    sample = sample_on(session, gap=1, seed=5)
    score = rng.integers(0, 6, 300).astype(np.float64)
    daily = [spearmanr(score[session == s], sample.y[session == s]).statistic for s in np.unique(session)]
    assert DailyRankIC(sample)(score) == pytest.approx(np.mean(daily), abs=1e-12)


def test_a_session_with_one_score_for_all_counts_as_no_skill():
    sample = sample_on(np.repeat([0, 1], 50), gap=1)
    score = np.where(sample.session == 0, sample.y, 1.0)
    assert DailyRankIC(sample)(score) == pytest.approx(0.5)
