"""What the stored bars look like: coverage of fields, holes, and who is missing from the universe.

The functions take frames and give small frames; `check` reads the store and puts them together with warnings in words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from features.fields import fields_of
from features.panel import DataError
from features.rows import unknown
from features.sessions import Calendar
from features.store import INGEST_HELP, Store

LOW_COVERAGE = 0.5
ENDED_AFTER = 20
LONG_ENOUGH = 250
NAMES_ENOUGH = 30
MOSTLY = 0.9
UNIVERSES = ("CS", "ETF")


@dataclass(frozen=True)
class Survivorship:
    """Who is in the data and when.

    yearly    year, started, ended, alive: names with their first and last row in the year, names alive at its end
    ended     order_book_id, last: names whose rows end well before the data does
    warnings  what is suspicious, in words
    """

    yearly: pl.DataFrame
    ended: pl.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class CheckReport:
    """What `daybar check` prints of one asset class."""

    asset_class: str
    sessions: int
    assets: int
    coverage: pl.DataFrame
    gaps: pl.DataFrame
    survivorship: Survivorship
    quarantined: pl.DataFrame
    warnings: tuple[str, ...]


def check(store: Store, asset_class: str) -> CheckReport:
    """Everything about the stored bars of a class that a user should see before training on them."""
    table = f"bars/{asset_class}"
    if not store.exists(table):
        held = [t[5:] for t in store.tables() if t.startswith("bars/")]
        if not held:
            raise DataError(f"store {store.root}", f"it must hold bars of {asset_class}", "none", help=INGEST_HELP)
        raise unknown("check", "asset class", asset_class, held)
    rows, calendar = store.scan(table).collect(), store.calendar()
    instruments = store.instruments(asset_class) if store.exists("reference/instruments") else None
    covered, holes = coverage(rows, asset_class), gaps(rows, calendar)
    lives = survivorship(rows, calendar, asset_class, instruments)
    aside = pl.DataFrame(schema={"reason": pl.String, "rows": pl.Int64})
    if store.exists(f"quarantine/{asset_class}"):
        reasons = store.scan(f"quarantine/{asset_class}").select(pl.col("reason").str.split(",")).explode("reason")
        aside = reasons.group_by("reason").agg(pl.len().cast(pl.Int64).alias("rows")).sort("reason").collect()
    span = calendar.between(*store.span(table))
    warnings = (*coverage_warnings(covered), *lives.warnings)
    return CheckReport(asset_class, len(span), rows["order_book_id"].n_unique(), covered, holes, lives, aside, warnings)


def simulation(store: Store) -> str | None:
    """Which simulated market the store holds; None for a store of real bars or an empty one."""
    table = "reference/simulation"
    return str(store.scan(table).collect()["origin"][0]) if store.exists(table) else None


def coverage(rows: pl.DataFrame, asset_class: str) -> pl.DataFrame:
    """Share of rows with a value by field and year: field, year, rows, share; a field without a column has share 0."""
    fields = list(fields_of(asset_class))
    held = rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in fields if name not in rows.columns)
    year = pl.col("date").dt.year().alias("year")
    shares = held.group_by(year).agg(
        pl.len().cast(pl.Int64).alias("rows"), *(pl.col(f).is_not_null().mean() for f in fields)
    )
    long = shares.unpivot(fields, index=["year", "rows"], variable_name="field", value_name="share")
    order = {name: n for n, name in enumerate(fields)}
    place = pl.col("field").replace_strict(order, return_dtype=pl.Int64)
    return long.sort(place, "year").select("field", "year", "rows", "share")


def coverage_warnings(covered: pl.DataFrame) -> tuple[str, ...]:
    """A line for each field that is never given, or on fewer than half of the rows."""
    weighted = (pl.col("share") * pl.col("rows")).sum() / pl.col("rows").sum()
    shares = covered.group_by("field", maintain_order=True).agg(weighted.alias("share"))
    lines = []
    for field, share in shares.filter(pl.col("share") < LOW_COVERAGE).rows():
        lines.append(f"{field} is never given" if share == 0 else f"{field} is given on {share:.1%} of the rows only")
    return tuple(lines)


def gaps(rows: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Sessions without a row between an asset's first and last: order_book_id, missing, longest, longest_from.

    `longest` counts the sessions of the longest hole, which begins on `longest_from`; assets without a hole are left
    out, the most missing come first.
    """
    seen = rows.select("order_book_id", "date").sort("order_book_id", "date")
    at = calendar.positions(seen["date"].to_numpy())
    run = pl.col("position").diff().over("order_book_id") - 1
    holes = seen.with_columns(pl.Series("position", at)).with_columns(run.alias("run")).filter(pl.col("run") > 0)
    longest = pl.col("run") == pl.col("run").max()
    first = (pl.col("position") - pl.col("run")).filter(longest).first().alias("from")
    out = holes.group_by("order_book_id").agg(
        pl.col("run").sum().alias("missing"), pl.col("run").max().alias("longest"), first
    )
    start = pl.Series("longest_from", calendar.sessions[out["from"].to_numpy().astype(np.int64)]).cast(pl.Date)
    out = out.with_columns(start).drop("from")
    return out.sort(["missing", "order_book_id"], descending=[True, False])


