"""Standard errors, intervals and p-values that overlapping outcomes and many trials of one thing do not fool.

Source  08 §1, 09 §5 and §8; Newey and West 1987; fixed-b critical values: Kiefer and Vogelsang 2005
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from features.panel import DataError, Float64Array, IntArray

# Fewest values of which a block length can be estimated; fewer have no bootstrap interval.
MIN_BOOTSTRAP: Final = 12
_CELLS: Final = 2_000_000  # of resampled rows in memory at once

# A named statistic, or a function of resamples (R, n) -> (R,).
Statistic = Literal["mean", "sharpe"] | Callable[[Float64Array], Float64Array]


@dataclass(frozen=True)
class Mean:
    """A mean with its Newey-West standard error; t is NaN where the error is nought or cannot be told.

    critical  two-sided 5 % value of |t| that allows for the width of the lag window (fixed-b)
    lo, hi    the 95 % interval: the mean less and plus critical * se, NaN where there is no se
    """

    mean: float
    se: float
    t: float
    critical: float
    lag: int
    n: int

    @property
    def is_significant(self) -> bool:
        """|t| beyond its critical value."""
        return abs(self.t) > self.critical

    @property
    def lo(self) -> float:
        """Lower end of the 95 % interval."""
        return self.mean - self.critical * self.se

    @property
    def hi(self) -> float:
        """Upper end of the 95 % interval."""
        return self.mean + self.critical * self.se


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of a statistic; lo and hi are NaN where it cannot be told.

    estimate  the statistic of the values themselves
    level     share of such intervals that shall hold the truth
    block     mean length of the resampled blocks
    reps, n   resamples, and values that went in
    """

    estimate: float
    lo: float
    hi: float
    level: float
    block: float
    reps: int
    n: int


def automatic_lag(n: int) -> int:
    """Lag of the Bartlett window for n observations that do not overlap: floor(4 (n / 100)^(2/9))."""
    return math.floor(4 * (n / 100) ** (2 / 9))


def overlap_lag(horizon: int, n: int) -> int:
    """Lag for n outcomes of `horizon` sessions each, one a session: 3 horizon where they overlap, else automatic.

    Never beyond n - 1, which is all that n observations can tell.
    """
    return max(min(3 * horizon if horizon > 1 else automatic_lag(n), n - 1), 0)


def fixed_b_critical(lag: int, n: int) -> float:
    """Two-sided 5 % critical value 1.96 + 2.969 b + .416 b² - .532 b³ with b = lag / n."""
    if n < 1 or not 0 <= lag < n:
        raise DataError("fixed-b critical value", "the lag must lie in [0, n)", f"lag {lag} with n {n}")
    b = lag / n
    return 1.96 + 2.969 * b + 0.416 * b**2 - 0.532 * b**3


def newey_west(x: Float64Array, lag: int) -> Mean:
    """Mean of x with a Bartlett-weighted long-run variance, autocovariances divided by n.

    x    (T,) in time order; NaN are left out, and what lies on either side of one counts as adjacent
    NaN  se and t with fewer than two values
    """
    valid = np.asarray(x, np.float64)
    valid = valid[np.isfinite(valid)]
    n = len(valid)
    if n < 2:
        return Mean(float(valid.mean()) if n else math.nan, math.nan, math.nan, math.nan, lag, n)
    critical = fixed_b_critical(lag, n)
    if np.ptp(valid) == 0:
        return Mean(float(valid[0]), 0.0, math.nan, critical, lag, n)
    settings = {"maxlags": lag, "use_correction": False}
    fitted = OLS(valid, np.ones(n)).fit(cov_type="HAC", cov_kwds=settings)
    mean, se = float(fitted.params[0]), float(fitted.bse[0])
    return Mean(mean, se, mean / se if se > 0 else math.nan, critical, lag, n)


def p_value(mean: Mean) -> float:
    """Two-sided p-value of a mean against nought, below .05 exactly where |t| is beyond its critical value.

    Student's t takes the place of the limit law, with as many degrees of freedom as make its 97.5 % quantile the
    fixed-b critical value. Its 95 and 99 % quantiles are within 3 % of those of Kiefer and Vogelsang for b up to .1;
    farther out, or with a wider window, it errs to the careful side.
    NaN     no t
    """
    if not math.isfinite(mean.t):
        return math.nan
    freedom = brentq(lambda nu: stdtrit(nu, 0.975) - mean.critical, 0.5, 1e7)
    return float(2 * stdtr(freedom, -abs(mean.t)))


def benjamini_hochberg(p: Float64Array) -> Float64Array:
    """q-values (n,) of p-values (n,): calling all with q <= r discoveries leaves an expected share r of false ones.

    NaN     kept, and no member of the family
    Source  Benjamini and Hochberg 1995
    """
    told = ~np.isnan(p)
    if ((p[told] < 0) | (p[told] > 1)).any():
        raise DataError("Benjamini-Hochberg", "p-values must lie in [0, 1]", f"{np.nanmin(p)} to {np.nanmax(p)}")
    q = np.full(len(p), np.nan)
    if told.any():
        q[told] = multipletests(p[told], method="fdr_bh")[1]
    return q


