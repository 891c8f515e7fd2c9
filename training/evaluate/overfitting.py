"""How much of the best of many trials is luck: the deflated Sharpe ratio and the probability of backtest overfitting.

Source  09 §5; Bailey and López de Prado 2014; Bailey, Borwein, López de Prado and Zhu 2017
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final, Literal, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import kurtosis, skew

from features.panel import DataError, Float64Array, IntArray

_CELLS: Final = 4_000_000  # of (combination, trial) in memory at once
_TIE: Final = 1e-12  # of the largest performance: what two trials may differ by and still tie


class SharpeMoments(NamedTuple):
    """What the error of a Sharpe ratio depends on.

    sr        mean over standard deviation (ddof 1), per period, not annualised
    skew      third standardised moment
    kurtosis  fourth standardised moment, 3 for a Gaussian
    n         periods
    """

    sr: float
    skew: float
    kurtosis: float
    n: int


def sharpe_moments(returns: Float64Array) -> SharpeMoments:
    """Sharpe ratio, skew and kurtosis of returns (T,); NaN are left out.

    NaN     in all but n for fewer than 2 returns, or returns that are all the same
    """
    valid = np.asarray(returns, np.float64)
    valid = valid[np.isfinite(valid)]
    if len(valid) < 2 or np.ptp(valid) == 0:
        return SharpeMoments(math.nan, math.nan, math.nan, len(valid))
    ratio = float(valid.mean() / valid.std(ddof=1))
    return SharpeMoments(ratio, float(skew(valid)), float(kurtosis(valid, fisher=False)), len(valid))


def probabilistic_sharpe(sr: float, n: int, skew: float, kurtosis: float, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds a benchmark, both per period.

    kurtosis  3 for a Gaussian
    NaN       a moment is NaN, or fewer than 2 periods
    Errors    DataError for moments that no distribution has
    Source    Bailey and López de Prado 2012
    """
    if n < 2 or not all(math.isfinite(v) for v in (sr, skew, kurtosis, benchmark)):
        return math.nan
    spread = 1 - skew * sr + (kurtosis - 1) / 4 * sr**2
    if spread <= 0:
        found = f"skew {skew}, kurtosis {kurtosis} with a ratio of {sr}"
        raise DataError("probabilistic Sharpe ratio", "kurtosis must exceed 1 + skew²; it is not in excess of 3", found)
    return float(ndtr((sr - benchmark) * math.sqrt((n - 1) / spread)))


