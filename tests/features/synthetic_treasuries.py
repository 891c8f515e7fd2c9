"""What a random product of treasuries has beside others: prices near par, a notional bond, curves, a cheapest bond."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from features.panel import Float64Array
from features.treasury import PROXIES, TREASURIES, terms

_LATEST = np.datetime64("2030-12")


def treasury_fields(product: str, given: Mapping[str, Float64Array], seed: int) -> dict[str, Float64Array]:
    """Fields of a treasury product, (T,) each, missing where its contracts are; of another product none has a value."""
    if product not in TREASURIES:
        made = treasury_fields("T", given, seed)
        return {name: np.full(len(panel), np.nan) for name, panel in made.items() if name not in given}
    rng = np.random.default_rng(seed)
    sessions = len(given["close"])
    of = terms(product, _LATEST)

    def walk(level: float, step: float, missing: float = 0.02) -> Float64Array:
        values = level + np.cumsum(step * rng.standard_normal(sessions))
        return np.where(rng.random(sessions) < missing, np.nan, values)

    near = np.where(np.isfinite(given["settlement_near"]), walk(100.5, 0.1, 0), np.nan)
    following = np.where(np.isfinite(given["settlement_next"]), near - walk(0.1, 0.02, 0), np.nan)
    lag = 4 / 365
    return {
        "settlement_near": near,
        "settlement_next": following,
        "settlement_third": following - walk(0.1, 0.02),
        "notional_maturity": np.full(sessions, float(of.tenor)),
        "notional_face": np.full(sessions, of.face),
        "proxy_maturity": np.full(sessions, PROXIES[of.tenor]),
        "delivery_near": given["ttm_near"] + lag,
        "delivery_next": given["ttm_next"] + lag,
        "delivery_third": given["ttm_next"] + lag + 0.25,
        "cash_yield": walk(0.028, 2e-4),
        "proxy_yield": walk(0.027, 2e-4),
        "proxy_slope": walk(4e-4, 1e-5, 0.3),
        "repo_near": walk(0.02, 2e-4),
        "repo_forward": walk(0.021, 2e-4),
        "ctd_price": walk(98.5, 0.05),
        "ctd_accrued": walk(0.8, 0.001),
        "ctd_factor": walk(0.97, 1e-5),
        "ctd_accrued_delivery": walk(1.2, 0.001),
        "ctd_coupons": np.where(rng.random(sessions) < 0.3, 1.4, 0.0),
        "ctd_coupon_years": np.where(rng.random(sessions) < 0.3, 0.1, 0.0),
        "ctd_yield": walk(0.027, 2e-4),
        "ctd_fair_spread": walk(0.1, 0.005),
    }
