"""A small simulated market of futures in a store, and configs whose walks over it take a second or two."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.sources.simulator import NULL, Simulation, simulate
from features.store import Store
from tests.simulated_market import stored
from training.volatility_config import VolatilityConfig

SESSIONS = 420
PRODUCTS = ("IF", "M")
MODELS: dict[str, Any] = {
    "ewma": {"kind": "ewma"},
    "garch_n": {"kind": "garch", "params": {"innovation": "normal"}},
    "har": {"kind": "har"},
}
SETTINGS: dict[str, Any] = {
    "name": "small_vol",
    "seed": 5,
    "data": {"products": PRODUCTS},
    "walk": {"window": 250, "min_window": 200, "refit": 20},
    "forecast": {"horizons": (1, 5, 10), "levels": (0.95, 0.99), "paths": 500},
    "models": MODELS,
    "choice": {"window": 60, "every": 40, "reps": 100},
    "register": {"name": "small_vol"},
}


@functools.cache
def futures() -> Simulation:
    """Twelve stocks, their indices, the futures on these and of commodities."""
    return simulate("demo", replace(NULL, stocks=12, sessions=SESSIONS), 3)


def futures_store(root: Path, simulation: Simulation | None = None) -> Store:
    """That market, or another one, in a store."""
    return stored(root, simulation or futures())


def small_config(**sections: Any) -> VolatilityConfig:
    """A config of a few cheap models; sections are laid over its own."""
    told = dict(SETTINGS)
    for name, changes in sections.items():
        whole = isinstance(changes, dict) and name not in ("models",)
        told[name] = {**told.get(name, {}), **changes} if whole else changes
    return VolatilityConfig.model_validate(told)
