from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from features.panel import DataError
from training.evaluate.ic import (
    Grouping,
    by_board,
    by_size,
    daily_ic,
    ic_by_group,
    ic_by_year,
    ic_decay,
    ic_summary,
    monthly_ic,
)
from training.evaluate.significance import newey_west


def scores_and_labels(t_count=12, n_count=40, seed=0):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(t_count, n_count))
    label = 0.3 * score + rng.normal(size=(t_count, n_count))
    score[rng.random(score.shape) < 0.1] = np.nan
    label[rng.random(label.shape) < 0.1] = np.nan
    return np.round(score, 1), label  # rounded: ties


@pytest.mark.parametrize(("method", "reference"), [("rank", spearmanr), ("pearson", pearsonr)])
def test_daily_ic_equals_scipy_session_by_session(method, reference):
    score, label = scores_and_labels()
    found = daily_ic(score, label, method=method)
    for t in range(len(score)):
        both = np.isfinite(score[t]) & np.isfinite(label[t])
        assert found[t] == pytest.approx(reference(score[t, both], label[t, both]).statistic, abs=1e-12)


def test_sessions_with_too_few_names_have_no_ic():
    score, label = scores_and_labels()
    score[3, 15:] = np.nan
    assert np.flatnonzero(np.isnan(daily_ic(score, label))).tolist() == [3]
    assert np.isfinite(daily_ic(score, label, min_names=5)).all()


@pytest.mark.parametrize("method", ["rank", "pearson"])
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_a_session_with_one_score_for_all_has_no_ic(method, constant):
    score, label = scores_and_labels()
    score[2] = constant
    assert np.flatnonzero(np.isnan(daily_ic(score, label, method=method))).tolist() == [2]


def test_rank_ic_ignores_how_far_apart_the_scores_are():
    score, label = scores_and_labels()
    assert daily_ic(np.exp(5 * score), label) == pytest.approx(daily_ic(score, label), abs=1e-14)


def test_pearson_ic_survives_scores_of_any_scale():
    score, label = scores_and_labels()
    for scale in (1e-200, 1e200):
        assert daily_ic(score * scale, label, method="pearson") == pytest.approx(
            daily_ic(score, label, method="pearson")
        )


def test_misaligned_panels_and_unknown_methods_are_refused():
    score, label = scores_and_labels()
    with pytest.raises(DataError, match="one shape"):
        daily_ic(score[1:], label)
    with pytest.raises(DataError, match="rank or pearson"):
        daily_ic(score, label, method="kendall")


def test_the_summary_is_worked_by_hand():
    ic = np.array([0.1, np.nan, -0.1, 0.2, 0.2])
    found = ic_summary(ic, 1)
    assert found.mean == pytest.approx(0.1)
    assert found.std == pytest.approx(math.sqrt(0.02))
    assert found.icir == pytest.approx(0.1 / math.sqrt(0.02) * math.sqrt(242))
    assert (found.hit, found.n) == (0.75, 4)


def test_overlapping_labels_take_a_longer_lag_and_fewer_outcomes_a_year():
    ic = np.random.default_rng(3).normal(0.03, 0.1, 200)
    one, five = ic_summary(ic, 1), ic_summary(ic, 5)
    assert five.icir == pytest.approx(one.icir / math.sqrt(5))
    assert five.nw_t == newey_west(ic, 15).t
    assert five.nw_crit > one.nw_crit


@pytest.mark.parametrize("ic", [[], [np.nan], [0.1]])
def test_summaries_of_next_to_nothing_do_not_fail(ic):
    found = ic_summary(np.array(ic, float), 5)
    assert math.isnan(found.icir)
    assert found.n == np.isfinite(ic).sum()


def test_decay_judges_one_score_against_every_horizon():
    score, label = scores_and_labels()
    decay = ic_decay(score, {5: -label, 1: label})
    assert list(decay) == [1, 5]
    assert decay[1].mean == pytest.approx(-decay[5].mean)


def test_the_monthly_table_averages_within_calendar_months():
    sessions = np.array(["2024-01-30", "2024-01-31", "2024-02-01", "2024-04-01"], "datetime64[D]")
    found = monthly_ic(np.array([0.1, 0.3, np.nan, -0.1]), sessions)
    assert found.month.astype(str).tolist() == ["2024-01", "2024-04"]
    assert found.mean == pytest.approx([0.2, -0.1])
    assert found.n.tolist() == [2, 1]


def test_labels_shuffled_over_sessions_carry_no_information():
    rng = np.random.default_rng(4)
    score = rng.normal(size=(400, 60))
    label = 0.2 * score + rng.normal(size=score.shape)
    shuffled = ic_summary(daily_ic(score, label[rng.permutation(400)]), 1)
    assert ic_summary(daily_ic(score, label), 1).nw_t > 10
    assert abs(shuffled.nw_t) < 3


def test_ic_by_group_is_that_of_the_groups_own_assets():
    score, label = scores_and_labels(t_count=30, n_count=60)
    code = np.random.default_rng(3).integers(-1, 2, score.shape).astype(np.int8)
    found = ic_by_group(score, label, Grouping(("a", "b", "c"), code), horizon=1, min_names=5)
    for position, name in enumerate("ab"):
        each = []
        for t in range(len(score)):
            both = np.isfinite(score[t]) & np.isfinite(label[t]) & (code[t] == position)
            each.append(spearmanr(score[t, both], label[t, both]).statistic)
        assert found[name].mean == pytest.approx(np.mean(each))
        assert found[name].n == 30
    assert found["c"].n == 0


def test_assets_are_grouped_by_the_board_of_their_code():
    found = by_board(np.array(["600000.XSHG", "300001.XSHE", "688001.XSHG", "830001.BJSE", "000300.XSHG"]))
    assert [found.names[c] if c >= 0 else "" for c in found.code] == ["main", "chinext", "star", "bse", ""]


def test_sizes_are_thirds_of_the_universe_by_the_turnover_known_by_then():
    rng = np.random.default_rng(4)
    turnover = rng.lognormal(size=(12, 31))
    universe = rng.random(turnover.shape) < 0.8
    found = by_size(turnover, universe, window=5)
    for t in range(4, 12):
        mean = turnover[t - 4 : t + 1].mean(axis=0)
        inside = np.flatnonzero(universe[t])
        ranked = inside[np.argsort(mean[inside])]
        expected = np.full(31, -1)
        expected[ranked] = np.floor((np.arange(len(ranked)) + 0.5) / len(ranked) * 3)
        assert found.code[t].tolist() == expected.tolist()


def test_ic_by_year_splits_at_the_turn_of_the_year():
    days = np.arange("2022-12-20", "2023-01-15", dtype="datetime64[D]")
    ic = np.where(days < np.datetime64("2023-01-01"), 0.1, -0.1)
    ic[0] = np.nan
    found = ic_by_year(ic, days, horizon=5)
    assert {year: (one.mean, one.n) for year, one in found.items()} == {"2022": (0.1, 11), "2023": (-0.1, 14)}
