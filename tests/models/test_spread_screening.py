"""Cointegration screening: size where there is nothing, power where there is, and statsmodels' likelihood."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import eigh
from spread_world import chain_of_pairs, ou_pair, sessions
from statsmodels.tsa.vector_ar.vecm import VECM

from models.base import FitError
from models.spread.base import Legs
from models.spread.screening import CATALOGUE, JOHANSEN_CRITICAL, Screening, canonical_parts, johansen_trace, screen


def walks(seed: int, count: int = 400) -> Legs:
    rng = np.random.default_rng(seed)
    y, x = 5 + np.cumsum(rng.normal(0, 0.012, count)), 6 + np.cumsum(rng.normal(0, 0.015, count))
    return Legs(y, x, sessions(count))


def family(size: int, first: int) -> dict[tuple[str, str], Legs]:
    return {("A", f"B{i}"): walks(first + i) for i in range(size)}


def test_independent_walks_are_found_no_oftener_than_the_level_says():
    pairs = screen(family(256, 0))
    p = np.array([one.p for one in pairs])
    assert 0.02 < np.mean(p < 0.05) < 0.08
    assert 0.05 < np.mean(p < 0.10) < 0.15
    # Sixteen families of sixteen: the false discovery rate of a family with no truth is that of any discovery at all.
    found = [any(one.is_candidate for one in screen(family(16, 16 * k))) for k in range(4)]
    q = [np.min(np.sort(p[16 * k : 16 * k + 16]) * 16 / np.arange(1, 17)) for k in range(16)]
    assert np.mean(np.array(q) < 0.05) <= 0.2
    assert sum(found) <= 1


def test_the_trace_test_keeps_its_level_on_walks_without_a_drift():
    trace = [johansen_trace(legs.y, legs.x) for legs in (walks(seed, 500) for seed in range(1000))]
    assert np.mean(np.array(trace) > JOHANSEN_CRITICAL) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("lags", [0, 1, 2])
def test_the_roots_are_those_of_the_likelihood_of_statsmodels(lags):
    legs = ou_pair(1)
    r0, r1 = canonical_parts(legs.y, legs.x, lags)
    n, unit = len(r0), float(np.std(np.diff(legs.x)))
    across, own, s00 = r0.T @ r1 / n, r1.T @ r1 / n, r0.T @ r0 / n
    roots = np.sort(eigh(across.T @ np.linalg.solve(s00, across), own, eigvals_only=True))[::-1]
    loglik = -n * (1 + math.log(2 * math.pi)) - n / 2 * (np.linalg.slogdet(s00 * unit**2)[1] + math.log(1 - roots[0]))
    fit = VECM(np.column_stack([legs.y, legs.x]), k_ar_diff=lags, coint_rank=1, deterministic="ci").fit()
    assert loglik == pytest.approx(float(fit.llf), rel=1e-9)
    assert johansen_trace(legs.y, legs.x, lags) == pytest.approx(-n * np.sum(np.log(1 - roots[:2])), rel=1e-9)


def test_pairs_that_return_are_found_among_pairs_that_walk():
    true = {("FU", f"SC{i}"): ou_pair(i, half_life=8, beta=0.9) for i in range(6)}
    told = screen({**family(30, 500), **true})
    chosen = {(one.y, one.x) for one in told if one.is_candidate}
    assert set(true) <= chosen
    assert len(chosen - set(true)) <= 1
    for one in told:
        if (one.y, one.x) in true:
            assert one.beta == pytest.approx(0.9, abs=0.1)
            assert one.half_life == pytest.approx(8, rel=0.6)
        elif not one.is_candidate:
            assert "Engle-Granger" in one.reason


def test_a_pair_alone_needs_more_among_many():
    one = ou_pair(3, count=250, half_life=22)
    alone = screen({("Y", "P"): one})[0]
    among = screen({("Y", "P"): one, **family(60, 900)})[0]
    assert alone.p == among.p
    assert alone.q == pytest.approx(alone.p)
    assert among.q > alone.q


def test_half_lives_beyond_the_rule_are_no_candidates():
    slow = screen({("Y", "P"): ou_pair(1, count=2500, half_life=20)}, Screening(half_life=(2, 10)))[0]
    fast = screen({("Y", "P"): ou_pair(1, count=800, half_life=0.5)})[0]
    for one in (slow, fast):
        assert not one.is_candidate
        assert "half-life" in one.reason


def test_pairs_that_cannot_be_tested_are_told_and_count_for_nobody():
    good = ou_pair(1, half_life=8)
    pairs = {
        ("A", "B"): good,
        ("A", "C"): good.part(0, 60),
        ("A", "D"): chain_of_pairs(1),
        ("A", "E"): replace(good, y=good.x + 0.1),
    }
    told = screen(pairs)
    assert [one.is_candidate for one in told] == [True, False, False, False]
    assert told[0].q == told[0].p
    assert "120 sessions" in told[1].reason
    assert "roll" in told[2].reason
    assert "vary" in told[3].reason
    assert all(math.isnan(one.p) and math.isnan(one.q) for one in told[1:])
    assert screen({}) == ()


def test_sessions_without_a_price_are_left_out():
    legs = ou_pair(2, half_life=8)
    holes = np.random.default_rng(0).random(len(legs)) < 0.05
    one = screen({("A", "B"): replace(legs, y=np.where(holes, np.nan, legs.y))})[0]
    assert one.nobs == int((~holes).sum())
    assert one.is_candidate


def test_the_catalogue_has_sixteen_pairs_each_once():
    assert len(set(CATALOGUE)) == len(CATALOGUE) == 16
    assert len({frozenset(pair) for pair in CATALOGUE}) == 16
    with pytest.raises(FitError, match="level"):
        Screening(level=0)
