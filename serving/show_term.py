"""What the terminal shows of term structures: a session's states with what is dearest and cheapest, and a range."""

from __future__ import annotations

import polars as pl

from features.product_names import product_name
from serving.prediction import Prediction, Span
from serving.show import console, frame_table, line


def predicted(prediction: Prediction, title: str) -> None:
    """A row a product: its states, its convenience yield, the contracts that stand farthest from the model."""
    rows = prediction.scored
    states = _states(rows)
    if not len(states):
        line(f"{title}: no product has a state")
        return
    table = states.join(_farthest(rows), on="product", how="left", maintain_order="left").select(
        "product",
        pl.col("product").map_elements(product_name, pl.String).alias("名称"),
        pl.col("chi").round(4).alias("short χ"),
        pl.col("chi_se").round(4).alias("s.e."),
        pl.col("xi").round(4).alias("long ξ"),
        pl.col("convenience_yield").map_elements(lambda x: f"{x:+.2%}", pl.String).alias("yield"),
        pl.col("farthest"),
        pl.col("bp").round(1),
        pl.col("z").round(2),
        pl.col("model"),
        pl.col("status"),
    )
    console.print(frame_table(table, f"{title}: states of {len(table)} product{'s' * (len(table) > 1)}"))
    line("farthest: the contract that stands farthest from its model price; positive basis points: it is dear")


def predicted_range(span: Span, title: str) -> None:
    """A row a session: how many products have states, and the contract that stands farthest from its model."""
    rows = [
        {
            "as of": one.frame["asof"][0],
            "products": len(_states(one.scored)),
            "without": one.frame.drop_nulls("reason")["asset"].n_unique(),
            "farthest": far["farthest"].last() if len(far := _farthest(one.scored).sort(pl.col("z").abs())) else None,
        }
        for one in span.predictions
    ]
    shown = rows if len(rows) <= 10 else [*rows[:5], *rows[-5:]]
    console.print(frame_table(pl.DataFrame(shown), f"{title}: {len(rows)} sessions"))


def _states(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("asset") == pl.col("product")).drop("z")


def _farthest(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each product the contract with the largest |z|."""
    contracts = rows.filter(pl.col("asset") != pl.col("product"), pl.col("z").is_not_null())
    largest = contracts.sort(pl.col("z").abs(), descending=True).unique("product", keep="first", maintain_order=True)
    return largest.select("product", "z", farthest="asset", bp=1e4 * pl.col("residual"))
