"""Operators against a plain loop over windows, and against pandas: ties, holes, constant windows, infinities, drift."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from features import operators as ops
from features.panel import Float64Array

T, N = 160, 6
# Shorter and longer than the 64 steps after which running sums are rebuilt, and longer than the panel.
WINDOWS = (1, 2, 5, 20, 75, 200)


def panel(seed: int) -> Float64Array:
    """A column each: noise, ties, constant stretches, infinities, a long absence, prices with a trend."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, N))
    x[:, 1] = rng.integers(0, 3, T)
    x[:, 2] = np.repeat(rng.standard_normal(T // 20), 20)
    x[rng.random(T) < 0.1, 3] = np.inf
    x[rng.random(T) < 0.1, 3] = -np.inf
    x[50:90, 4] = np.nan
    x[:, 5] = 1e3 * np.exp(0.02 * np.arange(T) + 0.01 * x[:, 5])
    x[rng.random((T, N)) < 0.05] = np.nan
    return x


def looped(statistic: Callable[..., float], n: int, least: int, *panels: Float64Array) -> Float64Array:
    """The statistic of the rows of each window on which every panel is finite; the window's last row comes first."""
    t_end, n_end = panels[0].shape
    out = np.full((t_end, n_end), np.nan)
    for j in range(n_end):
        for t in range(t_end):
            cut = [p[max(t - n + 1, 0) : t + 1, j] for p in panels]
            valid = np.all([np.isfinite(c) for c in cut], axis=0)
            if valid.sum() >= max(least, 1):
                last = cut[0][-1] if np.isfinite(cut[0][-1]) else np.nan
                out[t, j] = statistic(last, *(c[valid] for c in cut))
    return out


def mid_rank(last: float, v: Float64Array) -> float:
    return float(((v < last).sum() + 0.5 * (v == last).sum()) / len(v)) if np.isfinite(last) else math.nan


def robust_z(last: float, v: Float64Array) -> float:
    mad = np.median(np.abs(v - np.median(v)))
    return float(np.clip((last - np.median(v)) / (1.4826 * mad), -5, 5)) if mad > 0 else math.nan


def beta(_: float, y: Float64Array, x: Float64Array) -> float:
    return float(np.polyfit(x - x.mean(), y, 1)[0]) if len(x) > 2 and np.ptp(x) > 0 else math.nan


def corr(_: float, y: Float64Array, x: Float64Array) -> float:
    return float(np.corrcoef(y, x)[0, 1]) if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0 else math.nan


def resid_std(_: float, y: Float64Array, x: Float64Array) -> float:
    if len(x) < 3 or np.ptp(x) == 0:
        return math.nan
    e = y - y.mean() - beta(_, y, x) * (x - x.mean())
    return math.sqrt((e * e).sum() / (len(x) - 2))


def std(_: float, v: Float64Array) -> float:
    return (0.0 if np.ptp(v) == 0 else float(v.std(ddof=1))) if len(v) > 1 else math.nan


ONE_PANEL: dict[str, Callable[[float, Float64Array], float]] = {
    "ts_mean": lambda _, v: float(v.mean()),
    "ts_sum": lambda _, v: float(v.sum()),
    "ts_std": std,
    "ts_median": lambda _, v: float(np.median(v)),
    "ts_max": lambda _, v: float(v.max()),
    "ts_min": lambda _, v: float(v.min()),
    "ts_percentile": mid_rank,
    "ts_robust_z": robust_z,
}
TWO_PANELS = {"ts_beta": beta, "ts_corr": corr, "ts_resid_std": resid_std}


def assert_close(got: Float64Array, expected: Float64Array, size: float = 1.0) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10 * size)


@pytest.mark.parametrize("n", WINDOWS)
@pytest.mark.parametrize("name", ONE_PANEL)
def test_a_window_of_one_panel_is_as_the_plain_loop_has_it(name: str, n: int):
    x = panel(1)
    for least in {1, math.ceil(0.6 * n)}:
        got = getattr(ops, name)(x, n, least)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected := looped(ONE_PANEL[name], n, least, x)))
        assert_close(got, expected)


@pytest.mark.parametrize("n", WINDOWS[2:])
@pytest.mark.parametrize("name", TWO_PANELS)
def test_a_window_of_two_panels_is_as_the_plain_loop_has_it(name: str, n: int):
    x = panel(2)
    y = 0.3 * np.where(np.isfinite(x), x, 0.0) + panel(3)
    for least in {1, math.ceil(0.6 * n)}:
        got = getattr(ops, name)(y, x, n, least)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected := looped(TWO_PANELS[name], n, least, y, x)))
        assert_close(got, expected)


