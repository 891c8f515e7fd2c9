"""What the terminal shows of chains: products, rolls, and what a reader must know of them."""

from __future__ import annotations

import polars as pl

from features.chain_check import ChainsReport
from serving.show import console, frame_table, line

_ROUNDED = ("from_open_interest", "to_open_interest", "from_volume", "to_volume")


def chains(report: ChainsReport) -> None:
    """A row a product; every roll of those asked for; the notes."""
    console.print(frame_table(report.products, "Products"))
    for product, rolls in report.rolls.items():
        if len(rolls):
            whole = rolls.with_columns(
                pl.col("spread").round(6).cast(pl.String),
                pl.col("from_close", "to_close").cast(pl.String),
                pl.col(_ROUNDED).round().cast(pl.Int64),
            )
            names = {name: name.replace("_open_interest", " OI").replace("_", " ") for name in rolls.columns}
            console.print()
            console.print(frame_table(whole.rename(names), f"Rolls of {product}"))
    console.print()
    for product, notes in report.notes.items():
        for note in notes:
            line(f"note: {product}: {note}")
