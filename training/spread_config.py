"""What a run of the spread task is told: pairs of contracts, models of their spread, how they are walked and traded."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

import models.spread as spread
from models.spread.base import SpreadSpec
from training.evaluate.spread_rule import By, TradingRule
from training.section import Document, Section, Sessions, Words, complete_params
from training.volatility_config import Roll, Share

# Kinds that a chain of pairs can be told by; a hedge that moves needs one pair of series.
SpreadKind = Literal["ou", "ecm"]
SPREAD_KINDS: tuple[str, ...] = get_args(SpreadKind)
EXPERIMENT: Final = "spread"  # where the runs of the spread task lie
Role = Literal["near", "next", "dominant", "sub_dominant", "far", "current", "q1", "q2"]
Cost = Annotated[float, Field(ge=0)]
Price = Annotated[float, Field(gt=0)]
# Points; CFFEX's contract specifications for treasuries, else spec 10 §1.
_TICKS = {
    0.005: "TS TF T",
    0.01: "TL",
    0.02: "AU",
    0.1: "SC",
    0.2: "IF IH IC IM",
    0.5: "I J JM",
    1.0: "FU LU AG RB HC M RM OI EG SR",
    2.0: "Y P TA",
    5.0: "CU AL CF",
}
TICKS: Final = {product: tick for tick, products in _TICKS.items() for product in products.split()}
INDICES: Final = {"IF": "000300.XSHG", "IH": "000016.XSHG", "IC": "000905.XSHG", "IM": "000852.XSHG"}


class Data(Section):
    """Which bars: the store, the products, the span."""

    store: str = Field(default="./store", description="folder of the feature store, relative to --home")
    asset_class: Literal["Future"] = Field(default="Future", description="futures")
    products: Words = Field(default=(), description="products to pair; none named: all that the store has contracts of")
    start: datetime.date | None = Field(default=None, description="first session; null: the first one stored")
    end: datetime.date | None = Field(default=None, description="last session; null: the last one stored")


class Pairs(Section):
    """What stands against what."""

    kind: Literal["calendar", "basis"] = Field(
        default="calendar", description="two contracts of a product, or a contract and its index"
    )
    near: Role = Field(default="dominant", description="role of the contract that is sold, of a calendar pair")
    far: Role = Field(default="sub_dominant", description="role of the contract that is bought, of either kind")
    by_product: dict[str, tuple[Role, Role]] = Field(
        default=dict.fromkeys(("IF", "IH", "IC", "IM", "TS", "TF", "T", "TL"), ("near", "next")),
        description="product: near and far role of a calendar pair where they are others",
    )
    indices: dict[str, str] = Field(default=dict(INDICES), description="product: index that its contracts settle to")

    def roles(self, product: str) -> tuple[Role, Role]:
        """Near and far role of a product; of a basis the far one counts."""
        told = self.near, self.far
        return told if self.kind == "basis" else self.by_product.get(product, told)


class Label(Section):
    """What is forecast: the spread excess return over h sessions."""

    horizon: Sessions = Field(default=5, description="sessions ahead, of the forecast that is traded and drawn")
    horizons: tuple[Sessions, ...] = Field(default=(1, 5, 10, 20), description="sessions ahead")


class Split(Section):
    """Walk-forward: fitted on a rolling window of what was known, filtered daily in between."""

    train: int = Field(default=500, ge=60, description="sessions with a pair that a fit sees, at most")
    least: int = Field(default=250, ge=60, description="and at least")
    test: Sessions = Field(default=20, description="sessions between two fits")
    holdout: Share = Field(default=0.2, description="share, at the end, that is judged apart")


class Model(Section):
    """One model of a spread, with its settings; settings left out take the defaults of its spec."""

    kind: SpreadKind
    params: dict[str, Any] = Field(default={}, description="settings of the model's spec")

    @field_validator("params", mode="after")
    @classmethod
    def _complete(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return complete_params(params, spread.spread_model(info.data["kind"])) if "kind" in info.data else params

    def spec(self) -> SpreadSpec:
        """The spec: the frozen dataclass in models/spread with these params."""
        return spread.spread_model(self.kind)(**self.params)

    @property
    def is_ar1(self) -> bool:
        """Whether it is the base: one lag about a constant, of the log spread itself."""
        plain = {"order": 1, "season": "none", "hedge": 1.0, "annualised": False}
        return self.kind == "ou" and all(self.params[name] == value for name, value in plain.items())


class Trading(Section):
    """When a pair is entered and left, with how much, and what that costs."""

    by: By = Field(default="z", description="what enters: the distance from the mean, the forecast, either of the two")
    enter_z: float = Field(default=2.0, gt=0, description="standard deviations")
    exit_z: float = Field(default=0.5, ge=0, description="standard deviations")
    half_lives: float = Field(default=2.0, gt=0, description="left after so many of them")
    margin: float = Field(default=1.0, gt=0, description="times the cost that a forecast must exceed")
    delay: int = Field(default=1, ge=0, description="sessions from the decision to the close at which it is filled")
    capital: float = Field(default=1.0e7, gt=0, description="CNY in the first leg")
    slippage: float = Field(default=1.0, ge=0, description="ticks that each fill of a leg loses")
    ticks: dict[str, Price] = Field(default=dict(TICKS), description="product: points")
    fee_rate: dict[str, Cost] = Field(
        default={"default": 5.0e-5, "TS": 0.0, "TF": 0.0, "T": 0.0, "TL": 0.0},
        description="product: share of the value traded, each side",
    )
    fee_lot: dict[str, Cost] = Field(
        default={"default": 0.0, "TS": 3.0, "TF": 3.0, "T": 3.0, "TL": 3.0}, description="product: CNY a lot, each side"
    )
    index_fee_rate: float = Field(default=5.0e-4, ge=0, description="share of the value of a basket of the index")

    def rule(self) -> TradingRule:
        """The rule that evaluation trades by."""
        told = self.model_dump(include={"by", "enter_z", "exit_z", "half_lives", "margin", "delay", "capital"})
        return TradingRule(**told, ticks=self.slippage)

    def fees(self, product: str) -> tuple[float, float]:
        """Share of the value, and CNY a lot, of a product."""
        rate = self.fee_rate.get(product, self.fee_rate.get("default", 0.0))
        return rate, self.fee_lot.get(product, self.fee_lot.get("default", 0.0))


DEFAULT_MODELS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ar1": {"kind": "ou"},
    "ou": {"kind": "ou", "params": {"order": None}},
    "ecm": {"kind": "ecm", "params": {"beta": 1.0}},
}


class SpreadConfig(Document):
    """A run of the spread task."""

    task: Literal["spread"] = "spread"
    data: Data = Data()
    pairs: Pairs = Pairs()
    roll: Roll = Roll()
    label: Label = Label()
    split: Split = Split()
    models: dict[str, Model] = Field(
        default_factory=lambda: {name: Model.model_validate(told) for name, told in DEFAULT_MODELS.items()},
        min_length=1,
        description="name: kind and params",
    )
    serve: str | None = Field(default=None, description="which model is predicted; null: the base, an AR(1)")
    trading: Trading = Trading()

    @property
    def base(self) -> str:
        """The AR(1) that all are measured against."""
        return next(name for name, model in self.models.items() if model.is_ar1)

    @property
    def served(self) -> str:
        """The model whose forecasts are served."""
        return self.serve or self.base

    def nests(self, model: str) -> bool:
        """Whether a model is the base with more parameters: its test is Clark and West's."""
        one = self.models[model]
        return not (one.kind == "ou" and one.params["annualised"])

    def contradictions(self) -> list[tuple[str, str, str]]:
        """Settings that are well in themselves and not together: key path, what must hold, what was found."""
        data, split, pairs, wrong = self.data, self.split, self.pairs, []
        if data.start and data.end and data.start >= data.end:
            wrong.append(("data.start", "the start must lie before the end", f"{data.start} and {data.end}"))
        if split.least > split.train:
            wrong.append(("split.least", "it must not be more than split.train", f"{split.least}"))
        if sorted(set(self.label.horizons)) != list(self.label.horizons):
            wrong.append(("label.horizons", "horizons must rise", f"{self.label.horizons}"))
        if self.label.horizon not in self.label.horizons:
            wrong.append(("label.horizon", "it must be among label.horizons", f"{self.label.horizon}"))
        each = {"pairs.far": (pairs.near, pairs.far)}
        each |= {f"pairs.by_product.{product}": told for product, told in pairs.by_product.items()}
        for key, (near, far) in each.items():
            if pairs.kind == "calendar" and near == far:
                wrong.append((key, "near and far must be two roles", far))
        if not any(model.is_ar1 for model in self.models.values()):
            must = "one must be an AR(1): kind ou of order 1, season none, hedge 1, not annualised"
            wrong.append(("models", must, ", ".join(self.models)))
        for name, model in self.models.items():
            key, one = ("hedge", 1.0) if model.kind == "ou" else ("beta", 1.0)
            if model.params[key] != one:
                must = "contracts of one product are held one for one: it must be 1"
                wrong.append((f"models.{name}.params.{key}", must, f"{model.params[key]}"))
        if self.serve is not None and self.serve not in self.models:
            wrong.append(("serve", f"it must be one of {', '.join(self.models)}", self.serve))
        if not self.trading.exit_z < self.trading.enter_z:
            wrong.append(("trading.exit_z", "it must be below trading.enter_z", f"{self.trading.exit_z}"))
        return wrong
