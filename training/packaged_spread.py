"""A book of spread models as the tracking store keeps it: what goes in, what comes out, rows that it is tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from training.packaged import Kind, Packaged
from training.spread_data import Series
from training.spread_panel import PooledPanel

_EXAMPLE: Final = 300  # rows of the example
_REQUIRES: Final = ("mlflow", "numpy", "pandas", "polars", "scipy", "numba", "statsmodels")
_LEARNERS: Final = ("scikit-learn", "xgboost")
_KEYS: Final[dict[str, Kind]] = {"pair": "string", "session": "string"}


def packaged_spread(folder: Path, example: pl.DataFrame) -> Packaged:
    """A book that serves a model of one pair: past log prices of pairs in, changes of their spreads by horizon out.

    folder   what the book wrote
    example  columns pair, session, log_near, log_far; fresh, gap where the models want them
    """
    number: dict[str, Kind] = dict.fromkeys(("log_near", "log_far", "fresh", "gap"), "double")
    forecast: dict[str, Kind] = {"horizon": "long", "model": "string", **dict.fromkeys(("change", "se", "z"), "double")}
    return Packaged(
        "spread",
        _code(),
        folder,
        example,
        _KEYS | number,
        _KEYS | forecast,
        frozenset({"fresh", "gap"}),
        _REQUIRES,
    )


def packaged_regression(folder: Path, example: pl.DataFrame) -> Packaged:
    """A book that serves a regression: columns of pairs in, spread excess returns by horizon out.

    folder   what the book wrote
    example  columns pair, session, deviation, and those of the regression; these may be left out where not known
    """
    columns = [name for name in example.columns if name not in (*_KEYS, "deviation")]
    number: dict[str, Kind] = dict.fromkeys(("deviation", *columns), "double")
    forecast: dict[str, Kind] = {"horizon": "long", "model": "string", **dict.fromkeys(("yhat", "se"), "double")}
    return Packaged(
        "spread",
        _code(),
        folder,
        example,
        _KEYS | number,
        _KEYS | forecast,
        frozenset(columns),
        (*_REQUIRES, *_LEARNERS),
    )


def prices_of(series: Series) -> pl.DataFrame:
    """The last log prices of a pair, as `packaged_spread` takes them."""
    legs = series.legs
    part = legs.part(max(0, len(legs) - _EXAMPLE), len(legs))
    told: dict[str, object] = {
        "pair": [series.name] * len(part),
        "session": [str(day) for day in part.session],
        "log_near": part.x,
        "log_far": part.y,
    }
    if part.fresh is not None:
        told["fresh"] = part.fresh.astype(np.float64)
    if part.gap is not None:
        told["gap"] = part.gap
    return pl.DataFrame(told)


def rows_of(panel: PooledPanel, pair: str) -> pl.DataFrame:
    """The last rows of a pair, as `packaged_regression` takes them."""
    at = panel.of(pair)[-_EXAMPLE:]
    told: dict[str, object] = {
        "pair": [pair] * len(at),
        "session": [str(day) for day in panel.sessions[panel.session[at]]],
        "deviation": panel.deviation[at],
    }
    return pl.DataFrame(told | {name: panel.X[at, k] for k, name in enumerate(panel.columns)})


def _code() -> Path:
    return Path(__file__).with_name("pyfunc_spread.py")
