"""The feature store: versioned tables on disk, one Delta table a name.

A commit is atomic and carries the rows and the state (`meta`) together, so that a process killed at any moment leaves
the last version. Nothing is deleted: old versions stay readable. Rows are partitioned by year and lie sorted by date,
then asset.

This is the one door to the storage engine, and long because all that must know a Delta table is here.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError
from filelock import FileLock, Timeout

from features.fields import EVERY_CLASS
from features.panel import DataError, Panels
from features.rows import YEAR, cast_to_stored, day_column, differences, ordered, storable, unknown, widened
from features.sessions import Calendar, Day, as_day, exchange_calendar

KEYS = ("date", "order_book_id")
FILES_A_YEAR = 40
ROWS_A_GROUP = 25_000
LOCK_SECONDS = 600.0
A_MONTH = np.timedelta64(31, "D")
INGEST_HELP = "Run `daybar ingest` first."
UNUSABLE_IN_PATHS = "[]|^\\"
KEEP_HISTORY = {"delta.logRetentionDuration": "interval 36500 days", "delta.enableExpiredLogCleanup": "false"}


@dataclass(frozen=True)
class Written:
    """What an upsert did: rows that were new, rows whose values changed, rows that stood there already."""

    new: int
    restated: int
    unchanged: int
    version: int


class Store:
    """Tables under one root folder, named like "bars/CS", "reference/calendar" or "factors/CS"."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).absolute()
        wrong = sorted({c for c in str(self.root) if c in UNUSABLE_IN_PATHS})
        if os.sep == "/" and wrong:
            raise DataError(
                "store",
                f"its path must be free of {' '.join(UNUSABLE_IN_PATHS)}",
                f"{' '.join(wrong)} in {self.root}",
                help="choose another folder; spaces and Chinese characters are fine",
            )

        self._assets: dict[tuple[str, int], list[str]] = {}

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    # ---- what there is ----------------------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        logs = [*self.root.glob("*/_delta_log"), *self.root.glob("*/*/_delta_log")]
        return sorted(log.parent.relative_to(self.root).as_posix() for log in logs if any(log.glob("*.json")))

    def exists(self, table: str) -> bool:
        """Whether the table has been written."""
        return any((self._folder(table) / "_delta_log").glob("*.json"))

    def version(self, table: str) -> int:
        """The number of the newest version, counted from 0."""
        return int(self._snapshot(table).version())

    def versions(self, tables: Iterable[str]) -> dict[str, int]:
        """The newest version of each of the tables: what a run records of its data."""
        return {table: self.version(table) for table in sorted(set(tables))}

    def meta(self, table: str, version: int | None = None) -> dict[str, Any]:
        """The `meta` of the newest commit that was given one, at that version; empty where none was."""
        newest = int(self._snapshot(table, version).version())
        for number in range(newest, -1, -1):
            commit = self._commit_info(table, number)
            if "meta" in commit:
                return dict(json.loads(commit["meta"]))
        return {}

    def changed_from(self, table: str, since_version: int) -> dt.date | None:
        """The earliest date that any commit after `since_version` wrote or removed; None where there was none.

        Where `since_version` is newer than the table (a table made anew), every date counts as changed.
        """
        snapshot = self._snapshot(table)
        newest = int(snapshot.version())
        if since_version > newest:
            return _span(snapshot)[0]
        commits = [self._commit_info(table, number) for number in range(since_version + 1, newest + 1)]
        days = [commit["changed_from"] for commit in commits if "changed_from" in commit]
        return dt.date.fromisoformat(min(days)) if days else None

    def describe(self) -> pl.DataFrame:
        """A row a table: version, rows, files, bytes, first and last date (null where it has none)."""
        rows = []
        for table in self.tables():
            snapshot = self._snapshot(table)
            files = _files(snapshot)
            first, last = _span(snapshot)
            counts = (int(files["num_records"].sum()), len(files), int(files["size_bytes"].sum()))
            rows.append((table, int(snapshot.version()), *counts, first, last))
        columns = {"table": pl.String, "version": pl.Int64, "rows": pl.Int64, "files": pl.Int64, "bytes": pl.Int64}
        return pl.DataFrame(rows, {**columns, "first": pl.Date, "last": pl.Date}, orient="row")

    # ---- reading ----------------------------------------------------------------------------------------------------

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        """The long rows of one version, lazily; it stays that version however long the scan is held."""
        return self._scan(table, self._snapshot(table, version))

    def span(self, table: str, version: int | None = None) -> tuple[dt.date, dt.date]:
        """The first and the last date of a dated table."""
        first, last = _span(self._snapshot(table, version))
        if first is None or last is None:
            raise DataError(f"table {table}", "it must hold dated rows", "none")
        return first, last

    def read(
        self,
        asset_class: str,
        fields: Sequence[str],
        start: Day | None = None,
        end: Day | None = None,
        lookback: int = 0,
        version: int | None = None,
    ) -> Panels:
        """Fields of an asset class as panels, float64, NaN where there is no row or no value; flags are 0 and 1.

        Shape   T = `lookback` sessions (as many as there are since the first bar) and then those in [start, end];
                N = every asset of the table, sorted; `first` counts the lookback rows
        Errors  DataError for an unknown class or field, and where no row lies in [start, end]
        """
        if asset_class not in EVERY_CLASS:
            raise unknown("store", "asset class", asset_class, EVERY_CLASS)
        return self._wide(f"bars/{asset_class}", fields, start, end, lookback, version)

    def read_table(
        self,
        table: str,
        columns: Sequence[str],
        start: Day | None = None,
        end: Day | None = None,
        version: int | None = None,
    ) -> Panels:
        """Columns of any table keyed by date and order_book_id as panels; as `read`, without lookback."""
        return self._wide(table, columns, start, end, 0, version)

    def calendar(self, cover: Iterable[dt.date] = ()) -> Calendar:
        """The ingested sessions, carried on by the exchange's own where bars (or days to `cover`) lie outside them."""
        spans = [_span(self._snapshot(table)) for table in self.tables() if table.startswith("bars/")]
        days = [day for span in (*spans, tuple(cover)) for day in span if day is not None]
        first, last = (np.datetime64(min(days)), np.datetime64(max(days))) if days else (None, None)
        if not self.exists("reference/calendar"):
            if first is None or last is None:
                raise DataError("store", "it must hold bars or a calendar", f"neither in {self.root}", help=INGEST_HELP)
            sessions = exchange_calendar(first - A_MONTH, last).sessions
            return Calendar(sessions[sessions >= first] if sessions[-1] >= first else sessions)
        sessions = self.scan("reference/calendar").select("date").collect()["date"].to_numpy()
        sessions = np.unique(sessions.astype("datetime64[D]"))
        # The exchange is asked for a month that is known too: a range of holidays alone has no calendar.
        earlier, later = sessions[:0], sessions[:0]
        if first is not None and first < sessions[0]:
            earlier = exchange_calendar(first, sessions[0] + A_MONTH).sessions
        if last is not None and last > sessions[-1]:
            later = exchange_calendar(sessions[-1] - A_MONTH, last).sessions
        return Calendar(np.concatenate([earlier[earlier < sessions[0]], sessions, later[later > sessions[-1]]]))

    def instruments(self, asset_class: str) -> pl.DataFrame:
        """The reference rows of an asset class, sorted by order_book_id."""
        rows = self.scan("reference/instruments").filter(pl.col("type") == asset_class)
        return rows.sort("order_book_id").collect()

    # ---- writing ----------------------------------------------------------------------------------------------------

    def upsert(
        self, table: str, frame: pl.DataFrame, keys: Sequence[str] = KEYS, meta: Mapping[str, Any] | None = None
    ) -> Written:
        """Write rows by key in one commit: new ones are added, changed ones restated, equal ones left alone.

        Columns that the frame does not have keep their stored values; columns that the table does not have are added.
        Where nothing changes there is no commit, and `meta` is not written.
        """
        with self.locked(table):
            rows = storable(frame, table, keys)
            if not self.exists(table):
                version = self._commit(table, rows, None, meta, keys=keys) if len(rows) else -1
                return Written(len(rows), 0, 0, version)
            snapshot = self._snapshot(table)
            rows = cast_to_stored(rows, self._scan(table, snapshot).collect_schema(), table)
            day, last = day_column(keys), _span(snapshot)[1]
            if not len(rows):
                return Written(0, 0, 0, int(snapshot.version()))
            if day is not None and last is not None and rows[day].min() > last:  # type: ignore[operator]
                return Written(len(rows), 0, 0, self._commit(table, rows, None, meta))
            return self._merge(table, snapshot, rows, list(keys), meta)

    def replace(
        self,
        table: str,
        frame: pl.DataFrame,
        start: Day,
        end: Day,
        meta: Mapping[str, Any] | None = None,
        keys: Sequence[str] = KEYS,
    ) -> int:
        """Make the rows with start <= date <= end exactly `frame`, in one commit; gives the version.

        Columns that the table does not have are added, null on the other rows.
        """
        first, last = as_day(start).astype(object), as_day(end).astype(object)
        with self.locked(table):
            rows = storable(frame, table, keys)
            outside = rows.filter(~pl.col("date").is_between(first, last))
            if len(outside):
                raise DataError(f"table {table}", f"rows must lie in {first} to {last}", f"{outside['date'][0]}")
            if not self.exists(table):
                return self._commit(table, rows, None, meta, keys=keys)
            snapshot = self._snapshot(table)
            rows = cast_to_stored(rows, self._scan(table, snapshot).collect_schema(), table)
            newest = _span(snapshot)[1]
            if newest is not None and first > newest:
                return self._commit(table, rows, None, meta)
            stored = self._stored(table, snapshot, range(first.year, last.year + 1))
            in_range = pl.col("date").is_between(first, last)
            gone, rest = stored.filter(in_range), stored.filter(~in_range)
            if not len(gone):
                return self._commit(table, rows, None, meta)
            days = pl.concat([gone["date"], rows["date"]])
            whole = pl.concat([rest, rows], how="diagonal")
            return self._commit(table, whole, set(days.dt.year()), meta, days.min())  # type: ignore[arg-type]

    def rewrite(self, table: str, frame: pl.DataFrame, meta: Mapping[str, Any] | None = None) -> Written:
        """Make the whole table exactly `frame`, for small tables without a key; no commit where it is so already."""
        with self.locked(table):
            rows = storable(frame, table, ())
            if not self.exists(table):
                return Written(len(rows), 0, 0, self._commit(table, rows, None, meta))
            snapshot = self._snapshot(table)
            stored = self._stored(table, snapshot, None)
            if stored.columns == rows.columns and ordered(stored, rows.columns).equals(ordered(rows, rows.columns)):
                return Written(0, 0, len(rows), int(snapshot.version()))
            return Written(len(rows), 0, 0, self._commit(table, rows, set(), meta))

    @contextmanager
    def locked(self, table: str) -> Generator[None]:
        """Hold the table's lock: one writer at a time over processes and threads; the kernel frees it when one dies."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{table.replace('/', '__')}.lock", timeout=LOCK_SECONDS, is_singleton=True)
        try:
            lock.acquire()
        except Timeout:
            raise DataError(
                f"table {table}",
                f"another process that writes it must end within {LOCK_SECONDS:.0f} s",
                "the lock is still held",
                str(lock.lock_file),
            ) from None
        try:
            yield
        finally:
            lock.release()

    def copy_as_of(self, root: Path, versions: Mapping[str, int]) -> Store:
        """Another store with the named tables as they were at these versions; files are linked where the disk can.

        Errors  DataError for a version that does not exist
        """
        for table, version in versions.items():
            snapshot = self._snapshot(table, version)
            logs = self._folder(table) / "_delta_log"
            kept = [logs / f"{number:020d}.json" for number in range(version + 1)]
            # A checkpoint may be of a later version, and the log alone says it all.
            for file in (*kept, *(self._folder(table) / path for path in _files(snapshot)["path"])):
                target = root.joinpath(*table.split("/")) / file.relative_to(self._folder(table))
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(file, target)
                except OSError:
                    shutil.copyfile(file, target)
        return Store(root)

    # ---- the engine -------------------------------------------------------------------------------------------------

    def _folder(self, table: str) -> Path:
        return self.root.joinpath(*table.split("/"))

    def _snapshot(self, table: str, version: int | None = None) -> DeltaTable:
        if not self.exists(table):
            if not self.tables():
                raise DataError(f"store {self.root}", f"it must hold the table {table}", "no table", help=INGEST_HELP)
            raise unknown("store", "table", table, self.tables(), INGEST_HELP)
        try:
            return DeltaTable(self._folder(table), version=version)
        except DeltaError as error:
            raise DataError(f"table {table}", "the version must exist", f"{version}", help=str(error)) from error

    def _commit_info(self, table: str, version: int) -> dict[str, Any]:
        # Not DeltaTable.history: of an older version it gives the newest commits under wrong numbers.
        log = self._folder(table) / "_delta_log" / f"{version:020d}.json"
        for line in log.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if "commitInfo" in action:
                return dict(action["commitInfo"])
        return {}

    def _scan(self, table: str, snapshot: DeltaTable, years: Iterable[int] | None = None) -> pl.LazyFrame:
        # Not pl.scan_delta: it looks for files under the percent-encoded name of a folder with a space in it.
        schema = {k: v for k, v in pl.Schema(snapshot.schema().to_arrow()).items() if k != YEAR}
        files = _files(snapshot)
        if years is not None and f"partition.{YEAR}" in files.columns:
            files = files.filter(pl.col(f"partition.{YEAR}").is_in(list(years)))
        paths = [self._folder(table) / path for path in files.sort("path")["path"]]
        if not paths:
            return pl.LazyFrame(schema=schema)
        return pl.scan_parquet(paths, schema=schema, missing_columns="insert", hive_partitioning=False, glob=False)

    def _stored(self, table: str, snapshot: DeltaTable, years: Iterable[int] | None) -> pl.DataFrame:
        return self._scan(table, snapshot, years).collect()

    def _wide(
        self,
        table: str,
        columns: Sequence[str],
        start: Day | None,
        end: Day | None,
        lookback: int,
        version: int | None,
    ) -> Panels:
        snapshot = self._snapshot(table, version)
        rows = self._scan(table, snapshot)
        known = rows.collect_schema().names()
        for name in (*KEYS, *columns):
            if name not in known:
                raise unknown(f"table {table}", "column", name, set(known) - set(KEYS))
        earliest, latest = _span(snapshot)
        if earliest is None or latest is None:
            raise DataError(f"table {table}", "it must hold rows", "none", help=INGEST_HELP)
        first = as_day(earliest if start is None else start)
        last = as_day(latest if end is None else end)
        calendar = self.calendar()
        held = f"rows from {earliest} to {latest}"
        if first > last or first > np.datetime64(latest) or last < np.datetime64(earliest):
            raise DataError(f"table {table}", f"some row must lie in {first} to {last}", held)
        asked = calendar.between(first, last)
        before = calendar.between(min(np.datetime64(earliest), first), last)
        before = before[len(before) - len(asked) - min(lookback, len(before) - len(asked)) :]
        assets = self.assets(table, version)
        day = pl.col("date")
        rows = rows.filter(day.is_between(before[0].astype(object), before[-1].astype(object)))
        # One field named twice is one panel.
        names = list(dict.fromkeys(columns))
        return widened(rows.select(*KEYS, *names).collect(), table, names, before, assets, len(before) - len(asked))

    def assets(self, table: str, version: int | None = None) -> list[str]:
        """Every asset that the table has a row of, sorted; looked for once a version."""
        snapshot = self._snapshot(table, version)
        # A table that was made anew counts its versions from nought again, under another name.
        key = str(snapshot.metadata().id), int(snapshot.version())
        if key not in self._assets:
            rows = self._scan(table, snapshot).select("order_book_id").unique().collect()
            self._assets[key] = rows["order_book_id"].sort().to_list()
        return self._assets[key]

    def _merge(
        self,
        table: str,
        snapshot: DeltaTable,
        rows: pl.DataFrame,
        keys: Sequence[str],
        meta: Mapping[str, Any] | None,
    ) -> Written:
        day = day_column(rows.columns)
        # Where the date is no key, a row may have moved from any year.
        years = set(rows[day].dt.year()) if day and day in keys else None
        known = self._scan(table, snapshot, years).select(keys).collect()
        if not len(rows.join(known, on=keys, how="semi", nulls_equal=True)):
            return Written(len(rows), 0, 0, self._commit(table, rows, None, meta))
        stored = self._stored(table, snapshot, years)
        fresh, changed = differences(rows, stored, keys)
        unchanged = len(rows) - len(fresh) - len(changed)
        if unchanged == len(rows):
            return Written(0, 0, unchanged, int(snapshot.version()))
        if not len(changed):
            return Written(len(fresh), 0, unchanged, self._commit(table, fresh, None, meta))
        gone = stored.join(changed, on=keys, how="semi", nulls_equal=True)
        rest = stored.join(changed, on=keys, how="anti", nulls_equal=True)
        whole = pl.concat([rest, fresh, changed], how="diagonal")
        days = pl.concat([part[day] for part in (gone, fresh, changed)]) if day else None
        touched, since = (set(days.dt.year()), days.min()) if days is not None else (set(), None)
        version = self._commit(table, whole, touched, meta, since)  # type: ignore[arg-type]
        return Written(len(fresh), len(changed), unchanged, version)

    def _commit(
        self,
        table: str,
        rows: pl.DataFrame,
        years: set[int] | None,
        meta: Mapping[str, Any] | None,
        changed_from: dt.date | None = None,
        keys: Sequence[str] = (),
    ) -> int:
        """Append the rows (years None), or let them stand for all that those years hold: `rows` may hold other years'
        rows too, which are not written. A table that is not partitioned is rewritten as a whole. A new table is
        partitioned where its date is among its `keys`, but for reference tables, which are small."""
        day = day_column(rows.columns)
        snapshot = self._snapshot(table) if self.exists(table) else None
        if day is not None and changed_from is None and len(rows):
            changed_from = rows[day].min()  # type: ignore[assignment]
        if snapshot is None:
            partitioned = day in keys and not table.startswith("reference/")
        else:
            partitioned = YEAR in snapshot.metadata().partition_columns
        if snapshot is not None and years is None:
            rows, years = self._gathered(table, snapshot, rows, day if partitioned else None)
        rows, predicate = ordered(rows), None
        if partitioned:
            rows = rows.with_columns(pl.col(str(day)).dt.year().cast(pl.Int32).alias(YEAR))
            if years is not None:
                rows = rows.filter(pl.col(YEAR).is_in(sorted(years)))
                predicate = f"{YEAR} IN ({', '.join(str(y) for y in sorted(years))})"
        state = {} if meta is None else {"meta": json.dumps(meta, ensure_ascii=False, allow_nan=False)}
        if changed_from is not None:
            state["changed_from"] = changed_from.isoformat()
        write_deltalake(
            self._folder(table),
            rows,
            partition_by=[YEAR] if partitioned and snapshot is None else None,
            mode="append" if years is None else "overwrite",
            predicate=predicate,
            schema_mode="merge" if snapshot is not None else None,
            configuration=KEEP_HISTORY if snapshot is None else None,
            writer_properties=_writer_properties(rows.schema),
            commit_properties=CommitProperties(custom_metadata=state),
        )
        return self.version(table)

    def _gathered(
        self, table: str, snapshot: DeltaTable, rows: pl.DataFrame, day: str | None
    ) -> tuple[pl.DataFrame, set[int] | None]:
        """What an append writes: the rows alone or, once small files have piled up, the rows and all of those files."""
        files = _files(snapshot)
        years = set(rows[day].dt.year()) if day is not None else set()
        if day is not None:
            files = files.filter(pl.col(f"partition.{YEAR}").is_in(sorted(years)))
        if len(files) < FILES_A_YEAR * max(1, len(years)):
            return rows, None
        return pl.concat([self._stored(table, snapshot, years or None), rows], how="diagonal"), years


def _files(snapshot: DeltaTable) -> pl.DataFrame:
    return pl.DataFrame(snapshot.get_add_actions(flatten=True))


def _span(snapshot: DeltaTable) -> tuple[dt.date | None, dt.date | None]:
    """The first and the last date, from the statistics in the log."""
    day = day_column(field.name for field in snapshot.schema().fields)
    files = _files(snapshot)
    if day is None or f"min.{day}" not in files.columns:
        return None, None
    return files[f"min.{day}"].min(), files[f"max.{day}"].max()  # type: ignore[return-value]


def _writer_properties(schema: pl.Schema) -> WriterProperties:
    # A dictionary helps columns of few words and triples the time of columns of numbers.
    words = {name: ColumnProperties(dictionary_enabled=True) for name, dtype in schema.items() if dtype == pl.String}
    return WriterProperties(
        compression="LZ4_RAW",
        max_row_group_size=ROWS_A_GROUP,
        default_column_properties=ColumnProperties(dictionary_enabled=False),
        column_properties=words or None,
    )
