"""What every model shares: the rows it learns from, the verbs of a spec and of a fitted model, and its refusal.

A spec is settings, a fitted model is knowledge: `fit` turns the one into the other and changes neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np

from features.panel import BoolArray, Float32Array, Float64Array, IntArray, Refusal
from models.blocks import blocks

_PROBE_BYTES: Final = 1 << 20  # of the rows that are scored at a time until two scores differ


class FitError(Refusal, RuntimeError):
    """An estimate that could not be made, or a model asked for what it cannot give."""


@dataclass(frozen=True)
class Sample:
    """The rows that a cross-sectional model learns from, sorted by session.

    X        (M, K) float32, finite: missing values were filled when the columns were standardised
    y        (M,) float64, finite
    session  (M,) int64, positions on the calendar, non-decreasing
    weight   (M,) float64, not negative, some of it positive; only ratios matter
    columns  K names
    gap      sessions that a label reaches beyond its row: so many must lie between training and validation
    """

    X: Float32Array = field(repr=False)
    y: Float64Array = field(repr=False)
    session: IntArray = field(repr=False)
    weight: Float64Array = field(repr=False)
    columns: tuple[str, ...]
    gap: int

    def __post_init__(self) -> None:
        m, k = len(self.y), len(self.columns)
        if self.X.shape != (m, k):
            raise FitError(
                "sample", f"X must have a row per label and a column per name, ({m}, {k})", f"{self.X.shape}"
            )
        if self.X.dtype != np.float32 or self.y.dtype != np.float64:
            raise FitError("sample", "X must be float32 and y float64", f"{self.X.dtype} and {self.y.dtype}")
        if self.session.shape != (m,) or self.weight.shape != (m,):
            raise FitError(
                "sample",
                f"session and weight must have a value per label, ({m},)",
                f"{self.session.shape} and {self.weight.shape}",
            )
        if len(set(self.columns)) != k or k == 0:
            raise FitError(
                "sample", "it must have columns, each named once", f"{k} columns, {len(set(self.columns))} names"
            )
        if self.gap < 0:
            raise FitError("sample", "gap must not be negative", f"{self.gap}")
        self._check_values()

    def _check_values(self) -> None:
        if self.sessions < 2:
            raise FitError("sample", "a model needs at least 2 sessions", f"{self.sessions}")
        if (np.diff(self.session) < 0).any():
            row = int(np.argmax(np.diff(self.session) < 0)) + 1
            raise FitError(
                "sample", "rows must be sorted by session", f"{self.session[row]} after a later one", f"row {row}"
            )
        if not np.isfinite(self.y).all():
            row = int(np.argmin(np.isfinite(self.y)))
            raise FitError("sample", "every label must be a finite number", f"{self.y[row]}", f"row {row}")
        require_finite("sample", self.X, self.columns)
        if not (np.isfinite(self.weight).all() and (self.weight >= 0).all() and (self.weight > 0).any()):
            raise FitError(
                "sample",
                "weights must be finite, not negative and not all zero",
                f"a minimum of {self.weight.min(initial=np.inf)}",
            )

    @property
    def sessions(self) -> int:
        """Sessions that have a row."""
        return int(np.count_nonzero(np.diff(self.session))) + 1 if len(self.session) else 0

    @property
    def unit_weight(self) -> Float64Array:
        """Weights with mean 1, so that penalties and leaf sizes keep the scale of the number of rows, (M,)."""
        return self.weight / self.weight.mean()

    def rows(self, chosen: BoolArray | slice) -> Sample:
        """The rows that a mask or a slice names; those of a slice share memory."""
        return Sample(self.X[chosen], self.y[chosen], self.session[chosen], self.weight[chosen], self.columns, self.gap)


def require_finite(who: str, X: Float32Array, columns: Sequence[str]) -> None:
    """Refuse a matrix (M, K) with a cell that is missing or infinite, naming the first such row and column."""
    first, found = None, 0
    for part in blocks(X):
        good = np.isfinite(X[part])
        if good.all():
            continue
        found += int(good.size - np.count_nonzero(good))
        if first is None:
            row, column = np.argwhere(~good)[0]
            first = part.start + int(row), int(column)
    if first is None:
        return
    raise FitError(
        who,
        "every cell of X must be a finite number",
        f"{found} of {X.size} cells that are not",
        f"row {first[0]}, column {columns[first[1]]}",
        "standardise the columns first: that fills what is missing and counts it",
    )


def require_aligned(who: str, X: Float32Array, columns: Sequence[str]) -> None:
    """Refuse a matrix whose width is not that of the columns a model was fitted on, or that has gaps."""
    if X.ndim != 2 or X.shape[1] != len(columns):
        raise FitError(who, f"X must have the {len(columns)} columns of the fit", f"the shape {X.shape}")
    require_finite(who, X, columns)


def require_varied(who: str, score: Float64Array) -> None:
    """Refuse scores (M,) that are all the same: they rank nothing, and everything after them would be ties."""
    if len(score) == 0 or float(np.ptp(score)) == 0.0:
        raise _constant(who)


def require_varied_scores(who: str, fitted: FittedAlpha, sample: Sample) -> None:
    """Refuse a model whose scores of the sample are all the same; it scores no more sessions than tell otherwise."""
    low, high = np.inf, -np.inf
    for part in blocks(sample.X, sample.session, size=_PROBE_BYTES):
        score = fitted.predict(sample.X[part], sample.session[part])
        low, high = min(low, float(score.min())), max(high, float(score.max()))
        if high > low:
            return
    raise _constant(who)


def _constant(who: str) -> FitError:
    return FitError(
        who,
        "a fitted model must tell its rows apart",
        "constant predictions",
        help="its penalties are too strong for these rows, or no column says anything about the label",
    )


class Trial(Protocol):
    """The part of an Optuna trial that a search space uses."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer in [low, high]."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number in [low, high]."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401
        """One of the choices."""


class FittedAlpha(Protocol):
    """A cross-sectional model after it has seen data."""

    @property
    def kind(self) -> str:
        """The name it is registered under."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The K columns it was fitted on, in order."""

    @property
    def effective(self) -> Mapping[str, Any]:
        """The parameters that were really used, with what the fit decided (rounds, alpha); JSON values."""

    def predict(self, X: Float32Array, session: IntArray) -> Float64Array:
        """Scores of the rows, (M, K) -> (M,); higher is better within a session.

        session  (M,) positions on the calendar, non-decreasing; the rows of one must be its whole universe, since a
                 model may rank within it
        """

    def contributions(self, X: Float32Array) -> Float64Array:
        """What each column adds to the score of each row, (M, K) -> (M, K); FitError if scores are no sums."""

    def importance(self) -> dict[str, float]:
        """Share of each column in what the model does; not negative, sums to 1."""

    def save(self, folder: Path) -> None:
        """Write the model into a folder, in native or JSON form."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""


class AlphaSpec(Protocol):
    """A cross-sectional model before it has seen data: a frozen dataclass of settings."""

    @property
    def kind(self) -> str:
        """The name it is registered under."""

    def fit(self, sample: Sample, seed: int) -> FittedAlpha:
        """Learn from a sample; the same twice."""

    def space(self, trial: Trial) -> Self:
        """The same settings with the searched ones drawn by a trial."""
