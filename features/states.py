"""What recursive factors carry from one build to the next: the table states/<class> of the store.

A row holds one number of a factor's state after a session: by asset, and by its place (slot) in the state (S, N).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import polars as pl

from features.panel import AssetArray, Float64Array
from features.sessions import Day, as_day
from features.store import KEYS, Store


def days_kept(store: Store, asset_class: str) -> dict[str, set[dt.date]]:
    """Recursive factor -> sessions after which its state was kept."""
    table = f"states/{asset_class}"
    if not store.exists(table):
        return {}
    kept = store.scan(table).select("factor", "date").unique().collect()
    return {str(name): set(days["date"].to_list()) for (name,), days in kept.group_by("factor")}


def read_states(store: Store, asset_class: str, session: Day, assets: AssetArray) -> dict[str, Float64Array]:
    """Recursive factor -> its state (S, N) after a session, laid out on these assets; nought for one without."""
    table = f"states/{asset_class}"
    if not store.exists(table):
        return {}
    day: dt.date = as_day(session).astype(object)
    rows = store.scan(table).filter(pl.col("date") == day).collect()
    states = {}
    for (name,), own in rows.group_by("factor"):
        state = np.zeros((int(own["slot"].max()) + 1, len(assets)))  # type: ignore[arg-type]
        column = np.searchsorted(assets, own["order_book_id"].to_numpy())
        state[own["slot"].to_numpy(), column] = own["value"].to_numpy()
        states[str(name)] = state
    return states


def write_states(
    store: Store, asset_class: str, session: Day, assets: AssetArray, states: Mapping[str, Float64Array]
) -> None:
    """Keep the states after a session, in one commit."""
    day = as_day(session).astype(object)
    frames = [
        pl.DataFrame(
            {
                "order_book_id": pl.Series(np.tile(assets.astype(object), len(state)).tolist(), dtype=pl.String),
                "slot": pl.Series(np.repeat(np.arange(len(state)), len(assets))).cast(pl.Int64),
                "value": pl.Series(state.ravel()),
            }
        ).with_columns(date=pl.lit(day), factor=pl.lit(name))
        for name, state in states.items()
    ]
    if frames:
        store.upsert(f"states/{asset_class}", pl.concat(frames), keys=(*KEYS, "factor", "slot"))
