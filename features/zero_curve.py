"""Zero curves: continuously compounded rates by time, one curve a session, from published rates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from features.panel import DataError, Float64Array

# Rates a year, continuously compounded, at times in years: (J,) or (T, J) -> (T, J).
Zero = Callable[[Float64Array], Float64Array]
_TENOR = re.compile(r"(\d+)([DWMY])")
_YEARS = {"D": 1 / 365, "W": 7 / 365, "M": 1 / 12, "Y": 1.0}
OVERNIGHT = "ON"
_DAYS_OF_MONEY = 365 / 360


def years(tenor: str) -> float:
    """The time that a tenor names, in years: ON, 1W, 3M, 10Y; NaN for another word."""
    if tenor == OVERNIGHT:
        return _YEARS["D"]
    found = _TENOR.fullmatch(tenor)
    return float(found[1]) * _YEARS[found[2]] if found else np.nan


@dataclass(frozen=True)
class Curve:
    """Rates by tenor on each session; called with times it interpolates.

    tenors  (K,) years, increasing
    rates   (T, K) continuously compounded decimals, NaN where a tenor is not published

    Between two tenors rates are linear in time, beyond the ends flat. NaN: a session without a rate.
    """

    tenors: Float64Array = field(repr=False)
    rates: Float64Array = field(repr=False)

    def __post_init__(self) -> None:
        if self.rates.ndim != 2 or self.rates.shape[1] != len(self.tenors):
            raise DataError("curve", f"rates must have {len(self.tenors)} columns", f"the shape {self.rates.shape}")
        if (np.diff(self.tenors) <= 0).any() or (self.tenors < 0).any():
            raise DataError("curve", "tenors must increase from 0 on", f"{self.tenors.tolist()}")

    def __call__(self, times: Float64Array) -> Float64Array:
        """Rates at these times, (J,) or (T, J) -> (T, J)."""
        there = np.isfinite(self.rates)
        at = np.broadcast_to(times, (len(self.rates), np.shape(times)[-1]))
        out = np.full(at.shape, np.nan)
        kinds, which = np.unique(there, axis=0, return_inverse=True)
        for k, kind in enumerate(kinds):
            rows = np.flatnonzero(which.reshape(-1) == k)
            if kind.any():
                out[rows] = _linear(self.tenors[kind], self.rates[np.ix_(rows, np.flatnonzero(kind))], at[rows])
        return out


def _linear(x: Float64Array, y: Float64Array, at: Float64Array) -> Float64Array:
    """y (T, K) on x (K,) at the points (T, J), flat beyond the ends; NaN at a point that is not known."""
    if len(x) == 1:
        return np.where(np.isfinite(at), y, np.nan)
    inside = np.clip(at, x[0], x[-1])
    left = np.clip(np.searchsorted(x, inside, "right") - 1, 0, len(x) - 2)
    share = (inside - x[left]) / (x[left + 1] - x[left])
    rows = np.arange(len(y))[:, None]
    return np.asarray(y[rows, left] * (1 - share) + y[rows, left + 1] * share)


def discounts(zero: Zero, times: Float64Array) -> Float64Array:
    """Today's value of 1 at each time, (T, J)."""
    return np.exp(-zero(times) * times)


def forward_rate(zero: Zero, start: Float64Array, end: Float64Array) -> Float64Array:
    """Continuously compounded rate from `start` to `end`, (T,) years each; NaN unless end > start >= 0."""
    sound = (end > start) & (start >= 0)
    near, far = (np.where(sound, t, np.nan)[:, None] for t in (start, end))
    return np.asarray((zero(far) * far - zero(near) * near)[:, 0] / (far - near)[:, 0])


def from_par_yields(tenors: Float64Array, par: Float64Array) -> Curve:
    """The zero curve behind yields of bonds at par with a yearly coupon.

    tenors  (K,) years; par (T, K), NaN where not published
    Gives   a curve at every whole year up to the longest tenor, and at the published tenors below one year

    Par yields are linear between tenors and flat beyond them; a tenor below a year has no coupon before its end.
    """
    published = Curve(tenors, par)
    whole = np.arange(1.0, max(np.floor(tenors[-1]), 1.0) + 1)
    short = tenors[(tenors > 0) & (tenors < 1)]
    level = published(whole)
    paid = np.zeros(len(par))
    value = np.empty(level.shape)
    for k in range(len(whole)):
        value[:, k] = (1 - level[:, k] * paid) / (1 + level[:, k])
        paid = paid + value[:, k]
    with np.errstate(invalid="ignore", divide="ignore"):
        long = np.where(value > 0, -np.log(value) / whole, np.nan)
    return Curve(np.concatenate([short, whole]), np.concatenate([np.log1p(published(short)), long], axis=1))


def from_money_market(tenors: Float64Array, simple: Float64Array) -> Curve:
    """The zero curve of simple deposit rates on 360 days a year (Shibor); tenors in years, (K,), rates (T, K)."""
    return Curve(tenors, np.log1p(simple * _DAYS_OF_MONEY * tenors) / tenors)
