from __future__ import annotations

import math

import numpy as np
import pytest

from features.panel import DataError, Panels
from training.evaluate.costs import Costs
from training.evaluate.orders import lot_sizes, top_k_orders
from training.evaluate.performance import drawdown, performance
from training.evaluate.portfolio import ENTRIES, by_entry, decile_portfolios, simulate_topk

T, N = 40, 8


def calm_market(seed=0, t_count=T, n_count=N):
    """Random walks without limits, suspensions or ex-dates."""
    rng = np.random.default_rng(seed)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (t_count, n_count)), axis=0))
    prev_close = np.vstack([np.full((1, n_count), 20.0), close[:-1]])
    start = prev_close * np.exp(rng.normal(0, 0.005, close.shape))
    values = {"open": start, "close": close, "prev_close": prev_close, "volume": np.full(close.shape, 1e7)}
    values |= {"high": np.maximum(start, close) * 1.001, "low": np.minimum(start, close) * 0.999}
    values |= {"total_turnover": 1e7 * close}
    values |= {"limit_up": np.full(close.shape, np.nan), "limit_down": np.full(close.shape, np.nan)}
    sessions = np.arange("2024-01-01", "2026-01-01", dtype="datetime64[D]")[:t_count]
    return Panels(sessions, np.array([f"60000{n}.XSHG" for n in range(n_count)]), values)


def everyone(panels):
    return np.ones(panels.shape, bool)


def test_all_names_at_no_cost_earn_the_mean_of_their_returns():
    panels = calm_market()
    score = np.random.default_rng(1).normal(size=panels.shape)
    free = {"k": N, "horizon": 1, "entry": "next_close", "costs": Costs.none(), "lots": False}
    result = simulate_topk(score, panels, everyone(panels), **free)
    mean = (panels["close"] / panels["prev_close"] - 1).mean(axis=1)
    assert result.net[2:] == pytest.approx(mean[2:], abs=1e-12)
    assert result.net[1] == 0
    assert result.universe[1:] == pytest.approx(result.net[1:], abs=1e-12)
    assert result.gross[1:] == pytest.approx(result.net[1:], abs=1e-15)


def test_an_open_entry_earns_its_first_day_from_the_open():
    panels = calm_market()
    score = np.full(panels.shape, np.nan)
    score[4, 2] = 1.0
    result = simulate_topk(
        score, panels, everyone(panels), k=1, horizon=1, costs=Costs.none(), lots=False, entry="next_open"
    )
    assert result.net[5] == pytest.approx(panels["close"][5, 2] / panels["open"][5, 2] - 1)
    assert np.flatnonzero(np.isfinite(result.net)).tolist() == [5]


@pytest.mark.parametrize("horizon", [1, 4])
def test_accounts_add_up(horizon):
    panels = calm_market()
    score = np.random.default_rng(2).normal(size=panels.shape)
    result = simulate_topk(score, panels, everyone(panels), k=3, horizon=horizon, capital=1e6)
    assert all((paid >= 0).all() for paid in result.costs.values())
    assert (result.cash >= -1e-6).all()
    assert (result.cash <= result.nav + 1e-6).all()
    paid = sum(result.costs.values())
    assert (result.gross - result.net)[1:] * result.nav[:-1] == pytest.approx(paid[1:], abs=1e-6)
    assert np.prod(1 + result.net[1:]) * 1e6 == pytest.approx(result.nav[-1])
    assert (result.positions[1:] > 0).all()
    assert (result.positions <= 3 * horizon).all()


def test_costs_only_ever_take_away():
    panels = calm_market()
    score = np.random.default_rng(3).normal(size=panels.shape)
    kinds = {"commission": 0.0, "fees": False, "half_spread": 0.0, "impact": 0.0}
    values = [
        simulate_topk(score, panels, everyone(panels), k=3, horizon=2, lots=False, costs=costs).nav[-1]
        for costs in (
            Costs.none(),
            Costs(**(kinds | {"commission": 0.001})),
            Costs(**(kinds | {"fees": True})),
            Costs(),
        )
    ]
    assert values[0] > values[1] > values[3]
    assert values[0] > values[2] > values[3]


def test_impact_grows_with_the_capital():
    panels = calm_market()
    score = np.random.default_rng(3).normal(size=panels.shape)
    shares = []
    for capital in (1e6, 4e6):
        result = simulate_topk(score, panels, everyone(panels), k=3, horizon=2, lots=False, capital=capital)
        shares.append(result.costs["impact"].sum() / result.costs["commission"].sum())
    assert shares[1] / shares[0] == pytest.approx(2, rel=0.01)


def test_an_order_at_limit_up_fails_and_its_money_stays_in_cash():
    panels = calm_market()
    panels["limit_up"][6, 0] = panels["open"][6, 0]
    score = np.full(panels.shape, np.nan)
    score[5, :2] = [2.0, 1.0]
    result = simulate_topk(score, panels, everyone(panels), k=2, horizon=1, costs=Costs.none(), lots=False)
    assert result.blocked_entries[6] == 1
    assert result.positions[6] == 1
    assert result.cash[6] == pytest.approx(0.5e8)