def block_bootstrap(
    x: Float64Array,
    statistic: Statistic,
    *,
    reps: int = 2000,
    seed: int,
    level: float = 0.95,
    overlap: int = 1,
) -> Interval:
    """Percentile interval of a statistic of a series, by the stationary bootstrap.

    x          (T,) in time order; NaN are left out
    statistic  mean, sharpe (mean over standard deviation, per period), or a function (R, n) -> (R,) of resamples
    overlap    sessions that an outcome reaches: blocks are no shorter; else by Politis and White
    NaN        lo and hi with fewer than 12 values; the Sharpe ratio of values that are all the same
    Source     08 §1, 09 §8; Politis and Romano 1994; Politis and White 2004
    """
    if not 0 < level < 1 or reps < 1 or overlap < 1:
        found = f"level {level}, reps {reps}, overlap {overlap}"
        raise DataError("bootstrap", "level must lie in (0, 1), reps and overlap must be positive", found)
    valid = np.asarray(x, np.float64)
    valid = valid[np.isfinite(valid)]
    n, told = len(valid), _statistic(statistic)
    estimate = float(told(valid[None, :])[0]) if n else math.nan
    if n < MIN_BOOTSTRAP:
        return Interval(estimate, math.nan, math.nan, level, math.nan, reps, n)
    block = block_length(valid, overlap)
    rng = np.random.default_rng(seed)
    draws = np.concatenate([told(valid[rows]) for rows in stationary_rows(n, block, reps, rng)])
    lo, hi = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(lo), float(hi), level, block, reps, n)


def block_length(x: Float64Array, overlap: int = 1) -> float:
    """Mean block of the stationary bootstrap of x (T,) by Politis and White, within [overlap, T].

    A constant has no autocorrelation: its blocks are of the overlap.
    Source  Politis and White 2004, corrected by Patton, Politis and White 2009
    """
    from arch.bootstrap import optimal_block_length  # two seconds, which nobody else should pay

    if np.ptp(x) == 0:
        return float(min(max(overlap, 1), len(x)))
    with np.errstate(invalid="ignore", divide="ignore"):  # a tail of exact means has no autocorrelation
        best = float(optimal_block_length(x)["stationary"].iloc[0])
    return float(min(max(best if math.isfinite(best) else 1.0, overlap, 1.0), len(x)))


def stationary_rows(n: int, block: float, reps: int, rng: np.random.Generator) -> Iterator[IntArray]:
    """Row numbers of `reps` resamples of n rows, some (r, n) at a time: blocks that wrap, of geometric length."""
    position = np.arange(n)
    step = max(1, _CELLS // n)
    for done in range(0, reps, step):
        shape = (min(step, reps - done), n)
        begins = rng.random(shape, dtype=np.float32) < 1 / block
        begun = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
        start = np.take_along_axis(rng.integers(n, size=shape), begun, axis=1)
        yield (start + position - begun) % n


def _statistic(statistic: Statistic) -> Callable[[Float64Array], Float64Array]:
    if callable(statistic):
        return statistic
    named = {"mean": _means, "sharpe": _sharpe_ratios}
    if statistic not in named:
        raise DataError("bootstrap", "the statistic must be mean, sharpe or a function", repr(statistic))
    return named[statistic]


def _means(x: Float64Array) -> Float64Array:
    return np.asarray(x.mean(axis=1), np.float64)


def _sharpe_ratios(x: Float64Array) -> Float64Array:
    mean = x.mean(axis=1)
    if x.shape[1] < 2:
        return np.full(len(x), np.nan)
    varies = np.ptp(x, axis=1) > 0
    return np.divide(mean, x.std(axis=1, ddof=1), out=np.full(len(x), np.nan), where=varies)


def patton_timmermann(
    returns: Float64Array, *, reps: int = 2000, seed: int, block: float | None = None, overlap: int = 1
) -> float:
    """p-value against 'mean returns do not rise from every group to the next', by the stationary bootstrap.

    The statistic is the least of the mean differences of neighbours, each over its bootstrap standard error; a small
    p-value supports a strict rise through all groups. Turn the columns round to ask for a fall.
    returns  (T, groups) in time order, groups in the order of the score; a session that lacks a group is left out
    block    mean length of the resampled blocks; by default the longest that a difference asks for, at least `overlap`
    NaN      fewer than 12 sessions, or a difference that never varies
    Source   Patton and Timmermann 2010 (MR, studentised)
    """
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise DataError("monotonicity test", "returns must be (T, groups) with at least 2 groups", f"{returns.shape}")
    rise = np.diff(returns[np.isfinite(returns).all(axis=1)], axis=1)
    n = len(rise)
    if n < MIN_BOOTSTRAP or (np.ptp(rise, axis=0) == 0).any():
        return math.nan
    length = block if block is not None else max(block_length(column, overlap) for column in rise.T)
    rng, mean, draws = np.random.default_rng(seed), rise.mean(axis=0), []
    for rows in stationary_rows(n, length, reps, rng):
        # How often each session was drawn says all that a mean needs: no (reps, T, groups) array.
        flat = (rows + n * np.arange(len(rows))[:, None]).ravel()
        times = np.bincount(flat, minlength=rows.size).reshape(rows.shape)
        draws.append(times @ rise / n - mean)
    noise = np.concatenate(draws)
    error = noise.std(axis=0)
    least = (noise / error).min(axis=1)
    return float((1 + np.count_nonzero(least >= (mean / error).min())) / (len(least) + 1))
