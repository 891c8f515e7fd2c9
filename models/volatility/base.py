"""What volatility models share: the returns they see, the forecasts they give, the verbs of a spec and of a fitted one.

All are in the units of the returns that they are given: log returns in decimals, variances in decimals squared, per
session. A model standardises inside, so that returns times c give volatilities times c, to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np

from features.panel import Float64Array, IntArray
from models.base import FitError, Trial


@dataclass(frozen=True)
class Returns:
    """The returns of one series, oldest first, without gaps.

    value       (T,) log returns, finite
    range_variance  (T,) what open, high, low and close say of the variance of each session, not negative; None where
                they are not known
    regressors  name -> (T,) finite, not negative; row t is known when deciding on t and enters the variance of t + 1
    """

    value: Float64Array = field(repr=False)
    range_variance: Float64Array | None = field(default=None, repr=False)
    regressors: Mapping[str, Float64Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.value.ndim != 1 or not np.isfinite(self.value).all():
            bad = int(np.argmin(np.isfinite(self.value))) if self.value.ndim == 1 else 0
            raise FitError("returns", "they must be one axis of finite numbers", f"{self.value.shape}", f"row {bad}")
        parts = {"range_variance": self.range_variance, **self.regressors}
        for name, part in parts.items():
            if part is None:
                continue
            if part.shape != self.value.shape:
                raise FitError("returns", f"{name} must have a value per return", f"{part.shape}")
            if not (np.isfinite(part) & (part >= 0)).all():
                row = int(np.argmin(np.isfinite(part) & (part >= 0)))
                raise FitError("returns", f"{name} must be finite and not negative", f"{part[row]}", f"row {row}")

    def __len__(self) -> int:
        return len(self.value)

    def part(self, start: int, stop: int) -> Returns:
        """The rows from start to stop, sharing memory."""
        cut = {name: one[start:stop] for name, one in self.regressors.items()}
        x = None if self.range_variance is None else self.range_variance[start:stop]
        return Returns(self.value[start:stop], x, cut)

    def with_value(self, value: Float64Array) -> Returns:
        """The same rows with other returns, e.g. winsorised for a fit."""
        return Returns(value, self.range_variance, self.regressors)


@dataclass(frozen=True)
class Path:
    """What a fitted model makes of T returns: mean and variance of each, given those before it; the last is the next's.

    mean, variance  (T + 1,); NaN in the first rows where the mean looks back on returns that are not there
    """

    mean: Float64Array = field(repr=False)
    variance: Float64Array = field(repr=False)

    def residuals(self, returns: Returns) -> Float64Array:
        """Standardised residuals (T,)."""
        return (returns.value - self.mean[:-1]) / np.sqrt(self.variance[:-1])


@dataclass(frozen=True)
class Forecasts:
    """Of the return over the next h sessions, for origins n and horizons H; origin t has seen the returns up to t.

    mean, variance  (n, H) of the return cumulated over each horizon
    """

    mean: Float64Array = field(repr=False)
    variance: Float64Array = field(repr=False)


class FittedVolatility(Protocol):
    """A model of one series after it has seen data."""

    @property
    def kind(self) -> str:
        """The name it is registered under."""

    @property
    def params(self) -> Mapping[str, float]:
        """Estimates by their symbol, in the units of the returns squared where they have units."""

    @property
    def loglik(self) -> float:
        """Log-likelihood of the returns (NaN for a model without one)."""

    @property
    def nobs(self) -> int:
        """Returns that the likelihood counts."""

    @property
    def converged(self) -> bool:
        """Whether the optimiser found an interior optimum, or the estimate needs none."""

    @property
    def persistence(self) -> float:
        """What of a shock to the variance is left after a session, in expectation; NaN where that says nothing."""

    @property
    def dof(self) -> float:
        """Degrees of freedom of the innovations, inf for normal ones."""

    def filter(self, returns: Returns) -> Path:
        """Means and variances of the returns by these estimates; they start where those of the fit started."""

    def forecast(self, returns: Returns, origins: IntArray, horizons: Sequence[int]) -> Forecasts:
        """Forecasts at the origins, positions in `returns` in rising order: origin t sees returns up to and with t."""

    def quantile(self, share: Sequence[float]) -> Float64Array:
        """Quantiles of the standardised innovations, (L,)."""

    def tail_mean(self, share: Sequence[float]) -> Float64Array:
        """Mean of the standardised innovations below each quantile, (L,)."""

    def draw(self, returns: Returns, shocks: IntArray) -> Float64Array:
        """Returns of the sessions after the last one, drawn from the model's own past, (P, H).

        shocks  (P, H) positions of the standardised residuals of `returns` that strike
        """

    def describe(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values; `kind` among them."""

    @classmethod
    def restore(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `describe` gave."""


class VolatilitySpec(Protocol):
    """A model before it has seen data: a frozen dataclass of settings."""

    @property
    def kind(self) -> str:
        """The name it is registered under."""

    @property
    def least(self) -> int:
        """Observations that a fit needs."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Of Returns, what must be there beside the value: "range_variance", names of regressors."""

    def fit(self, returns: Returns, start: FittedVolatility | None = None) -> FittedVolatility:
        """Estimate from all of the returns; the same twice.

        start   an earlier fit of the same spec, whose estimates the search begins with
        Errors  FitError where there are too few returns, where they do not vary, or what the spec needs is missing
        """

    def simpler(self) -> VolatilitySpec | None:
        """What to fall back on where this cannot be estimated; None where nothing is simpler."""

    def space(self, trial: Trial) -> Self:
        """The same settings with the searched ones drawn by a trial."""
