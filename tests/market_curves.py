"""Curves of a store's futures as term-structure models want them: weekly or by session, of contracts that trade."""

from __future__ import annotations

import numpy as np

from features.chain import Chain
from models.spread.term_curve import Curve


def weekly(chain: Chain, open_interest: float = 1000.0, volume: float = 100.0) -> Curve:
    """Settlements of the last session of each week; time in calendar days over 365."""
    liquid = chain.traded & (chain["open_interest"] >= open_interest) & (chain["volume"] >= volume)
    price = np.where(liquid & chain.holdable()[:-1], chain["settlement"], np.nan)
    week = (chain.sessions.astype(np.int64) + 3) // 7
    last = np.flatnonzero(np.append(np.diff(week) != 0, True))
    time = (chain.sessions - chain.sessions[0]).astype(np.float64) / 365
    return Curve(time[last], price[last], np.where(np.isfinite(price), chain.ttm(), np.nan)[last])


def by_session(chain: Chain) -> Curve:
    """Closes of every session; time in sessions over 242, as the simulator's states move."""
    price = np.where(chain.traded, chain["close"], np.nan)
    return Curve(np.arange(len(price)) / 242, price, np.where(np.isfinite(price), chain.ttm(), np.nan))
