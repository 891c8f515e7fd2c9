"""What a run is told: one strict document, checked to the last key before any data is read.

Sessions are trading days, money is CNY, shares are decimals. An unknown key, a wrong type or a value out of range is a
ConfigError that names file and line.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast, get_args, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

import models.alpha as alpha
from features.panel import ConfigError, Refusal
from models.base import AlphaSpec
from training.complaint import complaint
from training.excess import Excess
from training.fills import Entry
from training.yaml_source import dump, override, parse, read

__all__ = ["Config", "ConfigError", "json_schema", "load"]

ModelKind = Literal["xgboost", "lightgbm", "linear", "ensemble"]
MODEL_KINDS: tuple[str, ...] = get_args(ModelKind)


def _word_to_bool(value: object) -> object:
    """The words of YAML 1.1 where a bool is due."""
    words = {"yes": True, "on": True, "no": False, "off": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


Bool = Annotated[bool, BeforeValidator(_word_to_bool)]
Sessions = Annotated[int, Field(ge=1)]
Words = tuple[str, ...]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)


class Universe(_Section):
    """Which assets may be traded when deciding on a session."""

    min_listed: int = Field(default=60, ge=0, description="sessions since listing, at least")
    min_turnover: float = Field(default=1.0e7, ge=0, description="mean total_turnover of 20 sessions, CNY, at least")
    exclude_st: Bool = Field(default=True, description="leave out special-treatment (ST) stocks")


class Data(_Section):
    """Which bars: the store, the asset class, the span, the universe."""

    store: str = Field(default="./store", description="folder of the feature store, relative to --home")
    asset_class: Literal["CS"] = Field(default="CS", description="stocks")
    start: datetime.date | None = Field(default=None, description="first session; null: the first one stored")
    end: datetime.date | None = Field(default=None, description="last session; null: the last one stored")
    universe: Universe = Universe()
    benchmark: str | None = Field(default=None, description="order_book_id of an index, quoted: '000300.XSHG'")


class Features(_Section):
    """Which factors become columns: the sets, families and names, less the excluded, and the expressions."""

    sets: Words = Field(default=("stock_core",), description="named sets of factors")
    families: Words = Field(default=(), description="families of factors, with all their windows")
    names: Words = Field(default=(), description="single factors")
    exclude: Words = Field(default=(), description="factors to leave out")
    expressions: dict[str, str] = Field(
        default={}, description="factors of one's own: name: expression, in daybar's syntax or qlib's"
    )


class Label(_Section):
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


class Split(_Section):
    """Purged walk-forward; the purge follows from the label and is not a setting."""

    kind: Literal["walk_forward"] = "walk_forward"
    mode: Literal["expanding", "rolling"] = Field(default="expanding", description="all the past, or `window`")
    train: Sessions = Field(default=500, description="sessions in the first training span")
    test: Sessions = Field(default=60, description="sessions in a test span")
    window: Sessions = Field(default=750, description="sessions in a training span when rolling")
    embargo: int = Field(default=5, ge=0, description="sessions left out beyond the label's reach")
    holdout: float = Field(default=0.2, gt=0, lt=1, description="share, at the end, kept out of every fold")


class Preprocess(_Section):
    """Cross-sectional treatment of the columns, per session; columns are dropped per fold."""

    kind: Literal["rank", "zscore"] = Field(default="rank", description="trees: rank; linear: zscore")
    winsor: float = Field(default=5.0, gt=0, description="clip at this many MADs before a z-score")
    neutralise: Words = Field(default=(), description="factors whose effect is regressed out of every column")
    min_coverage: float = Field(default=0.6, ge=0, le=1, description="drop a column defined on less than this share")
    indicator_above: float = Field(default=0.05, ge=0, le=1, description="mark gaps in a column above this share")


class Model(_Section):
    """Which learner, with which settings; settings left out take the defaults of its spec."""

    kind: ModelKind
    params: dict[str, Any] = Field(default={}, description="settings of the learner's spec")

    @field_validator("params", mode="after")
    @classmethod
    def _complete(cls, params: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "kind" not in info.data:
            return params
        try:
            full = dict(params_model(info.data["kind"]).model_validate(params))
            _spec(info.data["kind"], full)
        except ValidationError as error:
            raise PydanticCustomError("nested", "{count} settings are wrong", _nested(error)) from None
        except Refusal as error:
            told = {"must": error.must, "found": error.found, "help": error.help}
            raise PydanticCustomError("spec", "{must}; found {found}", told) from None
        return full

    def spec(self) -> AlphaSpec:
        """The spec of the learner: the frozen dataclass in models/alpha with these params."""
        return _spec(self.kind, self.params)


def _nested(error: ValidationError) -> dict[str, Any]:
    return {"count": error.error_count(), "errors": error.errors()}


def _spec(kind: str, params: Mapping[str, Any]) -> AlphaSpec:
    return alpha.alpha_model(kind)(**params)


class Intervals(_Section):
    """The band that comes with each prediction: quantile trees, conformalised on what came after them."""

    coverage: float = Field(default=0.9, gt=0, lt=1, description="share of outcomes that the band shall hold")
    calibration: int = Field(default=120, ge=20, description="sessions with complete labels that widen or narrow it")
    rate: float = Field(default=0.05, ge=0, lt=1, description="step of the adaptive level after each session")
    trees: int = Field(default=200, ge=1, description="trees a quantile")
    depth: int = Field(default=4, ge=1, description="of these trees")


class Tune(_Section):
    """How `daybar tune` searches the model's space."""

    trials: int = Field(default=60, ge=1, description="trials that the study shall have, finished or pruned")
    startup: int = Field(default=10, ge=1, description="random trials before the sampler learns, and before pruning")
    spread_penalty: float = Field(
        default=0.5, ge=0, description="the objective is mean RankIC less this times its spread over months"
    )
    combinatorial: int = Field(
        default=0, ge=0, description="best trials fitted again on combinatorial purged splits, for the PBO; 0: none"
    )


