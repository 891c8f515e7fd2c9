"""Log-linear realised GARCH on the range variance (Hansen, Huang and Shek 2012)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.volatility.base import FittedVolatility, Forecasts, Path, Returns, VolatilitySpec
from models.volatility.ewma import sample_moments
from models.volatility.garch import Garch
from models.volatility.innovations import dof_told, fitted_dof, law_of, log_likelihood, quantile, tail_mean, told_dof
from models.volatility.path_kernels import log_linear, realised_paths
from models.volatility.range_floor import floor_of, range_variance
from models.volatility.realised_likelihood import Standardised, maximise


@dataclass(frozen=True)
class RealisedGarch:
    """ln h = ω + β ln h₋₁ + γ ln x₋₁; ln x = ξ + φ ln h + τ₁ z + τ₂ (z² - 1) + u, u normal with σ_u of .05 or more.

    Estimated by the joint likelihood of returns and ranges with normal z, from the sample's variance.

    mean        whether returns have a constant mean, else 0
    innovation  what quantiles are of: t has the degrees of freedom that make the standardised residuals most likely
    longest     horizons that can be forecast
    Source      spec 04 §5; Hansen, Huang and Shek (2012)
    """

    kind: ClassVar[str] = "realised_garch"
    least: ClassVar[int] = 100
    needs: ClassVar[tuple[str, ...]] = ("range_variance",)

    mean: bool = True
    innovation: Literal["normal", "t"] = "t"
    longest: int = 60

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise FitError("model realised_garch", "longest must be a session or more", f"{self.longest}")

    def fit(self, returns: Returns, start: FittedVolatility | None = None) -> FittedRealisedGarch:
        """Maximise the joint likelihood from the spec's start, or from an earlier fit."""
        who = f"model {self.kind}"
        _, variance = sample_moments(who, returns, self.least)
        x = range_variance(who, returns)
        floor = floor_of(who, x)
        data = Standardised.of(returns.value, np.maximum(x, floor), variance)
        earlier = start if isinstance(start, FittedRealisedGarch) else None
        begin = None if earlier is None else data.inward(earlier.equation)
        found = maximise(data, begin, self.mean)
        equation = data.outward(found)
        fitted = FittedRealisedGarch(
            spec=self,
            equation=equation,
            presample=variance,
            floor=floor,
            floored=int(np.count_nonzero(x < floor)),
            log_growth=_log_growth(equation, data.noise(found), self.longest),
            dof=np.inf,
            loglik=np.nan,
            joint_loglik=found.joint_loglik - len(x) * float(np.log(data.unit)),
            nobs=len(x),
            converged=found.converged and equation["beta"] + equation["phi"] * equation["gamma"] < 1,
        )
        return fitted._with_innovations(returns)

    def simpler(self) -> VolatilitySpec | None:
        """Without ranges: a GJR of the returns."""
        return Garch(variance="gjr", innovation="t" if self.innovation == "t" else "normal")

    def space(self, trial: Trial) -> Self:
        """With a mean or without; normal or t innovations."""
        mean = trial.suggest_categorical("mean", [True, False])
        return replace(self, mean=mean, innovation=trial.suggest_categorical("innovation", ["normal", "t"]))


