"""A small random market of products of futures, made of random chains as the store would make it."""

from __future__ import annotations

import functools

import numpy as np

from features.catalogue import catalogue
from features.continuous import continuous
from features.fields import ROLE_NAMES
from features.forecasts import HORIZONS, OF_CURVE
from features.panel import Float64Array, Panels, SessionArray
from features.plan import compute, plan
from features.product_panels import product_panels
from features.rolls import hold
from tests.features.synthetic_futures import random_chain
from tests.features.synthetic_treasuries import treasury_fields

SESSIONS, PRODUCTS = 560, 8
# Index futures, commodities and treasuries, whose names tell what ends their contracts.
_NAMES = ("IC", "IF", "RB", "M", "T", "IH", "TF", "IM")


def products_market(sessions: int = SESSIONS, assets: int = PRODUCTS, seed: int = 11) -> Panels:
    """Products with the fields of their class, `traded` and the calendar's month; month roles for indices alone."""
    own = [_panels(_NAMES[i % len(_NAMES)], sessions, seed + i) for i in range(assets)]
    days = own[0][0]
    names = [f"{_NAMES[i % len(_NAMES)]}{i // len(_NAMES) or ''}" for i in range(assets)]
    order = np.argsort(names)
    fields = sorted({name for _, panels in own for name in panels})
    nothing = np.full(len(days), np.nan)
    values = {name: np.stack([own[i][1].get(name, nothing) for i in order], axis=1) for name in fields}
    traded = np.isfinite(values["close"]) & (values["volume"] > 0)
    values = {name: np.where(traded, panel, np.nan) for name, panel in values.items()}
    values["month"] = (days.astype("datetime64[M]").astype(np.int64) % 12 + 1.0)[:, None]
    return Panels(days, np.array(names)[order], {**values, "traded": traded.astype(np.float64)})


@functools.cache
def _panels(product: str, sessions: int, seed: int) -> tuple[SessionArray, dict[str, Float64Array]]:
    one = random_chain(product, sessions, seed)
    holding = hold(one)
    out = product_panels(one, holding, continuous(one, holding))
    rng = np.random.default_rng(seed)
    out["risk_free"] = 0.02 + np.cumsum(1e-4 * rng.standard_normal(sessions))
    out |= _said(sessions, rng)
    if one.contracts.kind == "index":
        out["spot"] = out["close_q1"] * np.exp(0.02 + 0.003 * rng.standard_normal(sessions))
        out["late_close"] = np.zeros(sessions)
        for role in ROLE_NAMES:
            out[f"dividends_{role}"] = 40 * out[f"ttm_{role}"]
        out["dividends_estimated"] = (rng.random(sessions) < 0.5) * 1.0
    return one.sessions, out | treasury_fields(product, out, seed)


def _said(sessions: int, rng: np.random.Generator) -> dict[str, Float64Array]:
    """What models have said, silent now and then; another one takes over now and then."""
    level = 0.2 * np.exp(np.cumsum(0.03 * rng.standard_normal(sessions)))
    silent = rng.random(sessions) < 0.02
    out = {f"vol_forecast_{h}": level ** (1 / (1 + h / 50)) for h in HORIZONS}
    out["vol_forecast_switch"] = (rng.random(sessions) < 0.02) * 1.0
    out |= {name: np.cumsum(0.01 * rng.standard_normal(sessions)) for name in ("ss_chi", "ss_xi", "ss_yield")}
    out |= {f"ss_z_{role}": rng.standard_normal(sessions) for role in OF_CURVE}
    return {name: np.where(silent, np.nan, panel) for name, panel in out.items()}


def value_of(name: str, panels: Panels) -> Float64Array:
    """A factor of products on these panels, (T, N)."""
    return compute(plan(catalogue("Product"), [name], panels.values), panels)[0][name]


def without(panels: Panels, prefix: str) -> Panels:
    """The panels but those whose names begin so."""
    kept = {name: panel for name, panel in panels.values.items() if not name.startswith(prefix)}
    return Panels(panels.sessions, panels.assets, kept)
