"""Rows binned for XGBoost's histograms: the one place where a sample becomes a quantile matrix."""

from __future__ import annotations

import numpy as np
import xgboost as xgb

from features.panel import Float32Array, Float64Array, IntArray


def quantile_matrix(
    X: Float32Array,
    y: Float64Array,
    weight: Float64Array | None,
    *,
    max_bin: int,
    threads: int,
    ref: xgb.QuantileDMatrix | None = None,
    qid: IntArray | None = None,
) -> xgb.QuantileDMatrix:
    """Bin the rows (M, K) of a sample; those of a validation set by the bins of its training set, `ref`.

    weight  (M,) of the rows; XGBoost weighs groups, not rows, when it ranks: with `qid` a group gets its rows' mean
    qid     (M,) non-decreasing group of each row, for ranking objectives
    """
    if qid is not None and weight is not None:
        starts = np.concatenate([[0], np.flatnonzero(np.diff(qid)) + 1]) if len(qid) else np.zeros(0, dtype=np.int64)
        weight = np.add.reduceat(weight, starts) / np.diff(np.append(starts, len(qid)))
    return xgb.QuantileDMatrix(X, y, weight=weight, qid=qid, max_bin=max_bin, nthread=threads, ref=ref)
