"""The file that MLflow runs to load a book of spread models: it is this code and the book's own folder.

It is copied next to the book when that is logged ("models from code"), so that nothing is pickled; daybar must be
importable where it is loaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from features.panel import DataError
from models.spread.base import Legs
from training.spread_book import SpreadBook
from training.tracking import PyfuncContext, PyfuncModel, set_pyfunc

WHO = "model input"


class SpreadModel(PyfuncModel):
    """Changes of spreads after the log prices that are given; of a regression, returns of the rows that are given."""

    def load_context(self, context: PyfuncContext) -> None:
        """Read the book from its folder."""
        self.book = SpreadBook.load(Path(context.artifacts["scorer"]))

    def predict(
        self, context: PyfuncContext, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """A row a pair and horizon: pair, session (the last one given), horizon, model, change, se, z.

        model_input  pair, session, log_near, log_far (NaN where a leg has no price), in any order; fresh: 1 where
                     another pair of contracts begins; gap: years between the maturities
        Of a regression it gives a row a row and horizon: pair, session, horizon, model, yhat, se. It takes pair,
        session, deviation (of the daily move of the spread) and its columns, of which those that are not known may be
        NaN or left out (training/spread_columns.py, factors of the product).
        """
        del context, params
        if not len(model_input):
            raise DataError(WHO, "there must be prices", "no row")
        if self.book.is_pooled:
            return self._regressed(model_input)
        found = []
        for pair, rows in model_input.groupby("pair", sort=True):
            ordered = rows.sort_values("session")
            told = self.book.project(str(pair), _legs(str(pair), ordered)).to_pandas()
            keys = {"pair": str(pair), "session": str(ordered["session"].iloc[-1])}
            found.append(told.assign(**keys))
        columns = ["pair", "session", "horizon", "model", "change", "se", "z"]
        return pd.concat(found, ignore_index=True)[columns]

    def _regressed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What the last regressions make of rows of columns."""
        columns = () if self.book.pool is None else self.book.pool.columns
        X = rows.reindex(columns=list(columns)).to_numpy(np.float64)
        told = self.book.regress(X, rows["deviation"].to_numpy(np.float64)).to_pandas()
        keys = rows[["pair", "session"]].iloc[told.pop("row").to_numpy()].reset_index(drop=True)
        return pd.concat([keys, told], axis=1)[["pair", "session", "horizon", "model", "yhat", "se"]]


def _legs(pair: str, rows: pd.DataFrame) -> Legs:
    """The log prices of one pair, oldest first; DataError for a session twice."""
    if rows["session"].duplicated().any():
        twice = str(rows["session"][rows["session"].duplicated()].iloc[0])
        raise DataError(WHO, f"{pair} must have a row a session", "two", twice)
    fresh, gap = (_given(rows, name) for name in ("fresh", "gap"))
    return Legs(
        rows["log_far"].to_numpy(np.float64),
        rows["log_near"].to_numpy(np.float64),
        np.array(rows["session"].to_list(), dtype="datetime64[D]"),
        None if fresh is None else np.asarray(fresh > 0),
        gap,
    )


def _given(rows: pd.DataFrame, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    if name not in rows or rows[name].isna().all():
        return None
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = rows[name].to_numpy(np.float64)
    return values


set_pyfunc(SpreadModel())
