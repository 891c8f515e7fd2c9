"""Rolling sums, moments, lines and decaying means against plain loops over windows, and against pandas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features import operators as ops
from features.graph import EVER, Node
from features.panel import Float64Array

NAN = np.nan
ROWS = 150
WINDOWS = (1, 2, 5, 12, 70, ROWS + 50, EVER)


def panel(seed: int = 0) -> Float64Array:
    """Columns: plain, ties, holes and infinities, a constant, a late listing that drifts, nothing at all."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, 6))
    x[:, 1] = np.round(x[:, 1])
    x[rng.random(ROWS) < 0.3, 2] = NAN
    x[20, 2], x[21, 2] = np.inf, -np.inf
    x[:, 3] = 0.1
    x[:, 4] = 1e4 + np.cumsum(x[:, 4])
    x[:40, 4] = NAN
    x[:, 5] = NAN
    return x


def windowed(of: Callable[[Float64Array], float], x: Float64Array, n: int, least: int) -> Float64Array:
    """of(window of one column, with NaN for what is not finite), row by row."""
    clean = np.where(np.isfinite(x), x, NAN)
    out = np.full(x.shape, NAN)
    for t, j in np.ndindex(*x.shape):
        window = clean[max(t - n + 1, 0) : t + 1, j]
        if np.isfinite(window).sum() >= max(least, 1):
            out[t, j] = of(window)
    return out


def of_valid(of: Callable[[Float64Array], float], needed: int = 1) -> Callable[[Float64Array], float]:
    def value(window: Float64Array) -> float:
        valid = window[np.isfinite(window)]
        return of(valid) if len(valid) >= needed else NAN

    return value


def about_mean(v: Float64Array) -> Float64Array:
    d = v - v[0]
    return d - d.mean()


def skewness(v: Float64Array) -> float:
    d, n = about_mean(v), len(v)
    s = np.sqrt((d**2).sum() / (n - 1))
    return n / ((n - 1) * (n - 2)) * ((d / s) ** 3).sum() if np.ptp(v) > 0 else NAN


def kurtosis(v: Float64Array) -> float:
    d, n = about_mean(v), len(v)
    if not np.ptp(v) > 0:
        return NAN
    fourth = ((d**2 / ((d**2).sum() / (n - 1))) ** 2).sum()
    return n * (n + 1) / ((n - 1) * (n - 2) * (n - 3)) * fourth - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))


def line(window: Float64Array) -> tuple[float, float, float, float]:
    """Slope, share explained, newest residual, t; by the textbook, about the means."""
    at = np.flatnonzero(np.isfinite(window))
    v = window[at]
    if len(v) < 2:
        return NAN, NAN, NAN, NAN
    p, d = at - at.mean(), about_mean(v)
    slope = (p * d).sum() / (p**2).sum()
    left = d - slope * p
    moves = np.ptp(v) > 0
    share = 1 - (left**2).sum() / (d**2).sum() if moves else NAN
    perfect = len(v) < 3 or not (left**2).sum() > 1e-26 * (d**2).sum()
    t = NAN if perfect else slope / np.sqrt((left**2).sum() / (len(v) - 2) / (p**2).sum())
    return slope, share, left[-1] if np.isfinite(window[-1]) else NAN, t


def weighed(n: int) -> Callable[[Float64Array], float]:
    def value(window: Float64Array) -> float:
        weights, known = np.arange(n, n - len(window), -1.0)[::-1], np.isfinite(window)
        origin = window[known][0]
        return origin + (weights[known] * (window[known] - origin)).sum() / weights[known].sum()

    return value


def mean(v: Float64Array) -> float:
    return v[0] + (v - v[0]).mean()


def variance(v: Float64Array) -> float:
    return (about_mean(v) ** 2).sum() / (len(v) - 1)


ONE: dict[str, Callable[[Float64Array], float]] = {
    "ts_mean": of_valid(mean),
    "ts_sum": of_valid(lambda v: mean(v) * len(v)),
    "ts_var": of_valid(variance, 2),
    "ts_std": of_valid(lambda v: np.sqrt(variance(v)), 2),
    "ts_skew": of_valid(skewness, 3),
    "ts_kurt": of_valid(kurtosis, 4),
    "ts_prod": of_valid(lambda v: math.prod(v.tolist())),
    "ts_slope": lambda w: line(w)[0],
    "ts_rsquare": lambda w: line(w)[1],
    "ts_resi": lambda w: line(w)[2],
    "ts_trend_t": lambda w: line(w)[3],
}
ROLLING = sorted({*ONE, "decay_linear"} - {"ts_prod"})


def definition(name: str, n: int) -> Callable[[Float64Array], float]:
    return weighed(n) if name == "decay_linear" else ONE[name]


