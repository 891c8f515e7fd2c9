"""What a run of the volatility task is told: products, how their series roll, the models, how they are walked."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

import models.volatility as volatility
from models.volatility.base import VolatilitySpec
from training.section import Document, Section, Sessions, Words, complete_params

VolatilityKind = Literal["ewma", "garch", "har", "realised_garch"]
VOLATILITY_KINDS: tuple[str, ...] = get_args(VolatilityKind)
EXPERIMENT: Final = "futvol"  # where the runs and the studies of the volatility task lie
REGRESSORS = ("oi_change", "volume", "roll", "holiday")
Level = Annotated[float, Field(gt=0.5, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


def level_name(level: float) -> str:
    """The digits of a level behind the point, two at least: 0.9 is 90, 0.975 is 975."""
    return f"{level:.10f}".removeprefix("0.").rstrip("0").ljust(2, "0")


class Data(Section):
    """Which bars: the store, the products, the span."""

    store: str = Field(default="./store", description="folder of the feature store, relative to --home")
    asset_class: Literal["Future"] = Field(default="Future", description="futures")
    products: Words = Field(default=(), description="products to forecast; none named: all that the store holds")
    start: datetime.date | None = Field(default=None, description="first session; null: the first one stored")
    end: datetime.date | None = Field(default=None, description="last session; null: the last one stored")


class Roll(Section):
    """Which contract of a product its series holds."""

    rule: Literal["oi", "oi_volume", "fixed"] = Field(
        default="oi", description="largest open interest; largest interest and volume; sessions before the last one"
    )
    threshold: float = Field(default=1.1, ge=1, description="times the interest of the held contract")
    before_expiry: dict[str, Sessions] = Field(
        default={}, description="product: sessions before its last trading day, by the rule fixed"
    )
    max_gap: int = Field(
        default=5, ge=1, description="sessions that a return may span; a longer one is no return of the series"
    )


class Walk(Section):
    """Walk-forward: the models are fitted on a rolling window and filtered daily in between."""

    window: int = Field(default=1000, ge=50, description="observations that a fit sees, at most")
    min_window: int = Field(default=500, ge=50, description="and at least")
    refit: Sessions = Field(default=20, description="sessions between two fits")
    winsor: float | None = Field(
        default=8.0, gt=0, description="clip returns at this many MADs in the fit, never in what is judged; null: no"
    )
    holdout: Share = Field(default=0.2, description="share, at the end, that tuning does not see")


class Forecasting(Section):
    """What is forecast for each product and session."""

    horizons: tuple[Sessions, ...] = Field(default=(1, 5, 10, 20, 60), description="sessions ahead")
    levels: tuple[Level, ...] = Field(default=(0.95, 0.975, 0.99), description="of value at risk and shortfall")
    paths: int = Field(default=10_000, ge=100, description="of the filtered historical simulation")


class Model(Section):
    """One forecaster, with its settings; settings left out take the defaults of its spec."""

    kind: VolatilityKind
    params: dict[str, Any] = Field(default={}, description="settings of the forecaster's spec")

    @field_validator("params", mode="after")
    @classmethod
    def _complete(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return (
            complete_params(params, volatility.volatility_model(info.data["kind"])) if "kind" in info.data else params
        )

    def spec(self) -> VolatilitySpec:
        """The spec: the frozen dataclass in models/volatility with these params."""
        return volatility.volatility_model(self.kind)(**self.params)


class Choice(Section):
    """How one forecast is made of those of the models, for each horizon by itself."""

    window: int = Field(default=250, ge=20, description="forecasts, with their horizon over, that the choice looks at")
    size: Share = Field(default=0.10, description="of the model confidence set, whose members are combined")
    block: int = Field(default=10, ge=1, description="mean length of the bootstrap's blocks, sessions")
    reps: int = Field(default=1000, ge=100, description="bootstrap resamples")
    every: Sessions = Field(default=20, description="sessions between two confidence sets")
    serve: Literal["best", "combination"] = Field(default="best", description="which of the two is predicted")


class Sizing(Section):
    """Margin and position of one contract, from the forecasts."""

    equity: float = Field(default=1.0e7, gt=0, description="CNY")
    target_vol: float = Field(default=0.10, gt=0, description="a year, of the equity")
    exchange_margin: dict[str, Share] = Field(
        default={"default": 0.08}, description="product: least share of the contract's value that the exchange asks for"
    )
    addon: float = Field(default=0.04, ge=0, lt=1, description="what the broker asks for beyond that")
    var_multiple: float = Field(default=1.0, gt=0, description="of the two-day 99 % value at risk, as a margin")
    max_margin: float = Field(default=0.40, gt=0, le=1, description="share of the equity that margin may take")
    max_var: float = Field(default=0.02, gt=0, le=1, description="one-day 99 % value at risk, share of the equity")
    max_volume: float = Field(default=0.01, gt=0, le=1, description="share of the product's mean volume of 20 sessions")
    buffer: float = Field(default=0.02, gt=0, lt=1, description="equity that 5 sessions may lose before a margin call")


class Tune(Section):
    """How `daybar tune` searches the space of one of the models."""

    model: str | None = Field(default=None, description="which of the models; null: the first whose kind is garch")
    trials: int = Field(default=40, ge=1, description="trials that the study shall have, finished or pruned")
    startup: int = Field(default=10, ge=1, description="random trials before the sampler learns, and before pruning")
    horizon: Sessions = Field(default=1, description="sessions ahead, of the loss that is minimised")


DEFAULT_MODELS: dict[str, dict[str, Any]] = {
    "ewma": {"kind": "ewma"},
    "garch_n": {"kind": "garch", "params": {"variance": "garch", "innovation": "normal"}},
    "gjr_t": {"kind": "garch", "params": {"variance": "gjr", "innovation": "t"}},
    "egarch_t": {"kind": "garch", "params": {"variance": "egarch", "innovation": "t"}},
    "har": {"kind": "har"},
    "realised_garch": {"kind": "realised_garch"},
}


class VolatilityConfig(Document):
    """A run of the volatility task."""

    task: Literal["volatility"] = "volatility"
    data: Data = Data()
    roll: Roll = Roll()
    walk: Walk = Walk()
    forecast: Forecasting = Forecasting()
    models: dict[str, Model] = Field(
        default_factory=lambda: {name: Model.model_validate(told) for name, told in DEFAULT_MODELS.items()},
        min_length=1,
        description="name: kind and params",
    )
    choice: Choice = Choice()
    sizing: Sizing = Sizing()
    tune: Tune = Tune()

    @property
    def base(self) -> str:
        """The model that all are measured against, and that serves while nothing can be chosen: the first EWMA."""
        return next((name for name, model in self.models.items() if model.kind == "ewma"), next(iter(self.models)))

    def contradictions(self) -> list[tuple[str, str, str]]:
        """Settings that are well in themselves and not together: key path, what must hold, what was found."""
        data, walk, wrong = self.data, self.walk, []
        if data.start and data.end and data.start >= data.end:
            wrong.append(("data.start", "the start must lie before the end", f"{data.start} and {data.end}"))
        if walk.min_window > walk.window:
            must = "the least window must not be longer than walk.window"
            wrong.append(("walk.min_window", must, f"{walk.min_window}"))
        if sorted(set(self.forecast.horizons)) != list(self.forecast.horizons):
            wrong.append(("forecast.horizons", "horizons must rise", f"{self.forecast.horizons}"))
        if sorted(set(self.forecast.levels)) != list(self.forecast.levels):
            wrong.append(("forecast.levels", "levels must rise", f"{self.forecast.levels}"))
        if self.tune.model is not None and self.tune.model not in self.models:
            wrong.append(("tune.model", f"it must be one of {', '.join(self.models)}", self.tune.model))
        if self.tune.horizon not in self.forecast.horizons:
            wrong.append(("tune.horizon", "it must be among forecast.horizons", f"{self.tune.horizon}"))
        return wrong
