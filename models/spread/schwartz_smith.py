"""The curve of a product's futures by two factors (Schwartz and Smith 2000), or by one where the data are too thin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np

from features.panel import Float64Array
from models.base import FitError, Trial
from models.spread.term_curve import (
    NAMES,
    Curve,
    Filtered,
    Rows,
    TermState,
    after_gap,
    error_by_rank,
    level,
    priced,
    rows,
    slope,
)
from models.spread.term_kernels import filtered
from models.spread.term_search import LEVEL_VARIANCE, Estimate, Problem, estimate

SESSIONS_A_YEAR: Final = 242.0
_WHO: Final = "model schwartz_smith"


@dataclass(frozen=True)
class SchwartzSmith:
    """ln F(T) = exp(-kappa T) chi + xi + A(T), chi an Ornstein-Uhlenbeck process around 0, xi a random walk with drift.

    Estimated by the likelihood of a Kalman filter on log prices that are measured with noise. Where there are fewer
    than 500 sessions, usually fewer than three contracts, or maturities usually within six months, the two factors
    cannot be told apart: chi alone moves then, around a constant level (Schwartz 1997, model 1), and the notes say why.

    factors    2, or 1 to ask for the simpler one
    noise      standard deviation of the measurement: common to all, or one for each rank by maturity on its date
    contracts  of a date, the nearest; years: the farthest maturity
    shift      added to every price before its log is taken: a curve of prices that may be negative
    least_years  of data for two factors; of the median date least_contracts, least_maturities years apart (26 weeks)
    Source     spec 04 §7.1; Schwartz and Smith (2000)
    """

    kind: ClassVar[str] = "schwartz_smith"
    least: ClassVar[int] = 30

    factors: Literal[2, 1] = 2
    noise: Literal["common", "rank"] = "common"
    contracts: int = 8
    years: float = 2.0
    shift: float = 0.0
    least_years: float = 500.0 / SESSIONS_A_YEAR
    least_contracts: int = 3
    least_maturities: float = 182.0 / 365.0

    def __post_init__(self) -> None:
        if self.contracts < 1 or not self.years > 0:
            raise FitError(_WHO, "contracts and years must be positive", f"{self.contracts} and {self.years}")
        if not np.isfinite(self.shift):
            raise FitError(_WHO, "shift must be finite", f"{self.shift}")

    def fit(self, curve: Curve, start: FittedSchwartzSmith | None = None) -> FittedSchwartzSmith:
        """Maximise the likelihood from the starts of the specification, and from an earlier fit where one is given.

        Errors  FitError for fewer than 30 dates with a price, prices that do not vary, a price that has no log
        """
        measured = priced(rows(curve, self.contracts, self.years, self.shift))
        if len(measured.time) < self.least or np.count_nonzero(measured.count) < self.least:
            found = f"{np.count_nonzero(measured.count)}"
            raise FitError(_WHO, f"it needs {self.least} dates on which a contract has a price", found)
        nearest = measured.log_price[measured.count > 0, 0]
        if float(np.ptp(nearest)) <= 1e-12 * max(1.0, float(np.abs(nearest).max())):
            raise FitError(_WHO, "the prices must vary", "the same on every date")
        thin = self._thin(measured) if self.factors == 2 else ()
        factors = 1 if thin else self.factors
        several = float(np.median(measured.count[measured.count > 0])) >= 2
        ranks = measured.log_price.shape[1] if self.noise == "rank" else 1
        posed = Problem(measured, factors, ranks, several)
        begin = None if start is None or start.factors != factors else np.array(start.coordinates)
        return self._fitted(curve, posed, estimate(posed, begin), thin)

    def simpler(self) -> SchwartzSmith | None:
        """One factor."""
        return None if self.factors == 1 else replace(self, factors=1)

    def space(self, trial: Trial) -> Self:
        """Noise common or by rank."""
        return replace(self, noise=trial.suggest_categorical("noise", ["common", "rank"]))

    def _thin(self, measured: Rows) -> tuple[str, ...]:
        """Why two factors cannot be told apart; nothing where they can."""
        time, some = measured.time, measured.count[measured.count > 0]
        lasts = float(time[-1] - time[0] + np.median(np.diff(time)))
        contracts, apart = float(np.median(some)), float(np.median(measured.span))
        out = []
        if lasts < self.least_years * (1 - 1e-9):
            out.append(f"{lasts:.2f} years of prices, where two factors need {self.least_years:.2f}")
        if contracts < self.least_contracts:
            out.append(f"{contracts:g} contracts on the median date, where two factors need {self.least_contracts}")
        if apart < self.least_maturities * (1 - 1e-9):
            found = f"{12 * apart:.1f} months between the nearest and the farthest contract on the median date"
            out.append(f"{found}, where two factors need {12 * self.least_maturities:.1f}")
        return tuple(out)

    def _fitted(self, curve: Curve, posed: Problem, found: Estimate, thin: tuple[str, ...]) -> FittedSchwartzSmith:
        notes = [f"one factor: {why}" for why in thin]
        notes += [f"{name} is on the bound of its range" for name in found.held]
        if not posed.premium:
            notes.append("lambda_chi is 0: a single contract a date cannot tell a premium from the level")
        fitted = FittedSchwartzSmith(
            spec=self,
            factors=2 if posed.factors == 2 else 1,
            theta=tuple(float(one) for one in found.theta),
            noise=tuple(float(one) for one in found.noise),
            deviations=tuple(float(one) for one in found.errors),
            coordinates=tuple(float(one) for one in max(found.ends, key=lambda end: end.loglik).x),
            loglik=found.loglik,
            nobs=posed.rows.observations,
            dates=len(posed.rows.time),
            left_out=posed.rows.left_out,
            starts=tuple((end.start[0], end.loglik) for end in found.ends),
            converged=found.settled,
            fit_error=(),
            notes=tuple(notes),
            state=None,
        )
        seen = fitted.filter(curve)
        return replace(fitted, state=seen.state, fit_error=error_by_rank(posed.rows, seen.residual, curve))


@dataclass(frozen=True)
class FittedSchwartzSmith:
    """A curve model of one product.

    theta, noise  parameters in the order of NAMES, per year; standard deviations of the measurement of log prices
    deviations    standard errors of both, NaN for what is not estimated or lies on a bound
    coordinates   of the search, where a later fit may begin
    dates, nobs   dates and prices of the fit; left_out: prices too far out or too many for it
    starts        kappa of each start, with the log-likelihood that was reached from it
    fit_error     root mean square of the residuals of each rank by maturity, and at the end of all
    state         after the last date of the fit
    """

    kind: ClassVar[str] = "schwartz_smith"

    spec: SchwartzSmith
    factors: Literal[2, 1]
    theta: tuple[float, ...]
    noise: tuple[float, ...]
    deviations: tuple[float, ...]
    coordinates: tuple[float, ...]
    loglik: float
    nobs: int
    dates: int
    left_out: int
    starts: tuple[tuple[float, float], ...]
    converged: bool
    fit_error: tuple[float, ...]
    notes: tuple[str, ...]
    state: TermState | None

    @property
    def params(self) -> Mapping[str, float]:
        """Estimates by their symbol; of one factor those that it has."""
        return dict(zip(self._names, self._chosen((*self.theta, *self.noise)), strict=True))

    @property
    def errors(self) -> Mapping[str, float]:
        """Standard errors of the estimates, by the curvature of the likelihood; NaN for one on a bound."""
        return dict(zip(self._names, self._chosen(self.deviations), strict=True))

    @property
    def half_life(self) -> float:
        """Sessions in which half of a short-term deviation is gone, 242 a year."""
        return float(np.log(2.0) / self.theta[0] * SESSIONS_A_YEAR)

    def filter(self, curve: Curve, state: TermState | None = None) -> Filtered:
        """States and residuals on a curve's dates.

        state   where an earlier curve ended: this one goes on from there, as if both were one
        Errors  FitError for a curve that does not begin after the state, or with a price that has no log
        """
        if state is not None and len(curve) and curve.time[0] <= state.time:
            found = f"{curve.time[0]} after {state.time}"
            raise FitError(_WHO, "a curve must begin after the state that it goes on from", found)
        whole = rows(curve, self.spec.contracts, self.spec.years, self.spec.shift)
        part = whole if state is not None else priced(whole)
        before = len(whole.time) - len(part.time)
        shape = curve.price.shape
        if not len(part.time):
            gaps, panel = np.full(len(curve), np.nan), np.full(shape, np.nan)
            return Filtered(curve.time, gaps, gaps, np.full((len(curve), 3), np.nan), panel, panel, panel, gaps, state)
        theta, noise = np.array(self.theta), self._noise(part.log_price.shape[1])
        steps = part.steps(None if state is None else state.time)
        given = (steps, part.count, part.years, part.log_price)
        states, density, *panels = filtered(theta, noise, self._begin(part, state), *given)
        surprise, residual, z = (after_gap(before, part.spread_out(panel, shape[1])) for panel in panels)
        states, density = after_gap(before, states), after_gap(before, density)
        chi, xi, p00, p01, p11 = (float(one) for one in states[-1])
        last = TermState(float(curve.time[-1]), chi, xi, (p00, p01, p11))
        return Filtered(curve.time, states[:, 0], states[:, 1], states[:, 2:], surprise, residual, z, density, last)

    def log_curve(self, chi: Float64Array, xi: Float64Array, years: Float64Array) -> Float64Array:
        """ln(F + shift) of maturities; the three broadcast."""
        theta = np.array(self.theta)
        return np.asarray(np.exp(-theta[0] * years) * chi + xi + level(theta, years), dtype=np.float64)

    def price(self, chi: Float64Array, xi: Float64Array, years: Float64Array) -> Float64Array:
        """Futures prices of maturities; the three broadcast."""
        return np.exp(self.log_curve(chi, xi, years)) - self.spec.shift

    def slope(self, chi: Float64Array, years: Float64Array) -> Float64Array:
        """d ln F / dT at maturities, per year: what a contract loses per year as it comes nearer; both broadcast."""
        return slope(np.array(self.theta), chi, years)

    def convenience_yield(self, chi: Float64Array, rate: Float64Array | float) -> Float64Array:
        """Instantaneous convenience yield net of storage, per year; rate: r_f per year.

        kappa chi + lambda_chi + r - mu_xi_star - sigma_S² / 2, which is r less the slope of the curve at maturity 0.
        Source  spec 04 §7.1
        """
        return np.asarray(rate - self.slope(chi, np.zeros_like(chi)), dtype=np.float64)

    def forecast_spread(
        self,
        state: TermState,
        near: Float64Array,
        far: Float64Array,
        spread: Float64Array,
        ahead: float,
    ) -> tuple[Float64Array, Float64Array]:
        """Mean and sd of the change of spreads ln(F_far / F_near) of fixed contracts over a time ahead.

        near, far  years to maturity now, (n,), not less than `ahead`; spread: ln(F_far / F_near) now, of which the part
                   that the states do not explain is expected to go
        ahead      years
        """
        if not ahead > 0 or (near < ahead).any():
            raise FitError(_WHO, "a contract must outlive the time ahead", f"{ahead} years ahead, {near.min()} left")
        kappa, sigma_chi = self.theta[:2]
        decay = float(np.exp(-kappa * ahead))
        theta = np.array(self.theta)
        load = np.exp(-kappa * (far - ahead)) - np.exp(-kappa * (near - ahead))
        mean = load * decay * state.chi + level(theta, far - ahead) - level(theta, near - ahead)
        variance = decay**2 * state.covariance[0] - np.expm1(-2 * kappa * ahead) * sigma_chi**2 / (2 * kappa)
        noise = 2.0 * float(np.mean(np.square(self.noise)))
        return mean - spread, np.sqrt(load**2 * variance + noise)

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values."""
        told: dict[str, Any] = {"kind": self.kind, "spec": asdict(self.spec)}
        told |= {name: getattr(self, name) for name in _PLAIN}
        told |= {name: list(getattr(self, name)) for name in _LISTS}
        told["starts"] = [list(one) for one in self.starts]
        told["deviations"] = [_told(one) for one in self.deviations]
        told["fit_error"] = [_told(one) for one in self.fit_error]
        state = None if self.state is None else asdict(self.state) | {"covariance": list(self.state.covariance)}
        return told | {"state": state}

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""
        parts = {name: told[name] for name in _PLAIN} | {name: tuple(told[name]) for name in _LISTS}
        state = told["state"]
        return cls(
            spec=SchwartzSmith(**told["spec"]),
            starts=tuple((one[0], one[1]) for one in told["starts"]),
            deviations=tuple(_read(one) for one in told["deviations"]),
            fit_error=tuple(_read(one) for one in told["fit_error"]),
            state=None if state is None else TermState(**state | {"covariance": tuple(state["covariance"])}),
            **parts,
        )

    @property
    def _names(self) -> tuple[str, ...]:
        many = tuple(f"noise_{i + 1}" for i in range(len(self.noise)))
        return (*self._chosen(NAMES), *(("noise",) if len(many) == 1 else many))

    def _chosen(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Without what a single factor does not have."""
        return values if self.factors == 2 else (*values[:3], *values[len(NAMES) :])

    def _noise(self, width: int) -> Float64Array:
        """Variances of so many ranks; those beyond the fit's are as its last."""
        at = np.minimum(np.arange(width), len(self.noise) - 1)
        return np.square(np.array(self.noise))[at]

    def _begin(self, part: Rows, state: TermState | None) -> Float64Array:
        """chi 0 and xi at the nearest contract's log price, or where an earlier curve ended."""
        if state is not None:
            return np.array([state.chi, state.xi, *state.covariance])
        stationary = self.theta[1] ** 2 / (2.0 * self.theta[0])
        return np.array([0.0, part.log_price[0, 0], stationary, 0.0, LEVEL_VARIANCE])


_PLAIN: Final = ("factors", "loglik", "nobs", "dates", "left_out", "converged")
_LISTS: Final = ("theta", "noise", "coordinates", "notes")


def _told(value: float) -> float | None:
    """As JSON has it: null for NaN."""
    return value if np.isfinite(value) else None


def _read(value: float | None) -> float:
    return float("nan") if value is None else value
