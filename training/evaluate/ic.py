"""Information coefficients: how well a score orders the returns that follow, session by session.

Source  09 §5
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from features.limits import board
from features.operators import cs_rank, ts_mean
from features.panel import AssetArray, BoolArray, DataError, Float64Array, IntArray, SessionArray
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


@dataclass(frozen=True)
class Grouping:
    """A partition of the assets, fixed or changing by session.

    code   (N,) or (T, N) position of an asset's group in `names`, -1 in none
    """

    names: tuple[str, ...]
    code: NDArray[np.int8] = field(repr=False)


def by_board(assets: AssetArray) -> Grouping:
    """The board of each asset, told from its code; codes that belong to none are in no group."""
    known = ("main", "chinext", "star", "bse")
    code = np.full(len(assets), -1, np.int8)
    for n, asset in enumerate(assets):
        try:
            name = board(str(asset))
        except DataError:
            continue
        code[n] = known.index(name) if name in known else -1
    return Grouping(known, code)


def by_size(turnover: Float64Array, universe: BoolArray, *, window: int = 60) -> Grouping:
    """Thirds of each session's universe by mean turnover over a window up to that session: a proxy of size, (T, N)."""
    mean = ts_mean(turnover, window, max(window // 3, 1))
    among = universe & np.isfinite(mean)
    third = np.minimum(np.floor(cs_rank(mean, among) * 3), 2)
    return Grouping(("small", "middle", "large"), np.where(among, third, -1).astype(np.int8))


def ic_by_group(
    score: Float64Array,
    label: Float64Array,
    group: Grouping,
    *,
    horizon: int,
    method: Method = "rank",
    min_names: int = 20,
) -> dict[str, IcSummary]:
    """How well the score orders the assets inside each group: name -> summary of the daily ICs, in the groups' order.

    Groups that never have min_names assets with score and label have a summary of 0 sessions.
    """
    code = np.broadcast_to(group.code, score.shape)
    found: dict[str, IcSummary] = {}
    for position, name in enumerate(group.names):
        inside = np.where(code == position, score, np.nan)
        found[name] = ic_summary(daily_ic(inside, label, method=method, min_names=min_names), horizon)
    return found


def ic_by_year(ic: Float64Array, sessions: SessionArray, *, horizon: int) -> dict[str, IcSummary]:
    """The summary of the daily ICs (T,) of each calendar year that has one."""
    year = sessions.astype("datetime64[Y]")
    some = np.unique(year[np.isfinite(ic)])
    return {str(y): ic_summary(np.where(year == y, ic, np.nan), horizon) for y in some}
