"""Columns of a matrix made comparable: ranked or standardised within their session, neutralised, filled and counted.

Every statistic is one of a session over the rows that are given for it, so that a session alone and the whole history
give the same numbers. What is learnt from a fold is only which columns to keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal, Self

import numpy as np

from features.panel import BoolArray, ConfigError, DataError, Float32Array, Float64Array, IntArray
from models.blocks import blocks
from training.cross_section import standardise_sessions

_THREADS: Final = 2
_SUFFIX: Final = "_missing"


@dataclass(frozen=True)
class Preprocess:
    """How columns are made comparable.

    kind             rank: (mid-rank - ½)/n - ½; zscore: (x - median)/(1.4826·MAD), missing where the MAD is 0
    winsor           z-scores are clipped to ± winsor
    neutralise       columns whose linear part is taken out of every other column, per session; they leave the matrix
    min_coverage     columns with a smaller share of values over the rows of the fit are dropped
    indicator_above  columns with a larger share of gaps get a column of 0 and 1 beside them that tells the gaps
    Source           09 §2 (steps 2 to 5)
    """

    kind: Literal["rank", "zscore"] = "rank"
    winsor: float = 5.0
    neutralise: tuple[str, ...] = ()
    min_coverage: float = 0.6
    indicator_above: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in ("rank", "zscore"):
            raise ConfigError("preprocess", "its kind must be rank or zscore", repr(self.kind))
        if self.winsor <= 0 or not 0 <= self.min_coverage <= 1 or not 0 <= self.indicator_above <= 1:
            raise ConfigError(
                "preprocess",
                "winsor must be positive, min_coverage and indicator_above shares",
                f"{self.winsor}, {self.min_coverage} and {self.indicator_above}",
            )

    def fit(
        self,
        values: Float32Array,
        session: IntArray,
        columns: Sequence[str],
        group: IntArray | None = None,
        weight: Float64Array | None = None,
        rows: BoolArray | None = None,
    ) -> FittedPreprocess:
        """Decide from the rows of a fold (M, K) which columns to keep and which gaps to tell.

        rows    (M,) those of the fold; None for all
        Errors  DataError for misaligned arrays, an unknown or uncovered neutralising column, and if no column is left
        """
        columns = tuple(columns)
        _check_rows(values, session, len(columns))
        coverage = _coverage(values, rows)
        unknown = sorted(set(self.neutralise) - set(columns))
        if unknown:
            raise DataError("preprocess", "neutralise must name columns of the matrix", ", ".join(unknown))
        dropped = {c: float(v) for c, v in zip(columns, coverage, strict=True) if v < self.min_coverage}
        lost = sorted(set(dropped) & set(self.neutralise))
        if lost:
            raise DataError(
                "preprocess",
                f"columns to neutralise by must be {self.min_coverage:.0%} covered",
                f"{lost[0]} {dropped[lost[0]]:.0%}",
            )
        kept = tuple(c for c in columns if c not in dropped and c not in self.neutralise)
        if not kept:
            raise DataError(
                "preprocess",
                f"a column must be {self.min_coverage:.0%} covered",
                f"a best of {coverage.max(initial=0):.0%}",
            )
        share = dict(zip(columns, coverage, strict=True))
        told = tuple(c for c in kept if 1.0 - share[c] > self.indicator_above)
        return FittedPreprocess(self, columns, kept, told, dropped, group is not None, weight is not None)


@dataclass(frozen=True)
class FittedPreprocess:
    """Which columns of a raw matrix are kept, and how they are made comparable.

    columns     K raw names, in the order in which values come
    kept        those that stay
    indicators  those of `kept` whose gaps are told in a column of their own
    dropped     column -> share of values in the fit, of those that were too thin
    grouped, weighted   whether the fit neutralised by groups, and with weights: each transform must do the same
    """

    spec: Preprocess
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    indicators: tuple[str, ...]
    dropped: Mapping[str, float]
    grouped: bool = False
    weighted: bool = False

    @property
    def out_columns(self) -> tuple[str, ...]:
        """K' names of what `transform` gives: the kept columns, then the indicators."""
        return self.kept + tuple(c + _SUFFIX for c in self.indicators)

    def transform(
        self,
        values: Float32Array,
        session: IntArray,
        group: IntArray | None = None,
        weight: Float64Array | None = None,
        rows: BoolArray | None = None,
    ) -> Float32Array:
        """Comparable columns of raw ones, (M, K) -> (M, K') float32 without a gap.

        The rows of a session must be its whole universe: each is ranked among them. Sessions are independent, so a long
        history may be given in blocks of whole sessions.

        session  (M,) non-decreasing
        group    (M,) industry codes >= 0; a code below 0 is a group of its own; used by `neutralise` alone
        weight   (M,) weights of the neutralising regressions, not negative (09 §2: √turnover)
        rows     (M,) rows to give back; the others still count in the statistics of their session
        Errors   DataError for misaligned arrays and infinite values
        """
        self.require_rows(values, session, group, weight)
        position = {c: i for i, c in enumerate(self.columns)}
        starts = np.concatenate([[0], np.flatnonzero(np.diff(session)) + 1, [len(session)]]).astype(np.int64)
        wanted = np.ones(len(values), dtype=np.bool_) if rows is None else rows
        target = np.where(wanted, np.cumsum(wanted) - 1, -1).astype(np.int64)
        out = np.empty((int(wanted.sum()), len(self.out_columns)), dtype=np.float32)
        infinite = np.zeros(len(starts) - 1, dtype=np.int64)
        arguments = (
            np.array([position[c] for c in self.kept], dtype=np.int64),
            np.array([self.kept.index(c) for c in self.indicators], dtype=np.int64),
            np.array([position[c] for c in self.spec.neutralise], dtype=np.int64),
            self.spec.kind == "rank",
            float(self.spec.winsor),
            np.zeros(len(values), dtype=np.int64) if group is None else np.ascontiguousarray(group, dtype=np.int64),
            np.ones(len(values)) if weight is None else np.ascontiguousarray(weight, dtype=np.float64),
        )
        whole = np.ascontiguousarray(values)
        parts = _parts(starts, _THREADS)

        def run(first: int, stop: int) -> None:
            standardise_sessions(whole, starts, first, stop, target, *arguments, out, infinite)

        with ThreadPoolExecutor(_THREADS) as pool:
            for done in [pool.submit(run, a, b) for a, b in parts]:
                done.result()
        if infinite.any():
            first = int(np.flatnonzero(infinite)[0])
            raise DataError(
                "preprocess",
                "values must be finite or NaN",
                f"{int(infinite.sum())} infinite cells",
                f"session {int(session[starts[first]])}",
            )
        return out

    def require_rows(
        self, values: Float32Array, session: IntArray, group: IntArray | None, weight: Float64Array | None
    ) -> None:
        """Refuse rows that `transform` cannot take: misaligned, unsorted, or with other regressions than the fit's."""
        _check_rows(values, session, len(self.columns))
        self._check_regression(len(values), group, weight)

    def _check_regression(self, m: int, group: IntArray | None, weight: Float64Array | None) -> None:
        for name, fitted, given in (("group", self.grouped, group), ("weight", self.weighted, weight)):
            if fitted != (given is not None):
                raise DataError(
                    "preprocess",
                    f"a transform must have a {name} exactly if the fit had one",
                    "it in the fit alone" if fitted else "it in the transform alone",
                )
            if given is not None and given.shape != (m,):
                raise DataError("preprocess", f"{name} must have the shape ({m},)", f"{given.shape}")
        if weight is not None and not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise DataError("preprocess", "weights must be finite and not negative", f"a minimum of {weight.min()}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` gave, also after JSON turned tuples into lists."""
        spec = {**told["spec"], "neutralise": tuple(told["spec"]["neutralise"])}
        columns, kept, indicators = (tuple(told[k]) for k in ("columns", "kept", "indicators"))
        return cls(Preprocess(**spec), columns, kept, indicators, told["dropped"], told["grouped"], told["weighted"])


def _coverage(values: Float32Array, rows: BoolArray | None) -> Float64Array:
    """Share of finite values of each column over the rows, (K,)."""
    found, count = np.zeros(values.shape[1], dtype=np.int64), 0
    for part in blocks(values, rows=rows):
        found += np.isfinite(values[part]).sum(axis=0)
        count += part.stop - part.start
    return found / max(count, 1)


def _check_rows(values: Float32Array, session: IntArray, k: int) -> None:
    if values.ndim != 2 or values.shape[1] != k or session.shape != (len(values),):
        raise DataError(
            "preprocess", f"values must have {k} columns and a session per row", f"{values.shape} and {session.shape}"
        )
    if values.dtype != np.float32:
        raise DataError("preprocess", "values must be float32, as the store keeps them", str(values.dtype))
    if (np.diff(session) < 0).any():
        row = int(np.argmax(np.diff(session) < 0)) + 1
        raise DataError(
            "preprocess", "rows must be sorted by session", f"{session[row]} after a later one", f"row {row}"
        )


def _parts(starts: IntArray, n: int) -> list[tuple[int, int]]:
    """Cut the sessions into n runs of about as many rows."""
    aims = np.linspace(0, starts[-1], n + 1)[1:-1]
    cuts = [0, *np.searchsorted(starts[:-1], aims).tolist(), len(starts) - 1]
    return [(a, b) for a, b in pairwise(cuts) if a < b]
