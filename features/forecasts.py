"""What models have said of products, as fields: the tables that `daybar predict` writes, one run's words a session.

A run is a trained model. Of the runs that speak of a product the one that has said most leads; a session on which it is
silent is told by the next one. So a history is one model's as far as that reaches, and no session mixes two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from features.panel import Float64Array, SessionArray

VOLATILITIES, TERMS = "pred_vol", "pred_term"
# Sessions ahead that have a field.  Source  04 §5
HORIZONS = (1, 5, 10, 20, 60)
# Contracts whose distance from the model has a field.
OF_CURVE = ("near", "dominant", "sub_dominant")
_STATES = {"ss_chi": "chi", "ss_xi": "xi", "ss_yield": "convenience_yield"}
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


def terms(
    said: pl.DataFrame, product: str, sessions: SessionArray, months: Mapping[str, Float64Array]
) -> dict[str, Float64Array]:
    """What a model of the term structure makes of a product's curve, (T,) each.

    said     asof, run_id, product, asset (the product, or a contract of it), model_price (null of what was not told or
             was withdrawn); of the product chi, xi, convenience_yield; of a contract month (yyyymm), z
    months   role -> delivery month of its contract as yyyymm, (T,), NaN where there is none
    Returns  ss_chi, ss_xi, ss_yield; ss_z_<role>: how many deviations the contract stands above the model
    NaN      no states were told; of a role: it has no contract, or none that the model is measured by
    """
    own = said.filter(pl.col("product") == product, pl.col("model_price").is_finite())
    states = own.filter(pl.col("asset") == product).select("asof", "run_id", *_STATES.values(), count=pl.lit(1))
    told = led(states)
    contracts = own.filter(pl.col("asset") != product).join(told.select("asof", "run_id"), on=["asof", "run_id"])
    out = laid(told.rename({of: name for name, of in _STATES.items()}), _STATES, sessions)
    for role in OF_CURVE:
        month = pl.Series("month", months[role]).fill_nan(None).cast(pl.Int64)
        held = pl.DataFrame({"asof": pl.Series(sessions).cast(pl.Date), "month": month})
        z = held.join(contracts.select("asof", "month", "z"), on=["asof", "month"])
        out |= laid(z.rename({"z": f"ss_z_{role}"}), (f"ss_z_{role}",), sessions)
    return out


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
