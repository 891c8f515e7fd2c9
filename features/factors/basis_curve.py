"""Index futures: the basis over maturities, current month, next month and the two quarter months.  Source  04 §4 D-02

Far contracts lie deeper for the same yearly carry, so what is richer must be judged on the carry, not on the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.factor import factor
from features.factors.basis import DAYS_A_YEAR, log_basis
from features.factors.curve import carry
from features.operators import lag
from features.panel import Float64Array

_SETS = ("futures", "index_futures")
# Sessions that a calendar month can have.
_MONTH = 23
_FEWEST = 3


@factor("Product", zh="当季次月基差比例差", unit="decimal", known="settle", sets=_SETS)
def fut_basis_ts_q1_next(
    settlement_q1: Float64Array, settlement_next: Float64Array, spot: Float64Array
) -> Float64Array:
    """Basis ratio of the first quarter month less that of the next month, by settlements.

    Shape   (T, N) -> (T, N)
    Sign    positive: the far contract is richer, per index and not per year
    NaN     one of them has no settlement, or a stale one
    Source  D-02, 04 §4 (literal)
    """
    return (settlement_q1 - settlement_next) / spot


@factor("Product", zh="次季次月基差比例差", unit="decimal", known="settle", sets=_SETS)
def fut_basis_ts_q2_next(
    settlement_q2: Float64Array, settlement_next: Float64Array, spot: Float64Array
) -> Float64Array:
    """Basis ratio of the second quarter month less that of the next month, by settlements.

    Shape   (T, N) -> (T, N)
    Sign    positive: the far contract is richer, per index and not per year
    NaN     one of them has no settlement, or a stale one
    Source  D-02, 04 §4 (literal)
    """
    return (settlement_q2 - settlement_next) / spot


@factor("Product", zh="次月当月基差比例差", unit="decimal", known="settle", sets=_SETS)
def fut_basis_ts_next_current(
    settlement_next: Float64Array, settlement_current: Float64Array, spot: Float64Array
) -> Float64Array:
    """Basis ratio of the next month less that of the current one, by settlements.

    Shape   (T, N) -> (T, N)
    Sign    positive: the far contract is richer, per index and not per year
    NaN     one of them has no settlement, or a stale one; the current month's last trading day
    Source  D-02, 04 §4 (literal)
    """
    return (settlement_next - settlement_current) / spot


@factor("Product", zh="当月次月远期持有成本", unit="p.a.", known="settle", sets=_SETS)
def fut_forward_carry_current_next(
    settlement_current: Float64Array, settlement_next: Float64Array, ttm_current: Float64Array, ttm_next: Float64Array
) -> Float64Array:
    """ln of the next month's settlement over the current one's, per year between their last trading days.

    Shape   (T, N) -> (T, N)
    Sign    positive: contango
    NaN     one of them has no settlement, or a stale one; the current month's last trading day
    Source  D-02, 04 §4 (corrected)
    """
    return carry(settlement_current, settlement_next, ttm_current, ttm_next)


@factor("Product", zh="次月当季远期持有成本", unit="p.a.", known="settle", sets=_SETS)
def fut_forward_carry_next_q1(
    settlement_next: Float64Array, settlement_q1: Float64Array, ttm_next: Float64Array, ttm_q1: Float64Array
) -> Float64Array:
    """ln of the first quarter month's settlement over the next month's, per year between their last trading days.

    Shape   (T, N) -> (T, N)
    Sign    positive: contango
    NaN     one of them has no settlement, or a stale one
    Source  D-02, 04 §4 (corrected)
    """
    return carry(settlement_next, settlement_q1, ttm_next, ttm_q1)


@factor("Product", zh="当季次季远期持有成本", unit="p.a.", known="settle", sets=_SETS)
def fut_forward_carry_q1_q2(
    settlement_q1: Float64Array, settlement_q2: Float64Array, ttm_q1: Float64Array, ttm_q2: Float64Array
) -> Float64Array:
    """ln of the second quarter month's settlement over the first one's, per year between their last trading days.

    Shape   (T, N) -> (T, N)
    Sign    positive: contango
    NaN     one of them has no settlement, or a stale one
    Source  D-02, 04 §4 (corrected)
    """
    return carry(settlement_q1, settlement_q2, ttm_q1, ttm_q2)


@factor("Product", zh="当月对数基差", unit="ln", known="settle", sets=_SETS)
def fut_log_basis_current(
    close_current: Float64Array, spot: Float64Array, dividends_current: Float64Array | None = None
) -> Float64Array:
    """ln of the current month's close over the index's, less the dividends until then where they are known.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade in it; its last trading day; no index under the product
    Source  D-02, 04 §4
    """
    return log_basis(close_current, spot, dividends_current)


@factor("Product", zh="次月对数基差", unit="ln", known="settle", sets=_SETS)
def fut_log_basis_next(
    close_next: Float64Array, spot: Float64Array, dividends_next: Float64Array | None = None
) -> Float64Array:
    """ln of the next month's close over the index's, less the dividends until then where they are known.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade in it; no index under the product
    Source  D-02, 04 §4
    """
    return log_basis(close_next, spot, dividends_next)


@factor("Product", zh="当季对数基差", unit="ln", known="settle", sets=_SETS)
def fut_log_basis_q1(
    close_q1: Float64Array, spot: Float64Array, dividends_q1: Float64Array | None = None
) -> Float64Array:
    """ln of the first quarter month's close over the index's, less the dividends until then where they are known.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade in it; no index under the product
    Source  D-02, 04 §4
    """
    return log_basis(close_q1, spot, dividends_q1)


@factor("Product", zh="次季对数基差", unit="ln", known="settle", sets=_SETS)
def fut_log_basis_q2(
    close_q2: Float64Array, spot: Float64Array, dividends_q2: Float64Array | None = None
) -> Float64Array:
    """ln of the second quarter month's close over the index's, less the dividends until then where they are known.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade in it; no index under the product
    Source  D-02, 04 §4
    """
    return log_basis(close_q2, spot, dividends_q2)


def _moments(
    years: Sequence[Float64Array], values: Sequence[Float64Array], interests: Sequence[Float64Array]
) -> tuple[Float64Array, ...]:
    """Sums of w T², w T³, w T⁴, w T y, w T² y with w = √OI, and the number of contracts, over those that have all."""
    sums: list[Float64Array] = []
    for x, y, interest in zip(years, values, interests, strict=True):
        there = np.isfinite(x) & np.isfinite(y) & (interest > 0) & (x > 0)
        t, w = np.where(there, x, 0.0), np.sqrt(np.where(there, interest, 0.0))
        wy = w * t * np.where(there, y, 0.0)
        own = (w * t**2, w * t**3, w * t**4, wy, wy * t, np.where(there, 1.0, 0.0))
        sums = list(own) if not sums else [a + b for a, b in zip(sums, own, strict=True)]
    return tuple(sums)


@factor("Product", zh="基差期限结构斜率", unit="p.a.", known="settle", sets=_SETS)
def fut_basis_ts_slope(
    fut_log_basis_current: Float64Array,
    fut_log_basis_next: Float64Array,
    fut_log_basis_q1: Float64Array,
    fut_log_basis_q2: Float64Array,
    ttm_current: Float64Array,
    ttm_next: Float64Array,
    ttm_q1: Float64Array,
    ttm_q2: Float64Array,
    open_interest_current: Float64Array,
    open_interest_next: Float64Array,
    open_interest_q1: Float64Array,
    open_interest_q2: Float64Array,
) -> Float64Array:
    """Slope of the log basis on maturity over the four contracts, through nought, weighted by the root of their OI.

    Shape   (T, N) -> (T, N)
    Sign    positive: a premium that grows with maturity
    NaN     fewer than 3 contracts with a trade and open interest
    Source  D-02, 04 §4 (corrected)
    """
    tt, _, _, ty, _, count = _moments(
        (ttm_current, ttm_next, ttm_q1, ttm_q2),
        (fut_log_basis_current, fut_log_basis_next, fut_log_basis_q1, fut_log_basis_q2),
        (open_interest_current, open_interest_next, open_interest_q1, open_interest_q2),
    )
    return np.where(count >= _FEWEST, ty / tt, np.nan)


@factor("Product", zh="基差期限结构曲率", unit="p.a. a year", known="settle", sets=_SETS)
def fut_basis_ts_curvature(
    fut_log_basis_current: Float64Array,
    fut_log_basis_next: Float64Array,
    fut_log_basis_q1: Float64Array,
    fut_log_basis_q2: Float64Array,
    ttm_current: Float64Array,
    ttm_next: Float64Array,
    ttm_q1: Float64Array,
    ttm_q2: Float64Array,
    open_interest_current: Float64Array,
    open_interest_next: Float64Array,
    open_interest_q1: Float64Array,
    open_interest_q2: Float64Array,
) -> Float64Array:
    """Second derivative of the parabola a T + b T² laid through nought and the four log bases, weighted as the slope.

    Shape   (T, N) -> (T, N)
    Sign    positive: carry grows with maturity
    NaN     fewer than 3 contracts with a trade and open interest
    Source  D-02, 04 §4 (corrected)
    """
    tt, ttt, tttt, ty, tty, count = _moments(
        (ttm_current, ttm_next, ttm_q1, ttm_q2),
        (fut_log_basis_current, fut_log_basis_next, fut_log_basis_q1, fut_log_basis_q2),
        (open_interest_current, open_interest_next, open_interest_q1, open_interest_q2),
    )
    return np.where(count >= _FEWEST, 2 * (tt * tty - ttt * ty) / (tt * tttt - ttt**2), np.nan)


def _at_maturity(days: float, years: Sequence[Float64Array], values: Sequence[Float64Array]) -> Float64Array:
    """The log basis at so many days, straight between the two contracts around them; nought at no days at all."""
    when = days / DAYS_A_YEAR
    left, height = 0.0 * years[1], 0.0 * years[1]
    found = np.nan * years[1]
    for x, y in zip(years, values, strict=True):
        there = np.isfinite(x) & np.isfinite(y)
        inside = there & (left < when) & (when <= x)
        found = np.where(inside, height + (y - height) * (when - left) / (x - left), found)
        left, height = np.where(there, x, left), np.where(there, y, height)
    return found


@factor("Product", zh="30日固定期限基差", unit="ln", known="settle", sets=_SETS)
def fut_basis_30d(
    fut_log_basis_current: Float64Array,
    fut_log_basis_next: Float64Array,
    fut_log_basis_q1: Float64Array,
    ttm_current: Float64Array,
    ttm_next: Float64Array,
    ttm_q1: Float64Array,
) -> Float64Array:
    """Log basis of a contract that matures in 30 days, straight between the contracts around it.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no contract that long with a trade; no index under the product
    Source  D-02, 04 §4 (constant maturity)
    """
    values = (fut_log_basis_current, fut_log_basis_next, fut_log_basis_q1)
    return _at_maturity(30.0, (ttm_current, ttm_next, ttm_q1), values)


@factor("Product", zh="90日固定期限基差", unit="ln", known="settle", sets=_SETS)
def fut_basis_90d(
    fut_log_basis_current: Float64Array,
    fut_log_basis_next: Float64Array,
    fut_log_basis_q1: Float64Array,
    fut_log_basis_q2: Float64Array,
    ttm_current: Float64Array,
    ttm_next: Float64Array,
    ttm_q1: Float64Array,
    ttm_q2: Float64Array,
) -> Float64Array:
    """Log basis of a contract that matures in 90 days, straight between the contracts around it.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no contract that long with a trade; no index under the product
    Source  D-02, 04 §4 (constant maturity)
    """
    values = (fut_log_basis_current, fut_log_basis_next, fut_log_basis_q1, fut_log_basis_q2)
    return _at_maturity(90.0, (ttm_current, ttm_next, ttm_q1, ttm_q2), values)


def _mean_of_month(x: Float64Array, month: Float64Array, wanted: Float64Array, sessions: int) -> Float64Array:
    """Mean of the last sessions that lie in the wanted month; NaN where there is none."""
    total, count = 0.0 * month, 0.0 * month
    for k in range(sessions):
        value = lag(x, k) if k else x
        counted = ((lag(month, k) if k else month) == wanted) & np.isfinite(value)
        total, count = total + np.where(counted, value, 0.0), count + np.where(counted, 1.0, 0.0)
    return total / np.where(count > 0, count, np.nan)


@factor("Product", zh="当月平均基差比例", unit="decimal", known="settle", sets=_SETS)
def fut_basis_monthly_mean(fut_basis_ratio: Float64Array, month: Float64Array) -> Float64Array:
    """Mean of the basis ratio over the sessions of the calendar month so far.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no basis ratio this month; no trade on the session
    Source  D-02, 04 §4
    """
    return _mean_of_month(fut_basis_ratio, month, month, _MONTH)


@factor("Product", zh="平均基差比例较上月变化", unit="decimal", known="settle", sets=_SETS)
def fut_basis_monthly_change(fut_basis_ratio: Float64Array, month: Float64Array) -> Float64Array:
    """Mean of the basis ratio over the calendar month so far less that of the month before.

    Shape   (T, N), (T, 1) -> (T, N)
    Sign    positive: a discount that has narrowed (较上月收窄), or a premium that has grown
    NaN     no basis ratio in either month; no trade on the session
    Source  D-02, 04 §4
    """
    last = np.where(month > 1, month - 1, 12.0 + 0 * month)
    before = _mean_of_month(fut_basis_ratio, month, last, 2 * _MONTH)
    return _mean_of_month(fut_basis_ratio, month, month, _MONTH) - before
