"""Convenience yields by what the curve implies, what open interest says of them, and when they tell of a shortage.

The seed's estimate stands beside the corrected one: it is what was asked for, and its faults are told where it stands.
Source  spec 04 §7.2 (FUT-05, FUT-10)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.optimize import minimize
from statsmodels.regression.linear_model import OLS

from features.operators import consecutive, flag, ts_percentile, ts_robust_z
from features.panel import BoolArray, Float64Array
from models.base import FitError

WINDOW: Final = 250
_SHARE: Final = 0.6  # of a window that must be known, as for a mean
_START: Final = (0.02, 0.01)
_RUN, _MEMORY, _HIGH, _LOW = 3, 750, 0.9, 0.1
_WHO: Final = "convenience yield"


@dataclass(frozen=True)
class LiteralFit:
    """What the seed's search found on one window: yield = p0 - p1 * oi, oi standardised over the window.

    last      the yield of the window's last row, NaN where its open interest is not known
    success   what the optimiser says of itself; it rarely does on prices of thousands, whose squares are large
    """

    p0: float
    p1: float
    last: float
    nobs: int
    success: bool


def literal_fit(
    spot: Float64Array, settlement: Float64Array, years: Float64Array, rate: Float64Array, interest: Float64Array
) -> LiteralFit:
    """The seed's two numbers for a window, by `scipy.optimize.minimize` as the seed writes it, from (.02, .01).

    All (n,): spot or near price, settlement of the contract, years to its maturity, r_f per year, open interest. Two
    constants make the yield a function of open interest alone, and squares of prices weigh dear dates most.
    Errors  FitError for fewer than 3 rows, or open interest that does not vary
    """
    known = np.isfinite(np.column_stack([spot, settlement, years, rate, interest])).all(axis=1)
    if np.count_nonzero(known) < 3:
        raise FitError(_WHO, "it needs 3 rows with all of its inputs", f"{np.count_nonzero(known)}")
    s, f, t, r = spot[known], settlement[known], years[known], rate[known]
    spread = float(np.std(interest[known], ddof=1))
    if spread <= 1e-12 * float(np.abs(interest[known]).max()):
        raise FitError(_WHO, "open interest must vary", "a constant")
    oi = (interest - interest[known].mean()) / spread

    def objective(params: Float64Array) -> float:
        p0, p1 = params
        convenience_yield = p0 - p1 * oi[known]
        model_price = s * np.exp((r - convenience_yield) * t)
        return float(np.sum((model_price - f) ** 2))

    # Far from the answer the exponent may overflow: the search steps back from there by itself.
    with np.errstate(over="ignore", invalid="ignore"):
        found = minimize(objective, x0=list(_START))
    p0, p1 = (float(one) for one in found.x)
    return LiteralFit(p0, p1, p0 - p1 * float(oi[-1]), int(np.count_nonzero(known)), bool(found.success))


def literal_yield(
    spot: Float64Array,
    settlement: Float64Array,
    years: Float64Array,
    rate: Float64Array,
    interest: Float64Array,
    window: int = WINDOW,
    last: int | None = None,
) -> Float64Array:
    """The seed's yield of each date by the window that ends with it, (T,); a search a date, some milliseconds each.

    last    only so many dates at the end, NaN before: what an increment needs
    NaN     fewer than .6 of the window known, the date's own inputs missing, open interest without variation
    """
    inputs = np.column_stack([spot, settlement, years, rate, interest])
    known: BoolArray = np.asarray(np.isfinite(inputs).all(axis=1))
    out = np.full(len(inputs), np.nan)
    for t in range(0 if last is None else max(0, len(inputs) - last), len(inputs)):
        part = slice(max(0, t + 1 - window), t + 1)
        oi = interest[part][known[part]]
        if known[t] and len(oi) >= np.ceil(_SHARE * window) and np.ptp(oi) > 1e-9 * np.abs(oi).max():
            out[t] = literal_fit(*(column[part] for column in inputs.T)).last
    return out


def implied_yield(
    near: Float64Array,
    far: Float64Array,
    years_near: Float64Array | float,
    years_far: Float64Array,
    rate: Float64Array | float,
) -> Float64Array:
    """r_f - ln(far / near) / (T_far - T_near), net of storage, per year; any shapes that broadcast.

    near may be the spot price, of 0 years.
    NaN     a price that is not positive, maturities that do not rise
    """
    gap = np.asarray(years_far - years_near, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        sound = (near > 0) & (far > 0) & (gap > 0)
        return np.asarray(np.where(sound, rate - np.log(far / near) / gap, np.nan), dtype=np.float64)


@dataclass(frozen=True)
class InterestEffect:
    """Regression of implied yields on open interest: yield = a + b * zr(OI) + c' X + e.

    params, errors, t   a, b and the controls by name; errors by Newey and West
    p1                  -b: the seed assumes that it is 0 or more; p_value is that of b = 0 on both sides
    """

    params: Mapping[str, float]
    errors: Mapping[str, float]
    t: Mapping[str, float]
    p_value: float
    r_squared: float
    nobs: int
    lags: int

    @property
    def p1(self) -> float:
        """How much the yield falls when open interest rises by one robust standard deviation."""
        return -self.params["b"]


def standard_interest(interest: Float64Array, window: int = WINDOW) -> Float64Array:
    """Robust z of open interest over a trailing window, (T,) -> (T,)."""
    return ts_robust_z(np.ascontiguousarray(interest[:, None]), window)[:, 0]


def interest_effect(
    delta: Float64Array,
    interest_z: Float64Array,
    controls: Mapping[str, Float64Array] | None = None,
    gap: Float64Array | None = None,
    lags: int | None = None,
) -> InterestEffect:
    """What open interest says of the implied yield, with errors that allow for both to linger.

    delta, interest_z  (T,); rows with a missing value do not count
    gap     (T,) T_far - T_near: weights its square, which is the seed's search in log prices instead of prices
    lags    of Newey and West; 4 (n / 100)^(2/9) else
    Errors  FitError for fewer rows than ten a parameter, or regressors that say the same
    """
    named = {"b": interest_z, **(controls or {})}
    columns = [np.ones(len(delta)), *named.values()]
    weight = np.ones(len(delta)) if gap is None else gap
    table = np.column_stack([delta, weight, *columns])
    table = table[np.isfinite(table).all(axis=1)]
    n, k = len(table), len(columns)
    if n < 10 * k:
        raise FitError(_WHO, f"it needs {10 * k} rows with all of its columns", f"{n}")
    scaled = table[:, 2:] / np.maximum(np.abs(table[:, 2:]).max(axis=0), 1e-300)
    if np.linalg.matrix_rank(scaled) < k:
        raise FitError(_WHO, "its columns must each say something of their own", "columns that are combinations")
    used = int(4 * (n / 100) ** (2 / 9)) if lags is None else lags
    y, x = table[:, 0] * table[:, 1], table[:, 2:] * table[:, 1:2]
    fit = OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": used, "use_correction": True})
    names = ("a", *named)
    around = y - table[:, 1] * np.average(table[:, 0], weights=table[:, 1] ** 2)
    return InterestEffect(
        dict(zip(names, fit.params.tolist(), strict=True)),
        dict(zip(names, fit.bse.tolist(), strict=True)),
        dict(zip(names, fit.tvalues.tolist(), strict=True)),
        float(fit.pvalues[1]),
        float(1 - fit.ssr / (around @ around)),
        n,
        used,
    )


@dataclass(frozen=True)
class ShortageSigns:
    """FUT-10, (T,) each: 1 where it holds, 0 where not, NaN where it is not known.

    literal   the seed's: the yield below 0 on three sessions running; it says "shortage" and means a glut
    shortage  above the rate and in the highest tenth of 750 sessions, on three running: stocks are short
    glut      in the lowest tenth, on three running
    """

    literal: Float64Array = field(repr=False)
    shortage: Float64Array = field(repr=False)
    glut: Float64Array = field(repr=False)


def shortage_signs(delta: Float64Array, rate: Float64Array | float) -> ShortageSigns:
    """What three sessions of convenience yields running say, (T,) -> (T,).

    Source  04 §7.2; Working, Kaldor, Brennan; Fama and French 1987: who is short of stocks pays to have them now, so a
            shortage is a high yield and backwardation
    """
    yields = np.ascontiguousarray(delta[:, None])
    rates = np.broadcast_to(rate, delta.shape)[:, None]
    rank = ts_percentile(yields, _MEMORY)
    with np.errstate(invalid="ignore"):
        below = flag(yields < 0, yields)
        high = flag((rank > _HIGH) & (yields > rates), rank, rates)
        low = flag(rank < _LOW, rank)
    return ShortageSigns(*(_running(condition, yields) for condition in (below, high, low)))


def _running(condition: Float64Array, yields: Float64Array) -> Float64Array:
    """Whether it held on the last three sessions with a yield; unknown where it is unknown on the session itself."""
    # A session with a yield whose rank is not known yet ends a run; one without a yield is skipped.
    told = np.where(np.isfinite(yields), np.nan_to_num(condition), np.nan)
    return np.asarray(np.where(np.isfinite(condition), consecutive(told, _RUN), np.nan)[:, 0])
