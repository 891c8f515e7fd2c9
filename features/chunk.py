"""One chunk of a build: what it reads, how it computes it, the rows that come of it, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from features.engine import block_bytes, whole_at_once
from features.inputs import read_inputs
from features.panel import Panels
from features.plan import Plan, compute, plan
from features.sessions import Day, as_day
from features.states import read_states, write_states
from features.store import KEYS, Store

MARKET = "MKT"
_FEWEST_SESSIONS = 20
_TWO_YEARS = 511
# What the memory estimate allows for: copies of the inputs while they are read, and of the rows while they are written.
_READING, _WRITING = 2, 8


def compute_chunk(store: Store, part: Plan, start: Day, stop: Day, version: int) -> pl.DataFrame:
    """The long rows of the sessions from start to stop, the states after them written."""
    groups = _by_lookback(part)
    inputs = _read(store, part, groups, start, stop, version)
    days = store.calendar().sessions
    before = days[days < as_day(start)][-1:]
    states = read_states(store, part.asset_class, before[0], inputs[0].assets) if len(before) else {}
    rows = _Rows(inputs[0])
    for group, given in zip(groups, inputs, strict=True):
        panels, new_states = compute(group, given, states, np.float32)
        rows.take(group, panels)
        rows.states |= new_states
    write_states(store, part.asset_class, stop, inputs[0].assets, rows.states)
    return rows.frame(part.wanted)


def chunk_length(store: Store, whole: Plan, memory: float) -> tuple[int, int]:
    """Sessions a chunk may hold, and the bytes that it will take at most while it is read, computed or written."""
    bars = f"bars/{whole.asset_class}"
    first, last = store.span(bars)
    there = len(store.calendar().between(first, last))
    n = len(store.assets(bars))
    groups = _by_lookback(whole)
    steps = [
        (whole_at_once(group.nodes[name] for name in group.wanted), min(group.lookback, there), len(group.wanted))
        for group in groups
    ]
    histories = [min(h, there) for h in _histories(groups).values()]

    def needed(chunk: int) -> int:
        fields = 8 * n * sum(chunk + h for h in histories)
        columns = 4 * n * len(whole.wanted) * chunk
        walked = max((8 * n * alive * (chunk + h) + 4 * n * k * chunk for alive, h, k in steps), default=0)
        blocks = block_bytes(n * (chunk + min(whole.lookback, there)))
        return max(_READING * fields, fields + walked + columns + blocks, _WRITING * columns)

    longest = next((c for c in range(there, _FEWEST_SESSIONS, -1) if needed(c) <= memory), min(_FEWEST_SESSIONS, there))
    return longest, needed(longest)


def _by_lookback(part: Plan) -> list[Plan]:
    """The plan cut into plans whose factors need about as much history: two years, or within a factor of two.

    The engine computes no more rows of a step than it needs; what is spared here are the rows of fields that are read.
    """
    octaves: dict[int, list[str]] = {}
    for name in part.wanted:
        octaves.setdefault(max(part.lookbacks[name].bit_length(), _TWO_YEARS.bit_length()), []).append(name)
    return [plan(part.known, octaves[o], part.fields) for o in sorted(octaves)]


def _histories(groups: Iterable[Plan]) -> dict[str, int]:
    """Field -> sessions that the group with the longest lookback needs of it."""
    out: dict[str, int] = {}
    for group in groups:
        for name in group.fields:
            out[name] = max(out.get(name, 1), group.lookback)
    return out


def _read(store: Store, part: Plan, groups: list[Plan], start: Day, stop: Day, version: int) -> list[Panels]:
    """What each group computes from. A field is read once, with no more history than somebody needs."""
    together: dict[int, list[str]] = {}
    for name, history in _histories(groups).items():
        together.setdefault(history, []).append(name)
    reads = [
        read_inputs(store, part.asset_class, names, start, stop, history - 1, version)
        for history, names in sorted(together.items())
    ]
    return [_cut(group, reads) for group in groups]


def _cut(group: Plan, reads: list[Panels]) -> Panels:
    """The fields of a group with its own history, each from the read that holds it."""
    of = {name: read for read in reads for name in read.values}
    holding = [of[name] for name in group.fields] or reads[-1:]
    history = min(group.lookback - 1, max(read.first for read in holding))
    longest = max(holding, key=lambda read: read.first)
    axes = longest.rows(longest.first - history, len(longest.sessions), first=history)
    values = {}
    for name in (*group.fields, "traded"):
        read = of[name] if name != "traded" else longest
        values[name] = read.rows(read.first - history, len(read.sessions))[name]
    return Panels(axes.sessions, axes.assets, values, history)


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
        self.states: dict[str, np.ndarray] = {}

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
