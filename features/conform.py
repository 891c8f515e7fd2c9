"""What a source gave, under the contract's columns and types: the step before the validators.

Nothing is renamed and nothing is filled. A column that is missing or of the wrong kind refuses the batch; a value that
cannot be read is marked, so that its row goes to quarantine.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import polars as pl

from features.fields import ASSET_CLASSES, FIELDS, SERIES, fields_of, required_fields
from features.panel import DataError
from features.rows import unknown
from features.sources.batch import Batch

ORIGIN = "_origin"
ROW = "_row"
UNREADABLE = "_unreadable"
ZONE = "Asia/Shanghai"
DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
NO_VALUE = ("", "-", "--", "nan", "NaN", "NAN", "null", "NULL", "None", "NA", "N/A", "#N/A")
YES_NO = {"true": True, "1": True, "1.0": True, "y": True, "false": False, "0": False, "0.0": False, "n": False}


@dataclass(frozen=True)
class Conformed:
    """Bars under the contract: dates, float64 fields, bool flags; null where there is no value.

    frame    also holds `_row` (the row's number in the batch), `_unreadable` and, where given, `_origin`
    dropped  columns that the contract does not know
    absent   optional fields that the batch does not have
    """

    frame: pl.DataFrame
    dropped: tuple[str, ...]
    absent: tuple[str, ...]


def conform(batch: Batch) -> Conformed:
    """Bars of one batch as the contract wants them.

    Errors  DataError for an unknown class, a missing column, ids that are numbers, a column of the wrong kind
    """
    if batch.table not in ASSET_CLASSES:
        raise unknown(batch.origin, "asset class", batch.table, ASSET_CLASSES)
    raw = batch.frame
    _require(raw.columns, batch)
    if not len(raw):
        raise DataError(batch.origin, "it must hold rows", "none")
    names = [name for name in fields_of(batch.table) if name in raw.columns]
    extra = [c for c in raw.columns if c not in (*names, "order_book_id", "date", ORIGIN)]
    columns = [_ids(raw, batch.origin), dates(raw["date"], batch.origin)]
    unreadable = pl.repeat(False, len(raw), eager=True)
    for name in names:
        column = _flags(raw[name], batch.origin) if FIELDS[name].unit == "flag" else _numbers(raw[name], batch.origin)
        unreadable = unreadable | (_given(raw[name]) & column.is_null())
        columns.append(column)
    if ORIGIN in raw.columns:
        columns.append(raw[ORIGIN].cast(pl.String))
    frame = pl.DataFrame(columns).with_columns(unreadable.alias(UNREADABLE)).with_row_index(ROW)
    absent = tuple(name for name in fields_of(batch.table) if name not in names)
    return Conformed(frame, tuple(extra), absent)


def dates(column: pl.Series, origin: str) -> pl.Series:
    """A column of dates, timestamps, ISO strings or numbers like 20240131 as dates; null where it cannot be read.

    Timestamps with a zone are read on Shanghai's clock. Refuses a column in which nothing can be read.
    """
    given = _given(column)
    dtype, read = column.dtype, column
    if isinstance(dtype, pl.Datetime):
        read = (column.dt.convert_time_zone(ZONE) if dtype.time_zone else column).dt.date()
    elif dtype.is_integer():
        read = column.cast(pl.String).str.to_date("%Y%m%d", strict=False)
    elif dtype == pl.String:
        text = column.str.strip_chars()
        read = pl.Series(column.name, [None] * len(column), dtype=pl.Date)
        for form in DATE_FORMATS:
            if read.null_count() == 0:
                break
            read = pl.select(pl.coalesce(read, text.str.to_datetime(form, strict=False).cast(pl.Date))).to_series()
    elif dtype != pl.Date:
        read = pl.Series(column.name, [None] * len(column), dtype=pl.Date)
    read = read.rename(column.name)
    if given.any() and read.null_count() == len(read):
        found = f"{dtype} {column.filter(given)[0]!r}"
        raise DataError(origin, f"the column {column.name} must hold dates like 2024-01-31", found)
    return read


def _require(columns: list[str], batch: Batch) -> None:
    strangers = [c for c in columns if not (c in FIELDS and FIELDS[c].ingested) and not c.startswith("_")]
    needed = ("order_book_id", "date", *required_fields(batch.table, _only_series(batch)))
    for name in needed:
        if name in columns:
            continue
        near = difflib.get_close_matches(name, strangers, 1, 0.5)
        hint = f"Give {', '.join(needed)}."
        if near:
            hint = f"The nearest column there is {near[0]!r}: rename it if it means the same."
        unit = f" ({FIELDS[name].zh}, {FIELDS[name].unit})" if name in FIELDS else ""
        found = ", ".join(c for c in columns if not c.startswith("_"))
        raise DataError(batch.origin, f"bars of {batch.table} must have the column {name}{unit}", found, help=hint)


def _only_series(batch: Batch) -> bool:
    """Whether all of a batch of futures are continuous series, which nobody settles."""
    ids = batch.frame["order_book_id"] if "order_book_id" in batch.frame.columns else pl.Series([], dtype=pl.String)
    if batch.table != "Future" or ids.dtype != pl.String or not len(ids):
        return False
    return all(SERIES.fullmatch(asset.strip()) for asset in ids.drop_nulls().unique())


def _ids(raw: pl.DataFrame, origin: str) -> pl.Series:
    column = raw["order_book_id"]
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        raise DataError(
            origin,
            "order_book_id must be text",
            f"{column.dtype}",
            f"{column[0]}",
            "As a number 000001 has lost its zeros: read the column as text, as in dtype={'order_book_id': str}.",
        )
    text = column.str.strip_chars()
    return text.set(text == "", None)


def _given(column: pl.Series) -> pl.Series:
    """Whether a value is there at all."""
    if column.dtype == pl.String:
        return column.is_not_null() & ~column.str.strip_chars().is_in(NO_VALUE)
    if column.dtype.is_float():
        return column.is_not_null() & column.is_not_nan()
    return column.is_not_null()


def _numbers(column: pl.Series, origin: str) -> pl.Series:
    if column.dtype == pl.String:
        column_read = column.str.strip_chars().cast(pl.Float64, strict=False)
        given = _given(column)
        if given.any() and column_read.filter(given).null_count() == given.sum():
            raise _wrong_kind(column, origin, "numbers")
        return column_read.set(~given, None)
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise _wrong_kind(column, origin, "numbers")
    return column.cast(pl.Float64).fill_nan(None)


def _flags(column: pl.Series, origin: str) -> pl.Series:
    if column.dtype == pl.Boolean:
        return column
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Null)):
        raise _wrong_kind(column, origin, "flags (true and false, or 1 and 0)")
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict(YES_NO, default=None, return_dtype=pl.Boolean)


def _wrong_kind(column: pl.Series, origin: str, kind: str) -> DataError:
    given = _given(column).arg_max() if len(column) else None
    found = f"{column.dtype}" + (f" {column[given]!r}" if given is not None else "")
    where = "" if given is None else f"row {given + 1}"
    cure = f"Give {kind}, and leave a cell empty where there is no value."
    return DataError(origin, f"the column {column.name} must hold {kind}", found, where, cure)
