"""What a score would have earned: deciles in theory, and a long-only top k that trades under the exchange's rules.

Source  09 §5; fills and limits as the labels have them (training/labels.py); costs in training/evaluate/costs.py
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import rankdata

from features.operators import cs_mean
from features.panel import BoolArray, DataError, Float64Array, IntArray, Panels, SessionArray
from training.evaluate import sleeves
from training.evaluate.costs import Costs
from training.evaluate.ic import ANN_DAYS
from training.evaluate.orders import Orders, top_k_orders
from training.evaluate.performance import monthly_returns, performance, relative
from training.evaluate.quantiles import score_groups
from training.evaluate.significance import Mean, newey_west, overlap_lag
from training.fills import Entry

ENTRIES: tuple[Entry, ...] = ("next_open", "next_vwap", "next_close")


@dataclass(frozen=True)
class Deciles:
    """Mean label of the assets in each n-th of the score, lowest first.

    each          (T, n) per session, NaN where the session has too few names
    mean, se      (n,) over sessions; Newey-West errors that allow for the overlap
    cumulative    (T, n) sum of what 1/horizon of the money earns from each session's label
    monotonicity  Spearman correlation of the means with their order: 1 rises from the lowest to the highest
    long_short    (T,) highest less lowest; in theory only, for short sales of A-shares are restricted
    spread        its mean, with t
    """

    each: Float64Array = field(repr=False)
    mean: Float64Array
    se: Float64Array
    cumulative: Float64Array = field(repr=False)
    monotonicity: float
    long_short: Float64Array = field(repr=False)
    spread: Mean
    horizon: int


def decile_portfolios(score: Float64Array, value: Float64Array, *, horizon: int, n: int = 10) -> Deciles:
    """Sort each session's assets by score into n groups and average their label, (T, N) x (T, N).

    value  label of each asset over `horizon` sessions, in log return
    NaN    sessions with fewer than 2 n assets that have both, or with the same score for all
    """
    group = score_groups(score, np.isfinite(value), n)
    each = np.column_stack([cs_mean(value, group == g)[:, 0] for g in range(n)])
    lag = overlap_lag(horizon, int((group >= 0).any(axis=1).sum()))
    means = [newey_west(each[:, g], min(lag, max(int(np.isfinite(each[:, g]).sum()) - 1, 0))) for g in range(n)]
    mean = np.array([m.mean for m in means])
    long_short = each[:, -1] - each[:, 0]
    return Deciles(
        each=each,
        mean=mean,
        se=np.array([m.se for m in means]),
        cumulative=np.nancumsum(each, axis=0) / horizon,
        monotonicity=_order(mean),
        long_short=long_short,
        spread=newey_west(long_short, min(lag, max(int(np.isfinite(long_short).sum()) - 1, 0))),
        horizon=horizon,
    )


def _order(mean: Float64Array) -> float:
    """Spearman correlation with 0 ... n-1; NaN where a mean is missing or all are one."""
    if not np.isfinite(mean).all() or np.ptp(mean) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(mean), np.arange(len(mean)))[0, 1])


@dataclass(frozen=True)
class PortfolioResult:
    """A simulated long-only portfolio; every series is (T,), returns are simple and NaN outside the simulation.

    net, gross       return after costs; and with the session's costs given back
    universe         the same sleeves and fills holding all of the universe, free of costs and lots
    benchmark        close to close; NaN where none was given
    nav              value at the close in CNY, NaN outside
    cash             the part of it that is not invested
    turnover         half of what was bought and sold, over the value the session before
    costs            kind -> CNY paid
    blocked_entries  orders to buy that failed; their money stayed in cash
    blocked_exits    orders to sell that failed; they are tried again each session
    positions        assets held at the close
    summary          name -> number: per year by 242 sessions, return compounded, Sharpe over a rate of 0
    """

    sessions: SessionArray = field(repr=False)
    net: Float64Array = field(repr=False)
    gross: Float64Array = field(repr=False)
    universe: Float64Array = field(repr=False)
    benchmark: Float64Array = field(repr=False)
    nav: Float64Array = field(repr=False)
    cash: Float64Array = field(repr=False)
    turnover: Float64Array = field(repr=False)
    costs: dict[str, Float64Array] = field(repr=False)
    blocked_entries: IntArray = field(repr=False)
    blocked_exits: IntArray = field(repr=False)
    positions: IntArray = field(repr=False)
    summary: dict[str, float]


def simulate_topk(
    score: Float64Array,
    panels: Panels,
    universe: BoolArray,
    *,
    horizon: int,
    k: int = 50,
    entry: Entry = "next_open",
    costs: Costs | None = None,
    capital: float = 1e8,
    benchmark: Float64Array | None = None,
    delisted: IntArray | None = None,
    delist_haircut: float = 0.5,
    lots: bool = True,
) -> PortfolioResult:
    """Hold the k best of the universe in `horizon` sleeves, one of them rebalanced to equal weights each session.

    Scores of t trade on t+1 at the fill's price, sized at that price, from the first session with scores to the one
    after the last. An order to buy at limit up fails and stays in cash; one to sell that is suspended or at limit
    down waits. Shares bought sell `horizon` sessions later at the earliest (T+1). A sleeve whose turn finds no score
    stays as it is. Fewer than k names share the sleeve's money between them.

    Shape   score, universe (T, N); benchmark (T,) closes; delisted (N,) row of the last trading session or -1
    Source  09 §5, 10 §3
    """
    orders = top_k_orders(
        score,
        panels,
        universe,
        horizon=horizon,
        k=k,
        costs=costs or Costs(),
        delisted=delisted,
        delist_haircut=delist_haircut,
    )
    return by_entry(orders, entries=(entry,), capital=capital, benchmark=benchmark, lots=lots)[entry]


def by_entry(
    orders: Orders,
    *,
    entries: Sequence[Entry] = ENTRIES,
    capital: float = 1e8,
    benchmark: Float64Array | None = None,
    lots: bool = True,
) -> dict[Entry, PortfolioResult]:
    """The same orders at each entry's prices and limits, each against a universe filled alike; in the order given.

    Shape   benchmark (T,) closes
    """
    if not capital > 0:
        raise DataError("portfolio", "capital must be positive", f"{capital}")
    index = np.full(len(orders.panels.sessions), np.nan) if benchmark is None else benchmark
    found: dict[Entry, PortfolioResult] = {}
    for entry in entries:
        market = orders.market(entry, lots=lots)
        ledger, whole = orders.hold_picks(market, capital), orders.hold_everything(market, capital)
        found[entry] = _result(orders.panels.sessions, ledger, whole, index, orders.span)
    return found


def _result(
    sessions: SessionArray, ledger: Float64Array, whole_nav: Float64Array, index: Float64Array, span: slice
) -> PortfolioResult:
    """Ledgers to returns: the first session of the span holds the capital and has no return yet."""
    kinds = ("commission", "stamp_duty", "transfer_fee", "slippage", "impact")
    paid = dict(zip(kinds, ledger[:, sleeves.COMMISSION : sleeves.IMPACT + 1].T, strict=True))
    nav = _inside(ledger[:, sleeves.NAV], span)
    before = np.append(np.nan, nav[:-1])
    traded = ledger[:, sleeves.BOUGHT] + ledger[:, sleeves.SOLD]
    result = PortfolioResult(
        sessions=sessions,
        net=nav / before - 1,
        gross=(nav + sum(paid.values())) / before - 1,
        universe=_returns(_inside(whole_nav, span)),
        benchmark=_returns(_inside(index, span)),
        nav=nav,
        cash=_inside(ledger[:, sleeves.CASH], span),
        turnover=traded / 2 / before,
        costs=paid,
        blocked_entries=ledger[:, sleeves.BLOCKED_ENTRIES].astype(np.int64),
        blocked_exits=ledger[:, sleeves.BLOCKED_EXITS].astype(np.int64),
        positions=ledger[:, sleeves.POSITIONS].astype(np.int64),
        summary={},
    )
    result.summary.update(_summary(result))
    return result


def _inside(series: Float64Array, span: slice) -> Float64Array:
    out = np.full(len(series), np.nan)
    out[span] = series[span]
    return out


def _returns(level: Float64Array) -> Float64Array:
    return np.append(np.nan, level[1:] / level[:-1] - 1)


def _summary(result: PortfolioResult) -> dict[str, float]:
    """Headline numbers; those of the benchmark only where there is one."""
    alive = np.isfinite(result.net)
    out = performance(result.net) | {"gross_annual_return": performance(result.gross)["annual_return"]}
    for name, other in (("universe", result.universe), ("benchmark", result.benchmark)):
        if np.isfinite(other).any():
            excess = performance(result.net - other)
            ahead = relative(result.net, other)
            out[f"{name}_annual_return"] = performance(other)["annual_return"]
            out[f"excess_over_{name}"] = float(np.nanmean(result.net - other)) * ANN_DAYS
            out[f"information_ratio_{name}"] = excess["sharpe"]
            out[f"hit_rate_{name}"] = float((ahead[np.isfinite(ahead)] > 0).mean())
            out[f"max_drawdown_against_{name}"] = performance(ahead)["max_drawdown"]
    months = monthly_returns(result.net, result.sessions)
    out["worst_month"], out["months_above_zero"] = months.worst, months.positive
    years = alive.sum() / ANN_DAYS
    out["annual_turnover"] = float(result.turnover[alive].sum() / years)
    before = np.append(np.nan, result.nav[:-1])
    for kind, paid in result.costs.items():
        out[f"annual_cost_{kind}"] = float((paid / before)[alive].sum() / years)
    out["annual_cost"] = sum(out[f"annual_cost_{kind}"] for kind in result.costs)
    out["blocked_entries"] = float(result.blocked_entries.sum())
    out["blocked_exits"] = float(result.blocked_exits.sum())
    out["mean_positions"] = float(result.positions[alive].mean())
    out["sessions"] = float(alive.sum())
    return out
