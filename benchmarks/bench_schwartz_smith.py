"""How long the two-factor curve takes to fit, and its filter against a plain loop in Python with matrices of numpy.

Drawn prices of contracts two months apart that roll as they expire, a twentieth of them missing; both filters are
compared before they are timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import numpy as np

from features.panel import Float64Array
from models.spread.schwartz_smith import SchwartzSmith
from models.spread.term_curve import Curve

TRUTH = {
    "kappa": 1.5,
    "sigma_chi": 0.28,
    "lambda_chi": 0.10,
    "mu_xi": 0.03,
    "sigma_xi": 0.15,
    "rho": 0.3,
    "mu_xi_star": 0.01,
}
NOISE, APART, AGREE = 0.003, 2 / 12, 1e-9


def level(years: Float64Array, p: Mapping[str, float]) -> Float64Array:
    """A(T)."""
    k, sc, sx = p["kappa"], p["sigma_chi"], p["sigma_xi"]
    gone = 1 - np.exp(-k * years)
    variance = (1 - np.exp(-2 * k * years)) * sc**2 / (2 * k) + sx**2 * years + 2 * gone * p["rho"] * sc * sx / k
    return np.asarray(p["mu_xi_star"] * years - gone * p["lambda_chi"] / k + variance / 2)


def shocks(step: float, p: Mapping[str, float]) -> tuple[float, Float64Array]:
    """What is left of chi after a step, covariance of the two states' changes."""
    k, sc, sx = p["kappa"], p["sigma_chi"], p["sigma_xi"]
    decay = float(np.exp(-k * step))
    both = (1 - decay) * p["rho"] * sc * sx / k
    return decay, np.array([[(1 - decay**2) * sc**2 / (2 * k), both], [both, sx**2 * step]])


def drawn(dates: int, contracts: int, seed: int) -> Curve:
    """Weekly prices."""
    rng = np.random.default_rng(seed)
    time_ = np.arange(dates) * 5 / 242
    decay, covariance = shocks(5 / 242, TRUTH)
    root, state, states = np.linalg.cholesky(covariance), np.array([0.0, np.log(450.0)]), []
    for _ in range(dates):
        state = np.array([decay, 1.0]) * state + np.array([0.0, TRUTH["mu_xi"] * 5 / 242])
        state = state + root @ rng.standard_normal(2)
        states.append(state)
    chi, xi = np.array(states).T
    ends = (np.arange(contracts + int(time_[-1] / APART) + 1) + 1) * APART
    years = ends[None, :] - time_[:, None]
    there = (years > 0) & (years <= contracts * APART) & (rng.uniform(size=years.shape) > 0.05)
    log_price = np.exp(-TRUTH["kappa"] * years) * chi[:, None] + xi[:, None] + level(years, TRUTH)
    price = np.exp(log_price + NOISE * rng.standard_normal(years.shape))
    return Curve(time_, np.where(there, price, np.nan), np.where(there, years, np.nan))


def by_loop(curve: Curve, p: Mapping[str, float]) -> float:
    """Log-likelihood, all contracts of a date at once."""
    total, mean, cov = 0.0, np.zeros(2), np.eye(2)
    for t in range(len(curve)):
        live = np.flatnonzero(np.isfinite(curve.price[t]))
        live = live[np.argsort(curve.years[t, live])]
        if t == 0:
            mean = np.array([0.0, np.log(curve.price[t, live[0]])])
            cov = np.diag([p["sigma_chi"] ** 2 / (2 * p["kappa"]), 0.1])
        else:
            step = float(curve.time[t] - curve.time[t - 1])
            decay, covariance = shocks(step, p)
            turn = np.diag([decay, 1.0])
            mean, cov = turn @ mean + np.array([0.0, p["mu_xi"] * step]), turn @ cov @ turn.T + covariance
        if not len(live):
            continue
        years = curve.years[t, live]
        load = np.column_stack([np.exp(-p["kappa"] * years), np.ones(len(live))])
        s = load @ cov @ load.T + p["noise"] ** 2 * np.eye(len(live))
        v = np.log(curve.price[t, live]) - load @ mean - level(years, p)
        total -= 0.5 * (len(live) * np.log(2 * np.pi) + np.linalg.slogdet(s)[1] + v @ np.linalg.solve(s, v))
        gain = cov @ load.T @ np.linalg.inv(s)
        mean, cov = mean + gain @ v, (np.eye(2) - gain @ load) @ cov
    return float(total)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median of processor seconds, which other work on the machine moves less than those on the clock."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return float(np.median(taken))


def main() -> None:
    """Print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--dates", type=int, nargs="+", default=[300, 1000])
    asked.add_argument("--contracts", type=int, default=5)
    asked.add_argument("--repeats", type=int, default=5)
    told = asked.parse_args()
    filters = "filter, CPU ms | plain loop, CPU ms | loop / filter"
    print(f"| dates | prices | {filters} | fit, CPU s | with a noise a rank, CPU s |")
    print("|---|---|---|---|---|---|---|")
    for dates in told.dates:
        curve = drawn(dates, told.contracts, 1)
        fitted = SchwartzSmith().fit(curve)  # compiles
        SchwartzSmith(noise="rank").fit(curve)
        apart = abs(by_loop(curve, fitted.params) - fitted.loglik)
        if apart > AGREE:
            raise SystemExit(f"the two filters differ by {apart:g} in the log-likelihood of {dates} dates")
        own = seconds(lambda c=curve, f=fitted: f.filter(c), told.repeats)  # type: ignore[misc]
        loop = seconds(lambda c=curve, f=fitted: by_loop(c, f.params), told.repeats)  # type: ignore[misc]
        fits = [
            seconds(lambda c=curve, s=spec: s.fit(c), told.repeats)  # type: ignore[misc]
            for spec in (SchwartzSmith(), SchwartzSmith(noise="rank"))
        ]
        ratio = f"{1e3 * own:.2f} | {1e3 * loop:.1f} | {loop / own:.0f}"
        print(f"| {dates} | {fitted.nobs:,} | {ratio} | {fits[0]:.2f} | {fits[1]:.2f} |")


if __name__ == "__main__":
    main()
