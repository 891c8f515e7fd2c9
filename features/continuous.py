"""A product as one series of returns: roll-adjusted from its contracts, or as a vendor spliced it, with a warning.

No return has prices of two contracts in it, and no price of one stands beside that of another but in `level`, which is
made of the returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from features.chain import Chain
from features.panel import AssetArray, BoolArray, Float64Array, IntArray, SessionArray
from features.rolls import REASONS, Holding

MAX_GAP = 5
_LN2 = np.log(2.0)
_SHOWN = 5
ROLL_COLUMNS: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "decided": pl.Date,
    "from": pl.String,
    "to": pl.String,
    "spread": pl.Float64,
    "reason": pl.String,
    "from_close": pl.Float64,
    "to_close": pl.Float64,
    "from_open_interest": pl.Float64,
    "to_open_interest": pl.Float64,
    "from_volume": pl.Float64,
    "to_volume": pl.Float64,
    "sessions_left": pl.Int64,
}


@dataclass(frozen=True)
class Continuous:
    """The series of one product on its sessions, (T,) each; NaN where there is no value.

    contract        order_book_id held through the session, decided the session before; empty for none
    ret             log return of that contract from its close before to its close; nothing else
    span            sessions that the return spans, 0 where there is none
    range_variance  ln²(open / prev_close) + Garman-Klass of the session; of the contract, over the return's span
    close, prev_close  of the contract held, on a session with trades, and on the last such before
    level           returns cumulated, scaled to the last close: what ratio adjustment gives
    settlement      of the contract held
    open_interest, volume  of the product: summed over the contracts that give one, so free of migration between them
    held_volume     of the contract held
    is_roll         the first session on which another contract is held
    multiplier      CNY per point of the contract to be held next (or held last); NaN where nobody says
    rolls           a row a roll: date (the first session of the new contract), decided (the close before), from, to,
                    spread (ln of the new close over the old one, when decided), reason, and what the rule saw
    notes           what a reader must know
    next_contract   what is held on the session after the last one; empty for none
    Source          04 §2.1, 2.2
    """

    product: str
    sessions: SessionArray = field(repr=False)
    contract: AssetArray = field(repr=False)
    ret: Float64Array = field(repr=False)
    span: IntArray = field(repr=False)
    range_variance: Float64Array = field(repr=False)
    close: Float64Array = field(repr=False)
    prev_close: Float64Array = field(repr=False)
    level: Float64Array = field(repr=False)
    settlement: Float64Array = field(repr=False)
    open_interest: Float64Array = field(repr=False)
    volume: Float64Array = field(repr=False)
    held_volume: Float64Array = field(repr=False)
    is_roll: BoolArray = field(repr=False)
    multiplier: float
    rolls: pl.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    next_contract: str

    def __len__(self) -> int:
        return len(self.sessions)

    def since(self, start: np.datetime64) -> Continuous:
        """The sessions from start on; what is held there still follows from all that was before."""
        first = int(self.sessions.searchsorted(start))
        cut = {name: getattr(self, name)[first:] for name in _ALONG}
        return replace(self, rolls=self.rolls.filter(pl.col("date") >= start.astype(object)), **cut)


_ALONG = (
    *("sessions", "contract", "ret", "span", "range_variance", "close", "prev_close", "level", "settlement"),
    *("open_interest", "volume", "held_volume", "is_roll"),
)


def continuous(chain: Chain, holding: Holding, max_gap: int = MAX_GAP) -> Continuous:
    """The series of a chain under a holding.

    max_gap  a return over more sessions is none: it is left NaN and noted, as is one whose contract has no close
             before it, or none since the series had its last
    """
    held, traded = holding.held[:-1], chain.traded
    own = _Held(held)
    idle = own.of(traded.astype(np.float64)) != 1.0
    price = {name: np.where(idle, np.nan, own.of(chain[name])) for name in ("open", "high", "low", "close")}
    prev_close, since = _before(np.where(traded, chain["close"], np.nan), own)
    here = np.arange(len(held))
    # The close before must not be older than the series' own last one, or the same days would count twice.
    priced = np.maximum.accumulate(np.where(np.isfinite(price["close"]), here, -1))
    priced = np.concatenate([[-1], priced[:-1]])
    overlap, span = since < priced, np.where(since >= 0, here - since, 0)
    known = np.isfinite(price["close"]) & np.isfinite(prev_close)
    counted = known & ~overlap & (span <= max_gap)
    whole = np.where(counted, np.log(price["close"] / prev_close), np.nan)
    names = np.append(chain.contracts.ids, "")  # the last one is what -1 names
    is_roll = _rolled(holding)[:-1]
    skipped = {
        f"the contract held had its last close more than {max_gap} sessions before": known
        & ~overlap
        & (span > max_gap),
        "it has no close since the series' last one": np.isfinite(price["close"]) & (overlap | (since < 0)),
        "it did not trade": (held >= 0) & ~np.isfinite(price["close"]),
        "no contract to hold": (held < 0) & (here > 0),
    }
    last = int(holding.held[-1]) if holding.held[-1] >= 0 else int(held[-1])
    return Continuous(
        chain.product,
        chain.sessions,
        names[held],
        whole,
        np.where(counted, span, 0),
        np.where(counted, _range_variance(price, prev_close), np.nan),
        price["close"],
        prev_close,
        _level(whole, price["close"]),
        own.of(chain["settlement"]),
        _total(np.where(chain.alive[:-1], chain["open_interest"], np.nan)),
        _total(np.where(chain.alive[:-1], chain["volume"], np.nan)),
        own.of(chain["volume"]),
        is_roll,
        float(chain.contracts.multiplier[last]) if last >= 0 else np.nan,
        _rolls(chain, holding),
        (*_reference_notes(chain), *_rule_notes(chain, holding), *_skipped_notes(chain.sessions, skipped)),
        str(names[holding.held[-1]]),
    )


def spliced(
    product: str,
    asset: str,
    sessions: SessionArray,
    fields: Mapping[str, Float64Array],
    multiplier: float,
    max_gap: int = MAX_GAP,
) -> Continuous:
    """A vendor's continuous series, taken as it is: its returns hold the jumps of its rolls, and the notes say so.

    fields   name -> (T,), of close at least
    max_gap  a return over more sessions is none: it is left NaN and noted
    """
    nothing = np.full(len(sessions), np.nan)
    value = {name: fields.get(name, nothing) for name in ("open", "high", "low", "close", "settlement", "volume")}
    traded = (value["close"] > 0) & ~(value["volume"] <= 0)
    price = {name: np.where(traded, value[name], np.nan) for name in ("open", "high", "low", "close")}
    prev_close, since = _before(price["close"][:, None], _Held(np.zeros(len(sessions), dtype=np.int64)))
    span = np.arange(len(sessions)) - since
    known = np.isfinite(price["close"]) & np.isfinite(prev_close)
    counted = known & (span <= max_gap)
    whole = np.where(counted, np.log(price["close"] / prev_close), np.nan)
    skipped = {
        f"the last close lies more than {max_gap} sessions before": known & ~counted,
        "no trade": ~np.isfinite(price["close"]),
    }
    notes = [f"{asset} is spliced by its vendor, and the contracts are not known: roll jumps are inside its returns"]
    if asset.endswith("888"):
        notes.append(f"{asset} is adjusted by differences: percentages of such prices are distorted, use {asset[:-1]}")
    return Continuous(
        product,
        sessions,
        np.full(len(sessions), asset),
        whole,
        np.where(counted, span, 0),
        np.where(counted, _range_variance(price, prev_close), np.nan),
        price["close"],
        prev_close,
        price["close"].copy(),
        value["settlement"],
        fields.get("open_interest", nothing),
        value["volume"],
        value["volume"],
        np.zeros(len(sessions), dtype=np.bool_),
        multiplier,
        pl.DataFrame(schema=ROLL_COLUMNS),
        (*notes, *_skipped_notes(sessions, skipped)),
        asset,
    )


def difference_adjusted(series: Continuous) -> Float64Array:
    """Closes (T,) moved by the price gaps of later rolls, as 888 series are; for display alone.

    They can go negative, and percentages of them are wrong. NaN from the first session back to the last roll whose two
    closes are not both known. Source  04 §2.1
    """
    gaps = np.zeros(len(series) + 1)
    at = series.sessions.searchsorted(series.rolls["date"].to_numpy().astype("datetime64[D]"))
    gaps[at] = (series.rolls["to_close"] - series.rolls["from_close"]).to_numpy()
    later = np.cumsum(gaps[::-1])[::-1][1:]
    return np.asarray(series.close + later)


class _Held:
    """Picks from panels (T, N) the cells of the held contract, NaN where none is held."""

    def __init__(self, held: IntArray) -> None:
        self.row, self.column, self.none = np.arange(len(held)), np.maximum(held, 0), held < 0

    def of(self, panel: Float64Array) -> Float64Array:
        """(T, N) -> (T,)."""
        if not panel.shape[1]:
            return np.full(len(panel), np.nan)
        return np.where(self.none, np.nan, panel[self.row, self.column])


def _before(close: Float64Array, own: _Held) -> tuple[Float64Array, IntArray]:
    """The held contract's last close before each session, NaN where it has none, and where it stands (-1), (T,)."""
    t, n = close.shape
    if not n:
        return np.full(t, np.nan), np.full(t, -1, dtype=np.int64)
    seen = np.full((t + 1, n), -1)
    np.maximum.accumulate(np.where(np.isfinite(close), np.arange(t)[:, None], -1), axis=0, out=seen[1:])
    at = np.where(own.none, -1, seen[own.row, own.column])
    return np.where(at >= 0, close[np.maximum(at, 0), own.column], np.nan), at