class Evaluate(_Section):
    """How the scores are judged."""

    top_k: int = Field(default=50, ge=1, description="names held long")
    capital: float = Field(default=1.0e8, gt=0, description="CNY; sets impact and capacity")
    min_names: int = Field(default=200, ge=2, description="names with score and label that a session needs to count")
    entry: Entry | None = Field(default=None, description="price of trading in the headline; null: the label's")


class Registration(_Section):
    """The name in the model registry, and the alias that serving follows."""

    name: str = Field(min_length=1)
    alias: str = "champion"


class Config(_Section):
    """A whole run; `load` makes one from a file."""

    name: str = Field(min_length=1, description="name of the run")
    task: Literal["alpha"] = "alpha"
    seed: int = Field(default=0, ge=0, description="the one source of randomness")
    data: Data = Data()
    features: Features = Features()
    label: Label = Label()
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    model: Model
    intervals: Intervals | None = Field(default=Intervals(), description="null: scores without mu_hat's band")
    evaluate: Evaluate = Evaluate()
    tune: Tune = Tune()
    registration: Registration | None = Field(default=None, alias="register")

    @model_validator(mode="after")
    def _agree(self) -> Config:
        for path, must, found in self._contradictions():
            raise PydanticCustomError("contradiction", "{must}", {"must": must, "found": found, "path": path})
        return self

    def _contradictions(self) -> list[tuple[str, str, str]]:
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

    def settings(self) -> dict[str, Any]:
        """Every setting, defaults included, as plain data under the keys of the file."""
        return self.model_dump(mode="python", by_alias=True)

    def dump(self) -> str:
        """The resolved document: no `extends`, every default written out; `load` reads it back to an equal Config."""
        return dump(self.settings())

    @classmethod
    def of_dump(cls, text: str) -> Self:
        """Read back what `dump` gave."""
        return cls.model_validate(parse(text, "a dumped config")[0])

    @property
    def hash(self) -> str:
        """Twelve hex digits over every setting; equal settings give equal hashes however they were written."""
        text = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """The config in a file, laid over what it extends, with `a.b.c=value` overrides applied in order.

    Errors  ConfigError with file and line: not YAML, a repeated or unknown key, a wrong type, a value out of range
    """
    document = read(Path(path))
    for assignment in overrides:
        document = override(document, assignment)
    try:
        return Config.model_validate(document.data)
    except ValidationError as error:
        raise complaint(flat_errors(error.errors()), document, known_keys(document.data)) from None


def flat_errors(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Errors with those of nested settings moved up to their own key path."""
    flat: list[ErrorDetails] = []
    for error in errors:
        inner = error.get("ctx", {}).get("errors") if error["type"] == "nested" else None
        flat += [cast(ErrorDetails, {**one, "loc": (*error["loc"], *one["loc"])}) for one in inner or ()] or [error]
    return flat


def known_keys(data: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The keys that each mapping of a document may hold, by the mapping's path; params follow data's model.kind."""
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def visit(section: type[BaseModel], path: tuple[str, ...]) -> None:
        known[path] = tuple(field.alias or name for name, field in section.model_fields.items())
        for name, field in section.model_fields.items():
            for part in (field.annotation, *get_args(field.annotation)):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    visit(part, (*path, field.alias or name))

    visit(Config, ())
    model = data.get("model")
    if isinstance(model, Mapping) and model.get("kind") in MODEL_KINDS:
        known["model", "params"] = tuple(params_model(model["kind"]).model_fields)
    return known


def params_model(kind: str) -> type[BaseModel]:
    """The strict shape of `model.params`: the fields of the spec in models/alpha, with its defaults."""
    spec = alpha.alpha_model(kind)
    hints = get_type_hints(spec)
    shape: dict[str, Any] = {}
    for one in fields(cast(Any, spec)):
        default: Any = ... if one.default is MISSING else one.default
        if one.default_factory is not MISSING:
            default = Field(default_factory=one.default_factory)
        hint = Bool if hints[one.name] is bool else hints[one.name]
        shape[one.name] = (hint, default)
    return create_model(f"{spec.__name__}Params", __base__=_Section, **shape)


def json_schema() -> dict[str, Any]:
    """JSON Schema of a config file for editors: no key is required, since a file may extend another."""
    schema = Config.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    definitions["Model"]["allOf"] = []
    for kind in MODEL_KINDS:
        params = params_model(kind).model_json_schema(ref_template="#/$defs/{model}")
        definitions |= params.pop("$defs", {})
        definitions[params["title"]] = params
        when = {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}}
        then = {"then": {"properties": {"params": {"$ref": f"#/$defs/{params['title']}"}}}}
        definitions["Model"]["allOf"].append({**when, **then})
    for part in (schema, *definitions.values()):
        part.pop("required", None)
    schema["properties"]["extends"] = {"type": "string", "description": "a config to lay this one over, relative to it"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


if __name__ == "__main__":  # python -m training.config > configs/schema.json
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