@pytest.mark.parametrize("n", [2, 5, 20, 75])
def test_rolling_operators_agree_with_pandas(n: int):
    x, y = panel(4)[:, [0, 1, 4, 5]], panel(5)[:, [0, 1, 4, 5]]
    least = math.ceil(0.6 * n)
    rolling = pd.DataFrame(x).rolling(n, min_periods=least)
    assert_close(ops.ts_mean(x, n), rolling.mean().to_numpy())
    assert_close(ops.ts_sum(x, n), rolling.sum().to_numpy())
    assert_close(ops.ts_std(x, n), rolling.std().to_numpy())
    assert_close(ops.ts_median(x, n), rolling.median().to_numpy())
    assert_close(ops.ts_max(x, n), rolling.max().to_numpy())
    assert_close(ops.ts_min(x, n), rolling.min().to_numpy())
    among = pd.DataFrame(x).rolling(n, min_periods=least)
    count = among.count().to_numpy()
    assert_close(ops.ts_percentile(x, n, least), (among.rank().to_numpy() - 0.5) / count)
    if n > 5:
        both = [np.where(np.isnan(x + y), np.nan, p) for p in (x, y)]
        paired = pd.DataFrame(both[0]).rolling(n, min_periods=least).corr(pd.DataFrame(both[1]))
        assert_close(ops.ts_corr(x, y, n)[:, [0, 2, 3]], paired.to_numpy()[:, [0, 2, 3]])


def test_lags_and_counts_agree_with_pandas():
    x = np.where(np.isfinite(panel(6)), panel(6), np.nan)
    wide = pd.DataFrame(x)
    for n in (1, 3, T, T + 5):
        assert_close(ops.lag(x, n), wide.shift(n).to_numpy())
        assert_close(ops.delta(x, n), wide.diff(n).to_numpy())
        assert_close(ops.ts_count(x, n), (wide > 0).rolling(n, min_periods=1).sum().to_numpy())
    assert_close(ops.lagmean(x, 10), wide.rolling(10, min_periods=6).mean().shift(1).to_numpy())
    assert_close(ops.previous_valid(x), wide.shift(1).ffill().to_numpy())


def test_an_ewma_is_the_recursion_of_the_specification():
    x = panel(7)
    out = np.full(x.shape, np.nan)
    for j in range(N):
        valid = np.flatnonzero(np.isfinite(x[:, j]))
        level = x[valid[:20], j].mean()
        out[valid[19], j] = level
        for t in valid[20:]:
            level = 0.94 * level + 0.06 * x[t, j]
            out[t, j] = level
    assert_close(ops.ewma(x, 0.94, 20)[0], out)


@pytest.mark.parametrize("span", [1, 4, 30])
def test_a_run_is_counted_backwards_cell_by_cell(span: int):
    rng = np.random.default_rng(8)
    condition = np.where(rng.random((T, N)) < 0.2, np.nan, rng.random((T, N)) < 0.8)
    expected = np.full((T, N), np.nan)
    for t in range(T):
        for j in range(N):
            if np.isnan(condition[t, j]):
                continue
            run = [c for c in condition[max(t - span + 1, 0) : t + 1, j][::-1] if not np.isnan(c)]
            expected[t, j] = run.index(0.0) if 0.0 in run else len(run)
    np.testing.assert_array_equal(ops.run_length(condition, span), expected)


def test_a_cross_section_is_as_scipy_has_it_row_by_row():
    x = panel(9).reshape(6, -1)
    universe = np.random.default_rng(9).random(x.shape) < 0.8
    universe[0] = False
    rank, z, winsor = ops.cs_rank(x, universe), ops.cs_zscore(x, universe), ops.cs_winsor(x, universe, 1.5)
    mean, centre, count = ops.cs_mean(x, universe), ops.cs_median(x, universe), ops.cs_count(x, universe)
    assert np.isnan(rank[0]).all()
    assert np.isnan([mean[0, 0], centre[0, 0]]).all()
    assert count[0, 0] == 0
    for t in range(1, len(x)):
        inside = universe[t] & np.isfinite(x[t])
        v = x[t, inside]
        mad = np.median(np.abs(v - np.median(v)))
        assert_close(rank[t, inside], (stats.rankdata(v) - 0.5) / len(v))
        assert_close(z[t, inside], np.clip((v - np.median(v)) / (1.4826 * mad), -5, 5))
        reach = 1.5 * 1.4826 * mad
        assert_close(winsor[t, inside], np.clip(v, np.median(v) - reach, np.median(v) + reach))
        assert_close(np.array([mean[t, 0], centre[t, 0], count[t, 0]]), np.array([v.mean(), np.median(v), len(v)]))
        for got in (rank, z, winsor):
            assert np.isnan(got[t, ~inside]).all()


