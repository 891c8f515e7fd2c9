"""Standard errors that overlapping outcomes do not fool.

Source  08 §1, 09 §8; Newey and West 1987; fixed-b critical values: Kiefer and Vogelsang 2005
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from statsmodels.regression.linear_model import OLS

from features.panel import DataError, Float64Array


@dataclass(frozen=True)
class Mean:
    """A mean with its Newey-West standard error; t is NaN where the error is nought or cannot be told.

    critical  two-sided 5 % value of |t| that allows for the width of the lag window (fixed-b)
    """

    mean: float
    se: float
    t: float
    critical: float
    lag: int
    n: int

    @property
    def is_significant(self) -> bool:
        """|t| beyond its critical value."""
        return abs(self.t) > self.critical


def automatic_lag(n: int) -> int:
    """Lag of the Bartlett window for n observations that do not overlap: floor(4 (n / 100)^(2/9))."""
    return math.floor(4 * (n / 100) ** (2 / 9))


def overlap_lag(horizon: int, n: int) -> int:
    """Lag for n outcomes of `horizon` sessions each, one a session: 3 horizon where they overlap, else automatic.

    Never beyond n - 1, which is all that n observations can tell.
    """
    return max(min(3 * horizon if horizon > 1 else automatic_lag(n), n - 1), 0)


def fixed_b_critical(lag: int, n: int) -> float:
    """Two-sided 5 % critical value 1.96 + 2.969 b + .416 b² - .532 b³ with b = lag / n."""
    if n < 1 or not 0 <= lag < n:
        raise DataError("fixed-b critical value", "the lag must lie in [0, n)", f"lag {lag} with n {n}")
    b = lag / n
    return 1.96 + 2.969 * b + 0.416 * b**2 - 0.532 * b**3


def newey_west(x: Float64Array, lag: int) -> Mean:
    """Mean of x with a Bartlett-weighted long-run variance, autocovariances divided by n.

    x    (T,) in time order; NaN are left out, and what lies on either side of one counts as adjacent
    NaN  se and t with fewer than two values
    """
    valid = np.asarray(x, np.float64)
    valid = valid[np.isfinite(valid)]
    n = len(valid)
    if n < 2:
        return Mean(float(valid.mean()) if n else math.nan, math.nan, math.nan, math.nan, lag, n)
    critical = fixed_b_critical(lag, n)
    if np.ptp(valid) == 0:
        return Mean(float(valid[0]), 0.0, math.nan, critical, lag, n)
    settings = {"maxlags": lag, "use_correction": False}
    fitted = OLS(valid, np.ones(n)).fit(cov_type="HAC", cov_kwds=settings)
    mean, se = float(fitted.params[0]), float(fitted.bse[0])
    return Mean(mean, se, mean / se if se > 0 else math.nan, critical, lag, n)