@dataclass(frozen=True)
class FittedRealisedGarch:
    """A realised GARCH of one series.

    equation    mu, omega, beta, gamma, xi, phi, tau_1, tau_2, sigma_u, in the units of the returns
    presample   variance of the first return, the sample's
    floor       least range variance; floored: sessions of the fit below it, e.g. locked at the limit
    log_growth  (longest,) ln E h of 1, 2, ... sessions after the next, less what ln h of the next one has in it:
                products of means of exponentials over the shocks of the fit
    loglik      of the returns by their t or normal; joint_loglik: of returns and ln x, which was maximised
    """

    kind: ClassVar[str] = "realised_garch"

    spec: RealisedGarch
    equation: Mapping[str, float]
    presample: float
    floor: float
    floored: int
    log_growth: Float64Array = field(repr=False)
    dof: float
    loglik: float
    joint_loglik: float
    nobs: int
    converged: bool

    @property
    def params(self) -> Mapping[str, float]:
        """The equation."""
        return dict(self.equation)

    @property
    def persistence(self) -> float:
        """β + φγ."""
        return self.equation["beta"] + self.equation["phi"] * self.equation["gamma"]

    def filter(self, returns: Returns) -> Path:
        """Means and variances of the returns, the last is the next one's."""
        h = np.exp(self._log_variance(self._log_x(returns)))
        return Path(np.full(len(h), self.equation["mu"]), h)

    def forecast(self, returns: Returns, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """Exact sums of E h over the shocks of the fit; FitError where a horizon is longer than the longest."""
        if not 1 <= min(horizons) <= max(horizons) <= self.spec.longest:
            must = f"horizons must lie in 1 to {self.spec.longest}"
            raise FitError("model realised_garch", must, f"{tuple(horizons)}", help="set params.longest of the model")
        ahead = np.asarray(horizons)
        log_h = self._log_variance(self._log_x(returns))[origins + 1]
        power = self.persistence ** np.arange(max(horizons))
        expected = np.exp(log_h[:, None] * power + self.log_growth[: max(horizons)])
        mean = np.tile(self.equation["mu"] * ahead, (len(origins), 1))
        return Forecasts(mean, np.cumsum(expected, axis=1)[:, ahead - 1])

    def quantile(self, share: Sequence[float]) -> Float64Array:
        """Quantiles of the standardised innovations, (L,)."""
        return quantile(*law_of(self.dof), share)

    def tail_mean(self, share: Sequence[float]) -> Float64Array:
        """Mean of the standardised innovations below each quantile, (L,)."""
        return tail_mean(*law_of(self.dof), share)

    def draw(self, returns: Returns, shocks: IntArray) -> Float64Array:
        """Returns after the last one, (P, H): a shock is the residual of a return with that of its log range."""
        log_x = self._log_x(returns)
        log_h = self._log_variance(log_x)
        told = self.equation
        z = (returns.value - told["mu"]) * np.exp(-0.5 * log_h[:-1])
        noise = log_x - told["xi"] - told["phi"] * log_h[:-1]
        step = told["omega"] + told["gamma"] * told["xi"], self.persistence, told["gamma"]
        return realised_paths(shocks, z, noise, told["mu"], step, float(log_h[-1]))

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told = {"kind": self.kind, "spec": asdict(self.spec), "equation": dict(self.equation)}
        told |= {name: getattr(self, name) for name in _PLAIN}
        return told | {"log_growth": self.log_growth.tolist(), "dof": told_dof(self.dof)}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        growth = np.asarray(told["log_growth"], dtype=np.float64)
        parts = {name: told[name] for name in ("equation", *_PLAIN)}
        return cls(spec=RealisedGarch(**told["spec"]), log_growth=growth, dof=dof_told(told["dof"]), **parts)

    def _log_x(self, returns: Returns) -> Float64Array:
        return np.log(np.maximum(range_variance("model realised_garch", returns), self.floor))

    def _log_variance(self, log_x: Float64Array) -> Float64Array:
        """(T + 1,)"""
        told = self.equation
        return log_linear(log_x, told["omega"], told["beta"], told["gamma"], float(np.log(self.presample)))

    def _with_innovations(self, returns: Returns) -> Self:
        path = self.filter(returns)
        z = path.residuals(returns)
        dof = fitted_dof(z) if self.spec.innovation == "t" else np.inf
        loglik = log_likelihood(*law_of(dof), z) - 0.5 * float(np.sum(np.log(path.variance[:-1])))
        return replace(self, dof=dof, loglik=loglik)


_PLAIN: Final = ("presample", "floor", "floored", "loglik", "joint_loglik", "nobs", "converged")


def _log_growth(equation: Mapping[str, float], noise: Float64Array, longest: int) -> Float64Array:
    """ln E h of the session k after the next, k = 0 ..., without π^k ln h of the next: (longest,).

    ln h₊ = c + π ln h + γ w with w drawn anew each session, so that E h is a product of means of exp(γ π^j w).
    """
    pi = equation["beta"] + equation["phi"] * equation["gamma"]
    c = equation["omega"] + equation["gamma"] * equation["xi"]
    weight = pi ** np.arange(longest - 1)
    steps = c * weight + np.log(np.mean(np.exp(equation["gamma"] * weight[:, None] * noise), axis=1))
    return np.concatenate([[0.0], np.cumsum(steps)])
