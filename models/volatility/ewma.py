"""Exponentially weighted moving average of squared returns (RiskMetrics)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.volatility.base import FittedVolatility, Forecasts, Path, Returns, VolatilitySpec
from models.volatility.innovations import dof_told, fitted_dof, law_of, log_likelihood, quantile, tail_mean, told_dof
from models.volatility.path_kernels import decay_score, decayed, ewma_paths

_HALF_LIVES: Final = (1.0, 5000.0)  # sessions: decays of .5 to .99986


@dataclass(frozen=True)
class Ewma:
    """h = decay h₋₁ + (1 - decay) e²₋₁ around a constant mean, from the sample's variance.

    decay       None: by maximum likelihood of normal innovations
    innovation  what quantiles are of: t has the degrees of freedom that make the standardised residuals most likely
    Source      spec 04 §5; J.P. Morgan/Reuters, RiskMetrics Technical Document (1996)
    """

    kind: ClassVar[str] = "ewma"
    least: ClassVar[int] = 20
    needs: ClassVar[tuple[str, ...]] = ()

    decay: float | None = 0.94
    innovation: Literal["normal", "t"] = "t"

    def __post_init__(self) -> None:
        if self.decay is not None and not 0 < self.decay < 1:
            raise FitError("model ewma", "decay must lie in (0, 1), or be null", f"{self.decay}")

    def fit(self, returns: Returns, start: FittedVolatility | None = None) -> FittedEwma:
        """Take mean and variance of the sample, and the decay where none is set; `start` changes nothing."""
        del start
        mean, variance = sample_moments("model ewma", returns, self.least)
        e = (returns.value - mean) / np.sqrt(variance)
        decay = self.decay if self.decay is not None else _likeliest(e)
        h = decayed(e, decay, 1.0)[:-1]
        z = e / np.sqrt(h)
        dof = fitted_dof(z) if self.innovation == "t" else np.inf
        loglik = log_likelihood(*law_of(dof), z) - 0.5 * float(np.sum(np.log(h * variance)))
        return FittedEwma(self, mean, decay, variance, dof, loglik, len(returns))

    def simpler(self) -> VolatilitySpec | None:
        """Nothing is simpler."""
        return None

    def space(self, trial: Trial) -> Self:
        """The decay, by its half-life."""
        return replace(self, decay=0.5 ** (1 / trial.suggest_float("half_life", 3.0, 120.0, log=True)))


@dataclass(frozen=True)
class FittedEwma:
    """An EWMA of one series.

    presample  variance of the first return, the sample's
    """

    kind: ClassVar[str] = "ewma"
    converged: ClassVar[bool] = True
    # A shock never dies out: there is no mean that the variance returns to.
    persistence: ClassVar[float] = float("nan")

    spec: Ewma
    mean: float
    decay: float
    presample: float
    dof: float
    loglik: float
    nobs: int

    @property
    def params(self) -> Mapping[str, float]:
        """Mean and decay."""
        return {"mu": self.mean, "lambda": self.decay}

    def filter(self, returns: Returns) -> Path:
        """Means and variances of the returns, the last is the next one's."""
        h = decayed(returns.value - self.mean, self.decay, self.presample)
        return Path(np.full(len(h), self.mean), h)

    def forecast(self, returns: Returns, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """The next variance times the horizon: the term structure is flat."""
        ahead = np.asarray(horizons, dtype=np.float64)
        h = self.filter(returns).variance[origins + 1]
        return Forecasts(np.tile(self.mean * ahead, (len(origins), 1)), h[:, None] * ahead)

    def quantile(self, share: Sequence[float]) -> Float64Array:
        """Quantiles of the standardised innovations, (L,)."""
        return quantile(*law_of(self.dof), share)

    def tail_mean(self, share: Sequence[float]) -> Float64Array:
        """Mean of the standardised innovations below each quantile, (L,)."""
        return tail_mean(*law_of(self.dof), share)

    def draw(self, returns: Returns, shocks: IntArray) -> Float64Array:
        """Returns after the last one, (P, H), of the standardised residuals at the positions `shocks`."""
        path = self.filter(returns)
        return ewma_paths(shocks, path.residuals(returns), self.mean, self.decay, path.variance[-1])

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "spec": asdict(self.spec)}
        told |= {"mean": self.mean, "decay": self.decay, "presample": self.presample, "dof": told_dof(self.dof)}
        return told | {"loglik": self.loglik, "nobs": self.nobs}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        parts = {name: told[name] for name in ("mean", "decay", "presample", "loglik", "nobs")}
        return cls(spec=Ewma(**told["spec"]), dof=dof_told(told["dof"]), **parts)


def sample_moments(who: str, returns: Returns, least: int) -> tuple[float, float]:
    """Mean of the returns and mean of their squares about it; FitError where they are too few or do not vary."""
    if len(returns) < least:
        raise FitError(who, f"it needs {least} returns", f"{len(returns)}")
    value = returns.value
    mean = float(np.mean(value))
    variance = float(np.mean((value - mean) ** 2))
    # A constant differs from its own mean by rounding.
    if float(np.ptp(value)) == 0.0 or variance <= (1e-12 * float(np.max(np.abs(value)))) ** 2:
        raise FitError(who, "the returns must vary", f"{len(returns)} that do not")
    return mean, variance


def _likeliest(e: Float64Array) -> float:
    """The decay that makes residuals of unit variance most likely; a bound where they do not cluster."""

    def decay(log_half_life: float) -> float:
        return float(0.5 ** np.exp(-log_half_life))

    def loss(log_half_life: float) -> float:
        h = decayed(e, decay(log_half_life), 1.0)[:-1]
        return float(np.sum(np.log(h) + e**2 / h))

    # The likelihood may have two summits: the best of a grid, then the summit beside it.
    low, high = np.log(_HALF_LIVES)
    grid = np.linspace(low, high, 25)
    at = int(np.argmin([loss(point) for point in grid]))
    around = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    found = float(minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-6}).x)

    def score(log_half_life: float) -> float:
        return float(decay_score(e, decay(log_half_life), 1.0))

    # Values tell a minimum to half the digits that its slope does.
    below, above = found - 1e-3, found + 1e-3
    inside = low < below and above < high and score(below) < 0 < score(above)
    return decay(brentq(score, below, above, xtol=1e-14) if inside else found)
