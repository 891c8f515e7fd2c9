"""What is bought and sold of a pair, as it is traded: closes, sizes and costs of both legs, and the life they have."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from features.panel import Float64Array, IntArray
from training.evaluate.spread_rule import Leg
from training.spread_config import SpreadConfig
from training.spread_cross import CrossSeries, ProductLeg
from training.spread_data import PairSeries, Series, lives, multipliers


def traded_legs(config: SpreadConfig, series: Series) -> tuple[tuple[Leg, Leg] | None, str]:
    """The leg that is bought and the one that is sold; or what is not known of them."""
    return _products(config, series) if isinstance(series, CrossSeries) else _contracts(config, series)


def life_of(series: Series) -> IntArray:
    """Which pair of contracts is traded on each session, (n,); products have one life, and roll within it."""
    return np.zeros(len(series), np.int64) if isinstance(series, CrossSeries) else lives(series)


def hedge_of(series: Series, hedge: Float64Array) -> Float64Array:
    """Value of the second leg against the first, (n,): of products a model's, of contracts one for one."""
    return hedge if isinstance(series, CrossSeries) else np.where(lives(series) >= 0, 1.0, np.nan)


def _contracts(config: SpreadConfig, series: PairSeries) -> tuple[tuple[Leg, Leg] | None, str]:
    told, product, row, held = config.trading, series.product, series.row, series.held
    sizes = multipliers(config, series)
    why = _unknown(config, [(product, size) for size in sizes])
    if why:
        return None, why
    rate, lot = told.fees(product)
    far = Leg(held.close_far[row], sizes[0], told.ticks[product], rate, lot, held.volume_far[row])
    if config.pairs.kind == "basis":
        index = held.close_near[row]
        step = None if series.paid is None else np.diff(_carried(index), prepend=np.nan) + series.paid
        return (far, Leg(index, sizes[1], 0.0, told.index_fee_rate, step=step)), ""
    return (far, Leg(held.close_near[row], sizes[1], told.ticks[product], rate, lot, held.volume_near[row])), ""


def _carried(close: Float64Array) -> Float64Array:
    """The last close known on each session, (n,)."""
    at = np.maximum.accumulate(np.where(np.isfinite(close), np.arange(len(close)), 0))
    return np.asarray(close[at])


def _products(config: SpreadConfig, series: CrossSeries) -> tuple[tuple[Leg, Leg] | None, str]:
    both = series.first, series.second
    why = _unknown(config, [(one.product, one.multiplier) for one in both])
    if why:
        return None, why
    first, second = (_product(config, one) for one in both)
    return (first, second), ""


def _product(config: SpreadConfig, one: ProductLeg) -> Leg:
    rate, lot = config.trading.fees(one.product)
    tick = config.trading.ticks[one.product]
    return Leg(one.close, one.multiplier, tick, rate, lot, one.volume, one.step, one.rolled)


def _unknown(config: SpreadConfig, legs: Iterable[tuple[str, float]]) -> str:
    """What is not known of products and their multipliers; empty where all is."""
    for product, size in legs:
        if product not in config.trading.ticks:
            return f"trading.ticks does not hold {product}"
        if not np.isfinite(size):
            return f"the multiplier of {product} is not known"
    return ""
