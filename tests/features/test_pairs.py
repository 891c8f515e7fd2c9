"""Calendar pairs: what is of one pair stays of that pair, and labels look ahead exactly as far as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from features.chain import Chain, chain
from features.pairs import Pair, basis_pair, calendar_pair
from features.panel import DataError
from features.roles import roles
from features.rolls import hold
from tests.features.synthetic_futures import WEEKDAYS, cut, random_chain

WORLDS = [(product, seed) for product in ("RB", "IF", "T") for seed in (0, 1)]
EVERY = ("near", "far", "spread", "change", "close_near", "close_far", "volume_far", "ttm_near", "sessions_left")


def pair_of(one: Chain, first: str = "near", second: str = "next") -> Pair:
    names = roles(one, hold(one))
    return calendar_pair(one, names[first], names[second])


def on_a_curve(one: Chain, slope: float, bend: float) -> Chain:
    """The chain with closes on ln F = 8 + slope T + bend T² on every session."""
    ttm = one.ttm()
    close = np.exp(8 + slope * ttm + bend * ttm**2)
    fields = {name: np.where(one.alive[:-1], close, np.nan) for name in ("open", "high", "low", "close", "settlement")}
    fields |= {name: np.where(one.alive[:-1], 1e5, np.nan) for name in ("volume", "open_interest")}
    return chain(one.contracts, one.sessions, fields, WEEKDAYS)


@pytest.mark.parametrize(("product", "seed"), WORLDS)
def test_levels_and_changes_are_of_the_pair_that_is_named(product: str, seed: int) -> None:
    one = random_chain(product, seed=seed)
    pair, ids = pair_of(one), one.contracts.ids.tolist()
    close = np.where(one.traded, one["close"], np.nan)
    told = np.flatnonzero(np.isfinite(pair.spread))
    assert len(told) > 300
    for t in told:
        near, far = ids.index(pair.near[t]), ids.index(pair.far[t])
        assert near < far
        assert pair.spread[t] == pytest.approx(math.log(close[t, far] / close[t, near]), abs=1e-14)
        if t and np.isfinite(close[t - 1, [near, far]]).all():
            before = math.log(close[t - 1, far] / close[t - 1, near])
            assert pair.change[t] == pytest.approx(pair.spread[t] - before, abs=1e-14)
        else:
            assert np.isnan(pair.change[t])


@pytest.mark.parametrize(("product", "seed"), WORLDS)
@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_what_is_earned_is_of_the_pair_that_was_decided_on(product: str, seed: int, horizon: int) -> None:
    one = random_chain(product, seed=seed)
    pair, ids = pair_of(one), one.contracts.ids.tolist()
    close = np.where(one.traded, one["close"], np.nan)
    earned, crossed = pair.earned(horizon), 0
    assert np.isnan(earned[-horizon:]).all()
    for t in range(len(pair) - horizon):
        if not pair.near[t]:
            assert np.isnan(earned[t])
            continue
        near, far = ids.index(pair.near[t]), ids.index(pair.far[t])
        moved = [math.log(close[t + horizon, leg] / close[t, leg]) for leg in (near, far)]
        if pair.sessions_left[t] < horizon or not np.isfinite(moved).all():
            assert np.isnan(earned[t])
            continue
        assert earned[t] == pytest.approx(moved[1] - moved[0], abs=1e-13)
        crossed += pair.near[t + horizon] != pair.near[t]
    assert crossed > 0 or horizon == 1


@pytest.mark.parametrize(("product", "seed"), WORLDS)
def test_the_future_changes_no_row(product: str, seed: int) -> None:
    one = random_chain(product, seed=seed)
    whole = pair_of(one)
    for end in (40, 200, 499):
        early = pair_of(cut(one, end))
        for name in (*EVERY, "slope_gap", "is_roll"):
            np.testing.assert_array_equal(getattr(early, name), getattr(whole, name)[:end], err_msg=name)
        np.testing.assert_array_equal(early.excess(5)[: end - 5], whole.excess(5)[: end - 5])


def test_an_unchanged_curve_earns_what_it_rolls_down() -> None:
    one = on_a_curve(random_chain("RB", seed=1, shortage=0.0), slope=-0.08, bend=0.05)
    pair = pair_of(one)
    told = np.flatnonzero(np.isfinite(pair.excess(5)))
    assert len(told) > 300
    # d ln F/dT is slope + 2 bend T: its difference over the pair is 2 bend (T2 - T1).
    gap = 2 * 0.05 * (pair.ttm_far - pair.ttm_near)
    np.testing.assert_allclose(pair.slope_gap[told], gap[told], rtol=1e-8)
    np.testing.assert_allclose(pair.earned(5)[told], pair.roll_down(5)[told], rtol=1e-6)
    assert np.abs(pair.excess(5)[told]).max() < 1e-9
    assert np.abs(pair.earned(5)[told]).min() > 1e-5


def test_a_straight_curve_rolls_nowhere() -> None:
    pair = pair_of(on_a_curve(random_chain("RB", seed=1, shortage=0.0), slope=-0.08, bend=0.0))
    told = np.isfinite(pair.spread)
    np.testing.assert_allclose(pair.slope_gap[told], 0, atol=1e-9)
    np.testing.assert_allclose(pair.spread[told], -0.08 * (pair.ttm_far - pair.ttm_near)[told], rtol=1e-9)


def test_a_basis_is_a_contract_against_its_index() -> None:
    one = random_chain("IF", seed=1)
    spot = 3000 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, len(one.sessions))))
    held = roles(one, hold(one))["dominant"]
    pair, ids = basis_pair(one, held, spot, "000300.XSHG"), one.contracts.ids.tolist()
    close, earned = np.where(one.traded, one["close"], np.nan), pair.excess(5)
    told = np.flatnonzero(np.isfinite(earned))
    assert len(told) > 300
    for t in told:
        c = ids.index(pair.far[t])
        assert c == held[t + 1]
        assert pair.near[t] == "000300.XSHG"
        assert pair.spread[t] == pytest.approx(math.log(close[t, c] / spot[t]), abs=1e-14)
        moved = math.log(close[t + 5, c] / close[t, c]) - math.log(spot[t + 5] / spot[t])
        assert earned[t] == pytest.approx(moved, abs=1e-13)
        assert pair.sessions_left[t] >= 5
    assert (pair.ttm_near[told] == 0).all()
    assert (pair.slope_gap[told] == 0).all()


def test_two_contracts_have_no_bend() -> None:
    one = random_chain("RB", sessions=120, seed=0, shortage=0.0)
    few = ~np.isin(np.arange(len(one.contracts)), (3, 4))
    fields = {name: np.where(few, np.nan, panel) for name, panel in one.fields.items()}
    pair = pair_of(chain(one.contracts, one.sessions, fields, WEEKDAYS))
    told = np.isfinite(pair.spread)
    assert told.any()
    assert (pair.slope_gap[told] == 0).all()


def test_one_contract_is_no_pair() -> None:
    one = random_chain("RB", sessions=60, seed=0)
    nobody = np.full(61, -1)
    pair = calendar_pair(one, roles(one, hold(one))["near"], nobody)
    assert (pair.near == "").all()
    assert np.isnan(pair.spread).all()
    assert np.isnan(pair.excess(1)).all()
    assert math.isnan(pair.multiplier)


def test_a_roll_is_the_first_row_of_another_pair() -> None:
    pair = pair_of(random_chain("RB", seed=0))
    other = (pair.near[1:] != pair.near[:-1]) | (pair.far[1:] != pair.far[:-1])
    assert pair.is_roll.sum() > 10
    assert np.array_equal(pair.is_roll[1:], other & (pair.near[1:] != ""))


def test_what_is_no_horizon_and_no_role_is_refused() -> None:
    one = random_chain("RB", sessions=60)
    with pytest.raises(DataError, match="horizon must be of 1 session"):
        pair_of(one).earned(0)
    with pytest.raises(DataError, match="roles must be of all sessions and the next"):
        calendar_pair(one, np.zeros(60, dtype=np.int64), np.zeros(61, dtype=np.int64))


def test_a_fair_contract_on_an_index_that_pays_has_no_basis_and_no_excess() -> None:
    one = random_chain("IF", seed=2)
    contract = roles(one, hold(one))["dominant"]
    t, n = len(one.sessions), len(one.contracts)
    paid = np.where(np.arange(t) % 7 == 3, 4.0, 0.0)  # points that go ex on the session
    spot = 4000.0 - np.cumsum(paid)
    last = one.contracts.last_day
    to_come = np.array(
        [[paid[(one.sessions > day) & (one.sessions <= end)].sum() for end in last] for day in one.sessions]
    )
    fields = dict.fromkeys(("open", "high", "low", "close", "settlement"), spot[:, None] - to_come)
    fields |= {name: np.full((t, n), 1e5) for name in ("volume", "open_interest")}
    fields = {name: np.where(one.alive[:-1], values, np.nan) for name, values in fields.items()}

    def due(horizon: int) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(paid)])
        return np.array([total[min(i + 1 + horizon, t)] - total[i + 1] for i in range(t)])

    fair = chain(one.contracts, one.sessions, fields, WEEKDAYS)
    pair = basis_pair(fair, contract, spot, "000300.XSHG", to_come, due)
    told = np.isfinite(pair.spread)
    assert told.sum() > 300
    assert np.abs(pair.spread[told]).max() < 1e-12
    assert np.nanmax(np.abs(pair.change)) < 1e-12
    known = np.isfinite(pair.excess(5))
    assert known.sum() > 300
    assert np.abs(pair.earned(5)[known]).max() > 1e-4
    assert np.abs(pair.excess(5)[known]).max() < 1e-12
    blind = basis_pair(fair, contract, spot, "000300.XSHG")
    assert np.nanmin(blind.spread) < -1e-4
    assert np.nanmax(np.abs(blind.dividends)) == 0


@pytest.mark.parametrize(("product", "seed"), WORLDS)
def test_settlements_and_interest_before_are_of_the_legs_own_contract(product: str, seed: int) -> None:
    one = random_chain(product, seed=seed)
    pair, ids = pair_of(one), one.contracts.ids.tolist()
    told = np.flatnonzero(pair.near != "")
    assert pair.is_roll[told].any()
    for t in told[1:]:
        for leg in ("near", "far"):
            at = ids.index(getattr(pair, leg)[t])
            for name, now, field in (
                ("settlement", t, "settlement"),
                ("prev_settlement", t - 1, "settlement"),
                ("prev_open_interest", t - 1, "open_interest"),
            ):
                assert np.array_equal(getattr(pair, f"{name}_{leg}")[t], one[field][now, at], equal_nan=True)
