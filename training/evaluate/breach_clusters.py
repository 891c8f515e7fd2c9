"""Whether breaches of a value at risk come in clusters, or can be foretold.

Source  spec 04 §5; Christoffersen 1998; Engle and Manganelli 2004
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.special import chdtrc, xlogy

from features.panel import BoolArray, Float64Array
from training.evaluate.hypothesis import LEAST, HypothesisTest, too_few, untold

HIT_LAGS: Final = 4
_CELLS: Final = 1_000_000  # of rearranged hits in memory at once
_SAME: Final = 1e-9  # relative difference within which two statistics of rearrangements tie


def transitions(hit: BoolArray) -> tuple[int, int, int, int]:
    """How often no breach follows none, a breach follows none, none follows a breach, and a breach a breach."""
    before, after = hit[:-1], hit[1:]
    n11, n10 = int(np.count_nonzero(before & after)), int(np.count_nonzero(before & ~after))
    n01 = int(np.count_nonzero(~before & after))
    return len(before) - n11 - n10 - n01, n01, n10, n11


def christoffersen(n00: int, n01: int, n10: int, n11: int) -> HypothesisTest:
    """Likelihood ratio of breaches that do not depend on the session before, χ² with 1 degree of freedom.

    n01  sessions with a breach after one without, and so on
    NaN  no breach, or nothing else
    """
    n = n00 + n01 + n10 + n11
    if n < LEAST - 1:
        return too_few(n + 1)
    if n01 + n11 == 0 or n00 + n10 == 0:
        return untold(n, "no session breaches" if n01 + n11 == 0 else "every session breaches")
    found = float(_transition_ratio(*(np.array([float(count)]) for count in (n00, n01, n10, n11)))[0])
    return HypothesisTest(found, float(chdtrc(1, found)), n)


def _transition_ratio(n00: Float64Array, n01: Float64Array, n10: Float64Array, n11: Float64Array) -> Float64Array:
    def likelihood(hits: Float64Array, others: Float64Array) -> Float64Array:
        n = hits + others
        share = np.divide(hits, n, out=np.zeros_like(n), where=n > 0)
        return np.asarray(xlogy(hits, share) + xlogy(others, 1 - share))

    apart = likelihood(n01, n00) + likelihood(n11, n10) - likelihood(n01 + n11, n00 + n10)
    return np.asarray(np.maximum(2 * apart, 0.0))


def dynamic_quantile(hit: BoolArray, var: Float64Array, tail: float, lags: int = HIT_LAGS) -> HypothesisTest:
    """Wald test that breaches less their share do not depend on a constant, their own lags and the VaR.

    χ² with lags + 2 degrees of freedom, fewer where a regressor adds nothing (a VaR that never varies)
    NaN  no breach, or nothing else
    """
    n = len(hit)
    if n < LEAST:
        return too_few(n)
    if not hit.any() or hit.all():
        return untold(n, "every session breaches" if hit.all() else "no session breaches")
    statistic, rank = _dynamic(hit[None], var, tail, lags)
    return HypothesisTest(float(statistic[0]), float(chdtrc(rank[0], statistic[0])), n - lags)


def _dynamic(hit: BoolArray, var: Float64Array, tail: float, lags: int) -> tuple[Float64Array, Float64Array]:
    """The statistic of each row of hits (R, n), and the rank of its regressors, (R,).

    Regressors are a constant, the VaR about its mean, and the hits less the tail at each lag. Of products of hits only
    counts are needed, which keeps a thousand rearrangements cheap.
    """
    n = hit.shape[1]
    m = n - lags
    level = var[lags:] - var[lags:].mean()
    spread = float(np.sqrt(level @ level / m))
    level = level / spread if spread > _SAME * float(np.abs(var).max()) else np.zeros(m)
    beside = np.zeros((n, lags + 1))  # the VaR beside the hit of each lag, lag 0 first
    for k in range(lags + 1):
        beside[lags - k : n - k, k] = level
    foretold = hit.astype(np.float64) @ beside  # the VaR is about its mean: subtracting the tail changes nothing
    both = _pairs(hit, lags)
    ones = np.diagonal(both, axis1=1, axis2=2)
    above = both - tail * (ones[:, :, None] + ones[:, None, :]) + m * tail**2
    sums = ones - m * tail
    gram = np.zeros((len(hit), lags + 2, lags + 2))
    gram[:, 0, 0], gram[:, 1, 1] = m, level @ level
    gram[:, 0, 2:] = gram[:, 2:, 0] = sums[:, 1:]
    gram[:, 1, 2:] = gram[:, 2:, 1] = foretold[:, 1:]
    gram[:, 2:, 2:] = above[:, 1:, 1:]
    cross = np.concatenate([sums[:, :1], foretold[:, :1], above[:, 0, 1:]], axis=1)
    unit = np.array([1.0, 1.0, *[math.sqrt(tail * (1 - tail))] * lags])
    value, vector = np.linalg.eigh(gram / np.outer(unit, unit))
    kept = value > _SAME * m
    turned = np.einsum("rji,rj->ri", vector, cross / unit)
    explained = np.divide(turned**2, value, out=np.zeros_like(value), where=kept).sum(axis=1)
    return explained / (tail * (1 - tail)), kept.sum(axis=1).astype(np.float64)


def _pairs(hit: BoolArray, lags: int) -> Float64Array:
    """How many of the rows from `lags` on have a hit both k and l rows before, (R, lags + 1, lags + 1)."""
    n = hit.shape[1]
    out = np.empty((len(hit), lags + 1, lags + 1))
    for apart in range(lags + 1):
        both = hit[:, apart:] & hit[:, : n - apart]
        every = np.count_nonzero(both, axis=1)
        for k in range(lags + 1 - apart):
            late = k + apart
            outside = both[:, : lags - late].sum(axis=1) + both[:, n - late :].sum(axis=1)
            out[:, k, late] = out[:, late, k] = every - outside
    return out


def rearranged(
    hit: BoolArray,
    var: Float64Array,
    tail: float,
    independence: HypothesisTest,
    dynamic: HypothesisTest,
    reps: int,
    seed: int,
) -> tuple[HypothesisTest, HypothesisTest]:
    """Christoffersen's and the dynamic test with exact p-values, from `reps` random orders of the breaches.

    Breaches that nothing foretells are as likely in any order, however many there are.
    """
    rng, n = np.random.default_rng(seed), len(hit)
    step, beyond = max(1, _CELLS // n), np.ones(2)
    for done in range(0, reps, step):
        order = rng.permuted(np.broadcast_to(hit, (min(step, reps - done), n)), axis=1)
        before, after = order[:, :-1], order[:, 1:]
        n11, n01 = (before & after).sum(axis=1), (~before & after).sum(axis=1)
        n10 = before.sum(axis=1) - n11
        counts = (n - 1 - n11 - n10 - n01, n01, n10, n11)
        ratio = _transition_ratio(*(count.astype(np.float64) for count in counts))
        beyond[0] += np.count_nonzero(ratio >= independence.statistic * (1 - _SAME))
        beyond[1] += np.count_nonzero(_dynamic(order, var, tail, HIT_LAGS)[0] >= dynamic.statistic * (1 - _SAME))
    first, second = (float(count / (reps + 1)) for count in beyond)
    return (
        HypothesisTest(independence.statistic, independence.p, independence.n, first),
        HypothesisTest(dynamic.statistic, dynamic.p, dynamic.n, second),
    )
