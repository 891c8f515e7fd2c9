"""What models have said of products, as fields: the tables that `daybar predict` writes, one run's words a session.

A run is a trained model. Of the runs that speak of a product the one that has said most leads; a session on which it is
silent is told by the next one. So a history is one model's as far as that reaches, and no session mixes two.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from features.panel import Float64Array, SessionArray

VOLATILITIES = "pred_vol"
# Sessions ahead that have a field.  Source  04 §5
HORIZONS = (1, 5, 10, 20, 60)
_TARGET = "volatility"


def volatilities(said: pl.DataFrame, product: str, sessions: SessionArray) -> dict[str, Float64Array]:
    """Volatility p.a. that is forecast for so many sessions ahead, and where another run takes over, (T,) each.

    said     asof, asset, target, horizon, run_id, sigma: of a forecast that was not made or was withdrawn it is null
    Returns  vol_forecast_<horizon>; vol_forecast_switch: 1 on a session that another run tells than the last one told
    NaN      no forecast was made on that session
    """
    own = said.filter(
        pl.col("asset") == product,
        pl.col("target") == _TARGET,
        pl.col("horizon").is_in(HORIZONS),
        pl.col("sigma").is_finite() & (pl.col("sigma") > 0),
    )
    names = {f"vol_forecast_{h}": pl.col("sigma").filter(pl.col("horizon") == h).first() for h in HORIZONS}
    rows = own.group_by("asof", "run_id").agg(pl.len().alias("count"), **names)
    told = led(rows).with_columns(
        vol_forecast_switch=(pl.col("run_id") != pl.col("run_id").shift(1)).fill_null(value=False).cast(pl.Float64)
    )
    return laid(told, (*names, "vol_forecast_switch"), sessions)


def led(rows: pl.DataFrame) -> pl.DataFrame:
    """Of what runs have said of one product a row a session, by date: the first run's in the order of `ranked`.

    rows  asof, run_id, count: how much is said there; at most one a session and run
    """
    return rows.join(ranked(rows), on="run_id").sort("asof", "rank").unique("asof", keep="first", maintain_order=True)


def ranked(rows: pl.DataFrame) -> pl.DataFrame:
    """run_id and rank: who has said most comes first; of those who have said as much who spoke last, then by run id."""
    runs = rows.group_by("run_id").agg(pl.col("count").sum(), pl.col("asof").max())
    order = runs.sort("count", "asof", "run_id", descending=[True, True, False])
    return order.select("run_id").with_row_index("rank")


def laid(told: pl.DataFrame, names: Iterable[str], sessions: SessionArray) -> dict[str, Float64Array]:
    """Columns of rows by asof on an axis of sessions, (T,) each, NaN where there is no row or no value."""
    axis = pl.DataFrame({"asof": pl.Series(sessions).cast(pl.Date)})
    rows = axis.join(told, on="asof", how="left", maintain_order="left")
    return {name: rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names}
