"""What a run of the spread task is told: pairs of contracts, models of their spread, how they are walked and traded."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

import models.spread as spread
from features.expiries import SPOTS
from models.spread.base import SpreadSpec
from models.spread.regression import SpreadRegression
from models.spread.screening import CATALOGUE, Screening
from training.evaluate.spread_rule import By, TradingRule
from training.section import Bool, Document, Section, Sessions, Words, complete_params
from training.volatility_config import Roll, Share

# A kalman_hedge moves its hedge, so it needs two series that are one each; a regression learns from all pairs at once.
SpreadKind = Literal["ou", "ecm", "kalman_hedge", "regression"]
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
# Source  spec 04 §6.2 (4); those of index futures are of the basis, D-01 and D-02
FACTORS: Final = (
    *("fut_ts_slope", "fut_ts_curvature", "fut_implied_carry", "fut_flow_intensity_adj", "fut_fragility_adj"),
    *("fut_oi_price_divergence_adj", "fut_basis_ratio_ann", "fut_basis_excess", "fut_basis_ratio_rank"),
    *("fut_basis_ts_slope", "fut_basis_ts_curvature", "fut_vol_forecast_5"),
)


class Data(Section):
    """Which bars: the store, the products, the span."""

    store: str = Field(default="./store", description="folder of the feature store, relative to --home")
    asset_class: Literal["Future"] = Field(default="Future", description="futures")
    products: Words = Field(default=(), description="products to pair; none named: all that the store has contracts of")
    start: datetime.date | None = Field(default=None, description="first session; null: the first one stored")
    end: datetime.date | None = Field(default=None, description="last session; null: the last one stored")


class Pairs(Section):
    """What stands against what."""

    kind: Literal["calendar", "basis", "cross"] = Field(
        default="calendar", description="two contracts of a product; a contract and its index; two products"
    )
    near: Role = Field(default="dominant", description="role of the contract that is sold, of a calendar pair")
    far: Role = Field(default="sub_dominant", description="role of the contract that is bought, of either kind")
    by_product: dict[str, tuple[Role, Role]] = Field(
        default=dict.fromkeys(("IF", "IH", "IC", "IM", "TS", "TF", "T", "TL"), ("near", "next")),
        description="product: near and far role of a calendar pair where they are others",
    )
    indices: dict[str, str] = Field(default=dict(SPOTS), description="product: index that its contracts settle to")
    dividends: Bool = Field(
        default=True, description="take dividends to come off an index where the store tells them: of a year at least"
    )
    cross: tuple[tuple[str, str], ...] = Field(
        default=CATALOGUE,
        min_length=1,
        description="products that stand against each other, the one that is bought first",
    )

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


class Screen(Section):
    """Which pairs of products are candidates: tested on what a fit would see, all pairs of a session at once."""

    level: float = Field(default=0.05, gt=0, lt=1, description="of false discoveries among the pairs")
    half_life: tuple[float, float] = Field(default=(2.0, 60.0), description="sessions, least and most")
    johansen: Bool = Field(default=True, description="whether the trace test must reject as well")
    every: Literal["month", "quarter"] = Field(default="quarter", description="tested on the first session of each")

    def rule(self) -> Screening:
        """What a pair must show."""
        return Screening(self.level, self.half_life, self.johansen)


class Pool(Section):
    """What regressions learn from: rows of all pairs, of the sessions before, whose outcome is known."""

    train: int = Field(default=1500, ge=60, description="sessions that a fit sees, at most")
    least: int = Field(default=500, ge=60, description="and at least")
    every: Literal["month", "quarter"] = Field(default="quarter", description="fitted on the first session of each")
    columns: Words | None = Field(default=None, description="columns of a pair; null: all that there are")
    factors: Words = Field(default=FACTORS, description="factors of the pair's product; those that are absent are told")


class Model(Section):
    """One model of a spread, with its settings; settings left out take the defaults of its spec."""

    kind: SpreadKind
    params: dict[str, Any] = Field(default={}, description="settings of the model's spec")

    @field_validator("params", mode="after")
    @classmethod
    def _complete(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return complete_params(params, spec_of(info.data["kind"])) if "kind" in info.data else params

    def spec(self) -> SpreadSpec:
        """The spec of a model of one pair: the frozen dataclass in models/spread with these params."""
        return spread.spread_model(self.kind)(**self.params)

    def regression(self) -> SpreadRegression:
        """The spec of a model of all pairs."""
        return SpreadRegression(**self.params)

    @property
    def is_pooled(self) -> bool:
        """Whether it learns from all pairs at once, and tells a return but no level that spreads come back to."""
        return self.kind == "regression"

    @property
    def is_ar1(self) -> bool:
        """Whether it is one lag about a constant, of the log spread itself, whatever its hedge."""
        plain = {"order": 1, "season": "none", "annualised": False}
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


def spec_of(kind: str) -> type[SpreadSpec] | type[SpreadRegression]:
    """The spec class of a kind."""
    return SpreadRegression if kind == "regression" else spread.spread_model(kind)


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
    screening: Screen = Screen()
    pool: Pool = Pool()
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
        return one.kind in ("ecm", "kalman_hedge") or (one.kind == "ou" and not one.params["annualised"])

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
            must = "one must be an AR(1): kind ou of order 1, season none, not annualised"
            wrong.append(("models", must, ", ".join(self.models)))
        for name, model in self.models.items():
            wrong += self._hedges(name, model)
        if self.serve is not None and self.serve not in self.models:
            wrong.append(("serve", f"it must be one of {', '.join(self.models)}", self.serve))
        if not self.trading.exit_z < self.trading.enter_z:
            wrong.append(("trading.exit_z", "it must be below trading.enter_z", f"{self.trading.exit_z}"))
        if self.pool.least > self.pool.train:
            wrong.append(("pool.least", "it must not be more than pool.train", f"{self.pool.least}"))
        if not 0 <= self.screening.half_life[0] < self.screening.half_life[1]:
            wrong.append(("screening.half_life", "it must rise from nought", f"{self.screening.half_life}"))
        for one, other in pairs.cross:
            if one == other:
                wrong.append(("pairs.cross", "two products must stand against each other", one))
        return wrong

    def _hedges(self, name: str, model: Model) -> list[tuple[str, str, str]]:
        """What is wrong with the hedge of a model for this kind of pairs."""
        cross, key = self.pairs.kind == "cross", {"ou": "hedge", "ecm": "beta"}.get(model.kind)
        if cross and model.is_pooled:
            must = "a regression is of returns that are held one for one: pairs.kind must be calendar or basis"
            return [(f"models.{name}.kind", must, model.kind)]
        if not cross and model.kind == "kalman_hedge":
            must = "contracts of one product are held one for one: a kalman_hedge needs pairs.kind cross"
            return [(f"models.{name}.kind", must, model.kind)]
        if not cross and key is not None and model.params[key] != 1:
            must = "contracts of one product are held one for one: it must be 1"
            return [(f"models.{name}.params.{key}", must, f"{model.params[key]}")]
        return []
