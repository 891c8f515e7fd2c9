"""Cross-sectional operators on numbers that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest

from features import operators as ops

NAN = np.nan
EVERYONE = np.ones((1, 6))


def test_equal_values_share_the_mean_of_their_ranks():
    x = np.array([[3.0, 1.0, 2.0, 2.0, NAN, 9.0]])
    np.testing.assert_allclose(ops.cs_rank(x, EVERYONE), [[0.7, 0.1, 0.4, 0.4, NAN, 0.9]])


def test_ranks_run_between_nought_and_one_and_average_a_half():
    x = np.random.default_rng(0).integers(0, 20, (5, 100)).astype(float)
    rank = ops.cs_rank(x, np.ones(x.shape))
    np.testing.assert_allclose(rank.mean(axis=1), 0.5)
    assert 0 < rank.min() < rank.max() < 1


def test_the_normal_transform_is_symmetric():
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, NAN]])
    got = ops.cs_normal(x, EVERYONE)
    np.testing.assert_allclose(got[0, :5], -got[0, 4::-1], atol=1e-15)
    assert got[0, 4] == pytest.approx(1.2815515655446004)  # the 90 % quantile


def test_who_is_outside_the_universe_has_no_part():
    x = np.array([[1.0, 2.0, 3.0, 1e6]])
    universe = np.array([[1.0, 1.0, 1.0, 0.0]])
    np.testing.assert_allclose(ops.cs_rank(x, universe), [[1 / 6, 0.5, 5 / 6, NAN]])
    assert ops.cs_mean(x, universe) == 2.0
    assert ops.cs_median(x, universe) == 2.0
    assert ops.cs_count(x, universe) == 3.0
    np.testing.assert_array_equal(ops.within(x, universe), [[1.0, 2.0, 3.0, NAN]])


def test_a_universe_may_be_true_and_false_or_one_and_nought():
    x = np.random.default_rng(1).standard_normal((4, 9))
    universe = np.random.default_rng(2).random(x.shape) < 0.7
    unknown = np.where(universe, 1.0, NAN)
    for operator in (ops.cs_rank, ops.cs_zscore, ops.cs_winsor, ops.cs_mean, ops.cs_count):
        np.testing.assert_array_equal(operator(x, universe), operator(x, universe.astype(float)))
        np.testing.assert_array_equal(operator(x, universe), operator(x, unknown))


def test_a_zscore_is_in_median_distances_and_stays_within_five():
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 1e9]])
    got = ops.cs_zscore(x, EVERYONE)  # median 3.5, distances 0.5 0.5 1.5 1.5 2.5 and huge: 1.5
    np.testing.assert_allclose(got[0, :5], (x[0, :5] - 3.5) / (1.4826 * 1.5))
    assert got[0, 5] == 5.0


def test_a_session_without_spread_has_no_zscore():
    assert np.isnan(ops.cs_zscore(np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 2.0]]), EVERYONE)).all()


def test_winsorising_pulls_in_the_tails_and_leaves_the_rest():
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 100.0]])
    got = ops.cs_winsor(x, EVERYONE, k=3.0)
    np.testing.assert_array_equal(got[0, :5], x[0, :5])
    assert got[0, 5] == pytest.approx(3.5 + 3 * 1.4826 * 1.5)


def test_residuals_are_orthogonal_to_what_explains_them():
    rng = np.random.default_rng(3)
    y, size = rng.standard_normal((3, 50)), rng.standard_normal((3, 50))
    residual = ops.cs_residual(y, size, universe=np.ones(y.shape))
    np.testing.assert_allclose(residual.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose((residual * size).sum(axis=1), 0.0, atol=1e-12)


def test_residuals_do_not_depend_on_units_or_on_regressors_that_say_nothing_new():
    rng = np.random.default_rng(4)
    y, cap = rng.standard_normal((3, 50)), rng.lognormal(23, 1, (3, 50))
    boards = [np.tile((np.arange(50) % 3 == b).astype(float), (3, 1)) for b in range(4)]  # all of them, one empty
    plain = ops.cs_residual(y, cap / 1e10, *boards[:2], universe=np.ones(y.shape))
    assert plain.std() < y.std()
    for same in ([cap, *boards], [cap, *boards[:2], 0.1 + 0 * cap], [1e-30 * cap, 1e30 * boards[0], *boards[1:]]):
        np.testing.assert_allclose(ops.cs_residual(y, *same, universe=np.ones(y.shape)), plain, atol=1e-10)


def test_residuals_need_twice_as_many_rows_as_coefficients():
    y = np.arange(8.0)[None] ** 2
    x = np.arange(8.0)[None]
    x[0, 4:] = NAN
    assert np.isfinite(ops.cs_residual(y, x, universe=np.ones(y.shape))).sum() == 4
    x[0, 3] = np.inf
    assert np.isnan(ops.cs_residual(y, x, universe=np.ones(y.shape))).all()


def test_without_regressors_the_residual_is_the_distance_from_the_mean():
    y = np.array([[1.0, 2.0, 6.0, NAN, NAN, NAN]])
    np.testing.assert_allclose(ops.cs_residual(y, universe=EVERYONE), [[-2.0, -1.0, 3.0, NAN, NAN, NAN]])


def test_an_empty_session_gives_missing_values_and_a_count_of_nought():
    x = np.array([[1.0, 2.0, 3.0]])
    nobody = np.zeros(x.shape)
    for operator in (ops.cs_rank, ops.cs_normal, ops.cs_zscore, ops.cs_winsor, ops.cs_mean, ops.cs_median):
        assert np.isnan(operator(x, nobody)).all()
    assert ops.cs_count(x, nobody) == 0.0
    assert np.isnan(ops.cs_residual(x, x, universe=nobody)).all()