def test_a_cross_sectional_residual_is_that_of_the_normal_equations():
    rng = np.random.default_rng(10)
    size, group = rng.standard_normal((4, 40)) * 1e9, np.tile(np.arange(40) % 3, (4, 1))
    dummies = [(group == g).astype(float) for g in range(2)]
    y = 1e-10 * size + group + rng.standard_normal((4, 40))
    y[0, :5] = np.nan
    got = ops.cs_residual(y, size, *dummies, universe=np.ones((4, 40)))
    for t in range(4):
        rows = np.isfinite(y[t])
        x = np.column_stack([np.ones(40), size[t] / 1e9, *(d[t] for d in dummies)])[rows]
        expected = y[t, rows] - x @ np.linalg.solve(x.T @ x, x.T @ y[t, rows])
        assert_close(got[t, rows], expected)


@pytest.mark.parametrize("n", [5, 60, 250])
def test_ten_thousand_steps_of_large_numbers_that_hardly_move_keep_the_windowed_value(n: int):
    rng = np.random.default_rng(11)
    x = 1e9 + 1e-2 * rng.standard_normal((10_000, 2))
    y = 1e9 + x - 1e9 + 1e-2 * rng.standard_normal((10_000, 2))
    mean, deviation = ops.ts_mean(x, n), ops.ts_std(x, n)
    slope, fit = ops.ts_beta(y, x, n), ops.ts_resid_std(y, x, n)
    for t in range(9_900, 10_000):
        window = slice(t - n + 1, t + 1)
        v, w = x[window] - 1e9, y[window] - 1e9
        assert_close(mean[t] - 1e9, v.mean(axis=0), size=1e4)
        np.testing.assert_allclose(deviation[t], v.std(axis=0, ddof=1), rtol=1e-10)
        for j in range(2):
            np.testing.assert_allclose(slope[t, j], beta(0.0, w[:, j], v[:, j]), rtol=1e-9)
            np.testing.assert_allclose(fit[t, j], resid_std(0.0, w[:, j], v[:, j]), rtol=1e-9)


@pytest.mark.parametrize("spike", [1e12, -1e12, 1e200, np.inf])
def test_a_spike_that_has_left_the_window_leaves_nothing_behind(spike: float):
    x = panel(12)[:, :3]
    y = np.where(np.isfinite(x), x, 0.0) + panel(13)[:, :3]
    spiked, n = x.copy(), 10
    spiked[40] = spike
    clean = np.r_[:40, 40 + n : T]
    for name in ONE_PANEL:
        with np.errstate(over="ignore"):
            got = getattr(ops, name)(spiked, n, 3)
        assert_close(got[clean], getattr(ops, name)(x, n, 3)[clean])
    for name in TWO_PANELS:
        assert_close(getattr(ops, name)(y, spiked, n, 3)[clean], getattr(ops, name)(y, x, n, 3)[clean])
        assert_close(getattr(ops, name)(spiked, y, n, 3)[clean], getattr(ops, name)(x, y, n, 3)[clean])


def test_a_spread_that_shrinks_by_degrees_loses_no_digits():
    x = 0.05 ** np.arange(60.0)[:, None] * np.array([[1.0, -3.0]])
    np.testing.assert_allclose(ops.ts_std(x, 30, 2), looped(std, 30, 2, x), rtol=1e-10)


def test_a_constant_window_has_a_deviation_of_exactly_nought():
    x = np.concatenate([np.full((30, 1), 0.1), [[1e8]], np.full((30, 1), 0.3), [[-7.0]], np.full((30, 1), 1e-3)])
    got = ops.ts_std(x, 10)[:, 0]
    constant = [t for t in range(9, len(x)) if np.ptp(x[t - 9 : t + 1]) == 0]
    assert len(constant) == 63
    np.testing.assert_array_equal(got[constant], 0.0)
    noise = np.random.default_rng(14).standard_normal(x.shape)
    assert np.isnan(ops.ts_corr(noise, x, 10)[constant]).all()
    assert np.isnan(ops.ts_beta(noise, x, 10)[constant]).all()


def test_a_perfect_fit_leaves_no_residual_and_correlates_fully():
    x = panel(15)[:, [0, 1, 4]]
    y = 3.0 * x - 2.0
    np.testing.assert_allclose(
        ops.ts_corr(y, x, 20), np.where(np.isnan(ops.ts_corr(y, x, 20)), np.nan, 1.0), rtol=1e-12
    )
    assert np.nanmax(ops.ts_resid_std(y, x, 20)) < 1e-13
    assert np.isfinite(ops.ts_resid_std(y, x, 20)).mean() > 0.5
