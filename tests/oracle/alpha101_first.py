"""Formulas 1 to 62 of the paper on the primitives of `alpha101_by_numpy`, by number.

Written from the paper's appendix, and apart from the expressions that they check; m.c brings a price
to CNY of its day.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracle.alpha101_by_numpy import (
    Array,
    Market,
    correlation,
    covariance,
    decay_linear,
    delay,
    delta,
    less,
    mean,
    product,
    stddev,
    tidy,
    total,
    ts_argmax,
    ts_max,
    ts_min,
    ts_rank,
    where,
)


def trend(m: Market, d: int) -> Array:
    """The change of the day if it has had one sign for d days, else its opposite."""
    up, down = ts_min(m.change, d) > 0, ts_max(m.change, d) < 0
    known = np.isfinite(ts_min(m.change, d))
    return np.where(known, np.where(up | down, m.change, -m.change), np.nan)


def bend(m: Market) -> Array:
    """Of alphas 46, 49 and 51."""
    past10, past20 = delay(m.close, 10), delay(m.close, 20)
    return m.c((past20 - past10) / 10 - (past10 - m.close) / 10)


def week_change(m: Market) -> Array:
    """delta(close, 7), adjusted, without what arithmetic leaves behind."""
    return tidy(delta(m.close, 7))


def same_way(x: Array, y: Array) -> Array:
    """Correlation over two sessions of panels whose changes are given."""
    both = tidy(x) * tidy(y)
    return np.where(both == 0, np.nan, np.sign(both))


def location(m: Market) -> Array:
    """((close - low) - (high - close)) / (high - low)."""
    return tidy(((m.close - m.low) - (m.high - m.close)) / (m.high - m.low))


def mix(x: Array, y: Array, w: float) -> Array:
    return x * w + y * (1 - w)


def mid(m: Market) -> Array:
    return (m.high + m.low) / 2


def shares(m: Market) -> Array:
    """Volume of the day, unadjusted."""
    return m.volume * m.level


def busy(m: Market) -> Array:
    """volume / adv20, both in CNY."""
    return m.turnover / m.adv(20)


def rank_shares(m: Market) -> Array:
    return m.rank(np.round(shares(m)))


ALPHAS: dict[int, Callable[[Market], Array]] = {
    1: lambda m: m.rank(ts_argmax(tidy(where(less(m.returns, 0), stddev(m.returns, 20), m.close)) ** 2, 5)) - 0.5,
    2: lambda m: -correlation(m.rank(delta(np.log(m.volume), 2)), m.rank(tidy((m.close - m.open) / m.open)), 6),
    3: lambda m: -correlation(m.rank(m.c(m.open)), rank_shares(m), 10),
    4: lambda m: -ts_rank(m.rank(m.c(m.low)), 9),
    5: lambda m: m.rank(m.c(m.open - mean(m.vwap, 10))) * (-1 * np.abs(m.rank(m.c(m.close - m.vwap)))),
    6: lambda m: -correlation(m.open, m.volume, 10),
    7: lambda m: where(
        less(m.adv(20), m.turnover), -ts_rank(np.abs(week_change(m)), 60) * np.sign(week_change(m)), -1.0
    ),
    8: lambda m: -m.rank(m.c(delta(5 * mean(m.open, 5) * total(m.returns, 5), 10))),
    9: lambda m: trend(m, 5),
    10: lambda m: m.rank(tidy(trend(m, 4))),
    11: lambda m: (
        (m.rank(m.c(ts_max(m.vwap - m.close, 3))) + m.rank(m.c(ts_min(m.vwap - m.close, 3))))
        * m.rank(delta(m.volume, 3) * m.level)
    ),
    12: lambda m: np.sign(delta(m.volume, 1)) * -m.change,
    13: lambda m: -m.rank(tidy(covariance(m.rank(m.c(m.close)), rank_shares(m), 5))),
    14: lambda m: -m.rank(delta(m.returns, 3)) * correlation(m.open, m.volume, 10),
    15: lambda m: -total(m.rank(tidy(correlation(m.rank(m.c(m.high)), rank_shares(m), 3))), 3),
    16: lambda m: -m.rank(tidy(covariance(m.rank(m.c(m.high)), rank_shares(m), 5))),
    17: lambda m: (
        -m.rank(ts_rank(tidy(m.close), 10)) * m.rank(m.c(delta(m.change * m.level, 1))) * m.rank(ts_rank(busy(m), 5))
    ),
    18: lambda m: (
        -m.rank((stddev(np.abs(m.close - m.open), 5) + (m.close - m.open)) / m.level + correlation(m.close, m.open, 10))
    ),
    19: lambda m: (
        -np.sign(m.c((m.close - delay(m.close, 7)) + delta(m.close, 7))) * (1 + m.rank(1 + total(m.returns, 250)))
    ),
    20: lambda m: (
        -m.rank(m.c(m.open - delay(m.high, 1)))
        * m.rank(tidy(m.change - m.c(m.close - m.open)))
        * m.rank(m.c(m.open - delay(m.low, 1)))
    ),
    21: lambda m: where(
        less(0, m.c(mean(m.close, 2) - mean(m.close, 8) - stddev(m.close, 8))),
        -1.0,
        where(
            less(m.c(mean(m.close, 2) - (mean(m.close, 8) - stddev(m.close, 8))), 0),
            1.0,
            where(less(tidy(busy(m)), 1), -1.0, 1.0),
        ),
    ),
    22: lambda m: -delta(correlation(m.high, m.volume, 5), 5) * m.rank(m.c(stddev(m.close, 20))),
    23: lambda m: where(less(m.c(mean(m.high, 20) - m.high), 0), -m.c(delta(m.high, 2)), 0.0),
    24: lambda m: where(
        less(0.05, tidy(delta(mean(m.close, 100), 100) / delay(m.close, 100))),
        -m.c(delta(m.close, 3)),
        -m.c(m.close - ts_min(m.close, 100)),
    ),
    25: lambda m: m.rank(-m.returns * m.adv(20) * (m.vwap / m.level) * m.c(m.high - m.close)),
    26: lambda m: -ts_max(correlation(ts_rank(m.volume, 5), ts_rank(tidy(m.high), 5), 5), 3),
    27: lambda m: where(
        less(0.5, m.rank(tidy(mean(correlation(rank_shares(m), m.rank(m.c(m.vwap)), 6), 2)))), -1.0, 1.0
    ),
    28: lambda m: m.scale(correlation(m.adv(20), m.low, 5) + (mid(m) - m.close) / m.level),
    29: lambda m: (
        ts_min(
            product(
                m.rank(m.rank(m.scale(np.log(total(ts_min(m.rank(m.rank(-m.rank(m.c(delta(m.close, 5))))), 2), 1))))),
                1,
            ),
            5,
        )
        + ts_rank(delay(-m.returns, 6), 5)
    ),
    30: lambda m: (
        (1 - m.rank(np.sign(m.change) + delay(np.sign(m.change), 1) + delay(np.sign(m.change), 2)))
        * total(m.volume, 5)
        / total(m.volume, 20)
    ),
    31: lambda m: (
        m.rank(m.rank(m.rank(tidy(decay_linear(-m.rank(m.rank(m.c(delta(m.close, 10)))), 10)))))
        + m.rank(m.c(-delta(m.close, 3)))
        + np.sign(m.scale(correlation(m.adv(20), m.low, 12)))
    ),
    32: lambda m: (
        m.scale((mean(m.close, 7) - m.close) / m.level) + 20 * m.scale(correlation(m.vwap, delay(m.close, 5), 230))
    ),
    33: lambda m: m.rank(tidy(-(1 - m.open / m.close))),
    34: lambda m: m.rank(
        tidy((1 - m.rank(stddev(m.returns, 2) / stddev(m.returns, 5))) + (1 - m.rank(tidy(m.change))))
    ),
    35: lambda m: (
        ts_rank(m.volume, 32) * (1 - ts_rank(tidy(m.close + m.high - m.low), 16)) * (1 - ts_rank(m.returns, 32))
    ),
    36: lambda m: (
        2.21 * m.rank(correlation(m.close - m.open, delay(m.volume, 1), 15))
        + 0.7 * m.rank(m.c(m.open - m.close))
        + 0.73 * m.rank(ts_rank(delay(-m.returns, 6), 5))
        + m.rank(np.abs(correlation(m.vwap, m.adv(20), 6)))
        + 0.6 * m.rank((mean(m.close, 200) - m.open) / m.level * m.c(m.close - m.open))
    ),
    37: lambda m: m.rank(correlation(delay(m.open - m.close, 1), m.close, 200)) + m.rank(m.c(m.open - m.close)),
    38: lambda m: -m.rank(ts_rank(tidy(m.close), 10)) * m.rank(tidy(m.close / m.open)),
    39: lambda m: (
        -m.rank(tidy(m.c(delta(m.close, 7)) * (1 - m.rank(decay_linear(busy(m), 9)))))
        * (1 + m.rank(total(m.returns, 250)))
    ),
    40: lambda m: -m.rank(m.c(stddev(m.high, 10))) * correlation(m.high, m.volume, 10),
    41: lambda m: (m.high / m.level * m.low / m.level) ** 0.5 - m.vwap / m.level,
    42: lambda m: m.rank(m.c(m.vwap - m.close)) / m.rank(m.c(m.vwap + m.close)),
    43: lambda m: ts_rank(busy(m), 20) * ts_rank(-week_change(m), 8),
    44: lambda m: -correlation(m.high, rank_shares(m), 5),
    45: lambda m: (
        -m.rank(mean(delay(m.close, 5), 20) / m.level)
        * same_way(m.change, delta(m.volume, 1) * m.level)
        * m.rank(same_way(m.c(delta(mean(m.close, 5), 1)), m.c(delta(mean(m.close, 20), 1))))
    ),
    46: lambda m: where(less(0.25, bend(m)), -1.0, where(less(bend(m), 0), 1.0, -m.change)),
    47: lambda m: (
        m.rank(1 / m.c(m.close)) * busy(m) * (m.high * m.rank(m.c(m.high - m.close)) / mean(m.high, 5))
        - m.rank(m.c(m.vwap - delay(m.vwap, 5)))
    ),
    48: lambda m: (
        m.neutral(correlation(m.change * m.level, delay(m.change * m.level, 1), 250) * m.change * m.level / m.close)
        / total(m.returns**2, 250)
    ),
    49: lambda m: where(less(bend(m), -0.1), 1.0, -m.change),
    50: lambda m: -ts_max(m.rank(tidy(correlation(rank_shares(m), m.rank(m.c(m.vwap)), 5))), 5),
    51: lambda m: where(less(bend(m), -0.05), 1.0, -m.change),
    52: lambda m: (
        (-ts_min(m.low, 5) + delay(ts_min(m.low, 5), 5))
        / m.level
        * m.rank((total(m.returns, 240) - total(m.returns, 20)) / 220)
        * ts_rank(m.volume, 5)
    ),
    53: lambda m: -delta(((m.close - m.low) - (m.high - m.close)) / (m.close - m.low), 9),
    54: lambda m: -((m.low - m.close) * (m.open / m.level) ** 5) / ((m.low - m.high) * (m.close / m.level) ** 5),
    55: lambda m: (
        -correlation(
            m.rank(tidy((m.close - ts_min(m.low, 12)) / (ts_max(m.high, 12) - ts_min(m.low, 12)))), rank_shares(m), 6
        )
    ),
    57: lambda m: -((m.close - m.vwap) / m.level / decay_linear(m.rank(ts_argmax(tidy(m.close), 30)), 2)),
    58: lambda m: -ts_rank(decay_linear(correlation(m.neutral(m.vwap / m.level), m.volume, 3), 7), 5),
    59: lambda m: (
        -ts_rank(decay_linear(correlation(m.neutral(mix(m.vwap, m.vwap, 0.728317) / m.level), m.volume, 4), 16), 8)
    ),
    60: lambda m: -(2 * m.scale(m.rank(location(m) * shares(m))) - m.scale(m.rank(ts_argmax(tidy(m.close), 10)))),
    61: lambda m: less(m.rank(m.c(m.vwap - ts_min(m.vwap, 16))), m.rank(correlation(m.vwap, m.adv(180), 17))),
    62: lambda m: (
        -less(
            m.rank(correlation(m.vwap, mean(m.adv(20), 22), 9)),
            m.rank(
                less(tidy(m.rank(m.c(m.open)) + m.rank(m.c(m.open)) - (m.rank(m.c(mid(m))) + m.rank(m.c(m.high)))), 0)
            ),
        )
    ),
}
