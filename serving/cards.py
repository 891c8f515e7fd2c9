"""Factors on the terminal: the list, and the card of one with its inputs and its coverage."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from features.factor import Factor, catalogue, plan, select, stored
from features.inputs import available
from features.materialise import MARKET, materialise
from features.store import Store
from serving.show import console, frame_table, line


def show_list(asset_class: str, sets: Sequence[str]) -> None:
    """A row a stored factor."""
    known = catalogue(asset_class)
    names = select(asset_class, sets=sets) if sets else stored(asset_class)
    rows = [(n, known[n].zh, known[n].unit, known[n].lookback, known[n].scope, " ".join(known[n].sets)) for n in names]
    frame = pl.DataFrame(rows, ["factor", "中文", "unit", "lookback", "scope", "sets"], orient="row")
    console.print(frame_table(frame, f"{len(rows)} factors of {asset_class}"))


def show_card(store: Store, asset_class: str, name: str) -> None:
    """The card, what the factor stands on, and how much of a store's rows it is defined on, year by year."""
    readable = available(store, asset_class) if store.exists(f"bars/{asset_class}") else ()
    wanted = plan(asset_class, [name], readable)
    factor = catalogue(asset_class)[name]
    line(f"{name}  {factor.zh}")
    line(f"unit {factor.unit}, known at {factor.known}, scope {factor.scope}, sets {', '.join(factor.sets) or '-'}")
    line(f"inputs {', '.join(factor.inputs)}" + (f"; optional {', '.join(factor.optional)}" if factor.optional else ""))
    line(f"lookback {factor.lookback} sessions of its inputs" + (", carries a state" if factor.recursive else ""))
    line("")
    line(factor.summary)
    if not readable:
        line(f"\nno bars of {asset_class} in {store.root}: coverage is not known")
    elif name in wanted.absent:
        line(f"\nabsent in this store: {wanted.absent[name]}")
    else:
        line(f"\nhash {wanted.hashes[name]}, fields {', '.join(wanted.fields)}, {wanted.lookback} sessions of them")
        if factor.stored:
            materialise(store, asset_class, [name])
            console.print(frame_table(_coverage(store, asset_class, factor), "Coverage"))


def _coverage(store: Store, asset_class: str, factor: Factor) -> pl.DataFrame:
    """Rows of traded cells and the share on which the factor is defined, with its quartiles, a row a year."""
    of_market = pl.col("order_book_id") == MARKET
    rows = store.scan(f"factors/{asset_class}").filter(of_market if factor.scope == "market" else ~of_market)
    value = pl.col(factor.name)
    return (
        rows.group_by(year=pl.col("date").dt.year())
        .agg(
            rows=pl.len(),
            defined=(value.is_not_null().mean() * 100).round(1).cast(pl.String) + "%",
            q25=value.quantile(0.25),
            median=value.median(),
            q75=value.quantile(0.75),
        )
        .sort("year")
        .with_columns(pl.col("year").cast(pl.String))
        .collect()
    )
