"""Trade sizes, their proxies, and the rules on them."""

from __future__ import annotations

import numpy as np
import pytest

from features.factors import participation


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=float)


@pytest.mark.parametrize("function", [participation.cs_inst_participation, participation.cs_trade_size_yuan])
def test_uncounted_trades_give_no_trade_size(function):
    np.testing.assert_array_equal(function(row(100, 100, 100), row(4, 0, np.nan)), row(25, np.nan, np.nan))


def test_the_source_tells_counted_trades_from_the_proxy():
    close = row(10, 10, np.nan)
    np.testing.assert_array_equal(participation.cs_participation_source(close, row(5, np.nan, 5)), row(1, 0, np.nan))
    np.testing.assert_array_equal(participation.cs_participation_source(close), row(0, 0, np.nan))


def test_the_proxies_are_blank_on_a_day_of_one_price():
    with np.errstate(divide="ignore"):
        assert np.isnan(participation.cs_liquidity_proxy(row(100), row(10), row(10))).all()
        assert np.isnan(participation.cs_liquidity_proxy_adj(row(1e6), row(10), row(10))).all()
    assert participation.cs_liquidity_proxy(row(100), row(10.5), row(10)).item() == pytest.approx(200)
    expected = np.log(1e6 / np.log(1.05))
    assert participation.cs_liquidity_proxy_adj(row(1e6), row(10.5), row(10)).item() == pytest.approx(expected)


def test_trade_size_that_price_turnover_and_board_explain_is_not_abnormal():
    rng = np.random.default_rng(0)
    price, turnover, board = rng.lognormal(2, 1, (1, 300)), rng.lognormal(18, 1, (1, 300)), rng.integers(0, 5, (1, 300))
    noise = 0.3 * rng.standard_normal((1, 300))
    noise[0, 7] = 1.5
    size = np.exp(3 + 0.4 * np.log(price) + 0.2 * np.log(turnover) + 0.5 * (board == 2) + noise)
    z = participation.cs_inst_participation_adj(size, price, turnover, board.astype(float), np.ones((1, 300)))
    assert np.corrcoef(z[0], noise[0])[0, 1] > 0.98
    assert z[0, 7] > 4
    assert abs(np.corrcoef(z[0], np.log(price[0]))[0, 1]) < 0.02


def test_the_literal_match_is_negative_where_participation_is_above_the_mean():
    universe = row(1, 1, 0)
    match = participation.cs_sentiment_liquidity_match(row(900, 300, 5000), row(5, 5, 5), universe)
    np.testing.assert_allclose(match, row((900 - 600) * -4, (300 - 600) * -4, (5000 - 600) * -4))


@pytest.mark.parametrize("rule", [participation.rule_cs_reduce, participation.rule_cs_reduce_adj])
def test_the_reduce_rule_needs_a_poor_match_and_more_than_three_limit_ups(rule):
    match, streak = row(-0.31, -0.31, -0.30, np.nan, -1), row(4, 3, 4, 4, np.nan)
    np.testing.assert_array_equal(rule(match, streak), row(1, 0, 0, np.nan, np.nan))
