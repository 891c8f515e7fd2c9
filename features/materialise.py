"""Factor panels into the store: only what is missing is computed, and the result equals a full computation.

The table factors/<class> holds a row a (session, asset that traded) and one for the market, a float32 column a factor.
Its newest commit carries, for each column, the hash of the definition, the last session it reaches, and the version of
the bars that it was computed from. From these follows where each column has to start:

1. a new column, or one whose definition has changed, starts at the first session;
2. a column whose bars were restated starts at the first session that was touched;
3. every other starts behind the last session it reaches.

Sessions are computed in chunks, each chunk one atomic commit of rows and reach: a build that is killed goes on where it
was. One process builds a table at a time; a second one waits and finds the work done.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from features.catalogue import Catalogue
from features.chunk import chunk_length, compute_chunk
from features.inputs import available
from features.panel import ConfigError, DataError, SessionArray
from features.plan import Plan, plan
from features.sessions import Day, as_day
from features.states import days_kept
from features.store import KEYS, Store


@dataclass(frozen=True)
class BuildReport:
    """What a build did: columns, sessions and rows written, and the factors that these fields cannot give."""

    columns: tuple[str, ...]
    sessions: int
    rows: int
    absent: dict[str, str]
    bars_version: int
    memory: int


@dataclass
class _Reach:
    """What the table's newest commit says of a column."""

    hash: str
    through: str
    bars: int


@dataclass
class _Work:
    """The columns still to be computed, each from a position on the session axis."""

    sessions: SessionArray
    starts: dict[str, int]
    reach: dict[str, _Reach] = field(default_factory=dict)

    def chunks(self, longest: int) -> Iterable[tuple[int, int, list[str]]]:
        """(start, stop, columns): stretches of at most `longest` sessions that need the same columns."""
        cuts = sorted({s for s in self.starts.values() if s < len(self.sessions)} | {len(self.sessions)})
        for start, stop in itertools.pairwise(cuts):
            columns = [c for c, s in self.starts.items() if s <= start]
            for at in range(start, stop, longest):
                yield at, min(at + longest, stop), columns


def materialise(
    store: Store,
    known: Catalogue,
    names: Iterable[str],
    end: Day | None = None,
    *,
    memory: float = 4e9,
    anew: bool = False,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> BuildReport:
    """Bring the named factors in the store up to `end` (default: the last session with bars).

    memory    bytes that a chunk's panels may take
    anew      compute everything again, whatever the table says
    say       told the memory that a chunk will take, before it is taken
    progress  called with the sessions done and the sessions to do
    """
    asset_class = known.asset_class
    bars, table = f"bars/{asset_class}", f"factors/{asset_class}"
    version = store.version(bars)
    there = available(store, asset_class)
    whole = plan(known, names, there)
    with store.locked(table):
        reach = {} if anew else _read_reach(store, table)
        sessions = _sessions(store, bars, end)
        work = _Work(sessions, _starts(store, bars, whole, reach, sessions), reach)
        stale = tuple(c for c, s in work.starts.items() if s < len(sessions))
        longest, estimate = chunk_length(store, plan(known, stale, there), memory)
        todo = sum(stop - start for start, stop, _ in work.chunks(longest))
        done = rows = 0
        if todo:
            many = f"{len(stale)} factor{'s' if len(stale) > 1 else ''} on {todo:,} session{'s' if todo > 1 else ''}"
            say(f"building {many}, about {estimate / 1e6:,.0f} MB at a time")
        for start, stop, columns in work.chunks(longest):
            progress(done, todo)
            rows += _build(store, plan(known, columns, there), sessions[start], sessions[stop - 1], version, work.reach)
            done += stop - start
        progress(done, todo)
    return BuildReport(stale, todo, rows, whole.absent, version, estimate)


def memory_bytes(text: str) -> float:
    """The number of bytes that a text like 500MB or 4GB means; ConfigError for another."""
    units = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    number, unit = text[:-2].strip(), text[-2:].upper()
    if unit not in units or not number.replace(".", "", 1).isdecimal() or float(number) <= 0:
        raise ConfigError("memory", "it must be a number and one of KB, MB, GB, TB", repr(text), help="Say 4GB.")
    return float(number) * units[unit]


def reaches(store: Store, asset_class: str) -> dict[str, tuple[str, dt.date]]:
    """Column -> (hash of the definition it was computed by, last session it reaches)."""
    reach = _read_reach(store, f"factors/{asset_class}")
    return {c: (r.hash, dt.date.fromisoformat(r.through)) for c, r in reach.items()}


def _build(
    store: Store, part: Plan, start: np.datetime64, stop: np.datetime64, version: int, reach: dict[str, _Reach]
) -> int:
    """Compute one chunk and commit it; the states go first, so that a commit never lacks the state behind it."""
    table = f"factors/{part.asset_class}"
    frame = compute_chunk(store, part, start, stop, version)
    kept = [c for c in _columns(store, table) if c not in part.wanted]
    if kept:
        stored = store.scan(table).filter(pl.col("date").is_between(_date(start), _date(stop)))
        frame = frame.join(stored.select(*KEYS, *kept).collect(), on=KEYS, how="left")
    for c in part.wanted:
        reach[c] = _Reach(part.hashes[c], str(stop), version)
    store.replace(table, frame, start, stop, meta={"columns": {c: vars(r) for c, r in reach.items()}})
    return len(frame)


def _starts(store: Store, bars: str, whole: Plan, reach: dict[str, _Reach], sessions: SessionArray) -> dict[str, int]:
    """Position of the first session that each wanted column has to be computed for."""
    touched = {v: store.changed_from(bars, v) for v in {r.bars for r in reach.values()}}
    kept = days_kept(store, whole.asset_class)
    starts = {}
    for name in whole.wanted:
        at = reach.get(name)
        if at is None or at.hash != whole.hashes[name]:
            starts[name] = 0
            continue
        start = int(np.searchsorted(sessions, as_day(at.through), side="right"))
        changed = touched[at.bars]
        if changed is not None:
            start = min(start, int(np.searchsorted(sessions, as_day(changed))))
        if 0 < start < len(sessions) and (carried := whole.recursive[name]):
            common = set.intersection(*(kept.get(r, set()) for r in carried))
            before = [day for day in common if day < sessions[start].astype(object)]
            start = int(np.searchsorted(sessions, np.datetime64(max(before)), side="right")) if before else 0
        starts[name] = start
    return starts


def _sessions(store: Store, bars: str, end: Day | None) -> SessionArray:
    first, last = store.span(bars)
    until = last if end is None else min(_date(as_day(end)), last)
    if until < first:
        raise DataError(f"build {bars}", f"it must end on or after the first bar, {first}", f"{until}")
    return store.calendar().between(first, until)


def _read_reach(store: Store, table: str) -> dict[str, _Reach]:
    if not store.exists(table):
        return {}
    columns: dict[str, dict[str, Any]] = store.meta(table).get("columns", {})
    return {c: _Reach(**r) for c, r in columns.items()}


def _columns(store: Store, table: str) -> list[str]:
    if not store.exists(table):
        return []
    return [c for c in store.scan(table).collect_schema().names() if c not in KEYS]


def _date(session: np.datetime64) -> dt.date:
    day: dt.date = session.astype("datetime64[D]").astype(object)
    return day
