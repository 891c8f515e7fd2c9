"""Chains of treasury futures that are worth what a curve says: their yields and spreads are carry and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from features.chain import Chain, chain
from features.contracts import contracts
from features.deliverables import delivery_day
from features.panel import Float64Array, Panels
from features.zero_curve import Curve
from tests.features.synthetic_futures import WEEKDAYS

MONTHS = ("2203", "2206", "2209", "2212", "2303")
# The notional bond is dearer than 100 at every yield below 3 %, so the proxy is the short one.
SHORTEST = {"T": (7, 2), "TF": (4, 1), "TS": (2, 1), "TL": (25, 2)}


def upward(times: Float64Array) -> Float64Array:
    """The curve of the spec's check, (J,) -> (1, J)."""
    t = np.maximum(np.asarray(times, np.float64), 1e-9)
    return np.atleast_2d(0.0215 - 0.0065 * (1 - np.exp(-t / 3)) / (t / 3))


def flat(times: Float64Array) -> Float64Array:
    """Two percent, whatever the time."""
    return np.atleast_2d(np.full(np.shape(times), 0.02))


def standing(zero: Callable[[Float64Array], Float64Array], sessions: int) -> Curve:
    """The same curve on every session, at close tenors."""
    tenors = np.concatenate([[0.0], np.arange(1, 41 * 48) / 48])
    return Curve(tenors, np.repeat(zero(tenors), sessions, axis=0))


def priced(product: str, price: Callable[[int, float], float], sessions: int = 120) -> Chain:
    """A chain whose settlements are price(contract, years to its delivery), from December 2021 on."""
    days = WEEKDAYS.between("2021-12-01", "2023-01-01")[:sessions]
    listed = np.datetime64("2021-06-01").astype(object)
    rows = [{"order_book_id": f"{product}{m}", "listed_date": listed, "maturity_date": None} for m in MONTHS]
    own = contracts(product, rows, WEEKDAYS)
    ends = [delivery_day(last, WEEKDAYS) for last in own.last_day]
    ahead = np.array([[(end - day).astype(int) / 365 for end in ends] for day in days])
    worth = np.array([[price(c, t) if t > 0 else np.nan for c, t in enumerate(row)] for row in ahead])
    volume = np.where(np.isfinite(worth), 100.0, np.nan)
    names = ("open", "high", "low", "close", "settlement")
    return chain(own, days, {**dict.fromkeys(names, worth), "volume": volume}, WEEKDAYS)


def side_by_side(one: Chain, fields: Mapping[str, Float64Array], at: Mapping[str, Float64Array]) -> Panels:
    """One product as panels (T, 1): the fields of its table, and the settlements of its near and next contract."""
    values = {name: panel[:, None] for name, panel in (*fields.items(), *at.items())}
    return Panels(one.sessions, np.array([one.product]), {**values, "traded": np.ones((len(one.sessions), 1))})
