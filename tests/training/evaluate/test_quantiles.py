from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import spearmanr

from features.panel import DataError
from training.evaluate.quantiles import group_turnover, rank_autocorrelation, score_groups


def scores(seed=0, shape=(30, 43)):
    rng = np.random.default_rng(seed)
    out = np.cumsum(rng.normal(size=shape), axis=0)
    out[rng.random(shape) < 0.1] = np.nan
    return out


def test_groups_are_of_one_size_and_in_order():
    score = scores()
    group = score_groups(score, np.ones(score.shape, bool), 5)
    assert ((group >= 0) == np.isfinite(score)).all()
    for t in range(len(score)):
        sizes = np.bincount(group[t][group[t] >= 0], minlength=5)
        assert sizes.max() - sizes.min() <= 1
        tops = [score[t, group[t] == g] for g in range(5)]
        assert all(low.max() < high.min() for low, high in pairwise(tops))


def test_only_the_assets_asked_for_are_sorted():
    score = scores()
    among = np.zeros(score.shape, bool)
    among[:, :20] = True
    assert (score_groups(score, among, 5)[:, 20:] == -1).all()


def test_sessions_too_small_or_all_the_same_have_no_groups():
    score = scores()
    score[3] = 1.0
    score[4, 9:] = np.nan
    group = score_groups(score, np.ones(score.shape, bool), 5)
    assert (group[3:5] == -1).all()
    with pytest.raises(DataError):
        score_groups(score, np.ones(score.shape, bool), 1)


@pytest.mark.parametrize("lag", [1, 4])
def test_turnover_is_what_sets_of_names_say(lag):
    score = scores()
    group = score_groups(score, np.ones(score.shape, bool), 3)
    group[10] = -1
    found = group_turnover(group, 3, lag)
    assert np.isnan(found[:lag]).all()
    for t in range(lag, len(group)):
        for g in range(3):
            now, before = (set(np.flatnonzero(group[s] == g)) for s in (t, t - lag))
            if now and before:
                assert found[t, g] == pytest.approx(len(now - before) / len(now))
            else:
                assert np.isnan(found[t, g])


def test_autocorrelation_is_the_rank_correlation_of_two_sessions():
    score = scores()
    found = rank_autocorrelation(score, 3, min_names=20)
    assert np.isnan(found[:3]).all()
    for t in range(3, len(score)):
        assert found[t] == pytest.approx(spearmanr(score[t], score[t - 3], nan_policy="omit").statistic)


def test_a_lag_of_nothing_is_refused():
    with pytest.raises(DataError):
        rank_autocorrelation(scores(), 0)
