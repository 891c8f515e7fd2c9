"""A scorer: raw factor values in, scores out. What training fits is what serving loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.panel import BoolArray, DataError, Float32Array, Float64Array, IntArray
from features.scratch import IN_MEMORY, Scratch
from models.alpha import load_alpha
from models.base import AlphaSpec, FittedAlpha, Sample
from models.blocks import blocks
from training.preprocess import FittedPreprocess, Preprocess

Given = TypeVar("Given", bound=np.generic)
_FORMAT: Final = 1  # of scorer.json


@dataclass(frozen=True)
class Scorer:
    """The columns of a matrix, how they are made comparable, and the model that scores them."""

    preprocess: FittedPreprocess
    model: FittedAlpha

    def __post_init__(self) -> None:
        if self.preprocess.out_columns != self.model.columns:
            raise DataError(
                "scorer",
                "its model must have been fitted on what its preprocessing gives",
                f"{len(self.model.columns)} and {len(self.preprocess.out_columns)} columns that differ",
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """K raw factors, in the order in which `score` takes them."""
        return self.preprocess.columns

    def score(
        self,
        values: Float32Array,
        session: IntArray,
        group: IntArray | None = None,
        weight: Float64Array | None = None,
        rows: BoolArray | None = None,
    ) -> Float64Array:
        """Scores (M,) of raw factor values (M, K), in the order of `columns`; higher is better.

        The rows of a session must be its whole universe, since a factor counts by its rank among them. A missing value
        is NaN. `group` and `weight` are those of `FittedPreprocess.transform`, given if the fit had them.
        rows    (M,) mask of whole sessions that are scored; the others get NaN
        Errors  DataError for rows that do not fit the columns, are unsorted or infinite
        """
        self.preprocess.require_rows(values, session, group, weight)
        _require_whole_sessions(session, rows)
        out = np.full(len(session), np.nan)
        # Sessions are independent: a long history needs the room of a block beside it.
        for part in blocks(values, session, rows):
            X = self.preprocess.transform(values[part], session[part], _cut(group, part), _cut(weight, part))
            out[part] = self.model.predict(X, session[part])
        return out

    def save(self, folder: Path) -> None:
        """Write scorer.json and the model's own files in model/."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {
            "format": _FORMAT,
            "kind": self.model.kind,
            "columns": self.columns,
            "out_columns": self.preprocess.out_columns,
            "preprocess": self.preprocess.to_dict(),
        }
        (folder / "scorer.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
        self.model.save(folder / "model")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; DataError if the folder holds no scorer of this format."""
        path = folder / "scorer.json"
        if not path.is_file():
            raise DataError("scorer", "its folder must hold scorer.json", "none", str(folder))
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise DataError("scorer", f"its format must be {_FORMAT}", str(told["format"]), str(path))
        return cls(FittedPreprocess.from_dict(told["preprocess"]), load_alpha(folder / "model"))


def standardised(
    preprocess: Preprocess,
    values: Float32Array,
    session: IntArray,
    y: Float64Array,
    weight: Float64Array,
    columns: Sequence[str],
    gap: int,
    group: IntArray | None = None,
    regression_weight: Float64Array | None = None,
    *,
    rows: BoolArray | None = None,
    scratch: Scratch = IN_MEMORY,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[FittedPreprocess, Sample]:
    """The labelled rows of a fold made comparable, and what made them so; as `fit_scorer` takes them."""
    _require_whole_sessions(session, rows)
    fitted = preprocess.fit(values, session, columns, group, regression_weight, rows)
    labelled = ~np.isnan(y) if rows is None else ~np.isnan(y) & rows
    # A row without a label was in the universe all the same: it counts in the ranks of its session, as it will when
    # the model is served, and only then it is left out.
    made = (
        fitted.transform(
            values[part], session[part], _cut(group, part), _cut(regression_weight, part), rows=labelled[part]
        )
        for part in blocks(values, session, rows)
    )
    X = scratch.stack("standardised rows", int(labelled.sum()), len(fitted.out_columns), made, say)
    return fitted, Sample(X, y[labelled], session[labelled], weight[labelled], fitted.out_columns, gap)


def fit_scorer(
    spec: AlphaSpec,
    preprocess: Preprocess,
    values: Float32Array,
    session: IntArray,
    y: Float64Array,
    weight: Float64Array,
    columns: Sequence[str],
    gap: int,
    seed: int,
    group: IntArray | None = None,
    regression_weight: Float64Array | None = None,
    *,
    rows: BoolArray | None = None,
    scratch: Scratch = IN_MEMORY,
    say: Callable[[str], None] = lambda line: None,
) -> Scorer:
    """Fit preprocessing and model on the rows of a fold.

    values   (M, K) float32 raw factors of the whole universe of each session, NaN where missing
    session  (M,) positions on the calendar, non-decreasing
    y        (M,) labels, NaN where there is none
    weight   (M,) of the labels in the loss; ignored where there is no label
    gap      sessions that a label reaches beyond its row
    group, regression_weight   industry codes and weights of the neutralising regressions
    rows     (M,) mask of the whole sessions of the fold, not copied; None for all
    scratch  how large the standardised rows may be in memory; larger ones lie in a file
    say      told the size of large ones
    Errors   DataError for values, FitError for labels and for a model that cannot be estimated
    """
    given = values, session, y, weight, columns, gap, group, regression_weight
    fitted, sample = standardised(preprocess, *given, rows=rows, scratch=scratch, say=say)
    return Scorer(fitted, spec.fit(sample, seed))


def _require_whole_sessions(session: IntArray, rows: BoolArray | None) -> None:
    """Refuse a mask of rows (M,) that cuts a session: ranks among a part of its universe are other ranks."""
    if rows is None:
        return
    if rows.shape != session.shape:
        raise DataError("scorer", f"rows must have the shape {session.shape}", f"{rows.shape}")
    cut = np.flatnonzero((np.diff(session) == 0) & (rows[1:] != rows[:-1]))
    if len(cut):
        raise DataError("scorer", "rows must name whole sessions", f"a part of session {session[cut[0]]}")


def _cut(values: NDArray[Given] | None, part: slice) -> NDArray[Given] | None:
    return None if values is None else values[part]
