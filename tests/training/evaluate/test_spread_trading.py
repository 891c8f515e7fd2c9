"""A pair is entered, paid for, marked and left as spec 04 §6.2 says; results by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.panel import DataError
from training.evaluate.spread_rule import Leg, Signal, TradedPair, TradingRule, round_trip_cost
from training.evaluate.spread_score import capacity, fall, summarise, tail_mean
from training.evaluate.spread_trading import trade

RULE = TradingRule(capital=100_000.0)


def pair(far, near, *, life=None, hedge=1.0, volume=None, **leg):
    n = len(far)
    sessions = np.datetime64("2020-01-01") + np.arange(n)
    legs = [
        Leg(np.array(close, np.float64), 10.0, 1.0, volume=None if volume is None else np.full(n, volume), **leg)
        for close in (far, near)
    ]
    lived = np.zeros(n, np.int64) if life is None else np.array(life)
    return TradedPair(sessions, lived, *legs, np.full(n, hedge))


def signal(z, half_life=10.0, forecast=None):
    return Signal(np.array(z, np.float64), np.full(len(z), half_life), forecast)


FAR = [4000, 4010, 4020, 3990, 3985, 3980, 3980, 3980]
NEAR = [3900, 3900, 3900, 3900, 3895, 3900, 3900, 3900]
Z = [0, 2.5, 2.6, 1.0, 0.3, 0, 0, 0]


def test_a_wide_spread_is_sold_a_session_later_and_bought_back_a_session_after_it_has_gone_back():
    done = trade(pair(FAR, NEAR), signal(Z), RULE)
    (one,) = done.trades
    assert (one.side, one.decided, one.entered, one.left, one.reason) == (-1, 1, 2, 5, "converged")
    assert one.lots == (-2, 2)  # 100,000 / 40,100 and 80,200 / 39,000, whole
    # Sold two at 4020, bought back at 3980; bought two at 3900 and sold there; a tick of 10 CNY a lot and fill.
    assert one.gross == 2 * 10 * 40 + 2 * 10 * 0
    assert one.costs == 2 * (2 + 2) * 10
    np.testing.assert_allclose(done.gross[3:6], [600, 100 - 100, 100 + 100])
    np.testing.assert_allclose(done.costs, [0, 0, 40, 0, 0, 40, 0, 0])
    assert done.position.tolist() == [0, 0, -1, -1, -1, 0, 0, 0]
    assert one.worst == -40
    assert one.net == one.gross - one.costs == pytest.approx(done.net.sum() * 100_000)


def test_fees_are_of_the_value_and_of_the_lots_at_each_fill():
    done = trade(pair(FAR, NEAR, fee_rate=1e-4, fee_lot=2.0), signal(Z), replace(RULE, ticks=0.0))
    at = 2 * (2 + 1e-4 * 4020 * 10) + 2 * (2 + 1e-4 * 3900 * 10)
    assert done.costs[2] == pytest.approx(at)
    assert done.costs[5] == pytest.approx(2 * (2 + 1e-4 * 3980 * 10) + 2 * (2 + 1e-4 * 3900 * 10))


def test_a_round_trip_costs_two_fills_of_both_legs():
    found = round_trip_cost(pair(FAR, NEAR, hedge=0.5, fee_rate=1e-4), TradingRule())
    assert found[0] == pytest.approx(2 * (1e-4 + 1 / 4000) + 0.5 * 2 * (1e-4 + 1 / 3900))


def test_nothing_is_held_past_the_last_session_of_its_contracts():
    far, near, z = [4000] * 8, [3900] * 8, [2.5] * 8
    done = trade(pair(far, near, life=[0, 0, 0, 0, 1, 1, 1, 1]), signal(z), RULE)
    assert [(t.entered, t.left, t.reason) for t in done.trades] == [(1, 3, "roll"), (5, 7, "open")]
    assert done.missed["the pair rolls"] == 1  # decided on the last session but one of the first life: no exit in time
    assert done.position.tolist() == [0, -1, -1, 0, 0, -1, -1, -1]


def test_time_runs_out_after_two_half_lives_and_the_condition_must_cease_first():
    z = [0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 1.9, 2.5, 2.5, 2.5]
    done = trade(pair([4000] * 12, [3900] * 12), signal(z, half_life=1.4), RULE)
    assert [(t.entered, t.left, t.reason) for t in done.trades] == [(2, 5, "time"), (10, 11, "open")]


def test_a_pair_that_does_not_revert_is_not_entered():
    done = trade(pair(FAR, NEAR), signal(Z, half_life=np.inf), RULE)
    assert done.trades == ()
    assert done.start == len(Z)
    assert summarise(done).n == 0


def test_a_forecast_enters_beyond_its_cost_and_leaves_when_it_turns():
    cost = float(round_trip_cost(pair(FAR, NEAR), RULE)[0])
    forecast = np.array([0.99 * cost, 1.5 * cost, 2 * cost, 0.1 * cost, -0.1 * cost, 0, 0, 0])
    z = np.zeros(8)
    done = trade(pair(FAR, NEAR), Signal(z, np.full(8, 10.0), forecast), replace(RULE, by="forecast"))
    assert [(t.side, t.decided, t.left, t.reason) for t in done.trades] == [(1, 1, 5, "turned")]
    opposed = Signal(np.array(Z), np.full(8, 10.0), forecast)
    both = trade(pair(FAR, NEAR), opposed, replace(RULE, by="either"))
    assert both.trades == ()  # the deviation says sell, the forecast buy


def test_an_order_waits_for_a_session_on_which_both_legs_have_a_close():
    far = np.array(FAR, np.float64)
    far[5] = np.nan
    done = trade(pair(far, NEAR), signal(Z), RULE)
    assert (done.trades[0].left, done.trades[0].reason) == (6, "converged")
    np.testing.assert_allclose(done.gross[5:7], [100, 100])
    far[5:] = np.nan
    lost = trade(pair(far, NEAR, life=[0] * 7 + [1]), signal(Z), RULE)
    assert (lost.trades[0].left, lost.trades[0].reason) == (6, "stranded")


def test_less_than_a_lot_is_not_traded():
    done = trade(pair(FAR, NEAR), signal(Z), replace(RULE, capital=30_000.0))
    assert done.trades == ()
    assert done.missed == {"less than a lot": 2}


def test_no_later_session_changes_a_trade_that_has_ended():
    rng = np.random.default_rng(3)
    n, cut = 300, 180
    far, near = 4000 + rng.normal(0, 30, n), 3900 + rng.normal(0, 30, n)
    z, life = rng.normal(0, 1.6, n), np.arange(n) // 45
    whole = trade(pair(far, near, life=life), signal(z), RULE)
    noise = np.where(np.arange(n) >= cut, 1.5, 1.0)
    changed = trade(pair(far * noise, near / noise, life=life), signal(np.where(noise > 1, -1.5, 1) * z), RULE)
    ended = [one for one in whole.trades if one.left < cut]
    assert len(ended) > 5
    assert list(changed.trades[: len(ended)]) == ended
    np.testing.assert_array_equal(changed.gross[:cut], whole.gross[:cut])


def test_the_summary_counts_losses_tails_and_falls():
    rng = np.random.default_rng(1)
    n = 2000
    s = np.zeros(n)
    for t in range(1, n):
        s[t] = 0.9 * s[t - 1] + 0.01 * rng.normal()
    near = np.full(n, 4000.0)
    whole = pair(near * np.exp(s), near, volume=5000.0)
    rule = TradingRule(capital=1e7)
    done = trade(whole, signal(s / 0.023, half_life=6.6), rule)
    told = summarise(done, tried=[0.01, 0.05, float(done.net.mean() / done.net.std(ddof=1))])
    results = np.array([one.net for one in done.trades if one.reason != "open"]) / 1e7
    assert told.closed == len(results) > 20
    assert told.losing == (results < 0).mean()
    assert told.losing_lo < told.losing < told.losing_hi
    assert told.worst == results.min()
    assert told.tail == pytest.approx(np.sort(results)[: max(1, len(results) // 20)].mean())
    net = done.net[done.start :]
    assert told.sharpe == pytest.approx(net.mean() / net.std(ddof=1) * np.sqrt(242))
    value = np.concatenate([[0], np.cumsum(net)])
    assert told.drawdown == pytest.approx(min(value[t] - value[: t + 1].max() for t in range(len(value))))
    assert told.net == pytest.approx(net.sum())
    assert told.gross > told.net > 0
    assert told.p < 0.05
    assert 0.5 < told.deflated <= 1
    assert told.trials == 3
    lots = [max(map(abs, one.lots)) for one in done.trades]
    assert told.capacity == pytest.approx(0.01 * 5000 * 10 * 4000, rel=0.1)
    assert capacity(done, 0.02) == pytest.approx(2 * told.capacity)
    assert min(lots) > 100


def test_capacity_is_what_nine_tenths_of_the_fills_carry():
    rng = np.random.default_rng(2)
    far, near, z = np.full(600, 4000.0), np.full(600, 3900.0), np.tile([2.5, 0, 0, 0, 0], 120)
    whole = pair(far, near, volume=0.0)
    volumes = [rng.uniform(100, 9000, 600), rng.uniform(100, 9000, 600)]
    legs = [replace(leg, volume=volume) for leg, volume in zip((whole.first, whole.second), volumes, strict=True)]
    done = trade(replace(whole, first=legs[0], second=legs[1]), signal(z), RULE)
    assert len(done.trades) > 100
    carries = [
        0.01 * min(volumes[0][row] / 2, volumes[1][row] / 2) * 2 * 10 * 4000
        for one in done.trades
        for row in (one.entered, one.left)
    ]
    assert capacity(done) == pytest.approx(np.quantile(carries, 0.1))
    assert np.isnan(capacity(trade(pair(FAR, NEAR), signal(Z), RULE)))


def test_noise_is_not_called_certain():
    rng = np.random.default_rng(5)
    far = 4000 * np.exp(np.cumsum(0.01 * rng.normal(size=1500)))
    done = trade(pair(far, np.full(1500, 4000.0)), signal(rng.normal(0, 1.5, 1500), half_life=5.0), RULE)
    told = summarise(done)
    assert told.closed > 50
    assert not told.is_certain


def test_falls_and_tails_by_hand():
    np.testing.assert_allclose(fall(np.array([-0.1, 0.3, -0.2, 0.1, -0.3])), [-0.1, 0, -0.2, -0.1, -0.4])
    assert tail_mean(np.arange(40.0)) == 0.5
    assert np.isnan(tail_mean(np.array([])))


@pytest.mark.parametrize(
    "wrong", [{"by": "mood"}, {"exit_z": 2.5}, {"delay": -1}, {"capital": 0.0}, {"ticks": -1.0}, {"half_lives": 0.0}]
)
def test_a_rule_without_sense_is_refused(wrong):
    with pytest.raises(DataError, match="trading rule"):
        TradingRule(**wrong)


def test_arrays_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="half_life must have a value per session"):
        trade(pair(FAR, NEAR), Signal(np.zeros(8), np.zeros(3)), RULE)
    with pytest.raises(DataError, match="needs a forecast"):
        trade(pair(FAR, NEAR), signal(Z), replace(RULE, by="either"))
    with pytest.raises(DataError, match=r"closes must be positive[\s\S]*-37"):
        pair([-37.6, *FAR[1:]], NEAR)
    with pytest.raises(DataError, match="life must have a value per session"):
        pair(FAR, NEAR, life=[0, 0])


def rolling(**told):
    """A copper-like first leg that drops by 30 points as it changes its contract at the close of row 3."""
    far, near = [4000, 4010, 4020, 4050, 4015, 4005, 4005, 4005], [3900.0] * 8
    whole = pair(far, near, volume=1000.0, fee_rate=1e-4)
    step = np.array([0, 10, 10, 30, -5, -10, 0, 0], np.float64)  # the new contract stood at 4020 at the close of row 3
    rolled = np.arange(8) == told.get("at", 3)
    volume = np.where(np.arange(8) == 3, 50.0, 1000.0)
    return replace(whole, first=replace(whole.first, step=step, rolled=rolled, volume=volume))


def test_a_position_earns_what_the_contract_held_moves_and_pays_for_changing_it():
    done = trade(rolling(), signal(Z), RULE)
    (one,) = done.trades
    assert (one.entered, one.left, one.lots) == (2, 5, (-2, 2))
    assert one.gross == -2 * 10 * (30 - 5 - 10)  # 15 up, though the closes fell by 15: the roll is 30
    tick, fee = 2 * 10, [2 * 10 * close * 1e-4 for close in (4020, 4050, 4005)]
    near = 2 * (tick + 2 * 10 * 3900 * 1e-4)
    assert one.costs == pytest.approx(4 * tick + fee[0] + 2 * fee[1] + fee[2] + near)
    assert done.costs[3] == pytest.approx(2 * (tick + fee[1]))


def test_a_contract_that_changes_as_a_trade_begins_or_ends_is_not_paid_for():
    for at in (2, 5):
        done = trade(rolling(at=at), signal(Z), RULE)
        np.testing.assert_array_equal(done.costs > 0, np.isin(np.arange(8), (2, 5)))
    assert trade(rolling(at=4), signal(Z), RULE).trades[0].costs > done.trades[0].costs


def test_a_roll_takes_of_the_volume_like_any_fill():
    carries = [0.01 * volume / 2 * 2 * 10 * 4010 for volume in (50, 1000, 1000)]
    assert capacity(trade(rolling(), signal(Z), RULE)) == pytest.approx(np.quantile(carries, 0.1))


def test_a_pair_is_entered_where_it_is_allowed_and_left_wherever():
    z = np.array([0, 2.5, 2.5, 2.5, 2.5, 0.3, 0, 0])
    allowed = np.array([1, 0, 0, 1, 0, 0, 0, 0], np.bool_)
    done = trade(pair(FAR, NEAR), replace(signal(z), allowed=allowed), RULE)
    assert [(one.decided, one.left, one.reason) for one in done.trades] == [(3, 6, "converged")]
    none = trade(pair(FAR, NEAR), replace(signal(z), allowed=np.zeros(8, np.bool_)), RULE)
    assert none.trades == ()
    assert none.start == 0  # the signal speaks all along: sessions without a position are judged too


def test_what_goes_within_a_session_is_not_entered():
    assert trade(pair(FAR, NEAR), signal(Z, half_life=0.0), RULE).trades == ()
    assert trade(pair(FAR, NEAR), signal(Z, half_life=0.2), RULE).trades[0].left == 3
