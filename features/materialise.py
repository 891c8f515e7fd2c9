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

from features.factor import Plan, compute, plan
from features.inputs import available, read_inputs
from features.panel import ConfigError, DataError, Float64Array, Panels, SessionArray
from features.sessions import Day, as_day
from features.store import KEYS, Store

MARKET = "MKT"
_FEWEST_SESSIONS = 20
# What the memory estimate allows for: panels that a factor makes on its way, copies of the inputs while they are read,
# and of the rows while they are written.
_TEMPORARIES, _READING, _WRITING = 6, 2, 8


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
    asset_class: str,
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
    bars, table = f"bars/{asset_class}", f"factors/{asset_class}"
    version = store.version(bars)
    there = available(store, asset_class)
    whole = plan(asset_class, names, there)
    with store.locked(table):
        reach = {} if anew else _read_reach(store, table)
        sessions = _sessions(store, bars, end)
        work = _Work(sessions, _starts(store, bars, whole, reach, sessions), reach)
        longest, estimate = _chunk_length(store, bars, whole, memory)
        todo = sum(stop - start for start, stop, _ in work.chunks(longest))
        done = rows = 0
        if todo:
            say(f"building {len(whole.wanted)} factors on {todo:,} sessions, about {estimate / 1e6:,.0f} MB at a time")
        for start, stop, columns in work.chunks(longest):
            progress(done, todo)
            rows += _build(
                store, plan(asset_class, columns, there), sessions[start], sessions[stop - 1], version, work.reach
            )
            done += stop - start
        progress(done, todo)
    built = tuple(c for c, s in work.starts.items() if s < len(sessions))
    return BuildReport(built, todo, rows, whole.absent, version, estimate)


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
    frame = _computed(store, part, start, stop, version)
    kept = [c for c in _columns(store, table) if c not in part.wanted]
    if kept:
        stored = store.scan(table).filter(pl.col("date").is_between(_date(start), _date(stop)))
        frame = frame.join(stored.select(*KEYS, *kept).collect(), on=KEYS, how="left")
    for c in part.wanted:
        reach[c] = _Reach(part.hashes[c], str(stop), version)
    store.replace(table, frame, start, stop, meta={"columns": {c: vars(r) for c, r in reach.items()}})
    return len(frame)


def _computed(store: Store, part: Plan, start: np.datetime64, stop: np.datetime64, version: int) -> pl.DataFrame:
    """The long rows of a chunk, its new states written; each factor is computed on the history that it needs."""
    inputs = read_inputs(store, part.asset_class, part.fields, start, stop, part.lookback - 1, version)
    days = store.calendar().sessions
    before = days[days < start][-1:]
    rows = _Rows(inputs)
    for group in _by_lookback(part):
        recursive = [f.name for f in group.order if f.recursive]
        states = {n: _read_state(store, part.asset_class, n, d, inputs.assets) for n in recursive for d in before}
        history = min(inputs.first, group.lookback - 1)
        recent = inputs.rows(inputs.first - history, len(inputs.sessions), first=history)
        panels, new_states = compute(group, recent, {n: s for n, s in states.items() if s is not None})
        for name, state in new_states.items():
            _write_state(store, part.asset_class, name, stop, inputs.assets, state)
        rows.take(group, panels)
    return rows.frame(part.wanted)


def _by_lookback(part: Plan) -> list[Plan]:
    """The plan cut into plans whose factors need about as much history: within a factor of two.

    A step that several need is computed for each; what a long history costs a factor that needs a short one is more.
    """
    octaves: dict[int, list[str]] = {}
    for name in part.wanted:
        octave = plan(part.asset_class, (name,), part.fields).lookback.bit_length()
        octaves.setdefault(octave, []).append(name)
    return [plan(part.asset_class, octaves[o], part.fields) for o in sorted(octaves)]


class _Rows:
    """Long rows in the making: one a traded cell and one a session for the market, by date, then asset."""

    def __init__(self, inputs: Panels) -> None:
        self.traded = inputs["traded"][inputs.first :] > 0
        at = int(np.searchsorted(inputs.assets, MARKET))
        session, asset = np.nonzero(np.insert(self.traded, at, True, axis=1))
        self.market = asset == at
        ids = pl.Series(np.insert(inputs.assets.astype(object), at, MARKET).tolist(), dtype=pl.String)
        days = pl.Series(inputs.sessions[inputs.first :]).cast(pl.Date)
        self.columns = {"date": days.gather(session), "order_book_id": ids.gather(asset)}

    def take(self, part: Plan, panels: Panels) -> None:
        """Add the plan's wanted columns, float32."""
        scopes = {f.name: f.scope for f in part.order}
        for name in part.wanted:
            column = np.full(len(self.market), np.nan, dtype=np.float32)
            if scopes[name] == "market":
                column[self.market] = panels[name][:, 0]
            else:
                column[~self.market] = np.broadcast_to(panels[name], self.traded.shape)[self.traded]
            self.columns[name] = pl.Series(column, nan_to_null=True)

    def frame(self, names: Iterable[str]) -> pl.DataFrame:
        """The rows with these columns."""
        return pl.DataFrame({c: self.columns[c] for c in (*KEYS, *names)})


