"""How far what a model sees has moved from what it has learnt on, and how far its skill from what was promised.

PSI   population stability index, Σ (a - e)·ln(a/e) over the bins of the reference's deciles
Rules of thumb: below .1 stable, from .25 on another population (Siddiqi, Credit Risk Scorecards, 2006, ch. 8)
CUSUM tabular, one-sided, k ½, h 5: an alarm in 930 blocks without a change (Page 1954; Montgomery, SQC, ch. 9)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from features.panel import DataError, Float32Array, Float64Array, IntArray

SHIFTED, ANOTHER = 0.1, 0.25  # of the PSI
BINS: Final = 10
_SLACK, _ALARM = 0.5, 5.0  # of the CUSUM, in standard deviations
_LEAST: Final = 20  # sessions with a label that a verdict needs


def decile_edges(values: Float32Array | Float64Array) -> Float64Array:
    """Inner edges of the deciles of the finite values, at most 9; equal ones are one, so ties make fewer bins."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(0)
    return np.unique(np.quantile(finite.astype(np.float64), np.arange(1, BINS) / BINS))


def bin_counts(values: Float32Array | Float64Array, edges: Float64Array) -> IntArray:
    """How many finite values lie below, between and above the edges, (E,) edges -> (E + 1,); an edge counts above."""
    finite = values[np.isfinite(values)].astype(np.float64)
    return np.bincount(np.searchsorted(edges, finite, side="right"), minlength=len(edges) + 1).astype(np.int64)


def psi(expected: IntArray, actual: IntArray) -> float:
    """Population stability index of two histograms on the same bins, 0 where their shares are equal.

    An empty bin counts as half an observation, so that the logarithm is finite. NaN where one histogram is empty.
    """
    if expected.shape != actual.shape:
        raise DataError("PSI", "both histograms must have the same bins", f"{expected.shape} and {actual.shape}")
    if not expected.sum() or not actual.sum():
        return math.nan
    e, a = (np.where(counts > 0, counts, 0.5) for counts in (expected, actual))
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())


@dataclass(frozen=True)
class Decay:
    """RankIC since the training against that of the walk-forward.

    n, mean     sessions with a RankIC among those that are looked at, and their mean; mean NaN without
    promised    mean of the walk-forward
    lo, hi      promised ± 2 standard errors of the difference of the two means: where `mean` should lie
    cusum       highest value since the training, in standard deviations
    alarm       the session (position in the series) on which it first passed 5, -1 where it never did
    """

    n: int
    mean: float
    promised: float
    lo: float
    hi: float
    cusum: float
    alarm: int
    rolling: Float64Array = field(repr=False)

    @property
    def told(self) -> bool:
        """Whether there are sessions enough for a verdict."""
        return self.n >= _LEAST and math.isfinite(self.lo)


def decay(ic: Float64Array, window: int, horizon: int, mean: float, std: float, t: float) -> Decay:
    """Judge the daily RankICs since the training (T,), NaN where there is none, by those of the walk-forward.

    window         the last so many with a value are judged; all of them enter the CUSUM
    mean, std, t   of the walk-forward: daily mean, daily standard deviation, Newey-West t
    Labels of h sessions overlap: n days tell as much as n/h. The CUSUM therefore runs over means of h sessions.
    """
    at = np.flatnonzero(np.isfinite(ic))
    known = ic[at]
    recent = known[-window:]
    error = math.sqrt(std**2 * horizon / max(len(recent), 1) + ((mean / t) ** 2 if t else math.nan))
    sums = np.concatenate([[0.0], np.cumsum(known)])
    steps = np.arange(1, len(known) + 1)
    from_ = np.maximum(steps - window, 0)
    rolling = np.full(len(ic), np.nan)
    rolling[at] = (sums[steps] - sums[from_]) / (steps - from_)
    high, alarm = _cusum(known, horizon, mean, std)
    now = float(recent.mean()) if len(recent) else math.nan
    lo, hi = mean - 2 * error, mean + 2 * error
    return Decay(len(recent), now, mean, lo, hi, high, int(at[alarm]) if alarm >= 0 else -1, rolling)


def _cusum(known: Float64Array, horizon: int, mean: float, std: float) -> tuple[float, int]:
    """The highest lower CUSUM over blocks of `horizon` sessions, and where it first passed the alarm, -1 if never."""
    total = high = 0.0
    alarm = -1
    for block in range(len(known) // horizon):
        stop = (block + 1) * horizon
        z = (known[stop - horizon : stop].mean() - mean) / std
        total = max(0.0, total - z - _SLACK)
        high = max(high, total)
        if total > _ALARM and alarm < 0:
            alarm = stop - 1
    return float(high), alarm
