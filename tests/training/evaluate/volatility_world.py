"""Simulated returns with a variance that is known, forecasters that know more or less of it, and a run's evidence."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
from scipy import signal, stats

from training.evaluate import volatility_evidence as told

HORIZONS, LEVELS = (1, 5, 20), (0.95, 0.975, 0.99)
NAMES = {"IF": "沪深300股指期货", "RB": "螺纹钢", "T": "10年期国债期货"}
MODELS = ("ewma", "garch_n", "noisy")


def simulate(n, seed):
    """Returns (n,) of a GARCH(1,1), the true variance of each, and a range proxy of it."""
    rng = np.random.default_rng(seed)
    z, h = rng.standard_t(6, n) / np.sqrt(1.5), np.empty(n + 1)
    h[0] = 1e-4
    for t in range(n):
        h[t + 1] = 3e-6 + (0.09 * z[t] ** 2 + 0.88) * h[t]
    return z * np.sqrt(h[:-1]), h, h[:-1] * rng.gamma(3.0, 1 / 3.0, n)


def forecasts(returns, h, ewma_is_true):
    """model -> (n, H) variances; one of the models knows the truth."""
    long_run, persistence = 1e-4, 0.97
    sums = [long_run * k + (h[1:] - long_run) * (1 - persistence**k) / (1 - persistence) for k in HORIZONS]
    truth = np.column_stack(sums)
    start = [0.94 * returns[:50].var()]
    decay = signal.lfilter([0.06], [1, -0.94], returns**2, zi=start)[0][:, None] * np.array(HORIZONS)
    rng = np.random.default_rng(9)
    noisy = truth * np.exp(0.5 * rng.normal(size=(len(returns), 1)))
    first = truth if ewma_is_true else decay
    return {"ewma": first, "garch_n": decay if ewma_is_true else truth, "noisy": noisy}


def proxies(range_variance):
    """(n, H) sums over the sessions ahead, NaN where they are not over."""
    n = len(range_variance)
    found = np.full((n, len(HORIZONS)), np.nan)
    for j, k in enumerate(HORIZONS):
        for t in range(n - k):
            found[t, j] = range_variance[t + 1 : t + 1 + k].sum()
    return found


def score(model, loss, base, n):
    """A row of the leaderboard, by the plainest formulas."""
    both = np.isfinite(loss) & np.isfinite(base)
    gap = loss[both] - base[both]
    own = model == "ewma"
    t, p = (np.nan, np.nan) if own else stats.ttest_1samp(gap, 0.0)
    return told.Score(
        model,
        int(both.sum()),
        float(loss[both].mean()),
        float(loss[both].mean() / base[both].mean()),
        0.987,
        float(t),
        float(p),
        None if model in (told.CHOSEN, told.COMBINED) else bool(own or t < 1.0),
        1.2e-5,
        0.93,
        0.2,
        float("nan") if own else float((gap < 0).mean()),
        float(loss[both][-n // 5 :].mean() / base[both][-n // 5 :].mean()),
    )


def product(name="IF", n=700, seed=0, *, ewma_is_true=False, **changes):
    """One product with every part; `changes` replaces some."""
    returns, h, x = simulate(n, seed)
    days = np.arange("2012-01-01", "2026-01-01", dtype="datetime64[D]")
    sessions = days[np.is_busday(days)][:n]
    variance = forecasts(returns, h, ewma_is_true)
    served = variance["ewma" if ewma_is_true else "garch_n"].copy()
    served[:60] = np.nan
    ahead = proxies(x)
    losses = {m: ahead / f - np.log(ahead / f) - 1 for m, f in (variance | {told.CHOSEN: served}).items()}
    scores = {
        k: tuple(score(m, loss[:, j], losses["ewma"][:, j], n) for m, loss in losses.items())
        for j, k in enumerate(HORIZONS)
    }
    sigma = np.sqrt(served[:, :1])
    t6 = stats.t(6)
    var = -sigma * t6.ppf(1 - np.array(LEVELS)) / np.sqrt(1.5)
    held = returns[1:, None] < -var[:-1]
    known = np.isfinite(var[:-1]).sum(axis=0)
    backtests = tuple(
        told.Backtest(
            told.CHOSEN, level, int(known[i]), int(held[:, i].sum()), float(known[i] * (1 - level)),
            0.41, 0.62, 0.03, -0.11, -0.7, "fine",
        )
        for i, level in enumerate(LEVELS)
    )  # fmt: skip
    at = [n // 4, n // 2]
    shocks = np.linspace(-4, 4, 41)
    parts = {
        "product": name,
        "zh": NAMES.get(name, ""),
        "contract": f"{name}2403",
        "sessions": sessions,
        "returns": returns,
        "range_variance": x,
        "variance": variance,
        "served": served,
        "losses": losses,
        "scores": scores,
        "chosen": np.where(np.isfinite(served), 1, -1),
        "holdout": np.arange(n) >= 0.8 * n,
        "backtests": backtests,
        "var": var,
        "es": var * 1.25,
        "news": told.NewsImpact(shocks, {m: 1e-4 * (0.9 + 0.1 * shocks**2 * (i + 1)) for i, m in enumerate(MODELS)}),
        "estimates": (
            told.Estimate(
                "garch_n", datetime.date(2014, 6, 3), "ok", {"omega": (3e-6, 1e-6), "alpha": (0.09, None)},
                2412.5, 0.97, np.inf, 500,
            ),
        ),
        "refits": (
            told.Refit(datetime.date(2014, 5, 6), "garch_n", "ok"),
            told.Refit(datetime.date(2014, 6, 3), "garch_n", "fell back to ewma: persistence 1.02"),
        ),
        "residuals": (told.ResidualCheck("garch_n", 500, 0.31, 0.44, 0.08, 0.0004, 0.37),),
        "level_sessions": sessions,
        "level": 3000 * np.exp(np.cumsum(returns)),
        "rolls": pl.DataFrame(
            {
                "date": [sessions[i].item() for i in at],
                "product": [name] * 2,
                "from": [f"{name}1203", f"{name}1204"],
                "to": [f"{name}1204", f"{name}1205"],
                "spread": [0.0042, -0.0137],
                "open_interest_from": [51_234, 61_000],
            }
        ),
        "position": told.Position(141_120.0, 8.33, 4, "target volatility", 0.0123),
        "status": {"ewma": "ok", "garch_n": "fell back to ewma: persistence 1.02"},
        "notes": ("single continuous series: roll jumps are inside",),
    }  # fmt: skip
    return told.ProductEvidence(**(parts | changes))


def evidence(**changes):
    """A run with two products, one of which EWMA wins; `changes` replaces some parts."""
    parts = {
        "title": "a_run",
        "subtitle": "3 models on 2 products",
        "base": "ewma",
        "served_as": told.CHOSEN,
        "horizons": HORIZONS,
        "levels": LEVELS,
        "products": (product("IF"), product("RB", seed=1, ewma_is_true=True)),
        "skipped": {"TL": "too short: 212 returns of 500"},
        "warnings": ("the range proxy of 2 locked days is 0",),
        "settings": "name: a_run",
        "environment": "store version 3",
    }
    return told.VolatilityEvidence(**(parts | changes))
