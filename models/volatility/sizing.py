"""Margin, leverage and number of contracts of one futures position (ML-06)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from models.base import FitError

SESSIONS_A_YEAR: Final = 242
_TWO_DAYS: Final = math.sqrt(2.0)
_WHOLE: Final = 1e-9  # a count this near below a whole number, relative, is that number but for rounding


@dataclass(frozen=True)
class Limits:
    """What a position is held to.

    equity           CNY
    target_vol       a year, of the equity
    exchange_margin  least share of the contract's value that the exchange asks for; addon: the broker's beyond it
    var_multiple     of the two-day 99 % value at risk, as a margin
    max_margin       share of the equity that margin may take
    max_var          one-day 99 % value at risk, share of the equity
    max_volume       share of the product's mean daily volume
    buffer           share of the equity that 5 sessions may lose before a margin call
    """

    equity: float = 1.0e7
    target_vol: float = 0.10
    exchange_margin: float = 0.08
    addon: float = 0.04
    var_multiple: float = 1.0
    max_margin: float = 0.40
    max_var: float = 0.02
    max_volume: float = 0.01
    buffer: float = 0.02


@dataclass(frozen=True)
class Position:
    """A position of one contract.

    margin_rate  share of the contract's value; margin: CNY a contract; leverage: value over margin
    target       contracts, with a fraction, that have the target volatility
    contracts    whole ones, after the caps
    binds        what sets the number: target_vol, max_margin, max_var or max_volume
    exposure     value of the contracts over the equity
    """

    margin_rate: float
    margin: float
    leverage: float
    target: float
    contracts: int
    binds: str
    exposure: float


def size(
    price: float, multiplier: float, sigma: float, var_99: float, mean_volume: float | None, limits: Limits
) -> Position:
    """Margin and number of contracts.

    price        of the contract; multiplier: CNY a point
    sigma        of the next session's log return, not annualised; var_99: its 99 % value at risk, positive = loss,
                 taken as a share of the value
    mean_volume  contracts a session, of the product over 20 sessions; None where it is not known: no cap then
    Errors       FitError where a number is not finite or, but for var_99 and the volume, not positive
    Source       spec 04 ML-06
    """
    for name, number in (("price", price), ("multiplier", multiplier), ("sigma", sigma)):
        if not 0 < number < math.inf:
            raise FitError("sizing", f"{name} must be positive and finite", f"{number}")
    if not math.isfinite(var_99) or not (mean_volume is None or 0 <= mean_volume < math.inf):
        raise FitError("sizing", "value at risk must be finite, volume not negative", f"{var_99}, {mean_volume}")
    value = price * multiplier
    rate = max(limits.exchange_margin + limits.addon, limits.var_multiple * var_99 * _TWO_DAYS)
    target = limits.equity * limits.target_vol / math.sqrt(SESSIONS_A_YEAR) / (sigma * value)
    most = {"target_vol": target, "max_margin": limits.max_margin * limits.equity / (rate * value)}
    if var_99 > 0:  # a drift that outruns the tail is no risk to cap
        most["max_var"] = limits.max_var * limits.equity / (var_99 * value)
    if mean_volume is not None:
        most["max_volume"] = limits.max_volume * mean_volume
    binds = min(most, key=lambda name: most[name])
    contracts = math.floor(most[binds] * (1 + _WHOLE))
    return Position(rate, rate * value, 1 / rate, target, contracts, binds, contracts * value / limits.equity)
