"""Heterogeneous autoregression of the log range variance, direct for each horizon (Corsi 2009)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from statsmodels.regression.linear_model import OLS

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.volatility.base import FittedVolatility, Forecasts, Path, Returns, VolatilitySpec
from models.volatility.ewma import Ewma, sample_moments
from models.volatility.innovations import dof_told, fitted_dof, law_of, log_likelihood, quantile, tail_mean, told_dof
from models.volatility.path_kernels import har_paths
from models.volatility.range_floor import floor_of, range_variance

WEEK, MONTH = 5, 22
TERMS: Final = ("constant", "day", "week", "month", "day_fell")
_SPARE: Final = 50  # rows of the longest horizon's regression


@dataclass(frozen=True)
class Har:
    """ln mean(RV of the next h) on ln RV of the day, the week and the month, and on the day's where the return fell.

    RV is the range variance, scaled so that its mean is that of the squared returns about their mean.

    leverage    whether there is a term for the day where the return fell
    longest     horizons 1 to this one have an equation each
    innovation  what quantiles are of: t has the degrees of freedom that make the standardised residuals most likely
    Source      spec 04 §5; Corsi (2009), Corsi & Renò (2012)
    """

    kind: ClassVar[str] = "har"
    needs: ClassVar[tuple[str, ...]] = ("range_variance",)

    leverage: bool = True
    longest: int = 60
    innovation: Literal["normal", "t"] = "t"

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise FitError("model har", "longest must be a session or more", f"{self.longest}")

    @property
    def least(self) -> int:
        """A month to look back on, the longest horizon to look ahead on, and rows to regress on."""
        return MONTH - 1 + self.longest + _SPARE

    def fit(self, returns: Returns, start: FittedVolatility | None = None) -> FittedHar:
        """Least squares for each horizon; `start` changes nothing."""
        del start
        who = f"model {self.kind}"
        mean, variance = sample_moments(who, returns, self.least)
        x = range_variance(who, returns)
        floor = floor_of(who, x)
        rv_mean = float(np.mean(np.maximum(x, floor)))
        log_mean = _log_means(x, floor, rv_mean, self.longest)
        found, s2 = _regress(_design(returns, floor, rv_mean, self.leverage)[MONTH - 1 :], log_mean[MONTH - 1 :])
        beta = np.zeros((self.longest, len(TERMS)))
        beta[:, : found.shape[1]] = found
        zeros = int(np.count_nonzero(x < floor))
        fitted = FittedHar(self, mean, variance, floor, rv_mean, zeros, beta, s2, np.inf, np.nan, len(x) - MONTH)
        return fitted._with_innovations(returns)

    def simpler(self) -> VolatilitySpec | None:
        """Without ranges: an EWMA of the squared returns."""
        return Ewma()

    def space(self, trial: Trial) -> Self:
        """With the term for falls or without."""
        return replace(self, leverage=trial.suggest_categorical("leverage", [True, False]))


@dataclass(frozen=True)
class FittedHar:
    """A HAR of one series. Its terms are on RV over its mean, which scale leaves alone.

    mean, variance   of the returns of the fit; variance is what RV of its mean stands for
    floor, rv_mean   least range variance, and their mean, in the units of range variances
    floored          sessions of the fit below the floor, e.g. locked at the limit
    beta             (longest, 5) constant, day, week, month, day where the return fell, a row per horizon
    residual_variance  (longest,)
    nobs             rows of the equation of the next session; the standardised residuals that loglik counts
    """

    kind: ClassVar[str] = "har"
    converged: ClassVar[bool] = True
    # Each horizon has its own equation: there is no one recursion whose shocks die out.
    persistence: ClassVar[float] = float("nan")

    spec: Har
    mean: float
    variance: float
    floor: float
    rv_mean: float
    floored: int
    beta: Float64Array = field(repr=False)
    residual_variance: Float64Array = field(repr=False)
    dof: float
    loglik: float
    nobs: int

    @property
    def params(self) -> Mapping[str, float]:
        """Mean, and the equation of the next session."""
        terms = TERMS if self.spec.leverage else TERMS[:-1]
        told = {name: float(b) for name, b in zip(terms, self.beta[0], strict=False)}
        return {"mu": self.mean, **told, "s2": float(self.residual_variance[0])}

    def filter(self, returns: Returns) -> Path:
        """Means and variances of the returns; variances are NaN until there is a month to look back on."""
        h = np.full(len(returns) + 1, np.nan)
        h[1:] = self._level(returns, np.array([1]))[:, 0]
        return Path(np.full(len(h), self.mean), h)

    def forecast(self, returns: Returns, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """By the equation of each horizon; FitError where a horizon is longer than the longest."""
        if not 1 <= min(horizons) <= max(horizons) <= self.spec.longest:
            must = f"horizons must lie in 1 to {self.spec.longest}"
            raise FitError("model har", must, f"{tuple(horizons)}", help="set params.longest of the model")
        ahead = np.asarray(horizons, dtype=np.float64)
        level = self._level(returns, np.asarray(horizons))[origins]
        return Forecasts(np.tile(self.mean * ahead, (len(origins), 1)), level * ahead)

    def quantile(self, share: Sequence[float]) -> Float64Array:
        """Quantiles of the standardised innovations, (L,)."""
        return quantile(*law_of(self.dof), share)

    def tail_mean(self, share: Sequence[float]) -> Float64Array:
        """Mean of the standardised innovations below each quantile, (L,)."""
        return tail_mean(*law_of(self.dof), share)

    def draw(self, returns: Returns, shocks: IntArray) -> Float64Array:
        """Returns after the last one, (P, H): the equation of the next session, session by session.

        A shock is the standardised residual of a return with that of its log range variance; the first month has none.
        """
        X = _design(returns, self.floor, self.rv_mean, True)
        x = np.maximum(range_variance("model har", returns), self.floor) / self.rv_mean
        z, u = self.filter(returns).residuals(returns), np.full(len(x), np.nan)
        u[MONTH:] = np.log(x[MONTH:]) - X[MONTH - 1 : -1] @ self.beta[0]
        unit = float(np.sqrt(self.variance))
        spread = float(self.residual_variance[0]) / 2
        fell = bool(returns.value[-1] < 0)
        return har_paths(shocks, z, u, self.mean / unit, self.beta[0], spread, x[-MONTH:].copy(), fell) * unit

    def standard_errors(self, returns: Returns, horizon: int) -> dict[str, float]:
        """Of the terms at a horizon, robust to what the overlap of its sessions does: HAC with that many lags.

        returns  those of the fit
        """
        X = _design(returns, self.floor, self.rv_mean, self.spec.leverage)
        y = _log_means(range_variance("model har", returns), self.floor, self.rv_mean, horizon)[:, -1]
        rows = slice(MONTH - 1, len(y) - horizon)
        found = OLS(y[rows], X[rows]).fit(cov_type="HAC", cov_kwds={"maxlags": horizon})
        return {name: float(se) for name, se in zip(TERMS, found.bse, strict=False)}

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told = {"kind": self.kind, "spec": asdict(self.spec), "dof": told_dof(self.dof)}
        told |= {name: getattr(self, name) for name in _PLAIN}
        return told | {"beta": self.beta.tolist(), "residual_variance": self.residual_variance.tolist()}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        parts = {name: told[name] for name in _PLAIN}
        parts |= {name: np.asarray(told[name], dtype=np.float64) for name in ("beta", "residual_variance")}
        return cls(spec=Har(**told["spec"]), dof=dof_told(told["dof"]), **parts)

    def _level(self, returns: Returns, horizons: IntArray) -> Float64Array:
        """Mean variance of the sessions ahead of each return, (T, H)."""
        y = _design(returns, self.floor, self.rv_mean, True) @ self.beta[horizons - 1].T
        return np.asarray(self.variance * np.exp(y + self.residual_variance[horizons - 1] / 2))

    def _with_innovations(self, returns: Returns) -> Self:
        path = self.filter(returns)
        z = path.residuals(returns)[MONTH:]
        dof = fitted_dof(z) if self.spec.innovation == "t" else np.inf
        loglik = log_likelihood(*law_of(dof), z) - 0.5 * float(np.sum(np.log(path.variance[MONTH:-1])))
        return replace(self, dof=dof, loglik=loglik)


_PLAIN: Final = ("mean", "variance", "floor", "rv_mean", "floored", "loglik", "nobs")


def _design(returns: Returns, floor: float, rv_mean: float, leverage: bool) -> Float64Array:
    """The terms of each row, (T, 5) or (T, 4); NaN where there is no month to look back on."""
    x = np.maximum(range_variance("model har", returns), floor) / rv_mean
    day = np.log(x)
    terms = [np.ones(len(x)), day, np.log(_trailing(x, WEEK)), np.log(_trailing(x, MONTH))]
    if leverage:
        terms.append(np.where(returns.value < 0, day, 0.0))
    return np.stack(terms, axis=1)


def _regress(X: Float64Array, Y: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Least squares of the columns of Y (M, H) on X (M, k): coefficients (H, k) and residual variances (H,).

    Column h - 1 of Y is NaN in its last h rows. One orthogonal basis of all rows serves every column: its moments
    without the last rows are nearly orthogonal still.
    """
    Q, R = np.linalg.qr(X)
    size = np.abs(np.diag(R))
    if size.min() <= 1e-10 * size.max():
        raise FitError("model har", "day, week and month must differ", "terms that are sums of each other")
    seen = np.isfinite(Y)
    y = np.where(seen, Y, 0.0)
    last = Q[: -Y.shape[1] - 1 : -1]
    moments = np.eye(X.shape[1]) - np.cumsum(last[:, :, None] * last[:, None, :], axis=0)
    found = np.linalg.solve(moments, (Q.T @ y).T[:, :, None])[:, :, 0]
    left = np.where(seen, y - Q @ found.T, 0.0)
    s2 = np.sum(left**2, axis=0) / (seen.sum(axis=0) - X.shape[1])
    return np.linalg.solve(R, found.T).T, s2


def _trailing(x: Float64Array, window: int) -> Float64Array:
    """Mean of the last `window` values, (T,); NaN before there are so many."""
    out = np.full(len(x), np.nan)
    if len(x) >= window:
        out[window - 1 :] = np.lib.stride_tricks.sliding_window_view(x, window).mean(axis=1)
    return out


def _log_means(x: Float64Array, floor: float, rv_mean: float, longest: int) -> Float64Array:
    """Log of the mean over the next 1 to `longest` sessions, (T, longest); NaN where they are not all there."""
    rv = np.maximum(x, floor) / rv_mean
    out = np.full((len(x), longest), np.nan)
    ahead = np.zeros(len(x))
    for h in range(1, longest + 1):
        ahead = ahead[: len(x) - h] + rv[h:]
        out[: len(x) - h, h - 1] = np.log(ahead / h)
    return out
