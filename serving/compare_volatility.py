"""What changed between two sessions of one book of volatilities: the moves, the models, who lost a forecast and why."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

import polars as pl

ABSENT: Final = "no row on that session"
_SIDES: Final = ("sigma", "model", "status", "margin", "contracts", "reason")


@dataclass(frozen=True)
class VolatilityComparison:
    """Two sessions of one book, A then and B now.

    both    products with a forecast on both
    rows    a row a product and horizon of either: sigma (a year), model, status, margin, contracts and reason then and
            now; change: sigma now over sigma then, less one; null where one is missing
    """

    then: dt.date
    now: dt.date
    k: int
    both: int
    rows: pl.DataFrame = field(repr=False)

    @property
    def moves(self) -> pl.DataFrame:
        """The k largest changes at the shortest horizon, either way; a halving weighs as much as a doubling."""
        moved = self._shortest.drop_nulls("change").filter(pl.col("change") != 0)
        return moved.sort((pl.col("change") + 1).log().abs(), "asset", descending=[True, False]).head(self.k)

    @property
    def median(self) -> pl.DataFrame:
        """The median change by horizon, with how many products it is of."""
        shared = self.rows.drop_nulls("change").group_by("horizon")
        return shared.agg(pl.col("change").median(), products=pl.len()).sort("horizon")

    @property
    def switched(self) -> pl.DataFrame:
        """Rows whose forecast is another model's, or has another status."""
        other = pl.col("model_then").ne(pl.col("model_now")) | pl.col("status_then").ne(pl.col("status_now"))
        return self.rows.drop_nulls("change").filter(other)

    @property
    def lost(self) -> pl.DataFrame:
        """With a forecast then, without one now; a row a product."""
        return self._shortest.filter(pl.col("sigma_then").is_not_null() & pl.col("sigma_now").is_null())

    @property
    def gained(self) -> pl.DataFrame:
        """Without a forecast then, with one now; a row a product."""
        return self._shortest.filter(pl.col("sigma_then").is_null() & pl.col("sigma_now").is_not_null())

    @property
    def _shortest(self) -> pl.DataFrame:
        return self.rows.filter(pl.col("horizon") == pl.col("horizon").min())


def compare_volatilities(then: pl.DataFrame, now: pl.DataFrame, k: int = 50) -> VolatilityComparison:
    """Compare two sessions' frames of predictions, as they are in pred_vol."""
    keys = ["asset", "horizon"]
    sides = [
        frame.select(*keys, *(pl.col(name).alias(f"{name}_{when}") for name in _SIDES))
        for frame, when in ((then, "then"), (now, "now"))
    ]
    rows = sides[0].join(sides[1], on=keys, how="full", coalesce=True).sort(keys)
    rows = rows.with_columns(
        pl.when(pl.col(f"sigma_{when}").is_null() & pl.col(f"reason_{when}").is_null())
        .then(pl.lit(ABSENT))
        .otherwise(f"reason_{when}")
        .alias(f"reason_{when}")
        for when in ("then", "now")
    ).with_columns(change=pl.col("sigma_now") / pl.col("sigma_then") - 1)
    both = rows.drop_nulls("change")["asset"].n_unique()
    named = [f"{name}_{when}" for name in _SIDES for when in ("then", "now")]
    return VolatilityComparison(then["asof"][0], now["asof"][0], k, both, rows.select(*keys, "change", *named))
