"""What bars must satisfy: one small expression a rule, with a reason code, over the columns of one row.

Adding a rule is adding a decorated function here. `quarantine` sets the row aside, `flag` keeps and counts it. A rule
applies where the columns that it needs are there; a comparison with a missing value breaks no rule. Columns with an
underscore come from `with_context`: what a row cannot know of itself.
Source  00 §3 (validators) and §4 (edge cases).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from features.fields import DERIVED_CLASSES, FIELDS, fields_of
from features.sessions import Calendar

Severity = Literal["quarantine", "flag"]
PRICES = ("open", "high", "low", "close")
TRADED = ("CS", "ETF", "Future", "Option")
DERIVATIVES = ("Future", "Option")
PRICE_ROUNDING = 1e-6
TURNOVER_SLACK = 1e-3
TURNOVER_ROUNDING = 1.0  # vendors round the turnover to a yuan
SETTLEMENT_ROUNDING = 1e-4
HAS_TRADED = pl.col("volume") > 0


@dataclass(frozen=True)
class Validator:
    """A rule: rows for which `broken` is true break it.

    reason   its code in reports and in the quarantine
    meaning  one sentence
    needs    columns without which it does not apply
    """

    reason: str
    severity: Severity
    classes: tuple[str, ...]
    needs: tuple[str, ...]
    broken: pl.Expr
    meaning: str


def validator(
    severity: Severity, needs: tuple[str, ...], classes: tuple[str, ...] = ("CS", "ETF", "INDX", "Future", "Option")
) -> Callable[[Callable[[], pl.Expr]], Validator]:
    """Make a rule of a function that gives an expression, true where a row breaks it."""

    def make(rule: Callable[[], pl.Expr]) -> Validator:
        meaning = (rule.__doc__ or "").strip().splitlines()[0]
        return Validator(rule.__name__, severity, classes, needs, rule().fill_null(False), meaning)

    return make


def _above(name: str, bound: str) -> pl.Expr:
    return pl.col(name) > pl.col(bound) + PRICE_ROUNDING


# ---- rows that are set aside ----------------------------------------------------------------------------------------


@validator("quarantine", ("order_book_id", "date"))
def missing_key() -> pl.Expr:
    """No order_book_id, or no date that can be read."""
    return pl.col("order_book_id").is_null() | pl.col("date").is_null()


@validator("quarantine", ("_superseded",))
def duplicate_key() -> pl.Expr:
    """A later row of the batch has the same key and other values; the later one is kept."""
    return pl.col("_superseded")


@validator("quarantine", ("_unreadable",))
def unreadable_value() -> pl.Expr:
    """A value that is no number, or a flag that is neither true nor false."""
    return pl.col("_unreadable")


@validator("quarantine", ("_infinite",))
def infinite_value() -> pl.Expr:
    """A value that is infinite."""
    return pl.col("_infinite")


@validator("quarantine", ("_is_session",))
def date_not_a_session() -> pl.Expr:
    """A date on which the exchange was closed."""
    return ~pl.col("_is_session")


@validator("quarantine", (*PRICES, "volume"), TRADED)
def missing_price() -> pl.Expr:
    """A day with trades without an open, high, low or close."""
    return HAS_TRADED & pl.any_horizontal(pl.col(name).is_null() for name in PRICES)


@validator("quarantine", ("close",), ("INDX",))
def missing_close() -> pl.Expr:
    """An index without a close."""
    return pl.col("close").is_null()


@validator("quarantine", PRICES)
def nonpositive_price() -> pl.Expr:
    """An open, high, low or close of zero or less (leave a price empty where there was no trade)."""
    return pl.any_horizontal(pl.col(name) <= 0 for name in PRICES)


@validator("quarantine", ("prev_close",))
def nonpositive_prev_close() -> pl.Expr:
    """A previous close of zero or less."""
    return pl.col("prev_close") <= 0


@validator("quarantine", ("settlement",), ("Future",))
def nonpositive_settlement() -> pl.Expr:
    """A futures settlement of zero or less."""
    return pl.col("settlement") <= 0


@validator("quarantine", ("settlement",), ("Option",))
def negative_settlement() -> pl.Expr:
    """An option settlement below zero."""
    return pl.col("settlement") < 0


@validator("quarantine", ("strike_price", "contract_multiplier"), ("Option",))
def nonpositive_terms() -> pl.Expr:
    """A strike or a contract multiplier of zero or less."""
    return (pl.col("strike_price") <= 0) | (pl.col("contract_multiplier") <= 0)


@validator("quarantine", ("high", "low"))
def high_below_low() -> pl.Expr:
    """The high lies below the low."""
    return _above("low", "high")


@validator("quarantine", ("open", "high", "low"))
def open_outside_range() -> pl.Expr:
    """The open lies outside [low, high]."""
    return _above("open", "high") | _above("low", "open")


@validator("quarantine", ("close", "high", "low", "volume"), TRADED)
def close_outside_range() -> pl.Expr:
    """The close lies outside [low, high] on a day with trades."""
    return HAS_TRADED & (_above("close", "high") | _above("low", "close"))


@validator("quarantine", ("close", "high", "low"), ("INDX",))
def index_close_outside_range() -> pl.Expr:
    """The close of an index lies outside [low, high]."""
    return _above("close", "high") | _above("low", "close")


@validator("quarantine", ("high", "low", "limit_up", "limit_down"))
def outside_limits() -> pl.Expr:
    """The high lies above the day's upper limit, or the low below the lower one."""
    return _above("high", "limit_up") | _above("limit_down", "low")