def test_a_position_that_cannot_be_sold_is_carried_until_it_can():
    panels = calm_market()
    panels["limit_down"][7, 0] = panels["open"][7, 0]
    panels["volume"][8, 0] = 0.0
    score = np.full(panels.shape, 0.0)
    score[5, 0], score[6:, 1] = 1.0, 1.0
    result = simulate_topk(score, panels, everyone(panels), k=1, horizon=1, costs=Costs.none(), lots=False)
    assert result.blocked_exits[6:11].tolist() == [0, 1, 1, 0, 0]
    assert result.positions[6:11].tolist() == [1, 1, 1, 1, 1]
    assert result.net[7] == pytest.approx(panels["close"][7, 0] / panels["close"][6, 0] - 1)
    after_sale = panels["open"][9, 0] / panels["close"][8, 0] * panels["close"][9, 1] / panels["open"][9, 1] - 1
    assert result.net[9] == pytest.approx(after_sale)


def test_an_ex_date_is_no_loss():
    panels = calm_market()
    score = np.random.default_rng(5).normal(size=panels.shape)
    split = panels.joined({name: panels[name].copy() for name in ("open", "high", "low", "close", "prev_close")})
    for name in ("open", "high", "low", "close", "prev_close"):
        split[name][15:, 3] *= 0.5
    free = {"k": 3, "horizon": 3, "costs": Costs.none(), "lots": False}
    whole, halved = (simulate_topk(score, p, everyone(panels), **free) for p in (panels, split))
    assert halved.net[1:] == pytest.approx(whole.net[1:], abs=1e-12)


def test_a_delisted_position_is_written_down_by_the_haircut():
    panels = calm_market()
    for value in panels.values.values():
        value[10:, 0] = np.nan
    score = np.zeros(panels.shape)
    score[:, 0] = 1.0
    result = simulate_topk(
        score,
        panels,
        everyone(panels),
        k=1,
        horizon=5,
        costs=Costs.none(),
        lots=False,
        delisted=np.array([9, *[-1] * (N - 1)]),
        delist_haircut=0.4,
    )
    assert result.net[10] == pytest.approx(-0.4)
    assert result.positions[10] == 0


def test_a_sleeve_holds_for_the_horizon_so_that_nothing_sells_on_the_day_it_was_bought():
    panels = calm_market()
    score = np.zeros(panels.shape)
    score[np.arange(T), np.arange(T) % N] = 1.0  # another favourite each session
    result = simulate_topk(score, panels, everyone(panels), k=1, horizon=4, costs=Costs.none(), lots=False)
    assert result.positions[1:8].tolist() == [1, 2, 3, 4, 4, 4, 4]
    assert result.turnover[10:20] == pytest.approx(np.full(10, 0.25), rel=0.1)


def test_purchases_come_in_lots_of_their_board():
    least, step = lot_sizes(np.array(["600000.XSHG", "300750.XSHE", "688981.XSHG", "830799.BJSE", "SIM001"]))
    assert least.tolist() == [100, 100, 200, 100, 100]
    assert step.tolist() == [100, 100, 1, 1, 100]
    panels = calm_market()
    score = np.full(panels.shape, np.nan)
    score[5, 0] = 1.0
    result = simulate_topk(score, panels, everyone(panels), k=1, horizon=1, costs=Costs.none(), capital=10_000.0)
    price = panels["open"][6, 0]
    assert result.cash[6] == pytest.approx(10_000 - 100 * price * math.floor(10_000 / price / 100))


def test_what_comes_after_a_session_does_not_change_its_return():
    panels = calm_market()
    score = np.random.default_rng(6).normal(size=panels.shape)
    whole = simulate_topk(score, panels, everyone(panels), k=3, horizon=3)
    part = simulate_topk(score[:25], panels.rows(0, 25), everyone(panels)[:25], k=3, horizon=3)
    assert np.array_equal(part.net[1:25], whole.net[1:25])


def test_the_summary_gives_annual_numbers_of_the_series():
    panels = calm_market()
    score = np.random.default_rng(7).normal(size=panels.shape)
    index = np.linspace(100, 110, T)
    result = simulate_topk(score, panels, everyone(panels), k=3, horizon=2, benchmark=index)
    found, net = result.summary, result.net[1:]
    assert found["sessions"] == T - 1
    assert found["sharpe"] == pytest.approx(net.mean() / net.std(ddof=1) * math.sqrt(242))
    assert found["annual_return"] == pytest.approx((result.nav[-1] / 1e8) ** (242 / (T - 1)) - 1)
    assert found["excess_over_benchmark"] == pytest.approx((net - (index[1:] / index[:-1] - 1)).mean() * 242)
    assert "information_ratio_universe" in found
    assert found["annual_cost"] == pytest.approx((result.gross - result.net)[1:].mean() * 242)
    assert found["annual_cost"] > found["annual_cost_stamp_duty"] > 0
    assert all(math.isfinite(value) for value in found.values())
    alone = simulate_topk(score, panels, everyone(panels), k=3, horizon=2).summary
    assert not any("benchmark" in name for name in alone)


