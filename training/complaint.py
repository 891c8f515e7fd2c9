"""What a user reads when a config is refused: file and line, the key's path, what must hold, the nearest known key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from features.panel import ConfigError
from training.yaml_source import Document, KeyPath, dotted

Known = Mapping[tuple[str, ...], tuple[str, ...]]


def complaint(errors: Sequence[ErrorDetails], document: Document, known: Known) -> ConfigError:
    """The first error by line as a ConfigError; the others are listed in its help."""
    told = sorted((_told(error, document, known) for error in errors), key=lambda one: one[0])
    _, who, must, found, cure = told[0]
    more = [f"also {w}: {m}; found {f}" for _, w, m, f, _ in told[1:6]]
    return ConfigError(who, must, found, help="\n  ".join([line for line in [cure, *more] if line]))


def nearest(word: str, words: Sequence[str]) -> str:
    """`did you mean ...?` with the closest of the words, or all of them."""
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known here: {', '.join(words)}"


def _told(error: ErrorDetails, document: Document, known: Known) -> tuple[tuple[str, int], str, str, str, str]:
    context: Mapping[str, Any] = error.get("ctx", {})
    path: KeyPath = _written(error, document)
    if error["type"] == "contradiction":
        path = tuple(context["path"].split("."))
        return _at(path, document, context["must"], context["found"], "")
    if error["type"] == "extra_forbidden":
        return _at(path, document, "the key must be a known one", repr(path[-1]), _elsewhere(path, known))
    if error["type"] == "missing":
        return _at(path, document, "the key must be given", "nothing", "")
    if error["type"] == "spec":
        return _at(path, document, context["must"], context["found"], context["help"])
    value = error["input"]
    found = document.mark(path).text or repr(value)
    return _at(path, document, _must(error), f"{found} ({_kind(value)})", _cure(error, value, found))


def _at(
    path: KeyPath, document: Document, must: str, found: str, help: str
) -> tuple[tuple[str, int], str, str, str, str]:
    mark = document.mark(path)
    who = f"{mark} {dotted(path)}" if mark.line else str(mark)
    return (mark.origin, mark.line), who, must, found, help


def _written(error: ErrorDetails, document: Document) -> KeyPath:
    """The part of pydantic's path that is in the file: branches of a union are not, a key that is missing is."""
    path: KeyPath = ()
    for part in error["loc"]:
        if (*path, part) in document.marks:
            path = (*path, part)
    return (*path, error["loc"][-1]) if error["type"] == "missing" else path


def _elsewhere(path: KeyPath, known: Known) -> str:
    """Where an unknown key may have belonged."""
    word, above = str(path[-1]), tuple(str(part) for part in path[:-1])
    here = known.get(above, ())
    close = difflib.get_close_matches(word, here, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    for section, keys in known.items():
        if word in keys and section != above:
            return f"did you mean {dotted((*section, word))}?"
    return nearest(word, here)


def _must(error: ErrorDetails) -> str:
    plain = {"string_type": "text", "bool_type": "true or false", "tuple_type": "a list", "model_type": "a mapping"}
    plain |= {"int_type": "a whole number", "dict_type": "a mapping", "mapping_type": "a mapping"}
    if error["type"] in plain:
        return f"it must be {plain[error['type']]}"
    text = error["msg"].removeprefix("Input should be ")
    return f"it must be {text}" if text != error["msg"] else text


def _kind(value: object) -> str:
    names = {
        "NoneType": "null",
        "int": "a number",
        "float": "a number",
        "bool": "true or false",
        "str": "text",
        "tuple": "a list",
        "dict": "a mapping",
    }
    return names.get(type(value).__name__, type(value).__name__)


def _cure(error: ErrorDetails, value: object, found: str) -> str:
    kind = error["type"]
    if value is None and error["loc"][:2] == ("features", "expressions"):
        return "quote the expression: inside { } a comma ends what is not quoted"
    if kind == "string_type" and not isinstance(value, dict | tuple) and value is not None:
        return f"quote it: '{found}'"
    if kind == "bool_type":
        return "true, false, yes or no"
    if kind == "tuple_type":
        return f"write a list: [{found}]"
    if kind == "date_type":
        return "write the date as 2020-01-02, without quotes"
    if kind == "literal_error" and isinstance(value, str):
        return nearest(value, re.findall("'([^']*)'", str(error.get("ctx", {}).get("expected"))))
    if kind in ("int_type", "float_type", "int_from_float") and isinstance(value, str):
        return "write the number without quotes"
    return ""
