"""The GARCH family: a mean, a variance equation with regressors, a distribution of the innovations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial
from models.volatility.ahead import exponential, gauss_rule, geometric, long_memory, powered, shock_of
from models.volatility.base import FittedVolatility, Forecasts, Path, Returns, VolatilitySpec
from models.volatility.estimation import Estimate, LawKind, Shape, VarianceKind, estimate, lag, problem
from models.volatility.ewma import Ewma
from models.volatility.innovations import quantile, tail_mean
from models.volatility.likelihood import variances
from models.volatility.means import LAGS, Mean, MeanKind
from models.volatility.paths import residual_paths

_SIMPLER: Final[dict[str, VarianceKind]] = {"egarch": "gjr", "aparch": "gjr", "figarch": "gjr", "gjr": "garch"}
_LEAST: Final = 100
_LEAST_LONG_MEMORY: Final = 250


@dataclass(frozen=True)
class Garch:
    """Mean x variance x distribution, by maximum likelihood.

    mean        zero, constant, ar1, ar2, or arma: orders up to 2 by BIC, estimated before the variance
    regressors  names of what joins the variance equation, e.g. oi_change, volume, roll, holiday: d x₋₁, d >= 0, is
                added to the variance (APARCH: to its power, EGARCH: to its logarithm, d of any sign); one that does
                not vary over the fit has d = 0
    presample   variance before the first return: as arch's backcast, or the sample's mean squared residual
    Source      spec 04 §5; parametrised as in arch 8
    """

    kind: ClassVar[str] = "garch"

    variance: VarianceKind = "garch"
    mean: MeanKind = "constant"
    innovation: LawKind = "normal"
    regressors: tuple[str, ...] = ()
    presample: Literal["backcast", "sample"] = "backcast"

    def __post_init__(self) -> None:
        # YAML gives lists.
        object.__setattr__(self, "regressors", tuple(self.regressors))
        if len(set(self.regressors)) != len(self.regressors):
            raise FitError("model garch", "regressors must be named once each", ", ".join(self.regressors))

    @property
    def least(self) -> int:
        """Returns that the estimates technically need; how many they should have is the walk's to say."""
        return _LEAST_LONG_MEMORY if self.variance == "figarch" else _LEAST

    @property
    def needs(self) -> tuple[str, ...]:
        """The regressors."""
        return self.regressors

    @cached_property
    def shape(self) -> Shape:
        """Which parameters there are."""
        return Shape(self.variance, self.mean, self.innovation, self.regressors)

    def fit(self, returns: Returns, start: FittedVolatility | None = None) -> FittedGarch:
        """Maximise the likelihood, from three starts and from the estimates of an earlier fit where one is given."""
        if len(returns) < self.least:
            raise FitError("garch", f"a fit needs {self.least} returns", f"{len(returns)}")
        missing = [name for name in self.regressors if name not in returns.regressors]
        if missing:
            raise FitError("garch", "every regressor of the model must be given", f"no {', '.join(missing)}")
        posed, mean = problem(self.shape, returns, self.presample == "sample")
        begin = np.array(start.theta) if isinstance(start, FittedGarch) and start.spec == self else None
        return _fitted(self, returns, estimate(posed, begin), mean)

    def simpler(self) -> VolatilitySpec | None:
        """EGARCH, APARCH, FIGARCH -> GJR -> GARCH -> EWMA."""
        return replace(self, variance=_SIMPLER[self.variance]) if self.variance in _SIMPLER else Ewma()

    def space(self, trial: Trial) -> Self:
        """Variance, mean and innovations; FIGARCH and ARMA are left out for their time."""
        return replace(
            self,
            variance=trial.suggest_categorical("variance", ["garch", "gjr", "egarch", "aparch"]),
            mean=trial.suggest_categorical("mean", ["zero", "constant", "ar1"]),
            innovation=trial.suggest_categorical("innovation", ["normal", "t", "skewt"]),
        )


