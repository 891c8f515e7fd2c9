"""Spread excess return on what is known: an elastic net or boosted trees, by the models of alpha.

A series has one row a session, a pool of products or pairs one each; rows are sorted by session. The models of alpha
take such a sample as it is: `gap` purges what overlaps, and a session may have any number of rows. Two things are done
here that theirs do not suit: columns and label are standardised over the rows, not within a session, of which one row
would leave nothing; and the penalty is chosen by squared error on later sessions, since a session of one row has no
rank correlation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np

from features.panel import BoolArray, Float32Array, Float64Array, IntArray
from models.alpha.linear import FittedLinear, Linear
from models.alpha.validation import expanding_folds
from models.alpha.xgboost import FittedXGBoost, XGBoost
from models.base import FitError, Sample, Trial

# Strengths per row of a standardised sample: from next to none to more than any correlation of .5 outweighs.
_STRENGTHS: Final = tuple(float(s) for s in np.geomspace(1e-3, 1.0, 10))


@dataclass(frozen=True)
class SpreadRegression:
    """Settings of a regression of h-session spread excess returns.

    model      `elastic_net`: its strength by squared error on `folds` later stretches of the sample, purged by the gap;
               where the mean of the label does better than any strength, the mean; `xgboost`: the trees of 04 §6.2
    strengths  penalty per row of standardised columns and label, of which one is chosen
    max_iter   steps in which a net must converge; a strength that does not is left out
    least_share  of the rows in which a column must be known to be used
    bound      standard deviations at which a column is cut: a line is not drawn on to where no row has been
    max_depth ... colsample  of the trees: their depth, how many, the step of each, the least weight of a leaf in rows,
               shares of rows and columns that each draws
    Source     spec 04 §6.2 (4)
    """

    kind: ClassVar[str] = "spread_regression"

    model: Literal["elastic_net", "xgboost"] = "elastic_net"
    l1_ratio: float = 0.5
    strengths: Sequence[float] = _STRENGTHS
    folds: int = 4
    max_iter: int = 10_000
    least_share: float = 0.5
    bound: float = 3.0
    max_depth: int = 3
    rounds: int = 300
    learning_rate: float = 0.03
    min_child_weight: float = 50.0
    subsample: float = 0.7
    colsample: float = 0.6

    def __post_init__(self) -> None:
        if self.model not in ("elastic_net", "xgboost") or self.folds < 1 or not 0 < self.least_share <= 1:
            must = "model must be elastic_net or xgboost, folds 1 or more and least_share in (0, 1]"
            raise FitError("model spread_regression", must, f"{self.model}, {self.folds} and {self.least_share}")
        if not self.strengths or min(self.strengths) <= 0 or not 0 <= self.l1_ratio <= 1:
            must = "strengths must be positive and l1_ratio in [0, 1]"
            raise FitError("model spread_regression", must, f"{self.strengths} and {self.l1_ratio}")
        if not self.bound > 0 or self.max_iter < 1:
            must = "bound must be positive, max_iter 1 or more"
            raise FitError("model spread_regression", must, f"{self.bound} and {self.max_iter}")
        if not (0 < self.subsample <= 1 and 0 < self.colsample <= 1 and self.max_depth >= 1 and self.rounds >= 1):
            must = "max_depth and rounds must be 1 or more, subsample and colsample in (0, 1]"
            found = f"{self.max_depth}, {self.rounds}, {self.subsample} and {self.colsample}"
            raise FitError("model spread_regression", must, found)

    @property
    def trees(self) -> XGBoost:
        """The trees of these settings; none are held back to stop them early."""
        return XGBoost(
            max_depth=self.max_depth,
            rounds=self.rounds,
            learning_rate=self.learning_rate,
            min_child_weight=self.min_child_weight,
            early_stopping=0,
            subsample=self.subsample,
            colsample_bytree=self.colsample,
        )

    def fit(
        self, X: Float64Array, y: Float64Array, session: IntArray, columns: Sequence[str], gap: int, seed: int
    ) -> FittedSpreadRegression:
        """Learn from rows (M, K) of what was known and their outcomes (M,).

        X        NaN where a column is not known: it counts as its mean, and the share of such cells is told
        session  (M,) positions on the calendar, non-decreasing
        gap      sessions that a label reaches beyond its row, the horizon and the delay
        Errors   FitError where no column or label varies
        """
        scale = _scaling(X, y, tuple(columns), self.least_share, self.bound)
        label = (y - scale.label_mean) / scale.label_sd
        sample = Sample(scale.standardised(X), label, session, np.ones(len(y)), scale.columns, gap)
        if self.model == "xgboost":
            return FittedSpreadRegression(self, scale, self.trees.fit(sample, seed), {"error": None})
        errors, of_mean = self._errors(sample)
        told = {"error": {f"{s:g}": e for s, e in errors.items() if math.isfinite(e)}, "error_of_mean": of_mean}
        usable = sorted((s for s, e in errors.items() if e < of_mean), key=lambda s: errors[s])
        settled = bool(told["error"]) and not usable  # nothing beats the mean
        for strength in usable:
            try:
                fitted = self._fitted(sample, strength)
            except _Unsettled:
                continue
            settled = True
            if fitted is not None:
                return FittedSpreadRegression(self, scale, fitted, {**told, "strength": strength})
        if not settled:
            must = f"some strength must converge in {self.max_iter} steps"
            raise FitError("model spread_regression", must, "none", help="raise max_iter, or leave out columns")
        return FittedSpreadRegression(self, scale, None, told)

    def space(self, trial: Trial) -> Self:
        """The mixture of the penalties, or the trees' depth, rate and leaves."""
        if self.model == "elastic_net":
            return replace(self, l1_ratio=trial.suggest_categorical("l1_ratio", [0.1, 0.5, 0.9]))
        return replace(
            self,
            max_depth=trial.suggest_int("max_depth", 2, 4),
            learning_rate=trial.suggest_float("learning_rate", 0.01, 0.1, log=True),
            min_child_weight=trial.suggest_float("min_child_weight", 20.0, 200.0, log=True),
        )

    def _errors(self, sample: Sample) -> tuple[dict[float, float], float]:
        """Mean squared error on later sessions of each strength that tells rows apart, and of the earlier mean."""
        squares = dict.fromkeys(self.strengths, 0.0)
        of_mean, rows = 0.0, 0
        for earlier, later in expanding_folds(sample, self.folds):
            mean = float(earlier.y.mean())
            of_mean += float(np.sum((later.y - mean) ** 2))
            rows += len(later.y)
            for strength in self.strengths:
                try:
                    fitted = self._fitted(earlier, strength)
                except _Unsettled:
                    squares[strength] = math.inf  # another strength has to
                    continue
                score = np.full(len(later.y), mean) if fitted is None else fitted.predict(later.X, later.session)
                squares[strength] += float(np.sum((later.y - score) ** 2))
        return {strength: total / rows for strength, total in squares.items()}, of_mean / rows

    def _fitted(self, sample: Sample, strength: float) -> FittedLinear | None:
        """A net of this strength; None where it leaves nothing but the mean.

        Errors  _Unsettled where it does not converge
        """
        try:
            net = Linear(alpha=strength * len(sample.y), l1_ratio=self.l1_ratio, max_iter=self.max_iter)
            return net.fit(sample, 0)
        except FitError as refusal:
            if refusal.found == "constant predictions":
                return None
            if "must converge" in refusal.must:
                raise _Unsettled from refusal
            raise


