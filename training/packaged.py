"""A saved model as the tracking store keeps it: the code that loads it, its folder, what goes in and what comes out.

One kind of package a task; the files pyfunc_<task>.py are the code. The store runs them wherever it serves the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import polars as pl

from training.volatility_config import REGRESSORS

Kind = Literal["float", "double", "long", "string"]
_TYPES: Final[Mapping[Kind, type[pl.DataType]]] = {
    "float": pl.Float32,
    "double": pl.Float64,
    "long": pl.Int64,
    "string": pl.String,
}
_SHARED: Final = ("mlflow", "numpy", "pandas", "polars", "scipy", "numba")


@dataclass(frozen=True)
class Packaged:
    """A saved model, ready to be kept.

    task      alpha, volatility
    code      the file that is copied beside the model and run to load it: models from code, no pickle
    folder    what the model wrote of itself; copied as it is
    example   rows of input that the model is tried on before it is kept
    inputs    column -> its type; those of `optional` may be left out
    outputs   column -> its type
    requires  packages that are pinned to the versions of now
    """

    task: str
    code: Path
    folder: Path
    example: pl.DataFrame = field(repr=False)
    inputs: Mapping[str, Kind]
    outputs: Mapping[str, Kind]
    optional: frozenset[str] = frozenset()
    requires: Sequence[str] = _SHARED

    def shown(self) -> pl.DataFrame:
        """The example in the types of the input, without what is optional and not there."""
        there = [name for name in self.inputs if name in self.example.columns or name not in self.optional]
        return self.example.select(pl.col(name).cast(_TYPES[self.inputs[name]]) for name in there)


def packaged_alpha(folder: Path, example: pl.DataFrame, columns: Sequence[str]) -> Packaged:
    """A scorer: K factor columns in, a score out.

    folder   what Scorer.save wrote
    example  the columns, and `session` where the rows are of several sessions
    """
    return Packaged(
        "alpha",
        _code("alpha"),
        folder,
        example,
        {"session": "string", **dict.fromkeys(columns, "float")},
        {"score": "double"},
        frozenset({"session"}),
        (*_SHARED, "scikit-learn", "xgboost", "lightgbm"),
    )


def packaged_volatility(folder: Path, example: pl.DataFrame) -> Packaged:
    """A book of volatility models: the past returns of products in, volatilities by horizon out.

    folder   what the book wrote
    example  columns product, session, return; range_variance and regressors where the models want them
    """
    more = ("range_variance", *REGRESSORS)
    text: dict[str, Kind] = {"product": "string", "session": "string"}
    number: dict[str, Kind] = dict.fromkeys(("return", *more), "double")
    forecast: dict[str, Kind] = {"horizon": "long", "model": "string", "sigma": "double", "sigma_h": "double"}
    return Packaged(
        "volatility",
        _code("volatility"),
        folder,
        example,
        text | number,
        text | forecast,
        frozenset(more),
        (*_SHARED, "arch", "statsmodels"),
    )


def _code(task: str) -> Path:
    return Path(__file__).with_name(f"pyfunc_{task}.py")
