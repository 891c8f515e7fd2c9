"""The filter of Schwartz and Smith by a plain loop: all contracts of a date at once, with matrices, as textbooks do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from features.futures import read_chain
from features.ingest import ingest
from features.sources.files import files
from features.store import Store
from models.spread.schwartz_smith import SchwartzSmith
from models.spread.term_curve import Curve
from tests.market_curves import weekly
from tests.models.term_world import drawn_curve, log_level, transition


def by_loop(curve: Curve, p: Mapping[str, float], noises: list[float], contracts: int = 8, years: float = 2.0) -> dict:
    """Log-likelihood, states and standardised residuals."""
    p = dict(p)
    begun, mean, cov, total, last = False, np.zeros(2), np.eye(2), 0.0, 0.0
    states = np.full((len(curve), 2), np.nan)
    z = np.full(curve.price.shape, np.nan)
    for t in range(len(curve)):
        live = [j for j in range(curve.price.shape[1]) if curve.price[t, j] > 0 and curve.years[t, j] <= years]
        live = sorted(live, key=lambda j: curve.years[t, j])[:contracts]
        if not begun:
            if not live:
                continue
            begun = True
            mean = np.array([0.0, np.log(curve.price[t, live[0]])])
            cov = np.diag([p["sigma_chi"] ** 2 / (2 * p["kappa"]), 0.1])
        else:
            turn, drift, shocks = transition(float(curve.time[t] - last), p)
            mean, cov = turn @ mean + drift, turn @ cov @ turn.T + shocks
        last = curve.time[t]
        if live:
            maturity = curve.years[t, live]
            load = np.column_stack([np.exp(-p["kappa"] * maturity), np.ones(len(live))])
            noise = np.diag([noises[min(i, len(noises) - 1)] ** 2 for i in range(len(live))])
            seen = np.log(curve.price[t, live])
            s = load @ cov @ load.T + noise
            v = seen - load @ mean - log_level(maturity, p)
            total -= 0.5 * (len(live) * np.log(2 * np.pi) + np.linalg.slogdet(s)[1] + v @ np.linalg.solve(s, v))
            gain = cov @ load.T @ np.linalg.inv(s)
            mean = mean + gain @ v
            cov = (np.eye(2) - gain @ load) @ cov
            left = seen - load @ mean - log_level(maturity, p)
            z[t, live] = left / np.sqrt(np.diag(noise @ np.linalg.solve(s, noise)))
        states[t] = mean
    return {"loglik": total, "states": states, "z": z}


@pytest.mark.parametrize("noise", ["common", "rank"])
def test_the_filter_is_that_of_a_plain_loop_with_gaps_and_unequal_steps(noise):
    curve, _ = drawn_curve(150, 3, contracts=6, step=5 / 242, missing=0.3, uneven=True)
    curve.price[:2] = np.nan
    curve.price[40:44] = np.nan
    fitted = SchwartzSmith(noise=noise).fit(curve)
    seen = fitted.filter(curve)
    told = by_loop(curve, fitted.params, list(fitted.noise))
    assert fitted.loglik == pytest.approx(told["loglik"], abs=1e-9, rel=0)
    assert np.nansum(seen.loglik) == pytest.approx(told["loglik"], abs=1e-9, rel=0)
    np.testing.assert_allclose(np.column_stack([seen.chi, seen.xi]), told["states"], rtol=0, atol=1e-10)
    priced = np.isfinite(told["z"])
    assert (np.isfinite(seen.z) == priced).mean() > 0.99
    np.testing.assert_allclose(seen.z, np.where(np.isfinite(seen.z), told["z"], np.nan), rtol=0, atol=1e-6)


def test_with_one_factor_it_is_the_loop_with_a_level_that_stays():
    curve, _ = drawn_curve(90, 4, contracts=2, missing=0.2)
    fitted = SchwartzSmith().fit(curve)
    assert fitted.factors == 1
    level = {"mu_xi": 0.0, "sigma_xi": 0.0, "rho": 0.0, "mu_xi_star": 0.0}
    told = by_loop(curve, {**fitted.params, **level}, list(fitted.noise))
    assert fitted.loglik == pytest.approx(told["loglik"], abs=1e-9, rel=0)


@pytest.fixture(scope="module")
def rebar(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Curve:
    """The exchange's daily bars of RB, 2010 to 2018; a contract counts with 1,000 open and 100 traded."""
    store = Store(tmp_path_factory.mktemp("rebar"))
    ingest(files(market, "Future"), store)
    return weekly(read_chain(store, "RB"))


@pytest.mark.real
@pytest.mark.parametrize("noise", ["common", "rank"])
def test_on_the_real_curve_of_rebar_it_is_the_loop_and_every_start_ends_on_one_top(rebar: Curve, noise: str):
    fitted = SchwartzSmith(noise=noise).fit(rebar)
    assert fitted.converged
    assert fitted.factors == 2
    reached = [loglik for _, loglik in fitted.starts]
    assert [kappa for kappa, _ in fitted.starts] == [0.7, 2.5]
    assert max(reached) - min(reached) < 1e-6
    told = by_loop(rebar, fitted.params, list(fitted.noise))
    assert fitted.loglik == pytest.approx(told["loglik"], abs=1e-9, rel=0)
    assert 1.5 < fitted.params["kappa"] < 2.5
    assert fitted.fit_error[-1] < 0.01
    assert all(error > 0 for error in fitted.errors.values())