@validator("quarantine", ("volume",))
def negative_volume() -> pl.Expr:
    """A volume below zero."""
    return pl.col("volume") < 0


@validator("quarantine", ("total_turnover",))
def negative_turnover() -> pl.Expr:
    """A turnover below zero."""
    return pl.col("total_turnover") < 0


@validator("quarantine", ("open_interest",), DERIVATIVES)
def negative_open_interest() -> pl.Expr:
    """An open interest below zero."""
    return pl.col("open_interest") < 0


@validator("quarantine", ("volume", "total_turnover", "high", "low", "_multiplier"), TRADED)
def volume_unit() -> pl.Expr:
    """The turnover is not volume times a price in [low, high]: units, or one of the two is wrong."""
    size = pl.col("volume") * pl.col("_multiplier")
    low = size * pl.col("low") * (1 - TURNOVER_SLACK) - TURNOVER_ROUNDING
    high = size * pl.col("high") * (1 + TURNOVER_SLACK) + TURNOVER_ROUNDING
    return HAS_TRADED & ((pl.col("total_turnover") < low) | (pl.col("total_turnover") > high))


# ---- rows that are kept and counted ---------------------------------------------------------------------------------


@validator("flag", ("volume",), TRADED)
def no_trade() -> pl.Expr:
    """A day without a trade: no factor has a value."""
    return pl.col("volume") == 0


@validator("flag", PRICES)
def no_price() -> pl.Expr:
    """An open, high, low or close is missing on a day without a trade."""
    return pl.any_horizontal(pl.col(name).is_null() for name in PRICES)


@validator("flag", ("settlement", "prev_settlement", "volume"), DERIVATIVES)
def stale_settlement() -> pl.Expr:
    """The settlement repeats the one before on a day without a trade."""
    return (pl.col("settlement") == pl.col("prev_settlement")) & (pl.col("volume") == 0)


@validator("flag", ("settlement",), ("Option",))
def zero_settlement() -> pl.Expr:
    """An option settled at zero: worthless, or not settled."""
    return pl.col("settlement") == 0


@validator("flag", ("settlement", "high", "low", "volume"), ("Future",))
def settlement_outside_range() -> pl.Expr:
    """The futures settlement lies outside [low, high] on a day with trades."""
    return HAS_TRADED & (_above("settlement", "high") | _above("low", "settlement"))


@validator("flag", ("prev_settlement", "_last_settlement"), DERIVATIVES)
def prev_settlement_mismatch() -> pl.Expr:
    """prev_settlement is not the settlement of the session before, beyond rounding, under unchanged contract terms."""
    apart = (pl.col("prev_settlement") - pl.col("_last_settlement")).abs()
    return apart > SETTLEMENT_ROUNDING * pl.col("_last_settlement").abs() + PRICE_ROUNDING