def survivorship(
    rows: pl.DataFrame, calendar: Calendar, asset_class: str, instruments: pl.DataFrame | None = None
) -> Survivorship:
    """Starts and ends of names year by year, and whether they look like a list made with hindsight.

    A name has ended where its last row lies more than 20 sessions before the data's last; contracts expire, so only
    stocks and funds give warnings about ends.
    """
    lives = rows.group_by("order_book_id").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    lives = lives.sort("order_book_id")
    sessions = calendar.between(lives["first"].min(), lives["last"].max())  # type: ignore[arg-type]
    bound = sessions[max(len(sessions) - 1 - ENDED_AFTER, 0)].astype(object)
    ended = lives.filter(pl.col("last") < bound).select("order_book_id", "last")
    years = sorted(set(pl.Series(sessions).cast(pl.Date).dt.year()))
    started_in, ended_in = lives["first"].dt.year(), ended["last"].dt.year()
    gone = ended.select("order_book_id", pl.col("last").dt.year().alias("gone"))
    spans = lives.select("order_book_id", started_in.alias("came")).join(gone, on="order_book_id", how="left")
    yearly = [
        (
            year,
            int((started_in == year).sum()),
            int((ended_in == year).sum()),
            spans.filter((pl.col("came") <= year) & (pl.col("gone").is_null() | (pl.col("gone") > year))).height,
        )
        for year in years
    ]
    table = pl.DataFrame(yearly, dict.fromkeys(("year", "started", "ended", "alive"), pl.Int64), orient="row")
    warnings = _hindsight(lives, ended, sessions, asset_class) + _listing(lives, instruments)
    return Survivorship(table, ended.sort("last", "order_book_id"), warnings)


def _hindsight(lives: pl.DataFrame, ended: pl.DataFrame, sessions: np.ndarray, asset_class: str) -> tuple[str, ...]:
    if asset_class not in UNIVERSES or len(lives) < NAMES_ENOUGH or len(sessions) < LONG_ENOUGH:
        return ()
    lines = []
    if not len(ended):
        lines.append(
            f"none of the {len(lives)} names ends before the data does ({sessions[0]} to {sessions[-1]}): "
            "survivorship bias, delisted names are missing"
        )
    if (lives["first"] == lives["first"].min()).all():
        lines.append(f"all {len(lives)} names start on {sessions[0]}: a list held fixed, or cut to those with history")
    return tuple(lines)


def _listing(lives: pl.DataFrame, instruments: pl.DataFrame | None) -> tuple[str, ...]:
    """Whether listing dates are first rows in disguise: names that the data begins with, said to be listed that day."""
    if instruments is None or "listed_date" not in instruments.columns:
        return ()
    known = lives.join(instruments.select("order_book_id", "listed_date"), on="order_book_id").drop_nulls("listed_date")
    oldest = known.filter(pl.col("first") == lives["first"].min())
    same = int((oldest["listed_date"] == oldest["first"]).sum())
    if len(oldest) > 1 and same >= MOSTLY * len(oldest):
        return (f"{same} names are said to be listed on {oldest['first'][0]}, their first row: their age is unknown",)
    return ()
