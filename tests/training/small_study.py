"""A home with a small market on which a trial takes a fraction of a second."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest

from tests.small_market import bars, small_store
from training.alpha_config import AlphaConfig
from training.tracking import Tracking

SETTINGS = {
    "name": "small",
    "seed": 7,
    "data": {"universe": {"min_listed": 0, "min_turnover": 0.0}},
    "features": {"sets": [], "names": ["cs_f_roc_5", "cs_f_roc_10", "cs_f_std_10"]},
    "split": {"train": 50, "test": 15, "embargo": 2},
    "preprocess": {"kind": "rank"},
    "model": {"kind": "xgboost", "params": {"rounds": 8, "early_stopping": 0, "threads": 1}},
    "intervals": None,
    "evaluate": {"min_names": 5, "top_k": 4},
    "tune": {"trials": 6, "startup": 3},
    "register": {"name": "small"},
}


def small_config(**sections: object) -> AlphaConfig:
    """The settings, with sections laid over them."""
    told = {k: tuple_lists(v) for k, v in SETTINGS.items()}
    for name, changes in sections.items():
        told[name] = {**told.get(name, {}), **changes} if isinstance(changes, dict) else changes
    return AlphaConfig.model_validate(told)


def tuple_lists(value: object) -> object:
    """Lists as the tuples that a strict config wants from Python."""
    if isinstance(value, dict):
        return {k: tuple_lists(v) for k, v in value.items()}
    return tuple(value) if isinstance(value, list) else value


def small_home(home: Path) -> Path:
    """A home with a store and the tables of its tracking database."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        small_store(home / "store", bars(stocks=40))
        Tracking(home)
    return home


def copied(home: Path, to: Path) -> Path:
    """A copy of a home in which nothing has been run yet."""
    shutil.copytree(home, to)
    return to


def trials(home: Path, name: str) -> list[optuna.trial.FrozenTrial]:
    """Every trial of a study of the home."""
    return optuna.load_study(study_name=name, storage=f"sqlite:///{home}/mlruns/optuna.db").trials
