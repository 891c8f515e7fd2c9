"""The moving hedge: statsmodels' filter, a plain loop, what it recovers, and hard days."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from spread_world import moving_pair, ou_pair, sessions
from statsmodels.tsa.statespace.mlemodel import MLEModel

from models.spread.base import Legs
from models.spread.hedge_kernels import filtered, log_likelihood
from models.spread.kalman_hedge import KalmanHedge


def by_statsmodels(y, x, start, q_alpha, q_beta, noise, burn):
    model = MLEModel(y, k_states=2, loglikelihood_burn=burn)
    model["design"] = np.stack([np.ones(len(x)), np.nan_to_num(x)])[None, :, :]
    model["transition"] = model["selection"] = np.eye(2)
    model["state_cov"] = np.diag([q_alpha, q_beta])
    model["obs_cov"] = [[noise]]
    before = np.array([[start[2] + q_alpha, start[3]], [start[3], start[4] + q_beta]])
    model.ssm.initialize_known(start[:2], before)
    return model.ssm.filter()


def problem(seed: int = 3, count: int = 400):
    legs, _ = moving_pair(seed, count, walk=0.005)
    return legs.y, legs.x - 4, np.array([4.6, 0.9, 1e-2, 1e-4, 1e-2])


@pytest.mark.parametrize("variances", [(1e-4, 1e-5, 1e-4), (1e-9, 1e-3, 1e-5), (0.0, 0.0, 1e-3), (1e-3, 0.0, 1e-9)])
@pytest.mark.parametrize("burn", [0, 20])
def test_the_filter_is_that_of_statsmodels(variances, burn):
    y, x, start = problem()
    y = np.where(np.arange(len(y)) % 37 == 5, np.nan, y)
    other = by_statsmodels(y, x, start, *variances, burn)
    found = log_likelihood(y, x, start, *variances, math.inf, burn)
    assert found == pytest.approx(float(np.sum(other.llf_obs[burn:])), abs=1e-8, rel=1e-10)
    innovation, expected, before, after = filtered(y, x, start, *variances, math.inf)
    seen = np.isfinite(y)
    assert np.allclose(innovation[seen], other.forecasts_error[0][seen], rtol=1e-7, atol=1e-11)
    assert np.allclose(expected[seen], other.forecasts_error_cov[0, 0][seen], rtol=1e-8)
    assert np.allclose(after[:, :2], other.filtered_state.T, rtol=1e-7, atol=1e-10)
    assert np.allclose(before[:, 4], other.predicted_state_cov[1, 1, :-1], rtol=1e-7)
    assert np.allclose(after[:, 3], other.filtered_state_cov[0, 1], rtol=1e-6, atol=1e-13)


def by_a_loop(y, x, start, q_alpha, q_beta, noise, huber):
    """The textbook's filter with matrices, an outlier's noise inflated by (v / (huber √S))²."""
    state, P = start[:2].copy(), np.array([[start[2], start[3]], [start[3], start[4]]])
    total, z = 0.0, []
    for now, price in zip(y, x, strict=True):
        P = P + np.diag([q_alpha, q_beta])
        row = np.array([1.0, price])
        if not math.isfinite(now) or not math.isfinite(price):
            z.append(math.nan)
            continue
        v, S = now - row @ state, row @ P @ row + noise
        z.append(v / math.sqrt(S))
        if abs(v) > huber * math.sqrt(S):
            S = row @ P @ row + noise * (v / (huber * math.sqrt(S))) ** 2
        gain = P @ row / S
        state, P = state + gain * v, P - np.outer(gain, row @ P)
        total -= 0.5 * (math.log(2 * math.pi * S) + v * v / S)
    return total, np.array(z), state


@pytest.mark.parametrize("huber", [1.0, 2.0, 4.0])
def test_outliers_weigh_less_by_the_loop_of_the_book(huber):
    y, x, start = problem()
    y = y.copy()
    y[[100, 250]] += 0.5
    y[120], x[130] = math.nan, math.nan
    total, z, state = by_a_loop(y, x, start, 1e-4, 1e-5, 1e-3, huber)
    assert log_likelihood(y, x, start, 1e-4, 1e-5, 1e-3, huber, 0) == pytest.approx(total, rel=1e-9)
    innovation, expected, _before, after = filtered(y, x, start, 1e-4, 1e-5, 1e-3, huber)
    assert np.allclose(innovation / np.sqrt(expected), z, rtol=1e-7, equal_nan=True)
    assert np.allclose(after[-1, :2], state, rtol=1e-8)
    plain = by_a_loop(y, x, start, 1e-4, 1e-5, 1e-3, math.inf)[0]
    assert total > plain + 5


def test_a_hedge_of_point_nine_is_held_within_a_tenth():
    # 11 §13: RMSE of the path at most .1 around .9
    errors = []
    for seed in range(12):
        legs, beta = moving_pair(seed)
        fitted = KalmanHedge().fit(legs)
        path = fitted.filter(legs).hedge
        assert np.isnan(path[:120]).all()
        assert np.isfinite(path[120:]).all()
        errors.append(float(np.sqrt(np.nanmean((path - beta) ** 2))))
        assert fitted.converged
    assert max(errors) <= 0.1
    assert np.median(errors) <= 0.05


def line_that_walks(seed: int, count: int = 3000, steps=(0.003, 0.01, 0.01)):
    rng = np.random.default_rng(seed)
    alpha = np.cumsum(rng.normal(0, steps[0], count))
    beta = 0.9 + np.cumsum(rng.normal(0, steps[1], count))
    x = 4 + np.cumsum(rng.normal(0, 0.02, count))
    # The model's shocks of the constant are at the mean of x over the first rows.
    y = alpha + beta * (x - x[:120].mean()) + rng.normal(0, steps[2], count)
    return Legs(y, x, sessions(count)), beta


def test_the_variances_of_a_line_that_walks_are_found():
    found = [KalmanHedge().fit(line_that_walks(seed)[0]) for seed in range(8)]
    for name, truth in zip(("sigma_alpha", "sigma_beta", "sigma_e"), (0.003, 0.01, 0.01), strict=True):
        values = np.array([fit.params[name] for fit in found])
        assert np.median(values) == pytest.approx(truth, rel=0.15)
        assert np.median([fit.errors[name] for fit in found]) == pytest.approx(values.std(), rel=0.8)
    assert np.median([abs(fit.params["phi"]) for fit in found]) < 0.04


def test_states_are_as_sure_as_they_say_and_z_is_standard():
    inside, z = [], []
    for seed in range(16):
        legs, beta = line_that_walks(seed, 1500)
        fitted = KalmanHedge().fit(legs)
        mean, error = fitted.states(legs)
        inside.append(np.mean(np.abs(mean[200:, 1] - beta[200:]) < 1.96 * error[200:, 1]))
        z.append(fitted.filter(legs).z[200:])
        told = fitted.forecast(legs, np.arange(200, 1480), (1, 10))
        lo, hi = told.interval(0.9)
        for k, h in enumerate((1, 10)):
            t = np.arange(200, 1480)
            came = legs.y[t + h] - legs.y[t] - mean[t, 1] * (legs.x[t + h] - legs.x[t])
            assert np.mean((lo[:, k] <= came) & (came <= hi[:, k])) == pytest.approx(0.9, abs=0.05)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.05)
    assert np.std(np.concatenate(z)) == pytest.approx(1, abs=0.05)


def test_the_search_finds_what_many_starts_find():
    legs, _ = moving_pair(1, walk=0.01)
    spec = KalmanHedge()
    fitted, begin = spec.fit(legs), spec._begin(legs)
    y, x = legs.y[begin.row :], legs.x[begin.row :] - begin.centre

    def loss(point: np.ndarray) -> float:
        return -log_likelihood(y, x, begin.state, *np.exp(point).tolist(), spec.huber, spec.burn)

    grid = [(a, b, e) for a in (-14, -9) for b in (-16, -11, -8) for e in (-14, -10, -7)]
    best = min(minimize(loss, g, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).fun for g in grid)
    assert fitted.loglik >= -best - 2e-4


def test_a_walk_that_brings_nothing_is_nought_and_told():
    notes = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = 4 + np.cumsum(rng.normal(0, 0.02, 1000))
        fitted = KalmanHedge().fit(Legs(1 + 0.9 * x + rng.normal(0, 0.01, 1000), x, sessions(1000)))
        assert fitted.params["sigma_alpha"] < 1e-3
        assert fitted.params["sigma_beta"] < 1e-2
        assert fitted.params["sigma_e"] == pytest.approx(0.01, rel=0.08)
        walks = {"α does not walk": fitted.variance[0], "β does not walk": fitted.variance[1]}
        assert {note for note, value in walks.items() if value == 0} == set(fitted.notes)
        assert all(math.isnan(error) == (v == 0) for error, v in zip(fitted.error, fitted.variance, strict=True))
        notes += fitted.notes
    # On the edge of what can be, an estimate lies about every second time.
    assert notes.count("α does not walk") >= 2
    assert notes.count("β does not walk") >= 2


def test_few_rows_have_no_state_and_no_accident():
    legs = ou_pair(1, count=800)
    fitted = KalmanHedge().fit(legs)
    short = legs.part(0, 100)
    assert np.isnan(fitted.filter(short).z).all()
    assert np.isnan(fitted.forecast(short, np.array([50, 99]), (1, 5)).sd).all()
    assert np.isnan(fitted.states(short)[0]).all()


def test_one_bad_print_does_not_move_the_hedge():
    legs, _ = moving_pair(2)
    bad = replace(legs, y=legs.y + 0.6 * (np.arange(len(legs)) == 700))
    robust, naive = KalmanHedge(), KalmanHedge(huber=1e6)
    fitted = robust.fit(legs)
    moved = np.abs(fitted.filter(bad).hedge - fitted.filter(legs).hedge)[720:].max()
    soft = replace(fitted, spec=naive)
    assert moved < 0.5 * np.abs(soft.filter(bad).hedge - soft.filter(legs).hedge)[720:].max()


def test_a_thousand_sessions_are_fitted_in_well_under_a_second():
    legs, _ = moving_pair(0)
    KalmanHedge().fit(legs)
    begun = time.perf_counter()
    KalmanHedge().fit(legs)
    assert time.perf_counter() - begun < 1.0
