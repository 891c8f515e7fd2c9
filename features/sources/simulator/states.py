"""The known truth of a simulated market as long tables; nothing here goes through the ingest door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl

from features.panel import Float64Array, SessionArray
from features.sources.simulator.courses import PARAMETERS
from features.sources.simulator.futures import Futures
from features.sources.simulator.indices import Index
from features.sources.simulator.market import Market, spells
from features.sources.simulator.stocks import Stocks
from features.sources.simulator.treasuries import Treasuries
from features.sources.simulator.world import World
from features.sources.simulator.yield_curve import ZeroCurve

EVENTS = {"date": pl.Date, "object": pl.String, "event": pl.String, "value": pl.Float64}
STYLES = ("style_size", "style_momentum", "style_value")


def truth_frames(
    world: World,
    seed: int,
    sessions: SessionArray,
    market: Market,
    stocks: Stocks,
    indices: Sequence[Index],
    futures: Sequence[Futures],
    treasuries: Treasuries,
) -> dict[str, pl.DataFrame]:
    """The six truth tables.

    truth_params   name, value (JSON): of the world, and of each futures product
    truth_states   date, object, name, value: of stocks signal, beta, idio_vol, latent; of MKT variance, stress,
                   precursor, style returns; of indices divisor, total_return; of futures contracts latent; of products
                   interest and psi (index futures), chi, xi (SC), log_spot, delta (CU), log_spot, variance, innovation,
                   realised_variance (RB), spread (FU), log_factor (M), fair_spread (treasuries: fair price of the first
                   contract before its delivery month less that of the next); of CGB level, slope, curvature
    truth_events   date, object, event, value: stress spells, jumps, locks, ex-dates, listings, delistings; of products
                   roll: the contract with most open interest changes, and costs so much more than the old, in logs
    truth_claims   claim_id, effect
    truth_members  index, order_book_id, start, end, shares: a row per span of unchanged shares in an index
    truth_deliveries  date, object (a treasury future), price (fair, at the close), ctd (bond_code, null for a notional
                   bond), forward_yield (of that bond on the day of delivery)
    """
    return {
        "truth_params": _params(world, seed),
        "truth_states": pl.concat(
            [
                _states(sessions, market, stocks, indices),
                *(_states_of(sessions, product) for product in futures),
                *_states_of_curve(sessions, treasuries.curve),
            ]
        ),
        "truth_events": pl.concat(
            [_events(sessions, market, stocks), *(_events_of(sessions, product) for product in futures)]
        ).sort("date", "object", "event"),
        "truth_claims": _claims(world),
        "truth_members": _members(sessions, stocks, indices),
        "truth_deliveries": _deliveries(sessions, treasuries),
    }


def _params(world: World, seed: int) -> pl.DataFrame:
    named = {**asdict(world), "seed": seed, "one_session_ic": world.one_session_ic(), **PARAMETERS}
    return pl.DataFrame({"name": list(named), "value": [json.dumps(value, default=str) for value in named.values()]})


def _claims(world: World) -> pl.DataFrame:
    effects = {
        "alpha_ic": world.target_ic,
        "stress_theta": world.stress_theta if world.stress else 1.0,
        "stress_turnover": world.stress_turnover if world.stress else 0.0,
        "stress_lead_probability": world.lead_probability if world.stress else 0.0,
        "stress_carry": world.stress_carry if world.stress else 0.0,
        "flow_effect": world.flow_effect,
    }
    return pl.DataFrame({"claim_id": list(effects), "effect": [float(x) for x in effects.values()]})


def _states(sessions: SessionArray, market: Market, stocks: Stocks, indices: Sequence[Index]) -> pl.DataFrame:
    ids = [life.order_book_id for life in stocks.roster]
    panels = {
        "signal": stocks.signal,
        "beta": stocks.beta,
        "idio_vol": np.sqrt(stocks.quotes.variance),
        "latent": stocks.quotes.latent,
    }
    frames = [_long(sessions, ids, name, panel, stocks.listed) for name, panel in panels.items()]
    series = {
        "variance": market.variance.mean(axis=1),
        "stress": market.stress.astype(np.float64),
        "precursor": market.precursor,
        **{name: market.factors[:, :, k].sum(axis=1) for k, name in enumerate(STYLES)},
    }
    everywhere = np.ones((1, len(sessions)), np.bool_)
    frames += [_long(sessions, ["MKT"], name, value[None], everywhere) for name, value in series.items()]
    for index in indices:
        for name, value in (("divisor", index.divisor), ("total_return", index.total_return())):
            frames.append(_long(sessions, [index.order_book_id], name, value[None], everywhere))
    return pl.concat(frames)


def _long(sessions: SessionArray, ids: Sequence[str], name: str, panel: Float64Array, held: np.ndarray) -> pl.DataFrame:
    asset, at = np.nonzero(held)
    keys = pl.Series("object", list(ids), dtype=pl.String)
    return pl.DataFrame({"date": sessions[at], "object": keys.gather(asset), "value": panel[held]}).select(
        "date", "object", pl.lit(name).alias("name"), "value"
    )


def _events(sessions: SessionArray, market: Market, stocks: Stocks) -> pl.DataFrame:
    rows: list[tuple[object, str, str, float]] = []
    days = sessions.astype(object)
    rows += [(days[a], "MKT", "stress_spell", float(b - a)) for a, b in spells(market.stress)]
    rows += [(days[t], "MKT", "jump", float(market.jumps[t])) for t in np.flatnonzero(market.jumps)]
    quotes = stocks.quotes
    for i, life in enumerate(stocks.roster):
        code, last = life.order_book_id, int(stocks.last[i])
        side = np.where(quotes.grid[i, :, 0] == quotes.upper[i], 1.0, -1.0)
        rows += [(days[t], code, "locked", float(side[t])) for t in np.flatnonzero(quotes.locked[i])]
        rows += [(days[t], code, "cash_dividend", quotes.cash[i, t] / 100.0) for t in np.flatnonzero(quotes.cash[i])]
        rows += [(days[t], code, "bonus", float(quotes.bonus[i, t])) for t in np.flatnonzero(quotes.bonus[i])]
        rows += [(days[a], code, "suspension", float(b - a)) for a, b in spells(life.suspended & stocks.listed[i])]
        if life.new:
            rows.append((days[life.first], code, "listing", life.surprise))
        if last + 1 < len(days):
            rows.append((days[last], code, "last_session", float(quotes.grid[i, last, -1]) / 100.0))
    return pl.DataFrame(rows, schema=EVENTS, orient="row")


def _states_of(sessions: SessionArray, futures: Futures) -> pl.DataFrame:
    """States of a product while it has contracts, then the log price of each contract without limits and rounding."""
    open_now = (futures.leader >= 0)[None]
    symbol = [futures.product.symbol]
    frames = [
        _long(sessions, symbol, name, values[None], open_now & np.isfinite(values))
        for name, values in futures.states.items()
    ]
    ids = [contract.order_book_id for contract in futures.contracts]
    panel = np.full((len(ids), len(sessions)), np.nan)
    panel[futures.contract, futures.at] = futures.latent
    return pl.concat([*frames, _long(sessions, ids, "latent", panel, np.isfinite(panel))])


def _states_of_curve(sessions: SessionArray, curve: ZeroCurve) -> list[pl.DataFrame]:
    everywhere = np.ones((1, len(sessions)), np.bool_)
    names = ("level", "slope", "curvature")
    return [_long(sessions, ["CGB"], name, curve.closes[:, k][None], everywhere) for k, name in enumerate(names)]


def _deliveries(sessions: SessionArray, treasuries: Treasuries) -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {
                "date": sessions[futures.at],
                "object": np.array([c.order_book_id for c in futures.contracts], dtype=object)[futures.contract],
                "price": fair.price,
                "ctd": fair.ctd.astype(object),
                "forward_yield": fair.forward_yield,
            },
            schema_overrides={"object": pl.String, "ctd": pl.String},
        )
        for futures, fair in zip(treasuries.futures, treasuries.fair, strict=True)
    ]
    return pl.concat(frames).with_columns(pl.col("ctd").replace({"": None})).sort("date", "object")


def _events_of(sessions: SessionArray, futures: Futures) -> pl.DataFrame:
    ids, days = [contract.order_book_id for contract in futures.contracts], sessions.astype(object)
    locked = np.flatnonzero(futures.tape.locked)
    rows: list[tuple[object, str, str, float]] = [
        (days[futures.at[k]], ids[futures.contract[k]], "locked", float(futures.tape.locked[k])) for k in locked
    ]
    price = {(c, t): p for c, t, p in zip(futures.contract, futures.at, futures.latent, strict=True)}
    for t in np.flatnonzero((np.diff(futures.leader) != 0) & (futures.leader[:-1] >= 0)) + 1:
        old, new = futures.leader[t - 1], futures.leader[t]
        if (old, t) in price:
            rows.append((days[t], futures.product.symbol, "roll", float(price[new, t] - price[old, t])))
    return pl.DataFrame(rows, schema=EVENTS, orient="row")


def _members(sessions: SessionArray, stocks: Stocks, indices: Sequence[Index]) -> pl.DataFrame:
    rows = []
    days = sessions.astype(object)
    for index in indices:
        counted = np.where(index.members, index.shares, 0.0)
        for i, life in enumerate(stocks.roster):
            starts = np.concatenate([[0], np.flatnonzero(np.diff(counted[i])) + 1])
            ends = np.concatenate([starts[1:], [len(days)]]) - 1
            for a, b in zip(starts, ends, strict=True):
                if counted[i, a] > 0:
                    rows.append((index.order_book_id, life.order_book_id, days[a], days[b], float(counted[i, a])))
    text = {"index": pl.String, "order_book_id": pl.String}
    return pl.DataFrame(rows, schema={**text, "start": pl.Date, "end": pl.Date, "shares": pl.Float64}, orient="row")