def _starts(store: Store, bars: str, whole: Plan, reach: dict[str, _Reach], sessions: SessionArray) -> dict[str, int]:
    """Position of the first session that each wanted column has to be computed for."""
    touched = {v: store.changed_from(bars, v) for v in {r.bars for r in reach.values()}}
    recursive = {f.name for f in whole.order if f.recursive}
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
        if name in recursive and 0 < start < len(sessions):
            known = _state_rows(store, whole.asset_class, name, sessions[start - 1])
            start = start if known is not None and len(known) else 0
        starts[name] = start
    return starts


def _sessions(store: Store, bars: str, end: Day | None) -> SessionArray:
    first, last = store.span(bars)
    until = last if end is None else min(_date(as_day(end)), last)
    if until < first:
        raise DataError(f"build {bars}", f"it must end on or after the first bar, {first}", f"{until}")
    return store.calendar().between(first, until)


def _chunk_length(store: Store, bars: str, whole: Plan, memory: float) -> tuple[int, int]:
    """Sessions a chunk may hold, and the bytes that it will take at most while it is read, computed or written."""
    first, last = store.span(bars)
    there = len(store.calendar().between(first, last))
    n = store.scan(bars).select(pl.col("order_book_id").n_unique()).collect().item()
    groups = [(_alive(group) + _TEMPORARIES, min(group.lookback, there)) for group in _by_lookback(whole)]

    def needed(chunk: int) -> int:
        fields = 8 * n * len(whole.fields) * (chunk + min(whole.lookback, there))
        columns = 4 * n * len(whole.wanted) * chunk
        steps = max((8 * n * alive * (chunk + lookback) for alive, lookback in groups), default=0)
        return max(_READING * fields, fields + steps + columns, _WRITING * columns)

    longest = next((c for c in range(there, _FEWEST_SESSIONS, -1) if needed(c) <= memory), min(_FEWEST_SESSIONS, there))
    return longest, needed(longest)


def _alive(part: Plan) -> int:
    """How many panels a walk over the plan holds at once, beside its fields: wanted ones, and steps until last used."""
    last_use = {i: k for k, f in enumerate(part.order) for i in (*f.inputs, *f.optional)}
    panels = [(k, f.name) for k, f in enumerate(part.order) if f.scope == "asset"]
    return max(
        (
            sum(made <= k and (name in part.wanted or last_use.get(name, -1) >= k) for made, name in panels)
            for k in range(len(part.order))
        ),
        default=0,
    )


def _read_reach(store: Store, table: str) -> dict[str, _Reach]:
    if not store.exists(table):
        return {}
    columns: dict[str, dict[str, Any]] = store.meta(table).get("columns", {})
    return {c: _Reach(**r) for c, r in columns.items()}


def _columns(store: Store, table: str) -> list[str]:
    if not store.exists(table):
        return []
    return [c for c in store.scan(table).collect_schema().names() if c not in KEYS]


def _state_rows(store: Store, asset_class: str, name: str, session: Day) -> pl.DataFrame | None:
    table = f"states/{asset_class}"
    if not store.exists(table):
        return None
    rows = store.scan(table).filter((pl.col("date") == _date(as_day(session))) & (pl.col("factor") == name))
    return rows.collect()


def _read_state(store: Store, asset_class: str, name: str, session: Day, assets: np.ndarray) -> Float64Array | None:
    """The state (S, N) after a session, laid out on these assets; None where none was kept."""
    rows = _state_rows(store, asset_class, name, session)
    if rows is None or not len(rows):
        return None
    state = np.zeros((int(rows["slot"].max()) + 1, len(assets)))  # type: ignore[arg-type]
    state[rows["slot"].to_numpy(), np.searchsorted(assets, rows["order_book_id"].to_numpy())] = rows["value"].to_numpy()
    return state


def _write_state(
    store: Store, asset_class: str, name: str, session: Day, assets: np.ndarray, state: Float64Array
) -> None:
    slots, n = state.shape
    frame = pl.DataFrame(
        {
            "date": pl.Series([_date(as_day(session))] * (slots * n)),
            "order_book_id": pl.Series(np.tile(assets, slots)),
            "factor": pl.Series([name] * (slots * n)),
            "slot": pl.Series(np.repeat(np.arange(slots), n)).cast(pl.Int64),
            "value": pl.Series(state.ravel()),
        }
    )
    store.upsert(f"states/{asset_class}", frame, keys=(*KEYS, "factor", "slot"))


def _date(session: np.datetime64) -> dt.date:
    day: dt.date = session.astype("datetime64[D]").astype(object)
    return day
