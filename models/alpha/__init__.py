"""Alpha models by name; a model's library is imported when the model is asked for, not before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Final

from models.base import AlphaSpec, FitError, FittedAlpha

# kind -> (module, spec, fitted)
ALPHA_MODELS: Final[Mapping[str, tuple[str, str, str]]] = {
    "ensemble": ("models.alpha.ensemble", "Ensemble", "FittedEnsemble"),
    "lightgbm": ("models.alpha.lightgbm", "LightGBM", "FittedLightGBM"),
    "linear": ("models.alpha.linear", "Linear", "FittedLinear"),
    "xgboost": ("models.alpha.xgboost", "XGBoost", "FittedXGBoost"),
}


def alpha_model(kind: str) -> type[AlphaSpec]:
    """The spec class of a kind."""
    module, spec, _ = _entry(kind)
    found: type[AlphaSpec] = getattr(import_module(module), spec)
    return found


def load_alpha(folder: Path) -> FittedAlpha:
    """A fitted model from its folder, of whatever kind it is."""
    path = folder / "model.json"
    if not path.is_file():
        raise FitError("model", "its folder must hold model.json", "none", str(folder))
    module, _, fitted = _entry(json.loads(path.read_text(encoding="utf-8"))["kind"])
    cls: type[FittedAlpha] = getattr(import_module(module), fitted)
    return cls.load(folder)


def _entry(kind: str) -> tuple[str, str, str]:
    if kind not in ALPHA_MODELS:
        near = get_close_matches(kind, ALPHA_MODELS, n=1)
        raise FitError(
            "alpha model",
            f"its kind must be one of {', '.join(ALPHA_MODELS)}",
            repr(kind),
            help=f"did you mean {near[0]}?" if near else "",
        )
    return ALPHA_MODELS[kind]
