"""Ridge and elastic net: the baseline that every other alpha model must beat."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Ridge

from features.panel import Float32Array, Float64Array, IntArray
from models.alpha.validation import DailyRankIC, latest_sessions
from models.base import FitError, Sample, Trial, require_aligned, require_varied_scores
from models.blocks import blocks

_BLOCK: Final = 1 << 24  # bytes of the rows that are turned to float64 at a time


@dataclass(frozen=True)
class Linear:
    """Settings of a weighted linear regression with a penalty.

    alpha     strength on the scale of the number of rows N·T: Σ w (y - b - Xβ)² + alpha·(1 - l1_ratio)·|β|²
              + 2·alpha·l1_ratio·|β|₁ is minimised, weights having mean 1; of several, the one with the best daily
              rank IC on the last `valid_share` of the sessions is taken, and the model refitted with it on all rows
    l1_ratio  0 is ridge, more is elastic net
    Source    09 §4; Hoerl & Kennard (1970), Zou & Hastie (2005)
    """

    kind: ClassVar[str] = "linear"

    alpha: float | Sequence[float] = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
    l1_ratio: float = 0.0
    valid_share: float = 0.15
    max_iter: int = 10_000

    def __post_init__(self) -> None:
        if isinstance(self.alpha, Sequence):
            object.__setattr__(self, "alpha", tuple(self.alpha))
        positive = bool(self._alphas()) and min(self._alphas()) > 0
        if not positive or not 0 <= self.l1_ratio <= 1 or not 0 < self.valid_share < 1:
            raise FitError(
                "model linear",
                "alpha must be positive, l1_ratio in [0, 1] and valid_share in (0, 1)",
                f"{self.alpha}, {self.l1_ratio} and {self.valid_share}",
            )

    def _alphas(self) -> tuple[float, ...]:
        return tuple(self.alpha) if isinstance(self.alpha, Sequence) else (float(self.alpha),)

    def fit(self, sample: Sample, seed: int) -> FittedLinear:
        """Solve the regression; `seed` changes nothing, since nothing is drawn."""
        del seed
        ics = self._validated(sample)
        alpha = max(ics, key=lambda a: ics[a])
        moments = _moments(sample)
        beta = self._solve(moments, alpha)
        used = {
            "alpha": alpha,
            "l1_ratio": self.l1_ratio,
            "rank_ic_by_alpha": {str(a): ic for a, ic in ics.items()} if len(ics) > 1 else None,
            "rows": len(sample.y),
            "sessions": sample.sessions,
            "refit_on_all": True,
        }
        intercept = moments.mean_y - float(moments.mean @ beta)
        fitted = FittedLinear(self, sample.columns, used, beta, intercept, moments.spread)
        require_varied_scores("model linear", fitted, sample)
        return fitted

    def _validated(self, sample: Sample) -> dict[float, float]:
        """Daily rank IC of each alpha on the last sessions; one alpha needs none."""
        if len(self._alphas()) == 1:
            return {self._alphas()[0]: 0.0}
        earlier, later = latest_sessions(sample, self.valid_share)
        moments, rank_ic = _moments(earlier), DailyRankIC(later)
        path = np.column_stack([self._solve(moments, a) for a in self._alphas()])
        scores = np.vstack([later.X[part] @ path for part in blocks(later.X)])
        return {a: rank_ic(scores[:, i]) for i, a in enumerate(self._alphas())}

    def _solve(self, moments: _Moments, alpha: float) -> Float64Array:
        if self.l1_ratio == 0.0:
            model = Ridge(alpha=alpha, fit_intercept=False)
        else:
            # ElasticNet halves the squares and divides them by its rows; the penalty is brought to that scale.
            scale = len(moments.root_y)
            model = ElasticNet(alpha=alpha / scale, l1_ratio=self.l1_ratio, fit_intercept=False, max_iter=self.max_iter)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                model.fit(moments.root_x, moments.root_y)
            except ConvergenceWarning as reason:
                raise FitError("model linear", f"it must converge in {self.max_iter} steps", str(reason)) from reason
        return np.asarray(model.coef_, dtype=np.float64)

    def space(self, trial: Trial) -> Self:
        """These settings with the searched ones drawn; the ranges are those of 09 §4."""
        return replace(
            self,
            alpha=trial.suggest_float("alpha", 1.0, 1e5, log=True),
            l1_ratio=trial.suggest_categorical("l1_ratio", [0.0, 0.1, 0.5]),
        )


@dataclass(frozen=True)
class FittedLinear:
    """A line through the columns.

    coefficients  (K,) per unit of each column
    spread        (K,) weighted standard deviation of each column in the fit
    """

    kind: ClassVar[str] = "linear"

    spec: Linear
    columns: tuple[str, ...]
    effective: Mapping[str, Any]
    coefficients: Float64Array = field(repr=False)
    intercept: float
    spread: Float64Array = field(repr=False)

    def predict(self, X: Float32Array, session: IntArray) -> Float64Array:
        """Scores (M,) of rows (M, K); FitError if the columns are not those of the fit or a cell is missing."""
        del session  # a row is scored by its own columns
        require_aligned("model linear", X, self.columns)
        score = np.full(len(X), self.intercept)
        # Column by column, since the sums of a matrix product depend on how many rows it is given.
        for k in np.flatnonzero(self.coefficients):
            score += X[:, k] * self.coefficients[k]
        return score

    def contributions(self, X: Float32Array) -> Float64Array:
        """Coefficient times value, (M, K); with the intercept they add up to the score."""
        require_aligned("model linear", X, self.columns)
        return np.asarray(X * self.coefficients, dtype=np.float64)

    def importance(self) -> dict[str, float]:
        """Share of each column in Σ |coefficient| · standard deviation."""
        size = np.abs(self.coefficients) * self.spread
        return {c: float(v) for c, v in zip(self.columns, size / size.sum(), strict=True)}

    def save(self, folder: Path) -> None:
        """Write model.json; JSON keeps every digit of a float."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {
            "kind": self.kind,
            "spec": asdict(self.spec),
            "columns": self.columns,
            "effective": dict(self.effective),
            "intercept": self.intercept,
            "coefficients": self.coefficients.tolist(),
            "spread": self.spread.tolist(),
        }
        (folder / "model.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        return cls(
            Linear(**told["spec"]),
            tuple(told["columns"]),
            told["effective"],
            np.array(told["coefficients"]),
            told["intercept"],
            np.array(told["spread"]),
        )


