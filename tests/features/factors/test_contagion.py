"""Market-wide limit-downs and the network of sentiment, on markets made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.factors import contagion, sentiment_network
from features.operators.regression import rolling_ols


def test_contagion_is_over_all_listed_stocks():
    hits = np.array([[1.0, 0, 0, 1, np.nan, 0, 0, 0, 0, 0]])
    assert contagion.cs_limit_down_contagion(hits, np.ones((1, 10)), np.array([[10.0]])).item() == pytest.approx(0.2)


@pytest.mark.parametrize(("listed", "known"), [(10, True), (12, True), (13, False)])
def test_contagion_is_blank_when_too_few_of_the_listed_are_seen(listed, known):
    value = contagion.cs_limit_down_contagion(np.zeros((1, 10)), np.ones((1, 10)), np.array([[float(listed)]]))
    assert np.isfinite(value.item()) == known


def test_a_wave_of_suspensions_does_not_hide_the_panic():
    traded = np.ones((80, 10))
    traded[40:50, :5] = 0
    hits = np.where(traded > 0, 1.0, np.nan)
    seen = contagion.seen(traded)
    assert contagion.cs_limit_down_contagion(hits, seen, np.full((80, 1), 10.0))[45].item() == pytest.approx(0.5)
    assert contagion.seen(np.vstack([traded[:1], np.zeros((60, 10))]))[[59, 60], 0].tolist() == [1, 0]


def test_each_limit_width_with_five_stocks_counts_alike():
    prev = np.full((1, 24), 10.0)
    up = np.array([[11.0] * 10 + [12.0] * 5 + [10.5] * 5 + [13.0] * 4])
    hits = np.zeros((1, 24))
    hits[0, :1], hits[0, 10:12], hits[0, 20:] = 1, 1, 1
    ratio = contagion.cs_limit_down_ratio_adj(hits, np.ones((1, 24)), up, prev)
    assert ratio.item() == pytest.approx((0.1 + 0.4 + 0.0) / 3)


def test_the_branching_ratio_is_recovered_from_a_market_that_has_one():
    rng = np.random.default_rng(5)
    market, y = 0.015 * rng.standard_normal((2500, 1)), np.zeros((2500, 1))
    for t in range(1, 2500):
        y[t] = -2 + 0.4 * y[t - 1] - 30 * min(market[t, 0], 0) + 200 * market[t, 0] ** 2 + 0.5 * rng.standard_normal()
    phi = contagion.cs_limit_down_phi(y, market)
    z = contagion.cs_limit_down_contagion_adj(y, market)
    assert np.nanmean(phi) == pytest.approx(0.4, abs=0.03)
    assert np.nanstd(z) == pytest.approx(1.0, abs=0.05)


def test_the_network_finds_which_node_moves_the_other():
    rng = np.random.default_rng(6)
    ups, downs = np.zeros((1500, 1)), np.zeros((1500, 1))
    for t in range(1, 1500):
        ups[t] = 0.3 * ups[t - 1] - 0.4 * downs[t - 1] + 0.5 * rng.standard_normal()
        downs[t] = 0.5 * downs[t - 1] + 0.5 * rng.standard_normal()
    assert np.nanmean(sentiment_network.cs_sentiment_network_phi12(ups, downs)) == pytest.approx(-0.4, abs=0.04)
    assert np.nanmean(sentiment_network.cs_sentiment_network_phi21(ups, downs)) == pytest.approx(0.0, abs=0.04)
    assert np.nanmean(sentiment_network.cs_sentiment_network_t12(ups, downs)) < -4
    assert abs(np.nanmean(sentiment_network.cs_sentiment_network_t21(ups, downs))) < 1


@pytest.mark.parametrize(
    ("last", "state"),
    [
        ((1.0, 0.01), sentiment_network.CALM),
        ((3.0, 0.01), sentiment_network.EUPHORIA),
        ((1.0, 0.09), sentiment_network.PANIC),
        ((3.0, 0.09), sentiment_network.DIVERGENCE),
    ],
)
def test_states_are_named_by_which_node_is_above_its_median(last, state):
    streak, share = np.full((200, 1), 2.0), np.full((200, 1), 0.05)
    streak[::2], share[1::2] = 1.5, 0.04
    streak[-1], share[-1] = last
    assert sentiment_network.cs_sentiment_network(streak, share)[-1].item() == state


def test_the_medians_are_those_of_the_last_250_sessions():
    streak, share = np.random.default_rng(8).integers(0, 2, (2, 900, 1)).astype(float)
    above = [x[:, 0] > pd.Series(x[:, 0]).rolling(250, 150).median() for x in (streak, share)]
    expected = np.where(np.arange(900) < 149, np.nan, above[0] + 2.0 * above[1])
    np.testing.assert_array_equal(sentiment_network.cs_sentiment_network(streak, share)[:, 0], expected)


def test_the_mean_streak_is_nought_on_a_day_without_limit_ups_and_blank_without_trades():
    streaks = np.array([[0.0, 2, 4], [0, 0, np.nan], [np.nan] * 3])
    mean = sentiment_network.cs_limit_up_mean_streak(streaks)[:, 0]
    np.testing.assert_array_equal(mean, [3.0, 0.0, np.nan])


def test_stocks_of_unknown_industry_are_a_bucket_of_their_own():
    industry = np.array([[1.0, 1, 1, 1, np.nan, np.nan, 2, 2, 2, 2]])
    hits = np.array([[1.0, 1, 1, 1, 1, 0, 0, 0, 0, 0]])
    value = sentiment_network.cs_limit_down_clustering(hits, np.ones((1, 10)), np.zeros((1, 10)), industry)
    assert value.item() == pytest.approx(4 / 5 - 4 / 10)


class TestRollingRegression:
    def test_collinear_regressors_give_nothing(self):
        y, x = np.random.default_rng(0).standard_normal((2, 60, 1))
        fit = rolling_ols(y, [x, 2 * x], 30)
        assert np.isnan(fit.coefficients).all()

    def test_an_exact_fit_has_coefficients_but_no_scale(self):
        x = np.random.default_rng(0).standard_normal((60, 1))
        fit = rolling_ols(1 + 2 * x, [x], 30)
        np.testing.assert_allclose(fit.coefficients[-1], [1, 2])
        assert np.isnan(fit.scale).all()
        assert np.isnan(fit.residual).all()

    def test_a_session_without_a_value_has_no_residual_but_keeps_the_fit(self):
        y, x = np.random.default_rng(1).standard_normal((2, 60, 1))
        y[50] = np.nan
        fit = rolling_ols(y, [x], 30)
        assert np.isnan(fit.residual[50]).all()
        np.testing.assert_allclose(fit.coefficients[50], np.polyfit(x[21:50, 0], y[21:50, 0], 1)[::-1])

    def test_small_regressors_are_no_less_independent(self):
        rng = np.random.default_rng(2)
        x = 1e-9 * rng.standard_normal((60, 1))
        y = 3 + 1e9 * x + 0.1 * rng.standard_normal((60, 1))
        fit = rolling_ols(y, [x, x**2], 60)
        assert fit.coefficients[-1, 1] == pytest.approx(1e9, rel=0.1)
