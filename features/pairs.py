"""Two prices as one spread, two contracts or a contract and its index: level, change, what a position in it earns.

Row t is decided at the close of t: it holds the pair that may be traded for the sessions to come. The level and the
change of a row are of that pair alone, and what a position earns is of the pair that was decided on, to the end,
whatever pair is decided on later: nothing is spliced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from features.chain import DAYS_A_YEAR, Chain
from features.panel import AssetArray, BoolArray, DataError, Float64Array, IntArray, SessionArray

_SEEN = ("open_interest", "volume", "settlement")


@dataclass(frozen=True)
class Pair:
    """A near and a far leg, (T,) each; NaN and "" where there is no pair.

    near, far     order_book_id of the legs that are decided on at each close; of a basis the near leg is the index
    spread        ln(far / near) of the closes; of a basis with dividends the index counts without those to come
    change        of the spread of this pair since the session before
    ttm_near, ttm_far  calendar days to the last trading day over 365
    sessions_left      of the contract that ends first
    slope_gap     slope of the curve at the far maturity less that at the near one, a year: d ln F / dT of the parabola
                  through the pair and a third contract; 0 where there is none, and for a basis
    dividends     index points that go ex until the contract ends, at their present value; 0 where none are told
    is_roll       another pair than on the session before
    settlement_*, prev_settlement_*, prev_open_interest_*  of the leg's own contract, on the session and on the one
                  before it, whichever pair that session was of
    """

    product: str
    sessions: SessionArray = field(repr=False)
    near: AssetArray = field(repr=False)
    far: AssetArray = field(repr=False)
    spread: Float64Array = field(repr=False)
    change: Float64Array = field(repr=False)
    close_near: Float64Array = field(repr=False)
    close_far: Float64Array = field(repr=False)
    open_interest_near: Float64Array = field(repr=False)
    open_interest_far: Float64Array = field(repr=False)
    volume_near: Float64Array = field(repr=False)
    volume_far: Float64Array = field(repr=False)
    settlement_near: Float64Array = field(repr=False)
    settlement_far: Float64Array = field(repr=False)
    prev_settlement_near: Float64Array = field(repr=False)
    prev_settlement_far: Float64Array = field(repr=False)
    prev_open_interest_near: Float64Array = field(repr=False)
    prev_open_interest_far: Float64Array = field(repr=False)
    ttm_near: Float64Array = field(repr=False)
    ttm_far: Float64Array = field(repr=False)
    sessions_left: IntArray = field(repr=False)
    slope_gap: Float64Array = field(repr=False)
    dividends: Float64Array = field(repr=False)
    is_roll: BoolArray = field(repr=False)
    multiplier: float
    _close: Float64Array = field(repr=False)
    _at: tuple[IntArray, IntArray] = field(repr=False)
    _due: Callable[[int], Float64Array] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.sessions)

    def earned(self, horizon: int) -> Float64Array:
        """What the far leg returns more than the near one over t + 1 to t + horizon, (T,): a label.

        NaN  no pair, a close that is missing at either end, or a last trading day within the horizon
        """
        if horizon < 1:
            raise DataError(f"pair {self.product}", "a horizon must be of 1 session or more", f"{horizon}")
        near, far = self._at
        t = len(self)
        out = np.full(t, np.nan)
        if t <= horizon:
            return out
        now = np.arange(t - horizon)
        held = (near[now] >= 0) & (far[now] >= 0) & (self.sessions_left[now] >= horizon)
        then = now + horizon
        moved = [
            np.log(self._close[then, np.maximum(leg[now], 0)]) - np.log(self._close[now, np.maximum(leg[now], 0)])
            for leg in (near, far)
        ]
        out[now] = np.where(held, moved[1] - moved[0], np.nan)
        return out

    def roll_down(self, horizon: int) -> Float64Array:
        """What an unchanged curve would make a position earn over the horizon, (T,).

        Time carries both contracts down the curve: -(slope at the far - slope at the near maturity) times the calendar
        days that the horizon spans, over 365. An index falls by the dividends that are expected to go ex meanwhile, as
        a contract does not. NaN where the horizon reaches past the sessions. Source  04 §4 D-01, §6.1
        """
        out, t = np.full(len(self), np.nan), len(self)
        if t > horizon:
            days = (self.sessions[horizon:] - self.sessions[:-horizon]).astype(np.float64)
            out[:-horizon] = -self.slope_gap[:-horizon] * days / DAYS_A_YEAR
        if self._due is not None:
            out -= np.log1p(-self._due(horizon) / self.close_near)
        return out

    def excess(self, horizon: int) -> Float64Array:
        """The spread excess return over the horizon, (T,): earned less rolled down. A label. Source  04 §6.1"""
        return self.earned(horizon) - self.roll_down(horizon)


def calendar_pair(chain: Chain, near: IntArray, far: IntArray) -> Pair:
    """The pair of two roles of a chain: long the far contract, short the near one, of equal value.

    near, far  (T + 1,) positions in the chain as `roles` gives them, -1 for none: what is decided on at the close of t
               is the role of t + 1
    """
    t = len(chain.sessions)
    if near.shape != (t + 1,) or far.shape != (t + 1,):
        raise DataError(f"pair {chain.product}", "roles must be of all sessions and the next", f"{near.shape}")
    first, second = near[1:], far[1:]
    both = (first >= 0) & (second >= 0) & (first != second)
    first, second = np.where(both, first, -1), np.where(both, second, -1)
    close, ttm = np.where(chain.traded, chain["close"], np.nan), chain.ttm()
    left = chain.sessions_left()[:-1]
    legs = _Legs(close, first, second)
    return legs.pair(
        chain,
        np.append(chain.contracts.ids, ""),
        {name: chain[name] for name in _SEEN} | {"ttm": ttm},
        np.where(both, left[np.arange(t), np.maximum(first, 0)], 0),
        _slope_gap(np.log(close), ttm, first, second, both),
    )


def basis_pair(
    chain: Chain,
    contract: IntArray,
    spot: Float64Array,
    index: str,
    dividends: Float64Array | None = None,
    due: Callable[[int], Float64Array] | None = None,
) -> Pair:
    """A contract against its index: long the contract, short the index.

    contract   (T + 1,) positions in the chain, as of `calendar_pair`
    spot       (T,) closes of the index, of the order_book_id `index`
    dividends  (T, N) index points expected, as known at t, to go ex until each contract ends, at their present value;
               None where nobody tells
    due        horizon -> (T,) the same of what is to go ex over the sessions t + 1 to t + horizon
    """
    t, n = len(chain.sessions), len(chain.contracts)
    if contract.shape != (t + 1,) or spot.shape != (t,):
        raise DataError(f"basis {chain.product}", "roles must be of all sessions and the next", f"{contract.shape}")
    far = contract[1:]
    close = np.column_stack([np.where(chain.traded, chain["close"], np.nan), spot])
    legs = _Legs(close, np.where(far >= 0, n, -1), far, dividends)
    unknown = np.full((t, 1), np.nan)
    more = {name: np.hstack([chain[name], unknown]) for name in _SEEN}
    # An index does not end: its maturity is now.
    more["ttm"] = np.hstack([chain.ttm(), np.zeros((t, 1))])
    left = np.where(far >= 0, chain.sessions_left()[:-1][np.arange(t), np.maximum(far, 0)], 0)
    flat = np.where(far >= 0, 0.0, np.nan)
    return replace(legs.pair(chain, np.concatenate([chain.contracts.ids, [index, ""]]), more, left, flat), _due=due)


@dataclass(frozen=True)
class _Legs:
    """Closes of all that a leg can be, (T, M), and which it is on each session, -1 for none.

    paid  (T, N) points that the near leg loses before each far leg ends; None for none
    """

    close: Float64Array
    near: IntArray
    far: IntArray
    paid: Float64Array | None = None

    def of(self, panel: Float64Array, leg: IntArray, back: int = 0) -> Float64Array:
        """A panel's cells of a leg, `back` sessions before, (T,)."""
        rows = np.arange(len(leg))
        told = (self.near >= 0) & (self.far >= 0) & (rows >= back)
        return np.where(told, panel[np.maximum(rows - back, 0), np.maximum(leg, 0)], np.nan)

    def dividends(self, back: int = 0) -> Float64Array:
        """Of the far leg, `back` sessions before, (T,)."""
        if self.paid is None:
            return np.where((self.near >= 0) & (self.far >= 0), 0.0, np.nan)
        return self.of(self.paid, self.far, back)

    def spread(self, back: int = 0) -> Float64Array:
        """Of this session's pair, `back` sessions before, (T,)."""
        near = self.of(self.close, self.near, back) - self.dividends(back)
        return np.asarray(np.log(self.of(self.close, self.far, back)) - np.log(near))

    def pair(
        self, chain: Chain, names: AssetArray, more: Mapping[str, Float64Array], left: IntArray, slope_gap: Float64Array
    ) -> Pair:
        """The pair; names has "" last."""
        near, far = self.near, self.far
        spread = self.spread()
        changed = np.concatenate([[False], (near[1:] != near[:-1]) | (far[1:] != far[:-1])])
        return Pair(
            product=chain.product,
            sessions=chain.sessions,
            near=names[near],
            far=names[far],
            spread=spread,
            change=spread - self.spread(1),
            close_near=self.of(self.close, near),
            close_far=self.of(self.close, far),
            open_interest_near=self.of(more["open_interest"], near),
            open_interest_far=self.of(more["open_interest"], far),
            volume_near=self.of(more["volume"], near),
            volume_far=self.of(more["volume"], far),
            settlement_near=self.of(more["settlement"], near),
            settlement_far=self.of(more["settlement"], far),
            prev_settlement_near=self.of(more["settlement"], near, 1),
            prev_settlement_far=self.of(more["settlement"], far, 1),
            prev_open_interest_near=self.of(more["open_interest"], near, 1),
            prev_open_interest_far=self.of(more["open_interest"], far, 1),
            ttm_near=self.of(more["ttm"], near),
            ttm_far=self.of(more["ttm"], far),
            sessions_left=left,
            slope_gap=slope_gap,
            dividends=self.dividends(),
            is_roll=np.asarray(changed & (near >= 0) & (far >= 0)),
            multiplier=_multiplier(chain, far),
            _close=self.close,
            _at=(near, far),
        )


