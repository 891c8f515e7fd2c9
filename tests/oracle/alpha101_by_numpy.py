"""The 101 formulaic alphas a second way: from the paper, window by window, in plain numpy; all but the 56th.

Prices are adjusted backwards from the last session, so that their level is another one than that of the factors.
Source  Kakushadze (2016), 101 Formulaic Alphas, appendix A
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]


def finite(x: Array) -> Array:
    return np.where(np.isfinite(x), x, np.nan)


def windows(x: Array, d: int) -> Array:
    """(T, N, d): the last d sessions of each cell, NaN before the first, and where fewer than 60 % are there."""
    cut = sliding_window_view(np.concatenate([np.full((d - 1, x.shape[1]), np.nan), finite(x)]), d, axis=0)
    enough = np.isfinite(cut).sum(axis=-1) >= math.ceil(0.6 * d)
    return np.where(enough[..., None], cut, np.nan)


def over(statistic: Callable[[Array], Array], x: Array, d: int) -> Array:
    """A statistic of each window that has something, over its last axis."""
    cut = windows(x, d)
    out = np.full(x.shape, np.nan)
    there = np.isfinite(cut).any(axis=-1)
    out[there] = statistic(cut[there])
    return out


def total(x: Array, d: int) -> Array:
    return over(lambda w: np.nansum(w, axis=-1), x, d)


def mean(x: Array, d: int) -> Array:
    return over(lambda w: np.nanmean(w, axis=-1), x, d)


def stddev(x: Array, d: int) -> Array:
    return over(lambda w: np.array([np.std(r[np.isfinite(r)], ddof=1) for r in w]), x, d)


def product(x: Array, d: int) -> Array:
    return over(lambda w: np.nanprod(w, axis=-1), x, d)


def ts_min(x: Array, d: int) -> Array:
    return over(lambda w: np.nanmin(w, axis=-1), x, d)


def ts_max(x: Array, d: int) -> Array:
    return over(lambda w: np.nanmax(w, axis=-1), x, d)


def ts_argmax(x: Array, d: int) -> Array:
    """Which of the d sessions it was, counted from the oldest, 1..d; the newest of equals."""
    return over(lambda w: d - np.nanargmax(w[:, ::-1], axis=-1).astype(float), x, d)


def ts_argmin(x: Array, d: int) -> Array:
    return ts_argmax(-x, d)


def ts_rank(x: Array, d: int) -> Array:
    def place(w: Array) -> Array:
        now = w[:, -1:]
        below, equal, n = (w < now).sum(axis=-1), (w == now).sum(axis=-1), np.isfinite(w).sum(axis=-1)
        return np.where(np.isfinite(now[:, 0]), (below + (equal + 1) / 2) / n, np.nan)

    return over(place, x, d)


def decay_linear(x: Array, d: int) -> Array:
    weights = np.arange(1.0, d + 1)
    return over(lambda w: np.nansum(w * weights, axis=-1) / (np.isfinite(w) * weights).sum(axis=-1), x, d)


def delay(x: Array, d: int) -> Array:
    return np.concatenate([np.full((d, x.shape[1]), np.nan), finite(x)])[: len(x)]


def delta(x: Array, d: int) -> Array:
    return x - delay(x, d)


def _pairs(x: Array, y: Array, d: int, least: int) -> list[tuple[int, int, Array, Array]]:
    both = np.isfinite(x) & np.isfinite(y)
    found = []
    for t in range(len(x)):
        for j in range(x.shape[1]):
            rows = slice(max(t - d + 1, 0), t + 1)
            keep = both[rows, j]
            if keep.sum() >= max(math.ceil(0.6 * d), least):
                found.append((t, j, x[rows, j][keep], y[rows, j][keep]))
    return found


def correlation(x: Array, y: Array, d: int) -> Array:
    """NaN where either is constant; three pairs at least, or both of a window of two."""
    out = np.full(x.shape, np.nan)
    for t, j, a, b in _pairs(x, y, d, min(d, 3)):
        if np.ptp(a) > 0 and np.ptp(b) > 0:
            a, b = a - a.mean(), b - b.mean()
            out[t, j] = (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())
    return out


def covariance(x: Array, y: Array, d: int) -> Array:
    out = np.full(x.shape, np.nan)
    for t, j, a, b in _pairs(x, y, d, 2):
        out[t, j] = ((a - a.mean()) * (b - b.mean())).sum() / (len(a) - 1)
    return out


def tidy(x: Array) -> Array:
    """Without what arithmetic leaves behind, so that ties are ties."""
    return np.round(finite(x), 10)


def where(condition: Array, x: Array | float, y: Array | float) -> Array:
    """x where the condition is 1, y where it is 0."""
    return np.where(np.isfinite(condition), np.where(condition > 0, x, y), np.nan)


def less(x: Array | float, y: Array | float) -> Array:
    """1, 0, or NaN where either is not known."""
    return np.where(np.isfinite(x) & np.isfinite(y), np.less(x, y), np.nan)


@dataclass
class Market:
    """Panels (T, N); prices and volume adjusted, turnover in CNY, the change of the day in CNY, the rest facts.

    level  what an adjusted price is divided by to be in CNY of its day
    """

    open: Array
    high: Array
    low: Array
    close: Array
    vwap: Array
    volume: Array
    turnover: Array
    change: Array
    returns: Array
    level: Array
    universe: Array
    industry: Array

    @classmethod
    def of(cls, raw: dict[str, Array], universe: Array) -> Market:
        """From unadjusted fields."""
        shape = raw["close"].shape
        level = np.ones(shape)
        for j in range(shape[1]):
            last = math.nan
            for t in range(shape[0]):
                now, before = raw["close"][t, j], raw["prev_close"][t, j]
                level[t, j] = level[t - 1, j] if t else 1.0
                if math.isfinite(now):
                    level[t, j] *= last / before if math.isfinite(last) else 1.0
                    last = now
        level /= level[-1]
        prices = {f: raw[f] * level for f in ("open", "high", "low", "close")}
        return cls(
            **prices,
            vwap=raw["total_turnover"] / raw["volume"] * level,
            volume=raw["volume"] / level,
            turnover=raw["total_turnover"],
            change=raw["close"] - raw["prev_close"],
            returns=raw["close"] / raw["prev_close"] - 1,
            level=level,
            universe=universe > 0,
            industry=np.broadcast_to(raw["industry"], shape),
        )

    def c(self, price: Array) -> Array:
        """An adjusted price, or a sum of some, in CNY of its day."""
        return tidy(price / self.level)

    def adv(self, d: int) -> Array:
        return mean(self.turnover, d)

    def rank(self, x: Array) -> Array:
        """(place - 1/2) / number, over the universe."""
        x = np.where(self.universe, finite(x), np.nan)
        out = np.full(x.shape, np.nan)
        for t, row in enumerate(x):
            for j, v in enumerate(row):
                if math.isfinite(v):
                    out[t, j] = ((row < v).sum() + (row == v).sum() / 2) / np.isfinite(row).sum()
        return out

    def scale(self, x: Array) -> Array:
        x = np.where(self.universe, finite(x), np.nan)
        size = np.nansum(np.abs(x), axis=1, keepdims=True)
        return x / np.where(size > 0, size, np.nan)

    def neutral(self, x: Array) -> Array:
        """x less the mean of its industry in the universe."""
        x = np.where(self.universe, finite(x), np.nan)
        out = np.full(x.shape, np.nan)
        for t in range(len(x)):
            for group in np.unique(self.industry[t]):
                rows = (self.industry[t] == group) & np.isfinite(x[t])
                if rows.any():
                    out[t, rows] = x[t, rows] - x[t, rows].mean()
        return out
