"""Information coefficients: how well a score orders the returns that follow, session by session.

Source  09 §5
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.operators import cs_rank
from features.panel import DataError, Float64Array, IntArray, SessionArray
from training.evaluate.significance import newey_west, overlap_lag

ANN_DAYS = 242
Method = Literal["rank", "pearson"]


@dataclass(frozen=True)
class IcSummary:
    """A series of daily ICs in a few numbers.

    mean, std  over the sessions that have one; std with ddof 1
    icir       mean / std * sqrt(242 / horizon): per year, of outcomes that do not overlap
    nw_t       Newey-West t of the mean; |nw_t| > nw_crit is significant at 5 %
    hit        share of the sessions whose IC is positive
    n          sessions
    """

    mean: float
    std: float
    icir: float
    nw_t: float
    nw_crit: float
    hit: float
    n: int


@dataclass(frozen=True)
class MonthlyIc:
    """The mean IC of each calendar month that has one, and of how many sessions; all (·,)."""

    month: NDArray[np.datetime64]
    mean: Float64Array
    n: IntArray


def daily_ic(score: Float64Array, label: Float64Array, *, method: Method = "rank", min_names: int = 20) -> Float64Array:
    """Correlation of score and label over the assets that have both, each session, (T, N) x (T, N) -> (T,).

    method  rank: of mid-ranks (Spearman); pearson: of the values
    NaN     fewer than min_names assets with both, or one of the two is the same for all
    """
    if score.shape != label.shape:
        raise DataError("IC", f"score and label must have one shape, {label.shape}", f"{score.shape}")
    if method not in ("rank", "pearson"):
        raise DataError("IC", "method must be rank or pearson", repr(method))
    both = np.isfinite(score) & np.isfinite(label)
    if method == "rank":
        x, y = cs_rank(score, both), cs_rank(label, both)
    else:
        x, y = np.where(both, score, np.nan), np.where(both, label, np.nan)
    n = both.sum(axis=1)
    x, y = _centred(x, both, n), _centred(y, both, n)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    told = (n >= max(min_names, 2)) & (scale > 0)
    return np.divide((x * y).sum(axis=1), scale, out=np.full(len(n), np.nan), where=told)


def _centred(x: Float64Array, both: NDArray[np.bool_], n: IntArray) -> Float64Array:
    """Deviations from the mean, in units of the largest one; 0 where absent or where nothing varies."""
    filled = np.where(both, x, 0.0)
    mean = filled.sum(axis=1) / np.maximum(n, 1)
    away = np.where(both, filled - mean[:, None], 0.0)
    largest = np.abs(away).max(axis=1, initial=0.0)
    varies = largest > 1e-12 * np.abs(filled).max(axis=1, initial=0.0)
    return away * np.divide(1.0, largest, out=np.zeros(len(n)), where=varies)[:, None]


def ic_summary(ic: Float64Array, horizon: int) -> IcSummary:
    """Mean, spread, annual ratio, Newey-West t and hit rate of daily ICs (T,) of labels `horizon` sessions long.

    NaN in every number but n when no session has an IC; std, icir and nw_t need two.
    """
    valid = ic[np.isfinite(ic)]
    n = len(valid)
    if n == 0:
        return IcSummary(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    mean = newey_west(valid, overlap_lag(horizon, n))
    std = float(valid.std(ddof=1)) if n > 1 else math.nan
    icir = mean.mean / std * math.sqrt(ANN_DAYS / horizon) if n > 1 and std > 0 else math.nan
    return IcSummary(mean.mean, std, icir, mean.t, mean.critical, float((valid > 0).mean()), n)


def ic_decay(
    score: Float64Array, labels: Mapping[int, Float64Array], *, method: Method = "rank", min_names: int = 20
) -> dict[int, IcSummary]:
    """The summary of one score against labels of several horizons: horizon -> summary, ascending."""
    return {
        horizon: ic_summary(daily_ic(score, labels[horizon], method=method, min_names=min_names), horizon)
        for horizon in sorted(labels)
    }


def monthly_ic(ic: Float64Array, sessions: SessionArray) -> MonthlyIc:
    """Mean IC by calendar month; months without one are left out."""
    valid = np.isfinite(ic)
    month, position = np.unique(sessions[valid].astype("datetime64[M]"), return_inverse=True)
    n = np.bincount(position, minlength=len(month))
    total = np.bincount(position, weights=ic[valid], minlength=len(month))
    return MonthlyIc(month, total / np.maximum(n, 1), n.astype(np.int64))
