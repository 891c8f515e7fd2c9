"""What the trading of a spread comes to: Sharpe ratio, drawdown, how often and how much it loses, how much it carries.

Source  spec 04 §6.2, 09 §5; claim C-FUT-9
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from features.panel import DataError, Float64Array
from training.evaluate.ic import ANN_DAYS
from training.evaluate.overfitting import deflated_sharpe, sharpe_moments
from training.evaluate.significance import automatic_lag, newey_west, p_value
from training.evaluate.spread_rule import TradedPair
from training.evaluate.spread_trading import Trade, Trading, leg_rolls

TAIL: Final = 0.05  # of the trades, or of the sessions, that the tail loss is the mean of
CERTAIN: Final = 0.95  # deflated Sharpe ratio from which a rule is more than luck
ENOUGH: Final = 30  # trades from which that can be said: moments of the returns of fewer say little


@dataclass(frozen=True)
class TradingSummary:
    """Trades and returns of a rule on a pair; returns and losses are shares of the capital, losses negative.

    n            sessions judged, those without a position too
    closed       trades that have ended; what follows on trades is of these
    still_open   1 where the last one has not
    exposure     share of the sessions that end with a position
    annual, volatility, sharpe  per year of 242 sessions, net; without reinvestment
    t, p         of the mean net return of a session, Newey-West with fixed-b critical values
    deflated     probability that the Sharpe ratio is more than the luck of the best of all rules tried
    trials       rules tried
    drawdown     the deepest fall of the sum of net returns below its high
    losing       share of the trades with a net loss; losing_lo and losing_hi: its exact 95 % interval
    mean_win, mean_loss  of the trades that gain, and of those that lose
    worst, tail  the worst trade, and the mean of the worst twentieth of the trades (at least of one)
    worst_close  the lowest result of a trade at a close while it was held
    day_tail     mean of the worst twentieth of the sessions with a position
    held         median sessions of a trade
    reasons      why trades were left -> how many
    capacity     CNY of first-leg value at which nine tenths of the fills take no more than the asked share of the
                 session's volume in either leg; NaN where volume is not known
    """

    n: int
    closed: int
    still_open: int
    exposure: float
    gross: float
    costs: float
    annual: float
    volatility: float
    sharpe: float
    t: float
    p: float
    deflated: float
    trials: int
    drawdown: float
    losing: float
    losing_lo: float
    losing_hi: float
    mean_win: float
    mean_loss: float
    worst: float
    tail: float
    worst_close: float
    day_tail: float
    held: float
    capacity: float
    reasons: Mapping[str, int] = field(default_factory=dict)
    missed: Mapping[str, int] = field(default_factory=dict)

    @property
    def net(self) -> float:
        """Sum of the net returns."""
        return self.gross - self.costs

    @property
    def is_certain(self) -> bool:
        """Whether the rule earns more than luck would, as claim C-FUT-9 has it, and that in enough trades to tell."""
        return self.deflated > CERTAIN and self.closed >= ENOUGH


def summarise(trading: Trading, *, tried: Sequence[float] = (), volume_share: float = 0.01) -> TradingSummary:
    """The numbers of a trading.

    tried  Sharpe ratios per session (`sharpe_moments(...).sr`) of all rules that were tried on the pair, this one
           among them; none for a rule that stood before the data were seen
    NaN    what needs a trade where there is none, what needs a spread of returns where they never vary
    """
    if len(tried) and not np.isfinite(tried).all():
        raise DataError("deflated Sharpe ratio", "every rule tried must have a Sharpe ratio", f"{list(tried)}")
    net = trading.net[trading.start :]
    moments = sharpe_moments(net)
    mean = newey_west(net, min(automatic_lag(max(len(net), 1)), max(len(net) - 1, 0)))
    trials = max(len(tried), 1)
    variance = float(np.var(tried, ddof=1)) if trials > 1 else 0.0
    capital = trading.rule.capital
    closed = [one for one in trading.trades if one.reason != "open"]
    results = np.array([one.net for one in closed]) / capital
    position = trading.position[trading.start :] != 0
    low, high = proportion_confint(int((results < 0).sum()), len(results), method="beta") if closed else (math.nan,) * 2
    return TradingSummary(
        n=len(net),
        closed=len(closed),
        still_open=len(trading.trades) - len(closed),
        exposure=float(position.mean()) if len(net) else math.nan,
        gross=float(trading.gross.sum()) / capital,
        costs=float(trading.costs.sum()) / capital,
        annual=float(net.mean()) * ANN_DAYS if len(net) else math.nan,
        volatility=float(net.std(ddof=1)) * math.sqrt(ANN_DAYS) if len(net) > 1 else math.nan,
        sharpe=moments.sr * math.sqrt(ANN_DAYS),
        t=mean.t,
        p=p_value(mean),
        deflated=deflated_sharpe(moments.sr, moments.n, moments.skew, moments.kurtosis, trials, variance),
        trials=trials,
        drawdown=float(fall(net).min(initial=0.0)),
        losing=_mean(np.asarray(results < 0, np.float64)),
        losing_lo=float(low),
        losing_hi=float(high),
        mean_win=_mean(results[results > 0]),
        mean_loss=_mean(results[results < 0]),
        worst=float(results.min()) if closed else math.nan,
        tail=tail_mean(results),
        worst_close=min((one.worst for one in closed), default=math.nan) / capital,
        day_tail=tail_mean(_exposed(trading)),
        held=float(np.median([one.sessions for one in closed])) if closed else math.nan,
        capacity=capacity(trading, volume_share),
        reasons=Counter(one.reason for one in trading.trades),
        missed=trading.missed,
    )


def fall(net: Float64Array) -> Float64Array:
    """Sum of the returns so far less its highest so far (T,), never above nought; it starts at nought."""
    total = np.cumsum(net)
    return np.asarray(total - np.maximum(np.maximum.accumulate(total), 0.0), np.float64)


def tail_mean(values: Float64Array, share: float = TAIL) -> float:
    """Mean of the lowest share of the values, at least of one; NaN without any."""
    if not len(values):
        return math.nan
    count = max(1, math.floor(share * len(values)))
    return float(np.sort(values)[:count].mean())


def capacity(trading: Trading, share: float = 0.01) -> float:
    """First-leg value in CNY at which nine tenths of the fills take no more than a share of the session's volume.

    NaN     no fill, or no volume; 0 where a tenth of the fills or more met a session without volume
    Source  spec 04 §6.2; share of average volume of ML-06
    """
    if not 0 < share <= 1:
        raise DataError("capacity", "the share of the volume must lie in (0, 1]", f"{share}")
    pair = trading.pair
    if pair.first.volume is None or pair.second.volume is None:
        return math.nan
    carried = [share * fill * _value(trading, one) for one in trading.trades for fill in _volume_a_lot(pair, one)]
    known = np.array(carried)[np.isfinite(carried)]
    return float(np.quantile(known, 0.1)) if len(known) else math.nan


def _value(trading: Trading, one: Trade) -> float:
    """CNY in the first leg when the trade was decided."""
    leg = trading.pair.first
    return abs(one.lots[0]) * leg.multiplier * float(leg.close[one.decided])


def _volume_a_lot(pair: TradedPair, one: Trade) -> list[float]:
    """Volume over lots at each close that a trade is filled at; of the leg that has less of it where both are."""
    ends, is_open = {one.entered} if one.reason == "open" else {one.entered, one.left}, one.reason == "open"
    at: dict[int, float] = {}
    for leg, lots in zip((pair.first, pair.second), one.lots, strict=True):
        if leg.volume is not None:
            for row in sorted(ends | set(leg_rolls(leg, one.entered, one.left, is_open=is_open))):
                at[row] = np.minimum(at.get(row, math.inf), float(leg.volume[row]) / abs(lots))
    return list(at.values())


def _exposed(trading: Trading) -> Float64Array:
    """Net returns of the sessions that began with a position."""
    return trading.net[1:][trading.position[:-1] != 0]


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if len(values) else math.nan
