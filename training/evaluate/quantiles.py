"""Groups of a score, and how much they change from session to session.

Source  09 §5
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from features.operators import cs_rank
from features.panel import BoolArray, DataError, Float64Array
from training.evaluate.ic import daily_ic


def score_groups(score: Float64Array, among: BoolArray, n: int) -> NDArray[np.int8]:
    """The n-th of each session's score that an asset is in, 0 lowest ... n - 1 highest, (T, N); -1 in none.

    among  (T, N) assets that are sorted, where they have a score
    None   on sessions with fewer than 2 n of them, or with the same score for all
    """
    if not 2 <= n <= 100:
        raise DataError("score groups", "their number must lie in 2 ... 100", f"{n}")
    both = np.isfinite(score) & among
    rank = cs_rank(score, both)
    varies = np.ptp(np.where(both, rank, 0.5), axis=1) > 0
    enough = np.asarray((both.sum(axis=1) >= 2 * n) & varies)
    return np.where(both & enough[:, None], np.minimum(np.floor(rank * n), n - 1), -1).astype(np.int8)


def group_turnover(group: NDArray[np.int8], n: int, lag: int) -> Float64Array:
    """Share of each group's assets that were not in it `lag` sessions before, (T, N) -> (T, n).

    NaN  the first `lag` sessions, and where the group is empty on either of the two
    """
    _require_lag(lag)
    out = np.full((len(group), n), np.nan)
    for g in range(n):
        now, before = group[lag:] == g, group[:-lag] == g
        size, stayed = now.sum(axis=1), (now & before).sum(axis=1)
        told = (size > 0) & before.any(axis=1)
        out[lag:, g] = np.divide(size - stayed, size, out=np.full(len(size), np.nan), where=told)
    return out


def rank_autocorrelation(score: Float64Array, lag: int, *, min_names: int = 20) -> Float64Array:
    """Rank correlation of each session's score with that of `lag` sessions before, (T, N) -> (T,).

    NaN  the first `lag` sessions, and where fewer than min_names assets have both
    """
    _require_lag(lag)
    before = np.full(score.shape, np.nan)
    before[lag:] = score[:-lag]
    return daily_ic(score, before, min_names=min_names)


def _require_lag(lag: int) -> None:
    if lag < 1:
        raise DataError("score groups", "a lag must be at least one session", f"{lag}")
