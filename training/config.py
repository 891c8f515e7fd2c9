"""What a run is told: one strict document, checked to the last key before any data is read.

The key `task` says which: training/{alpha,spread,term,volatility}_config.py. An unknown key, a wrong type or a value
out of range is a ConfigError that names file and line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from features.panel import ConfigError
from models.alpha import alpha_model
from models.volatility import volatility_model
from training.alpha_config import MODEL_KINDS, AlphaConfig
from training.complaint import complaint, nearest
from training.section import params_model
from training.spread_config import SPREAD_KINDS, SpreadConfig, spec_of
from training.term_config import TermConfig
from training.volatility_config import VOLATILITY_KINDS, VolatilityConfig
from training.yaml_source import override, parse, read

__all__ = ["Config", "ConfigError", "json_schema", "load", "of_dump"]

Config = AlphaConfig | SpreadConfig | TermConfig | VolatilityConfig
TASKS: Final[Mapping[str, type[Config]]] = {
    "alpha": AlphaConfig,
    "spread": SpreadConfig,
    "term_structure": TermConfig,
    "volatility": VolatilityConfig,
}
# What models a task knows, and the spec behind each.
_KINDS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[str], type]]]] = {
    "alpha": (MODEL_KINDS, alpha_model),
    "spread": (SPREAD_KINDS, spec_of),
    "volatility": (VOLATILITY_KINDS, volatility_model),
}


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """The config in a file, laid over what it extends, with `a.b.c=value` overrides applied in order.

    Errors  ConfigError with file and line: not YAML, a repeated or unknown key, a wrong type, a value out of range
    """
    document = read(Path(path))
    for assignment in overrides:
        document = override(document, assignment)
    task = document.data.get("task", "alpha")
    if not isinstance(task, str) or task not in TASKS:
        mark = document.mark(("task",))
        who = f"{mark} task" if mark.line else f"{mark}"
        raise ConfigError(
            who, f"it must be one of {', '.join(TASKS)}", repr(task), help=nearest(str(task), tuple(TASKS))
        )
    try:
        return TASKS[task].model_validate(document.data)
    except ValidationError as error:
        raise complaint(flat_errors(error.errors()), document, known_keys(document.data)) from None


def of_dump(text: str) -> Config:
    """The config that `Document.dump` wrote, of whatever task it is."""
    data = parse(text, "a dumped config")[0]
    task = data.get("task") if isinstance(data, dict) else None
    return TASKS[str(task)].model_validate(data)


def tunable(config: Config) -> AlphaConfig | VolatilityConfig:
    """The config, where its task has a space to search; ConfigError for another."""
    if not isinstance(config, AlphaConfig | VolatilityConfig):
        help = "Compare settings by training with them."
        raise ConfigError("tune", "its config must be of the task alpha or volatility", config.task, help=help)
    return config


def alpha_config(config: Config, who: str) -> AlphaConfig:
    """The config, where it is of the alpha task; ConfigError where `who` cannot do anything with another."""
    if not isinstance(config, AlphaConfig):
        raise ConfigError(who, "its config must be of the task alpha", config.task, help="Give configs/alpha_xgb.yaml.")
    return config


def flat_errors(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Errors with those of nested settings moved up to their own key path."""
    flat: list[ErrorDetails] = []
    for error in errors:
        inner = error.get("ctx", {}).get("errors") if error["type"] == "nested" else None
        flat += [cast(ErrorDetails, {**one, "loc": (*error["loc"], *one["loc"])}) for one in inner or ()] or [error]
    return flat


def known_keys(data: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The keys that each mapping of a document may hold, by the mapping's path; params follow the data's kinds."""
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def visit(section: type[BaseModel], path: tuple[str, ...], there: object) -> None:
        known[path] = tuple(field.alias or name for name, field in section.model_fields.items())
        for name, field in section.model_fields.items():
            key = field.alias or name
            below = there.get(key) if isinstance(there, Mapping) else None
            for part in (field.annotation, *get_args(field.annotation)):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    # A mapping of sections has one under each of its keys.
                    named = below if part is not field.annotation and key == "models" else None
                    for one in named or () if isinstance(named, Mapping) else ("",):
                        visit(part, (*path, key, one) if one else (*path, key), named[one] if named else below)

    visit(TASKS.get(str(data.get("task", "alpha")), AlphaConfig), (), data)
    for path, model in _models(data):
        if isinstance(model, Mapping) and (spec := _spec_of(str(model.get("kind")))) is not None:
            known[*path, "params"] = tuple(params_model(spec).model_fields)
    return known


def _models(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every model of a document with its key path."""
    if "model" in data:
        yield ("model",), data["model"]
    several = data.get("models")
    if isinstance(several, Mapping):
        yield from (((("models", str(name))), one) for name, one in several.items())


def _spec_of(kind: str) -> type | None:
    return next((spec(kind) for kinds, spec in _KINDS.values() if kind in kinds), None)


def json_schema() -> dict[str, Any]:
    """JSON Schema of a config file for editors: no key is required, since a file may extend another.

    A file that says no task of its own is read as one of the alpha task.
    """
    definitions: dict[str, Any] = {}
    for task, told in TASKS.items():
        schema = told.model_json_schema(by_alias=True, ref_template=f"#/$defs/{task}_{{model}}")
        for name, part in schema.pop("$defs").items():
            definitions[f"{task}_{name}"] = part
        schema["properties"]["extends"] = {
            "type": "string",
            "description": "a config to lay this one over, relative to it",
        }
        definitions[told.__name__] = schema
    for task, (kinds, _) in _KINDS.items():
        definitions[f"{task}_Model"]["allOf"] = [_params_of(kind, definitions) for kind in kinds]
    for part in definitions.values():
        part.pop("required", None)
    of_task = {name: {"properties": {"task": {"const": name}}, "required": ["task"]} for name in TASKS}
    rules = [{"if": of_task[name], "then": {"$ref": f"#/$defs/{told.__name__}"}} for name, told in TASKS.items()]
    unsaid = {"if": {"not": {"required": ["task"]}}, "then": {"$ref": "#/$defs/AlphaConfig"}}
    schema_of_schemas = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": schema_of_schemas, "$defs": definitions, "type": "object", "allOf": [*rules, unsaid]}


def _params_of(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The rule that ties a kind to its params, whose shape joins the definitions."""
    spec = _spec_of(kind)
    if spec is None:
        raise ConfigError("JSON schema", "every kind must have a spec", kind)
    params = params_model(spec).model_json_schema(ref_template="#/$defs/{model}")
    definitions |= params.pop("$defs", {})
    definitions[params["title"]] = params
    when = {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}}
    return {**when, "then": {"properties": {"params": {"$ref": f"#/$defs/{params['title']}"}}}}


if __name__ == "__main__":  # python -m training.config > configs/schema.json
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
