"""Quantile trees by XGBoost: the raw band of a prediction, before it is conformalised.

Source  09 §5; Romano, Patterson and Candès 2019 (the quantile half of conformalised quantile regression)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import xgboost as xgb

from features.panel import Float32Array, Float64Array
from models.alpha.quantile_matrix import quantile_matrix
from models.base import FitError, Sample, require_aligned

_WHO: Final = "model quantile band"
_BLOCK: Final = 1_000_000  # rows that are predicted at once: a matrix on disk is never in memory whole


@dataclass(frozen=True)
class QuantileBand:
    """Settings of two quantiles that are learnt together; the names are XGBoost's own.

    lower, upper      shares of the outcomes below the two ends
    rounds            trees a quantile; none is stopped early, for the conformal step mends what they misjudge
    min_child_weight  least number of rows in a leaf (in units of the mean weight), whose quantile the leaf takes
    """

    lower: float = 0.05
    upper: float = 0.95
    rounds: int = 200
    max_depth: int = 4
    learning_rate: float = 0.05
    min_child_weight: float = 200.0
    subsample: float = 0.7
    colsample_bytree: float = 0.6
    max_bin: int = 256
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.lower < self.upper < 1:
            raise FitError(_WHO, "0 < lower < upper < 1 must hold", f"{self.lower} and {self.upper}")
        if self.rounds < 1:
            raise FitError(_WHO, "rounds must be positive", f"{self.rounds}")

    def fit(self, sample: Sample, seed: int) -> FittedBand:
        """Learn both quantiles of the labels; the same twice.

        sample  y is an outcome over its own volatility, so that one band width suits calm and wild assets
        """
        params = self._params(seed)
        rows = quantile_matrix(sample.X, sample.y, sample.unit_weight, max_bin=self.max_bin, threads=self.threads)
        booster = xgb.train(params, rows, self.rounds)
        effective = {**params, "rounds": self.rounds, "rows": len(sample.y), "sessions": sample.sessions}
        return FittedBand(self, sample.columns, effective, booster)

    def _params(self, seed: int) -> dict[str, Any]:
        return {
            "objective": "reg:quantileerror",
            "quantile_alpha": [self.lower, self.upper],
            "tree_method": "hist",
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample_bytree,
            "max_bin": self.max_bin,
            "device": self.device,
            "nthread": self.threads,
            "seed": seed,
        }


@dataclass(frozen=True)
class FittedBand:
    """Two quantiles as trees.

    columns    the K columns of the fit, in order
    effective  the parameters that were really used, and the rows and sessions of the fit
    """

    spec: QuantileBand
    columns: tuple[str, ...]
    effective: Mapping[str, Any]
    booster: xgb.Booster = field(repr=False)

    def __post_init__(self) -> None:
        # Bands are predicted on the CPU whatever grew the trees: a server may have nothing else.
        self.booster.set_param({"device": "cpu", "nthread": self.spec.threads})

    def predict(self, X: Float32Array) -> Float64Array:
        """Lower and upper quantile of rows (M, K) -> (M, 2), in the unit of the labels; the lower is never above.

        Two trees that cross are put in order, which never makes a quantile worse (Chernozhukov et al. 2010).
        Errors  FitError if the columns are not those of the fit or a cell is missing
        """
        require_aligned(_WHO, X, self.columns)
        band = np.empty((len(X), 2))
        for start in range(0, len(X), _BLOCK):
            rows = slice(start, start + _BLOCK)
            band[rows] = self.booster.inplace_predict(np.asarray(X[rows]))
        band.sort(axis=1)
        return band

    def save(self, folder: Path) -> None:
        """Write band.ubj (XGBoost's own form) and band.json (settings and columns)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.booster.save_model(folder / "band.ubj")
        told = {"spec": asdict(self.spec), "columns": self.columns, "effective": dict(self.effective)}
        (folder / "band.json").write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; FitError if the folder holds no band."""
        path = folder / "band.json"
        if not path.is_file():
            raise FitError(_WHO, "its folder must hold band.json", "none", str(folder))
        told = json.loads(path.read_text(encoding="utf-8"))
        booster = xgb.Booster(model_file=folder / "band.ubj")
        return cls(QuantileBand(**told["spec"]), tuple(told["columns"]), told["effective"], booster)
