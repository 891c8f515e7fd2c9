from __future__ import annotations

import math

import numpy as np
import pytest

from features.panel import DataError, Panels
from tests.oracle.a_share_market import random_market
from tests.training.flat_market import N, T, everyone, flat_market, unaccounted
from training.excess import shrunk_betas
from training.labels import make_labels


def test_excess_over_the_universe_averages_to_nought_and_leaves_outsiders_out():
    rng = np.random.default_rng(1)
    panels = flat_market().joined({"open": rng.uniform(9.5, 10.5, (T, N))})
    universe = everyone()
    universe[:, 3] = False
    labels = make_labels(panels, universe, horizon=2)
    assert np.isnan(labels.value[:, 3]).all()
    assert np.isfinite(labels.total[: T - 3, 3]).all()
    assert np.abs(labels.value[: T - 3, :3].mean(axis=1)).max() < 1e-12


def test_excess_over_a_benchmark_spans_the_same_sessions():
    index = np.linspace(100, 130, T)
    labels = make_labels(flat_market(), everyone(), horizon=2, excess="benchmark", benchmark=index)
    assert labels.value[4, 0] == pytest.approx(-math.log(index[7] / index[5]))


def test_a_session_without_a_benchmark_has_no_label_and_is_counted():
    index = np.full(T, 100.0)
    index[7] = np.nan
    labels = make_labels(flat_market(), everyone(), horizon=2, excess="benchmark", benchmark=index)
    assert labels.lost["no_benchmark"] == 2 * N
    assert np.isnan(labels.value[[4, 6]]).all()


def test_a_missing_benchmark_is_refused():
    with pytest.raises(DataError, match="needs its prices"):
        make_labels(flat_market(), everyone(), horizon=2, excess="benchmark")


def test_more_labels_of_an_industry_than_seven_make_it_a_measure_of_its_own():
    panels, _ = random_market(6, t_count=30, n_count=20, delistings=0)
    universe = np.ones(panels.shape, bool)
    industry = np.repeat([4.0, 7.0, np.nan], [12, 5, 3])[None, :]
    labels = make_labels(panels, universe, horizon=2, excess="industry", industry=industry)
    over_all = make_labels(panels, universe, horizon=2)
    sessions = np.flatnonzero(np.isfinite(labels.value[:, :12]).sum(axis=1) >= 8)
    assert len(sessions) > 10
    assert np.abs(np.nanmean(labels.value[sessions, :12], axis=1)).max() < 1e-12
    np.testing.assert_array_equal(labels.value[:, 12:], over_all.value[:, 12:])


def test_negative_codes_belong_to_no_industry_and_integers_will_do():
    panels, _ = random_market(6, t_count=30, n_count=20, delistings=0)
    universe = np.ones(panels.shape, bool)
    codes = np.repeat([4, -1], [10, 10])[None, :]
    labels = make_labels(panels, universe, horizon=2, excess="industry", industry=codes)
    over_all = make_labels(panels, universe, horizon=2)
    np.testing.assert_array_equal(labels.value[:, 10:], over_all.value[:, 10:])
    assert not np.array_equal(labels.value[:, :10], over_all.value[:, :10], equal_nan=True)


def one_factor_market(beta: np.ndarray, t_count: int = 400, seed: int = 0) -> tuple[Panels, np.ndarray]:
    """Closes that move beta times the market and little of their own; the market's daily log returns."""
    rng = np.random.default_rng(seed)
    market = rng.normal(0, 0.01, t_count)
    returns = beta * market[:, None] + rng.normal(0, 0.002, (t_count, len(beta)))
    close = 10 * np.exp(np.cumsum(returns, axis=0))
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    values = prices | {"prev_close": np.vstack([close[:1] / np.exp(returns[:1]), close[:-1]])}
    values |= {"volume": np.ones(close.shape), "total_turnover": close}
    sessions = np.arange("2020-01-01", "2023-01-01", dtype="datetime64[D]")[:t_count]
    return Panels(sessions, np.array([f"60000{n}.XSHG" for n in range(len(beta))]), values), market


