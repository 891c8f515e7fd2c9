"""Convenience yields by made-up curves, by least squares, by hand, and through a simulated market's store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.futures import read_chain
from features.sources.simulator import NULL, simulate
from models.base import FitError
from models.spread.convenience_yield import (
    implied_yield,
    interest_effect,
    literal_fit,
    literal_yield,
    shortage_signs,
    standard_interest,
)
from tests.simulated_market import stored


def world(seed: int, n: int = 250, noise: float = 0.006) -> dict[str, np.ndarray]:
    """δ = .06 - .02 z + noise, z the standardised open interest; a curve with spot, near and far."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    z = (z - z.mean()) / z.std(ddof=1)
    delta = 0.06 - 0.02 * z + noise * rng.standard_normal(n)
    spot = 70_000 * np.exp(np.cumsum(0.01 * rng.standard_normal(n)))
    near, far = rng.uniform(0.05, 0.12, n), rng.uniform(0.2, 0.4, n)
    rate = np.full(n, 0.018)
    return {
        "z": z,
        "interest": 120_000 + 25_000 * z,
        "delta": delta,
        "spot": spot,
        "near": spot * np.exp((rate - delta) * near),
        "far": spot * np.exp((rate - delta) * far),
        "years_near": near,
        "years_far": far,
        "rate": rate,
    }


def test_the_curve_gives_its_yield_back():
    w = world(1)
    found = implied_yield(w["near"], w["far"], w["years_near"], w["years_far"], w["rate"])
    np.testing.assert_allclose(found, w["delta"], atol=1e-12)
    np.testing.assert_allclose(implied_yield(w["spot"], w["far"], 0.0, w["years_far"], w["rate"]), found, atol=1e-12)


def test_a_yield_that_cannot_be_told_is_none():
    near = np.array([100.0, -3.0, 100.0, np.nan, 100.0])
    far = np.array([100.0, 100.0, 0.0, 100.0, 100.0])
    gap = np.array([0.3, 0.3, 0.3, 0.3, 0.1])
    assert np.isnan(implied_yield(near, far, 0.1, gap, 0.02)).tolist() == [False, True, True, True, True]


def test_the_effect_of_open_interest_is_recovered():
    """Source  spec 04 §7.2: a .06, b -.02, n 250: mean (.06000, .01997 as p1), sd (.0004, .0003)"""
    found = [interest_effect(w["delta"], w["z"]) for w in map(world, range(20))]
    assert np.mean([one.params["a"] for one in found]) == pytest.approx(0.06, abs=0.001)
    assert np.mean([one.p1 for one in found]) == pytest.approx(0.02, abs=0.001)
    assert np.std([one.p1 for one in found]) == pytest.approx(0.0004, abs=0.0002)
    assert np.mean([one.errors["b"] for one in found]) == pytest.approx(0.0004, rel=0.2)
    assert all(one.p_value < 1e-6 and one.t["b"] < -10 for one in found)


def test_errors_allow_for_yields_that_linger():
    """Without an effect, |t| > 1.96 of lingering yields on lingering interest is rarer with lags than without."""

    def lingering(rng: np.random.Generator, n: int) -> np.ndarray:
        out = rng.standard_normal(n)
        for t in range(1, n):
            out[t] += 0.8 * out[t - 1]
        return out

    rng = np.random.default_rng(4)
    pairs = [(lingering(rng, 400), lingering(rng, 400)) for _ in range(150)]
    size = {lags: np.mean([interest_effect(d, z, lags=lags).p_value < 0.05 for d, z in pairs]) for lags in (0, 20)}
    assert size[0] > 0.25
    assert size[20] < 0.6 * size[0]


def test_controls_take_their_own_part():
    w, rng = world(2, 600), np.random.default_rng(3)
    season = rng.standard_normal(600) + 0.5 * w["z"]
    found = interest_effect(w["delta"] + 0.01 * season, w["z"], {"season": season})
    assert found.params["season"] == pytest.approx(0.01, abs=0.001)
    assert found.p1 == pytest.approx(0.02, abs=0.001)
    assert interest_effect(w["delta"] + 0.01 * season, w["z"]).p1 < 0.017
    assert found.r_squared > 0.9
    with pytest.raises(FitError, match="say something of their own"):
        interest_effect(w["delta"], w["z"], {"twice": 2 * w["z"]})
    with pytest.raises(FitError, match="it needs 20 rows"):
        interest_effect(w["delta"][:19], w["z"][:19])


def test_weights_by_the_gap_are_the_seeds_search_in_logs():
    """min Σ (ln F - ln S - (r - p0 + p1 oi) T)² is least squares of δ with weights T²."""
    w = world(5)
    t = w["years_far"]
    columns = t[:, None] * np.column_stack([np.ones(250), -w["z"]])
    told = np.linalg.lstsq(columns, w["rate"] * t - np.log(w["far"] / w["spot"]), rcond=None)[0]
    found = interest_effect(w["delta"], w["z"], gap=t)
    assert [found.params["a"], found.p1] == pytest.approx(told.tolist(), abs=1e-12)


