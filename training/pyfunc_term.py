"""The file that MLflow runs to load the term-structure models of a run: it is this code and the book's own folder.

It is copied next to the book when that is logged ("models from code"), so that nothing is pickled; daybar must be
importable where it is loaded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from features.panel import DataError
from training.term_book import TermBook
from training.tracking import PyfuncContext, PyfuncModel, set_pyfunc

WHO = "model input"


class TermStructures(PyfuncModel):
    """Model prices, residuals and states of curves that are given."""

    def load_context(self, context: PyfuncContext) -> None:
        """Read the book from its folder."""
        self.book = TermBook.load(Path(context.artifacts["scorer"]))

    def predict(
        self, context: PyfuncContext, model_input: pd.DataFrame, params: dict[str, object] | None = None
    ) -> pd.DataFrame:
        """A row for each row of input, in its order: model, residual, z, chi, xi.

        model_input  product, session, price, years (to maturity, of 365 days)
        """
        del context, params
        if not len(model_input):
            raise DataError(WHO, "there must be prices", "no row")
        rows = model_input.reset_index(drop=True)
        found = []
        for product, own in rows.groupby("product", sort=True):
            told = self.book.priced(
                str(product),
                own["session"].to_numpy().astype("datetime64[D]"),
                own["price"].to_numpy(np.float64),
                own["years"].to_numpy(np.float64),
            ).to_pandas()
            found.append(told.set_index(own.index))
        return pd.concat(found).sort_index()


set_pyfunc(TermStructures())
