"""How the alpha models stop and choose: on the last sessions of their sample, purged."""

from __future__ import annotations

from itertools import pairwise

import numba
import numpy as np

from features.panel import Float64Array, IntArray
from models.alpha.ranking import centred_ranks, session_starts
from models.base import FitError, Sample


def latest_sessions(sample: Sample, share: float) -> tuple[Sample, Sample]:
    """The sample without its last sessions, and these: `share` of the sessions, `gap` sessions before them left out.

    Positions are sessions of the calendar, so the gap is counted on the calendar, not on the sessions that have rows.
    Errors  FitError if fewer than 2 sessions remain on either side
    Source  09 §4 (the last 15 % of the train dates, purged)
    """
    present = np.unique(sample.session)
    held = max(2, round(share * len(present)))
    first = present[-min(held, len(present))]
    kept = int(np.count_nonzero(present < first - sample.gap))
    if kept < 2:
        raise FitError(
            "early stopping",
            f"2 sessions must remain before the last {held} and a gap of {sample.gap}",
            f"{kept} of {len(present)} sessions",
            help="train on a longer span",
        )
    # Rows are sorted by session: two slices share the memory of the sample, two masks would copy it.
    stop, start = np.searchsorted(sample.session, [first - sample.gap, first])
    return sample.rows(slice(0, int(stop))), sample.rows(slice(int(start), None))


def expanding_folds(sample: Sample, folds: int) -> list[tuple[Sample, Sample]]:
    """Earlier and later part of a sample, `folds` times: each later part is a stretch of sessions, and the earlier one
    all that lies more than `gap` sessions before it.

    The sessions are cut into folds + 1 stretches of nearly one length; the first is in no later part.
    Errors  FitError if an earlier or a later part would have fewer than 2 sessions
    """
    present = np.unique(sample.session)
    edges = np.linspace(0, len(present), folds + 2).astype(int)[1:]
    first = present[edges[0]] if edges[0] < len(present) else 0
    kept = int(np.count_nonzero(present < first - sample.gap))
    if kept < 2 or int(np.diff(edges).min(initial=len(present))) < 2:
        raise FitError(
            "inner folds",
            f"2 sessions must remain before the first of {folds} and a gap of {sample.gap}, and in each",
            f"{kept} before them, {len(present)} in all",
            help="train on a longer span, or with fewer folds",
        )
    parts = []
    for a, b in pairwise(edges):
        stop, start = np.searchsorted(sample.session, [present[a] - sample.gap, present[a]])
        end = int(np.searchsorted(sample.session, present[b - 1], side="right"))
        parts.append((sample.rows(slice(0, int(stop))), sample.rows(slice(int(start), end))))
    return parts


class DailyRankIC:
    """Mean over sessions of the rank correlation of scores with the labels of a sample; the labels are ranked once."""

    def __init__(self, sample: Sample) -> None:
        self._starts: IntArray = session_starts(sample.session)
        self._ranks: Float64Array = np.empty(len(sample.y))
        centred_ranks(sample.y, self._starts, self._ranks)

    def __call__(self, score: Float64Array) -> float:
        """Mean daily rank IC of scores (M,); a session where either side is constant counts 0."""
        ranks = np.empty(len(score))
        centred_ranks(np.ascontiguousarray(score, dtype=np.float64), self._starts, ranks)
        return float(_mean_correlation(ranks, self._ranks, self._starts))


@numba.njit(nogil=True, cache=True)
def _mean_correlation(x: Float64Array, y: Float64Array, starts: IntArray) -> float:
    total = 0.0
    for s in range(len(starts) - 1):
        xy = xx = yy = 0.0
        for i in range(starts[s], starts[s + 1]):
            xy += x[i] * y[i]
            xx += x[i] * x[i]
            yy += y[i] * y[i]
        if xx > 0.0 and yy > 0.0:
            total += xy / np.sqrt(xx * yy)
    return total / (len(starts) - 1)
