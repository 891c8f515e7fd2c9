"""Small random futures: panels of contracts for factors, and chains whose truth a plain loop can follow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.chain import Chain, chain
from features.contracts import contracts
from features.panel import Float64Array, Panels, SessionArray
from features.sessions import Calendar

SESSIONS, CONTRACTS = 420, 12
_DAYS = np.arange("2008-01-01", "2032-01-01", dtype="datetime64[D]")
WEEKDAYS = Calendar(_DAYS[np.is_busday(_DAYS)])


def futures_market(sessions: int = SESSIONS, assets: int = CONTRACTS, seed: int = 3) -> Panels:
    """Contracts that live for some 200 sessions each, one after another, with idle days: fields and `traded`."""
    rng = np.random.default_rng(seed)
    shape = (sessions, assets)
    begin = np.linspace(-150, max(sessions - 120, 1), assets).astype(int)
    age = np.arange(sessions)[:, None] - begin
    traded = ((age >= 0) & (age < 240) & (rng.random(shape) > 0.02)).astype(np.float64)
    close = 3000 * np.exp(np.cumsum(0.01 * rng.standard_normal(shape), axis=0))
    spread = 0.004 * np.abs(rng.standard_normal(shape))
    fields = {
        "open": close * np.exp(0.003 * rng.standard_normal(shape)),
        "close": close,
        "settlement": close * np.exp(0.002 * rng.standard_t(3, shape)),
        "prev_settlement": close * np.exp(0.01 * rng.standard_normal(shape)),
        "volume": np.floor(rng.lognormal(9, 1, shape)) + 1,
        "open_interest": np.floor(rng.lognormal(10, 1, shape)),
    }
    fields["high"] = np.maximum(fields["open"], close) * np.exp(spread)
    fields["low"] = np.minimum(fields["open"], close) * np.exp(-spread)
    masked = {name: np.where(traded > 0, panel, np.nan) for name, panel in fields.items()}
    days = WEEKDAYS.between("2021-01-04", "2030-01-04")[:sessions]
    return Panels(days, np.array([f"RB{2101 + i}" for i in range(assets)]), {**masked, "traded": traded})


def random_chain(product: str = "RB", sessions: int = 500, seed: int = 0, shortage: float = 0.03) -> Chain:
    """A chain of monthly contracts (quarterly ones for T): interest that migrates, idle days, holes in the fields."""
    rng = np.random.default_rng(seed)
    days = WEEKDAYS.between("2015-01-05", "2020-01-01")[:sessions]
    step = 3 if product == "T" else 1
    months = np.arange("2015-01" if step == 1 else "2015-03", "2018-12", step, dtype="datetime64[M]")
    own = contracts(product, [row(product, month, days) for month in months], WEEKDAYS)
    shape = len(days), len(own)
    here = np.arange(len(days))[:, None]
    ends, begins = WEEKDAYS.sessions.searchsorted(own.last_day), WEEKDAYS.sessions.searchsorted(own.listed)
    first = int(WEEKDAYS.sessions.searchsorted(days[0]))
    alive = (here >= begins - first) & (here <= ends - first)
    market = np.cumsum(0.01 * rng.standard_normal(len(days)))[:, None]
    close = 3000 * np.exp(market + np.cumsum(0.002 * rng.standard_normal(shape), axis=0))
    role = np.exp(-(((ends - first - here - 45) / 25.0) ** 2)) * (1 + 2.0 * rng.random(len(own)))
    fields = _around(close, rng)
    fields["open_interest"] = np.floor(1e5 * role * rng.lognormal(0, 0.05, shape))
    fields["volume"] = np.floor(fields["open_interest"] * rng.lognormal(0, 0.3, shape))
    gone = ~alive | (rng.random(shape) < shortage)
    values = {name: np.where(gone, np.nan, panel) for name, panel in fields.items()}
    values["open_interest"][rng.random(shape) < shortage] = np.nan
    values["open_interest"][rng.random(len(days)) < shortage] = np.nan
    return chain(own, days, values, WEEKDAYS)


def row(product: str, month: np.datetime64, days: SessionArray) -> dict[str, object]:
    """An instrument that is listed some 250 days before its month."""
    code = f"{product}{str(month)[2:4]}{str(month)[5:]}"
    listed = max(month.astype("datetime64[D]") - np.timedelta64(250, "D"), days[0])
    return {"order_book_id": code, "listed_date": listed.astype(object), "maturity_date": None}


def _around(close: Float64Array, rng: np.random.Generator) -> dict[str, Float64Array]:
    shape = close.shape
    opened = close * np.exp(0.003 * rng.standard_normal(shape))
    reach = 0.004 * np.abs(rng.standard_normal(shape))
    high, low = np.maximum(opened, close) * np.exp(reach), np.minimum(opened, close) * np.exp(-reach)
    settlement = close * np.exp(0.002 * rng.standard_normal(shape))
    return {"open": opened, "high": high, "low": low, "close": close, "settlement": settlement}


def cut(whole: Chain, sessions: int, alter: Callable[[str, Float64Array], Float64Array] = lambda _, v: v) -> Chain:
    """The chain as it is known at the end of its first sessions."""
    fields = {name: alter(name, panel[:sessions]) for name, panel in whole.fields.items()}
    return chain(whole.contracts, whole.sessions[:sessions], fields, WEEKDAYS)