def test_the_seeds_search_minimises_what_the_seed_writes():
    w = world(6)
    found = literal_fit(w["spot"], w["far"], w["years_far"], w["rate"], w["interest"])

    def loss(p0: float, p1: float) -> float:
        model = w["spot"] * np.exp((w["rate"] - p0 + p1 * w["z"]) * w["years_far"])
        return float(np.sum((model - w["far"]) ** 2))

    best = loss(found.p0, found.p1)
    for d0, d1 in [(1e-4, 0), (-1e-4, 0), (0, 1e-4), (0, -1e-4)]:
        assert loss(found.p0 + d0, found.p1 + d1) > best
    assert found.p0 == pytest.approx(0.06, abs=0.002)
    assert found.p1 == pytest.approx(0.02, abs=0.002)
    assert found.last == pytest.approx(found.p0 - found.p1 * w["z"][-1], abs=1e-12)


def test_the_literal_yield_of_a_date_rests_on_its_window_alone():
    w = world(7, 300)
    given = [w[name].copy() for name in ("spot", "far", "years_far", "rate", "interest")]
    given[1][290] = np.nan
    found = literal_yield(*given, window=60, last=14)
    assert np.isnan(found[:286]).all()
    assert np.isnan(found[290])
    part = [one[:290][-60:] for one in given]
    assert found[289] == literal_fit(*part).last
    early = literal_yield(*(one[:40] for one in given), window=60, last=6)
    assert np.isnan(early).tolist() == [True] * 35 + [False] * 5
    later = [np.concatenate([one[:290], one[290:] * 1.5]) for one in given]
    np.testing.assert_array_equal(literal_yield(*later, window=60, last=14)[286:290], found[286:290])
    flat = [*given[:4], np.full(300, 5.0)]
    assert np.isnan(literal_yield(*flat, window=60, last=2)).all()


def test_the_literal_search_survives_an_exponent_that_overflows():
    w = world(8)
    outlier = np.where(np.arange(250) == 3, 1e9, w["interest"])
    found = literal_fit(w["spot"], w["far"], 2000 * w["years_far"], w["rate"], outlier)
    assert np.isfinite(found.p0)
    with pytest.raises(FitError, match="must vary"):
        literal_fit(w["spot"], w["far"], w["years_far"], w["rate"], np.full(250, 5.0))


def test_a_shortage_is_a_high_yield_and_the_seeds_rule_marks_a_glut():
    delta = 0.02 + 0.005 * np.sin(np.arange(800) / 3.0)
    delta[500:504] = 0.20
    delta[600:604] = -0.10
    delta[602] = np.nan
    delta[700:704] = 0.2
    delta[702] = 0.02
    signs = shortage_signs(delta, 0.018)
    on = {name: np.flatnonzero(getattr(signs, name) == 1).tolist() for name in ("literal", "shortage", "glut")}
    assert on["literal"] == [603]  # the suspended session is skipped, not counted
    assert {502, 503} <= set(on["shortage"])
    assert not set(range(600, 604)) & set(on["shortage"])
    assert 603 in on["glut"]
    assert not {700, 701, 702, 703} & set(on["shortage"])
    assert np.isnan(signs.shortage[:374]).all()
    assert np.isnan(signs.literal[602])
    cut = shortage_signs(delta[:550], 0.018)
    np.testing.assert_array_equal(cut.shortage, signs.shortage[:550])


def test_a_high_yield_below_the_rate_is_no_shortage():
    delta = np.append(np.linspace(0.01, 0.015, 797), [0.017, 0.017, 0.017])
    assert shortage_signs(delta, 0.018).shortage[-1] == 0
    assert shortage_signs(delta, 0.016).shortage[-1] == 1


def test_the_convenience_yield_of_simulated_copper_is_found_through_the_store(tmp_path: Path):
    """δ = .06 - .02 z of log open interest: spec 11 §9 b."""
    market = simulate("demo", replace(NULL, stocks=12, sessions=700), 3)
    chain = read_chain(stored(tmp_path, market), "CU")
    price = np.where(chain.traded & chain.holdable()[:-1], chain["settlement"], np.nan)
    years = chain.ttm()
    order = np.argsort(np.where(np.isfinite(price), years, np.inf), axis=1)
    near, far = order[:, :1], order[:, 3:4]
    part = [np.take_along_axis(one, at, 1)[:, 0] for one in (price, years) for at in (near, far)]
    delta = implied_yield(part[0], part[1], part[2], part[3], NULL.rate)
    truth = market.truth["truth_states"].filter(pl.col("object") == "CU", pl.col("name") == "delta").sort("date")
    assert np.corrcoef(delta, truth["value"].to_numpy())[0, 1] > 0.9
    total = np.nansum(chain["open_interest"], axis=1)
    logs = (np.log(total) - np.log(total).mean()) / 0.25
    plain = interest_effect(delta, logs)
    assert plain.params["a"] == pytest.approx(0.06, abs=0.01)
    assert plain.p1 == pytest.approx(0.02, abs=0.003)
    robust = interest_effect(delta, standard_interest(total))
    assert 0.01 < robust.p1 < 0.03
    assert robust.t["b"] < -5


def test_a_session_that_cannot_be_judged_ends_a_run_and_one_without_a_yield_does_not():
    delta, rate = 0.02 + 0.001 * np.sin(np.arange(800) / 3.0), np.full(800, 0.018)
    delta[700:705] = delta[750:755] = 0.2
    rate[701] = np.nan
    delta[751] = np.nan
    shortage = shortage_signs(delta, rate).shortage
    np.testing.assert_array_equal(shortage[700:705], [0, np.nan, 0, 0, 1])
    np.testing.assert_array_equal(shortage[750:755], [0, np.nan, 0, 1, 1])
