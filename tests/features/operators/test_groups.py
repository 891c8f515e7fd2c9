"""Operators across assets and within groups of them, beside pandas and plain loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features import operators as ops
from features.engine import evaluate
from features.graph import Node
from features.panel import Float64Array

NAN = np.nan
T, N = 12, 60
# The group that a cross section is.
EVERYBODY = np.zeros((1, 1))


def market(seed: int = 0) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Values with ties, holes and infinities; codes with holes, a group of one; who is in the universe."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.standard_normal((T, N)), 1)
    x[rng.random((T, N)) < 0.1] = NAN
    x[3, 5], x[3, 6], x[4, 7] = np.inf, -np.inf, -0.0
    group = rng.integers(0, 4, (T, N)) * 1_010.0 + 801_000.0
    group[rng.random((T, N)) < 0.05] = NAN
    group[:, 10] = -3.5
    universe = (rng.random((T, N)) < 0.9).astype(float)
    universe[:, 10] = 1.0
    x[6], universe[7], group[8], x[9] = NAN, 0.0, NAN, 2.0
    return x, group, universe


def by_pandas(
    x: Float64Array, group: Float64Array, universe: Float64Array, of: Callable[[pd.Series], object], keep: bool = False
) -> Float64Array:
    """What `of` says of each group of each session, a number or a series; at all members if `keep`."""
    shape = np.broadcast_shapes(x.shape, group.shape, universe.shape)
    x, group, universe = (np.broadcast_to(v, shape) for v in (x, group, universe))
    out = np.full(shape, NAN)
    for t in range(shape[0]):
        there = (universe[t] > 0) & np.isfinite(group[t])
        row = pd.Series(np.where(there & np.isfinite(x[t]), x[t], NAN))
        for _, cells in row[there].groupby(group[t, there]):
            said = of(cells.dropna())
            if isinstance(said, pd.Series):
                out[t, said.index] = said
            else:
                out[t, cells.index if keep else cells.dropna().index] = said
    return out


def robust_z(v: pd.Series) -> pd.Series:
    mad = (v - v.median()).abs().median()
    return ((v - v.median()) / (1.4826 * mad)).clip(-5, 5) if mad > 0 else v * NAN


def standard(v: pd.Series) -> pd.Series:
    return (v - v.mean()) / v.std() if v.max() > v.min() else v * NAN


def mid_rank(v: pd.Series) -> pd.Series:
    return (v.rank() - 0.5) / len(v)


def bucket(v: pd.Series) -> pd.Series:
    return pd.Series([int((v < a).sum() * 2 + (v == a).sum()) * 3 // (2 * len(v)) for a in v], v.index, dtype=float)


def scaled(v: pd.Series) -> pd.Series:
    return 2.0 * v / v.abs().sum() if v.abs().sum() > 0 else v * NAN


OF_MEMBERS: dict[str, Callable[[pd.Series], object]] = {
    "demean": lambda v: v - v.mean(),
    "standard": standard,
    "zscore": robust_z,
    "rank": mid_rank,
}
OF_THE_GROUP: dict[str, Callable[[pd.Series], object]] = {
    "count": len,
    "sum": lambda v: v.sum(min_count=1),
    "mean": lambda v: v.mean(),
    "std": lambda v: v.std(),
    "median": lambda v: v.median(),
}
OF_THE_GROUP_ALONE: dict[str, Callable[[pd.Series], object]] = {"max": lambda v: v.max(), "min": lambda v: v.min()}


def assert_close(got: Float64Array, expected: Float64Array) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", OF_MEMBERS)
def test_members_stand_in_group_and_session_as_pandas_has_it(name: str, seed: int):
    x, group, universe = market(seed)
    assert_close(getattr(ops, f"group_{name}")(x, group, universe), by_pandas(x, group, universe, OF_MEMBERS[name]))
    assert_close(getattr(ops, f"cs_{name}")(x, universe), by_pandas(x, EVERYBODY, universe, OF_MEMBERS[name]))


@pytest.mark.parametrize("name", [*OF_THE_GROUP, *OF_THE_GROUP_ALONE])
def test_a_group_is_told_of_at_every_member_as_pandas_has_it(name: str):
    x, group, universe = market()
    expected = by_pandas(x, group, universe, (OF_THE_GROUP | OF_THE_GROUP_ALONE)[name], keep=True)
    got = getattr(ops, f"group_{name}")(x, group, universe)
    assert_close(got, expected)
    assert np.isfinite(got[np.isnan(x) & (universe > 0) & np.isfinite(group)]).any()


@pytest.mark.parametrize("name", OF_THE_GROUP)
def test_a_session_is_told_of_as_pandas_has_it(name: str):
    x, _, universe = market()
    got = getattr(ops, f"cs_{name}")(x, universe)
    for t in range(T):
        v = pd.Series(x[t, (universe[t] > 0) & np.isfinite(x[t])])
        np.testing.assert_allclose(got[t, 0], float(OF_THE_GROUP[name](v)), rtol=1e-10, atol=1e-12)  # type: ignore[arg-type]


def test_buckets_and_scales_are_those_of_a_plain_loop():
    x, group, universe = market()
    assert_close(ops.group_bucket(x, group, universe, k=3), by_pandas(x, group, universe, bucket))
    assert_close(ops.cs_bucket(x, universe, k=3), by_pandas(x, EVERYBODY, universe, bucket))
    assert_close(ops.group_scale(x, group, universe, a=2.0), by_pandas(x, group, universe, scaled))
    assert_close(ops.cs_scale(x, universe, a=2.0), by_pandas(x, EVERYBODY, universe, scaled))


def test_buckets_hold_about_as_many_each_and_ties_stay_together():
    x = np.arange(100.0)[None, ::-1]
    everyone = np.ones((1, 100))
    np.testing.assert_array_equal(np.bincount(ops.cs_bucket(x, everyone, k=10)[0].astype(int)), np.full(10, 10))
    np.testing.assert_array_equal(ops.cs_bucket(x, everyone, k=10), x // 10)
    np.testing.assert_array_equal(ops.cs_bucket(np.ones((1, 100)), everyone, k=4), np.full((1, 100), 2.0))


def test_wrong_settings_are_refused():
    x, group, universe = market()
    for k in (0, -1):
        with pytest.raises(ValueError, match="at least one bucket"):
            ops.cs_bucket(x, universe, k=k)
        with pytest.raises(ValueError, match="at least one bucket"):
            ops.group_bucket(x, group, universe, k=k)
    for a in (0.0, -1.0, NAN):
        with pytest.raises(ValueError, match="above 0"):
            ops.cs_scale(x, universe, a=a)


def test_codes_that_never_change_may_be_one_row():
    x, group, universe = market()
    once = np.nan_to_num(group[:1])
    for name in ("group_demean", "group_rank", "group_zscore", "group_residual"):
        operator = getattr(ops, name)
        expected = operator(x, np.repeat(once, T, axis=0), universe=universe)
        np.testing.assert_array_equal(operator(x, once, universe=universe), expected)
        np.testing.assert_array_equal(operator(x, once.astype(int), universe=universe > 0), expected)


def test_codes_count_by_being_equal_alone():
    x, group, universe = market()
    group = np.where(np.isnan(group), 5.0, group)
    for renamed in (-group, group / 1e300, np.where(group == group.min(), -0.0, group)):
        assert_close(ops.group_demean(x, renamed, universe), ops.group_demean(x, group, universe))
    zeros = np.where(np.arange(N) % 2, 0.0, -0.0)[None]
    assert_close(ops.group_rank(x, zeros, universe), ops.cs_rank(x, universe))


def test_everybody_may_be_a_group_of_one():
    x, _, universe = market()
    alone = np.arange(N)[None] * 1.0
    valid = (universe > 0) & np.isfinite(x)
    np.testing.assert_array_equal(ops.group_demean(x, alone, universe), np.where(valid, 0.0, NAN))
    np.testing.assert_array_equal(ops.group_rank(x, alone, universe), np.where(valid, 0.5, NAN))
    np.testing.assert_array_equal(ops.group_mean(x, alone, universe), np.where(valid, x, NAN))
    assert np.isnan(ops.group_standard(x, alone, universe)).all()
    assert np.isnan(ops.group_zscore(x, alone, universe)).all()


def test_codes_may_all_differ_from_session_to_session():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 40))
    group = rng.standard_normal((300, 20)).repeat(2, axis=1)
    got = ops.group_mean(x, group, np.ones(x.shape))
    assert_close(got, x.reshape(300, 20, 2).mean(axis=2).repeat(2, axis=1))


@pytest.mark.parametrize("level", [0.1, 1e9, -3.3e-7])
def test_a_session_without_spread_stands_at_nought_and_has_no_score(level: float):
    x, everyone = np.full((1, 97), level), np.ones((1, 97))
    np.testing.assert_array_equal(ops.cs_demean(x, everyone), np.zeros(x.shape))
    np.testing.assert_array_equal(ops.cs_std(x, everyone), [[0.0]])
    assert np.isnan(ops.cs_standard(x, everyone)).all()
    np.testing.assert_array_equal(ops.cs_rank(x, everyone), np.full(x.shape, 0.5))


def test_a_high_level_costs_no_digits():
    x = 1e9 + 1e-3 * np.random.default_rng(4).standard_normal((5, 400))
    exact = x - 1e9
    everyone = np.ones(x.shape)
    np.testing.assert_allclose(ops.cs_std(x, everyone)[:, 0], exact.std(axis=1, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(ops.cs_demean(x, everyone).sum(axis=1), 0.0, atol=5e-5)  # 400 times half an ulp
    expected = (exact - exact.mean(axis=1, keepdims=True)) / exact.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_allclose(ops.cs_standard(x, everyone), expected, atol=2e-4)  # an ulp of x is 1e-4 deviations


def test_sums_of_flags_are_whole_numbers():
    x = (np.random.default_rng(5).random((50, 77)) < 0.3).astype(float)
    np.testing.assert_array_equal(ops.cs_sum(x, np.ones(x.shape))[:, 0], x.sum(axis=1))


def distributions() -> dict[str, Float64Array]:
    """Sessions that a sort by leading digits could get wrong."""
    rng = np.random.default_rng(6)
    n = 700
    near = 1.0 + np.arange(n) * 2.0**-52
    return {
        "normal": rng.standard_normal(n),
        "heavy tails": rng.standard_cauchy(n) ** 5,
        "ties": rng.integers(-3, 4, n) * 0.1,
        "ulps apart, and one far away": np.append(rng.permutation(near), -1e300),
        "ulps apart, both signs": np.concatenate([rng.permutation(near), -rng.permutation(near)]),
        "two sorted halves": np.concatenate([near[::2], near[1::2], [-1.0]]),
        "falling": np.append(near[::-1], -7.0),
        "high level": 1e9 + 1e-5 * rng.standard_normal(n),
        "subnormal": rng.integers(0, 500, n) * 5e-324,
        "largest": rng.choice([-1.0, 1.0], n) * 1.7e308 * rng.random(n),
        "noughts of either sign": np.where(rng.random(n) < 0.5, -0.0, 0.0),
        "one": np.array([3.0]),
        "two": np.array([3.0, -1.0]),
    }


@pytest.mark.parametrize("name", distributions())
def test_ranks_and_medians_are_exact_however_values_lie(name: str):
    x = distributions()[name][None]
    everyone = np.ones(x.shape)
    np.testing.assert_array_equal(ops.cs_rank(x, everyone)[0], (pd.Series(x[0]).rank() - 0.5) / x.size)
    np.testing.assert_array_equal(ops.cs_median(x / 2, everyone)[0, 0], np.median(x[0] / 2))
    halves = np.arange(x.size)[None] % 2 * 1.0
    got = ops.group_rank(x, halves, everyone)[0]
    for half in range(min(x.size, 2)):
        cells = pd.Series(x[0, half::2])
        np.testing.assert_array_equal(got[half::2], (cells.rank() - 0.5) / len(cells))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 100, 101])
def test_robust_scores_are_exact_for_every_count(n: int):
    x = np.round(np.random.default_rng(n).standard_normal((40, n)), 1)
    centre = np.median(x, axis=1, keepdims=True)
    mad = np.median(np.abs(x - centre), axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(mad > 0, np.clip((x - centre) / (1.4826 * mad), -5, 5), NAN)
    assert_close(ops.cs_zscore(x, np.ones(x.shape)), expected)
    assert_close(ops.cs_winsor(x, np.ones(x.shape), k=1.0), np.clip(x, centre - 1.4826 * mad, centre + 1.4826 * mad))


def test_ranks_do_not_change_with_a_rising_function_of_the_values():
    x, group, universe = market()
    x = np.where(np.isinf(x), NAN, x)
    for risen in (np.exp(x), x**3 + 1e6, np.arctan(x) / 1e200):
        np.testing.assert_array_equal(ops.cs_rank(risen, universe), ops.cs_rank(x, universe))
        np.testing.assert_array_equal(ops.group_rank(risen, group, universe), ops.group_rank(x, group, universe))
    np.testing.assert_allclose(ops.cs_rank(-x, universe), 1 - ops.cs_rank(x, universe), atol=1e-15)


def test_what_is_demeaned_sums_to_nought_and_what_is_scaled_to_a():
    x, group, universe = market()
    np.testing.assert_allclose(np.nansum(ops.cs_demean(x, universe), axis=1), 0.0, atol=1e-12)
    left = ops.group_sum(ops.group_demean(x, group, universe), group, universe)
    np.testing.assert_allclose(left[np.isfinite(left)], 0.0, atol=1e-12)
    size = np.nansum(np.abs(ops.cs_scale(x, universe, a=3.0)), axis=1)
    np.testing.assert_allclose(np.delete(size, [6, 7]), 3.0)
    assert_close(ops.cs_standard(7 * x - 3, universe), ops.cs_standard(x, universe))
    assert_close(ops.cs_zscore(7 * x - 3, universe), ops.cs_zscore(x, universe))


def test_expressions_of_them_give_what_arrays_give():
    x, group, universe = market()
    y = np.random.default_rng(7).standard_normal((T, N))
    leaves = {name: Node.leaf(name) for name in ("x", "y", "group", "universe")}
    panels = {"x": x, "y": y, "group": group, "universe": universe}

    def all_of(x, y, group, universe):
        return {
            "rank": ops.group_rank(x, group, universe),
            "sum": ops.cs_sum(x, universe),
            "bucket": ops.cs_bucket(x, universe, k=4),
            "alone": ops.cs_residual(x, universe=universe),
            "beside": ops.cs_residual(x, y, y * y, universe=universe),
            "grouped": ops.group_residual(x, group, y, universe=universe),
        }

    got = evaluate(all_of(**leaves), panels, (T, N))
    for name, expected in all_of(**panels).items():
        np.testing.assert_array_equal(got[name], expected)
