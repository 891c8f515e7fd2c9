"""Configs of the spread task whose walks over the small simulated market of futures take a second or two."""

from __future__ import annotations

from typing import Any

from training.spread_config import SpreadConfig

SETTINGS: dict[str, Any] = {
    "name": "small_spread",
    "seed": 5,
    "data": {"products": ("IF", "M")},
    "label": {"horizon": 5, "horizons": (1, 5)},
    "split": {"train": 250, "least": 150, "test": 20},
    "register": {"name": "small_spread"},
}
BASIS: dict[str, Any] = {
    "data": {"products": ("IF",)},
    "pairs": {"kind": "basis", "far": "dominant", "dividends": False},
}


def spread_config(**sections: Any) -> SpreadConfig:
    """A config of cheap models; sections are laid over its own."""
    told = dict(SETTINGS)
    for name, changes in sections.items():
        whole = isinstance(changes, dict) and name != "models"
        told[name] = {**told.get(name, {}), **changes} if whole else changes
    return SpreadConfig.model_validate(told)
