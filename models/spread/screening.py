"""Which pairs of products have a relation that holds: cointegration tests on training data, many pairs at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.linalg import eigh
from statsmodels.stats.multitest import multipletests
from statsmodels.tsa.stattools import coint

from features.panel import Float64Array
from models.base import FitError
from models.spread.base import Legs, require_rows
from models.spread.ou import Ou

# Product y, product x. Source  spec 04 §6.1
CATALOGUE: Final[tuple[tuple[str, str], ...]] = (
    ("SC", "FU"),
    ("SC", "LU"),
    ("FU", "LU"),
    ("RB", "HC"),
    ("I", "RB"),
    ("J", "JM"),
    ("M", "RM"),
    ("Y", "P"),
    ("Y", "OI"),
    ("CU", "AL"),
    ("AU", "AG"),
    ("TA", "EG"),
    ("IF", "IH"),
    ("IC", "IM"),
    ("T", "TF"),
    ("T", "TL"),
)
_LEAST: Final = 120
_MOST_LAGS: Final = 10  # of the residual's test, found by BIC
# At 5 %, of no relation between two series without a drift, a constant in the relation alone.
# Source  MacKinnon, Haug and Michelis 1999, case II
JOHANSEN_CRITICAL: Final = 20.26184


@dataclass(frozen=True)
class Screening:
    """What a pair must show.

    level      of the family's false discoveries by Benjamini and Hochberg, over the p-values of Engle and Granger
    half_life  least and most sessions, corrected for the bias of a relation that was fitted
    johansen   whether the trace test must reject at 5 % as well that there is no relation
    Source     spec 04 §6.1
    """

    level: float = 0.05
    half_life: tuple[float, float] = (2.0, 60.0)
    johansen: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not 0 <= self.half_life[0] < self.half_life[1]:
            must = "the level must lie in (0, 1), and half-lives rise from nought"
            raise FitError("screening", must, f"{self.level} and {self.half_life}")


@dataclass(frozen=True)
class Screened:
    """What the tests say of ln y = α + β ln x + u.

    p, q        of Engle and Granger alone, and among all pairs; NaN where the pair could not be tested
    trace, critical  Johansen's statistic of no relation, and its 5 % value
    half_life   sessions, corrected; inf where nothing returns
    reason      why it is no candidate, empty where it is one
    """

    y: str
    x: str
    nobs: int
    p: float
    q: float
    trace: float
    critical: float
    beta: float
    half_life: float
    reason: str

    @property
    def is_candidate(self) -> bool:
        """Whether it passed."""
        return not self.reason


def screen(pairs: Mapping[tuple[str, str], Legs], rule: Screening | None = None) -> tuple[Screened, ...]:
    """Test every pair on the rows that it is given, which must be training data; in the order of the pairs."""
    rule = rule or Screening()
    tested = [_tested(y, x, legs) for (y, x), legs in pairs.items()]
    told = [i for i, one in enumerate(tested) if math.isfinite(one.p)]
    q = np.full(len(tested), math.nan)
    if told:
        q[told] = multipletests([tested[i].p for i in told], method="fdr_bh")[1]
    judged = [replace(one, q=float(value)) for one, value in zip(tested, q, strict=True)]
    return tuple(replace(one, reason=one.reason or _reason(one, rule)) for one in judged)


def _tested(y: str, x: str, legs: Legs) -> Screened:
    known = legs.both
    nan = math.nan
    blank = Screened(y, x, int(np.count_nonzero(known)), nan, nan, nan, nan, nan, nan, "")
    who = f"pair {y} {x}"
    try:
        require_rows(who, blank.nobs, _LEAST)
        if legs.fresh is not None and legs.fresh[known][1:].any():
            raise FitError(who, "products are screened on roll-adjusted series", "a roll between contracts")
        fitted = Ou(hedge=None).fit(legs)
    except FitError as refusal:
        return replace(blank, reason=f"{refusal.must}; found {refusal.found}")
    one, other = legs.y[known], legs.x[known]
    p = float(coint(one, other, trend="c", maxlag=_MOST_LAGS, autolag="bic")[1])
    return replace(
        blank,
        p=p,
        trace=johansen_trace(one, other),
        critical=JOHANSEN_CRITICAL,
        beta=fitted.params["beta"],
        half_life=fitted.half_life,
    )


def johansen_trace(y: Float64Array, x: Float64Array, lags: int = 1) -> float:
    """Trace statistic against no relation between two log prices, both (T,), with a constant in the relation alone.

    Prices have no drift that is worth a term. The test of statsmodels has one, and critical values that suppose it: on
    walks without a drift it finds a relation at 5 % in 13 of 100.
    lags    changes of both that are allowed for
    Source  Johansen 1991
    """
    r0, r1 = canonical_parts(y, x, lags)
    n = len(r0)
    across, own = r0.T @ r1 / n, r1.T @ r1 / n
    shared = across.T @ np.linalg.solve(r0.T @ r0 / n, across)
    roots = np.sort(eigh(shared, own, eigvals_only=True))[::-1][:2]
    return float(-n * np.sum(np.log1p(-roots)))


def canonical_parts(y: Float64Array, x: Float64Array, lags: int) -> tuple[Float64Array, Float64Array]:
    """Changes (n, 2), and levels before them with a constant (n, 3), less what `lags` earlier changes explain."""
    level = np.column_stack([y - y.mean(), x - x.mean()]) / max(float(np.std(np.diff(x))), 1e-300)
    change = np.diff(level, axis=0)
    rows = np.arange(lags, len(change))
    r0, r1 = change[rows], np.column_stack([level[rows], np.ones(len(rows))])
    if lags == 0:
        return r0, r1
    before = np.column_stack([change[rows - k] for k in range(1, lags + 1)])
    basis = np.linalg.qr(before)[0]
    return r0 - basis @ (basis.T @ r0), r1 - basis @ (basis.T @ r1)


def _reason(one: Screened, rule: Screening) -> str:
    if not one.q < rule.level:
        return f"Engle-Granger: q {one.q:.3f} (p {one.p:.3f}) is not below {rule.level:g}"
    if rule.johansen and not one.trace > one.critical:
        return f"Johansen: trace {one.trace:.2f} is not above {one.critical:.2f}"
    low, high = rule.half_life
    if not low <= one.half_life <= high:
        return f"half-life {one.half_life:.1f} is not in {low:g} to {high:g} sessions"
    return ""
