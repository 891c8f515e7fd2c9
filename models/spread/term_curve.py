"""Curves of futures prices as a term-structure model reads them, and their shape by two factors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.panel import Float64Array, IntArray
from models.base import FitError

Numbers = NDArray[np.float64] | NDArray[np.complex128]
NAMES = ("kappa", "sigma_chi", "lambda_chi", "mu_xi", "sigma_xi", "rho", "mu_xi_star")
LINEAR = (2, 3, 6)
"""Where lambda_chi, mu_xi and mu_xi_star stand: the log prices are linear in them."""

_WHO = "model schwartz_smith"


@dataclass(frozen=True)
class Curve:
    """Prices of a product's contracts on T dates, sessions or weeks or whatever dates there are.

    time    (T,) years on any clock, rising; steps need not be equal
    price   (T, N), NaN where a contract has no price that counts (not listed, not liquid, no trade)
    years   (T, N) to maturity, not negative where there is a price
    """

    time: Float64Array = field(repr=False)
    price: Float64Array = field(repr=False)
    years: Float64Array = field(repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.time), *self.price.shape[1:])
        if self.price.ndim != 2 or self.price.shape != shape or self.years.shape != shape:
            found = f"{self.price.shape} and {self.years.shape} on {len(self.time)} dates"
            raise FitError("curve", "price and years must have a row a date and a column a contract", found)
        if not (np.isfinite(self.time).all() and (np.diff(self.time) > 0).all()):
            bad = int(np.argmin(np.diff(self.time) > 0)) + 1
            raise FitError("curve", "time must be finite and rise", "one that does not", f"row {bad}")
        there = ~np.isnan(self.price)
        with np.errstate(invalid="ignore"):
            sound = np.isfinite(self.price) & np.isfinite(self.years) & (self.years >= 0)
        if (there & ~sound).any():
            row, column = np.argwhere(there & ~sound)[0]
            found = f"a price of {self.price[row, column]} with {self.years[row, column]} years left"
            where = f"row {row}, contract {column}"
            raise FitError("curve", "prices must be finite, with a time to maturity of 0 or more", found, where)

    def __len__(self) -> int:
        return len(self.time)

    def part(self, start: int, stop: int) -> Curve:
        """The dates from start to stop, sharing memory."""
        return Curve(self.time[start:stop], self.price[start:stop], self.years[start:stop])


@dataclass(frozen=True)
class Rows:
    """What of a curve is measured, ragged: a date's contracts by maturity in the first columns.

    count (T,), years and log_price (T, M) with zeros where no contract is; order (T, M), columns of the curve
    left_out  prices that do not count: too far, or too many
    """

    time: Float64Array = field(repr=False)
    count: IntArray = field(repr=False)
    years: Float64Array = field(repr=False)
    log_price: Float64Array = field(repr=False)
    order: IntArray = field(repr=False)
    left_out: int

    @property
    def observations(self) -> int:
        """Prices that are measured."""
        return int(self.count.sum())

    @property
    def span(self) -> Float64Array:
        """Years between the nearest and the farthest contract of each date that has one, (n,)."""
        some = np.flatnonzero(self.count)
        return np.asarray(self.years[some, self.count[some] - 1] - self.years[some, 0])

    def steps(self, since: float | None = None) -> Float64Array:
        """Years since the date before, (T,); of the first one since a time that is given, else 0."""
        first = self.time[0] if since is None else since
        return np.diff(self.time, prepend=first)

    def spread_out(self, values: Float64Array, contracts: int) -> Float64Array:
        """Values of the rows (T, M) where their contracts stand in the curve, (T, N), NaN elsewhere."""
        out = np.full((len(self.time), contracts), np.nan)
        t, j = np.nonzero(np.arange(self.order.shape[1]) < self.count[:, None])
        out[t, self.order[t, j]] = values[t, j]
        return out


@dataclass(frozen=True)
class TermState:
    """Where the two states stand after a date: their means, and variances chi chi, chi xi, xi xi."""

    time: float
    chi: float
    xi: float
    covariance: tuple[float, float, float]


@dataclass(frozen=True)
class Filtered:
    """What a fitted model makes of a curve; row t sees the dates up to and with t. NaN before the first price.

    chi, xi        (T,) short-term deviation and long-term level of the log price
    covariance     (T, 3) of the two: chi chi, chi xi, xi xi
    innovation     (T, N) log price less what was expected of it the date before, and of nearer contracts, in its sd
    residual       (T, N) log price less the curve of the same date's states; positive: the contract is dear
    z              (T, N) residual over its sd; NaN too where the states fit the contract whatever its price is
    loglik         (T,)
    state          after the last date, from which later dates go on; None where no date has a price
    """

    time: Float64Array = field(repr=False)
    chi: Float64Array = field(repr=False)
    xi: Float64Array = field(repr=False)
    covariance: Float64Array = field(repr=False)
    innovation: Float64Array = field(repr=False)
    residual: Float64Array = field(repr=False)
    z: Float64Array = field(repr=False)
    loglik: Float64Array = field(repr=False)
    state: TermState | None


def rows(curve: Curve, contracts: int, years: float, shift: float) -> Rows:
    """The nearest so many contracts of each date, none farther than so many years; logs of price + shift.

    Errors  FitError for a price of which there is no log
    """
    low = np.nan_to_num(curve.price + shift, nan=1.0) <= 0
    if low.any():
        row, column = np.argwhere(low)[0]
        lowest = float(np.nanmin(curve.price))
        raise FitError(
            _WHO,
            "it is a model of log prices: every price must be positive"
            + (f" once {shift:g} is added" if shift else ""),
            f"{np.count_nonzero(low)} of {np.count_nonzero(~np.isnan(curve.price))} that are not, down to {lowest:g}",
            f"row {row}, contract {column}",
            "use a model of the prices themselves, an arithmetic one of Bachelier's kind (ou on the price difference "
            f"far - near), or a shifted log: set params.shift well above {-lowest:g}",
        )
    measured = np.isfinite(curve.price) & (np.nan_to_num(curve.years, nan=np.inf) <= years)
    order = np.argsort(np.where(measured, curve.years, np.inf), axis=1, kind="stable")[:, :contracts]
    count = np.minimum(measured.sum(axis=1), contracts).astype(np.int64)
    used = np.arange(order.shape[1]) < count[:, None]
    log_price = np.log(np.where(measured, curve.price + shift, 1.0))
    width = max(1, int(count.max(initial=0)))
    return Rows(
        curve.time,
        count,
        np.ascontiguousarray(np.where(used, np.take_along_axis(curve.years, order, 1), 0.0)[:, :width]),
        np.ascontiguousarray(np.where(used, np.take_along_axis(log_price, order, 1), 0.0)[:, :width]),
        order[:, :width],
        int(np.count_nonzero(~np.isnan(curve.price)) - count.sum()),
    )


def priced(measured: Rows) -> Rows:
    """From the first date with a price on."""
    first = int(np.argmax(measured.count > 0)) if measured.observations else len(measured.time)
    cut = {name: getattr(measured, name)[first:] for name in ("time", "count", "years", "log_price", "order")}
    return replace(measured, **cut)


def after_gap(before: int, values: Float64Array) -> Float64Array:
    """With so many rows of NaN before the first."""
    return np.concatenate([np.full((before, *values.shape[1:]), np.nan), values])


def error_by_rank(measured: Rows, residual: Float64Array, curve: Curve) -> tuple[float, ...]:
    """Root mean squares of the residuals of each rank, and of all."""
    own = residual[len(curve) - len(measured.time) :]
    ranked = np.take_along_axis(own, measured.order, 1)
    ranked = np.where(np.arange(ranked.shape[1]) < measured.count[:, None], ranked, np.nan)
    each = [float(np.sqrt(np.nanmean(column**2))) for column in ranked.T]
    return (*each, float(np.sqrt(np.nanmean(ranked**2))))


def level(theta: Float64Array, years: Float64Array) -> Float64Array:
    """A(T) of ln F = exp(-kappa T) chi + xi + A(T), of any shape.  Source  spec 04 §7.1"""
    kappa, sigma_chi, lambda_chi, _, sigma_xi, rho, mu_star = theta
    gone = -np.expm1(-kappa * years)
    chi = -np.expm1(-2.0 * kappa * years) * sigma_chi**2 / (2.0 * kappa)
    convexity = 0.5 * (chi + sigma_xi**2 * years + 2.0 * gone * rho * sigma_chi * sigma_xi / kappa)
    return np.asarray(mu_star * years - gone * lambda_chi / kappa + convexity, dtype=np.float64)


def slope(theta: Float64Array, chi: Float64Array, years: Float64Array) -> Float64Array:
    """d ln F / dT at a maturity; chi and years broadcast."""
    kappa, sigma_chi, lambda_chi, _, sigma_xi, rho, mu_star = theta
    decay = np.exp(-kappa * years)
    variance = (decay * sigma_chi) ** 2 + sigma_xi**2 + 2.0 * rho * decay * sigma_chi * sigma_xi
    return np.asarray(mu_star - decay * (lambda_chi + kappa * chi) + 0.5 * variance, dtype=np.float64)
