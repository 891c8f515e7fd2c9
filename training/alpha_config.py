"""What a run of the alpha task is told: stocks, their factors, a label, a split, a learner."""

from __future__ import annotations

import datetime
from typing import Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

import models.alpha as alpha
from models.base import AlphaSpec
from training.excess import Excess
from training.fills import Entry
from training.section import Bool, Document, Section, Sessions, Words, complete_params

ModelKind = Literal["xgboost", "lightgbm", "linear", "ensemble"]
MODEL_KINDS: tuple[str, ...] = get_args(ModelKind)


class Universe(Section):
    """Which assets may be traded when deciding on a session."""

    min_listed: int = Field(default=60, ge=0, description="sessions since listing, at least")
    min_turnover: float = Field(default=1.0e7, ge=0, description="mean total_turnover of 20 sessions, CNY, at least")
    exclude_st: Bool = Field(default=True, description="leave out special-treatment (ST) stocks")


class Data(Section):
    """Which bars: the store, the asset class, the span, the universe."""

    store: str = Field(default="./store", description="folder of the feature store, relative to --home")
    asset_class: Literal["CS"] = Field(default="CS", description="stocks")
    start: datetime.date | None = Field(default=None, description="first session; null: the first one stored")
    end: datetime.date | None = Field(default=None, description="last session; null: the last one stored")
    universe: Universe = Universe()
    benchmark: str | None = Field(default=None, description="order_book_id of an index, quoted: '000300.XSHG'")


class Features(Section):
    """Which factors become columns: the sets, families and names, less the excluded, and the expressions."""

    sets: Words = Field(default=("stock_core",), description="named sets of factors")
    families: Words = Field(default=(), description="families of factors, with all their windows")
    names: Words = Field(default=(), description="single factors")
    exclude: Words = Field(default=(), description="factors to leave out")
    expressions: dict[str, str] = Field(
        default={}, description="factors of one's own: name: expression, in daybar's syntax or qlib's"
    )


class Label(Section):
    """What is to be predicted."""

    kind: Literal["excess_return"] = Field(default="excess_return", description="log return less that of the excess")
    horizon: Sessions = Field(default=5, le=60, description="sessions from entry to exit")
    entry: Entry = Field(default="next_open", description="price of entry, and of exit `horizon` sessions later")
    excess: Excess = Field(default="universe", description="what is subtracted")
    transform: Literal["rank_normal", "zscore", "raw"] = Field(
        default="rank_normal", description="per session, in training"
    )
    half_life: float | None = Field(
        default=None, gt=0, description="sessions after which a label counts half in the fit; null: all count alike"
    )
    delist_haircut: float = Field(default=0.5, ge=0, lt=1, description="share of the last close lost in a delisting")
    max_exit_delay: int = Field(
        default=20, ge=0, description="sessions that a blocked sale waits before it has no label"
    )


class Split(Section):
    """Purged walk-forward; the purge follows from the label and is not a setting."""

    kind: Literal["walk_forward"] = "walk_forward"
    mode: Literal["expanding", "rolling"] = Field(default="expanding", description="all the past, or `window`")
    train: Sessions = Field(default=500, description="sessions in the first training span")
    test: Sessions = Field(default=60, description="sessions in a test span")
    window: Sessions = Field(default=750, description="sessions in a training span when rolling")
    embargo: int = Field(default=5, ge=0, description="sessions left out beyond the label's reach")
    holdout: float = Field(default=0.2, gt=0, lt=1, description="share, at the end, kept out of every fold")


class Preprocess(Section):
    """Cross-sectional treatment of the columns, per session; columns are dropped per fold."""

    kind: Literal["rank", "zscore"] = Field(default="rank", description="trees: rank; linear: zscore")
    winsor: float = Field(default=5.0, gt=0, description="clip at this many MADs before a z-score")
    neutralise: Words = Field(default=(), description="factors whose effect is regressed out of every column")
    min_coverage: float = Field(default=0.6, ge=0, le=1, description="drop a column defined on less than this share")
    indicator_above: float = Field(default=0.05, ge=0, le=1, description="mark gaps in a column above this share")


