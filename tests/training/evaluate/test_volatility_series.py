"""What is drawn of forecasts, by plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluate import volatility_series as series

NAN = np.nan


def test_a_variance_of_a_horizon_is_told_a_year():
    assert series.annualised(np.array([1e-4]))[0] == pytest.approx(100 * 0.01 * np.sqrt(242))
    # The worked number of the spec: the variance of five sessions and its annual volatility.
    assert series.annualised(np.array([7.40198008e-4]), 5)[0] == pytest.approx(18.92764739, abs=1e-7)


def test_a_forecast_moves_to_the_session_that_it_is_about():
    moved = series.ahead(np.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_array_equal(moved, [[NAN], [1.0], [2.0]])


def test_a_breach_is_a_loss_beyond_what_was_told_the_session_before():
    returns = np.array([-0.5, -0.02, -0.031, 0.05, -0.03])
    var = np.array([[0.03, 0.05], [0.03, 0.01], [NAN, 0.01], [0.03, 0.1], [9.0, 9.0]])
    found = series.breached(returns, var)
    assert np.argwhere(found).tolist() == [[2, 0], [2, 1]]


@pytest.mark.parametrize(("n", "points", "size"), [(100, 100, 1), (101, 100, 2), (0, 10, 1), (1000, 3, 334)])
def test_blocks_leave_no_more_points_than_asked(n, points, size):
    assert series.block_size(n, points) == size
    assert len(np.arange(0, n, size)) <= points


def test_blocks_are_means_worst_and_last_of_what_is_known():
    x = np.array([1.0, NAN, 3.0, NAN, NAN, NAN, 7.0])
    np.testing.assert_array_equal(series.block_mean(x, 3), [2.0, NAN, 7.0])
    np.testing.assert_array_equal(series.block_worst(-x, 3), [-3.0, NAN, -7.0])
    days = np.arange("2024-01-01", "2024-01-08", dtype="datetime64[D]")
    assert series.block_last(days, 3).astype(str).tolist() == ["2024-01-03", "2024-01-06", "2024-01-07"]


def test_gains_count_only_where_both_have_a_loss():
    base = np.array([NAN, 1.0, 2.0, NAN, 4.0])
    loss = np.array([0.5, 0.5, 3.0, 1.0, 1.0])
    np.testing.assert_array_equal(series.gains(loss, base), [NAN, 0.5, -0.5, -0.5, 2.5])


def test_bands_and_standing_are_those_of_the_forecasts_own_history():
    served = np.column_stack([np.arange(1.0, 102.0), np.full(101, NAN)]) * 1e-4
    served[-1, 0] = served[25, 0]
    bands = series.bands(served, (1, 5))
    history = 100 * np.sqrt(242 * served[:, 0])
    np.testing.assert_allclose(bands[:, 0], np.quantile(history, series.BAND_SHARES))
    assert np.isnan(bands[:, 1]).all()
    share = series.standing(served)
    assert share[0] == pytest.approx(27 / 101)  # 1 to 26, and itself
    assert np.isnan(share[1])
    assert np.isnan(series.standing(served[:0])).all()


def test_the_star_is_the_best_models_and_the_base_wins_a_tie():
    values = np.array([[1.0, 0.9, 0.8], [1.0, 1.0, 0.7], [1.0, NAN, 1.2], [NAN, 1.3, NAN], [NAN, NAN, NAN]])
    found = series.cell_texts(values, ["ewma", "a", "chosen"], "ewma", "wins", [False, False, True])
    assert found == [
        ["1.000", "★ 0.900", "0.800"],
        ["wins", "1.000", "0.700"],
        ["wins", "", "1.200"],
        ["", "★ 1.300", ""],
        ["", "", ""],
    ]


def test_a_base_that_is_no_column_takes_no_star():
    assert series.cell_texts(np.array([[1.1, 1.2]]), ["a", "b"], "ewma", "wins") == [["★ 1.100", "1.200"]]


def test_one_wild_ratio_does_not_wash_out_the_others():
    values = np.full((10, 5), 0.95)
    values[0, 0] = 40.0
    assert series.reach([values]) == pytest.approx(0.05)
    assert series.reach([np.ones((2, 2))]) == 0.01


def test_the_base_is_grey_and_no_two_of_the_first_eight_share_a_colour():
    found = series.colours([f"m{i}" for i in range(8)] + ["ewma"], "ewma")
    assert found["ewma"] == series.BASE_COLOUR
    assert len(set(found.values())) == 9


def test_the_highest_level_is_the_darkest():
    assert [series.var_colour(i, 3) for i in range(3)] == list(series.VAR_COLOURS)
    assert series.var_colour(0, 1) == series.VAR_COLOURS[-1]
    assert series.var_colour(4, 5) == series.VAR_COLOURS[-1]
