"""What a top-k simulation is told before capital and price of entry are: whom to hold, and what trading costs.

Made once and run several times: at the open, at the vwap, at the close; with a little money and with much.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit

from features.limits import board
from features.panel import AssetArray, BoolArray, DataError, Float64Array, IntArray, Panels
from training.evaluate import sleeves
from training.evaluate.costs import CostPanels, Costs, cost_panels
from training.fills import Entry, fills, last_sessions

STAR_LEAST, LOT = 200.0, 100.0


@dataclass(frozen=True)
class Orders:
    """Names to hold by session, and the rates at which they trade.

    picks, everything  (T, k) and (T, N) assets in falling order of score, -1 behind the last; of the universe
    rates              costs of the picks' trades; the whole universe trades for nothing
    first, stop        the simulation runs from session first to stop - 1
    kept_of_delisted   share of its last close that a delisted holding is worth
    """

    panels: Panels = field(repr=False)
    picks: IntArray = field(repr=False)
    everything: IntArray = field(repr=False)
    rates: CostPanels = field(repr=False)
    horizon: int
    tick: float
    delisted: IntArray | None = field(repr=False)
    kept_of_delisted: float
    first: int
    stop: int

    @property
    def span(self) -> slice:
        """The sessions of the simulation."""
        return slice(self.first, self.stop)

    def market(self, entry: Entry, *, lots: bool) -> sleeves.Market:
        """Prices and tradability of an entry's fills."""
        panels = self.panels
        fill = fills(panels, entry, tick=self.tick)
        least, step = lot_sizes(panels.assets)
        return sleeves.Market(
            np.ascontiguousarray(fill.price),
            fill.buyable,
            fill.sellable,
            np.ascontiguousarray(panels["close"]),
            np.ascontiguousarray(panels["prev_close"]),
            last_sessions(panels, fill, self.delisted),
            least,
            step if lots else np.zeros(len(step)),
        )

    def hold_picks(self, market: sleeves.Market, capital: float, *, rates: CostPanels | None = None) -> Float64Array:
        """Ledger of the k best with their costs, (T, columns of sleeves)."""
        told = self.rates if rates is None else rates
        return self._run(self.picks, market, told, capital)

    def hold_everything(self, market: sleeves.Market, capital: float) -> Float64Array:
        """Value of the whole universe by the same sleeves and fills, free of costs and lots, (T,)."""
        free = cost_panels(self.panels, Costs.none())
        fractions = market._replace(lot_step=np.zeros(len(market.lot_step)))
        return self._run(self.everything, fractions, free, capital)[:, sleeves.NAV]

    def _run(self, picks: IntArray, market: sleeves.Market, rates: CostPanels, capital: float) -> Float64Array:
        kept = self.kept_of_delisted
        return sleeves.run_sleeves(picks, market, rates, self.horizon, float(capital), kept, self.first, self.stop)


def top_k_orders(
    score: Float64Array,
    panels: Panels,
    universe: BoolArray,
    *,
    horizon: int,
    k: int,
    costs: Costs,
    delisted: IntArray | None = None,
    delist_haircut: float = 0.5,
) -> Orders:
    """The k best of the universe on each session that has scores, from the first such one to the one after the last.

    Shape   score, universe (T, N); delisted (N,) row of the last trading session or -1
    Errors  DataError where shapes differ, or no session before the last has a score in the universe
    """
    if score.shape != panels.shape or universe.shape != panels.shape:
        raise DataError("portfolio", f"score and universe must have the shape {panels.shape}", f"{score.shape}")
    if min(k, horizon) < 1:
        raise DataError("portfolio", "k and horizon must be positive", f"{k} and {horizon}")
    ranked = np.where(universe & np.isfinite(score), score, np.nan)
    scored = np.asarray(np.isfinite(ranked).any(axis=1))
    decided = np.flatnonzero(scored)
    if not len(decided) or decided[0] + 1 >= len(score):
        raise DataError("portfolio", "there must be scores in the universe before the last session", f"{len(decided)}")
    everything = np.where(scored[:, None] & universe, 0.0, np.nan)
    return Orders(
        panels,
        _picks(ranked, k),
        _picks(everything, score.shape[1]),
        cost_panels(panels, costs),
        horizon,
        costs.tick,
        delisted,
        1 - delist_haircut,
        int(decided[0]),
        min(int(decided[-1]) + 2, len(score)),
    )


def lot_sizes(assets: AssetArray) -> tuple[Float64Array, Float64Array]:
    """Smallest purchase and its step in shares, (N,) each: STAR 200 and 1, BSE 100 and 1, others 100 and 100."""
    boards = [trading_board(str(asset)) for asset in assets]
    least = np.array([STAR_LEAST if name == "star" else LOT for name in boards])
    step = np.array([1.0 if name in ("star", "bse") else LOT for name in boards])
    return least, step


def trading_board(asset: str) -> str:
    """Board of a code; codes that belong to none trade as the main board does."""
    try:
        return board(asset)
    except DataError:
        return "main"


@njit(cache=True, nogil=True)
def _picks(score: Float64Array, k: int) -> IntArray:
    """The k best assets of each session, best first, ties by position; -1 behind the last, (T, k)."""
    out = np.full((score.shape[0], min(k, score.shape[1])), -1, np.int64)
    for t in range(score.shape[0]):
        order = np.argsort(-score[t], kind="mergesort")
        for i in range(out.shape[1]):
            if not np.isnan(score[t, order[i]]):
                out[t, i] = order[i]
    return out
