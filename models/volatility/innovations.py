"""Laws of the standardised innovations, mean 0 and variance 1: quantiles, tails, degrees of freedom.

Normal, Student's t and Hansen's skewed t (1994), parametrised as in arch: the shape is (), (ν,) and (ν, λ).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, ndtr, ndtri, stdtr, stdtrit

from features.panel import Float64Array
from models.base import FitError
from models.volatility.densities import dof_score

Innovation = Literal["normal", "t", "skewt"]
SHAPES: Final[dict[str, tuple[str, ...]]] = {"normal": (), "t": ("nu",), "skewt": ("nu", "lambda")}
DOF_BOUNDS: Final = (2.05, 500.0)  # arch's; beyond the upper one a t cannot be told from a normal

_LN_2PI: Final = float(np.log(2 * np.pi))


def quantile(name: str, shape: Sequence[float], shares: Sequence[float] | Float64Array) -> Float64Array:
    """Points below which the shares of an innovation lie, (L,); shares in (0, 1)."""
    share = _checked(name, shape, shares)
    if name == "normal":
        return np.asarray(ndtri(share))
    dof, skew = _hansen(shape)
    a, b, unit = _constants(dof, skew)
    below = share < (1 - skew) / 2
    # Two half densities of different widths meet at the mode, which has (1 - λ)/2 below it.
    side = np.where(below, 1 - skew, 1 + skew)
    t = np.where(below, stdtrit(dof, share / side), -stdtrit(dof, (1 - share) / side))
    return (side * unit * t - a) / b


def tail_mean(name: str, shape: Sequence[float], shares: Sequence[float] | Float64Array) -> Float64Array:
    """Mean of an innovation given that it is below each quantile, (L,), in closed form.

    Source  spec 04 §5 for normal and t; for Hansen's law the partial means of its two halves
    """
    share = _checked(name, shape, shares)
    q = quantile(name, shape, share)
    if name == "normal":
        return -np.exp(-(q**2) / 2 - _LN_2PI / 2) / share
    dof, skew = _hansen(shape)
    a, b, unit = _constants(dof, skew)
    below = q < -a / b
    side = np.where(below, 1 - skew, 1 + skew)
    y = (b * q + a) / side
    # What the t of unit variance holds below y if y is negative, above it else; the halves differ by their sign.
    density = np.exp(_log_density(y / unit, dof)) / unit
    partial = density * (dof - 2 + y**2) / (dof - 1)
    mass = stdtr(dof, -np.abs(y) / unit)
    lower = -side * (side * partial + a * mass) / b
    upper = -side * (side * partial - a * mass) / b
    return np.where(below, lower, upper) / share


def cdf(name: str, shape: Sequence[float], z: Float64Array) -> Float64Array:
    """Share of the innovations below each z; NaN where z is."""
    _checked(name, shape, (0.5,))
    if name == "normal":
        return np.asarray(ndtr(z))
    dof, skew = _hansen(shape)
    a, b, unit = _constants(dof, skew)
    side = np.where(z < -a / b, 1 - skew, 1 + skew)
    t = (b * z + a) / side / unit
    return np.where(z < -a / b, side * stdtr(dof, t), 1 - side * stdtr(dof, -t))


def log_likelihood(name: str, shape: Sequence[float], z: Float64Array) -> float:
    """Sum of the log densities of standardised residuals; that of returns is less by Σ ln √h."""
    return float(np.sum(log_density(name, shape, z)))


def log_density(name: str, shape: Sequence[float], z: Float64Array) -> Float64Array:
    """Log density of each standardised residual."""
    _checked(name, shape, (0.5,))
    if name == "normal":
        return -0.5 * (_LN_2PI + z**2)
    dof, skew = _hansen(shape)
    a, b, unit = _constants(dof, skew)
    t = (b * z + a) / np.where(z < -a / b, 1 - skew, 1 + skew) / unit
    return _log_density(t, dof) + np.log(b) - np.log(unit)


def fitted_dof(z: Float64Array) -> float:
    """Degrees of freedom of a t of unit variance that make standardised residuals most likely."""
    low, high = DOF_BOUNDS
    if dof_score(high, z) >= 0:
        return high
    if dof_score(low, z) <= 0:
        return low
    return float(brentq(dof_score, low, high, args=(z,), xtol=1e-10))


def _checked(name: str, shape: Sequence[float], shares: Sequence[float] | Float64Array) -> Float64Array:
    if name not in SHAPES or len(shape) != len(SHAPES[name]):
        raise FitError("innovations", f"a law and its shape, of {SHAPES}", f"{name} and {tuple(shape)}")
    if shape and not 2 < shape[0] < np.inf:
        raise FitError("innovations", "a t of unit variance has more than 2 degrees of freedom", f"{shape[0]}")
    if len(shape) > 1 and not -1 < shape[1] < 1:
        raise FitError("innovations", "the skew must lie in (-1, 1)", f"{shape[1]}")
    share = np.asarray(shares, dtype=np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise FitError("innovations", "shares must lie in (0, 1)", f"{share}")
    return share


def _hansen(shape: Sequence[float]) -> tuple[float, float]:
    """ν and λ; a t is the law without skew."""
    return float(shape[0]), float(shape[1]) if len(shape) > 1 else 0.0


def _constants(dof: float, skew: float) -> tuple[float, float, float]:
    """Hansen's a and b, and the spread of a t in units of its standard deviation."""
    unit = float(np.sqrt((dof - 2) / dof))
    c = float(np.exp(_log_density(np.zeros(1), dof)[0])) / unit
    a = 4 * skew * c * (dof - 2) / (dof - 1)
    return a, float(np.sqrt(1 + 3 * skew**2 - a**2)), unit


def _log_density(t: Float64Array, dof: float) -> Float64Array:
    """Log density of Student's t, not standardised."""
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * np.log(np.pi * dof)
    return np.asarray(constant - (dof + 1) / 2 * np.log1p(t**2 / dof))


def law_of(dof: float) -> tuple[Innovation, tuple[float, ...]]:
    """Name and shape of the symmetric law with these degrees of freedom; inf is the normal one."""
    return ("t", (dof,)) if np.isfinite(dof) else ("normal", ())


def told_dof(dof: float) -> float | None:
    """Degrees of freedom as JSON has them: None for inf."""
    return dof if np.isfinite(dof) else None


def dof_told(told: float | None) -> float:
    """Read back what `told_dof` gave."""
    return float("inf") if told is None else float(told)
