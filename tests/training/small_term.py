"""Configs of the term-structure task for the small simulated market of futures."""

from __future__ import annotations

from typing import Any

from training.term_config import TermConfig

PRODUCTS = ("IF", "SC")
SETTINGS: dict[str, Any] = {
    "name": "small_term",
    "data": {"products": PRODUCTS},
    "curves": {"every": "session", "price": "close", "open_interest": 0.0, "volume": 1.0},
    "params": {"least_years": 1.0},
    "yields": {"window": 60, "literal": 3},
    "rolls": {"least_rolls": 4},
    "register": {"name": "small_term"},
}


def small_term(**sections: Any) -> TermConfig:
    """Two products by session; sections are laid over the settings."""
    told = dict(SETTINGS)
    for name, changes in sections.items():
        told[name] = {**told.get(name, {}), **changes} if isinstance(changes, dict) else changes
    return TermConfig.model_validate(told)