def expected_max_sharpe(variance: float, trials: int) -> float:
    """Sharpe ratio that the best of `trials` without skill is expected to show, in the unit of the ratios.

    variance  of the Sharpe ratios over the trials
    """
    if trials < 1 or not variance >= 0:
        found = f"{trials} trials, a variance of {variance}"
        raise DataError("expected maximum", "trials must be positive and the variance not negative", found)
    if trials == 1:
        return 0.0
    first, second = ndtri(1 - 1 / trials), ndtri(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * float((1 - np.euler_gamma) * first + np.euler_gamma * second)


def deflated_sharpe(sr: float, n: int, skew: float, kurtosis: float, trials: int, variance: float) -> float:
    """Probability that a Sharpe ratio is more than the best of `trials` without skill would show.

    sr        per period, of the trial that was chosen
    variance  of the Sharpe ratios over the trials, per period
    """
    return probabilistic_sharpe(sr, n, skew, kurtosis, expected_max_sharpe(variance, trials))


@dataclass(frozen=True)
class Pbo:
    """What became, out of sample, of the trial that was best in sample; C ways of halving the sessions.

    value          share of the halvings whose winner ends below the median of the trials out of sample; one that
                   ends at the median itself counts half
    logits         (C,) ln(w / (1 - w)) with w the winner's rank out of sample over trials + 1
    best           (C,) the winning trial
    in_sample      (C,) its performance where it was chosen
    out_of_sample  (C,) its performance elsewhere
    slope, intercept  of the line of out_of_sample on in_sample; a negative slope: the better chosen, the worse after
    loss           share of the halvings whose winner performs below nought out of sample
    trials, n      trials, and sessions that were used
    dropped        sessions left out since a trial had no number
    """

    value: float
    logits: Float64Array = field(repr=False)
    best: IntArray = field(repr=False)
    in_sample: Float64Array = field(repr=False)
    out_of_sample: Float64Array = field(repr=False)
    slope: float
    intercept: float
    loss: float
    trials: int
    n: int
    dropped: int

    @property
    def degradation(self) -> float:
        """Mean performance in sample less that out of sample, of the winners."""
        return float(self.in_sample.mean() - self.out_of_sample.mean())


def pbo(
    performance: Float64Array,
    *,
    blocks: int = 16,
    measure: Literal["sharpe", "mean"] = "sharpe",
    missing: Literal["refuse", "drop"] = "refuse",
) -> Pbo:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation.

    performance  (T, trials) in time order: returns or daily ICs of every trial, not of the good ones alone
    blocks       even; every choice of half of them is in sample once, so 16 give 12,870 halvings
    measure      sharpe (mean over standard deviation, per period; 0 in a half where a trial does not vary) or mean
    missing      refuse sessions that lack a number, or drop them and count
    Errors       DataError for one trial, too few sessions, a trial that never varies, numbers that are missing
    Source       09 §5; Bailey et al. 2017
    """
    if blocks < 2 or blocks % 2 or measure not in ("sharpe", "mean") or missing not in ("refuse", "drop"):
        found = f"{blocks} blocks, measure {measure!r}, missing {missing!r}"
        raise DataError("PBO", "blocks must be even, measure sharpe or mean, missing refuse or drop", found)
    values, dropped = _complete(performance, missing)
    n, trials = values.shape
    if trials < 2 or n < 2 * blocks:
        raise DataError("PBO", f"it needs 2 trials and {2 * blocks} sessions", f"{trials} trials, {n} sessions")
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if len(constant):
        raise DataError("PBO", "every trial must vary", f"{len(constant)} that do not", f"trial {constant[0]}")
    best, inside, outside, rank = _halvings(values, blocks, measure)
    share = rank / (trials + 1)
    logits = np.log(share / (1 - share))
    varied = np.ptp(inside) > 0
    slope, intercept = np.polyfit(inside, outside, 1) if varied else (math.nan, math.nan)
    # The rank is compared and not the logit: a median of ranks is exact.
    below = np.count_nonzero(2 * rank < trials + 1) + 0.5 * np.count_nonzero(2 * rank == trials + 1)
    value, loss = float(below / len(rank)), float((outside < 0).mean())
    return Pbo(value, logits, best, inside, outside, float(slope), float(intercept), loss, trials, n, dropped)


def _complete(performance: Float64Array, missing: str) -> tuple[Float64Array, int]:
    if performance.ndim != 2:
        raise DataError("PBO", "performance must be (T, trials)", f"{performance.shape}")
    told = np.isfinite(performance).all(axis=1)
    if not told.all() and missing == "refuse":
        raise DataError(
            "PBO",
            "every trial must have a number in every session",
            f"{np.count_nonzero(~told)} of {len(performance)} sessions that lack one",
            f"row {int(np.argmin(told))}",
            'missing="drop" leaves them out and counts them',
        )
    return np.asarray(performance[told], np.float64), int(np.count_nonzero(~told))


def _halvings(
    values: Float64Array, blocks: int, measure: str
) -> tuple[IntArray, Float64Array, Float64Array, Float64Array]:
    """Of every halving: the winner, its performance inside and outside, its mid-rank outside; 1 is the worst. (C,)"""
    n, trials = values.shape
    starts = np.arange(blocks) * n // blocks
    size = np.diff(np.append(starts, n)).astype(np.float64)
    # Sums of squares lose digits where a mean is large: they are taken about the mean of all sessions.
    mean = values.mean(axis=0)
    away = values - mean
    first, second = np.add.reduceat(away, starts), np.add.reduceat(away**2, starts)
    chosen = np.zeros((math.comb(blocks, blocks // 2), blocks))
    np.put_along_axis(chosen, np.array(list(combinations(range(blocks), blocks // 2))), 1.0, axis=1)
    parts = []
    step = max(1, _CELLS // trials)
    for done in range(0, len(chosen), step):
        half = chosen[done : done + step]
        inside = _performance(half, size, first, second, mean, measure)
        outside = _performance(1 - half, size, first, second, mean, measure)
        best = inside.argmax(axis=1)
        rows = np.arange(len(best))
        won = outside[rows, best]
        apart = outside - won[:, None]
        tie = _TIE * np.abs(outside).max(axis=1, keepdims=True)
        # A mid-rank is those below, plus half of one more than those that tie, of whom the winner is one.
        rank = (apart < -tie).sum(axis=1) + ((np.abs(apart) <= tie).sum(axis=1) + 1) / 2
        parts.append((best, inside[rows, best], won, rank))
    best, inside, outside, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    return best, inside, outside, rank


def _performance(
    half: Float64Array, size: Float64Array, first: Float64Array, second: Float64Array, mean: Float64Array, measure: str
) -> Float64Array:
    """Mean or Sharpe ratio of every trial over the blocks that `half` (C, blocks) chooses, (C, trials)."""
    n = (half @ size)[:, None]
    shift = half @ first / n
    if measure == "mean":
        return np.asarray(mean + shift)
    variance = (half @ second - n * shift**2) / (n - 1)
    varies = variance > _TIE * (half @ second) / n
    return np.divide(mean + shift, np.sqrt(np.maximum(variance, 0)), out=np.zeros_like(shift), where=varies)
