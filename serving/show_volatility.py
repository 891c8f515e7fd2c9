"""What the terminal shows of volatilities: one session's, a range of them, two compared. Volatilities are a year's."""

from __future__ import annotations

from typing import Final

import polars as pl

from features.product_names import product_name
from serving.compare_volatility import VolatilityComparison
from serving.prediction import Prediction, Span
from serving.show import console, frame_table, line
from serving.watch_volatility import VolatilityWatch

_SHOWN: Final = 10


def predicted(prediction: Prediction, title: str) -> None:
    """A row a product: volatility by horizon, tomorrow's value at risk, what a contract asks for, the model."""
    if not len(prediction.scored):
        line(f"{title}: no product has a forecast")
        return
    table = by_product(prediction)
    texts = [name for name in table.columns if name.startswith(("sigma", "VaR"))]
    console.print(frame_table(table, f"{title}: volatility of {_counted(len(table), 'product')}", texts))
    line("sigma a year, by sessions ahead; VaR of the shortest horizon's log return; margin in CNY a contract")


def left_out(prediction: Prediction) -> None:
    """Which products have no forecast, and why."""
    without = prediction.frame.drop_nulls("reason").unique(["asset", "reason"], maintain_order=True)
    reasons = without.group_by("reason", maintain_order=True).agg(pl.col("asset"))
    told = [f"{', '.join(names)}: {reason}" for reason, names in reasons.rows()]
    for one in told or ["none"]:
        line(f"without a forecast: {one}")


def by_product(prediction: Prediction) -> pl.DataFrame:
    """What is shown: a row a product with a forecast, numbers as text."""
    scored, values = prediction.scored, prediction.columns.values
    horizons = scored["horizon"].unique().sort().to_list()
    wide = scored.pivot(on="horizon", index="asset", values="sigma", maintain_order=True)
    tail = [name for name in values if name.startswith("var_")][-1]
    first = scored.sort("horizon").unique("asset", keep="first", maintain_order=True)
    return wide.join(first, on="asset", how="left", maintain_order="left").select(
        pl.col("asset").alias("product"),
        pl.col("asset").map_elements(product_name, pl.String).alias("名称"),
        *(_percent(pl.col(str(h))).alias(f"sigma {h}") for h in horizons),
        _percent(pl.col(tail), 2).alias(f"VaR {tail.removeprefix('var_')}"),
        pl.col("margin").round(0).cast(pl.Int64),
        pl.col("leverage").round(1),
        "contracts",
        "model",
        "status",
    )


def predicted_range(span: Span, title: str) -> None:
    """A row a session: how many products have a forecast, the median volatility, the highest."""
    rows = [_session(one) for one in span.predictions]
    shown = rows if len(rows) <= _SHOWN else [*rows[:5], *rows[-5:]]
    more = ", the first and the last" if len(rows) > _SHOWN else ""
    table = pl.DataFrame(shown, infer_schema_length=None)
    console.print(frame_table(table, f"{title}: {len(rows)} sessions{more}", ("median sigma",)))


def _session(one: Prediction) -> dict[str, object]:
    shortest = one.scored.filter(pl.col("horizon") == pl.col("horizon").min()).sort("sigma")
    found = _percent_of(shortest["sigma"].median()) if len(shortest) else None
    return {
        "as of": one.frame["asof"][0],
        "with forecast": len(shortest),
        "without": one.frame["asset"].n_unique() - len(shortest),
        "median sigma": found,
        "highest": f"{shortest['asset'][-1]} {_percent_of(shortest['sigma'][-1])}" if len(shortest) else None,
    }


def compared(found: VolatilityComparison) -> None:
    """The median change by horizon, the largest moves, other models, who lost or gained a forecast."""
    line(f"{_counted(found.both, 'product')} with a forecast on both sessions")
    medians = [f"{_signed(change)} at {horizon}" for horizon, change, _ in found.median.rows()]
    if medians:
        line("median change of sigma by sessions ahead: " + ", ".join(medians))
    moves = found.moves.select(
        pl.col("asset").alias("product"),
        *(_percent(pl.col(f"sigma_{when}")).alias(f"sigma {when}") for when in ("then", "now")),
        pl.col("change").map_elements(_signed, pl.String),
        pl.col("margin_then", "margin_now").round(0).cast(pl.Int64),
        "contracts_then",
        "contracts_now",
    )
    told = ("model_then", "model_now", "status_then", "status_now")
    tables = {
        "Largest moves at the shortest horizon": moves,
        "Another model or status": found.switched.select(pl.col("asset").alias("product"), "horizon", *told),
        "Lost their forecast": found.lost.select(pl.col("asset").alias("product"), "reason_now"),
        "Gained a forecast": found.gained.select(pl.col("asset").alias("product"), "reason_then"),
    }
    for title, rows in tables.items():
        if len(rows):
            console.print()
            more = f", {_SHOWN} of {len(rows)}" if len(rows) > _SHOWN else ""
            console.print(frame_table(rows.head(_SHOWN), title + more, ("sigma then", "sigma now", "change")))


def watched(seen: VolatilityWatch, title: str) -> None:
    """The products by what they lost beside EWMA, value at risk by level, the loss of all of them."""
    first, last = seen.present[0], seen.present[-1]
    line(f"{title}: {len(seen.present)} sessions {first} to {last}, forecasts of {seen.horizon} ahead")
    shown = seen.products.head(_SHOWN).rename({"asset": "product"})
    more = f", {_SHOWN} of {len(seen.products)}" if len(seen.products) > _SHOWN else ""
    console.print(frame_table(shown, f"QLIKE beside EWMA's, the worst first{more}"))
    for row in seen.levels.iter_rows(named=True):
        told = f"{row['breaches']:,} of {row['n']:,} beyond it, {row['rate']:.2%}, {row['promised']:.1%} promised"
        line(f"value at risk {row['level']:.1%}: {told}")
    line(f"QLIKE {seen.ratio:.4f} times EWMA's, p {seen.against.fixed_b:.3f} over {seen.against.n} sessions")
    line(f"forecasts: {seen.recomputed} of {len(seen.present)} sessions had none in the store and were forecast now")


def _percent(of: pl.Expr, digits: int = 1) -> pl.Expr:
    return of.map_elements(lambda value: f"{value:.{digits}%}", pl.String)


def _percent_of(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else "-"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _signed(value: float) -> str:
    return f"{value:+.1%}"