class _Moments(NamedTuple):
    """All that a penalised regression needs to know of its rows."""

    root_x: Float64Array  # (R, K), root_x' root_x is the centred weighted Gram matrix
    root_y: Float64Array  # (R,), root_x' root_y the centred weighted X'y
    mean: Float64Array  # (K,) weighted
    mean_y: float
    spread: Float64Array  # (K,) weighted standard deviation


def _moments(sample: Sample) -> _Moments:
    """Reduce a sample to R <= K rows with the same normal equations.

    The penalties see the rows through X'WX and X'Wy alone. Those are summed in float64, block by block, so that a
    float32 matrix of any length costs no copy, and a path of alphas costs one pass.
    """
    k, weight = len(sample.columns), sample.unit_weight
    gram, cross, total = np.zeros((k, k)), np.zeros(k), np.zeros(k)
    for part in blocks(sample.X, size=_BLOCK):
        x, w = sample.X[part].astype(np.float64), weight[part]
        gram += x.T @ (x * w[:, None])
        cross += x.T @ (w * sample.y[part])
        total += w @ x
    n = float(weight.sum())
    mean, mean_y = total / n, float(weight @ sample.y) / n
    gram -= n * np.outer(mean, mean)
    cross -= n * mean * mean_y
    size, axes = np.linalg.eigh(gram)
    kept = size > 1e-12 * max(float(size[-1]), 0.0)
    if not kept.any():
        raise FitError("model linear", "at least one column must vary", "constant columns only")
    root = np.sqrt(size[kept])
    spread = np.sqrt(np.clip(np.diag(gram), 0.0, None) / n)
    return _Moments(root[:, None] * axes[:, kept].T, (axes[:, kept].T @ cross) / root, mean, mean_y, spread)
