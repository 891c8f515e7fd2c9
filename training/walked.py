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

from features.panel import Float64Array, SessionArray
from models.volatility.base import VolatilitySpec
from models.volatility.walk import Plan, Refit, Track, too_short, walk
from training.volatility_data import Series


@dataclass(frozen=True)
class Walked:
    """One product's walks.

    sessions  (n,) of the returns that were walked, and returns (n,) themselves
    tracks    model -> its walk; all have the same origins
    left_out  model -> what the product lacks for it
    empty     why there is no forecast at all, "" where there is
    """

    product: str
    sessions: SessionArray = field(repr=False)
    returns: Float64Array = field(repr=False)
    tracks: Mapping[str, Track] = field(repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict)
    empty: str = ""

    @property
    def first(self) -> int:
        """Position of the first origin."""
        return next(iter(self.tracks.values())).first

    def carried_on(self, specs: Mapping[str, VolatilitySpec], plan: Plan, series: Series) -> Self:
        """The walks up to the last return of the series.

        The returns that were walked before must be its first: where the store tells another history, the product has
        no forecast but a reason, and the other products theirs.
        """
        restated = self._restated(series)
        if restated is not None:
            return replace(self, empty=f"its history was restated at {restated}: train again")
        tracks = {name: walk(specs[name], series.returns, plan, carry_on=track) for name, track in self.tracks.items()}
        return replace(self, sessions=series.sessions, returns=series.returns.value, tracks=tracks)

    def _restated(self, series: Series) -> np.datetime64 | None:
        """The first session that is not, or not with the return, that was walked; None where all are."""
        known = min(len(self.sessions), len(series.sessions))
        other = (series.sessions[:known] != self.sessions[:known]) | (
            series.returns.value[:known] != self.returns[:known]
        )
        if other.any():
            return np.datetime64(self.sessions[int(np.argmax(other))])
        return None if known == len(self.sessions) else np.datetime64(self.sessions[known])

    def save(self, folder: Path) -> None:
        """Write <product>.parquet, the forecasts, and then <product>.json, the fits: whole once that is there."""
        folder.mkdir(parents=True, exist_ok=True)
        origins = len(self.sessions) - self.first if self.tracks else 0
        parts = {"session": self.sessions, "return": self.returns}
        before = np.full(len(self.sessions) - origins, np.nan)
        for name, track in self.tracks.items():
            for what in ("mean", "variance", "var", "es"):
                values = getattr(track, what)
                parts |= {
                    f"{name}/{what}/{column}": np.concatenate([before, values[:, column]])
                    for column in range(values.shape[1])
                }
        pl.DataFrame(parts).write_parquet(folder / f"{self.product}.parquet")
        told: dict[str, Any] = {
            "product": self.product,
            "first": len(self.sessions) - origins,
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
        record, first = pl.read_parquet(path.with_suffix(".parquet")), int(told["first"])
        tracks = {
            name: Track(
                first=first,
                fits=tuple(Refit.restore(one) for one in fits),
                **{what: _columns(record[first:], f"{name}/{what}/") for what in ("mean", "variance", "var", "es")},
            )
            for name, fits in told["fits"].items()
        }
        sessions = record["session"].to_numpy().astype("datetime64[D]")
        returns = record["return"].to_numpy().astype(np.float64)
        return cls(told["product"], sessions, returns, tracks, told["left_out"], told["empty"])


def walked(product: str, specs: Mapping[str, VolatilitySpec], plan: Plan, series: Series) -> Walked:
    """The walks of a product from nothing."""
    short = too_short(series.returns, plan)
    there = {"range_variance"} if series.returns.range_variance is not None else set()
    there |= set(series.returns.regressors)
    lacking = {name: sorted(set(spec.needs) - there) for name, spec in specs.items()}
    left_out = {name: f"needs {', '.join(lacks)}" for name, lacks in lacking.items() if lacks}
    if short:
        return Walked(product, series.sessions, series.returns.value, {}, left_out, short)
    usable = {name: spec for name, spec in specs.items() if name not in left_out}
    tracks = {name: walk(spec, series.returns, plan) for name, spec in usable.items()}
    empty = "" if tracks else "no model can be fitted"
    return Walked(product, series.sessions, series.returns.value, tracks, left_out, empty)


def _columns(record: pl.DataFrame, prefix: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    names = [name for name in record.columns if name.startswith(prefix)]
    ordered = sorted(names, key=lambda name: int(name.rsplit("/", 1)[1]))
    return np.ascontiguousarray(record.select(ordered).to_numpy().astype(np.float64))
