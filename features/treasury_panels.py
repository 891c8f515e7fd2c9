"""A treasury product as one row a session: its notional bond, times to delivery, cash yields, money, cheapest bond.

Curves are those of the session's evening (known with the settlement), at most a fortnight old. Source  05 §3-5
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.bonds import DAYS_A_YEAR, Bonds, accrued_interest, conversion_factors, coupons_between
from features.chain import Chain
from features.deliverables import Basket, deliverables, delivery_day
from features.panel import Float64Array, IntArray, SessionArray
from features.product_panels import worthy
from features.sessions import Calendar
from features.treasury import PROXIES, TREASURIES, Terms, cash_yield, proxy_maturity, terms, yield_slope
from features.zero_curve import Curve, Zero, forward_rate, from_money_market, from_par_yields, years

# Zero rates and rates of money, both continuously compounded; yields of government bonds, their key rates, Shibor.
ZERO, REPO, PAR, KEY, MONEY = "cgb_zero", "repo", "cgb", "cgb_key", "shibor"
_OLDEST = np.timedelta64(14, "D")
# In the order of their delivery.
_NEAREST = ("near", "next", "third")
_CTD = ("price", "accrued", "factor", "accrued_delivery", "coupons", "coupon_years", "yield")
# Of the bonds of the table, those of the Ministry of Finance with a coupon; policy banks' may not be delivered.
_OF_THE_TREASURY = "国债"


@dataclass(frozen=True)
class Curves:
    """What money and bonds yield on some sessions; None for a curve that nobody gives.

    published  yields by tenor as published, in the order in which they are asked
    zero       continuously compounded; repo: of money
    """

    published: tuple[Curve, ...] = field(repr=False)
    zero: Zero | None = field(repr=False)
    repo: Zero | None = field(repr=False)


@dataclass(frozen=True)
class BondMarket:
    """Treasury bonds (B,) and their clean prices (T, B) on some sessions, NaN where there is none."""

    bonds: Bonds = field(repr=False)
    sessions: SessionArray = field(repr=False)
    clean: Float64Array = field(repr=False)


def curves(rates: pl.DataFrame | None, sessions: SessionArray) -> Curves:
    """The curves of a table of rates on these sessions.

    rates  date, curve, tenor, rate; None for a store without

    The zero curve is `cgb_zero`, else made of the yields of `cgb`, taken for those of bonds at par; money is `repo`,
    else `cgb_zero` itself, else Shibor.
    """
    if rates is None:
        return Curves((), None, None)
    par, key, zero, repo, money = (_curve(rates, name, sessions) for name in (PAR, KEY, ZERO, REPO, MONEY))
    behind = None if par is None or zero is not None else from_par_yields(par.tenors, par.rates)
    if repo is None and zero is None and money is not None:
        repo = from_money_market(money.tenors, money.rates)
    return Curves(tuple(c for c in (par, key) if c is not None), zero or behind, repo or zero)


def _curve(rates: pl.DataFrame, name: str, sessions: SessionArray) -> Curve | None:
    """The newest rates of a curve on each session, none of them older than a fortnight."""
    own = rates.filter(pl.col("curve") == name, pl.col("rate").is_finite())
    if not len(own):
        return None
    wide = own.pivot("tenor", index="date", values="rate").sort("date")
    by_years = {years(tenor): tenor for tenor in wide.columns if tenor != "date" and np.isfinite(years(tenor))}
    tenors = sorted(by_years)
    if not tenors:
        return None
    days = wide["date"].to_numpy().astype("datetime64[D]")
    table = wide.select(pl.col(by_years[t]).fill_null(np.nan) for t in tenors).to_numpy()
    at = days.searchsorted(sessions, side="right") - 1
    fresh = (at >= 0) & (sessions - days[np.maximum(at, 0)] <= _OLDEST)
    return Curve(np.array(tenors), np.where(fresh[:, None], table[np.maximum(at, 0)], np.nan))


def bond_market(bonds: pl.DataFrame | None, prices: pl.DataFrame | None, sessions: SessionArray) -> BondMarket | None:
    """The treasury bonds that have prices on these sessions; None where a table or every price is missing.

    bonds   bond_code, abbr, cp_rate_1st, inst_freq, carry_date, maturity_date
    prices  bond_code, date, clean_price
    """
    if bonds is None or prices is None:
        return None
    paying = pl.col("inst_freq").is_in([1, 2]) & pl.col("abbr").str.contains(_OF_THE_TREASURY)
    own = bonds.filter(paying & pl.col("bond_code").is_in(prices["bond_code"].unique().to_list())).sort("bond_code")
    axis = pl.DataFrame({"date": pl.Series(sessions).cast(pl.Date)})
    long = prices.filter(pl.col("bond_code").is_in(own["bond_code"].to_list()))
    if not len(long):
        return None
    wide = long.with_columns(pl.col("date").cast(pl.Date)).pivot("bond_code", index="date", values="clean_price")
    clean = axis.join(wide, "date", "left", maintain_order="left").select(own["bond_code"].to_list())
    return BondMarket(
        Bonds(
            own["bond_code"].to_numpy().astype(np.str_),
            own["cp_rate_1st"].to_numpy(),
            own["inst_freq"].to_numpy().astype(np.int64),
            own["carry_date"].cast(pl.Date).to_numpy().astype("datetime64[D]"),
            own["maturity_date"].cast(pl.Date).to_numpy().astype("datetime64[D]"),
        ),
        sessions,
        clean.fill_null(np.nan).to_numpy(),
    )


def treasury_panels(
    one: Chain,
    calendar: Calendar,
    known: Curves,
    market: BondMarket | None = None,
    proxies: Mapping[float, float] = PROXIES,
) -> dict[str, Float64Array]:
    """Field -> its values on the chain's sessions, (T,); nothing for a product that is no treasury.

    calendar  past the delivery of every contract
    known     curves on the chain's sessions; market: bonds on them
    proxies   nominal maturity -> remaining years of the bonds with the shortest duration
    """
    if one.product not in TREASURIES or not len(one.contracts):
        return {}
    at = _nearest(one)
    ends = np.array([delivery_day(day, calendar) for day in one.contracts.last_day])
    ahead = (ends[None, :] - one.sessions[:, None]).astype(np.float64) / DAYS_A_YEAR
    settled = np.where(worthy(one), one["settlement"], np.nan)
    of = [terms(one.product, month) for month in one.contracts.month]
    first, shortest = of[0], proxies[of[0].tenor]
    there = len(one.sessions)
    out = {
        "notional_maturity": np.full(there, float(first.tenor)),
        "notional_face": np.full(there, first.face),
        "proxy_maturity": np.full(there, shortest),
        "settlement_third": _of(settled, at["third"]),
    }
    out |= {f"delivery_{role}": _of(ahead, where) for role, where in at.items()}
    out |= _money(known, out["delivery_near"], out["delivery_next"])
    out |= _cash(known, first, shortest, _of(settled, at["near"]))
    if market is not None and known.repo is not None:
        out |= _cheapest(one, at, ends, settled, of, known.repo, market)
    return out


def _nearest(one: Chain) -> dict[str, IntArray]:
    """The first three contracts that may be held on each session, (T,) positions, -1 for none."""
    fit = one.holdable()[:-1]
    rank = np.cumsum(fit, axis=1)
    out = {}
    for k, role in enumerate(_NEAREST, 1):
        this = fit & (rank == k)
        out[role] = np.where(this.any(axis=1), this.argmax(axis=1), -1)
    return out


def _of(panel: Float64Array, at: IntArray) -> Float64Array:
    return np.where(at >= 0, panel[np.arange(len(at)), np.maximum(at, 0)], np.nan)


def _money(known: Curves, near: Float64Array, after: Float64Array) -> dict[str, Float64Array]:
    """What money costs until the near delivery, and from there to the next."""
    if known.repo is None:
        return {}
    return {
        "repo_near": forward_rate(known.repo, np.zeros(len(near)), near),
        "repo_forward": forward_rate(known.repo, near, after),
    }


def _cash(known: Curves, of: Terms, shortest: float, near: Float64Array) -> dict[str, Float64Array]:
    """The yield of cash bonds of the nominal maturity, and that of the notional bond at the proxy's with its slope."""
    out: dict[str, Float64Array] = {}
    nominal = np.full(len(near), np.nan)
    for curve in known.published:
        # A key rate holds for its own maturity alone.
        if len(curve.tenors) > 2 or of.tenor in curve.tenors:
            nominal = np.where(np.isfinite(nominal), nominal, curve(np.array([of.tenor]))[:, 0])
    zero = known.zero
    if zero is not None:
        long = np.isfinite(near) & (proxy_maturity(near, np.array(of.tenor), np.array(shortest)) == of.tenor)
        both = [(cash_yield(zero, m, of.frequency), yield_slope(zero, m, of.frequency)) for m in (shortest, of.tenor)]
        out["proxy_yield"], out["proxy_slope"] = (
            np.where(np.isfinite(near), np.where(long, b, a), np.nan) for a, b in zip(*both, strict=True)
        )
        nominal = np.where(np.isfinite(nominal), nominal, both[1][0])
    return out | {"cash_yield": nominal}


