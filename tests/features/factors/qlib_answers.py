"""What pyqlib itself computed on a small market with every kind of gap, and the same factors here; for both sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.engine import evaluate
from features.factor import Family
from features.fields import QLIB_FIELDS
from features.graph import Node

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
FIELDS = ("open", "high", "low", "close", "vwap", "volume")


def panels(frame: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Column -> (T, N), of a frame with a row for each session and asset, in that order."""
    n = frame["asset"].n_unique()
    columns = [c for c in frame.columns if c not in ("session", "asset")]
    return {c: frame[c].cast(pl.Float64).fill_null(float("nan")).to_numpy().reshape(-1, n) for c in columns}


def expressions(name: str) -> dict[str, str]:
    """qlib's name -> expression of a set, in qlib's order."""
    texts: dict[str, dict[str, str]] = json.loads((GOLDEN / "expressions_by_qlib.json").read_text(encoding="utf-8"))
    return texts[name]


def both(name: str, family: Family) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Of a set, qlib's name -> our panel, and qlib's: on the sessions of qlib's file, NaN where there is no bar."""
    inputs = pl.read_parquet(GOLDEN / "inputs_by_qlib.parquet")
    answers = pl.read_parquet(GOLDEN / f"{name}_by_qlib.parquet")
    bars = panels(inputs)
    rows = np.isin(inputs["session"].unique().sort(), answers["session"].unique().sort())
    # Nothing is adjusted: the level is 1.
    leaves = {QLIB_FIELDS["CS"][f]: bars[f] for f in FIELDS}
    nodes: dict[str, Node] = {f.name: f.graph(frozenset(leaves)) for f in family}
    shape = bars["close"].shape
    ours = evaluate(nodes, leaves, shape)
    traded = np.isfinite(bars["close"])[rows]
    want = panels(answers)

    def there(panel: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(traded & np.isfinite(panel), panel, np.nan)

    return (
        {q: there(ours[f"{name}_{q.lower()}"][rows]) for q in want},
        {q: there(panel) for q, panel in want.items()},
    )
