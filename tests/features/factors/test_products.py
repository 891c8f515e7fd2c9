"""Factors of products against plain loops and other libraries, and the curve against what it is made of."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest

from features.chain import Chain
from features.continuous import continuous
from features.fields import ROLE_NAMES
from features.panel import Panels
from features.product_panels import product_panels, worthy
from features.roles import ROLES
from features.rolls import hold
from tests.features.synthetic_futures import cut, random_chain
from tests.features.synthetic_products import products_market, value_of, without

SESSIONS = 420
MONTHS = ("current", "next", "q1", "q2")


@functools.cache
def market() -> Panels:
    return products_market(SESSIONS, assets=5)


@functools.cache
def computed(name: str) -> np.ndarray:
    return value_of(name, market())


def column(name: str, asset: str) -> pd.Series:
    panels = market()
    value = panels[name] if name in panels else computed(name)
    return pd.Series(value[:, panels.assets.tolist().index(asset)])


def rank(window: np.ndarray) -> float:
    """Mid-rank of the last among the valid of 250."""
    valid = window[np.isfinite(window)]
    if len(valid) < 125 or not np.isfinite(window[-1]):
        return np.nan
    return ((valid < window[-1]).sum() + 0.5 * (valid == window[-1]).sum()) / len(valid)


def robust(window: np.ndarray) -> float:
    valid = window[np.isfinite(window)]
    if len(valid) < 125 or not np.isfinite(window[-1]):
        return np.nan
    off = 1.4826 * np.median(np.abs(valid - np.median(valid)))
    return float(np.clip((window[-1] - np.median(valid)) / off, -5, 5))


def rolled(series: pd.Series, of, n: int = 250) -> pd.Series:
    return series.rolling(n, min_periods=1).apply(of, raw=True)


def assert_is(found: pd.Series, expected: pd.Series, least: int = 100) -> None:
    """Equal where the product has traded all through the last 81 sessions: warm-ups are not at stake here."""
    there = found.notna()
    assert there.sum() > least
    np.testing.assert_allclose(found[there], expected[there], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("asset", ["RB", "IF"])
def test_flow_intensity_is_the_rank_of_the_move_weighed_by_that_of_interest(asset):
    move = np.log(column("settlement", asset) / column("prev_settlement", asset))
    interest = column("open_interest", asset)
    change = interest - interest.shift()
    moved, built = rolled(move.abs() / column("sigma", asset), rank), rolled(change.abs() / interest.shift(), rank)
    expected = np.sign(move) * moved * (1 + np.sign(change) * built) / 2
    assert_is(column("fut_flow_intensity_adj", asset), expected)


def test_fragility_is_the_rank_of_the_range_at_usual_turnover():
    turnover = column("volume", "RB") / column("open_interest", "RB")
    usual = turnover.shift().rolling(60, min_periods=36).mean()
    wide = np.log(column("high", "RB") / column("low", "RB")) / column("sigma", "RB")
    assert_is(column("fut_fragility_adj", "RB"), rolled(wide * usual / turnover, rank))


def test_divergence_is_a_difference_of_robust_weeks():
    price = column("fut_settle_ret", "RB").rolling(5, min_periods=3).sum()
    interest = np.log(column("open_interest", "RB")).diff().rolling(5, min_periods=3).sum()
    assert_is(column("fut_oi_price_divergence_adj", "RB"), rolled(price, robust) - rolled(interest, robust))


def test_the_literal_divergence_stays_within_a_contract_and_has_no_value_without_a_change():
    panels = market()
    found = computed("fut_oi_price_divergence")
    price = panels["settlement"] / panels["prev_settlement"] - 1
    interest = panels["open_interest_dominant"] / panels["prev_open_interest"] - 1
    there = np.isfinite(price) & np.isfinite(interest) & (interest != 0)
    np.testing.assert_allclose(found[there], (price / np.where(interest == 0, 1, interest))[there], rtol=1e-12)
    assert np.isnan(found[~there]).all()
    still = panels.joined({"prev_open_interest": panels["open_interest_dominant"]})
    assert np.isnan(value_of("fut_oi_price_divergence", still)).all()


def test_exhaustion_is_a_far_rise_on_falling_interest():
    found, panels = computed("rule_fut_exhaustion"), market()
    ratio, move = computed("fut_oi_price_divergence"), computed("fut_settle_ret")
    expected = (np.abs(ratio) > 2) & (move > 0) & (panels["open_interest_dominant"] < panels["prev_open_interest"])
    there = np.isfinite(ratio)
    np.testing.assert_array_equal(found[there], expected[there])
    assert found[there].sum() > 10


def test_the_slope_and_curvature_of_the_basis_are_weighted_least_squares_through_nought():
    panels, seen = market(), 0
    at = panels.assets.tolist().index("IF")
    slope, bend = computed("fut_basis_ts_slope")[:, at], computed("fut_basis_ts_curvature")[:, at]
    for t in range(0, SESSIONS, 7):
        spot = panels["spot"][t, at]
        own = [[panels[f"{of}_{m}"][t, at] for of in ("ttm", "close", "open_interest", "dividends")] for m in MONTHS]
        rows = [
            (x, np.log(f / (spot - d)), w)
            for x, f, w, d in own
            if np.isfinite([x, f, w, d, spot]).all() and x > 0 and w > 0
        ]
        if len(rows) < 3:
            assert np.isnan(slope[t])
            continue
        x, y, w = np.array(rows).T
        weight = w**0.25  # lstsq squares it
        line = np.linalg.lstsq((weight * x)[:, None], weight * y)[0]
        parabola = np.linalg.lstsq(weight[:, None] * np.stack([x, x**2], axis=1), weight * y)[0]
        assert (slope[t], bend[t]) == pytest.approx((line[0], 2 * parabola[1]), rel=1e-7)
        seen += 1
    assert seen > 30


@pytest.mark.parametrize(("name", "days", "months"), [("fut_basis_30d", 30, MONTHS[:3]), ("fut_basis_90d", 90, MONTHS)])
def test_a_constant_maturity_lies_straight_between_its_neighbours(name, days, months):
    panels, seen = market(), 0
    at = panels.assets.tolist().index("IC")
    for t in range(SESSIONS):
        nodes = [(panels[f"ttm_{m}"][t, at], computed(f"fut_log_basis_{m}")[t, at]) for m in months]
        x, y = np.array([(0.0, 0.0), *(node for node in nodes if np.isfinite(node).all())]).T
        if x[-1] < days / 365 or panels["traded"][t, at] == 0:
            assert np.isnan(computed(name)[t, at])
            continue
        assert computed(name)[t, at] == pytest.approx(np.interp(days / 365, x, y), rel=1e-9)
        seen += 1
    assert seen > 200


def test_monthly_means_are_those_of_calendar_months():
    panels = market()
    ratio = column("fut_basis_ratio", "IC")
    month = pd.Series(panels.sessions.astype("datetime64[M]"))
    mean = ratio.groupby(month).transform(lambda x: x.expanding().mean())
    last = month.map(ratio.groupby(month).mean().shift())
    found = column("fut_basis_monthly_mean", "IC")
    assert_is(found, mean.where(ratio.notna(), mean.ffill()))
    change = column("fut_basis_monthly_change", "IC")
    assert_is(change, found - last)
    # A January has a month before, too.
    assert (month.dt.month[change.notna()] == 1).sum() > 10


def test_the_basis_is_free_of_dividends_where_the_store_knows_them():
    panels = market()
    at = panels.assets.tolist().index("IF")
    expected = panels["close_next"] / (panels["spot"] - panels["dividends_next"]) - 1
    np.testing.assert_allclose(computed("fut_basis_ratio_divadj")[:, at], expected[:, at], rtol=1e-12)
    annual = np.log1p(expected) / np.where(panels["ttm_next"] * 365 > 4.5, panels["ttm_next"], np.nan)
    np.testing.assert_allclose(computed("fut_basis_ratio_ann")[:, at], annual[:, at], rtol=1e-9)
    plain = value_of("fut_basis_adj", without(panels, "dividends"))
    years = np.where(panels["ttm_dominant"] * 365 > 4.5, panels["ttm_dominant"], np.nan)
    np.testing.assert_allclose(plain[:, at], (np.log(panels["close"] / panels["spot"]) / years)[:, at], rtol=1e-9)


def test_financing_comes_from_the_spot_and_else_from_the_curve():
    basis, carry, found = (computed(n) for n in ("fut_basis_adj", "fut_implied_carry", "fut_implied_financing_adj"))
    np.testing.assert_array_equal(found, np.where(np.isfinite(basis), basis, carry))
    assert np.isfinite(basis).any(axis=0).sum() < np.isfinite(found).any(axis=0).sum()


# ---- the curve, out of a chain ------------------------------------------------------------------------------------


def panels_of(one: Chain) -> dict[str, np.ndarray]:
    holding = hold(one)
    return product_panels(one, holding, continuous(one, holding))


@pytest.mark.parametrize("product", ["RB", "IF", "T"])
def test_the_chains_slope_and_curvature_are_those_of_a_plain_loop(product):
    one = random_chain(product, seed=4)
    found, seen = panels_of(one), 0
    fit = worthy(one) & one.holdable()[:-1]
    for t in range(0, len(one.sessions), 11):
        rows = []
        for c in range(len(one.contracts)):
            interest = one["open_interest"][t]
            enough = np.isnan(interest).all() or interest[c] >= 1000
            if fit[t, c] and enough and one["volume"][t, c] >= 100:
                rows.append((one.ttm()[t, c], np.log(one["settlement"][t, c])))
        assert found["chain_contracts"][t] == len(rows)
        if len(rows) < 2:
            assert np.isnan(found["chain_slope"][t])
            continue
        x, y = np.array(rows).T
        assert found["chain_slope"][t] == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-7, abs=1e-9)
        if len(rows) >= 3:
            mid = 1 + np.argmin(np.abs(x[1:-1] - (x[0] + x[-1]) / 2))
            k = [0, mid, -1]
            assert found["chain_curvature"][t] == pytest.approx(2 * np.polyfit(x[k], y[k], 2)[0], rel=1e-6)
            seen += 1
    assert seen > 10 or product == "T"


def test_a_parabola_has_its_own_curvature():
    one = random_chain("RB", seed=1, shortage=0.0)
    years = one.ttm()
    bent = {**one.fields, "settlement": np.exp(8 + 0.05 * years - 0.02 * years**2)}
    found = panels_of(cut(one, len(one.sessions), lambda name, panel: bent[name]))["chain_curvature"]
    assert np.isfinite(found).sum() > 100
    assert found[np.isfinite(found)] == pytest.approx(-0.04, rel=1e-6)


def test_contracts_without_interest_stale_ones_and_final_sessions_leave_the_curve():
    one = random_chain("IF", seed=2, shortage=0.0)
    t = 200
    first, second, third = np.flatnonzero(one.alive[t])[:3]
    fields = {name: panel.copy() for name, panel in one.fields.items()}
    fields["open_interest"][t, first] = 0
    fields["settlement"][t, second] = fields["settlement"][t - 1, second]
    fields["volume"][t, second] = 0
    changed = cut(one, len(one.sessions), lambda name, panel: fields[name])
    assert not worthy(changed)[t, [first, second]].any()
    assert worthy(one)[t, [first, second, third]].all()
    assert worthy(changed)[t, third]
    assert not worthy(one)[one.ends[third], third]
    assert worthy(one)[one.ends[third] - 1, third]


@pytest.mark.parametrize("product", ["RB", "IF", "T"])
@pytest.mark.parametrize("until", [1, 130, 301])
def test_a_row_does_not_change_when_later_ones_come(product, until):
    one = random_chain(product, seed=7)
    whole, part = panels_of(one), panels_of(cut(one, until))
    for name, panel in part.items():
        np.testing.assert_array_equal(panel, whole[name][:until], err_msg=name)


def test_prices_before_are_of_the_same_contract_on_a_roll_too():
    one = random_chain("RB", seed=3, shortage=0.0)
    found, held = panels_of(one), hold(one).held[:-1]
    rolls = np.flatnonzero(found["is_roll"] > 0)
    assert len(rolls) > 10
    for t in rolls:
        assert found["prev_settlement"][t] == one["settlement"][t - 1, held[t]]
        assert found["prev_open_interest"][t] == one["open_interest"][t - 1, held[t]]


def test_the_slope_of_a_roll_is_carried_to_the_next():
    one = random_chain("RB", seed=3, shortage=0.0)
    found, held = panels_of(one), hold(one).held
    expected, last = [], np.nan
    for t in range(len(one.sessions)):
        if t and held[t - 1] >= 0 and held[t] != held[t - 1]:
            old, new = held[t - 1], held[t]
            apart = (one.contracts.last_day[new] - one.contracts.last_day[old]).astype(float) / 365
            last = np.log(one["close"][t - 1, new] / one["close"][t - 1, old]) / apart
        expected.append(last)
    np.testing.assert_allclose(found["roll_slope"], expected, rtol=1e-12)


def test_volatility_decays_from_the_mean_of_the_first_twenty_squares():
    one = random_chain("RB", seed=5)
    found = panels_of(one)
    level, squares, expected = np.nan, [], []
    for r in found["ret"]:
        if np.isfinite(r):
            squares.append(r**2)
            level = np.mean(squares) if len(squares) == 20 else 0.94 * level + 0.06 * r**2
        expected.append(np.sqrt(level) if np.isfinite(r) and len(squares) >= 20 else np.nan)
    there = np.isfinite(found["ret"])
    np.testing.assert_allclose(found["sigma"][there], np.array(expected)[there], rtol=1e-10)


def test_the_roles_that_fields_name_are_those_of_chains():
    assert tuple(ROLE_NAMES) == ROLES
