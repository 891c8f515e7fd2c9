"""What every config shares: strict sections, the words of YAML, a model with its params, and a whole document.

Sessions are trading days, money is CNY, shares are decimals. An unknown key, a wrong type or a value out of range is a
ConfigError that names file and line (training/config.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, Self, cast, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError

from features.panel import Refusal
from training.yaml_source import dump, parse


def _word_to_bool(value: object) -> object:
    """The words of YAML 1.1 where a bool is due."""
    words = {"yes": True, "on": True, "no": False, "off": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


Bool = Annotated[bool, BeforeValidator(_word_to_bool)]
Sessions = Annotated[int, Field(ge=1)]
Words = tuple[str, ...]


class Section(BaseModel):
    """A part of a config: every key is known, and nothing is converted in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)


class Registration(Section):
    """The name in the model registry, and the alias that serving follows."""

    name: str = Field(min_length=1)
    alias: str = "champion"


class Document(Section):
    """A whole run of any task; `training.config.load` makes one from a file."""

    name: str = Field(min_length=1, description="name of the run")
    task: str
    seed: int = Field(default=0, ge=0, description="the one source of randomness")
    registration: Registration | None = Field(default=None, alias="register")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for path, must, found in self.contradictions():
            raise PydanticCustomError("contradiction", "{must}", {"must": must, "found": found, "path": path})
        return self

    def contradictions(self) -> list[tuple[str, str, str]]:
        """Settings that are well in themselves and not together: key path, what must hold, what was found."""
        return []

    def settings(self) -> dict[str, Any]:
        """Every setting, defaults included, as plain data under the keys of the file."""
        return self.model_dump(mode="python", by_alias=True)

    def dump(self) -> str:
        """The resolved document: no `extends`, every default written out; `load` reads it back to an equal one."""
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


def complete_params(params: Mapping[str, Any], spec: Callable[..., Any]) -> dict[str, Any]:
    """The params of a spec with its defaults filled in; errors carry the key path of the setting that is wrong."""
    try:
        full = dict(params_model(spec).model_validate(params))
        spec(**full)
    except ValidationError as error:
        told: dict[str, Any] = {"count": error.error_count(), "errors": error.errors()}
        raise PydanticCustomError("nested", "{count} settings are wrong", told) from None
    except Refusal as error:
        told = {"must": error.must, "found": error.found, "help": error.help}
        raise PydanticCustomError("spec", "{must}; found {found}", told) from None
    return full


def params_model(spec: Callable[..., Any]) -> type[BaseModel]:
    """The strict shape of a model's params: the fields of its spec, a frozen dataclass, with its defaults."""
    hints = get_type_hints(spec)
    shape: dict[str, Any] = {}
    for one in fields(cast(Any, spec)):
        default: Any = ... if one.default is MISSING else one.default
        if one.default_factory is not MISSING:
            default = Field(default_factory=one.default_factory)
        hint = Bool if hints[one.name] is bool else hints[one.name]
        shape[one.name] = (hint, default)
    return create_model(f"{spec.__name__}Params", __base__=Section, **shape)