@pytest.mark.parametrize("n", WINDOWS)
@pytest.mark.parametrize("name", sorted({*ONE, "decay_linear"}))
def test_a_window_gives_what_its_definition_says(name: str, n: int):
    x = panel()
    for least in (1, 4):
        got = getattr(ops, name)(x, n, least)
        np.testing.assert_allclose(got, windowed(definition(name, n), x, n, least), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("n", WINDOWS)
def test_pairs_give_what_their_definition_says(n: int):
    x, y = panel(), panel(seed=1)
    got = {name: getattr(ops, name)(y, x, n, 2) for name in ("ts_cov", "ts_corr", "ts_beta", "ts_resid_std")}
    for t, j in np.ndindex(*x.shape):
        a, b = y[max(t - n + 1, 0) : t + 1, j], x[max(t - n + 1, 0) : t + 1, j]
        both = np.isfinite(a) & np.isfinite(b)
        a, b = a[both], b[both]
        moves = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
        expected = dict.fromkeys(got, NAN)
        if len(a) > 1:
            cov = np.cov(a, b)
            expected["ts_cov"] = cov[0, 1]
            expected["ts_corr"] = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]) if moves else NAN
        if len(a) > 2 and np.ptp(b) > 0:
            left = a - a.mean() - cov[0, 1] / cov[1, 1] * (b - b.mean())
            expected["ts_beta"] = cov[0, 1] / cov[1, 1]
            expected["ts_resid_std"] = np.sqrt((left**2).sum() / (len(a) - 2))
        for name, value in expected.items():
            np.testing.assert_allclose(got[name][t, j], value, rtol=1e-9, atol=1e-10, err_msg=f"{name} {t} {j}")


def quiet(rows: int = 10_000) -> Float64Array:
    """A level of 1e9 and moves of about one; then a spike that leaves, then nothing that moves."""
    x = 1e9 + np.random.default_rng(3).standard_normal((rows, 2))
    x[rows // 2, 0] = 1e15
    x[-200:, 1] = x[-200, 1]
    return x


@pytest.mark.parametrize("n", [5, 60, 250])
@pytest.mark.parametrize("name", ROLLING)
def test_ten_thousand_steps_leave_no_error_behind(name: str, n: int):
    x = quiet()
    got = getattr(ops, name)(x, n)
    for t in (n, 3000, 5000 + n, 5001 + n, 7777, 9799, 9800 + n // 2, 9999):
        window = x[max(t - n + 1, 0) : t + 1]
        expected = [definition(name, n)(window[:, j]) for j in range(2)]
        # What the numbers themselves leave open: a digit of 1e9 is 1e-7, a residual is a difference of such.
        np.testing.assert_allclose(got[t], expected, rtol=1e-10, atol=1e-9 if name == "ts_resi" else 1e-10)


def test_pairs_do_not_drift_either():
    y, x = quiet(), quiet()[::-1].copy()
    for n in (20, 250):
        got = {name: getattr(ops, name)(y, x, n) for name in ("ts_cov", "ts_corr", "ts_beta", "ts_resid_std")}
        for t in (200 + n, 4000, 5001 + n, 7000, 9000):
            a, b = (about_mean(v[t - n + 1 : t + 1, 1]) for v in (y, x))
            slope = (a * b).sum() / (b * b).sum()
            expected = {
                "ts_cov": (a * b).sum() / (n - 1),
                "ts_corr": (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()),
                "ts_beta": slope,
                "ts_resid_std": np.sqrt(((a - slope * b) ** 2).sum() / (n - 2)),
            }
            for name, value in expected.items():
                np.testing.assert_allclose(got[name][t, 1], value, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("value", [0.1, -1e9 / 3, 1e-300])
def test_a_window_that_does_not_move_has_no_spread_to_the_last_digit(value: float):
    x = np.random.default_rng(4).standard_normal((400, 9)) * max(abs(value), 1)
    x[200:] = value
    for n in (5, 40, 90):
        still = slice(200 + n - 1, None)
        assert (ops.ts_std(x, n)[still] == 0.0).all()
        assert (ops.ts_var(x, n)[still] == 0.0).all()
        assert (ops.ts_mean(x, n)[still] == value).all()
        assert (ops.ts_slope(x, n)[still] == 0.0).all()
        assert (ops.decay_linear(x, n)[still] == value).all()
        for name in ("ts_skew", "ts_kurt", "ts_rsquare", "ts_trend_t"):
            assert np.isnan(getattr(ops, name)(x, n)[still]).all()


@pytest.mark.parametrize("width", [1, 7, 8, 9, 63, 64, 65, 130, 300])
def test_every_asset_is_done_whatever_the_width(width: int):
    x = np.random.default_rng(5).standard_normal((80, width))
    for name in ("ts_std", "ts_skew", "ts_slope", "ts_prod", "ts_ema"):
        operator = getattr(ops, name)
        alone = np.hstack([operator(x[:, j : j + 1], 10) for j in range(width)])
        np.testing.assert_array_equal(operator(x, 10), alone)


def test_moments_of_one_pass_are_those_of_three():
    x = panel()
    for n in (1, 12, EVER):
        for got, name in zip(ops.ts_moments(x, n, 2), ("ts_mean", "ts_std", "ts_sum"), strict=True):
            np.testing.assert_allclose(got, getattr(ops, name)(x, n, 2), rtol=1e-14, atol=0)


def test_skewness_and_kurtosis_are_those_of_pandas():
    x = panel()[:, :2]
    rolling = pd.DataFrame(x).rolling(30, min_periods=10)
    np.testing.assert_allclose(ops.ts_skew(x, 30, 10), rolling.skew(), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ops.ts_kurt(x, 30, 10), rolling.kurt(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.02, 0.1, 0.5, 0.97, 1.0])
def test_an_exponential_mean_is_that_of_pandas(alpha: float):
    x = panel()
    expected = pd.DataFrame(np.where(np.isfinite(x), x, NAN)).ewm(alpha=alpha, adjust=True, min_periods=1).mean()
    np.testing.assert_allclose(ops.ts_ema_alpha(x, alpha), expected, rtol=1e-12, atol=1e-12)


def test_a_span_sets_the_weight_and_the_cells_needed():
    x = panel()
    expected = pd.DataFrame(np.where(np.isfinite(x), x, NAN)).ewm(span=9, min_periods=6).mean()
    np.testing.assert_allclose(ops.ts_ema(x, 9), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.05, 0.6, 1.0])
def test_an_exponential_mean_needs_no_more_history_than_it_declares(alpha: float):
    x = np.random.default_rng(6).standard_normal((1200, 3))
    x[300:1100, 1] = NAN
    x[1060:1100, 2] = NAN
    whole = ops.ts_ema_alpha(x, alpha)
    reach = ops.ts_ema_alpha.sessions((x, alpha, None))
    for t in (1050, 1099, 1100, 1101, 1199):
        np.testing.assert_allclose(ops.ts_ema_alpha(x[t - reach + 1 : t + 1], alpha)[-1], whole[t], rtol=1e-11)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.5, NAN])
