"""What changed between two sessions of one model: the order, the names on top, who lost a score and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from features.panel import ConfigError
from features.sessions import Day
from features.store import Store
from serving.compare_volatility import ABSENT, VolatilityComparison, compare_volatilities
from serving.predict import asof_session, load_served, predict_served
from serving.prediction import Served, columns_of, require_task
from serving.sink import stored
from training.tracking import ModelRef

__all__ = ["ABSENT", "Comparison", "VolatilityComparison", "compare", "compare_sessions"]

_MADE = {"alpha": "scored now", "volatility": "forecast now"}


@dataclass(frozen=True)
class Comparison:
    """Two sessions of one model, A then and B now.

    rank_correlation  Spearman's, over the assets that have a score on both; NaN with fewer than 3 of them
    both              assets that have a score on both
    rows              a row an asset of either: score and rank (1 best) then and now, change of rank (positive: up),
                      reason then and now where there is no score
    entering, leaving rows of those that are among the k best now and were not then, and the other way round
    moves             rows of the k largest changes of rank
    lost, gained      rows of those that have a score no more, or now
    """

    then: dt.date
    now: dt.date
    k: int
    rank_correlation: float
    both: int
    rows: pl.DataFrame = field(repr=False)

    @property
    def entering(self) -> pl.DataFrame:
        """Now among the k best, and not then; the best first."""
        return self.rows.filter(self._top("now") & ~self._top("then")).sort("rank_now")

    @property
    def leaving(self) -> pl.DataFrame:
        """Then among the k best, and not now; the best of then first."""
        return self.rows.filter(self._top("then") & ~self._top("now")).sort("rank_then")

    @property
    def moves(self) -> pl.DataFrame:
        """The k largest changes of rank, either way."""
        moved = self.rows.filter(pl.col("change").is_not_null() & (pl.col("change") != 0))
        return moved.sort(pl.col("change").abs(), "asset", descending=[True, False]).head(self.k)

    @property
    def lost(self) -> pl.DataFrame:
        """With a score then, without one now."""
        return self.rows.filter(pl.col("rank_then").is_not_null() & pl.col("rank_now").is_null()).sort("rank_then")

    @property
    def gained(self) -> pl.DataFrame:
        """Without a score then, with one now."""
        return self.rows.filter(pl.col("rank_then").is_null() & pl.col("rank_now").is_not_null()).sort("rank_now")

    def _top(self, when: str) -> pl.Expr:
        return pl.col(f"rank_{when}").le(self.k).fill_null(False)


def compare(then: pl.DataFrame, now: pl.DataFrame, k: int = 50) -> Comparison:
    """Compare two sessions' frames of predictions: columns asof, asset, score and reason."""
    sides = [_side(frame, when) for frame, when in ((then, "then"), (now, "now"))]
    rows = sides[0].join(sides[1], on="asset", how="full", coalesce=True).sort("asset")
    rows = rows.with_columns(
        pl.when(pl.col(f"score_{when}").is_null() & pl.col(f"reason_{when}").is_null())
        .then(pl.lit(ABSENT))
        .otherwise(f"reason_{when}")
        .alias(f"reason_{when}")
        for when in ("then", "now")
    ).with_columns(change=pl.col("rank_then") - pl.col("rank_now"))
    shared = rows.drop_nulls(["score_then", "score_now"])
    few = len(shared) < 3 or min(shared["score_then"].n_unique(), shared["score_now"].n_unique()) < 2
    found = float("nan") if few else float(spearmanr(shared["score_then"], shared["score_now"]).statistic)
    columns = ["asset", "score_then", "rank_then", "score_now", "rank_now", "change", "reason_then", "reason_now"]
    return Comparison(then["asof"][0], now["asof"][0], k, found, len(shared), rows.select(columns))


def compare_sessions(
    home: Path,
    store: Store | None,
    model: str,
    then: Day,
    now: Day,
    k: int = 50,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Comparison | VolatilityComparison, ModelRef, tuple[str, str]]:
    """Compare two sessions of a model, as they stand in the store or, where they do not, as they are predicted now.

    Gives   the comparison, the model, and for each session whether its rows were stored or made now
    """
    served = load_served(home, store, model)
    require_task(served.manifest, tuple(_MADE), "predict --diff")
    days = [asof_session(served, day) for day in (then, now)]
    if days[0] == days[1]:
        raise ConfigError(
            "predict --diff", "it must be given two sessions", f"{days[0]} twice", help="Give an earlier one."
        )
    frames = [_frame(served, day, progress) for day in days]
    (first, how_first), (second, how_second) = frames
    how = compare_volatilities if served.manifest.task == "volatility" else compare
    return how(first, second, k), served.ref, (how_first, how_second)


def _frame(served: Served, day: np.datetime64, progress: Callable[[int, int], None]) -> tuple[pl.DataFrame, str]:
    columns = columns_of(served.manifest)
    rows = stored(served.store, columns, served.ref.run_id).filter(pl.col("asof") == day.astype(object)).collect()
    # A withdrawn row may stand beside the one that took its place.
    rows = rows.sort(pl.col(columns.main).is_null(), maintain_order=True)
    rows = rows.unique(["asset", "horizon"], keep="first", maintain_order=True)
    if rows[columns.main].count():
        return rows, "stored"
    return predict_served(served, day, progress).frame, _MADE[served.manifest.task]


def _side(frame: pl.DataFrame, when: str) -> pl.DataFrame:
    rank = pl.col("score").rank("ordinal", descending=True).cast(pl.Int64)
    return frame.sort("asset").select(
        "asset",
        pl.col("score").alias(f"score_{when}"),
        rank.alias(f"rank_{when}"),
        pl.col("reason").alias(f"reason_{when}"),
    )
