"""Index futures: how far they lie from their index.  Source  04 §3 FUT-03, §4 D-01

A ratio is F / S - 1, positive for a premium (升水); Chinese tables often have spot less future, as fut_basis_cn. Until
the end of 2015 futures closed at 15:15, behind their index (field late_close).
"""

from __future__ import annotations

import numpy as np

from features.factor import factor
from features.operators import ts_percentile
from features.panel import Float64Array

_SETS = ("futures", "index_futures")
_YEAR = 250
DAYS_A_YEAR = 365.0
# Days to maturity below which an annualised basis says nothing.
_FEWEST_DAYS = 5
# Days are whole, and a 365th is not.
_DUST = 1e-9


def log_basis(future: Float64Array, spot: Float64Array, dividends: Float64Array | None) -> Float64Array:
    """ln of the future over the index less what goes ex before maturity, (T, N)."""
    held = spot if dividends is None else spot - dividends
    return np.log(future / held)


def annualised(log_ratio: Float64Array, ttm: Float64Array) -> Float64Array:
    """Per year of 365 days; NaN with fewer than 5 days left."""
    return log_ratio / np.where(ttm * DAYS_A_YEAR > _FEWEST_DAYS - _DUST, ttm, np.nan)


@factor("Product", zh="基差", unit="price", known="settle", sets=_SETS)
def fut_basis(settlement: Float64Array, spot: Float64Array) -> Float64Array:
    """Settlement of the dominant contract less the index's close, in points.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no settlement; no index under the product
    Source  FUT-03, 04 §3 (literal)
    """
    return settlement - spot


@factor("Product", zh="基差（现货减期货）", unit="price", known="settle", sets=_SETS)
def fut_basis_cn(fut_basis: Float64Array) -> Float64Array:
    """The basis the other way round, as Chinese tables have it: the index less the settlement.

    Shape   (T, N) -> (T, N)
    Sign    positive: discount (贴水)
    NaN     no settlement; no index under the product
    Source  FUT-03, 04 §3
    """
    return -fut_basis


@factor("Product", zh="年化基差（修正）", unit="p.a.", known="settle", sets=_SETS)
def fut_basis_adj(
    close: Float64Array,
    spot: Float64Array,
    ttm_dominant: Float64Array,
    dividends_dominant: Float64Array | None = None,
) -> Float64Array:
    """ln of the dominant contract's close over the index's, per year, free of dividends where they are known.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade; fewer than 5 days left; no index under the product
    Source  FUT-03, 04 §3, §4 (corrected)
    """
    return annualised(log_basis(close, spot, dividends_dominant), ttm_dominant)


@factor("Product", zh="基差比例", unit="decimal", known="settle", sets=_SETS)
def fut_basis_ratio(settlement_next: Float64Array, spot: Float64Array) -> Float64Array:
    """Settlement of the next-month contract over the index's close, less 1.

    The settlement averages the last hour, the close does not; maturities vary from 22 to 66 days, and dividends from
    May to August make a discount of themselves: see fut_basis_ratio_ann.
    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no settlement, or a stale one; no index under the product
    Source  D-01, 04 §4 (literal)
    """
    return settlement_next / spot - 1


@factor("Product", zh="基差比例（修正）", unit="decimal", known="close", sets=_SETS)
def fut_basis_ratio_adj(close_next: Float64Array, spot: Float64Array) -> Float64Array:
    """Close of the next-month contract over the index's close, less 1: two prices of one moment.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade in it; no index under the product
    Source  D-01, 04 §4 (corrected, b)
    """
    return close_next / spot - 1


@factor("Product", zh="基差比例（单利年化）", unit="p.a.", known="settle", sets=_SETS)
def fut_basis_ratio_simple(fut_basis_ratio: Float64Array, ttm_next: Float64Array) -> Float64Array:
    """The basis ratio times 365 over the days to maturity, as published tables annualise it.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     as fut_basis_ratio; fewer than 5 days left
    Source  D-01, 04 §4 (published figures)
    """
    return annualised(fut_basis_ratio, ttm_next)


@factor("Product", zh="分红调整基差比例", unit="decimal", known="settle", sets=_SETS)
def fut_basis_ratio_divadj(close_next: Float64Array, spot: Float64Array, dividends_next: Float64Array) -> Float64Array:
    """Close of the next-month contract over the index less the dividends that go ex before it matures, less 1.

    Dividends are those announced; behind the latest announced ex-date those of the year before (dividends_estimated).
    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水)
    NaN     no trade in it; no index under the product; dividends not known
    Source  D-01, 04 §4 (corrected, b*)
    """
    return close_next / (spot - dividends_next) - 1


@factor("Product", zh="年化基差率", unit="p.a.", known="settle", sets=_SETS)
def fut_basis_ratio_ann(
    close_next: Float64Array,
    spot: Float64Array,
    ttm_next: Float64Array,
    dividends_next: Float64Array | None = None,
) -> Float64Array:
    """ln(1 + b) of the next-month contract per year, b free of dividends where the store knows any.

    Shape   (T, N) -> (T, N)
    Sign    positive: premium (升水), an implied cost of financing
    NaN     no trade in it; no index under the product; fewer than 5 days left
    Source  D-01, 04 §4 (corrected, annualised)
    """
    return annualised(log_basis(close_next, spot, dividends_next), ttm_next)


@factor("Product", zh="基差超额", unit="p.a.", known="settle", sets=_SETS)
def fut_basis_excess(fut_basis_ratio_ann: Float64Array, risk_free: Float64Array) -> Float64Array:
    """Implied cost of financing less the risk-free rate.

    The rate is the newest one-year yield from before the session, .015 where there is none.
    Shape   (T, N) -> (T, N)
    Sign    positive: leverage is in demand
    NaN     as fut_basis_ratio_ann
    Source  D-01, 04 §4 (basis_excess)
    """
    return fut_basis_ratio_ann - risk_free


@factor("Product", zh="年化基差率分位", unit="pct rank", known="settle", sets=_SETS)
def fut_basis_ratio_rank(fut_basis_ratio_ann: Float64Array) -> Float64Array:
    """Rank of the annualised basis among its last 250 sessions, for thresholds of sentiment.

    Shape   (T, N) -> (T, N), in (0, 1)
    Sign    high: richer than usual
    NaN     fewer than 125 of 250 sessions
    Source  D-01, 04 §4 (pr_250)
    """
    return ts_percentile(fut_basis_ratio_ann, _YEAR)
