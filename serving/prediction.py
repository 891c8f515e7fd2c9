"""What every task's predictions share: keys, columns, the rows of a session, and a model that is ready to make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import polars as pl

from features.panel import ConfigError, DataError
from features.store import Store
from training.manifest import Manifest
from training.tracking import ModelRef
from training.volatility_config import VolatilityConfig, level_name

KEYS: Final = ("asof", "effective", "asset", "target", "horizon", "run_id")
OUTLOOK: Final = ("mu_hat", "sigma_hat", "lo", "hi")


@dataclass(frozen=True)
class Columns:
    """The table of a task's predictions: its name, its values with their types, and the one that a reason stands for.

    A row has `main` or a reason, never neither.
    """

    table: str
    main: str
    values: Mapping[str, type[pl.DataType]]

    @property
    def empty(self) -> pl.DataFrame:
        """A table without rows: KEYS, values, reason."""
        keys = dict.fromkeys(KEYS, pl.String) | {"asof": pl.Date, "effective": pl.Date, "horizon": pl.Int64}
        return pl.DataFrame(schema={**keys, **self.values, "reason": pl.String})


ALPHA: Final = Columns("pred_alpha", "score", dict.fromkeys(("score", "score_rank", *OUTLOOK), pl.Float64))


def volatility_columns(levels: tuple[float, ...]) -> Columns:
    """Of volatilities with value at risk and shortfall at some levels: 0.975 is var_975.

    sigma is annualised, sigma_h of the horizon; var_*, es_* and mu_h are of the horizon's log return, losses positive.
    """
    tails = [f"{what}_{level_name(level)}" for what in ("var", "es") for level in levels]
    sized = {"margin": pl.Float64, "leverage": pl.Float64, "contracts": pl.Int64}
    values: dict[str, type[pl.DataType]] = {
        **dict.fromkeys(("sigma", "sigma_h", "mu_h", *tails), pl.Float64),
        "model": pl.String,
        **dict.fromkeys(("persistence", "dof"), pl.Float64),
        "status": pl.String,
        **sized,
    }
    return Columns("pred_vol", "sigma", values)


# Of pairs: the spread excess return over the horizon, its standard deviation, the distance from the mean, and how much
# of the second leg is sold against one of the first.
SPREAD: Final = Columns(
    "pred_spread",
    "yhat",
    {
        **dict.fromkeys(("yhat", "se", "z", "half_life", "hedge"), pl.Float64),
        **dict.fromkeys(("model", "status"), pl.String),
    },
)

# Of term structures: the states of a product now, and what its model makes of each of its contracts.
TERM: Final = Columns(
    "pred_term",
    "model_price",
    {
        "product": pl.String,
        "month": pl.Int64,
        **dict.fromkeys(("years", "quoted", "model_price", "residual", "z"), pl.Float64),
        **dict.fromkeys(("chi", "chi_se", "xi", "xi_se", "convenience_yield"), pl.Float64),
        **dict.fromkeys(("model", "status"), pl.String),
    },
)


def columns_of(manifest: Manifest) -> Columns:
    """The columns that a model's predictions have."""
    if manifest.task == "alpha":
        return ALPHA
    if manifest.task == "spread":
        return SPREAD
    if manifest.task == "term_structure":
        return TERM
    return volatility_columns(volatility_config(manifest).forecast.levels)


def require_task(manifest: Manifest, tasks: Sequence[str], who: str) -> None:
    """Refuse a model of a task that a command knows nothing of; ConfigError."""
    if manifest.task not in tasks:
        help = "How it does stands in its run's report: daybar ui."
        raise ConfigError(who, f"its model must be of the task {' or '.join(tasks)}", manifest.task, help=help)


def volatility_config(manifest: Manifest) -> VolatilityConfig:
    """The config of a volatility run."""
    if not isinstance(manifest.config, VolatilityConfig):
        must = "its manifest must hold the settings of a volatility run"
        raise DataError("model", must, f"those of the task {manifest.config.task}", help="Train it again.")
    return manifest.config


@dataclass(frozen=True)
class Prediction:
    """One session's predictions and where they come from.

    frame     KEYS, the values of its task's columns, and reason: why a row has no main value, null where it has
    left_out  reason -> assets that have a row without a main value
    coverage  share of what the model asks for that was there: of the universe's cells of factors; of the products
    store     whose bars were looked at
    """

    model: ModelRef
    manifest: Manifest
    frame: pl.DataFrame = field(repr=False)
    left_out: Mapping[str, int]
    coverage: float
    store: Store

    @property
    def columns(self) -> Columns:
        """The columns of its task."""
        return columns_of(self.manifest)

    @property
    def scored(self) -> pl.DataFrame:
        """The rows that have their main value: a score, a volatility."""
        return self.frame.filter(pl.col(self.columns.main).is_not_null())


@dataclass(frozen=True)
class Span:
    """The predictions of a range, session by session, and the sessions on which nobody was in the universe."""

    predictions: tuple[Prediction, ...]
    empty: tuple[np.datetime64, ...] = ()


class Served(Protocol):
    """A model that is ready to predict on a store."""

    @property
    def ref(self) -> ModelRef:
        """Where it comes from."""

    @property
    def manifest(self) -> Manifest:
        """What its training has written down."""

    @property
    def store(self) -> Store:
        """Whose bars it looks at."""

    def between(self, start: np.datetime64, end: np.datetime64, progress: Callable[[int, int], None]) -> Span:
        """The predictions of every session from start to end; each is what it would be alone."""
