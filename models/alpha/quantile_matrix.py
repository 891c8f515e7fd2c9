"""Rows binned for XGBoost's histograms: the one place where a sample becomes a quantile matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xgboost as xgb

from features.panel import Float32Array, Float64Array, IntArray
from models.blocks import blocks


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

    The binned rows take a byte or two a cell. X is handed over block by block, so that one which is a part of a mapped
    file is never in memory as a whole; the trees are the same.

    weight  (M,) of the rows; XGBoost weighs groups, not rows, when it ranks: with `qid` a group gets its rows' mean
    qid     (M,) non-decreasing group of each row, for ranking objectives
    """
    return xgb.QuantileDMatrix(_Blocks(X, y, weight, qid), max_bin=max_bin, nthread=threads, ref=ref)


def _told(y: Float64Array, weight: Float64Array | None, qid: IntArray | None, part: slice) -> dict[str, Any]:
    """Labels, weights and groups of a part of the rows, as XGBoost names and takes them."""
    if qid is None:
        return {"label": y[part], "weight": None if weight is None else weight[part]}
    group = qid[part]
    starts = np.flatnonzero(np.diff(group, prepend=group[:1] - 1))
    size = np.diff(np.append(starts, len(group)))
    mean = None if weight is None else np.add.reduceat(weight[part], starts) / size
    return {"label": y[part], "weight": mean, "qid": group}


class _Blocks(xgb.DataIter):
    """Rows for XGBoost, which asks for all of them a few times over."""

    def __init__(self, X: Float32Array, y: Float64Array, weight: Float64Array | None, qid: IntArray | None) -> None:
        super().__init__()
        self._rows = X, y, weight, qid
        self._parts: Iterator[slice] = iter(())

    def reset(self) -> None:
        """Begin again with the first block."""
        X, _, _, qid = self._rows
        self._parts = blocks(X, qid)

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand over a block and let the one before it go; False after the last."""
        X, y, weight, qid = self._rows
        part = next(self._parts, None)
        if part is None:
            return False
        input_data(data=X[part], **_told(y, weight, qid, part))
        return True
