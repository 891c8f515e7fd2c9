"""Residuals of cross-sectional regressions beside numpy's least squares, on rows of every awkward kind."""

from __future__ import annotations

import numpy as np
import pytest

from features import operators as ops
from features.panel import Float64Array

NAN = np.nan


def least_squares(y: Float64Array, columns: list[Float64Array], group: Float64Array | None = None) -> Float64Array:
    """Residuals of one session by singular values, columns centred and of length 1; a dummy for each group."""
    codes = np.zeros(y.shape) if group is None else group
    rows = np.isfinite(y) & np.isfinite(codes) & np.all([np.isfinite(c) for c in columns] + [np.ones(y.shape)], axis=0)
    dummies = codes[rows][:, None] == np.unique(codes[rows])
    out = np.full(y.shape, NAN)
    if rows.sum() - dummies.shape[1] < 2 * len(columns) + 1:
        return out
    taken = [c[rows] - dummies @ ((dummies.T @ c[rows]) / dummies.sum(axis=0)) for c in columns]
    lengths = [np.linalg.norm(c) for c in taken]
    scaled = [c / n for c, n in zip(taken, lengths, strict=True) if n > 0]
    x = np.column_stack([*scaled, dummies / np.sqrt(dummies.sum(axis=0))])
    out[rows] = y[rows] - x @ np.linalg.lstsq(x, y[rows])[0]
    return out


def market(t: int = 8, n: int = 50, p: int = 3) -> tuple[Float64Array, list[Float64Array], Float64Array]:
    rng = np.random.default_rng(1)
    columns = [rng.standard_normal((t, n)) * 10.0**k + 3.0 for k in range(p)]
    y = sum(columns) + rng.standard_normal((t, n))
    for panel in (y, *columns):
        panel[rng.random((t, n)) < 0.05] = NAN
    y[1, 3], columns[0][2, 4] = np.inf, -np.inf
    return y, columns, rng.integers(0, 4, (t, n)).astype(float)


@pytest.mark.parametrize("p", [0, 1, 3])
def test_a_residual_is_that_of_least_squares(p: int):
    y, columns, group = market(p=max(p, 1))
    columns = columns[:p]
    universe = np.random.default_rng(2).random(y.shape) < 0.9
    everyone, grouped = (
        ops.cs_residual(y, *columns, universe=universe),
        ops.group_residual(y, group, *columns, universe=universe),
    )
    for t in range(len(y)):
        inside = np.where(universe[t], y[t], NAN)
        own = [c[t] for c in columns]
        np.testing.assert_allclose(everyone[t], least_squares(inside, own), rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(grouped[t], least_squares(inside, own, group[t]), rtol=1e-10, atol=1e-10)


def test_residuals_within_groups_are_those_of_dummies_as_panels():
    y, columns, group = market()
    dummies = [np.where(group == g, 1.0, 0.0) for g in range(4)]
    everyone = np.ones(y.shape)
    got = ops.group_residual(y, group, *columns, universe=everyone)
    expected = ops.cs_residual(y, *columns, *dummies, universe=everyone)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        ops.group_residual(y, group, universe=everyone), ops.group_demean(y, group, everyone), atol=1e-12
    )


def test_residuals_are_orthogonal_to_regressors_and_groups():
    rng = np.random.default_rng(3)
    y, size = rng.standard_normal((4, 300)), rng.lognormal(20, 2, (4, 300))
    near = size * (1 + 1e-7 * rng.standard_normal((4, 300)))  # nearly the same, yet another
    group = rng.integers(0, 9, (4, 300)).astype(float)
    left = ops.group_residual(y, group, size, near, universe=np.ones(y.shape))
    for column in (size, near):
        scaled = column / np.linalg.norm(column, axis=1, keepdims=True)
        np.testing.assert_allclose((left * scaled).sum(axis=1), 0.0, atol=1e-11)
    np.testing.assert_allclose(ops.group_sum(left, group, np.ones(y.shape)), 0.0, atol=1e-11)
    np.testing.assert_allclose(
        ops.group_residual(left, group, size, near, universe=np.ones(y.shape)), left, rtol=1e-10, atol=1e-10
    )


def test_regressors_that_say_nothing_new_change_nothing_in_any_order():
    rng = np.random.default_rng(4)
    y, a, b = (rng.standard_normal((3, 200)) for _ in range(3))
    group = np.arange(200)[None] % 5 * 1.0
    plain = ops.group_residual(y, group, a, b, universe=np.ones(y.shape))
    more = [a, b, 3 * a - 2 * b + 7, 0 * a, 0 * a + 1e9, 1e-200 * b, a + group, 1e150 * (a - b)]
    for order in (more, more[::-1]):
        got = ops.group_residual(y, group, *order, universe=np.ones(y.shape))
        np.testing.assert_allclose(got, plain, rtol=1e-10, atol=1e-10)


def test_what_is_explained_in_full_leaves_nothing():
    rng = np.random.default_rng(5)
    a, b = 1e6 + rng.standard_normal((2, 100)), rng.standard_normal((2, 100))
    left = ops.cs_residual(2 * a - 3 * b + 5, a, b, universe=np.ones(a.shape))
    np.testing.assert_allclose(left, 0.0, atol=1e-8)
    np.testing.assert_array_equal(ops.cs_residual(np.full((1, 9), 0.1), universe=np.ones((1, 9))), np.zeros((1, 9)))


def test_too_few_rows_leave_no_residual():
    rng = np.random.default_rng(6)
    y, a, b = (rng.standard_normal((1, 6)) for _ in range(3))
    assert np.isfinite(ops.cs_residual(y, a, b, universe=np.ones((1, 6)))).all()
    assert np.isnan(ops.cs_residual(y[:, :5], a[:, :5], b[:, :5], universe=np.ones((1, 5)))).all()
    assert np.isnan(ops.cs_residual(y[:, :1], universe=np.ones((1, 1)))).all()
    assert np.isnan(ops.cs_residual(y[:, :2], *[a[:, :2]] * 5, universe=np.ones((1, 2)))).all()
    two = np.array([[0.0, 0, 0, 1, 1, 1]])
    assert np.isfinite(ops.group_residual(y, two, a, universe=np.ones((1, 6)))).all()
    assert np.isnan(ops.group_residual(y, two, a, b, universe=np.ones((1, 6)))).all()


def test_one_alone_in_its_group_is_explained_by_it():
    rng = np.random.default_rng(7)
    y, a = rng.standard_normal((2, 20)), rng.standard_normal((2, 20))
    group = np.where(np.arange(20) == 4, 9.0, 1.0)[None]
    left = ops.group_residual(y, group, a, universe=np.ones(y.shape))
    np.testing.assert_array_equal(left[:, 4], 0.0)
    rest = np.delete(left, 4, axis=1)
    others = np.ones((2, 19))
    expected = ops.cs_residual(np.delete(y, 4, axis=1), np.delete(a, 4, axis=1), universe=others)
    np.testing.assert_allclose(rest, expected, atol=1e-12)


def test_a_regressor_may_be_a_series_or_a_fact_of_the_asset():
    y, columns, group = market()
    fact, series = columns[1][:1], columns[0][:, :1]
    everyone = np.ones(y.shape)
    got = ops.group_residual(y, group[:1], fact, series, universe=everyone)
    repeated = [np.broadcast_to(v, y.shape) for v in (group[:1], fact, series)]
    np.testing.assert_array_equal(got, ops.group_residual(y, *repeated, universe=everyone))
