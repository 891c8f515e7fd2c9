"""What a volatility task stands on: each product's returns without gaps, their range proxy, what is known beside them.

Training and serving both gather through `gather`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from features.check import simulation
from features.continuous import Continuous
from features.futures import listing, read_continuous
from features.panel import BoolArray, ConfigError, Float64Array, IntArray, SessionArray
from features.sessions import Calendar, Day, as_day, following
from features.store import Store
from models.volatility.base import Returns
from models.volatility.walk import Plan
from training.evaluate.volatility import range_proxy_as_known
from training.volatility_config import VolatilityConfig

_VOLUME_WINDOW = 20


@dataclass(frozen=True)
class Series:
    """One product, on the n sessions that have a return.

    sessions  (n,); row: their rows in `continuous`
    returns   what models see
    proxy     (n,) range variance, scaled so that its mean up to each session is that of the squared returns: nothing
              later enters; NaN before the 60th, of which a scale cannot be told
    notes     what a reader must know of the series
    """

    product: str
    continuous: Continuous = field(repr=False)
    sessions: SessionArray = field(repr=False)
    row: IntArray = field(repr=False)
    returns: Returns = field(repr=False)
    proxy: Float64Array = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class VolatilityData:
    """The series of a config by product.

    empty  product -> why it has no return at all
    notes  what a reader of any number must know of the data first
    """

    series: Mapping[str, Series]
    empty: Mapping[str, str]
    calendar: Calendar = field(repr=False)
    last: np.datetime64
    notes: tuple[str, ...] = ()


def plan_of(config: VolatilityConfig) -> Plan:
    """How the config walks its series."""
    told = config.walk
    return Plan(told.window, told.min_window, told.refit, told.winsor, config.forecast.horizons, config.forecast.levels)


def products_of(config: VolatilityConfig, known: tuple[str, ...]) -> tuple[str, ...]:
    """The products that the config asks for; ConfigError for one that the store does not hold."""
    for product in config.data.products:
        if product not in known:
            raise ConfigError(
                f"product {product}", "the store must hold its contracts", "none", help=f"It holds {', '.join(known)}."
            )
    return config.data.products or known


def gather(
    config: VolatilityConfig, store: Store, end: Day | None = None, say: Callable[[str], None] = lambda line: None
) -> VolatilityData:
    """Every series of the config, up to `end` (None: the config's end, or the last session stored)."""
    there = listing(store)
    wanted = products_of(config, there.products)
    calendar, roll = store.calendar(), config.roll
    last = as_day(end or config.data.end or store.span("bars/Future")[1])
    series: dict[str, Series] = {}
    empty: dict[str, str] = {}
    for product in wanted:
        found = read_continuous(
            store,
            product,
            rule=roll.rule,
            threshold=roll.threshold,
            before_expiry=roll.before_expiry,
            max_gap=roll.max_gap,
            start=config.data.start,
            end=last.astype(object),
            known=there,
        )
        one = series_of(found, calendar)
        if len(one.returns):
            series[product] = one
            say(
                f"{product}: {len(one.returns):,} returns from {one.sessions[0]} to {one.sessions[-1]}, "
                f"{int(found.is_roll.sum())} rolls"
            )
        else:
            empty[product] = "no return: no contract traded on two sessions"
    origin = simulation(store)
    return VolatilityData(series, empty, calendar, last, (f"the market is {origin}",) if origin else ())


def series_of(found: Continuous, calendar: Calendar) -> Series:
    """The rows of a continuous series that have a return and a range, with what is known beside them."""
    x = found.range_variance
    known = np.isfinite(found.ret)
    ranged = bool(np.isfinite(x[known]).any())
    row = np.flatnonzero(known & np.isfinite(x) if ranged else known)
    notes = list(found.notes)
    if ranged and (lost := int(np.count_nonzero(known)) - len(row)):
        notes.append(f"{lost} returns left out: open, high or low is missing")
    locked = int(np.count_nonzero(x[row] == 0.0)) if ranged else 0
    if locked:
        notes.append(f"{locked} sessions at a single price (limit-locked or one trade): their range says no variance")
    value = np.ascontiguousarray(found.ret[row])
    beside = _regressors(found, calendar)
    usable = {name: one[row] for name, one in beside.items() if np.isfinite(one[row]).all()}
    returns = Returns(value, np.ascontiguousarray(x[row]) if ranged else None, usable)
    return Series(found.product, found, found.sessions[row], row, returns, _proxy(returns), tuple(notes))


def _proxy(returns: Returns) -> Float64Array:
    """The range variance in the units of squared returns, as known at the time; squared returns without a range."""
    if returns.range_variance is None:
        return returns.value**2
    return range_proxy_as_known(returns.range_variance, returns.value)


def _regressors(found: Continuous, calendar: Calendar) -> dict[str, Float64Array]:
    """What may enter the variance of the next session, (T,) each, not negative; NaN where it is not known.

    oi_change  |ln| of the product's open interest over that of the session before
    volume     the product's volume over its mean of 20 sessions
    roll       1 where another contract is held on the next session, which is decided at the close
    holiday    1 where a holiday lies before the next session, which the exchange's calendar knows ahead
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        interest = np.log(found.open_interest)
        moved = np.abs(np.diff(interest, prepend=interest[:1]))
    held = np.append(found.contract, found.next_contract)
    rolls = (held[1:] != held[:-1]) & (held[1:] != "") & (held[:-1] != "")
    return {
        "oi_change": np.where(np.isfinite(moved), moved, np.nan),
        "volume": _over_its_mean(found.volume),
        "roll": rolls.astype(np.float64),
        "holiday": _before_a_holiday(found.sessions, calendar).astype(np.float64),
    }


def _over_its_mean(volume: Float64Array) -> Float64Array:
    """Volume over the mean of the last sessions, as many as there are up to 20, the session itself among them."""
    total = np.cumsum(np.nan_to_num(volume))
    count = np.minimum(np.arange(1, len(volume) + 1), _VOLUME_WINDOW)
    before = np.concatenate([np.zeros(min(_VOLUME_WINDOW, len(total))), total[:-_VOLUME_WINDOW]])
    mean = (total - before) / count
    return np.where(np.isfinite(volume) & (mean > 0), volume / np.where(mean > 0, mean, 1.0), np.nan)


def _before_a_holiday(sessions: SessionArray, calendar: Calendar) -> BoolArray:
    after = np.append(sessions[1:], following(calendar, sessions[-1]) if len(sessions) else sessions)
    return np.asarray(np.busday_count(sessions, after) > 1)