class Model(Section):
    """Which learner, with which settings; settings left out take the defaults of its spec."""

    kind: ModelKind
    params: dict[str, Any] = Field(default={}, description="settings of the learner's spec")

    @field_validator("params", mode="after")
    @classmethod
    def _complete(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        return complete_params(params, alpha.alpha_model(info.data["kind"])) if "kind" in info.data else params

    def spec(self) -> AlphaSpec:
        """The spec of the learner: the frozen dataclass in models/alpha with these params."""
        return alpha.alpha_model(self.kind)(**self.params)


class Intervals(Section):
    """The band that comes with each prediction: quantile trees, conformalised on what came after them."""

    coverage: float = Field(default=0.9, gt=0, lt=1, description="share of outcomes that the band shall hold")
    calibration: int = Field(default=120, ge=20, description="sessions with complete labels that widen or narrow it")
    rate: float = Field(default=0.05, ge=0, lt=1, description="step of the adaptive level after each session")
    trees: int = Field(default=200, ge=1, description="trees a quantile")
    depth: int = Field(default=4, ge=1, description="of these trees")


class Tune(Section):
    """How `daybar tune` searches the model's space."""

    trials: int = Field(default=60, ge=1, description="trials that the study shall have, finished or pruned")
    startup: int = Field(default=10, ge=1, description="random trials before the sampler learns, and before pruning")
    spread_penalty: float = Field(
        default=0.5, ge=0, description="the objective is mean RankIC less this times its spread over months"
    )
    combinatorial: int = Field(
        default=0, ge=0, description="best trials fitted again on combinatorial purged splits, for the PBO; 0: none"
    )


class Evaluate(Section):
    """How the scores are judged."""

    top_k: int = Field(default=50, ge=1, description="names held long")
    capital: float = Field(default=1.0e8, gt=0, description="CNY; sets impact and capacity")
    min_names: int = Field(default=200, ge=2, description="names with score and label that a session needs to count")
    entry: Entry | None = Field(default=None, description="price of trading in the headline; null: the label's")


class AlphaConfig(Document):
    """A run of the alpha task."""

    task: Literal["alpha"] = "alpha"
    data: Data = Data()
    features: Features = Features()
    label: Label = Label()
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    model: Model
    intervals: Intervals | None = Field(default=Intervals(), description="null: scores without mu_hat's band")
    evaluate: Evaluate = Evaluate()
    tune: Tune = Tune()

    def contradictions(self) -> list[tuple[str, str, str]]:
        """Settings that are well in themselves and not together: key path, what must hold, what was found."""
        data, split = self.data, self.split
        wrong = []
        if data.start and data.end and data.start >= data.end:
            wrong.append(("data.start", "the start must lie before the end", f"{data.start} and {data.end}"))
        if self.label.excess == "benchmark" and data.benchmark is None:
            wrong.append(("label.excess", "an excess over the benchmark needs data.benchmark", "data.benchmark null"))
        if split.mode == "rolling" and split.window < split.train:
            wrong.append(("split.window", "a rolling window must not be shorter than split.train", f"{split.window}"))
        held_back = self._held_back()
        if split.train <= held_back:
            must = f"the first training span must exceed the {held_back} sessions that the bands need for themselves"
            wrong.append(("split.train", f"{must}: train longer, lower intervals.calibration, or set intervals: null",
                          f"{split.train}"))  # fmt: skip
        chosen = self.features
        if not (chosen.sets or chosen.families or chosen.names or chosen.expressions):
            wrong.append(("features", "sets, families, names or expressions must name a factor", "none"))
        return wrong

    def _held_back(self) -> int:
        """Sessions before a test that the trees of its band do not learn from, and as many as two of their outcomes."""
        if self.intervals is None:
            return 0
        reach = self.label.horizon + 1
        return self.intervals.calibration + self.label.max_exit_delay + 3 * reach + self.split.embargo
