"""A simulated pair that reverts, forecasts of it, a curve, and the evidence of a run on them."""

from __future__ import annotations

import math

import numpy as np

from training.evaluate import spread_evidence as told
from training.evaluate.spread_rule import Leg, Signal, TradedPair, TradingRule
from training.evaluate.spread_score import summarise
from training.evaluate.spread_tests import direction, half_life_stability, out_of_sample, time_ic
from training.evaluate.spread_trading import trade

HORIZONS = (1, 5)
PHI, SHOCK = 0.93, 0.002
SD = SHOCK / math.sqrt(1 - PHI**2)


def calendar(n):
    days = np.arange("2012-01-01", "2026-01-01", dtype="datetime64[D]")
    return days[np.is_busday(days)][:n]


def prices(n, seed):
    """Log spread, and closes of both legs."""
    rng = np.random.default_rng(seed)
    s = np.zeros(n)
    for t in range(1, n):
        s[t] = PHI * s[t - 1] + SHOCK * rng.normal()
    near = 4000 * np.exp(np.cumsum(0.012 * rng.normal(size=n)))
    return s, np.round(near * np.exp(s)), np.round(near)


def forecast_score(model, outcome, forecast, ar1, horizon):
    against = None if model == "ar1" else out_of_sample(outcome, forecast, ar1, horizon, nested=model != "noise")
    return told.ForecastScore(
        model,
        out_of_sample(outcome, forecast, None, horizon, nested=True),
        against,
        direction(outcome, forecast, horizon),
        time_ic(outcome, forecast, horizon),
        0.0123,
    )


def pair(name="RB far–near", n=700, seed=0, **changes):
    """One pair with every part; `changes` replaces some."""
    s, far, near = prices(n, seed)
    sessions, life = calendar(n), np.arange(n) // 90
    rng = np.random.default_rng(seed + 50)
    scores, outcomes, forecasts = {}, {}, {}
    for h in HORIZONS:
        y = np.full(n, np.nan)
        y[:-h] = s[h:] - s[:-h]
        truth = (PHI**h - 1) * s
        ar1 = 0.8 * truth + 0.1 * SD * rng.normal(size=n)
        noise = 0.5 * SD * rng.normal(size=n)
        models = {"ar1": ar1, "elastic_net": truth, "noise": noise}
        scores[h] = tuple(forecast_score(model, y, f, ar1, h) for model, f in models.items())
        outcomes[h], forecasts[h] = y, truth
    legs = (Leg(far, 10.0, 1.0, 1e-4, volume=np.full(n, 90_000.0)), Leg(near, 10.0, 1.0, 1e-4))
    legs = (legs[0], Leg(near, 10.0, 1.0, 1e-4, volume=np.full(n, 300_000.0)))
    traded = TradedPair(sessions, life, *legs, np.ones(n))
    half_life = math.log(2) / -math.log(PHI)
    z = np.where(np.arange(n) < 60, np.nan, s / SD)
    done = [
        trade(traded, Signal(z, np.full(n, half_life), forecasts[5]), TradingRule(by, enter_z=1.5))
        for by in ("z", "forecast")
    ]
    tried = [float(one.net.mean() / one.net.std(ddof=1)) for one in done]
    refits = np.arange(100, n, 40)
    lives = half_life * np.exp(0.3 * rng.normal(size=len(refits)))
    lives[2] = np.inf
    phi = np.exp(-math.log(2) / lives)
    stability = half_life_stability(lives, phi=phi, error=np.full(len(refits), 0.02))
    parts = {
        "name": name,
        "zh": "螺纹钢",
        "kind": "calendar",
        "legs": ("RB1410", "RB1405"),
        "sessions": sessions,
        "spread": s,
        "life": life,
        "mean": np.zeros(n),
        "sd": np.full(n, SD),
        "forecast": forecasts[5],
        "outcome": outcomes[5],
        "scores": scores,
        "tradings": tuple(
            told.RuleTrading(model, one, summarise(one, tried=tried))
            for model, one in zip(("z of ou", "elastic_net"), done, strict=True)
        ),
        "half_lives": told.HalfLives("ou", sessions[refits], lives, stability, 0.6 * lives, 1.7 * lives),
        "tests": (told.PairTest("Engle–Granger", -4.31, 0.0021, 0.0063), told.PairTest("Johansen trace", 22.4, 0.004)),
        "holdout": np.arange(n) >= 0.8 * n,
        "now": {"z": f"{z[-1]:+.2f}", "forecast, 5 ahead": f"{1e4 * forecasts[5][-1]:+.1f} bp"},
        "notes": ("open interest is double-sided before 2020",),
    }
    return told.PairEvidence(**(parts | changes))


def term(n=400, **changes):
    rng = np.random.default_rng(8)
    sessions = calendar(5 * n)[::5]
    short, long = np.zeros(n), np.full(n, 8.2)
    for t in range(1, n):
        short[t] = 0.97 * short[t - 1] + 0.02 * rng.normal()
        long[t] = long[t - 1] + 0.01 * rng.normal()
    years = np.array([0.1, 0.35, 0.6, 0.85])
    fitted = np.exp(np.exp(-1.5 * years) * short[:, None] + long[:, None] + 0.01 * years)
    price = fitted * np.exp(0.003 * rng.normal(size=fitted.shape))
    price[:30, 3] = np.nan
    parts = {
        "model": "Schwartz–Smith",
        "sessions": sessions,
        "labels": ("1st", "2nd", "3rd", "4th"),
        "price": price,
        "fitted": fitted,
        "short": short,
        "long": long,
        "params": {"κ": (1.49, 0.021), "λ_χ": (0.157, None)},
        "loglik": 5123.4,
        "yields": 1.5 * short + 0.02,
    }
    return told.TermFit(**(parts | changes))


def basis(n=1200, **changes):
    rng = np.random.default_rng(4)
    values = np.zeros(n)
    for t in range(1, n):
        values[t] = 0.95 * values[t - 1] + 0.01 * rng.normal()
    values[860:900] -= 0.4 * np.hanning(40)  # a crash that must be seen
    values[:10] = np.nan
    parts = {"what": "annualised log basis of the next month", "sessions": calendar(n), "basis": values}
    return told.BasisHistory(**(parts | changes))


def curve(product="IC", **changes):
    names = tuple(f"{product}{month}" for month in (1409, 1410, 1412, 1503))
    years = np.array([0.05, 0.13, 0.3, 0.55])
    shots = tuple(
        told.CurveSnapshot(day, names, years, 5000 * np.exp(slope * years), 5005.0)
        for day, slope in (("2014-03-31", 0.02), ("2014-06-30", -0.05), ("2014-09-03", -0.2))
    )
    parts = {"product": product, "zh": "中证500股指期货", "snapshots": shots, "basis": basis(), "term": term()}
    return told.ProductCurve(**(parts | changes))


def evidence(**changes):
    """A run with two pairs and one product; `changes` replaces some parts."""
    parts = {
        "title": "a_run",
        "subtitle": "3 models on 2 pairs",
        "horizons": HORIZONS,
        "pairs": (pair(), pair("IF far–near", seed=3, zh="沪深300股指期货")),
        "curves": (curve(),),
        "skipped": {"SC–FU": "not cointegrated: p 0.31"},
        "warnings": ("no dividends are known: the basis is not corrected",),
        "settings": "name: a_run",
        "environment": "store version 3",
    }
    return told.SpreadEvidence(**(parts | changes))
