"""Source -> contract -> validators -> store: no row is lost, and the report says where each went.

Rows in = stored (new, restated, unchanged) + quarantined + exact repetitions. Every write is an upsert by key, so that
an ingest that was killed is finished by running it again. Sources yield reference tables first.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.batch_checks import missing_rows, refuse_foreign_units, refuse_unadjusted_prev_close
from features.conform import ORIGIN, ROW, conform
from features.panel import DataError
from features.reference import FIRST_ROW, INSTRUMENTS, MEANINGS, REFERENCE_KEYS, conform_reference, odd_rows
from features.sessions import Calendar
from features.sources.batch import Batch
from features.store import Store, Written
from features.validators import DERIVATIVES, Validator, applicable, with_context

QUARANTINE_KEYS = ("reason", "raw")
BEFORE_DAYS = 30
KEYS = ["date", "order_book_id"]


@dataclass(frozen=True)
class Count:
    """How many rows of a batch broke a rule, and where first."""

    reason: str
    severity: str
    rows: int
    first: str
    meaning: str


@dataclass(frozen=True)
class BatchReport:
    """Where the rows of one batch went.

    duplicates   rows that repeated another exactly
    quarantined  rows set aside; a row may be counted under several reasons
    notes        columns left out, optional fields absent, rules that could not be applied
    """

    origin: str
    table: str
    rows: int
    new: int
    restated: int
    unchanged: int
    duplicates: int
    quarantined: int
    counts: tuple[Count, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did, batch by batch."""

    batches: tuple[BatchReport, ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Rows that came in."""
        return sum(batch.rows for batch in self.batches)

    @property
    def bars(self) -> int:
        """Rows of bars that came in."""
        return sum(batch.rows for batch in self.batches if not batch.table.startswith("reference/"))

    @property
    def quarantined(self) -> int:
        """Rows that were set aside."""
        return sum(batch.quarantined for batch in self.batches)

    def files(self) -> pl.DataFrame:
        """A row a batch: origin, table, and where its rows went."""
        names = ("origin", "table", "rows", "new", "restated", "unchanged", "duplicates", "quarantined")
        schema = {name: pl.String if name in ("origin", "table") else pl.Int64 for name in names}
        return pl.DataFrame([[getattr(b, n) for n in names] for b in self.batches], schema, orient="row")

    def reasons(self) -> pl.DataFrame:
        """A row a batch and reason: origin, table, severity, reason, rows, where first, meaning."""
        names = ("severity", "reason", "rows", "first", "meaning")
        data = [[b.origin, b.table, *(getattr(c, n) for n in names)] for b in self.batches for c in b.counts]
        schema = {n: pl.Int64 if n == "rows" else pl.String for n in ("origin", "table", *names)}
        return pl.DataFrame(data, schema, orient="row")

    def __str__(self) -> str:
        lines = []
        for b in self.batches:
            went = f"{b.new} new, {b.restated} restated, {b.unchanged} unchanged, {b.quarantined} quarantined"
            lines.append(f"{b.table:<12} {b.rows:>9} rows: {went}, {b.duplicates} repeated  {b.origin}")
            lines += [f"    {c.severity:<10} {c.rows:>8}  {c.reason}, first at {c.first}" for c in b.counts]
            lines += [f"    note       {note}" for note in b.notes]
        return "\n".join(lines)


def ingest(
    batches: Iterable[Batch],
    store: Store,
    calendar: Calendar | None = None,
    progress: Callable[[BatchReport], None] | None = None,
) -> IngestReport:
    """Judge and store every batch, bars under bars/<class>, rows set aside under quarantine/<class>.

    calendar  the exchange's sessions (default: the store's, carried on by the exchange's own)
    progress  is told of each batch when it is stored
    Errors    DataError for a batch that breaks the contract as a whole; batches before it are stored
    """
    began, reports = time.monotonic(), []
    for batch in batches:
        take = _ingest_reference if batch.table.startswith("reference/") else _ingest_bars
        reports.append(take(batch, store, calendar))
        if progress is not None:
            progress(reports[-1])
    if not reports:
        raise DataError("ingest", "the source must give at least one table", "none")
    return IngestReport(tuple(reports), time.monotonic() - began)


def _ingest_reference(batch: Batch, store: Store, calendar: Calendar | None) -> BatchReport:
    rows, duplicates = conform_reference(batch)
    keys = REFERENCE_KEYS.get(batch.table)
    written = store.upsert(batch.table, rows, keys) if keys else store.rewrite(batch.table, rows)
    if calendar is None and store.exists("reference/calendar"):
        calendar = store.calendar()
    odd = {reason: found for reason, found in odd_rows(batch.table, rows, calendar).items() if len(found)}
    counts = tuple(Count(r, "flag", len(f), ", ".join(map(str, f.row(0)[:3])), MEANINGS[r]) for r, f in odd.items())
    return _report(batch, written, duplicates, 0, counts, ())


def _ingest_bars(batch: Batch, store: Store, calendar: Calendar | None) -> BatchReport:
    given = conform(batch)
    rows, duplicates = _without_repetitions(given.frame)
    calendar = calendar or _calendar(store, rows, batch.origin)
    instruments = store.scan(INSTRUMENTS).collect() if store.exists(INSTRUMENTS) else None
    judged = with_context(
        rows, batch.table, calendar, _having(instruments, "contract_multiplier"), _before(store, batch.table, rows)
    )
    refuse_foreign_units(judged, batch.origin)
    if batch.table == "CS" and not store.exists("reference/adj_factors"):
        refuse_unadjusted_prev_close(judged, batch.origin)
    rules = applicable(batch.table, judged.columns)
    broken = judged.select(rule.broken.alias(rule.reason) for rule in rules)
    severe = [rule.reason for rule in rules if rule.severity == "quarantine"]
    bad = broken.select(pl.any_horizontal(severe)).to_series()
    # A row that is set aside is counted for what is bad about it; flags count the rows that are kept.
    broken = broken.with_columns(pl.exclude(severe) & ~bad)
    fields = [c for c in rows.columns if not c.startswith("_")]
    kept = judged.filter(~bad).select(fields)
    gaps = missing_rows(judged, calendar, _having(instruments, "listed_date", "maturity_date"))
    counts = [_count(rule, broken[rule.reason], judged) for rule in rules if broken[rule.reason].any()]
    if len(gaps):
        first = f"{gaps['order_book_id'][0]} ({gaps['missing'][0]} sessions)"
        counts.append(
            Count("missing_rows", "flag", int(gaps["missing"].sum()), first, "Sessions of a life without a row.")
        )
    written = store.upsert(f"bars/{batch.table}", kept) if len(kept) else Written(0, 0, 0, -1)
    if bad.any():
        aside = _set_aside(batch, judged.filter(bad), broken.filter(bad), severe)
        store.upsert(f"quarantine/{batch.table}", aside, QUARANTINE_KEYS)
    if len(kept):
        _register(store, batch.table, kept, instruments)
    notes = _notes(batch, given.dropped, given.absent, "_multiplier" in judged.columns)
    return _report(batch, written, duplicates, int(bad.sum()), tuple(counts), notes)


def _report(
    batch: Batch, written: Written, duplicates: int, quarantined: int, counts: tuple[Count, ...], notes: tuple[str, ...]
) -> BatchReport:
    went = (written.new, written.restated, written.unchanged, duplicates, quarantined)
    return BatchReport(batch.origin, batch.table, len(batch.frame), *went, counts, notes)


def _without_repetitions(frame: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Rows without exact repetitions, `_superseded` where a later row has the same key and says something else."""
    if not frame.select(KEYS).is_duplicated().any():
        return frame.with_columns(pl.lit(False).alias("_superseded")), 0
    said = [c for c in frame.columns if c not in (ROW, ORIGIN)]
    rows = frame.unique(said, keep="last", maintain_order=True)
    later = pl.col(ROW).max().over(KEYS) > pl.col(ROW)
    keyed = pl.all_horizontal(pl.col(key).is_not_null() for key in KEYS)
    return rows.with_columns((later & keyed).alias("_superseded")), len(frame) - len(rows)


def _calendar(store: Store, rows: pl.DataFrame, origin: str) -> Calendar:
    days = rows["date"].drop_nulls()
    if not len(days):
        raise DataError(origin, "at least one date must be readable", "none")
    if days.dt.year().min() < 1990 or days.dt.year().max() > 2100:  # type: ignore[operator]
        where = str(days.min() if days.dt.year().min() < 1990 else days.max())  # type: ignore[operator]
        raise DataError(origin, "dates must lie between 1990 and 2100", where)
    return store.calendar((days.min(), days.max()))  # type: ignore[arg-type]


def _having(instruments: pl.DataFrame | None, *columns: str) -> pl.DataFrame | None:
    return instruments if instruments is not None and set(columns) <= set(instruments.columns) else None


def _before(store: Store, asset_class: str, rows: pl.DataFrame) -> pl.DataFrame | None:
    """Rows already stored shortly before these, for what a rule says of two sessions."""
    table, first = f"bars/{asset_class}", rows["date"].min()
    if asset_class not in DERIVATIVES or not store.exists(table) or not isinstance(first, dt.date):
        return None
    columns = [c for c in ("date", "order_book_id", "settlement", "strike_price") if c in rows.columns]
    earliest = first - dt.timedelta(days=BEFORE_DAYS)
    return store.scan(table).filter(pl.col("date").is_between(earliest, first, "left")).select(columns).collect()


def _count(rule: Validator, broken: pl.Series, rows: pl.DataFrame) -> Count:
    day, asset = rows.select(KEYS).row(int(np.argmax(broken.to_numpy())))
    return Count(rule.reason, rule.severity, int(broken.sum()), f"{day} {asset}", rule.meaning)


def _set_aside(batch: Batch, rows: pl.DataFrame, broken: pl.DataFrame, severe: list[str]) -> pl.DataFrame:
    """Quarantine rows: key, all reasons, origin, and the row as it came, in JSON."""
    named = [pl.when(pl.col(reason)).then(pl.lit(reason)) for reason in severe]
    reasons = broken.select(pl.concat_str(named, separator=",", ignore_nulls=True).alias("reason"))["reason"]
    raw = batch.frame[rows[ROW].to_list()].select(pl.exclude(ORIGIN))
    texts = raw.select(pl.struct(pl.all()).struct.json_encode().alias("raw"))["raw"]
    origin = rows[ORIGIN] if ORIGIN in rows.columns else pl.lit(batch.origin)
    aside = rows.select(KEYS).with_columns(reasons, origin.alias("origin"), texts)
    return aside.unique(QUARANTINE_KEYS, keep="last", maintain_order=True)


def _register(store: Store, asset_class: str, rows: pl.DataFrame, instruments: pl.DataFrame | None) -> None:
    """Instruments for assets that have bars and no reference row; they are taken as listed on their first row."""
    first = rows.group_by("order_book_id").agg(pl.col("date").min().alias("listed_date"))
    made = {"type": pl.lit(asset_class), "listed_date_source": pl.lit(FIRST_ROW)}
    if asset_class == "Future":
        made["underlying_symbol"] = pl.col("order_book_id").str.extract(r"^([A-Za-z]+)")
    if instruments is not None:
        first = first.join(_settled(instruments, first), on="order_book_id", how="anti")
    if len(first):
        store.upsert(INSTRUMENTS, first.with_columns(**made).sort("order_book_id"), REFERENCE_KEYS[INSTRUMENTS])


def _settled(instruments: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Instruments whose listing needs no change: given by reference, or first seen no later than these rows."""
    if not {"listed_date", "listed_date_source"} <= set(instruments.columns):
        return instruments.select("order_book_id")
    both = instruments.join(first, on="order_book_id", suffix="_seen")
    guessed = pl.col("listed_date_source").eq_missing(pl.lit(FIRST_ROW))
    return both.filter(~guessed | (pl.col("listed_date") <= pl.col("listed_date_seen"))).select("order_book_id")


def _notes(batch: Batch, dropped: tuple[str, ...], absent: tuple[str, ...], has_multiplier: bool) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(f"columns left out, the contract does not know them: {', '.join(dropped)}")
    if absent:
        notes.append(f"optional fields absent: {', '.join(absent)}")
    if batch.table in DERIVATIVES and not has_multiplier:
        notes.append("turnover is not checked against volume: no contract multiplier is known")
    return tuple(notes)
