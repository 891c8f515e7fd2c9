from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.panel import DataError
from tests.training.evaluate.judged_world import everyone, market, planted
from training.evaluate.capacity import capacity
from training.evaluate.costs import Costs
from training.evaluate.ic import ANN_DAYS
from training.evaluate.orders import top_k_orders
from training.evaluate.portfolio import simulate_topk

HORIZON, K = 2, 8


@pytest.fixture(scope="module")
def panels():
    return market()


@pytest.fixture(scope="module")
def score(panels):
    return planted(panels, HORIZON)


@pytest.fixture(scope="module")
def orders(panels, score):
    return top_k_orders(score, panels, everyone(panels), horizon=HORIZON, k=K, costs=Costs())


@pytest.fixture(scope="module")
def found(orders):
    return capacity(orders, capitals=(1e9, 1e7))


def excess(panels, score, capital, **kinds):
    settings = {"horizon": HORIZON, "k": K, "capital": capital, "lots": False, "costs": replace(Costs(), **kinds)}
    return simulate_topk(score, panels, everyone(panels), **settings).summary["excess_over_universe"]


def test_the_curve_is_that_of_the_simulation_at_each_capital(panels, score, found):
    assert found.capital[:2].tolist() == [1e7, 1e9]
    for capital, value in zip(found.capital[:2], found.net_excess[:2], strict=True):
        assert value == pytest.approx(excess(panels, score, capital), rel=1e-9)
    assert found.without_size == pytest.approx(excess(panels, score, 1e7, impact=0.0), rel=1e-9)


def test_the_excess_falls_and_the_impact_grows_with_the_capital(found):
    assert (np.diff(np.append(found.without_size, found.net_excess)) < 0).all()
    assert (np.diff(found.impact) > 0).all()


def test_at_half_and_zero_the_excess_is_half_and_zero(panels, score, found):
    assert 0 < found.half < found.zero
    assert excess(panels, score, found.half) == pytest.approx(found.without_size / 2, rel=0.02)
    assert excess(panels, score, found.zero) == pytest.approx(0, abs=0.02 * found.without_size)


def test_capitals_are_added_until_the_excess_is_gone(found):
    assert found.net_excess[-1] <= 0
    assert (found.net_excess[:-1] > 0).all()


def test_participation_is_a_position_over_its_assets_turnover(panels, orders, found):
    turnover, shares = panels["total_turnover"], []
    for t in range(11, len(orders.picks)):  # a mean of 20 needs 12
        for n in orders.picks[t][orders.picks[t] >= 0]:
            shares.append(1e7 / HORIZON / K / turnover[max(t - 19, 0) : t + 1, n].mean())
    assert found.participation[0] == pytest.approx(np.quantile(shares, 0.95))


def test_the_impact_is_what_the_ledger_says(panels, score, found):
    settings = {"horizon": HORIZON, "k": K, "capital": 1e9, "lots": False}
    result = simulate_topk(score, panels, everyone(panels), **settings)
    paid = result.costs["impact"][1:] / result.nav[:-1]
    assert found.impact[1] == pytest.approx(np.nanmean(paid) * ANN_DAYS)


def test_a_score_that_earns_nothing_has_no_capacity(panels, score):
    worst = top_k_orders(-score, panels, everyone(panels), horizon=HORIZON, k=K, costs=Costs())
    found = capacity(worst)
    assert found.without_size < 0
    assert (found.half, found.zero) == (0.0, 0.0)
    assert found.capital.tolist() == [1e7, 1e8, 1e9, 1e10]


def test_trading_without_impact_has_no_end(panels, score):
    free = top_k_orders(score, panels, everyone(panels), horizon=HORIZON, k=K, costs=Costs(impact=0.0))
    assert np.isnan(capacity(free, capitals=(1e8,)).zero)


def test_capital_of_nothing_is_refused(orders):
    with pytest.raises(DataError):
        capacity(orders, capitals=(0.0, 1e8))
