"""What models of spreads share: the legs they see, the states and forecasts they give, the verbs of a spec and a fit.

All are in log prices: a spread of .01 is one per cent of the price. A position of one unit is long leg y and short
`hedge` units of leg x, each of equal notional where the hedge is 1; its return over h sessions is the change of
y - hedge * x, whatever has become of the centre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from scipy.special import ndtri

from features.panel import BoolArray, Float64Array, IntArray, SessionArray
from models.base import FitError, Trial


@dataclass(frozen=True)
class Legs:
    """Log prices of the two legs of a spread, oldest first.

    y, x     (T,) log prices: far and near contract, futures and spot, product a and b; NaN where a leg has no price
    session  (T,) datetime64[D], strictly increasing
    fresh    (T,) True where the pair of contracts is another one than the row before's: no change leads from there to
             here; None where it is one pair, or two roll-adjusted series
    gap      (T,) years between the maturities of the two legs, positive; None where they have none
    """

    y: Float64Array = field(repr=False)
    x: Float64Array = field(repr=False)
    session: SessionArray = field(repr=False)
    fresh: BoolArray | None = field(default=None, repr=False)
    gap: Float64Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.y.ndim != 1:
            raise FitError("legs", "log prices must have one axis", f"the shape {self.y.shape}")
        parts = {"x": self.x, "session": self.session, "fresh": self.fresh, "gap": self.gap}
        for name, part in parts.items():
            if part is not None and part.shape != self.y.shape:
                raise FitError("legs", f"{name} must have a value per row, {self.y.shape}", f"{part.shape}")
        for name, leg in (("y", self.y), ("x", self.x)):
            if np.isinf(leg).any():
                row = int(np.argmax(np.isinf(leg)))
                cure = "a spread of log prices needs prices above nought"
                raise FitError("legs", f"log prices {name} must be finite, or NaN", f"{leg[row]}", f"row {row}", cure)
        later = np.diff(self.session) > np.timedelta64(0, "D")
        if not later.all():
            row = int(np.argmin(later)) + 1
            raise FitError("legs", "sessions must rise", f"{self.session[row]} after it", f"row {row - 1}")
        if self.gap is not None and not (np.isfinite(self.gap) & (self.gap > 0)).all():
            row = int(np.argmin(np.isfinite(self.gap) & (self.gap > 0)))
            raise FitError("legs", "the gap of maturities must be positive", f"{self.gap[row]}", f"row {row}")

    def __len__(self) -> int:
        return len(self.y)

    def part(self, start: int, stop: int) -> Legs:
        """The rows from start to stop, sharing memory; the first of them begins a pair."""
        fresh = None if self.fresh is None else self.fresh[start:stop]
        gap = None if self.gap is None else self.gap[start:stop]
        return Legs(self.y[start:stop], self.x[start:stop], self.session[start:stop], fresh, gap)

    @property
    def both(self) -> BoolArray:
        """Where both legs have a price, (T,)."""
        return np.isfinite(self.y) & np.isfinite(self.x)

    def linked(self, lags: int) -> BoolArray:
        """Where this row and the `lags` rows before it are sessions of one pair with both prices, (T,)."""
        both, out = self.both, np.zeros(len(self), dtype=np.bool_)
        if len(self) <= lags:
            return out
        begun = np.zeros(len(self), dtype=np.int64) if self.fresh is None else np.cumsum(self.fresh)
        t = np.arange(lags, len(self))
        out[t] = (begun[t] == begun[t - lags]) & np.all([both[t - k] for k in range(lags + 1)], axis=0)
        return out


@dataclass(frozen=True)
class State:
    """Where a spread stands on each session, by what is known on it; NaN where a price is missing, or not yet.

    value   (T,) y - hedge * x by the hedge that the model expected for the session
    centre  (T,) where the model expected it to be
    sd      (T,) how far from there it usually is, positive
    hedge   (T,) units of x that a position taken on this session holds against one of y
    """

    value: Float64Array = field(repr=False)
    centre: Float64Array = field(repr=False)
    sd: Float64Array = field(repr=False)
    hedge: Float64Array = field(repr=False)

    @property
    def z(self) -> Float64Array:
        """Distance from the centre in standard deviations, (T,); positive: y is dear."""
        return (self.value - self.centre) / self.sd


@dataclass(frozen=True)
class Forecasts:
    """Of the change of y - hedge * x over the next h sessions, for origins n and horizons H, the hedge held.

    change, sd  (n, H) mean and standard deviation; NaN where the spread is not known at the origin
    """

    change: Float64Array = field(repr=False)
    sd: Float64Array = field(repr=False)

    def interval(self, coverage: float) -> tuple[Float64Array, Float64Array]:
        """Lower and upper ends, (n, H) each, that hold the change with this probability if innovations are normal."""
        if not 0 < coverage < 1:
            raise FitError("forecast of a spread", "the coverage must lie in (0, 1)", f"{coverage}")
        reach = float(ndtri((1 + coverage) / 2)) * self.sd
        return self.change - reach, self.change + reach


class FittedSpread(Protocol):
    """A model of one spread after it has seen data."""

    @property
    def kind(self) -> str:
        """The name it is registered under."""

    @property
    def params(self) -> Mapping[str, float]:
        """Estimates by their symbol."""

    @property
    def errors(self) -> Mapping[str, float]:
        """Standard errors of the estimates that have one; NaN for one on a bound."""

    @property
    def loglik(self) -> float:
        """Log-likelihood of the sample."""

    @property
    def nobs(self) -> int:
        """Rows that the likelihood counts."""

    @property
    def converged(self) -> bool:
        """Whether the optimiser found an optimum, or the estimate needs none."""

    @property
    def half_life(self) -> float:
        """Sessions in which half of a distance from the centre is gone; inf where none can be told to go."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the estimates must know."""

    def filter(self, legs: Legs) -> State:
        """Where the spread stands by these estimates; row t sees the rows up to and with t."""

    def forecast(self, legs: Legs, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """Forecasts at the origins, positions in `legs`: origin t sees the rows up to and with t."""

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values; `kind` among them."""

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""


class SpreadSpec(Protocol):
    """A model before it has seen data: a frozen dataclass of settings."""

    @property
    def kind(self) -> str:
        """The name it is registered under."""

    @property
    def least(self) -> int:
        """Sessions with both prices that a fit needs."""

    def fit(self, legs: Legs) -> FittedSpread:
        """Estimate from all of the rows; the same twice.

        Errors  FitError where there are too few rows, or where they do not vary
        """

    def simpler(self) -> SpreadSpec | None:
        """What to fall back on where this cannot be estimated; None where nothing is simpler."""

    def space(self, trial: Trial) -> Self:
        """The same settings with the searched ones drawn by a trial."""


def require_rows(who: str, found: int, least: int) -> None:
    """Refuse a sample with too few sessions on which both legs, and what is before them, are known."""
    if found < least:
        must = f"it needs {least} sessions of one pair on which both legs have a price"
        raise FitError(who, must, f"{found}", help="train on a longer span, or on a pair that trades more often")


def require_varied(who: str, deviation: Float64Array, level: Float64Array) -> None:
    """Refuse a spread that never varies; what rounding leaves of prices of this level is no variation."""
    if float(np.std(deviation)) <= 1e-13 * max(float(np.max(np.abs(level))), 1e-300):
        raise FitError(who, "the spread must vary", f"{len(deviation)} rows that do not")


def require_horizons(who: str, horizons: Sequence[int]) -> None:
    """Refuse horizons that are not a session or more."""
    if not horizons or min(horizons) < 1:
        raise FitError(who, "horizons must be a session or more", f"{tuple(horizons)}")
