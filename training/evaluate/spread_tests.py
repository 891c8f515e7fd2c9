"""Whether forecasts of a spread's return are worth more than none: R² out of sample, direction, rank, half-lives.

An outcome of h sessions at every session overlaps its neighbours: all errors here allow for it (Newey-West, lag 3 h,
fixed-b critical values).
Source  spec 04 §6.2; Clark and West 2007; Diebold and Mariano 1995; Pesaran and Timmermann 1992, 2009
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy import stats
from statsmodels.regression.linear_model import OLS

from features.panel import BoolArray, DataError, Float64Array
from training.evaluate.forecast_tests import diebold_mariano
from training.evaluate.hypothesis import LEAST, HypothesisTest, too_few, untold
from training.evaluate.significance import Mean, fixed_b_critical, newey_west, overlap_lag, p_value

HALF_LIVES: Final = (2.0, 60.0)  # sessions that a pair may take to go half the way back


@dataclass(frozen=True)
class OutOfSample:
    """How much less a model's forecasts are off than a base's; p are one-sided, small: the model is better.

    r2        1 - sum of squared errors over the base's
    nested    the base is the model with some parameters at nought: the test is Clark and West's, which takes off what
              estimating them costs; else it is Diebold and Mariano's
    t, p      of that test
    reason    why there is none
    """

    r2: float
    n: int
    nested: bool
    t: float
    p: float
    reason: str = ""

    @property
    def is_better(self) -> bool:
        """Whether the model beats the base at 5 %."""
        return self.p < 0.05


def out_of_sample(
    outcome: Float64Array, forecast: Float64Array, base: Float64Array | None, horizon: int, *, nested: bool
) -> OutOfSample:
    """Compare forecasts (n,) with a base's on the rows that have both and the outcome.

    base    None for a forecast of nought, which is nested in any model
    NaN     fewer than 30 rows: no test; a base without an error: no r2
    Errors  DataError for arrays that do not match
    """
    other = np.zeros(len(outcome)) if base is None else base
    y, f, b = _common(horizon, outcome, forecast, other)
    n = len(y)
    loss, base_loss = (y - f) ** 2, (y - b) ** 2
    r2 = 1 - float(loss.sum() / base_loss.sum()) if n and base_loss.sum() > 0 else math.nan
    if n < LEAST:
        return OutOfSample(r2, n, nested, math.nan, math.nan, too_few(n).reason)
    if not nested:
        found = diebold_mariano(base_loss, loss, horizon)
        return OutOfSample(r2, n, nested, found.statistic, _one_sided(found.p, found.statistic), found.reason)
    # Clark and West: the adjusted difference is 2 (y - b) (f - b); its mean is nought where f - b is but noise.
    gain = newey_west(base_loss - (loss - (f - b) ** 2), overlap_lag(horizon, n))
    reason = "" if math.isfinite(gain.t) else "the two never differ"
    return OutOfSample(r2, n, nested, gain.t, _one_sided(p_value(gain), gain.t), reason)


@dataclass(frozen=True)
class Direction:
    """How often the sign of the forecast is that of the outcome.

    n         rows on which neither is nought
    accuracy  share of them with the same sign
    expected  the share that two signs as frequent as these would have if they had nothing to do with each other
    classic   Pesaran and Timmermann 1992, for outcomes that do not overlap
    robust    t of the slope of the outcome's sign on the forecast's, Newey-West: outcomes may overlap (as 2009)
    """

    n: int
    accuracy: float
    expected: float
    classic: HypothesisTest
    robust: HypothesisTest


def direction(outcome: Float64Array, forecast: Float64Array, horizon: int) -> Direction:
    """Pesaran and Timmermann's test on forecasts (n,); p are one-sided, small: the direction is foretold.

    NaN     fewer than 30 rows; a forecast or an outcome that has one sign only has no test
    """
    y, f = _common(horizon, outcome, forecast)
    told = (y != 0) & (f != 0)
    up, said = y[told] > 0, f[told] > 0
    n = len(up)
    if not n:
        return Direction(0, math.nan, math.nan, too_few(0), too_few(0))
    right, py, px = float((up == said).mean()), float(up.mean()), float(said.mean())
    expected = py * px + (1 - py) * (1 - px)
    if n < LEAST:
        return Direction(n, right, expected, too_few(n), too_few(n))
    if min(py, 1 - py, px, 1 - px) == 0:
        why = untold(n, f"every {'outcome' if py in (0, 1) else 'forecast'} has the same sign")
        return Direction(n, right, expected, why, why)
    of_rate = expected * (1 - expected) / n
    of_expected = (
        (2 * py - 1) ** 2 * px * (1 - px) / n
        + (2 * px - 1) ** 2 * py * (1 - py) / n
        + 4 * py * px * (1 - py) * (1 - px) / n**2
    )
    statistic = (right - expected) / math.sqrt(of_rate - of_expected)
    classic = HypothesisTest(statistic, float(stats.norm.sf(statistic)), n)
    return Direction(n, right, expected, classic, _slope(up, said, horizon))


def _slope(up: BoolArray, said: BoolArray, horizon: int) -> HypothesisTest:
    n = len(up)
    if (up == said).all() or (up != said).all():
        return untold(n, "every sign is right" if up[0] == said[0] else "every sign is wrong")
    lag = overlap_lag(horizon, n)
    table = np.column_stack([np.ones(n), said.astype(np.float64)])
    settings = {"maxlags": lag, "use_correction": False}
    fitted = OLS(up.astype(np.float64), table).fit(cov_type="HAC", cov_kwds=settings)
    slope, error = float(fitted.params[1]), float(fitted.bse[1])
    if not error > 0:
        return untold(n, "the error of the slope is nought")
    found = Mean(slope, error, slope / error, fixed_b_critical(lag, n), lag, n)
    return HypothesisTest(found.t, _one_sided(p_value(found), found.t), n)


@dataclass(frozen=True)
class TimeIc:
    """Correlation over time of a forecast with its outcome.

    mean  of the influences of the rows, whose mean is the correlation: its Newey-West error, t and 95 % interval
    p     two-sided
    """

    ic: float
    mean: Mean
    p: float
    n: int


def time_ic(
    outcome: Float64Array, forecast: Float64Array, horizon: int, *, method: Literal["rank", "pearson"] = "rank"
) -> TimeIc:
    """Correlation (of mid-ranks, or of the values) over the rows that have both.

    NaN     fewer than 30 rows, or one of the two never varies
    """
    y, f = _common(horizon, outcome, forecast)
    n = len(y)
    if method == "rank":
        y, f = stats.rankdata(y), stats.rankdata(f)
    if n < LEAST or np.ptp(y) == 0 or np.ptp(f) == 0:
        nothing = Mean(math.nan, math.nan, math.nan, math.nan, 0, n)
        return TimeIc(math.nan, nothing, math.nan, n)
    u, v = (y - y.mean()) / y.std(), (f - f.mean()) / f.std()
    ic = float((u * v).mean())
    influence = ic + u * v - ic * (u**2 + v**2) / 2
    mean = newey_west(np.asarray(influence, np.float64), overlap_lag(horizon, n))
    return TimeIc(ic, mean, p_value(mean), n)


@dataclass(frozen=True)
class HalfLifeStability:
    """Whether a pair goes back as fast at one time as at another.

    n            refits
    reverting    share of them that find the spread to revert at all
    inside       share of them with a half-life in the range that a pair may have
    median, low, high  of the half-lives that are finite: quartiles at the ends
    homogeneous  Cochran's Q of the coefficients of windows that do not overlap against one common value: a small p
                 says that they differ by more than their errors
    """

    n: int
    reverting: float
    inside: float
    median: float
    low: float
    high: float
    homogeneous: HypothesisTest


def half_life_stability(
    half_life: Float64Array,
    *,
    phi: Float64Array | None = None,
    error: Float64Array | None = None,
    stride: int = 1,
    allowed: tuple[float, float] = HALF_LIVES,
) -> HalfLifeStability:
    """Stability of the half-lives (R,) of successive refits; NaN or inf where a refit finds no reversion.

    phi, error  (R,) coefficient of one session and its standard error; without them nothing is tested
    stride      refits from one window to the next that shares no session with it
    """
    n = len(half_life)
    if stride < 1 or any(one is not None and one.shape != (n,) for one in (phi, error)):
        raise DataError("half-life", "phi and error must match the half-lives, stride be positive", f"{n}, {stride}")
    finite = np.isfinite(half_life) & (half_life > 0)
    inside = finite & (half_life >= allowed[0]) & (half_life <= allowed[1])
    quartiles = np.quantile(half_life[finite], [0.25, 0.5, 0.75]) if finite.any() else np.full(3, np.nan)
    shares = (float(finite.mean()), float(inside.mean())) if n else (math.nan, math.nan)
    test = untold(0, "no standard errors") if phi is None or error is None else _cochran(phi[::stride], error[::stride])
    return HalfLifeStability(n, *shares, float(quartiles[1]), float(quartiles[0]), float(quartiles[2]), test)


def _cochran(value: Float64Array, error: Float64Array) -> HypothesisTest:
    known = np.isfinite(value) & np.isfinite(error) & (error > 0)
    k = int(known.sum())
    if k < 2:
        return untold(k, f"{k} windows apart with a standard error, fewer than 2")
    weight = 1 / error[known] ** 2
    away = value[known] - weight @ value[known] / weight.sum()
    statistic = float(weight @ away**2)
    return HypothesisTest(statistic, float(stats.chi2.sf(statistic, k - 1)), k)


def _one_sided(p: float, t: float) -> float:
    """Of a two-sided p-value: small where t is large and positive."""
    return p / 2 if t > 0 else 1 - p / 2


def _common(horizon: int, *each: Float64Array) -> list[Float64Array]:
    """The rows on which all are known."""
    shapes = {one.shape for one in each}
    if len(shapes) != 1 or each[0].ndim != 1 or horizon < 1:
        raise DataError("spread forecasts", "arrays must be (n,) alike, horizon 1 or more", f"{shapes}, {horizon}")
    told = np.logical_and.reduce([np.isfinite(one) for one in each])
    return [np.asarray(one[told], np.float64) for one in each]
