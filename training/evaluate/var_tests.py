"""Whether value at risk and expected shortfall held what they promised.

VaR and ES are positive where they are losses; a session breaches where its return lies below -VaR. The tail share is
one less the level: .01 at 99 %.
Source  spec 04 §5; Kupiec 1995; Christoffersen 1998; Engle and Manganelli 2004; Acerbi and Székely 2014
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import chdtrc, xlogy
from scipy.stats import binom

from features.panel import DataError, Float64Array, IntArray
from training.evaluate.breach_clusters import christoffersen, dynamic_quantile, rearranged, transitions
from training.evaluate.hypothesis import LEAST, HypothesisTest, too_few, untold

# Quantile function of the standardised returns that a model assumes: shares (m,) -> (m,).
Law = Callable[[Float64Array], Float64Array]
Verdict = Literal[
    "too many breaches", "too few breaches", "clustered", "shortfall too small", "fine", "too few to tell"
]

_POOL: Final = 8192  # points of the tail from which losses are drawn
_SAME: Final = 1e-9  # relative difference within which two ratios tie


@dataclass(frozen=True)
class VarBacktest:
    """One model's VaR and ES at one level over n sessions.

    expected      breaches that the level promises
    coverage      Kupiec: as many breaches as promised; exact by the binomial law
    independence  Christoffersen: a breach says nothing of the next session's; exact by rearrangement
    conditional   Christoffersen: both at once
    dynamic       Engle and Manganelli: neither past breaches nor the VaR itself foretell a breach; exact by
                  rearrangement, which leaves out the number of breaches
    z2            Acerbi and Székely: 0 where ES is right, negative where losses beyond VaR are more or larger
    z2_critical   5 % value (or as asked) of z2 under the law; NaN without a law
    z2_p          share of z2 under the law that lie no higher
    left_out      sessions without a return, a VaR or an ES
    """

    level: float
    n: int
    breaches: int
    expected: float
    coverage: HypothesisTest
    independence: HypothesisTest
    conditional: HypothesisTest
    dynamic: HypothesisTest
    z2: float
    z2_critical: float
    z2_p: float
    verdict: Verdict
    left_out: int

    @property
    def rate(self) -> float:
        """Breaches per session."""
        return self.breaches / self.n if self.n else math.nan


def backtest(
    returns: Float64Array,
    var: Float64Array,
    es: Float64Array,
    level: float,
    *,
    law: Law | None = None,
    size: float = 0.05,
    reps: int = 999,
    seed: int,
) -> VarBacktest:
    """All tests of one-session VaR and ES, and a verdict in words.

    returns, var, es  (n,) of the same session; rows that lack one are left out, and what lies on either side of one
                      counts as adjacent
    level             of the VaR, e.g. .99
    law               of the standardised returns: for the critical value of the shortfall's test
    size              of each question; the two tests of clustering share one. A model that is right is called
                      otherwise in about twice as many cases, for there are two questions, or three with a law
    reps              rearrangements of the breaches for the exact p-values; 0: none, and the limit law judges. At 99 %
                      the limit law of the dynamic test rejects 10 % of right models at a size of 5 %
    """
    tail = _tail(level)
    told = np.isfinite(returns) & np.isfinite(var) & np.isfinite(es)
    r, v, e = returns[told], var[told], es[told]
    n, left_out = len(r), len(returns) - len(r)
    hit = r < -v
    x = int(np.count_nonzero(hit))
    if n < LEAST:
        no = too_few(n)
        nothing = (math.nan,) * 3
        return VarBacktest(level, n, x, tail * n, no, no, no, no, *nothing, "too few to tell", left_out)
    coverage = kupiec(x, n, tail)
    independence, dynamic = christoffersen(*transitions(hit)), dynamic_quantile(hit, v, tail)
    conditional = conditional_coverage(coverage, independence)
    if reps and 0 < x < n:
        independence, dynamic = rearranged(hit, v, tail, independence, dynamic, reps, seed)
    z2 = acerbi_szekely(r, v, e, tail)
    critical, p = math.nan, math.nan
    if law is not None:
        null = z2_under(law, tail, n, reps=10_000, seed=seed)
        critical, p = float(np.quantile(null, size)), float((1 + np.count_nonzero(null <= z2)) / (len(null) + 1))
    verdict = _verdict(x, n, tail, coverage, independence, dynamic, p, size)
    return VarBacktest(
        level, n, x, tail * n, coverage, independence, conditional, dynamic, z2, critical, p, verdict, left_out
    )


def _verdict(
    x: int,
    n: int,
    tail: float,
    coverage: HypothesisTest,
    independence: HypothesisTest,
    dynamic: HypothesisTest,
    shortfall: float,
    size: float,
) -> Verdict:
    if coverage.rejects(size):
        return "too many breaches" if x > tail * n else "too few breaches"
    if independence.rejects(size / 2) or dynamic.rejects(size / 2):
        return "clustered"
    if shortfall < size:
        return "shortfall too small"
    # Where not even a sample without a breach would be too few, no number of them says that the model is right.
    return "fine" if kupiec(0, n, tail).rejects(size) else "too few to tell"


def kupiec(breaches: int, n: int, tail: float) -> HypothesisTest:
    """Likelihood ratio of the promised share of breaches against the share found, χ² with 1 degree of freedom.

    exact  probability, under the binomial law, of all numbers of breaches that are no likelier by this ratio
    """
    if not 0 <= breaches <= n or not 0 < tail < 1:
        raise DataError("Kupiec", "breaches must lie in [0, n] and the tail in (0, 1)", f"{breaches} of {n}, {tail}")
    if n < LEAST:
        return too_few(n)
    count = np.arange(n + 1)
    ratio = _coverage_ratio(count, n, tail)
    found = float(ratio[breaches])
    exact = float(binom.pmf(count, n, tail)[ratio >= found * (1 - _SAME)].sum())
    return HypothesisTest(found, float(chdtrc(1, found)), n, min(exact, 1.0))


def _coverage_ratio(x: IntArray, n: int, tail: float) -> Float64Array:
    promised = xlogy(x, tail) + xlogy(n - x, 1 - tail)
    return np.asarray(np.maximum(2 * (xlogy(x, x / n) + xlogy(n - x, 1 - x / n) - promised), 0.0))


def conditional_coverage(coverage: HypothesisTest, independence: HypothesisTest) -> HypothesisTest:
    """Both ratios together, χ² with 2 degrees of freedom."""
    for part in (coverage, independence):
        if part.reason:
            return untold(part.n, part.reason)
    found = coverage.statistic + independence.statistic
    return HypothesisTest(found, float(chdtrc(2, found)), coverage.n)


def acerbi_szekely(returns: Float64Array, var: Float64Array, es: Float64Array, tail: float) -> float:
    """Z₂ = 1 + Σ r 1(r < -VaR) / (n tail ES): the losses beyond VaR, over what ES says that they are.

    1 where nothing breaches, 0 expected where VaR and ES are right; -.7 is the 5 % value at n 250, tail 2.5 %
    Errors  DataError for an ES that is not positive: then it is no loss that Z₂ could be a share of
    """
    if (es <= 0).any():
        row = int(np.flatnonzero(es <= 0)[0])
        raise DataError("Acerbi-Székely", "expected shortfall must be positive", f"{es[row]}", f"row {row}")
    lost = np.divide(returns, es, out=np.zeros(len(returns)), where=returns < -var)
    return 1 + float(lost.sum()) / (len(returns) * tail)


def z2_under(law: Law, tail: float, n: int, *, reps: int = 10_000, seed: int) -> Float64Array:
    """Z₂ of n sessions of a model that is right, `reps` times, (reps,): returns of mean 0 that follow the law.

    law  quantiles of the standardised returns; only those below the tail are asked for
    """
    rng = np.random.default_rng(seed)
    pool = np.asarray(law((np.arange(_POOL) + 0.5) / _POOL * tail), np.float64)
    if not (np.isfinite(pool).all() and pool.mean() < 0):
        raise DataError("Acerbi-Székely", "the law's tail must be finite losses", f"a mean of {pool.mean()}")
    # Only sessions beyond VaR count, so only these are drawn.
    breaches = rng.binomial(n, tail, reps)
    drawn = pool[rng.integers(_POOL, size=int(breaches.sum()))]
    total = np.bincount(np.repeat(np.arange(reps), breaches), weights=drawn, minlength=reps)
    return np.asarray(1 - total / (n * tail * pool.mean()))


def _tail(level: float) -> float:
    if not 0.5 < level < 1:
        raise DataError("VaR backtest", "the level must lie in (0.5, 1)", f"{level}")
    return 1 - level
