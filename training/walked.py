"""The walks of a product: one a model, begun by training, carried on every evening, kept as JSON and Parquet.

What it holds for a session is out of sample, whether that session lies in the span of the training or after it: the
grid of fits and every forecast are those that one long walk would have made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from features.panel import DataError, SessionArray
from models.volatility.base import VolatilitySpec
from models.volatility.walk import Plan, Refit, Track, too_short, walk
from training.volatility_data import Series


@dataclass(frozen=True)
class Walked:
    """One product's walks.

    sessions  (n,) of the returns that were walked
    tracks    model -> its walk; all have the same origins
    left_out  model -> what the product lacks for it
    empty     why there is no forecast at all, "" where there is
    """

    product: str
    sessions: SessionArray = field(repr=False)
    tracks: Mapping[str, Track] = field(repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict)
    empty: str = ""

    @property
    def first(self) -> int:
        """Position of the first origin."""
        return next(iter(self.tracks.values())).first

    def carried_on(self, specs: Mapping[str, VolatilitySpec], plan: Plan, series: Series) -> Self:
        """The walks up to the last return of the series, of which those walked before must be the first.

        Errors  DataError where the series has other sessions than it had
        """
        known = len(self.sessions)
        if len(series.sessions) < known or not np.array_equal(series.sessions[:known], self.sessions):
            differs = np.flatnonzero(series.sessions[:known] != self.sessions[: len(series.sessions)])
            at = str(self.sessions[differs[0]]) if len(differs) else str(series.sessions[-1])
            raise DataError(
                f"series of {self.product}",
                "its sessions must be those that the model was trained on, and later ones",
                f"{len(series.sessions)} sessions",
                at,
                "Its history was restated: train again.",
            )
        tracks = {name: walk(specs[name], series.returns, plan, carry_on=track) for name, track in self.tracks.items()}
        return replace(self, sessions=series.sessions, tracks=tracks)

    def save(self, folder: Path) -> None:
        """Write <product>.parquet, the forecasts, and then <product>.json, the fits: whole once that is there."""
        folder.mkdir(parents=True, exist_ok=True)
        origins = len(self.sessions) - self.first if self.tracks else 0
        parts = {"session": self.sessions[len(self.sessions) - origins :]}
        for name, track in self.tracks.items():
            for what in ("mean", "variance", "var", "es"):
                values = getattr(track, what)
                parts |= {f"{name}/{what}/{column}": values[:, column] for column in range(values.shape[1])}
        pl.DataFrame(parts).write_parquet(folder / f"{self.product}.parquet")
        told: dict[str, Any] = {
            "product": self.product,
            "before": [str(day) for day in self.sessions[: len(self.sessions) - origins]],
            "left_out": dict(self.left_out),
            "empty": self.empty,
            "fits": {name: [fit.describe() for fit in track.fits] for name, track in self.tracks.items()},
        }
        text = json.dumps(told, ensure_ascii=False)
        part = folder / f".{self.product}.json"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / f"{self.product}.json")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read back what `save` wrote, by the path of its JSON file."""
        told = json.loads(path.read_text(encoding="utf-8"))
        record = pl.read_parquet(path.with_suffix(".parquet"))
        before = np.array(told["before"], dtype="datetime64[D]")
        tracks = {
            name: Track(
                first=len(before),
                fits=tuple(Refit.restore(one) for one in fits),
                **{what: _columns(record, f"{name}/{what}/") for what in ("mean", "variance", "var", "es")},
            )
            for name, fits in told["fits"].items()
        }
        sessions = np.concatenate([before, record["session"].to_numpy().astype("datetime64[D]")])
        return cls(told["product"], sessions, tracks, told["left_out"], told["empty"])


def walked(product: str, specs: Mapping[str, VolatilitySpec], plan: Plan, series: Series) -> Walked:
    """The walks of a product from nothing."""
    short = too_short(series.returns, plan)
    there = {"range_variance"} if series.returns.range_variance is not None else set()
    there |= set(series.returns.regressors)
    lacking = {name: sorted(set(spec.needs) - there) for name, spec in specs.items()}
    left_out = {name: f"needs {', '.join(lacks)}" for name, lacks in lacking.items() if lacks}
    if short:
        return Walked(product, series.sessions, {}, left_out, short)
    usable = {name: spec for name, spec in specs.items() if name not in left_out}
    tracks = {name: walk(spec, series.returns, plan) for name, spec in usable.items()}
    return Walked(product, series.sessions, tracks, left_out, "" if tracks else "no model can be fitted")


def _columns(record: pl.DataFrame, prefix: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    names = [name for name in record.columns if name.startswith(prefix)]
    ordered = sorted(names, key=lambda name: int(name.rsplit("/", 1)[1]))
    return np.ascontiguousarray(record.select(ordered).to_numpy().astype(np.float64))