@validator("flag", ("iopv",), ("ETF",))
def iopv_bad() -> pl.Expr:
    """An indicative value of zero or less."""
    return pl.col("iopv") <= 0


@validator("flag", ("limit_up", "limit_down"))
def missing_limits() -> pl.Expr:
    """No price limit is given: a day without one, or unknown."""
    return pl.col("limit_up").is_null() | pl.col("limit_down").is_null()


def _missing(name: str) -> Validator:
    field = FIELDS[name]
    classes = tuple(sorted({*field.required, *field.optional} - set(DERIVED_CLASSES)))
    meaning = f"No {name} ({field.zh}) on the row."
    return Validator(f"missing_{name}", "flag", classes, (name,), pl.col(name).is_null(), meaning)


_SELDOM_MISSED = (*PRICES, "limit_up", "limit_down")
VALIDATORS: tuple[Validator, ...] = (
    *(thing for thing in tuple(globals().values()) if isinstance(thing, Validator)),
    *(_missing(name) for name, field in FIELDS.items() if field.ingested and name not in _SELDOM_MISSED),
)


def applicable(asset_class: str, columns: list[str]) -> tuple[Validator, ...]:
    """The rules for a class whose columns are all there."""
    return tuple(v for v in VALIDATORS if asset_class in v.classes and set(v.needs) <= set(columns))


def with_context(
    frame: pl.DataFrame,
    asset_class: str,
    calendar: Calendar,
    multipliers: pl.DataFrame | None = None,
    before: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Bars with what their rows cannot know of themselves.

    multipliers  order_book_id, contract_multiplier of the instruments, for futures without the column
    before       rows of the same contracts before these (order_book_id, date, settlement, strike_price)
    """
    sessions = pl.DataFrame({"date": calendar.sessions, "_position": np.arange(len(calendar))})
    rows = frame.join(sessions.with_columns(pl.col("date").cast(pl.Date)), on="date", how="left", maintain_order="left")
    numbers = [name for name in fields_of(asset_class) if frame.schema.get(name) == pl.Float64]
    rows = rows.with_columns(
        pl.col("_position").is_not_null().or_(pl.col("date").is_null()).alias("_is_session"),
        pl.any_horizontal(pl.col(name).is_infinite() for name in numbers).alias("_infinite"),
    )
    if asset_class in ("CS", "ETF"):
        rows = rows.with_columns(pl.lit(1.0).alias("_multiplier"))
    elif "contract_multiplier" in rows.columns:
        rows = rows.with_columns(pl.col("contract_multiplier").alias("_multiplier"))
    elif asset_class == "Future" and multipliers is not None:
        known = multipliers.select("order_book_id", pl.col("contract_multiplier").alias("_multiplier"))
        rows = rows.join(known, on="order_book_id", how="left", maintain_order="left")
    if asset_class in DERIVATIVES and "settlement" in rows.columns:
        rows = _with_last_settlement(rows, sessions, before)
    return rows


def _with_last_settlement(rows: pl.DataFrame, sessions: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """`_last_settlement`: of the same contract on the session before, null where it has no row or other terms then."""
    terms = [name for name in ("strike_price",) if name in rows.columns]
    columns = ["order_book_id", "date", "settlement", *terms]
    earlier = rows.select(*columns)
    if before is not None and set(columns) <= set(before.columns):
        earlier = pl.concat([before.select(columns), earlier])
    days = sessions.with_columns(pl.col("date").cast(pl.Date), pl.col("_position") + 1)
    earlier = earlier.join(days, on="date").drop("date").unique(["order_book_id", "_position"], keep="last")
    earlier = earlier.rename({"settlement": "_last_settlement", **{name: f"_last_{name}" for name in terms}})
    out = rows.join(earlier, on=["order_book_id", "_position"], how="left", maintain_order="left")
    same = [pl.col(name) == pl.col(f"_last_{name}") for name in terms]
    return out.with_columns(
        pl.when(pl.all_horizontal(same or [True])).then("_last_settlement").alias("_last_settlement")
    )
