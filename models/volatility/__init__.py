"""Volatility models by name; a model's library is imported when the model is asked for, not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from models.volatility.base import FittedVolatility, VolatilitySpec

# kind -> (module, spec, fitted)
VOLATILITY_MODELS: Final[Mapping[str, tuple[str, str, str]]] = {
    "ewma": ("models.volatility.ewma", "Ewma", "FittedEwma"),
    "garch": ("models.volatility.garch", "Garch", "FittedGarch"),
    "har": ("models.volatility.har", "Har", "FittedHar"),
    "realised_garch": ("models.volatility.realised", "RealisedGarch", "FittedRealisedGarch"),
}


def volatility_model(kind: str) -> type[VolatilitySpec]:
    """The spec class of a kind."""
    module, spec, _ = VOLATILITY_MODELS[kind]
    found: type[VolatilitySpec] = getattr(import_module(module), spec)
    return found


def restore(told: Mapping[str, Any]) -> FittedVolatility:
    """A fitted model from what its `describe` gave, of whatever kind it is."""
    module, _, fitted = VOLATILITY_MODELS[told["kind"]]
    cls: type[FittedVolatility] = getattr(import_module(module), fitted)
    return cls.restore(told)
