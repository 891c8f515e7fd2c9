"""A frame in memory as a source: notebooks, and vendors whose client gives frames."""

from __future__ import annotations

import pandas as pd
import polars as pl

from features.panel import DataError
from features.sources.batch import Batch


def from_frame(frame: pl.DataFrame | pd.DataFrame, asset_class: str, origin: str = "frame") -> Batch:
    """Long bars (or a table "reference/<name>") from polars or pandas; a named pandas index becomes columns.

    What the columns must be is judged by `ingest`, not here.
    """
    if isinstance(frame, pl.DataFrame):
        return Batch(asset_class, origin, frame)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(origin, "it must be a polars or a pandas frame", type(frame).__name__)
    rows = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    try:
        return Batch(asset_class, origin, pl.from_pandas(rows.rename(columns=str)))
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:  # pyarrow's errors are ValueError and TypeError
        raise DataError(origin, "every column must hold one kind of value", str(error).splitlines()[0]) from error
