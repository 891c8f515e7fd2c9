"""Standard errors of a GARCH-type model's estimates: Hessian, outer product of the scores, sandwich."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from features.panel import BoolArray, Float64Array
from models.base import FitError
from models.volatility.base import Returns
from models.volatility.estimation import CORNER, lag
from models.volatility.garch import FittedGarch
from models.volatility.innovations import log_density
from models.volatility.likelihood import SAMPLE, residuals, value_and_gradient, variances
from models.volatility.means import LAGS, design

Errors = Literal["hessian", "opg", "sandwich"]

_STEP: Final = 1e-4  # of a parameter's size, in the differences of gradients
_LEAST_SIZE: Final = 1e-2  # of a parameter without a unit
_ZERO: Final = 1e-9


def standard_errors(fitted: FittedGarch, returns: Returns, kind: Errors = "sandwich") -> Mapping[str, float]:
    """Standard error of each estimate, by its name.

    returns  those of the fit
    kind     hessian: inverse of the observed information; opg: of the sum of outer products of the scores; sandwich:
             of Bollerslev and Wooldridge, right where the innovations' law is not
    NaN      estimates on a bound of their range, whose law is not normal; all, where the information is not positive
    """
    spread = float(np.std(returns.value))
    free, turn = _free(fitted), _turn(fitted, spread)
    # In units of the spread: in others APARCH's omega and delta can hardly be told apart.
    fitted, returns = _in_units(fitted, spread), returns.with_value(returns.value / spread)
    covariance = _covariance(fitted, returns, kind, free)
    out = np.full(len(free), np.nan)
    if covariance is not None:
        turn = turn[np.ix_(free, free)]
        out[free] = np.sqrt(np.diag(turn @ covariance @ turn.T))
    return dict(zip(fitted.spec.shape.names, out.tolist(), strict=True))


def _covariance(fitted: FittedGarch, returns: Returns, kind: Errors, free: BoolArray) -> Float64Array | None:
    """Of the free estimates."""
    s = scores(fitted, returns)[:, free]
    if kind == "opg":
        return _inverse(s.T @ s)
    bread = _inverse(-hessian(fitted, returns)[np.ix_(free, free)])
    return bread if bread is None or kind == "hessian" else bread @ (s.T @ s) @ bread


def _in_units(fitted: FittedGarch, spread: float) -> FittedGarch:
    """The model of the returns divided by their spread."""
    theta = fitted.spec.shape.rescaled(np.array(fitted.theta), 1 / spread)
    equation = replace(fitted.equation, const=fitted.equation.const / spread)
    told = tuple(float(one) for one in theta)
    return replace(fitted, theta=told, presample=fitted.presample / spread**2, equation=equation)


def _turn(fitted: FittedGarch, spread: float) -> Float64Array:
    """What a change of each parameter in units of the spread is, in those of the returns: (k, k)."""
    shape, theta = fitted.spec.shape, np.array(fitted.theta)
    turn = np.eye(len(theta))
    if shape.counts[0]:
        turn[0, 0] = spread
    omega, last = shape.equation.start, shape.equation.stop - 1
    if shape.variance == "egarch":
        turn[omega, last] = -2 * np.log(spread)
        return turn
    power = theta[last] if shape.variance == "aparch" else 2.0
    moved = [omega, *range(shape.pushes.start, shape.pushes.stop)]
    turn[moved, moved] = spread**power
    if shape.variance == "aparch":
        turn[moved, last] = theta[moved] * np.log(spread)
    return turn


def hessian(fitted: FittedGarch, returns: Returns) -> Float64Array:
    """Second derivatives (k, k) of the log-likelihood by the natural parameters, by differences of its gradient."""
    theta, rows = np.array(fitted.theta), _rows(fitted, returns)
    codes, corner = fitted.spec.shape.codes, _corner(fitted, returns)
    second = np.empty((len(theta), len(theta)))
    for j, step in enumerate(_steps(fitted, returns)):
        sides = []
        for way in (step, -step):
            at, gradient = theta.copy(), np.empty(len(theta))
            at[j] += way
            value_and_gradient(*codes, at, *rows, gradient, corner)
            sides.append(gradient)
        second[:, j] = (sides[0] - sides[1]) / (2 * step)
    return 0.5 * (second + second.T)


def scores(fitted: FittedGarch, returns: Returns) -> Float64Array:
    """What each return's log density changes with each natural parameter, (n, k): central differences."""
    theta = np.array(fitted.theta)
    out = np.empty((fitted.nobs, len(theta)))
    for j, step in enumerate(_steps(fitted, returns)):
        up, down = theta.copy(), theta.copy()
        up[j] += step
        down[j] -= step
        out[:, j] = (_densities(fitted, returns, up) - _densities(fitted, returns, down)) / (2 * step)
    return out