def _range_variance(price: Mapping[str, Float64Array], prev_close: Float64Array) -> Float64Array:
    """ln²(open / prev_close) + ½ ln²(high / low) - (2 ln 2 - 1) ln²(close / open), (T,).  Source  04 §5

    The validators let a price lie a millionth outside [low, high]; the range is taken over all four, so that the whole
    is never negative.
    """
    high = np.maximum(np.maximum(price["high"], price["open"]), price["close"])
    low = np.minimum(np.minimum(price["low"], price["open"]), price["close"])
    overnight, day = np.log(price["open"] / prev_close), np.log(price["close"] / price["open"])
    return np.asarray(overnight**2 + 0.5 * np.log(high / low) ** 2 - (2 * _LN2 - 1) * day**2)


def _level(ret: Float64Array, close: Float64Array) -> Float64Array:
    """exp of the cumulated returns, scaled so that the last close is its own; NaN where there is no close."""
    there = np.flatnonzero(np.isfinite(close))
    if not len(there):
        return np.full(len(close), np.nan)
    moved = np.cumsum(np.nan_to_num(ret))
    level = np.exp(moved - moved[there[-1]]) * close[there[-1]]
    return np.where(np.isfinite(close), level, np.nan)


def _total(panel: Float64Array) -> Float64Array:
    """Sum over the contracts that give a value, NaN where none does."""
    return np.where(np.isfinite(panel).any(axis=1), np.nansum(panel, axis=1), np.nan)


