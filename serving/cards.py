"""Factors on the terminal: the list, and the card of one with its inputs and its coverage."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from features.catalogue import catalogue
from features.chunk import MARKET
from features.factor import Factor
from features.inputs import available
from features.materialise import materialise
from features.plan import plan
from features.store import Store
from serving.derived import refreshed_if_there
from serving.show import console, frame_table, line


def show_list(asset_class: str, sets: Sequence[str]) -> None:
    """A row a stored factor."""
    known = catalogue(asset_class)
    names = known.select(sets=sets) if sets else known.stored()
    rows = [(n, known[n].zh, known[n].unit, known[n].reach, known[n].scope, " ".join(known[n].sets)) for n in names]
    frame = pl.DataFrame(rows, ["factor", "中文", "unit", "lookback", "scope", "sets"], orient="row")
    table = frame_table(frame, f"{len(rows)} factors of {asset_class}")
    # A name is what one types next: a narrow terminal takes its columns from the others.
    table.columns[0].min_width = max(len(name) for name in names)
    console.print(table)


def show_card(store: Store, asset_class: str, name: str) -> None:
    """The card, what the factor stands on, and how much of a store's rows it is defined on, year by year."""
    refreshed_if_there(store, asset_class)
    readable = available(store, asset_class) if store.exists(f"bars/{asset_class}") else ()
    known = catalogue(asset_class)
    wanted = plan(known, [name], readable)
    factor = known[name]
    line(f"{name}  {factor.zh}")
    line(f"unit {factor.unit}, known at {factor.known}, scope {factor.scope}, sets {', '.join(factor.sets) or '-'}")
    line(f"inputs {', '.join(factor.inputs)}" + (f"; optional {', '.join(factor.optional)}" if factor.optional else ""))
    line(f"lookback {factor.reach} sessions of its inputs" + (", carries a state" if factor.recursive else ""))
    line("")
    line(factor.summary)
    if not readable:
        line(f"\nno bars of {asset_class} in {store.root}: coverage is not known")
    elif name in wanted.absent:
        line(f"\nabsent in this store: {wanted.absent[name]}")
    else:
        line(f"\nhash {wanted.hashes[name]}, fields {', '.join(wanted.fields)}, {wanted.lookback} sessions of them")
        if factor.stored:
            materialise(store, known, [name])
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
