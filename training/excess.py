"""What a return is measured against: the universe, an index, its industry, or the market times its beta.

Source  09 §1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.operators import cs_mean, group_count, group_mean, ts_beta
from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels

Excess = Literal["universe", "benchmark", "industry", "beta"]

LEAST_IN_INDUSTRY = 8
BETA_WINDOW = 252


@dataclass(frozen=True)
class Yardstick:
    """Which excess is taken, and what it takes beside the returns themselves; no label changes any of it.

    kind      see Excess
    industry  (T, N) or (1, N) codes, NaN where unknown; for industry
    beta      (T, N) known at the close of each session, NaN where not estimated; for beta
    index     (T, N) log return of the benchmark between each label's own entry and exit; for benchmark, and for beta
              over one
    """

    kind: Excess
    industry: Float64Array | None = field(default=None, repr=False)
    beta: Float64Array | None = field(default=None, repr=False)
    index: Float64Array | None = field(default=None, repr=False)

    def over(self, total: Float64Array, pool: BoolArray) -> Float64Array:
        """Log returns of the pool less what they are measured against, (T, N); means are those of the pool.

        An industry with fewer than eight in the pool, or none, is measured against the pool's mean.
        NaN  outside the pool; no return of the index; no beta
        """
        against = cs_mean(total, pool) if self.index is None else self.index
        if self.beta is not None:
            against = self.beta * against
        if self.industry is not None:
            large = group_count(total, self.industry, pool) >= LEAST_IN_INDUSTRY
            against = np.where(large, group_mean(total, self.industry, pool), against)
        return np.where(pool, total - against, np.nan)


def yardstick(
    kind: Excess,
    panels: Panels,
    traded: BoolArray,
    universe: BoolArray,
    exit: IntArray,
    *,
    benchmark: Float64Array | None = None,
    benchmark_close: Float64Array | None = None,
    industry: Float64Array | IntArray | None = None,
) -> Yardstick:
    """What a kind of excess needs, from prices and codes; refuses what is missing or of another shape.

    Shape   traded, universe, exit (T, N); benchmark, benchmark_close (T,); industry (T, N) or (1, N)
    """
    if kind == "universe":
        return Yardstick(kind)
    if kind == "industry":
        return Yardstick(kind, industry=_codes(industry, panels.shape))
    if kind == "benchmark":
        return Yardstick(kind, index=_index_return(benchmark, exit))
    if kind != "beta":
        raise DataError("label", "excess must be universe, benchmark, industry or beta", repr(kind))
    if (benchmark is None) != (benchmark_close is None):
        found = "prices without closes" if benchmark_close is None else "closes without prices"
        raise DataError("label", "a beta on a benchmark needs its prices and its closes", found)
    index = None if benchmark is None else _index_return(benchmark, exit)
    return Yardstick(kind, beta=shrunk_betas(panels, traded, universe, benchmark_close), index=index)


def shrunk_betas(
    panels: Panels, traded: BoolArray, universe: BoolArray, benchmark_close: Float64Array | None = None
) -> Float64Array:
    """Slope of each asset's daily log return on the market's over 252 sessions, shrunk by a third to 1, (T, N).

    The market is the mean return of each session's universe, or the benchmark from close to close. Row t knows t and
    what lies before. The return on the session after a suspension spans it and counts as that session's.

    NaN     before an asset's 252nd session since its first trade; fewer than 60 % of the window traded
    Source  09 §1; returns on the ex-right reference price, market as for `cs_f_beta_n` (09 §2)
    """
    ratio = np.full(panels.shape, np.nan)
    np.divide(panels["close"], panels["prev_close"], out=ratio, where=traded & (panels["prev_close"] > 0))
    if benchmark_close is None:
        market = np.log1p(cs_mean(ratio - 1, universe))
    else:
        market = np.append(np.nan, np.diff(_log_levels(benchmark_close, len(ratio))))[:, None]
    sessions = np.cumsum(np.maximum.accumulate(traded, axis=0), axis=0)
    slope = ts_beta(np.log(ratio), market, BETA_WINDOW)
    return np.where(sessions >= BETA_WINDOW, 2 / 3 * slope + 1 / 3, np.nan)


def _codes(industry: Float64Array | IntArray | None, shape: tuple[int, int]) -> Float64Array:
    """Codes as floats, NaN where unknown."""
    if industry is None or industry.shape not in (shape, (1, shape[1])):
        found = "none" if industry is None else f"the shape {industry.shape}"
        raise DataError("label", f"an excess over industries needs their codes as {shape} or (1, {shape[1]})", found)
    return np.where(industry >= 0, industry, np.nan).astype(np.float64)


def _index_return(benchmark: Float64Array | None, exit: IntArray) -> Float64Array:
    """Log return of the benchmark between each label's own entry and exit, (T, N)."""
    level = _log_levels(benchmark, len(exit))
    entered = np.append(level[1:], np.nan)[:, None]
    return np.where(exit >= 0, level[exit] - entered, np.nan)


def _log_levels(benchmark: Float64Array | None, sessions: int) -> Float64Array:
    """Log prices of the benchmark, (T,), NaN where there is none."""
    if benchmark is None or benchmark.shape != (sessions,):
        found = "none" if benchmark is None else f"the shape {benchmark.shape}"
        raise DataError("label", f"excess over a benchmark needs its prices as ({sessions},)", found)
    return np.log(np.where(benchmark > 0, benchmark, np.nan))
