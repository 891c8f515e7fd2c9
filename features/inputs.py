"""What factors start from: fields of the bars and facts of the reference, on one pair of axes.

A field is given to factors only where the asset traded: no row, no volume or a suspension make every field NaN there,
so that no window mixes quotes of a day without a trade with real ones.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from features.fields import DERIVED_CLASSES, FACTS, FIELDS
from features.limits import board
from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels, SessionArray
from features.sessions import Calendar, Day, following
from features.store import KEYS, Store

BOARD_CODES = ("main", "star", "chinext", "bse", "other")
_OF_THE_CALENDAR = ("weekday", "month", "month_end", "before_holiday")
# Of assets that reference/instruments lists; a product of futures is none.
_OF_INSTRUMENTS = ("listed_sessions", "listed_count", "board", "industry")


def available(store: Store, asset_class: str) -> tuple[str, ...]:
    """Names of all fields and reference facts that can be read for the asset class."""
    columns = store.scan(f"bars/{asset_class}").collect_schema().names()
    fields = [c for c in columns if c not in KEYS and c != "source"]
    if asset_class in DERIVED_CLASSES:
        return (*fields, *(f for f in FACTS if f not in _OF_INSTRUMENTS))
    instruments = store.instruments(asset_class)
    known_industry = "industry" in instruments.columns and instruments["industry"].null_count() < len(instruments)
    return (*fields, *(f for f in FACTS if f != "industry" or known_industry))


def read_inputs(
    store: Store,
    asset_class: str,
    names: Iterable[str],
    start: Day,
    end: Day,
    lookback: int = 0,
    version: int | None = None,
) -> Panels:
    """The named fields and reference facts, with `traded`, on the sessions of [start, end] and `lookback` before.

    traded           (T, N) 1 where the asset traded, else 0
    listed_sessions  (T, N) sessions since listing, the listing day counting 1; 0 before it and after delisting
    listed_count     (T, 1) assets that the reference knows to be listed
    board, industry  (1, N) codes; boards as in BOARD_CODES
    weekday, month, month_end, before_holiday  (T, 1), from the exchange's calendar, which is known ahead
    """
    names = set(names)
    columns = store.scan(f"bars/{asset_class}", version).collect_schema().names()
    witnesses = [c for c in ("close", "volume", "suspended") if c in columns]
    fields = sorted((names & set(columns)) | set(witnesses))
    panels = store.read(asset_class, fields, start, end, lookback, version)
    traded = traded_panel(panels)
    values = {f: panels[f] for f in fields if f in names}
    for field, value in values.items():
        # The panels were made for this call: blanking them in place spares a copy of each.
        np.copyto(value, np.nan, where=~(traded & _published(field, panels.sessions)))
    values["traded"] = traded.astype(np.float64)
    if names & {"listed_sessions", "listed_count", "industry"}:
        values |= _reference(store, asset_class, panels)
    if "board" in names:
        values["board"] = np.array([[_board_code(a) for a in panels.assets]], dtype=np.float64)
    if names.intersection(_OF_THE_CALENDAR):
        values |= _of_the_calendar(store.calendar(), panels.sessions)
    keep = {n: v for n, v in values.items() if n in names or n == "traded"}
    return Panels(panels.sessions, panels.assets, keep, panels.first)


def _published(field: str, sessions: SessionArray) -> BoolArray:
    """Whether the field is published on each session, (T, 1)."""
    since = FIELDS[field].since if field in FIELDS else ""
    return (sessions >= np.datetime64(since or "0001-01-01"))[:, None]


def traded_panel(panels: Panels) -> BoolArray:
    """True where there is a row with a close, volume where volume is known for the asset, and no suspension flag."""
    traded = ~np.isnan(panels["close"])
    if "volume" in panels and not np.isnan(panels["volume"]).all():
        traded &= panels["volume"] > 0
    if "suspended" in panels:
        traded &= ~(panels["suspended"] > 0)
    return np.asarray(traded)


def _of_the_calendar(calendar: Calendar, sessions: SessionArray) -> dict[str, Float64Array]:
    """Facts of the sessions and of those that follow them, (T, 1)."""
    after = np.append(sessions[1:], following(calendar, sessions[-1]))
    month = sessions.astype("datetime64[M]")
    # 1970-01-01 was a Thursday.
    weekday = (sessions.astype(np.int64) + 3) % 7 + 1
    weekdays_between = np.busday_count(sessions, after)
    facts = {
        "weekday": weekday,
        "month": month.astype(np.int64) % 12 + 1,
        "month_end": after.astype("datetime64[M]") > month,
        "before_holiday": weekdays_between > 1,
    }
    return {name: fact.astype(np.float64)[:, None] for name, fact in facts.items()}


def _reference(store: Store, asset_class: str, panels: Panels) -> dict[str, Float64Array]:
    """Listing facts on the panels' axes, by position on the calendar."""
    instruments = store.instruments(asset_class)
    sessions = store.calendar().sessions
    listed = _positions(instruments, "listed_date", sessions, missing=0)
    gone = _positions(instruments, "de_listed_date", sessions, missing=len(sessions))
    here = np.searchsorted(sessions, panels.sessions)[:, None]
    alive = (here >= listed) & (here < gone)
    index = {a: i for i, a in enumerate(instruments["order_book_id"].to_list())}
    column = np.array([index.get(a, -1) for a in panels.assets])
    since = np.where(alive, here - listed + 1, 0).astype(np.float64)
    facts = {
        "listed_sessions": np.where(column >= 0, since[:, column], 0.0),
        "listed_count": alive.sum(axis=1, keepdims=True).astype(np.float64),
    }
    if "industry" in instruments.columns:
        codes = instruments["industry"].cast(pl.String).rank("dense").cast(pl.Float64).to_numpy()
        facts["industry"] = np.where(column >= 0, codes[column], np.nan)[None, :]
    return facts


def _positions(instruments: pl.DataFrame, column: str, sessions: SessionArray, missing: int) -> IntArray:
    """Position of each instrument's date on the calendar: of the first session on or after it.

    Dates before the calendar's first session count its weekdays, so that an old listing stays old: holidays of years
    that the calendar does not hold make it some percent older, which no threshold notices.
    """
    if column not in instruments.columns:
        return np.full(len(instruments), missing)
    days = instruments[column].cast(pl.Date)
    known = days.fill_null(sessions[0].astype(object)).to_numpy().astype("datetime64[D]")
    at = np.searchsorted(sessions, known) - np.busday_count(np.minimum(known, sessions[0]), sessions[0])
    return np.where(days.is_null().to_numpy(), missing, at)


def _board_code(asset: str) -> int:
    try:
        return BOARD_CODES.index(board(asset))
    except (DataError, ValueError):
        return BOARD_CODES.index("other")
