"""Columns of a pair: numbers by hand, and none of them knows what comes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from features.chain import Chain
from features.pairs import Pair, basis_pair, calendar_pair
from features.roles import roles
from features.rolls import hold
from tests.features.synthetic_futures import cut, random_chain
from training.spread_columns import ProductFields, deviation, names, pair_columns

PRODUCTS = ("RB", "IF", "T")


def pair_of(one: Chain, kind: str = "calendar") -> Pair:
    named = roles(one, hold(one))
    if kind == "basis":
        rng = np.random.default_rng(9)
        spot = 3000 * np.exp(np.cumsum(0.01 * rng.standard_normal(len(one.sessions))))
        return basis_pair(one, named["dominant"], spot, "000300.XSHG")
    return calendar_pair(one, named["near"], named["next"])


def fields_of(sessions: int, seed: int = 4) -> ProductFields:
    rng = np.random.default_rng(seed)
    told = ProductFields(
        np.floor(1e5 * np.exp(np.cumsum(0.03 * rng.standard_normal(sessions)))),
        0.01 * np.exp(0.1 * rng.standard_normal(sessions)),
        0.02 + 0.001 * np.cumsum(rng.standard_normal(sessions)),
    )
    told.open_interest[rng.random(sessions) < 0.03] = np.nan
    return told


def first(fields: ProductFields, end: int) -> ProductFields:
    return ProductFields(**{name: values[:end] for name, values in vars(fields).items()})


@pytest.mark.parametrize("kind", ["calendar", "basis"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_no_column_knows_what_comes(product: str, kind: str) -> None:
    one = random_chain(product, seed=2)
    fields = fields_of(len(one.sessions))
    whole, all_risk = pair_columns(pair_of(one, kind), fields), deviation(pair_of(one, kind))
    assert set(names(kind)) <= set(whole)
    for end in (80, 300, 499):
        early = pair_of(cut(one, end), kind)
        told = pair_columns(early, first(fields, end))
        for name in whole:
            np.testing.assert_array_equal(told[name], whole[name][:end], err_msg=name)
        np.testing.assert_array_equal(deviation(early), all_risk[:end])


@pytest.mark.parametrize("kind", ["calendar", "basis"])
def test_every_column_of_a_kind_is_known_and_varies(kind: str) -> None:
    one = random_chain("IF", seed=1)
    told = pair_columns(pair_of(one, kind), fields_of(len(one.sessions)))
    for name in names(kind):
        assert np.isfinite(told[name]).mean() > 0.4, name
        assert np.nanstd(told[name]) > 0, name
        assert not np.isinf(told[name]).any(), name


def test_the_plain_columns_are_what_they_say() -> None:
    one = random_chain("RB", seed=3)
    pair, fields = pair_of(one), fields_of(len(one.sessions))
    told = pair_columns(pair, fields)
    ids, ttm, seen = one.contracts.ids.tolist(), one.ttm(), 0
    for t in range(300, 500):
        if not np.isfinite(pair.spread[t]):
            continue
        near, far = ids.index(pair.near[t]), ids.index(pair.far[t])
        years = ttm[t, far] - ttm[t, near]
        log_ratio = math.log(one["close"][t, far] / one["close"][t, near])
        assert told["spread_year"][t] == pytest.approx(log_ratio / years, rel=1e-10)
        assert told["days_near"][t] == pytest.approx(365 * ttm[t, near])
        assert told["roll_down"][t] == -pair.slope_gap[t]
        moves = pair.change[t - 59 : t + 1]
        risk = math.sqrt(np.nanmean(moves**2))
        assert deviation(pair)[t] == pytest.approx(risk, rel=1e-8)
        assert told["roll_risk"][t] == pytest.approx(-pair.slope_gap[t] / (risk * math.sqrt(242)), rel=1e-8)
        assert told["spread_risk"][t] == pytest.approx(log_ratio / (risk * math.sqrt(242)), rel=1e-8)
        day = (one.sessions[t] - np.datetime64(str(one.sessions[t])[:4])).astype(int)
        assert told["year_cos"][t] == pytest.approx(math.cos(2 * math.pi * day / 365.25))
        assert told["rate_change"][t] == fields.risk_free[t] - fields.risk_free[t - 20]
        ratio = [math.log(x[t, far] / x[t, near]) for x in (one["open_interest"], one["volume"])]
        assert [told[f"{name}_ratio"][t] for name in ("oi", "volume")] == pytest.approx(ratio, nan_ok=True)
        gap = math.log(one["close"][t, far] / one["settlement"][t, far])
        assert told["settle_close_gap_far"][t] == pytest.approx(gap)
        for n in (1, 5, 20):
            grown = math.log(fields.open_interest[t] / fields.open_interest[t - n])
            assert told[f"oi_{n}"][t] == pytest.approx(grown, abs=1e-12, nan_ok=True)
        seen += 1
    assert seen > 150


def mid_rank(window: np.ndarray) -> float:
    """Mid-rank of the last of the known values of a window, in (0, 1)."""
    known = window[np.isfinite(window)]
    return float((np.sum(known < known[-1]) + 0.5 * np.sum(known == known[-1])) / len(known))


@pytest.mark.parametrize("leg", ["near", "far"])
def test_the_flow_of_a_leg_is_of_its_own_contract(leg: str) -> None:
    # FUT-01 corrected, 04 §3; a change of contracts leaves no jump in it
    one = random_chain("RB", seed=5)
    pair, fields = pair_of(one), fields_of(len(one.sessions))
    told = pair_columns(pair, fields)[f"flow_{leg}"]
    ids, n = one.contracts.ids.tolist(), len(one.sessions)
    move, change, before = (np.full(n, np.nan) for _ in range(3))
    for t in range(1, n):
        if pair.near[t] != "":
            own = ids.index(getattr(pair, leg)[t])
            move[t] = math.log(one["settlement"][t, own] / one["settlement"][t - 1, own])
            before[t] = one["open_interest"][t - 1, own]
            change[t] = one["open_interest"][t, own] - before[t]
    size, built = np.abs(move) / fields.sigma, np.abs(change) / np.where(before > 0, before, np.nan)
    rows = np.flatnonzero(np.isfinite(told))
    assert pair.is_roll[rows].any()
    for t in rows[-120:]:
        ranks = mid_rank(size[t - 249 : t + 1]), mid_rank(built[t - 249 : t + 1])
        expected = np.sign(move[t]) * ranks[0] * (1 + np.sign(change[t]) * ranks[1]) / 2
        assert told[t] == pytest.approx(expected, abs=1e-12)


def test_the_window_of_a_roll_opens_with_a_change_and_before_an_end() -> None:
    pair = pair_of(random_chain("IF", seed=1))
    told = pair_columns(pair, fields_of(len(pair)))["roll_window"]
    rolls = np.flatnonzero(pair.is_roll)
    rolls = rolls[(rolls > 20) & (rolls < len(pair) - 20)]
    assert len(rolls) > 5
    for t in rolls:
        assert (told[t : t + 5] == 1).all()
    left = pair.sessions_left
    there = pair.near != ""
    assert (told[there & (left <= 5)] == 1).all()
    calm = there & (left > 5) & (np.convolve(pair.is_roll, np.ones(5))[: len(pair)] == 0)
    assert calm.any()
    assert (told[calm] == 0).all()
    assert np.isnan(told[~there]).all()


def test_a_spread_that_never_moved_has_no_deviation() -> None:
    pair = pair_of(random_chain("RB", seed=0))
    still = replace(pair, change=np.where(np.isfinite(pair.change), 0.0, np.nan))
    assert np.isnan(deviation(still)).all()