class _Unsettled(Exception):
    """A net that does not converge."""


@dataclass(frozen=True)
class Scaling:
    """What makes columns and label comparable, from the rows of the fit.

    offered  columns that rows have; columns those that are used, with their mean, sd and share of missing cells
    """

    offered: tuple[str, ...]
    columns: tuple[str, ...]
    mean: Float64Array = field(repr=False)
    sd: Float64Array = field(repr=False)
    missing: Float64Array = field(repr=False)
    label_mean: float
    label_sd: float
    bound: float

    def standardised(self, X: Float64Array) -> Float32Array:
        """Used columns about their means in standard deviations, cut at the bound, a missing cell at its mean.

        Shape  (M, K) -> (M, k)
        """
        if X.ndim != 2 or X.shape[1] != len(self.offered):
            raise FitError("model spread_regression", f"rows must have {len(self.offered)} columns", f"{X.shape}")
        at = [self.offered.index(name) for name in self.columns]
        z = (X[:, at] - self.mean) / self.sd
        if np.isinf(z).any():
            row, column = np.argwhere(np.isinf(z))[0]
            where = f"row {row}, column {self.columns[column]}"
            raise FitError("model spread_regression", "a cell must be a number or NaN", "infinity", where)
        return np.clip(np.where(np.isnan(z), 0.0, z), -self.bound, self.bound).astype(np.float32)