def test_a_weight_that_is_none_is_refused(alpha: float):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        ops.ts_ema_alpha(panel(), alpha)


def test_a_line_knows_slope_fit_and_residual():
    x = np.array([[1.0], [2.0], [2.0], [3.0]])
    slope, share, residual, t = ops.time_regression(x, 4)
    assert slope[-1, 0] == pytest.approx(0.6)
    assert share[-1, 0] == pytest.approx(0.9)
    assert residual[-1, 0] == pytest.approx(0.1)
    assert t[-1, 0] == pytest.approx(0.6 / np.sqrt(0.2 / 2 / 5))


def test_a_missing_session_keeps_its_place_on_the_line():
    x = np.array([[0.0], [NAN], [2.0], [3.0], [NAN]])
    slope, _, residual, _ = ops.time_regression(x, 5, 2)
    np.testing.assert_allclose(slope[2:, 0], 1.0)
    assert np.isnan(residual[4, 0])
    assert abs(residual[3, 0]) < 1e-15


def test_a_perfect_line_has_no_t_and_explains_all():
    x = np.linspace(5, 9, 200)[:, None]
    _, share, residual, t = ops.time_regression(x, 20)
    np.testing.assert_allclose(share[11:], 1.0, rtol=1e-12)
    np.testing.assert_allclose(residual[11:], 0.0, atol=1e-13)
    assert np.isnan(t).all()


def test_a_line_that_explains_almost_all_still_knows_its_scatter():
    rng = np.random.default_rng(7)
    x = np.arange(400.0)[:, None] + 1e-6 * rng.standard_normal((400, 1))
    got = ops.ts_trend_t(x, 30)
    for t in (29, 100, 399):
        assert got[t, 0] == pytest.approx(line(x[t - 29 : t + 1, 0])[3], rel=1e-7)


def test_a_decaying_mean_weighs_the_newest_most_and_leaves_missing_ones_out():
    x = np.array([[1.0], [NAN], [4.0]])
    assert ops.decay_linear(x, 3, 1)[-1, 0] == pytest.approx((1 * 1 + 3 * 4) / 4)


def test_two_pairs_correlate_fully_if_two_are_said_to_be_enough():
    x, y = np.array([[1.0], [2.0], [1.0]]), np.array([[5.0], [1.0], [1.0]])
    np.testing.assert_array_equal(ops.ts_corr(y, x, 2, 2)[:, 0], [NAN, -1.0, NAN])
    assert np.isnan(ops.ts_corr(y, x, 2)).all()


def test_a_product_outlives_a_zero_and_a_spike():
    x = np.array([[2.0], [0.0], [3.0], [1e200], [NAN], [-1.0], [0.5]])
    np.testing.assert_allclose(ops.ts_prod(x, 2, 1)[:, 0], [2, 0, 0, 3e200, 1e200, -1, -0.5])


def test_lines_and_moments_of_leaves_are_nodes():
    x = Node.leaf("x")
    assert ops.ts_slope(x, 20).lookback == 20
    assert ops.ts_moments(x, 20)[1].name == "std"
    assert ops.ts_ema(x, 12).lookback == ops.ts_ema_alpha.sessions((None, 2 / 13, None))
