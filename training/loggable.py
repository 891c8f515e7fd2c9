"""Values in the form that a tracking store can hold: flat names, short text, plain JSON, batches."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import numpy as np
import polars as pl

from features.panel import DataError

T = TypeVar("T")
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, text); lists are JSON, None is null."""
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            yield from flat(value, name)
        elif isinstance(value, list | tuple | Mapping):
            yield name, json.dumps(plain(value), ensure_ascii=False)
        else:
            yield name, "null" if value is None else str(value)


def cut(text: str, longest: int) -> str:
    """The text, or its beginning and how much is missing."""
    return text if len(text) <= longest else f"{text[: longest - 30]}… (+{len(text) - longest + 30} characters)"


def plain(value: object) -> Json:
    """What JSON can say: NaN and infinities are null, arrays lists, dates ISO text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [plain(inner) for inner in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def chunks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values in lists of at most `size`."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk


def table(frame: pl.DataFrame, suffix: str) -> bytes:
    """A table as the contents of a file; .json is the form that MLflow's UI shows as a table.

    Errors  DataError for another suffix
    """
    if suffix == ".json":
        rows = [[plain(cell) for cell in row] for row in frame.rows()]
        return json.dumps({"columns": frame.columns, "data": rows}, ensure_ascii=False).encode()
    if suffix == ".html":
        return str(frame.to_pandas().to_html(index=False, border=0)).encode()
    if suffix == ".csv":
        return frame.write_csv().encode()
    if suffix == ".parquet":
        stream = io.BytesIO()
        frame.write_parquet(stream)
        return stream.getvalue()
    raise DataError("table", "its name must end in .parquet, .csv, .html or .json", suffix or "nothing")