def _slope_gap(
    log_close: Float64Array, ttm: Float64Array, near: IntArray, far: IntArray, both: BoolArray
) -> Float64Array:
    """Slope at the far maturity less slope at the near one of the parabola through three contracts, (T,).

    The third is the nearest in maturity, behind the far one or else before or between, that has a close. Of a parabola
    the slopes differ by its second derivative times the distance.
    """
    out = np.where(both, 0.0, np.nan)
    for row in np.flatnonzero(both):
        one, two = near[row], far[row]
        known = np.flatnonzero(np.isfinite(log_close[row]) & np.isfinite(ttm[row]))
        others = known[(known != one) & (known != two)]
        if not len(others) or not np.isfinite(log_close[row, [one, two]]).all():
            continue
        behind = others[others > two]
        third = behind[0] if len(behind) else others[np.argmin(np.abs(ttm[row, others] - ttm[row, two]))]
        x, y = ttm[row, [one, two, third]], log_close[row, [one, two, third]]
        if len(np.unique(x)) < 3:
            continue
        steep = (y[2] - y[1]) / (x[2] - x[1]) - (y[1] - y[0]) / (x[1] - x[0])
        out[row] = 2 * steep / (x[2] - x[0]) * (x[1] - x[0])
    return out


def _multiplier(chain: Chain, far: IntArray) -> float:
    """CNY a point, of the last far leg; NaN where nobody says."""
    there = np.flatnonzero(far >= 0)
    return float(chain.contracts.multiplier[far[there[-1]]]) if len(there) else float("nan")
