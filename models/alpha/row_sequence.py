"""Rows of a mapped file for LightGBM, which asks for a sample of single rows and then for all of them in order."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np

from features.panel import Float32Array, Float64Array
from models.blocks import block_rows, is_mapped, release


def row_sequence(X: Float32Array) -> Float32Array | RowSequence:
    """X as lgb.Dataset takes it: itself in memory, a sequence of its rows (M, K) where it is a part of a mapped file.

    The bins are the same: LightGBM draws the same rows to choose them by.
    """
    return RowSequence(X) if is_mapped(X) else X


class RowSequence(lgb.Sequence):
    """A mapped matrix whose pages leave memory again.

    batch_size  rows that LightGBM asks for at a time
    """

    def __init__(self, X: Float32Array) -> None:
        self._X = X
        self.batch_size = block_rows(X)
        self._loose = 0
        self._last = slice(0, 0)

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, at: int | slice) -> Float32Array | Float64Array:
        """A row, or the rows of a slice; the slice that was given before it is released."""
        if isinstance(at, slice):
            release(self._X[self._last])
            self._last = at
            return self._X[at]
        row = self._X[at].astype(np.float64)  # a sample must be
        # With the page of a row come its neighbours: every so often all of them go.
        self._loose += 1
        if self._loose % 1024 == 0:
            release(self._X)
        return row
