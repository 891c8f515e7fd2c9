"""Formulas 63 to 101 of the paper on the primitives of `alpha101_by_numpy`, by number.

Written from the paper's appendix, and apart from the expressions that they check. delta(indneutralize(x)) is taken as
indneutralize(delta(x)): the same, but that prices are adjusted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracle.alpha101_by_numpy import (
    Array,
    Market,
    correlation,
    decay_linear,
    delay,
    delta,
    less,
    mean,
    product,
    tidy,
    ts_argmax,
    ts_argmin,
    ts_max,
    ts_min,
    ts_rank,
)
from tests.oracle.alpha101_first import busy, location, mid, mix, rank_shares, shares


def neutral_delta(m: Market, x: Array, d: int) -> Array:
    """delta(indneutralize(x), d) of an adjusted price, in CNY of the day."""
    return m.neutral(delta(x, d) / m.level)


def open_low(m: Market) -> Array:
    return mix(m.open, m.low, 0.147155)


ALPHAS: dict[int, Callable[[Market], Array]] = {
    63: lambda m: (
        -(
            m.rank(tidy(decay_linear(neutral_delta(m, m.close, 2), 8)))
            - m.rank(decay_linear(correlation(mix(m.vwap, m.open, 0.318108), mean(m.adv(180), 37), 13), 12))
        )
    ),
    64: lambda m: (
        -less(
            m.rank(correlation(mean(mix(m.open, m.low, 0.178404), 12), mean(m.adv(120), 12), 16)),
            m.rank(m.c(delta(mix(mid(m), m.vwap, 0.178404), 3))),
        )
    ),
    65: lambda m: (
        -less(
            m.rank(correlation(mix(m.open, m.vwap, 0.00817205), mean(m.adv(60), 8), 6)),
            m.rank(m.c(m.open - ts_min(m.open, 13))),
        )
    ),
    66: lambda m: (
        -(
            m.rank(m.c(decay_linear(delta(m.vwap, 3), 7)))
            + ts_rank(tidy(decay_linear((mix(m.low, m.low, 0.96633) - m.vwap) / m.level / m.c(m.open - mid(m)), 11)), 6)
        )
    ),
    67: lambda m: (
        -(
            m.rank(m.c(m.high - ts_min(m.high, 2)))
            ** m.rank(tidy(correlation(m.neutral(m.vwap / m.level), m.neutral(m.adv(20)), 6)))
        )
    ),
    68: lambda m: (
        -less(
            ts_rank(tidy(correlation(m.rank(m.c(m.high)), m.rank(m.adv(15)), 8)), 13),
            m.rank(m.c(delta(mix(m.close, m.low, 0.518371), 1))),
        )
    ),
    69: lambda m: (
        -(
            m.rank(tidy(ts_max(neutral_delta(m, m.vwap, 2), 4)))
            ** ts_rank(correlation(mix(m.close, m.vwap, 0.490655), m.adv(20), 4), 9)
        )
    ),
    70: lambda m: -(m.rank(m.c(delta(m.vwap, 1))) ** ts_rank(correlation(m.neutral(m.c(m.close)), m.adv(50), 17), 17)),
    71: lambda m: np.maximum(
        ts_rank(tidy(decay_linear(correlation(ts_rank(tidy(m.close), 3), ts_rank(m.adv(180), 12), 18), 4)), 15),
        ts_rank(tidy(decay_linear(m.rank(m.c((m.low + m.open) - (m.vwap + m.vwap))) ** 2, 16)), 4),
    ),
    72: lambda m: (
        m.rank(decay_linear(correlation(mid(m), m.adv(40), 8), 10))
        / m.rank(tidy(decay_linear(correlation(ts_rank(tidy(m.vwap), 3), ts_rank(m.volume, 18), 6), 2)))
    ),
    73: lambda m: (
        -np.maximum(
            m.rank(m.c(decay_linear(delta(m.vwap, 4), 2))),
            ts_rank(decay_linear(delta(open_low(m), 2) / open_low(m) * -1, 3), 16),
        )
    ),
    74: lambda m: (
        -less(
            m.rank(correlation(m.close, mean(m.adv(30), 37), 15)),
            m.rank(tidy(correlation(m.rank(m.c(mix(m.high, m.vwap, 0.0261661))), rank_shares(m), 11))),
        )
    ),
    75: lambda m: less(
        m.rank(correlation(m.vwap, m.volume, 4)),
        m.rank(tidy(correlation(m.rank(m.c(m.low)), m.rank(m.adv(50)), 12))),
    ),
    76: lambda m: (
        -np.maximum(
            m.rank(m.c(decay_linear(delta(m.vwap, 1), 11))),
            ts_rank(tidy(decay_linear(ts_rank(correlation(m.neutral(m.c(m.low)), m.adv(81), 8), 19), 17)), 19),
        )
    ),
    77: lambda m: np.minimum(
        m.rank(m.c(decay_linear((mid(m) + m.high) - (m.vwap + m.high), 20))),
        m.rank(decay_linear(correlation(tidy(mid(m)), m.adv(40), 3), 5)),
    ),
    78: lambda m: (
        m.rank(correlation(mean(mix(m.low, m.vwap, 0.352233), 19), mean(m.adv(40), 19), 6))
        ** m.rank(tidy(correlation(m.rank(m.c(m.vwap)), rank_shares(m), 5)))
    ),
    79: lambda m: less(
        m.rank(tidy(neutral_delta(m, mix(m.close, m.open, 0.60733), 1))),
        m.rank(tidy(correlation(ts_rank(tidy(m.vwap), 3), ts_rank(m.adv(150), 9), 14))),
    ),
    80: lambda m: (
        -(
            m.rank(np.sign(tidy(neutral_delta(m, mix(m.open, m.high, 0.868128), 4))))
            ** ts_rank(correlation(m.high, m.adv(10), 5), 5)
        )
    ),
    81: lambda m: (
        -less(
            m.rank(np.log(product(m.rank(m.rank(correlation(m.vwap, mean(m.adv(10), 49), 8)) ** 4), 14))),
            m.rank(tidy(correlation(m.rank(m.c(m.vwap)), rank_shares(m), 5))),
        )
    ),
    82: lambda m: (
        -np.minimum(
            m.rank(m.c(decay_linear(delta(m.open, 1), 14))),
            ts_rank(decay_linear(correlation(m.neutral(shares(m)), mix(m.open, m.open, 0.634196), 17), 6), 13),
        )
    ),
    83: lambda m: (
        m.rank(tidy(delay((m.high - m.low) / mean(m.close, 5), 2)))
        * m.rank(rank_shares(m))
        / (((m.high - m.low) / mean(m.close, 5)) / ((m.vwap - m.close) / m.level))
    ),
    84: lambda m: ts_rank(tidy(m.vwap - ts_max(m.vwap, 15)), 20) ** m.c(delta(m.close, 4)),
    85: lambda m: (
        m.rank(correlation(mix(m.high, m.close, 0.876703), m.adv(30), 9))
        ** m.rank(tidy(correlation(ts_rank(tidy(mid(m)), 3), ts_rank(m.volume, 10), 7)))
    ),
    86: lambda m: (
        -less(
            ts_rank(correlation(m.close, mean(m.adv(20), 14), 6), 20),
            m.rank(m.c((m.open + m.close) - (m.vwap + m.open))),
        )
    ),
    87: lambda m: (
        -np.maximum(
            m.rank(m.c(decay_linear(delta(mix(m.close, m.vwap, 0.369701), 1), 2))),
            ts_rank(decay_linear(np.abs(correlation(m.neutral(m.adv(81)), m.close, 13)), 4), 14),
        )
    ),
    88: lambda m: np.minimum(
        m.rank(
            tidy(
                decay_linear(
                    (m.rank(m.c(m.open)) + m.rank(m.c(m.low))) - (m.rank(m.c(m.high)) + m.rank(m.c(m.close))), 8
                )
            )
        ),
        ts_rank(tidy(decay_linear(correlation(ts_rank(tidy(m.close), 8), ts_rank(m.adv(60), 20), 8), 6)), 2),
    ),
    89: lambda m: (
        ts_rank(decay_linear(correlation(mix(m.low, m.low, 0.967285), m.adv(10), 6), 5), 3)
        - ts_rank(decay_linear(neutral_delta(m, m.vwap, 3), 10), 15)
    ),
    90: lambda m: (
        -(m.rank(m.c(m.close - ts_max(m.close, 4))) ** ts_rank(correlation(m.neutral(m.adv(40)), m.low, 5), 3))
    ),
    91: lambda m: (
        -(
            ts_rank(decay_linear(decay_linear(correlation(m.neutral(m.c(m.close)), m.volume, 9), 16), 3), 4)
            - m.rank(decay_linear(correlation(m.vwap, m.adv(30), 4), 2))
        )
    ),
    92: lambda m: np.minimum(
        ts_rank(tidy(decay_linear(less(m.c((mid(m) + m.close) - (m.low + m.open)), 0), 14)), 18),
        ts_rank(tidy(decay_linear(correlation(m.rank(m.c(m.low)), m.rank(m.adv(30)), 7), 6)), 6),
    ),
    93: lambda m: (
        ts_rank(decay_linear(correlation(m.neutral(m.vwap / m.level), m.adv(81), 17), 19), 7)
        / m.rank(m.c(decay_linear(delta(mix(m.close, m.vwap, 0.524434), 2), 16)))
    ),
    94: lambda m: (
        -(
            m.rank(m.c(m.vwap - ts_min(m.vwap, 11)))
            ** ts_rank(tidy(correlation(ts_rank(tidy(m.vwap), 19), ts_rank(m.adv(60), 4), 18)), 2)
        )
    ),
    95: lambda m: less(
        m.rank(m.c(m.open - ts_min(m.open, 12))),
        ts_rank(m.rank(correlation(mean(mid(m), 19), mean(m.adv(40), 19), 12)) ** 5, 11),
    ),
    96: lambda m: (
        -np.maximum(
            ts_rank(tidy(decay_linear(correlation(m.rank(m.c(m.vwap)), rank_shares(m), 3), 4)), 8),
            ts_rank(
                tidy(
                    decay_linear(
                        ts_argmax(tidy(correlation(ts_rank(tidy(m.close), 7), ts_rank(m.adv(60), 4), 3)), 12), 14
                    )
                ),
                13,
            ),
        )
    ),
    97: lambda m: (
        -(
            m.rank(tidy(decay_linear(neutral_delta(m, mix(m.low, m.vwap, 0.721001), 3), 20)))
            - ts_rank(
                tidy(
                    decay_linear(ts_rank(tidy(correlation(ts_rank(tidy(m.low), 7), ts_rank(m.adv(60), 17), 4)), 18), 15)
                ),
                6,
            )
        )
    ),
    98: lambda m: (
        m.rank(decay_linear(correlation(m.vwap, mean(m.adv(5), 26), 4), 7))
        - m.rank(
            tidy(
                decay_linear(ts_rank(ts_argmin(tidy(correlation(m.rank(m.c(m.open)), m.rank(m.adv(15)), 20)), 8), 6), 8)
            )
        )
    ),
    99: lambda m: (
        -less(m.rank(correlation(mean(mid(m), 19), mean(m.adv(60), 19), 8)), m.rank(correlation(m.low, m.volume, 6)))
    ),
    100: lambda m: (
        -(
            (
                1.5 * m.scale(m.neutral(m.neutral(m.rank(location(m) * shares(m)))))
                - m.scale(m.neutral(correlation(m.close, m.rank(m.adv(20)), 5) - m.rank(ts_argmin(tidy(m.close), 30))))
            )
            * busy(m)
        )
    ),
    101: lambda m: (m.close - m.open) / m.level / ((m.high - m.low) / m.level + 0.001),
}