def _cheapest(
    one: Chain,
    at: Mapping[str, IntArray],
    ends: SessionArray,
    settled: Float64Array,
    of: list[Terms],
    repo: Zero,
    market: BondMarket,
) -> dict[str, Float64Array]:
    """The cheapest bond to deliver into the near contract, and what the bonds say of the near-next spread."""
    fair = {role: np.full(len(one.sessions), np.nan) for role in ("near", "next")}
    told = np.full((len(one.sessions), len(_CTD)), np.nan)
    for role, theory in fair.items():
        rates = _simple(repo, ends, one.sessions, at[role])
        for c in np.unique(at[role][at[role] >= 0]).tolist():
            rows = np.flatnonzero(at[role] == c)
            which = deliverables(market.bonds, of[c], one.contracts.month[c])
            own, clean = market.bonds.take(which), market.clean[np.ix_(rows, which)]
            for t, this in _baskets(own, one.sessions, rows, clean, one.contracts.month[c], ends[c]):
                theory[t] = this.theoretical(rates[t])
                if role == "near":
                    told[t] = _of_cheapest(this, settled[t, c], rates[t])
    names = (f"ctd_{name}" for name in _CTD)
    return dict(zip(names, told.T, strict=True)) | {"ctd_fair_spread": fair["near"] - fair["next"]}