def _densities(fitted: FittedGarch, returns: Returns, theta: Float64Array) -> Float64Array:
    """Log density of each return, (n,)."""
    shape = fitted.spec.shape
    y, columns, lagged, presample = _rows(fitted, returns)
    e = residuals(theta, shape.counts[0], y, columns)
    h = variances(*shape.codes, shape.counts[0], theta, e, lagged, presample, _corner(fitted, returns))[:-1]
    law = theta[shape.pushes.stop :]
    return log_density(shape.law, tuple(law.tolist()), e / np.sqrt(h)) - 0.5 * np.log(h)


def _rows(fitted: FittedGarch, returns: Returns) -> tuple[Float64Array, Float64Array, Float64Array, float]:
    """What the kernels read, in the units of the returns."""
    spec = fitted.spec
    lags = LAGS[spec.mean]
    if len(returns) - lags != fitted.nobs:
        raise FitError("garch", "standard errors need the returns of the fit", f"{len(returns) - lags} rows")
    value = fitted.equation.residuals(returns.value) if spec.mean == "arma" else returns.value
    lagged = lag(spec.shape, returns, list(fitted.average))
    presample = SAMPLE if spec.presample == "sample" else fitted.presample
    return np.ascontiguousarray(value[lags:]), design(spec.mean, returns.value), lagged, presample


def _corner(fitted: FittedGarch, returns: Returns) -> float:
    """The likelihood of EGARCH and APARCH has kinks in the mean: its curvature is that of the rounded one."""
    return CORNER * (float(np.var(returns.value)) if fitted.spec.variance == "aparch" else 1.0)


def _steps(fitted: FittedGarch, returns: Returns) -> Float64Array:
    """Steps of the differences, (k,)."""
    spread = float(np.std(returns.value))
    sizes = []
    for name, value in zip(fitted.spec.shape.names, fitted.theta, strict=True):
        least = _LEAST_SIZE
        if name == "mu":
            least = _LEAST_SIZE * spread
        elif name == "omega" and fitted.spec.variance != "egarch":
            least = 0.0
        elif name.startswith("d_"):
            x = float(np.std(returns.regressors[name.removeprefix("d_")])) or 1.0
            least = _LEAST_SIZE / x * (1.0 if fitted.spec.variance == "egarch" else spread**2)
        sizes.append(max(abs(value), least))
    return _STEP * np.array(sizes)


def _free(fitted: FittedGarch) -> BoolArray:
    """Estimates that no bound holds."""
    p, variance = dict(fitted.params), fitted.spec.variance
    held = {"nu": p.get("nu", 0.0) >= 500 - 1e-6}
    if variance != "egarch":
        held |= {name: abs(p.get(name, 1.0)) < _ZERO for name in ("alpha", "beta", "phi", "d")}
        held |= {name: value == 0.0 for name, value in p.items() if name.startswith("d_")}
    if variance == "gjr":
        held["gamma"] = p["alpha"] + p["gamma"] < _ZERO
    if variance == "aparch":
        held["gamma"], held["delta"] = abs(p["gamma"]) >= 0.9996, not 0.5 < p["delta"] < 3.0
    return np.array([not held.get(name, False) for name in fitted.spec.shape.names])


def _inverse(information: Float64Array) -> Float64Array | None:
    """Inverse of a positive matrix, whose rows may differ much in size; None where it is not positive."""
    scale = np.sqrt(np.abs(np.diag(information)))
    if not (np.isfinite(information).all() and (scale > 0).all()):
        return None
    value, vector = np.linalg.eigh(information / np.outer(scale, scale))
    if value[0] <= 1e-12:
        return None
    return np.asarray((vector / value) @ vector.T / np.outer(scale, scale), dtype=np.float64)
