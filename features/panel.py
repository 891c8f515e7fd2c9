"""The vocabulary that every room shares: sessions and assets, panels on them, matrices made of panels, refusals.

Axis order is always session, asset, factor: T sessions, N assets, K factors, M rows of (session, asset).
Row t holds what was known when deciding on t: after the close (and the settlement) of t, before the open of t+1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from features.refusal import ConfigError, DataError, Refusal

__all__ = [
    "AssetArray",
    "BoolArray",
    "ConfigError",
    "DataError",
    "Float32Array",
    "Float64Array",
    "IntArray",
    "Matrix",
    "Panels",
    "Refusal",
    "SessionArray",
]

Float64Array = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
SessionArray = NDArray[np.datetime64]
AssetArray = NDArray[np.str_]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Panels:
    """Named panels that share one pair of axes.

    sessions  (T,) datetime64[D], strictly increasing
    assets    (N,) str, sorted, unique
    values    name -> (T, N); a market-wide series is (T, 1), a fact of the asset alone (1, N)
    first     rows before this one are history that was read for lookbacks only
    """

    sessions: SessionArray
    assets: AssetArray
    values: dict[str, Float64Array] = field(repr=False)
    first: int = 0

    def __post_init__(self) -> None:
        t, n = len(self.sessions), len(self.assets)
        for name, value in self.values.items():
            if value.ndim != 2 or value.shape[0] not in (1, t) or value.shape[1] not in (1, n):
                raise DataError(f"panel {name}", f"its shape must be ({t}, {n})", f"{value.shape}")

    def __getitem__(self, name: str) -> Float64Array:
        try:
            return self.values[name]
        except KeyError:
            raise DataError(
                f"panel {name}",
                "it must be among the panels that were read",
                f"{', '.join(sorted(self.values))}",
            ) from None

    def get(self, name: str) -> Float64Array | None:
        """The panel, or None where it was not read."""
        return self.values.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self.values

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        return len(self.sessions), len(self.assets)

    def rows(self, start: int, stop: int, first: int = 0) -> Panels:
        """The same panels on sessions[start:stop]; values are views."""
        cut = {k: v[start:stop] if v.shape[0] == len(self.sessions) else v for k, v in self.values.items()}
        return Panels(self.sessions[start:stop], self.assets, cut, first)

    def joined(self, more: Mapping[str, Float64Array]) -> Panels:
        """The same axes with further panels."""
        return Panels(self.sessions, self.assets, {**self.values, **more}, self.first)


@dataclass(frozen=True)
class Matrix:
    """Panels stacked: a row per (session, asset) that is in the universe, sorted by session, then asset.

    sessions, assets  the axes, (T,) and (N,)
    session, asset    (M,) positions of each row on the axes
    columns           K names
    values            (M, K) float32, NaN where a factor is not defined
    """

    sessions: SessionArray
    assets: AssetArray
    session: IntArray
    asset: IntArray
    columns: tuple[str, ...]
    values: Float32Array = field(repr=False)

    def __post_init__(self) -> None:
        m, k = len(self.session), len(self.columns)
        if self.values.shape != (m, k) or len(self.asset) != m:
            raise DataError("matrix", f"its values must have the shape ({m}, {k})", f"{self.values.shape}")

    def pick(self, panel: NDArray[Scalar]) -> NDArray[Scalar]:
        """The cells of a (T, N) panel that belong to the rows, (M,)."""
        return panel[self.session, self.asset]

    def unstack(self, column: NDArray[np.generic]) -> Float64Array:
        """A column (M,) laid out as a panel (T, N), NaN elsewhere."""
        out = np.full((len(self.sessions), len(self.assets)), np.nan)
        out[self.session, self.asset] = column
        return out

    def take(self, rows: NDArray[np.generic]) -> Matrix:
        """The rows that a mask or an index names, on the same axes."""
        return Matrix(self.sessions, self.assets, self.session[rows], self.asset[rows], self.columns, self.values[rows])
