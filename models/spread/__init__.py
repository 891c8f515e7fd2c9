"""Models of spreads by name; a model's library is imported when the model is asked for, not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from models.spread.base import FittedSpread, SpreadSpec

# kind -> (module, spec, fitted)
SPREAD_MODELS: Final[Mapping[str, tuple[str, str, str]]] = {
    "ou": ("models.spread.ou", "Ou", "FittedOu"),
    "ecm": ("models.spread.ecm", "Ecm", "FittedEcm"),
    "kalman_hedge": ("models.spread.kalman_hedge", "KalmanHedge", "FittedKalmanHedge"),
}


def spread_model(kind: str) -> type[SpreadSpec]:
    """The spec class of a kind."""
    module, spec, _ = SPREAD_MODELS[kind]
    found: type[SpreadSpec] = getattr(import_module(module), spec)
    return found


def restore(told: Mapping[str, Any]) -> FittedSpread:
    """A fitted model from what its `describe` gave, of whatever kind it is."""
    module, _, fitted = SPREAD_MODELS[told["kind"]]
    cls: type[FittedSpread] = getattr(import_module(module), fitted)
    return cls.restore(told)
