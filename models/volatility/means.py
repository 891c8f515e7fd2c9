"""Means of returns: constants and autoregressions inside the likelihood, ARMA in two steps before it.

A mean is y_t = const + Σ ar_i y_{t-i} + e_t + Σ ma_j e_{t-j}; those of the likelihood have no ma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.signal import lfilter, lfiltic

from features.panel import Float64Array, IntArray

MeanKind = Literal["zero", "constant", "ar1", "ar2", "arma"]
LAGS: Final = {"zero": 0, "constant": 0, "ar1": 1, "ar2": 2, "arma": 0}  # rows that the likelihood gives up
MEAN_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "zero": (),
    "constant": ("mu",),
    "ar1": ("mu", "ar1"),
    "ar2": ("mu", "ar1", "ar2"),
    "arma": (),
}


@dataclass(frozen=True)
class Mean:
    """const + Σ ar_i y_{t-i} + Σ ma_j e_{t-j}, in the units of the returns."""

    const: float = 0.0
    ar: tuple[float, ...] = ()
    ma: tuple[float, ...] = ()

    def residuals(self, value: Float64Array) -> Float64Array:
        """e (T,); before the first return stand the mean and no shock."""
        if not self.ar and not self.ma:
            return value - self.const
        centred = value - self.level
        return np.asarray(lfilter(np.r_[1.0, -np.array(self.ar)], np.r_[1.0, self.ma], centred), dtype=np.float64)

    @property
    def level(self) -> float:
        """The return in the long run."""
        left = 1.0 - sum(self.ar)
        return self.const / left if self.ar else self.const

    @property
    def stationary(self) -> bool:
        """Whether shocks to the return die out."""
        if not self.ar:
            return True
        return bool((np.abs(np.roots(np.r_[1.0, -np.array(self.ar)])) < 1).all())

    def ahead(self, value: Float64Array, e: Float64Array, origins: IntArray, steps: int) -> Float64Array:
        """Expected returns of the sessions after each origin, (n, steps); e: those of the last rows of value."""
        depth = max(len(self.ar), len(self.ma))
        if not depth:
            return np.full((len(origins), steps), self.const)
        y, shocks = np.full((len(origins), depth + steps), self.level), np.zeros((len(origins), depth + steps))
        first = len(value) - len(e)
        for back in range(1, depth + 1):
            at = origins - back + 1
            y[at >= 0, depth - back] = value[at[at >= 0]]
            shocks[at >= first, depth - back] = e[at[at >= first] - first]
        for k in range(depth, depth + steps):
            y[:, k] = self.const
            for i, weight in enumerate(self.ar, start=1):
                y[:, k] += weight * y[:, k - i]
            for j, weight in enumerate(self.ma, start=1):
                y[:, k] += weight * shocks[:, k - j]
        return y[:, depth:]

    def cumulated(self, steps: int) -> Float64Array:
        """What a shock adds to the return cumulated over so many sessions from its own on, (steps,): 1, 1 + ψ₁, ..."""
        if not self.ar and not self.ma:
            return np.ones(steps)
        shock = np.zeros(steps)
        shock[0] = 1.0
        psi = lfilter(np.r_[1.0, self.ma], np.r_[1.0, -np.array(self.ar)], shock)
        return np.asarray(np.cumsum(psi), dtype=np.float64)

    def paths(self, value: Float64Array, e: Float64Array, shocks: Float64Array) -> Float64Array:
        """Returns that drawn residuals (P, H) make, after the last of the returns."""
        if not self.ar and not self.ma:
            return shocks + self.const
        b, a = np.r_[1.0, self.ma], np.r_[1.0, -np.array(self.ar)]
        state = lfiltic(b, a, (value - self.level)[::-1][: len(self.ar)], e[::-1][: len(self.ma)])
        out, _ = lfilter(b, a, shocks, axis=1, zi=np.broadcast_to(state, (len(shocks), len(state))))
        return np.asarray(out + self.level, dtype=np.float64)


def design(kind: MeanKind, value: Float64Array) -> Float64Array:
    """Columns (T - lags, means) that the mean of the likelihood weighs."""
    lags, names = LAGS[kind], MEAN_PARAMETERS[kind]
    n = len(value) - lags
    columns = [np.ones(n), *(value[lags - i : len(value) - i] for i in range(1, lags + 1))]
    return np.column_stack(columns) if names else np.empty((n, 0))
