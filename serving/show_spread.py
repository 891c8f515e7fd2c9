"""What the terminal shows of pairs: a session's forecasts, and a range of them."""

from __future__ import annotations

import polars as pl

from serving.prediction import Prediction, Span
from serving.show import console, frame_table, line


def predicted(prediction: Prediction, title: str) -> None:
    """A row a pair: what its spread shall return over each horizon, and how far it is from its mean."""
    scored = prediction.scored
    if not len(scored):
        line(f"{title}: no pair has a forecast")
        return
    horizons = scored["horizon"].unique().sort().to_list()
    wide = scored.pivot(on="horizon", index="asset", values="yhat", maintain_order=True)
    first = scored.sort("horizon").unique("asset", keep="first", maintain_order=True)
    table = wide.join(first, on="asset", how="left", maintain_order="left").select(
        pl.col("asset").alias("pair"),
        *((10_000 * pl.col(str(h))).round(1).alias(f"bp in {h}") for h in horizons),
        pl.col("z").round(2),
        pl.col("half_life").round(1),
        pl.col("hedge").round(3),
        "model",
        "status",
    )
    console.print(frame_table(table, f"{title}: spread excess returns of {len(table)} pair{'s' * (len(table) > 1)}"))
    line(
        "long the first or far leg, short `hedge` times its value of the other; "
        "basis points beyond what an unchanged curve earns"
    )


def predicted_range(span: Span, title: str) -> None:
    """A row a session: how many pairs have a forecast, and the largest one."""
    rows = [
        {
            "as of": one.frame["asof"][0],
            "pairs": one.scored["asset"].n_unique(),
            "without": one.frame["asset"].n_unique() - one.scored["asset"].n_unique(),
            "largest z": one.scored.sort(pl.col("z").abs())["asset"].last() if len(one.scored) else None,
        }
        for one in span.predictions
    ]
    shown = rows if len(rows) <= 10 else [*rows[:5], *rows[-5:]]
    console.print(frame_table(pl.DataFrame(shown), f"{title}: {len(rows)} sessions"))
