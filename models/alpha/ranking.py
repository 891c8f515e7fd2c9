"""What models that rank need of a sample: ranks within its sessions, grades of relevance, weights of sessions."""

from __future__ import annotations

import numba
import numpy as np

from features.panel import Float64Array, IntArray
from models.base import FitError


def session_starts(session: IntArray) -> IntArray:
    """First row of each session, then the number of rows: (M,) non-decreasing -> (S + 1,)."""
    if len(session) == 0:
        return np.zeros(1, dtype=np.int64)
    return np.concatenate([[0], np.flatnonzero(np.diff(session)) + 1, [len(session)]]).astype(np.int64)


def session_ranks(x: Float64Array, session: IntArray) -> Float64Array:
    """(rank - ½)/n - ½ within each session, ties at their mean: (M,) -> (M,) in (-½, ½); highest is best.

    NaN     none are allowed, since they have no rank
    Source  09 §2 (csrank)
    """
    starts = session_starts(session)
    out = np.empty(len(x))
    centred_ranks(np.ascontiguousarray(x, dtype=np.float64), starts, out)
    return out / np.repeat(np.diff(starts), np.diff(starts))


def relevance(y: Float64Array, session: IntArray, bins: int) -> Float64Array:
    """Grade of each label within its session: 0 for the lowest n/bins labels, .., bins - 1 for the highest, (M,).

    Equal labels have equal grades. A session with fewer rows than bins leaves some grades out.
    Errors  FitError if the labels are constant in every session
    Source  09 §4
    """
    starts = session_starts(session)
    size = np.diff(starts)
    out = np.empty(len(y))
    centred_ranks(np.ascontiguousarray(y, dtype=np.float64), starts, out)
    if not out.any():
        raise FitError("ranking", "the labels of some session must differ", "constant labels in each")
    n = np.repeat(size, size)
    # Halves of whole numbers: a rank on the border of two grades is not moved by rounding.
    return np.asarray((2.0 * out + n) * bins // (2.0 * n), dtype=np.float64)


def session_weights(weight: Float64Array, session: IntArray) -> Float64Array:
    """The total weight of each session, given to each of its rows, with mean 1 over rows: (M,) -> (M,).

    Gradients of a ranking loss are scaled to the same size in every session however many rows it has, so that a weight
    per row has its meaning only once it is summed over the session.
    """
    starts = session_starts(session)
    total = np.repeat(np.add.reduceat(weight, starts[:-1]), np.diff(starts))
    return total / total.mean()


@numba.njit(nogil=True, cache=True)
def centred_ranks(x: Float64Array, starts: IntArray, out: Float64Array) -> None:
    """Mid-ranks within each session, less their mean, so that a constant session is all zeros."""
    for s in range(len(starts) - 1):
        a, b = starts[s], starts[s + 1]
        order = np.argsort(x[a:b])
        n, i = b - a, 0
        while i < n:
            j = i + 1
            while j < n and x[a + order[j]] == x[a + order[i]]:
                j += 1
            for k in range(i, j):
                out[a + order[k]] = 0.5 * (i + j) - 0.5 * n
            i = j
