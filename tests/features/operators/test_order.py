"""Quantiles, ranks and places of extremes against windows cut out one by one, and against pandas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features import operators as ops
from features.graph import EVER, Node, walk
from features.operators import state_kernels
from features.operators.blocks import over_assets
from features.panel import Float64Array

NAN, INF = np.nan, np.inf
WINDOWS = [1, 2, 5, 12, 60, 150, EVER]


def column(*values: float) -> Float64Array:
    return np.array(values, dtype=np.float64)[:, None]


def awkward(t: int = 120, seed: int = 0) -> Float64Array:
    """Noise, ties, a walk, mostly missing, constant, missing, infinities, a high level of little variance."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((t, 9))
    x[:, 1] = rng.integers(0, 4, t)
    x[:, 2] = np.cumsum(x[:, 2])
    x[rng.random(t) < 0.8, 3] = NAN
    x[:, 4] = 7.1
    x[:, 5] = NAN
    x[rng.random(t) < 0.2, 6] = INF
    x[rng.random(t) < 0.2, 6] = -INF
    x[:, 7] = 1e9 + 1e-3 * rng.standard_normal(t)
    x[40:80, 8] = NAN
    return x


def by_window(
    x: Float64Array, n: int, least: int, value: Callable[[Float64Array, Float64Array], float]
) -> Float64Array:
    """value(valid cells, all cells) of every window with `least` valid cells and one at least."""
    out = np.full(x.shape, NAN)
    for t in range(x.shape[0]):
        for j in range(x.shape[1]):
            cells = x[max(t - n + 1, 0) : t + 1, j]
            valid = cells[np.isfinite(cells)]
            if len(valid) >= max(least, 1):
                out[t, j] = value(valid, cells)
    return out


def assert_panel(got: Float64Array, expected: Float64Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-15)


def usual(n: int) -> int:
    return math.ceil(0.6 * n)


def newest_of(rank: Callable[[Float64Array, float], float]) -> Callable[[Float64Array, Float64Array], float]:
    return lambda valid, cells: rank(valid, cells[-1]) if np.isfinite(cells[-1]) else NAN


def average_rank(valid: Float64Array, x: float) -> float:
    return float(np.mean(1 + np.flatnonzero(np.sort(valid) == x))) / len(valid)


def mid_rank(valid: Float64Array, x: float) -> float:
    return float((valid < x).sum() + 0.5 * (valid == x).sum()) / len(valid)


def robust(valid: Float64Array, x: float) -> float:
    mad = np.median(np.abs(valid - np.median(valid)))
    return float(np.clip((x - np.median(valid)) / (1.4826 * mad), -5, 5)) if mad > 0 else NAN


def mean_distance(valid: Float64Array) -> float:
    from_first = valid - valid[0]  # exact, where the level is high
    return float(np.abs(from_first - from_first.mean()).mean())


def since_last(cells: Float64Array, extreme: float) -> float:
    return float(len(cells) - 1 - np.flatnonzero(cells == extreme)[-1])


@pytest.mark.parametrize("n", WINDOWS)
@pytest.mark.parametrize("least", [None, 1])
def test_order_statistics_are_those_of_each_window_by_itself(n: int, least: int | None):
    x = awkward()
    need = usual(n) if least is None else least
    assert_panel(ops.ts_median(x, n, least), by_window(x, n, need, lambda v, _: float(np.median(v))))
    for q in (0.2, 0.63, 1.0):
        expected = by_window(x, n, need, lambda v, _, q=q: float(np.quantile(v, q)))
        assert_panel(ops.ts_quantile(x, n, q, least), expected)
    assert_panel(ops.ts_rank(x, n, least), by_window(x, n, need, newest_of(average_rank)))
    assert_panel(ops.ts_mad(x, n, least), by_window(x, n, need, lambda v, _: mean_distance(v)))


@pytest.mark.parametrize("n", WINDOWS)
def test_percentile_and_robust_z_are_those_of_each_window_by_itself(n: int):
    x = awkward(seed=1)
    assert_panel(ops.ts_percentile(x, n, 1), by_window(x, n, 1, newest_of(mid_rank)))
    assert_panel(ops.ts_robust_z(x, n, 1), by_window(x, n, 1, newest_of(robust)))


@pytest.mark.parametrize("n", WINDOWS)
def test_extremes_and_their_age_are_those_of_each_window_by_itself(n: int):
    x = awkward(seed=2)
    assert_panel(ops.ts_max(x, n, 1), by_window(x, n, 1, lambda v, _: float(v.max())))
    assert_panel(ops.ts_min(x, n, 1), by_window(x, n, 1, lambda v, _: float(v.min())))
    assert_panel(ops.ts_argmax(x, n, 1), by_window(x, n, 1, lambda v, cells: since_last(cells, v.max())))
    assert_panel(ops.ts_argmin(x, n, 1), by_window(x, n, 1, lambda v, cells: since_last(cells, v.min())))
    assert_panel(ops.ts_argmax(x, 12), by_window(x, 12, 8, lambda v, cells: since_last(cells, v.max())))