@dataclass(frozen=True)
class FittedGarch:
    """A GARCH-type model of one series.

    theta      natural parameters in the units of the returns: mean, variance, regressors, innovations
    presample  variance before the first return of the fit: later filters start there too
    average    means of the regressors over the fit; what they add beyond the next session is held at these
    equation   of the mean
    rule       nodes and weights of the Gauss rule of the shock (EGARCH, APARCH; models/volatility/ahead.py)
    """

    spec: Garch
    theta: tuple[float, ...]
    presample: float
    loglik: float
    nobs: int
    converged: bool
    equation: Mean = field(repr=False)
    average: tuple[float, ...] = ()
    rule: tuple[tuple[float, ...], tuple[float, ...]] = field(default=((), ()), repr=False)

    kind: ClassVar[str] = "garch"

    @property
    def params(self) -> Mapping[str, float]:
        """Estimates by name: mu, ar1, omega, alpha, gamma, beta, delta, phi, d, d_<regressor>, nu, lambda."""
        told = dict(zip(self.spec.shape.names, self.theta, strict=True))
        if self.spec.mean == "arma":
            ar = {f"ar{i}": one for i, one in enumerate(self.equation.ar, start=1)}
            ma = {f"ma{i}": one for i, one in enumerate(self.equation.ma, start=1)}
            return {"mu": self.equation.const, **ar, **ma, **told}
        return told

    @property
    def persistence(self) -> float:
        """alpha + gamma / 2 + beta; EGARCH beta; APARCH the mean of its factor; FIGARCH NaN: none is geometric."""
        p = self.params
        if self.spec.variance == "figarch":
            return float("nan")
        if self.spec.variance == "egarch":
            return p["beta"]
        if self.spec.variance == "aparch":
            return float(np.dot(*self.rule))
        return p["alpha"] + 0.5 * p.get("gamma", 0.0) + p["beta"]

    @property
    def dof(self) -> float:
        """nu; inf for normal innovations."""
        return self.params.get("nu", float("inf"))

    def filter(self, returns: Returns) -> Path:
        """Means and variances; NaN in the rows that an autoregression looks back on."""
        e, h = self._state(returns)
        gap = np.full(LAGS[self.spec.mean], np.nan)
        last = self.equation.ahead(returns.value, e, np.array([len(returns) - 1]), 1)[0]
        mean = np.concatenate([gap, returns.value[len(gap) :] - e, last])
        return Path(mean, np.concatenate([gap, h]))

    def forecast(self, returns: Returns, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """Cumulated means and variances.

        GARCH, GJR and FIGARCH by their recursions, EGARCH and APARCH by the law of the fit's residuals. Regressors are
        known for the next session alone: beyond it they add what they add on average.
        """
        lags, steps = LAGS[self.spec.mean], max(horizons)
        if len(origins) and int(origins.min()) < lags:
            raise FitError("garch", f"an origin must have seen {lags + 1} returns", f"{int(origins.min()) + 1}")
        e, h = self._state(returns)
        expected = self._expected(e, h, origins - lags, steps)
        weight = self.equation.cumulated(steps) ** 2
        means = np.cumsum(self.equation.ahead(returns.value, e, origins, steps), axis=1)
        at = [one - 1 for one in horizons]
        variance = np.stack([expected[:, :one] @ weight[:one][::-1] for one in horizons], axis=1)
        return Forecasts(means[:, at], variance)

    def quantile(self, share: Sequence[float]) -> Float64Array:
        """Of the innovations' law."""
        return quantile(self.spec.innovation, self._law, share)

    def tail_mean(self, share: Sequence[float]) -> Float64Array:
        """Of the innovations' law."""
        return tail_mean(self.spec.innovation, self._law, share)

    def draw(self, returns: Returns, shocks: IntArray) -> Float64Array:
        """Paths of returns; a position must be of a row that has a residual."""
        lags = LAGS[self.spec.mean]
        if shocks.size and not lags <= int(shocks.min()) <= int(shocks.max()) < len(returns):
            must = f"shocks must be positions of returns from {lags} on, those that have a residual"
            raise FitError("garch", must, f"{int(shocks.min())} to {int(shocks.max())}")
        e, h = self._state(returns)
        shape, theta = self.spec.shape, np.array(self.theta)
        code, v = shape.codes[0], theta[shape.equation]
        z = e / np.sqrt(h[:-1])
        drawn = residual_paths(code, v, self._push, e, h[-1], self.presample, z, shocks - lags)
        return self.equation.paths(returns.value, e, drawn)

    def describe(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        rest = {name: told[name] for name in ("presample", "loglik", "nobs", "converged")}
        equation = told["equation"]
        return cls(
            spec=Garch(**told["spec"]),
            theta=tuple(told["theta"]),
            equation=Mean(equation["const"], tuple(equation["ar"]), tuple(equation["ma"])),
            average=tuple(told["average"]),
            rule=(tuple(told["rule"][0]), tuple(told["rule"][1])),
            **rest,
        )

    @property
    def _law(self) -> tuple[float, ...]:
        """Shape of the innovations' law."""
        return self.theta[self.spec.shape.pushes.stop :]

    @property
    def _push(self) -> float:
        """What the regressors add on average."""
        return float(np.dot(self.theta[self.spec.shape.pushes], self.average))

    def _state(self, returns: Returns) -> tuple[Float64Array, Float64Array]:
        """Residuals (T - lags,), and variances of them and of the next one."""
        shape = self.spec.shape
        e = self.equation.residuals(returns.value)[LAGS[self.spec.mean] :]
        lagged = lag(shape, returns, list(self.average))
        # The residuals are made: the kernel needs no mean.
        theta = np.array(self.theta[shape.counts[0] :])
        return e, variances(*shape.codes, 0, theta, e, lagged, self.presample)

    def _expected(self, e: Float64Array, h: Float64Array, rows: IntArray, steps: int) -> Float64Array:
        """Expected variances (n, steps) of single sessions."""
        v, after = np.array(self.theta)[self.spec.shape.equation], h[rows + 1]
        omega, rule = v[0] + self._push, (np.array(self.rule[0]), np.array(self.rule[1]))
        if self.spec.variance == "egarch":
            return exponential(omega, v[3], rule, after, steps)
        if self.spec.variance == "aparch":
            return powered(omega, v[4], rule, after, steps)
        if self.spec.variance == "figarch":
            out = np.empty((len(rows), steps))
            out[:, 0] = after
            return long_memory(v, self._push, e * e, rows, out, self.presample)
        return geometric(omega, self.persistence, after, steps)


def _fitted(spec: Garch, returns: Returns, found: Estimate, mean: Mean | None) -> FittedGarch:
    """The fitted model that an estimate makes; the shock's law where forecasts go by it."""
    theta = tuple(float(one) for one in found.theta)
    count = spec.shape.counts[0]
    equation = mean or (Mean(theta[0], theta[1:count]) if count else Mean())
    fitted = FittedGarch(
        spec=spec,
        theta=theta,
        presample=found.presample,
        loglik=found.loglik,
        nobs=found.nobs,
        converged=found.converged and equation.stationary,
        equation=equation,
        average=tuple(float(np.mean(returns.regressors[name])) for name in spec.regressors),
    )
    if spec.variance not in ("egarch", "aparch"):
        return fitted
    e, h = fitted._state(returns)
    shock, weight = gauss_rule(shock_of(spec.variance, found.theta[spec.shape.equation], e / np.sqrt(h[:-1])))
    return replace(fitted, rule=(tuple(shock.tolist()), tuple(weight.tolist())))
