"""What a model goes by, where it has learnt nothing: its columns on the test sessions of a fold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from features.factor import Factor
from models.alpha.importance import contributions, permutation_importance
from models.base import Sample
from training.alpha_config import AlphaConfig
from training.tasks.alpha import AlphaData, Scored

_ROWS = 20_000  # that are permuted; whole sessions, evenly spaced
_EXPLAINED = 2_000  # rows for TreeSHAP, which visits every tree for each
_MOST = 40  # columns that are permuted, those of the largest gain


def explained(config: AlphaConfig, data: AlphaData, scored: Scored, known: Mapping[str, Factor]) -> pl.DataFrame:
    """A row a column of the model, by its share of the gain: factor, 中文, gain, contribution, permutation.

    gain          share of the loss that splits on it have saved (of a line: of coefficient times spread), in the fit
    contribution  mean size of what it adds to a score on the test sessions, in units of the score (TreeSHAP)
    permutation   fall of the mean RankIC of the test sessions when it is permuted within 20 of them; null: not tried
    """
    table, fitted = data.matrix, scored.scorer.model
    tests = scored.fold.test
    a_session = len(table.session) / len(table.sessions)
    chosen = tests[:: max(1, int(np.ceil(len(tests) * a_session / _ROWS)))]
    rows = np.isin(table.session, chosen)
    value = table.pick(data.labels.value)[rows]
    told = np.isfinite(value)
    X = scored.scorer.preprocess.transform(table.values[rows], table.session[rows], rows=told)
    sample = Sample(
        X, value[told], table.session[rows][told], np.ones(int(told.sum())), fitted.columns, data.labels.gap
    )
    gain = fitted.importance()
    first = sorted(gain, key=lambda c: -gain[c])
    fall = permutation_importance(fitted, sample, seed=config.seed, columns=first[:_MOST])
    size = contributions(fitted, np.ascontiguousarray(X[:: max(1, len(X) // _EXPLAINED)]))
    return pl.DataFrame(
        {
            "factor": first,
            "中文": [known[c].zh if c in known else "" for c in first],
            "gain": [gain[c] for c in first],
            "contribution": [size[c] for c in first],
            "permutation": pl.Series([fall.get(c) for c in first], dtype=pl.Float64),
        }
    )
