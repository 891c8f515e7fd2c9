"""A factor on a few pages of numbers: returns by quantile, information, turnover, and the rows that it could not use.

The order is alphalens'; what it would drop without a word is counted here by reason.
Source  09 §5
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from features.operators import cs_demean, cs_scale
from features.panel import BoolArray, DataError, Float64Array, SessionArray
from training.evaluate.ic import IcSummary, daily_ic, ic_summary
from training.evaluate.portfolio import Deciles, decile_portfolios
from training.evaluate.quantiles import group_turnover, rank_autocorrelation, score_groups
from training.evaluate.significance import Mean, newey_west, overlap_lag
from training.evaluate.waterfall import KEPT


@dataclass(frozen=True)
class Information:
    """The daily RankICs of one horizon: series (T,), summary, and the shape of their distribution (0, 0 if normal)."""

    rank_ic: Float64Array = field(repr=False)
    summary: IcSummary
    skew: float
    kurtosis: float


@dataclass(frozen=True)
class TearSheet:
    """What a factor was worth, by horizon of the label in sessions; `first` is the shortest.

    returns          mean label of each quantile of the factor
    weighted         (T,) label earned by weights in proportion to the factor's distance from its session's mean, half
                     of them long and half short, the sum of their sizes 1; in theory only
    weighted_mean    its mean, with Newey-West errors
    information      RankIC
    turnover         (T, quantiles) share of a quantile's assets that were not in it `horizon` sessions before
    autocorrelation  (T,) rank correlation of the factor with itself `horizon` sessions before
    lost             reason -> rows, from the universe down to the rows that the numbers rest on
    """

    title: str
    zh: str
    sessions: SessionArray = field(repr=False)
    quantiles: int
    returns: dict[int, Deciles] = field(repr=False)
    weighted: dict[int, Float64Array] = field(repr=False)
    weighted_mean: dict[int, Mean]
    information: dict[int, Information]
    turnover: dict[int, Float64Array] = field(repr=False)
    autocorrelation: dict[int, Float64Array] = field(repr=False)
    lost: dict[int, dict[str, int]]

    @property
    def first(self) -> int:
        """The shortest horizon."""
        return min(self.returns)


def tear_sheet(
    values: Float64Array,
    labels: Mapping[int, Float64Array],
    sessions: SessionArray,
    *,
    quantiles: int = 5,
    title: str,
    zh: str = "",
    universe: BoolArray | None = None,
    lost: Mapping[int, Mapping[str, int]] | None = None,
    min_names: int = 20,
) -> TearSheet:
    """Judge a factor against labels of several horizons.

    Shape     values and each label (T, N), sessions (T,); universe (T, N), by default every row with a value or label
    quantiles 5 or 10, commonly; sessions with fewer than twice as many names are left out, and counted
    lost      horizon -> why rows of the universe have no label, as Labels.lost tells it; else they are counted as one
    Errors    DataError for shapes that differ, or a factor that no session can be judged on
    """
    for horizon, label in labels.items():
        if label.shape != values.shape or len(sessions) != len(values):
            found = f"{label.shape} for horizon {horizon}, {len(sessions)} sessions"
            raise DataError(f"tear sheet of {title}", f"labels must have the shape {values.shape}", found)
    if not labels:
        raise DataError(f"tear sheet of {title}", "there must be a label", "none")
    horizons = sorted(labels)
    inside = values if universe is None else np.where(universe, values, np.nan)
    least = max(min_names, 2 * quantiles)
    information = {h: _information(daily_ic(inside, labels[h], min_names=least), h) for h in horizons}
    if not any(one.summary.n for one in information.values()):
        most = max(int((np.isfinite(inside) & np.isfinite(labels[h])).sum(axis=1).max(initial=0)) for h in horizons)
        raise DataError(
            f"tear sheet of {title}",
            f"some session must have {least} names with a value and a label, and values that differ",
            f"at most {most} names",
            help="Fewer quantiles or a lower min_names admit a smaller universe.",
        )
    # Every number rests on the same sessions: those with an IC.
    judged = {h: np.where(np.isfinite(information[h].rank_ic)[:, None], inside, np.nan) for h in horizons}
    weighted = {h: _weighted(judged[h], labels[h]) for h in horizons}
    enough = np.isfinite(inside).sum(axis=1, keepdims=True) >= least
    group = score_groups(inside, np.broadcast_to(enough, values.shape), quantiles)
    rows = {h: dict((lost or {}).get(h, {})) for h in horizons}
    return TearSheet(
        title,
        zh,
        sessions,
        quantiles,
        returns={h: decile_portfolios(judged[h], labels[h], horizon=h, n=quantiles) for h in horizons},
        weighted=weighted,
        weighted_mean={h: _mean(weighted[h], h) for h in horizons},
        information=information,
        turnover={h: group_turnover(group, quantiles, h) for h in horizons},
        autocorrelation={h: rank_autocorrelation(inside, h, min_names=least) for h in horizons},
        lost={h: _rows(values, labels[h], universe, information[h].rank_ic, rows[h]) for h in horizons},
    )


def _information(rank_ic: Float64Array, horizon: int) -> Information:
    valid = rank_ic[np.isfinite(rank_ic)]
    varies = len(valid) > 2 and bool(np.ptp(valid) > 0)
    skew, kurtosis = (float(stats.skew(valid)), float(stats.kurtosis(valid))) if varies else (math.nan, math.nan)
    return Information(rank_ic, ic_summary(rank_ic, horizon), skew, kurtosis)


def _weighted(values: Float64Array, label: Float64Array) -> Float64Array:
    """Label earned by weights in proportion to the factor's distance from its session's mean, (T,)."""
    both = np.isfinite(values) & np.isfinite(label)
    weight = cs_scale(cs_demean(np.where(both, values, np.nan), both), both)
    earned = np.where(both, weight * label, 0.0).sum(axis=1)
    return np.where(both.any(axis=1), earned, np.nan)


def _mean(series: Float64Array, horizon: int) -> Mean:
    return newey_west(series, overlap_lag(horizon, int(np.isfinite(series).sum())))


def _rows(
    values: Float64Array,
    label: Float64Array,
    universe: BoolArray | None,
    rank_ic: Float64Array,
    lost: dict[str, int],
) -> dict[str, int]:
    """The way from the universe's rows to those that the numbers rest on."""
    has_value, has_label = np.isfinite(values), np.isfinite(label)
    whole = has_value | has_label if universe is None else universe
    labelled = whole & has_label
    if lost:
        steps = {reason: count for reason, count in lost.items() if reason != KEPT}
    else:
        steps = {"universe": int(whole.sum()), "no_label": int((whole & ~has_label).sum())}
    valued = labelled & has_value
    steps["no_value"] = int((labelled & ~has_value).sum())
    steps["session_too_small"] = int((valued & ~np.isfinite(rank_ic)[:, None]).sum())
    return {**steps, KEPT: int((valued & np.isfinite(rank_ic)[:, None]).sum())}
