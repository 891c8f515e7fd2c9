"""Rolling operators on numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest

from features import operators as ops
from features.panel import Float64Array

NAN = np.nan


def column(*values: float) -> Float64Array:
    return np.array(values, dtype=np.float64)[:, None]


def assert_column(got: Float64Array, *expected: float) -> None:
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-12, atol=1e-15)


def test_a_window_needs_sixty_percent_of_its_sessions_rounded_up():
    x = column(1, 2, NAN, NAN, 5, 6, 7)
    assert_column(ops.ts_mean(x, 4), NAN, NAN, NAN, NAN, NAN, NAN, 6)  # ceil(0.6 * 4) = 3
    assert_column(ops.ts_mean(x, 4, least=2), NAN, 1.5, 1.5, 1.5, 3.5, 5.5, 6)
    assert_column(ops.ts_mean(x, 5), NAN, NAN, NAN, NAN, 8 / 3, 13 / 3, 6)


def test_a_suspended_session_uses_up_the_window():
    assert_column(ops.ts_sum(column(100, NAN, NAN, 3, 4), 3, least=1), 100, 100, 100, 3, 7)


def test_a_sum_is_over_valid_cells_not_scaled_up_to_the_window():
    assert_column(ops.ts_sum(column(1, np.inf, 2), 3, least=2), NAN, NAN, 3)


def test_deviations_divide_by_one_less_than_the_count():
    assert_column(ops.ts_std(column(1, 2, 4), 3, least=1), NAN, np.sqrt(0.5), np.sqrt(7 / 3))


def test_extremes_leave_with_the_cell_that_made_them():
    x = column(3, -9, 1, NAN, 2, 0, -1)
    assert_column(ops.ts_max(x, 3, least=1), 3, 3, 3, 1, 2, 2, 2)
    assert_column(ops.ts_min(x, 3, least=1), 3, -9, -9, -9, 1, 0, -1)


def test_the_percentile_is_the_mid_rank_of_the_specification():
    assert ops.ts_percentile(column(1, 2, 2, 3, 5, 4, 2), 7, least=7)[-1, 0] == pytest.approx(2.5 / 7, abs=1e-15)


def test_the_percentile_needs_sixty_sessions_or_half_the_window():
    x = np.random.default_rng(0).standard_normal((200, 1))
    assert np.isfinite(ops.ts_percentile(x, 100)[:, 0]).argmax() == 59
    assert np.isfinite(ops.ts_percentile(x, 150)[:, 0]).argmax() == 74
    assert np.isfinite(ops.ts_robust_z(x, 150)[:, 0]).argmax() == 74


@pytest.mark.parametrize("operator", [ops.ts_percentile, ops.ts_robust_z])
def test_a_window_that_can_never_hold_enough_is_refused(operator):
    with pytest.raises(ValueError, match="a window of 20 sessions never holds the 60"):
        operator(np.zeros((100, 1)), 20)


def test_a_robust_z_stays_within_five_and_is_missing_without_spread():
    x = column(1, 2, 3, 4, 1000)
    assert_column(ops.ts_robust_z(x, 5, least=4), NAN, NAN, NAN, 1.5 / 1.4826, 5)
    assert np.isnan(ops.ts_robust_z(column(1, 1, 1, 2), 4, least=4)).all()


def test_a_regression_knows_slope_and_scatter():
    x, y = column(0, 1, 2, 3), column(1, 2, 2, 3)
    assert ops.ts_beta(y, x, 4)[-1, 0] == pytest.approx(0.6)
    assert ops.ts_corr(y, x, 4)[-1, 0] == pytest.approx(3 / np.sqrt(10))
    assert ops.ts_resid_std(y, x, 4)[-1, 0] == pytest.approx(np.sqrt(0.1))  # SSR 0.2 over 4 - 2


def test_a_regression_needs_three_pairs():
    x = column(1, 2, NAN, 4, 3)
    y = column(2, NAN, 3, 5, 1)
    np.testing.assert_array_equal(np.isnan(ops.ts_beta(y, x, 5, least=1))[:, 0], [True, True, True, True, False])


def test_a_market_series_counts_for_every_asset():
    rng = np.random.default_rng(1)
    stocks, market = rng.standard_normal((50, 3)), rng.standard_normal((50, 1))
    wide = np.broadcast_to(market, stocks.shape)
    np.testing.assert_array_equal(ops.ts_beta(stocks, market, 20), ops.ts_beta(stocks, wide, 20))


def test_the_future_cannot_be_lagged_into_view():
    with pytest.raises(ValueError, match="0 or more; found -1"):
        ops.lag(column(1, 2, 3), -1)


def test_lags_beyond_the_first_session_are_missing():
    assert_column(ops.lag(column(1, 2, 3), 2), NAN, NAN, 1)
    assert_column(ops.lag(column(1, 2, 3), 0), 1, 2, 3)
    assert_column(ops.delta(column(1, 2, 4), 1), NAN, 1, 2)
    assert_column(ops.lagmean(column(1, 3, 100), 2), NAN, NAN, 2)


def test_a_count_is_of_sessions_where_the_condition_is_known_to_hold():
    assert_column(ops.ts_count(column(1, 0, NAN, 1, 1), 3), 1, 1, 1, 1, 2)


def test_runs_skip_suspensions_and_break_on_a_session_that_fails():
    assert_column(ops.run_length(column(1, NAN, 1, 1, 0, 1)), 1, NAN, 2, 3, 0, 1)


def test_runs_are_counted_within_their_span():
    assert_column(ops.run_length(column(1, 1, 1, NAN, 1), span=3), 1, 2, 3, NAN, 2)


def test_consecutive_wants_n_valid_sessions_within_a_bounded_stretch():
    assert_column(ops.consecutive(column(1, 1, NAN, 1, 0, 1), 3), 0, 0, NAN, 1, 0, 0)
    held = np.full((60, 1), NAN)
    held[[0, 23]] = 1.0  # two sessions within 2 * 2 + 20
    assert ops.consecutive(held, 2)[23, 0] == 1.0
    held[23], held[24] = NAN, 1.0  # one session too far apart
    assert ops.consecutive(held, 2)[24, 0] == 0.0


def test_the_last_value_is_found_across_a_suspension_but_never_today():
    assert_column(ops.previous_valid(column(7, NAN, np.inf, 8, 9)), NAN, 7, 7, 7, 8)


def test_adjustment_is_the_product_of_last_close_over_reference_price():
    close, reference = column(10, 5.5, 5.5), column(NAN, 5, 5.5)
    np.testing.assert_allclose(ops.adjustment(close, reference), column(1, 2, 2))
    returns = close[1:] * ops.adjustment(close, reference)[1:] / close[:-1] / ops.adjustment(close, reference)[:-1] - 1
    assert_column(returns, 0.1, 0.0)


def test_adjustment_crosses_a_suspension_once():
    close = column(10, NAN, NAN, 6)
    for on_the_way in (NAN, 5.0):  # a vendor may give the reference price of a day without a trade
        reference = column(10, on_the_way, on_the_way, 5)
        assert_column(ops.adjustment(close, reference), 1, 1, 1, 2)


@pytest.mark.parametrize("broken", [0.0, -1.0, np.inf, NAN])
def test_a_reference_price_that_is_no_price_adjusts_nothing(broken: float):
    assert_column(ops.adjustment(column(10, 10, 10), column(10, broken, 10)), 1, 1, 1)


def test_an_ewma_carried_on_equals_one_computed_whole():
    x = np.random.default_rng(2).standard_normal((80, 4)) ** 2
    x[5:9, 0] = NAN
    x[:70, 3] = NAN
    whole, end = ops.ewma(x, 0.94, 20)
    for cut in (1, 10, 25, 79):
        first, state = ops.ewma(x[:cut], 0.94, 20)
        kept = state.copy()
        second, last = ops.ewma(x[cut:], 0.94, 20, state)
        np.testing.assert_array_equal(np.concatenate([first, second]), whole)
        np.testing.assert_array_equal(last, end)
        np.testing.assert_array_equal(state, kept)


def test_an_ewma_starts_at_the_mean_of_its_first_values():
    got, state = ops.ewma(column(1, 3, 5, NAN, 7), 0.9, 3)
    assert_column(got, NAN, NAN, 3, NAN, 3.4)
    np.testing.assert_allclose(state, [[3], [3.4]])


def test_sessions_are_counted_from_the_return_of_a_long_absence():
    valid = column(1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1)
    assert_column(ops.sessions_since_gap(valid, 1), 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 1)
    assert_column(ops.sessions_since_gap(valid, 2), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)


def test_a_spike_that_has_left_leaves_nothing_behind():
    x = np.random.default_rng(8).standard_normal((300, 3))
    spiked = x.copy()
    spiked[100, 0], spiked[101, 1] = 1e15, -1e12
    for name in ("ts_mean", "ts_sum", "ts_std"):
        got, expected = (getattr(ops, name)(v, 30)[131:] for v in (spiked, x))
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12, err_msg=name)
    for name in ("ts_beta", "ts_corr", "ts_resid_std"):
        got, expected = (getattr(ops, name)(v, x[:, ::-1], 30)[131:] for v in (spiked, x))
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12, err_msg=name)