def test_drawdown_is_measured_from_the_start_too():
    assert drawdown(np.array([-0.1, 0.2, -0.5])) == pytest.approx([-0.1, 0.0, -0.5])
    assert performance(np.array([-0.1, 0.2, -0.5]))["max_drawdown"] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 0}, "must be positive"),
        ({"capital": 0.0}, "must be positive"),
        ({"score": np.zeros((3, N))}, "the shape"),
    ],
)
def test_settings_without_a_meaning_are_refused(changed, message):
    panels = calm_market()
    settings = {"score": np.zeros(panels.shape), "k": 2, "horizon": 1, **changed}
    with pytest.raises(DataError, match=message):
        simulate_topk(panels=panels, universe=everyone(panels), **settings)


def test_a_score_without_values_is_refused():
    panels = calm_market()
    with pytest.raises(DataError, match="scores in the universe"):
        simulate_topk(np.full(panels.shape, np.nan), panels, everyone(panels), horizon=1)


def test_deciles_sort_by_score_and_average_the_label():
    score = np.tile(np.arange(40.0), (6, 1))
    value = score / 1000 + np.arange(6)[:, None]
    found = decile_portfolios(score, value, horizon=2)
    assert found.each[0] == pytest.approx((np.arange(10) * 4 + 1.5) / 1000)
    assert found.monotonicity == pytest.approx(1)
    assert found.long_short == pytest.approx(np.full(6, 0.036))
    assert found.cumulative[-1] == pytest.approx(found.each.sum(axis=0) / 2)
    assert decile_portfolios(-score, value, horizon=2).monotonicity == pytest.approx(-1)


def test_a_session_with_too_few_names_or_one_score_for_all_has_no_deciles():
    rng = np.random.default_rng(8)
    score, value = rng.normal(size=(2, 30, 40))
    score[3, 19:] = np.nan
    score[4] = 1.0
    found = decile_portfolios(score, value, horizon=5)
    assert np.flatnonzero(np.isnan(found.long_short)).tolist() == [3, 4]
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.cumulative).all()


def test_deciles_of_nothing_are_nan_and_do_not_fail():
    found = decile_portfolios(np.full((5, 40), np.nan), np.zeros((5, 40)), horizon=5)
    assert np.isnan(found.mean).all()
    assert math.isnan(found.monotonicity)
    assert found.spread.n == 0


def test_entries_side_by_side_are_the_simulations_one_by_one():
    panels = calm_market()
    panels["total_turnover"][:] *= 1.002  # a vwap that is not the close
    score = np.random.default_rng(3).normal(size=panels.shape)
    orders = top_k_orders(score, panels, everyone(panels), horizon=2, k=3, costs=Costs())
    found = by_entry(orders, capital=1e6, benchmark=panels["close"][:, 0])
    assert list(found) == list(ENTRIES)
    for entry, result in found.items():
        settings = {"horizon": 2, "k": 3, "entry": entry, "capital": 1e6, "benchmark": panels["close"][:, 0]}
        alone = simulate_topk(score, panels, everyone(panels), **settings)
        assert result.net == pytest.approx(alone.net, nan_ok=True)
        assert result.universe == pytest.approx(alone.universe, nan_ok=True)
        assert result.summary == pytest.approx(alone.summary, nan_ok=True)
    returns = [tuple(result.net[2:5]) for result in found.values()]
    assert len(set(returns)) == 3


def test_the_summary_tells_hits_months_and_the_fall_against_the_universe():
    panels = calm_market(t_count=60)
    score = np.random.default_rng(3).normal(size=panels.shape)
    result = simulate_topk(score, panels, everyone(panels), horizon=2, k=3)
    alive = np.isfinite(result.net)
    ahead = (1 + result.net[alive]) / (1 + result.universe[alive]) - 1
    assert result.summary["hit_rate_universe"] == (result.net[alive] > result.universe[alive]).mean()
    wealth = np.append(1.0, np.cumprod(1 + ahead))
    deepest = (wealth / np.maximum.accumulate(wealth) - 1).min()
    assert result.summary["max_drawdown_against_universe"] == pytest.approx(deepest)
    month = panels.sessions.astype("datetime64[M]")
    months = [np.prod(1 + result.net[alive & (month == m)]) - 1 for m in np.unique(month[alive])]
    assert result.summary["worst_month"] == pytest.approx(min(months))
    assert result.summary["months_above_zero"] == pytest.approx(np.mean(np.array(months) > 0))
