"""The saved models of a term-structure run, by product: fits as JSON, and what they make of other curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
import polars as pl

from features.panel import DataError, Float64Array, SessionArray
from models.spread.schwartz_smith import FittedSchwartzSmith
from models.spread.term_curve import Curve
from training.term_data import clock

_FILE: Final = "term_structure.json"


@dataclass(frozen=True)
class TermBook:
    """Fitted models by product, each with its state after the last date of the training.

    empty   product -> why it has no model
    learnt  product -> last date that its fit has seen
    """

    fits: Mapping[str, FittedSchwartzSmith]
    empty: Mapping[str, str]
    learnt: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the book into a folder that is there."""
        fits = {name: one.describe() for name, one in self.fits.items()}
        told = {"fits": fits, "empty": dict(self.empty), "learnt": dict(self.learnt)}
        (folder / _FILE).write_text(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; DataError where there is none."""
        path = folder / _FILE
        if not path.is_file():
            raise DataError(
                "model", f"its folder must hold {_FILE}", "none", str(folder), "Train it with daybar train."
            )
        told = json.loads(path.read_text(encoding="utf-8"))
        fits = {name: FittedSchwartzSmith.restore(one) for name, one in told["fits"].items()}
        return cls(fits, told["empty"], told.get("learnt", {}))

    def priced(self, product: str, sessions: SessionArray, price: Float64Array, years: Float64Array) -> pl.DataFrame:
        """What the model of a product makes of prices of its contracts, a row a price in the order given.

        sessions, price, years  (m,) in any order: date, price, years to maturity of 365 days
        Returns  model (its price), residual (ln price - ln model), z, chi, xi: of the states filtered up to the date;
                 dates all after the training carry its states on, else they are filtered from the first one given
        Errors   DataError for a product without a model, and for the same maturity twice on a date
        """
        if product not in self.fits:
            found = self.empty.get(product, f"models of {', '.join(self.fits)}")
            raise DataError("model input", f"the book must have a model of {product}", found)
        fitted = self.fits[product]
        days, row = np.unique(sessions, return_inverse=True)
        order = np.lexsort((years, row))
        begins = np.searchsorted(row[order], np.arange(len(days)))
        column = np.empty(len(row), dtype=np.int64)
        column[order] = np.arange(len(row)) - begins[row[order]]
        panels = np.full((2, len(days), int(column.max(initial=0)) + 1), np.nan)
        panels[0, row, column], panels[1, row, column] = price, years
        if (np.diff(panels[1], axis=1) == 0).any():
            day = days[int(np.argwhere(np.diff(panels[1], axis=1) == 0)[0, 0])]
            raise DataError("model input", f"a maturity of {product} must have one price a date", "two", str(day))
        curve = Curve(clock(days), panels[0], panels[1])
        state = fitted.state
        goes_on = state is not None and len(days) > 0 and curve.time[0] > state.time
        seen = fitted.filter(curve, state if goes_on else None)
        chi, xi = seen.chi[row], seen.xi[row]
        return pl.DataFrame(
            {
                "model": fitted.price(chi, xi, years),
                "residual": seen.residual[row, column],
                "z": seen.z[row, column],
                "chi": chi,
                "xi": xi,
            }
        )
