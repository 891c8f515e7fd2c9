"""Whether a volatility model leaves anything in its standardised residuals, and whether its estimates hold over time.

Source  spec 04 §5; Ljung and Box 1978; Engle and Ng 1993; Nyblom 1989; Hansen 1992
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.integrate import quad
from scipy.special import chdtrc
from scipy.stats import kstest
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.diagnostic import acorr_ljungbox

from features.panel import DataError, Float64Array
from training.evaluate.hypothesis import LEAST, HypothesisTest, too_few, untold

_OPTIMUM: Final = 0.1  # of its standard error: how far from nought a sum of scores may end at an optimum


@dataclass(frozen=True)
class ResidualTests:
    """What is left in standardised residuals z (n,).

    level     Ljung-Box on z: autocorrelation that the mean missed
    square    Ljung-Box on z²: clustering that the variance missed; it errs to the careful side within the sample that
              the model was fitted on
    sign      what the sign and size of a shock still say of the next variance
    uniform   Kolmogorov-Smirnov on the probability transform; None without a law. In the sample of the fit it errs to
              the careful side, since the law was chosen to be near
    """

    level: HypothesisTest
    square: HypothesisTest
    sign: SignBias
    uniform: HypothesisTest | None


def residual_tests(
    z: Float64Array, *, lags: int = 10, cdf: Callable[[Float64Array], Float64Array] | None = None
) -> ResidualTests:
    """All of them; NaN are left out, and what lies on either side of one counts as adjacent.

    cdf  distribution function of the standardised innovations
    """
    z = z[np.isfinite(z)]
    uniform = None if cdf is None else uniformity(np.asarray(cdf(z), np.float64))
    return ResidualTests(ljung_box(z, lags), ljung_box(z**2, lags), sign_bias(z), uniform)


def ljung_box(x: Float64Array, lags: int = 10) -> HypothesisTest:
    """No autocorrelation of x (n,) up to a lag, χ² with `lags` degrees of freedom.

    NaN  fewer than 30 values, or than 3 a lag; values that never vary
    """
    x = x[np.isfinite(x)]
    if len(x) < max(LEAST, 3 * lags):
        return too_few(len(x), max(LEAST, 3 * lags))
    if np.ptp(x) == 0:
        return untold(len(x), "the values never vary")
    row = acorr_ljungbox(x, lags=[lags]).iloc[0]
    return HypothesisTest(float(row["lb_stat"]), float(row["lb_pvalue"]), len(x))


@dataclass(frozen=True)
class SignBias:
    """Regression of z² on what is known of the shock before: z₋₁ < 0, its size if negative, its size if positive.

    sign, negative, positive  t test of each, alone in its meaning: a variance that takes bad news as good news shows in
                              the first two
    joint                     n R², χ² with 3 degrees of freedom
    """

    sign: HypothesisTest
    negative: HypothesisTest
    positive: HypothesisTest
    joint: HypothesisTest


def sign_bias(z: Float64Array) -> SignBias:
    """Engle and Ng's tests on standardised residuals (n,).

    NaN  fewer than 30 residuals, or residuals on one side of nought
    """
    z = z[np.isfinite(z)]
    n = len(z) - 1
    before = z[:-1]
    down = (before < 0).astype(np.float64)
    few = n < LEAST
    if few or not 1 < down.sum() < n - 1 or np.ptp(z**2) == 0:
        no = too_few(len(z)) if few else untold(n, "the residuals lie on one side of nought, or never vary")
        return SignBias(no, no, no, no)
    fitted = OLS(z[1:] ** 2, np.column_stack([np.ones(n), down, down * before, (1 - down) * before])).fit()
    sign, low, high = (HypothesisTest(float(fitted.tvalues[j]), float(fitted.pvalues[j]), n) for j in (1, 2, 3))
    statistic = n * float(fitted.rsquared)
    return SignBias(sign, low, high, HypothesisTest(statistic, float(chdtrc(3, statistic)), n))


def uniformity(u: Float64Array) -> HypothesisTest:
    """Kolmogorov-Smirnov test that probabilities (n,) are spread evenly over [0, 1], exact for small samples.

    Errors  DataError for a value outside [0, 1]
    """
    u = u[np.isfinite(u)]
    if ((u < 0) | (u > 1)).any():
        raise DataError("uniformity", "probabilities must lie in [0, 1]", f"{u.min()} to {u.max()}")
    if len(u) < LEAST:
        return too_few(len(u))
    found = kstest(u, "uniform")
    return HypothesisTest(float(found.statistic), float(found.pvalue), len(u))


@dataclass(frozen=True)
class Stability:
    """Nyblom's tests that estimates do not wander, against a random walk or a break at an unknown time.

    each   a test per estimate, joint   of all
    """

    each: tuple[HypothesisTest, ...] = field(repr=False)
    joint: HypothesisTest


def nyblom(scores: Float64Array) -> Stability:
    """Stability of k estimates from the scores of each observation at the optimum, (n, k).

    The p-values are those of the limit law, a sum of k independent Cramér-von Mises variables, inverted from its
    characteristic function; Hansen's table (5 %: .470 for one, .749 for two, 1.01 for three) is a few points of it.
    NaN     fewer than 30 rows; scores that do not sum to nought (no interior optimum); estimates that move as one
    Errors  DataError for scores that are not finite
    """
    if scores.ndim != 2 or scores.shape[1] < 1 or not np.isfinite(scores).all():
        raise DataError("Nyblom", "scores must be a finite (n, estimates)", f"{scores.shape}")
    n, k = scores.shape
    if n < LEAST:
        return Stability((too_few(n),) * k, too_few(n))
    size = np.sqrt(np.square(scores).sum(axis=0))
    off = np.abs(scores.sum(axis=0)) > _OPTIMUM * size
    unit = np.divide(scores, size, out=np.zeros_like(scores), where=size > 0)
    path = np.cumsum(unit, axis=0)
    no = untold(n, "the scores do not sum to nought: the estimate is at no interior optimum")
    each = tuple(no if off[j] or size[j] == 0 else _cramer(float(np.square(path[:, j]).mean()), n, 1) for j in range(k))
    if off.any() or (size == 0).any():
        return Stability(each, no)
    information = unit.T @ unit
    if np.linalg.cond(information) > 1e10:
        return Stability(each, untold(n, "the scores of two estimates move as one"))
    joint = float(np.einsum("ti,ti->", path, np.linalg.solve(information, path.T).T)) / n
    return Stability(each, _cramer(joint, n, k))


def _cramer(statistic: float, n: int, k: int) -> HypothesisTest:
    return HypothesisTest(statistic, cramer_von_mises_tail(statistic, k), n)


def cramer_von_mises_tail(x: float, k: int) -> float:
    """Probability that a sum of k independent Cramér-von Mises variables, ∫ of squared Brownian bridges, exceeds x.

    Gil-Pelaez inversion of the characteristic function (√(2iu) / sin √(2iu))^(k/2), with u = v².
    """
    if x <= 0:
        return 1.0

    def part(v: float) -> float:
        root = complex(1, 1) * v  # √(2 i v²)
        # ln sin z with its growth taken out, which also keeps the branch of the root.
        wave = np.exp(2j * root)
        log_sine = math.log(0.5) + 0.5j * math.pi - 1j * root + np.log1p(-wave)
        value = np.exp(k / 2 * (np.log(root) - log_sine) - 1j * v * v * x)
        return float(2 * value.imag / v)

    # |characteristic function| falls as exp(-k v / 2): nothing is left beyond.
    end = (80 + 4 * k) / k + 10
    return float(min(max(0.5 + quad(part, 1e-9, end, limit=2000)[0] / math.pi, 0.0), 1.0))