def _baskets(
    own: Bonds, sessions: SessionArray, rows: IntArray, clean: Float64Array, month: np.datetime64, end: np.datetime64
) -> Iterator[tuple[int, Basket]]:
    """The baskets of a contract on those of its sessions that have a price; what needs dates alone is made at once.

    A bond has no accrued interest before its issue, so it has no value in a basket then.
    """
    days = sessions[rows][:, None]
    factor, owed, accrued = conversion_factors(own, month), accrued_interest(own, end), accrued_interest(own, days)
    coupons, waited = coupons_between(own, days, end)
    for i in np.flatnonzero(np.isfinite(clean).any(axis=1)).tolist():
        t = int(rows[i])
        yield t, Basket(own, sessions[t], end, factor, clean[i], accrued[i], owed, coupons[i], waited[i])


def _of_cheapest(this: Basket, price: float, repo: float) -> Float64Array:
    """What `_CTD` names, of the cheapest bond; NaN without one."""
    k = this.cheapest(price, repo) if np.isfinite(price) else -1
    if k < 0:
        return np.full(len(_CTD), np.nan)
    panels = (this.clean, this.accrued, this.factor, this.owed, this.coupons, this.waited, this.forward_yield(price))
    return np.array([panel[k] for panel in panels])


def _simple(repo: Zero, ends: SessionArray, sessions: SessionArray, at: IntArray) -> Float64Array:
    """The simple rate of money until the delivery of each session's contract, (T,)."""
    days = (ends[np.maximum(at, 0)] - sessions).astype(np.float64)
    ahead = np.where((at >= 0) & (days > 0), days / DAYS_A_YEAR, np.nan)
    return np.asarray(np.expm1(repo(ahead[:, None])[:, 0] * ahead) / ahead)