def _rolled(holding: Holding) -> BoolArray:
    """(T + 1,) sessions that begin with another contract than the last one that was held."""
    held = holding.held
    last = np.maximum.accumulate(held)  # positions never fall, so the last one held is the largest
    before = np.concatenate([[-1], last[:-1]])
    return np.asarray((held >= 0) & (before >= 0) & (held != before))


def _rolls(chain: Chain, holding: Holding) -> pl.DataFrame:
    """A row a roll within the sessions."""
    at = np.flatnonzero(_rolled(holding)[:-1])
    new, old = holding.held[at], np.maximum.accumulate(holding.held)[at - 1]
    ids, day = chain.contracts.ids, at - 1

    def seen(name: str, which: IntArray) -> Float64Array:
        return chain[name][day, which]

    closes = [np.where(chain.traded[day, which], seen("close", which), np.nan) for which in (old, new)]
    columns = {
        "date": chain.sessions[at].astype("datetime64[D]"),
        "decided": chain.sessions[day].astype("datetime64[D]"),
        "from": ids[old].tolist(),
        "to": ids[new].tolist(),
        "spread": np.log(closes[1] / closes[0]),
        "reason": [REASONS[code] for code in holding.reason[at]],
        "from_close": closes[0],
        "to_close": closes[1],
        "from_open_interest": seen("open_interest", old),
        "to_open_interest": seen("open_interest", new),
        "from_volume": seen("volume", old),
        "to_volume": seen("volume", new),
        "sessions_left": chain.sessions_left()[day, old],
    }
    return pl.DataFrame(columns, schema=ROLL_COLUMNS, nan_to_null=True)


def _reference_notes(chain: Chain) -> list[str]:
    own, notes = chain.contracts, []
    for flagged, what in (
        (own.mismatched, "maturity not that of the exchange's rule (calendar_mismatch)"),
        (own.by_rule, "last trading day by the rule, as none is stated, or the last bar is"),
        (own.provisional, "last trading day provisional, past the published holidays"),
    ):
        if flagged.any():
            notes.append(f"{what}: {_some(own.ids[flagged])}")
    held = np.unique(own.multiplier[np.isfinite(own.multiplier)])
    if len(held) > 1:
        notes.append(f"contracts have several multipliers: {', '.join(f'{m:g}' for m in held)}")
    return notes


def _rule_notes(chain: Chain, holding: Holding) -> list[str]:
    active = chain.traded.any(axis=1)
    blind = holding.blind & active
    if not blind.any():
        return []
    rest = "" if blind[active].all() else f", first on {chain.sessions[blind][0]}"
    return [
        f"no open interest on {np.count_nonzero(blind)} of {np.count_nonzero(active)} sessions{rest}: "
        "there the series rolls by the date (fixed)"
    ]


def _skipped_notes(sessions: SessionArray, skipped: Mapping[str, BoolArray]) -> list[str]:
    return [
        f"{np.count_nonzero(where)} sessions without a return, {what}: {_some(sessions[where])}"
        for what, where in skipped.items()
        if where.any()
    ]


def _some(names: AssetArray | SessionArray) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name) for name in names[:_SHOWN]) + more


def empty(product: str, why: str) -> Continuous:
    """A series without a session."""
    nothing = spliced(product, "", np.empty(0, dtype="datetime64[D]"), {"close": np.empty(0)}, np.nan)
    return replace(nothing, notes=(why,))