@pytest.mark.parametrize("n", [1, 5, 20, 60])
def test_pandas_finds_the_same(n: int):
    x = awkward(seed=3)
    rolling = pd.DataFrame(np.where(np.isfinite(x), x, NAN)).rolling(n, min_periods=1)
    assert_panel(ops.ts_median(x, n, 1), rolling.median().to_numpy())
    for q in (0.0, 0.2, 0.5, 0.8):
        assert_panel(ops.ts_quantile(x, n, q, 1), rolling.quantile(q).to_numpy())
    assert_panel(ops.ts_rank(x, n, 1), rolling.rank(pct=True).to_numpy())


def test_numbers_that_can_be_checked_by_eye():
    x = column(3, 1, 2, 2, NAN, 5)
    assert ops.ts_quantile(x, 4, 0.25, 1)[:, 0].tolist() == [3, 1.5, 1.5, 1.75, 1.5, 2]
    np.testing.assert_allclose(ops.ts_rank(x, 4, 1)[:, 0], [1, 0.5, 2 / 3, 2.5 / 4, NAN, 1])
    np.testing.assert_array_equal(ops.ts_argmax(x, 4, 1)[:, 0], [0, 1, 2, 3, 1, 0])
    np.testing.assert_array_equal(ops.ts_argmin(x, 4, 1)[:, 0], [0, 0, 1, 2, 3, 2])
    np.testing.assert_allclose(ops.ts_mad(x, 2, 1)[:, 0], [0, 1, 0.5, 0, 0, 0])


def test_a_median_is_that_of_numpy_to_the_last_digit():
    x = np.random.default_rng(4).standard_normal((80, 3)) * 1e3
    expected = [[np.median(x[max(t - 9, 0) : t + 1, j]) for j in range(3)] for t in range(80)]
    np.testing.assert_array_equal(ops.ts_median(x, 10, 1), expected)


def test_a_window_forgets_what_has_left_it_however_long_the_series():
    rng = np.random.default_rng(5)
    x = np.concatenate([1e9 + rng.standard_normal((3000, 2)), rng.standard_normal((200, 2)) * 1e-3])
    x[rng.random(x.shape) < 0.3] = NAN
    for operator in (ops.ts_median, ops.ts_rank, ops.ts_mad, ops.ts_argmax):
        assert_panel(operator(x, 50, 1)[-100:], operator(x[-149:], 50, 1)[-100:])


def test_both_tails_and_what_asks_for_either_share_one_sorted_window():
    close = Node.leaf("close")
    nodes = [ops.ts_quantile(close, 20, q) for q in (0.2, 0.8)]
    assert sum(node.operator is ops.ts_quantiles and node.output is None for node in walk(nodes)) == 1
    x = awkward()
    low, high = ops.ts_quantiles(x, 20, 0.2)
    np.testing.assert_array_equal(low, ops.ts_quantile(x, 20, 0.2))
    np.testing.assert_array_equal(high, ops.ts_quantile(x, 20, 0.8))


@pytest.mark.parametrize("q", [-0.1, 1.1, NAN])
def test_a_quantile_outside_nought_and_one_is_refused(q: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        ops.ts_quantiles(column(1, 2), 2, q)
    with pytest.raises(ValueError, match="between 0 and 1"):
        ops.ts_quantile(column(1, 2), 2, q)


def position(x: Float64Array, age: Float64Array, n: int, sign: float) -> Float64Array:
    return over_assets(state_kernels.extreme_at, [x, age], n, 1, sign, state_kernels.POSITION)


@pytest.mark.parametrize("n", WINDOWS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_position_counts_from_the_first_session_of_the_asset_and_missing_cells_come_first(n: int, sign: float):
    x = awkward(seed=6)
    x[:25, 0] = x[90:100, 1] = NAN
    age = np.cumsum(np.isfinite(x).cumsum(axis=0) > 0, axis=0).astype(np.float64)
    # The last asset is taken to begin anew after its long absence.
    age[40:80, 8], age[80:, 8] = 0.0, np.arange(1, 41)
    expected = np.full(x.shape, NAN)
    for t in range(len(x)):
        for j in range(x.shape[1]):
            length = int(min(n, age[t, j]))
            cells = x[t + 1 - length : t + 1, j]
            if np.isfinite(cells).any():
                expected[t, j] = np.argmax(np.where(np.isfinite(cells), sign * cells, INF)) + 1
    assert_panel(position(x, age, n, sign), expected)


def test_an_asset_that_begins_anew_within_a_window_leaves_its_absence_behind():
    x = column(5, NAN, NAN, 1, 3, 2)
    age = column(1, 2, 3, 1, 2, 3)
    np.testing.assert_array_equal(position(x, age, 6, 1.0)[:, 0], [1, 2, 2, 1, 2, 2])


def test_a_span_longer_than_any_history_counts_all_of_it():
    held = column(1, 1, NAN, 1)
    np.testing.assert_array_equal(ops.run_length(held, EVER)[:, 0], [1, 2, NAN, 3])
    np.testing.assert_array_equal(ops.ts_count(held, EVER)[:, 0], [1, 2, 2, 3])