@dataclass(frozen=True)
class FittedSpreadRegression:
    """A regression of spread excess returns.

    inner  the model of alpha; None where the mean of the label did better on later sessions than any net
    told   what the fit decided: squared errors by strength, of the mean, and the strength taken
    """

    kind: ClassVar[str] = "spread_regression"

    spec: SpreadRegression
    scaling: Scaling
    inner: FittedLinear | FittedXGBoost | None
    told: Mapping[str, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it takes, in order."""
        return self.scaling.offered

    def predict(self, X: Float64Array) -> Float64Array:
        """Expected spread excess return of rows (M, K), (M,), in the units of the label."""
        rows = self.scaling.standardised(X)
        if self.inner is None:
            return np.full(len(X), self.scaling.label_mean)
        score = self.inner.predict(rows, np.arange(len(X), dtype=np.int64))
        return np.asarray(self.scaling.label_mean + self.scaling.label_sd * score)

    def importance(self) -> dict[str, float]:
        """Share of each column in what the model does; nought for all where it is the mean."""
        found = {} if self.inner is None else self.inner.importance()
        return {name: found.get(name, 0.0) for name in self.columns}

    def save(self, folder: Path) -> None:
        """Write regression.json, and the model of alpha in its own form into a folder beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        scale = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in vars(self.scaling).items()}
        inner = None if self.inner is None else self.inner.kind
        told = {"kind": self.kind, "spec": asdict(self.spec), "scaling": scale, "told": dict(self.told), "inner": inner}
        (folder / "regression.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
        if self.inner is not None:
            self.inner.save(folder / "inner")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote."""
        told = json.loads((folder / "regression.json").read_text(encoding="utf-8"))
        spec = {**told["spec"], "strengths": tuple(told["spec"]["strengths"])}
        scale = told["scaling"]
        scale |= {name: tuple(scale[name]) for name in ("offered", "columns")}
        scale |= {name: np.array(scale[name]) for name in ("mean", "sd", "missing")}
        inner: FittedLinear | FittedXGBoost | None = None
        if told["inner"] == "linear":
            inner = FittedLinear.load(folder / "inner")
        elif told["inner"] == "xgboost":
            inner = FittedXGBoost.load(folder / "inner")
        return cls(SpreadRegression(**spec), Scaling(**scale), inner, told["told"])


def _scaling(X: Float64Array, y: Float64Array, columns: tuple[str, ...], least_share: float, bound: float) -> Scaling:
    """Means and standard deviations of what is known; columns that are seldom known or never vary are left out."""
    if X.shape != (len(y), len(columns)) or not len(y):
        must = f"X must have a row per label and a column per name, ({len(y)}, {len(columns)})"
        raise FitError("model spread_regression", must, f"{X.shape}")
    known = np.isfinite(X)
    share = known.mean(axis=0)
    safe = np.where(known, X, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    mean = safe.sum(axis=0) / count
    sd = np.sqrt(np.where(known, (X - mean) ** 2, 0.0).sum(axis=0) / count)
    size = np.where(known, np.abs(X), 0.0).max(axis=0)
    used: BoolArray = (share >= least_share) & (sd > 1e-12 * size)
    label_sd = float(np.std(y))
    if not used.any():
        raise FitError("model spread_regression", "a column must be known and vary", f"none of {len(columns)} does")
    if not (math.isfinite(label_sd) and label_sd > 0):
        raise FitError(
            "model spread_regression", "labels must be finite and vary", f"a standard deviation of {label_sd}"
        )
    names = tuple(name for name, one in zip(columns, used, strict=True) if one)
    return Scaling(columns, names, mean[used], sd[used], 1 - share[used], float(np.mean(y)), label_sd, bound)
