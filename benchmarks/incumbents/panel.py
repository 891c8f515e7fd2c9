"""A simulated market of daily bars, in numpy alone, so that every interpreter of the comparison draws the same one.

All fields are rounded to float32, which is what qlib's store keeps: whoever computes in float64 starts from the same
numbers. With `complete=False` the panel has what breaks factor code: suspensions, late listings, a delisting, prices
that do not move, and sessions with a bar but no trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

FIELDS = ("open", "high", "low", "close", "vwap", "volume")
FIRST_SESSION = "2012-01-03"


@dataclass(frozen=True)
class MarketPanel:
    """Bars of N stocks on T sessions.

    Shape   every field (T, N), float32; dates (T,); codes (N,)
    Unit    prices in yuan, adjusted; volume in shares
    NaN     the stock has no bar: not listed yet, suspended, or delisted
    """

    dates: npt.NDArray[np.datetime64]
    codes: tuple[str, ...]
    fields: dict[str, Float32Array]

    @property
    def traded(self) -> npt.NDArray[np.bool_]:
        """Where a stock has a bar with a trade in it."""
        return self.fields["volume"] > 0

    def listed(self, stock: int) -> tuple[int, int]:
        """The first and the last session on which a stock has a bar."""
        held = np.flatnonzero(~np.isnan(self.fields["close"][:, stock]))
        return int(held[0]), int(held[-1])


def simulated(sessions: int, stocks: int, seed: int = 0, complete: bool = False) -> MarketPanel:
    """Bars with fat-tailed returns, a common market move, two-decimal prices and volumes that follow the moves."""
    rng = np.random.default_rng(seed)
    first = np.datetime64(FIRST_SESSION, "D")
    dates = np.busday_offset(first, np.arange(sessions), roll="forward")
    codes = tuple(f"SH{600000 + stock:06d}" for stock in range(stocks))
    fields = _bars(rng, sessions, stocks)
    if not complete:
        _break(fields, rng)
    return MarketPanel(dates, codes, {name: fields[name].astype(np.float32) for name in FIELDS})


def _bars(rng: np.random.Generator, sessions: int, stocks: int) -> dict[str, Float64Array]:
    """Complete bars: low <= open, close, vwap <= high, volumes in lots of 100."""
    shape = (sessions, stocks)
    scale = rng.uniform(0.012, 0.028, stocks)
    moves = 0.008 * rng.standard_normal((sessions, 1)) + scale * rng.standard_t(5, shape) * 0.75
    moves = np.clip(moves, -0.1, 0.1)
    moves -= moves.mean(axis=0)
    level = rng.uniform(4.0, 60.0, stocks) * np.exp(np.cumsum(moves, axis=0))
    close = np.maximum(np.round(level, 2), 0.5)
    before = np.vstack([close[:1], close[:-1]])
    start = np.maximum(np.round(before * np.exp(0.4 * scale * rng.standard_normal(shape)), 2), 0.5)
    top, bottom = np.maximum(start, close), np.minimum(start, close)
    high = np.round(top * np.exp(0.4 * scale * np.abs(rng.standard_normal(shape))), 2)
    low = np.maximum(np.round(bottom * np.exp(-0.4 * scale * np.abs(rng.standard_normal(shape))), 2), 0.4)
    high, low = np.maximum(high, top), np.minimum(low, bottom)
    vwap = low + (high - low) * rng.beta(4.0, 4.0, shape)
    busy = np.exp(rng.uniform(13.0, 17.0, stocks) + 0.5 * rng.standard_normal(shape) + 12.0 * np.abs(moves))
    volume = 100.0 * np.maximum(np.round(busy / 100.0), 1.0)
    return {"open": start, "high": high, "low": low, "close": close, "vwap": vwap, "volume": volume}


def _break(fields: dict[str, Float64Array], rng: np.random.Generator) -> None:
    """Make the bars of a market incomplete, in place: the last four stocks each have one fault, all have gaps."""
    sessions, stocks = fields["close"].shape
    gone = np.zeros((sessions, stocks), dtype=np.bool_)
    for stock in range(stocks):
        for _ in range(max(1, sessions // 60)):
            start = int(rng.integers(1, sessions - 1))
            gone[start : start + int(rng.choice([1, 2, 5, 12], p=[0.4, 0.3, 0.2, 0.1])), stock] = True
    for stock in range(0, stocks, 5):
        gone[: sessions * int(rng.integers(5, 40)) // 100, stock] = True
    # The faults are put where they have a full window before them and another behind them.
    here, length = sessions // 2, max(8, min(80, sessions // 5))
    delisted, constant, untraded, thin = (stocks - 1 - k if stocks > k else 0 for k in range(4))
    gone[sessions * 7 // 10 :, delisted] = True
    _freeze(fields, slice(here, here + length), constant)
    _freeze(fields, slice(here, here + length // 2), untraded)
    fields["volume"][here : here + length // 2, untraded] = 0.0
    fields["volume"][here : here + length, thin] = 100.0 * rng.integers(1, 4, length)
    for panel in fields.values():
        panel[gone] = np.nan


def _freeze(fields: dict[str, Float64Array], when: slice, stock: int) -> None:
    for name in ("open", "high", "low", "close", "vwap"):
        fields[name][when, stock] = fields["close"][when.start - 1, stock]


def write(panel: MarketPanel, path: Path) -> None:
    """Keep a panel as one .npz, for the interpreters that do not simulate it themselves."""
    np.savez(path, dates=panel.dates, codes=np.array(panel.codes), **panel.fields)  # type: ignore[arg-type]


def read(path: Path) -> MarketPanel:
    """The panel that `write` kept."""
    with np.load(path) as kept:
        fields = {name: kept[name] for name in FIELDS}
        return MarketPanel(kept["dates"], tuple(str(code) for code in kept["codes"]), fields)
