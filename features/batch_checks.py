"""What a whole batch of bars tells: foreign units, an unadjusted prev_close, sessions without a row.

Source  00 §3 (validators).
"""

from __future__ import annotations

import polars as pl

from features.panel import DataError
from features.sessions import Calendar
from features.validators import HAS_TRADED, PRICE_ROUNDING

UNITS = {  # turnover / (volume * close * multiplier), when the units are not the contract's
    100.0: ("the volume is in lots of 100 shares (手)", "Multiply volume by 100."),
    0.001: ("the turnover is in thousands of yuan (千元)", "Multiply total_turnover by 1000."),
    0.1: ("the volume is in lots (手) and the turnover in 千元", "Multiply volume by 100 and total_turnover by 1000."),
    0.0001: ("the turnover is in 万元", "Multiply total_turnover by 10000."),
    0.01: ("the volume is in lots (手) and the turnover in 万元", "Multiply volume by 100, total_turnover by 10000."),
    10000.0: ("the volume is in 万股", "Multiply volume by 10000."),
    1000.0: ("the volume is in thousands of shares", "Multiply volume by 1000."),
}
UNIT_BAND = 2.0
MANY = 250


def refuse_foreign_units(rows: pl.DataFrame, origin: str) -> None:
    """Refuse a batch whose turnover over volume says that it is in lots or thousands; `rows` after `with_context`."""
    if not {"volume", "total_turnover", "close", "_multiplier"} <= set(rows.columns):
        return
    ratio = pl.col("total_turnover") / (pl.col("volume") * pl.col("close") * pl.col("_multiplier"))
    traded = rows.filter(HAS_TRADED & (pl.col("total_turnover") > 0) & (pl.col("close") > 0))
    median = traded.select(ratio).to_series().drop_nulls().median()
    if not isinstance(median, float):
        return
    for size, (what, cure) in UNITS.items():
        if size / UNIT_BAND < median < size * UNIT_BAND:
            raise DataError(
                origin,
                "volume must be in shares (contracts) and total_turnover in yuan",
                f"a turnover of {median:.4g} times volume x close on the median row: it seems that {what}",
                f"{traded['date'][0]} {traded['order_book_id'][0]}",
                help=f"{cure} In shares and yuan the number is about 1.",
            )


def refuse_unadjusted_prev_close(rows: pl.DataFrame, origin: str) -> None:
    """Refuse many stocks over many days whose prev_close is the close before on every row: it is not adjusted."""
    panel = rows.drop_nulls(["order_book_id", "date", "close", "prev_close"]).sort("order_book_id", "date")
    if panel["order_book_id"].n_unique() < MANY or panel["date"].n_unique() < MANY:
        return
    before = pl.col("close").shift().over("order_book_id")
    adjusted = panel.filter((pl.col("prev_close") - before).abs() > PRICE_ROUNDING)
    if not len(adjusted):
        raise DataError(
            origin,
            "prev_close must be the ex-right reference price",
            f"{panel['order_book_id'].n_unique()} stocks on {panel['date'].n_unique()} days, on all of which it equals "
            "the close before (PrevCloseNotAdjusted): dividends and splits are invisible",
            help="Give the exchange's prev_close, or a table reference/adj_factors.",
        )


def missing_rows(rows: pl.DataFrame, calendar: Calendar, lives: pl.DataFrame | None = None) -> pl.DataFrame:
    """Sessions without a row in each asset's life, as far as the batch reaches: order_book_id, missing, first.

    lives  order_book_id, listed_date, maturity_date of the instruments; without it a life is from first to last row
    """
    seen = rows.drop_nulls(["order_book_id", "date"])
    if not len(seen):
        return pl.DataFrame(schema={"order_book_id": pl.String, "missing": pl.Int64})
    lo, hi = seen["date"].min(), seen["date"].max()
    spans = seen.group_by("order_book_id").agg(
        pl.col("date").min().alias("start"), pl.col("date").max().alias("stop"), pl.col("date").n_unique().alias("held")
    )
    if lives is not None:
        spans = spans.join(lives.select("order_book_id", "listed_date", "maturity_date"), "order_book_id", "left")
        contract = pl.col("maturity_date").is_not_null()
        spans = spans.with_columns(
            pl.when(contract)
            .then(pl.max_horizontal(pl.min_horizontal("listed_date", "start"), pl.lit(lo)))
            .otherwise("start")
            .alias("start"),
            pl.when(contract)
            .then(pl.min_horizontal(pl.max_horizontal("maturity_date", "stop"), pl.lit(hi)))
            .otherwise("stop")
            .alias("stop"),
        )
    first = calendar.sessions.searchsorted(spans["start"].to_numpy().astype("datetime64[D]"))
    last = calendar.sessions.searchsorted(spans["stop"].to_numpy().astype("datetime64[D]"), "right")
    spans = spans.with_columns(pl.Series("missing", last - first) - pl.col("held").cast(pl.Int64))
    return spans.filter(pl.col("missing") > 0).select("order_book_id", "missing").sort("order_book_id")
