"""The zero curve of simulated government bonds: three factors that come back to their means, and what is published.

Rates are decimals a year, continuously compounded on calendar days over 365 unless a name says otherwise.
Source  11 §10 (dynamic Nelson-Siegel)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.random import Generator

from features.panel import Float64Array, SessionArray
from features.sources.simulator.courses import reverting
from features.sources.simulator.futures_kernels import revert
from features.sources.simulator.world import SESSIONS_PER_YEAR, STEPS, VARIANCE_SHARES, Yields

DAYS_A_YEAR = 365.0
PAST_YEARS = 5
MONEY_DAYS = 360.0
MONTHS = {"1M": 1, "3M": 3, "6M": 6, "9M": 9}
MONEY = {"ON": 1 / DAYS_A_YEAR, "1W": 7 / DAYS_A_YEAR, "2W": 14 / DAYS_A_YEAR}
WHOLE_YEARS = 30


@dataclass(frozen=True)
class ZeroCurve:
    """Level, slope and curvature over time.

    states  (T, 17, 3) after each sub-step of each session, the open first
    past    (P, 3) so many sessions before the first one
    """

    yields: Yields
    states: Float64Array = field(repr=False)
    past: Float64Array = field(repr=False)

    @property
    def closes(self) -> Float64Array:
        """Level, slope and curvature at each close, (T, 3)."""
        return self.states[:, STEPS]


def simulate_curve(yields: Yields, sessions: int, rng: Generator) -> ZeroCurve:
    """Draw the three factors from their long-run law, forwards and (an AR(1) runs alike both ways) backwards."""
    states = np.empty((sessions, STEPS + 1, 3))
    past = np.empty((PAST_YEARS * SESSIONS_PER_YEAR, 3))
    for k, (mean, phi, shock) in enumerate(zip(yields.means, yields.persistence, shocks(yields), strict=True)):
        long_run = float(shock / np.sqrt(1.0 - phi**2))
        kappa = -np.log(phi) * SESSIONS_PER_YEAR if phi > 0 else np.inf
        states[:, :, k] = mean + reverting(rng, sessions, kappa, long_run, VARIANCE_SHARES)
        drawn = shock * rng.standard_normal((len(past), 1))
        past[:, k] = mean + revert(drawn, np.array([phi]), float(states[0, 0, k] - mean))[:, 0]
    return ZeroCurve(yields, states, past)


def shocks(yields: Yields) -> Float64Array:
    """Daily standard deviation of the shocks to level, slope and curvature, (3,): independent of each other."""
    sizes = np.array(yields.sizes)
    return np.asarray(yields.vol * sizes / np.sqrt(((sizes * loadings(np.array(10.0), yields.decay)) ** 2).sum()))


def loadings(years: Float64Array, decay: float) -> Float64Array:
    """What a unit of level, slope and curvature adds to the zero rate of each time, (...,) -> (..., 3)."""
    x = np.maximum(years, 1e-9) / decay
    slope = -np.expm1(-x) / x
    return np.stack([np.ones_like(x), slope, slope - np.exp(-x)], axis=-1)


def zero_rates(states: Float64Array, years: Float64Array, decay: float) -> Float64Array:
    """Zero rates of times (J,) under states (T, 3): (T, J)."""
    return np.asarray(states @ loadings(years, decay).T)


def par_coupon(state: Float64Array, years: int, frequency: int, decay: float) -> float:
    """The coupon a year at which a bond is worth its face, under one state (3,)."""
    times = np.arange(1, years * frequency + 1) / frequency
    paid = np.exp(-zero_rates(state[None], times, decay)[0] * times)
    return float(frequency * (1.0 - paid[-1]) / paid.sum())


def published(sessions: SessionArray, curve: ZeroCurve) -> pl.DataFrame:
    """Rates of each session's close as the bond market publishes them: date, curve, tenor, rate.

    cgb_zero  zero rates, continuously compounded
    cgb       yields of bonds at par with a yearly coupon; below a year zero rates, compounded yearly
    shibor    simple rates over 360 days a year; funding costs what the curve says
    """
    decay = curve.yields.decay
    whole = np.arange(1.0, WHOLE_YEARS + 1)
    short = np.array([months / 12 for months in MONTHS.values()])
    names = [*MONTHS, *(f"{year:.0f}Y" for year in whole)]
    zero = zero_rates(curve.closes, np.concatenate([short, whole]), decay)
    values = np.exp(-zero[:, len(short) :] * whole)
    par = np.concatenate([np.expm1(zero[:, : len(short)]), (1.0 - values) / np.cumsum(values, axis=1)], axis=1)
    money = np.array([*MONEY.values(), *short, 1.0])
    simple = np.expm1(zero_rates(curve.closes, money, decay) * money) / money * MONEY_DAYS / DAYS_A_YEAR
    frames = []
    for name, tenors, rates in (
        ("cgb_zero", names, zero),
        ("cgb", names, par),
        ("shibor", [*MONEY, *MONTHS, "1Y"], simple),
    ):
        keys = {"date": np.repeat(sessions, len(tenors)), "curve": [name] * rates.size, "tenor": tenors * len(sessions)}
        frames.append(pl.DataFrame({**keys, "rate": rates.ravel()}))
    return pl.concat(frames).with_columns(pl.lit("simulated").alias("source")).sort("date", "curve", "tenor")
