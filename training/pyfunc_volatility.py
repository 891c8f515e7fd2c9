"""The file that MLflow runs to load a book of volatility models: it is this code and the book's own folder.

It is copied next to the book when that is logged ("models from code"), so that nothing is pickled; daybar must be
importable where it is loaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from features.panel import DataError
from models.volatility.base import Returns
from training.book import Book
from training.tracking import PyfuncContext, PyfuncModel, set_pyfunc
from training.volatility_config import REGRESSORS

WHO = "model input"


class VolatilityBook(PyfuncModel):
    """Volatilities of products after the returns that are given; a session's own row is the last that is known."""

    def load_context(self, context: PyfuncContext) -> None:
        """Read the book from its folder."""
        self.book = Book.load(Path(context.artifacts["scorer"]))

    def predict(
        self, context: PyfuncContext, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """A row a product and horizon: product, session (the last one given), horizon, model, sigma, sigma_h.

        model_input  product, session, return (log, of a session, in decimals), in any order; optionally range_variance
                     and regressors. A column that is empty for a product counts as not given for it.
        """
        del context, params
        if not len(model_input):
            raise DataError(WHO, "there must be returns", "no row")
        found = []
        for product, rows in model_input.groupby("product", sort=True):
            ordered = rows.sort_values("session")
            told = self.book.project(str(product), _returns(str(product), ordered)).to_pandas()
            keys = {"product": str(product), "session": str(ordered["session"].iloc[-1])}
            found.append(told[["horizon", "model", "sigma", "sigma_h"]].assign(**keys))
        columns = ["product", "session", "horizon", "model", "sigma", "sigma_h"]
        return pd.concat(found, ignore_index=True)[columns]


def _returns(product: str, rows: pd.DataFrame) -> Returns:
    """The returns of one product, oldest first; DataError for a session twice, and for a hole."""
    if rows["session"].duplicated().any():
        twice = str(rows["session"][rows["session"].duplicated()].iloc[0])
        raise DataError(WHO, f"{product} must have a row a session", "two", twice)
    there = [name for name in ("range_variance", *REGRESSORS) if name in rows and not rows[name].isna().all()]
    for name in ("return", *there):
        if not np.isfinite(rows[name]).all():
            where = str(rows["session"][~np.isfinite(rows[name])].iloc[0])
            raise DataError(WHO, f"{name} of {product} must be a finite number", "none", where)
    given = {name: rows[name].to_numpy(np.float64) for name in ("return", *there)}
    return Returns(given.pop("return"), given.pop("range_variance", None), given)


set_pyfunc(VolatilityBook())