def test_betas_of_a_market_of_one_factor_are_found_and_shrunk_by_a_third_to_one():
    true = np.array([0.4, 0.8, 1.0, 1.2, 1.6])
    panels, market = one_factor_market(true)
    everywhere = np.ones(panels.shape, bool)
    index = np.exp(np.cumsum(market))
    for close in (None, index):
        found = shrunk_betas(panels, everywhere, everywhere, close)
        assert np.isnan(found[:251]).all()
        assert np.abs(found[251:] - (2 / 3 * true + 1 / 3)).max() < 0.06


def test_a_beta_knows_nothing_of_what_comes_after_its_session():
    panels, market = one_factor_market(np.array([0.5, 1.0, 1.5]))
    everywhere = np.ones(panels.shape, bool)
    cut = 300
    rng = np.random.default_rng(1)
    wild = {name: values.copy() for name, values in panels.values.items()}
    for values in wild.values():
        values[cut:] *= rng.uniform(0.2, 5, values[cut:].shape)
    for index in (None, np.exp(np.cumsum(market))):
        later = None if index is None else np.where(np.arange(len(index)) < cut, index, 2 * index)
        before = shrunk_betas(panels, everywhere, everywhere, index)
        after = shrunk_betas(Panels(panels.sessions, panels.assets, wild), everywhere, everywhere, later)
        np.testing.assert_array_equal(after[:cut], before[:cut])
        assert not np.array_equal(after[cut:], before[cut:])


def test_an_asset_listed_for_less_than_a_year_has_no_beta_and_is_counted():
    panels, _ = one_factor_market(np.array([0.5, 1.0, 1.5]))
    for values in panels.values.values():
        values[:100, 1] = np.nan
    labels = make_labels(panels, np.ones(panels.shape, bool), horizon=2, excess="beta")
    assert np.isnan(labels.value[:351, 1]).all()
    assert np.isfinite(labels.value[351:397, 1]).all()
    assert np.isfinite(labels.value[251:397, [0, 2]]).all()
    assert labels.lost["no_beta"] == 2 * 251 + (351 - 99)  # the first decision that enters is that of row 99
    assert unaccounted(labels.lost) == 0


def test_a_return_less_beta_times_the_market_keeps_nothing_of_the_market():
    true = np.array([0.4, 0.8, 1.0, 1.2, 1.6])
    panels, market = one_factor_market(true, t_count=800)
    everywhere = np.ones(panels.shape, bool)
    over_market = np.append(np.cumsum(market)[4:] - np.cumsum(market)[1:-3], np.full(4, np.nan))
    plain = make_labels(panels, everywhere, horizon=3, entry="next_close").value
    hedged = make_labels(panels, everywhere, horizon=3, entry="next_close", excess="beta").value
    there = np.isfinite(hedged).all(axis=1)
    slopes = [np.polyfit(over_market[there], value[there], 1)[0] for value in (plain, hedged)]
    assert np.abs(slopes[0] - (true - 1)).max() < 0.05
    assert np.abs(slopes[1] - (true - 1) / 3).max() < 0.05, "a third of it stays, for betas are shrunk"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"excess": "industry"}, "needs their codes as"),
        ({"excess": "industry", "industry": np.zeros(N)}, r"found the shape \(4,\)"),
        ({"excess": "beta", "benchmark": np.ones(T)}, "found prices without closes"),
        ({"excess": "beta", "benchmark_close": np.ones(T)}, "found closes without prices"),
        ({"excess": "sector"}, "found 'sector'"),
        ({"half_life": 0.0}, "half_life"),
    ],
)
def test_an_excess_without_what_it_needs_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        make_labels(flat_market(), everyone(), **{"horizon": 2, **given})
