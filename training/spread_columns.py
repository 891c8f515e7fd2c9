"""Columns of a pair that a regression of its spread excess return sees: what was known at the settlement of t.

| column | what it is |
|---|---|
| spread_year | log spread over the years between the maturities, of a basis to the contract's own; 5 days or more |
| spread_z | robust z of spread_year over a year of sessions, whatever contracts stood in the pair |
| basis | log spread of a contract and its index, as it is |
| roll_down | what an unchanged curve earns, a year |
| spread_risk, roll_risk | log spread and roll_down in standard deviations of a year of the spread |
| oi_1, oi_5, oi_20 | log change of the product's open interest over so many sessions |
| flow_near, flow_far | FUT-01 corrected, of the leg's own contract |
| oi_ratio, volume_ratio | log of far over near |
| days_near, days_far | calendar days to the last trading day |
| roll_window | 1 on the week from the change of a pair on, and where a leg is about to end |
| year_sin, year_cos | time of the year |
| settle_close_gap_near, settle_close_gap_far | log of close over settlement of the leg |
| rate_change | of the risk-free rate over 20 sessions |

Nothing is ever the difference of two contracts: moves of settlement and open interest are of the contract that the pair
holds now, its session before included.  Source  04 §6.2 (4), §3
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from features.chain import DAYS_A_YEAR
from features.contracts import kind_of
from features.factors.flow import flow_score
from features.operators import delta, ts_mean, ts_percentile, ts_robust_z, ts_sum
from features.pairs import Pair
from features.panel import Float64Array
from features.rolls import BEFORE_EXPIRY
from training.evaluate.ic import ANN_DAYS

_YEAR, _QUARTER, _WEEK = 250, 60, 5
_SHORTEST: Final = 5 / DAYS_A_YEAR  # years; over less a spread a year is noise.  Source  04 §3, FUT-03
_LEAST: Final = 20  # sessions of a quarter on which a spread must have moved to have a deviation
_OF_TWO: Final = ("near", "far")
OF_BOTH: Final = (
    *("spread_year", "spread_z", "spread_risk", "oi_1", "oi_5", "oi_20", "flow_far", "days_far", "roll_window"),
    *("year_sin", "year_cos", "settle_close_gap_far", "rate_change"),
)
OF_CALENDAR: Final = (
    *("roll_down", "roll_risk", "flow_near", "oi_ratio", "volume_ratio", "days_near", "settle_close_gap_near"),
)
OF_BASIS: Final = ("basis",)


@dataclass(frozen=True)
class ProductFields:
    """What is known of the product of a pair on the pair's sessions, (T,) each; NaN where it is not.

    open_interest  of all its contracts
    sigma          daily volatility
    risk_free      p.a.
    """

    open_interest: Float64Array = field(repr=False)
    sigma: Float64Array = field(repr=False)
    risk_free: Float64Array = field(repr=False)


def names(kind: str) -> tuple[str, ...]:
    """The columns that pairs of a kind have."""
    return (*OF_BOTH, *(OF_BASIS if kind == "basis" else OF_CALENDAR))


def deviation(pair: Pair) -> Float64Array:
    """Root mean square of the spread's daily moves over a quarter, each within a pair of contracts, (T,).

    NaN  where fewer than 20 are known, or none differs from nought
    """
    mean = _over(ts_mean, pair.change**2, _QUARTER, _LEAST)
    return np.sqrt(np.where(mean > 0, mean, np.nan))


def pair_columns(pair: Pair, product: ProductFields) -> dict[str, Float64Array]:
    """Every column that a pair may have on its sessions, (T,) each; NaN where it is not known."""
    risk = deviation(pair) * np.sqrt(ANN_DAYS)
    gap = pair.ttm_far - pair.ttm_near
    year = pair.spread / np.where(gap >= _SHORTEST, gap, np.nan)
    out = {
        "spread_year": year,
        "spread_z": _over(ts_robust_z, year, _YEAR),
        "basis": pair.spread,
        "roll_down": -pair.slope_gap,
        "spread_risk": pair.spread / risk,
        "roll_risk": -pair.slope_gap / risk,
    }
    interest = _logged(product.open_interest)
    out |= {f"oi_{n}": delta(interest[:, None], n)[:, 0] for n in (1, 5, 20)}
    out |= {f"flow_{leg}": _flow(pair, leg, product.sigma) for leg in _OF_TWO}
    out["oi_ratio"] = _logged(pair.open_interest_far) - _logged(pair.open_interest_near)
    out["volume_ratio"] = _logged(pair.volume_far) - _logged(pair.volume_near)
    out |= {f"days_{leg}": DAYS_A_YEAR * _of(pair, "ttm", leg) for leg in _OF_TWO}
    out |= {"roll_window": _roll_window(pair), "rate_change": delta(product.risk_free[:, None], 20)[:, 0]}
    turn = 2 * np.pi * (pair.sessions - pair.sessions.astype("datetime64[Y]")).astype(np.float64) / 365.25
    out |= {"year_sin": np.sin(turn), "year_cos": np.cos(turn)}
    closed = {leg: _logged(_of(pair, "close", leg)) for leg in _OF_TWO}
    return out | {f"settle_close_gap_{leg}": closed[leg] - _logged(_of(pair, "settlement", leg)) for leg in _OF_TWO}


def _flow(pair: Pair, leg: str, sigma: Float64Array) -> Float64Array:
    """FUT-01 corrected of one leg: the rank of its settlement's move, weighed by what its open interest did.

    Source  04 §3
    """
    move = _logged(_of(pair, "settlement", leg)) - _logged(_of(pair, "prev_settlement", leg))
    before = _of(pair, "prev_open_interest", leg)
    change = _of(pair, "open_interest", leg) - before
    moved = _over(ts_percentile, np.abs(move) / np.where(sigma > 0, sigma, np.nan), _YEAR)
    built = _over(ts_percentile, np.abs(change) / np.where(before > 0, before, np.nan), _YEAR)
    return flow_score(move, moved, change, built)


def _roll_window(pair: Pair) -> Float64Array:
    """1 where the pair changed within the last week, or its first leg is about to end; NaN without a pair."""
    changed = _over(ts_sum, pair.is_roll.astype(np.float64), _WEEK, 1) > 0
    ending = pair.sessions_left <= BEFORE_EXPIRY[kind_of(pair.product)]
    return np.where(pair.near != "", (changed | ending) * 1.0, np.nan)


def _of(pair: Pair, what: str, leg: str) -> Float64Array:
    values: Float64Array = getattr(pair, f"{what}_{leg}")
    return values


def _logged(values: Float64Array) -> Float64Array:
    """Log of what is above nought, NaN elsewhere."""
    return np.log(np.where(values > 0, values, np.nan))


def _over(operator: Callable[..., Float64Array], values: Float64Array, *settings: int) -> Float64Array:
    """An operator of panels over one series, (T,)."""
    found: Float64Array = operator(np.ascontiguousarray(values[:, None]), *settings)[:, 0]
    return found
