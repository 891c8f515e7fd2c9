"""The one road from the store to a model: materialise what is missing, pick the universe, stack.

Training and serving both call `matrix`, so the row of a session alone is the row of the whole: every cell is read from
the same table, which an increment fills just as a full build does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
import polars as pl

from features.catalogue import Catalogue
from features.chunk import MARKET
from features.fields import DERIVED_CLASSES
from features.inputs import available, read_inputs
from features.materialise import BuildReport, materialise, reaches
from features.panel import BoolArray, DataError, Float32Array, IntArray, Matrix, Panels
from features.plan import plan
from features.scratch import IN_MEMORY, Scratch
from features.sessions import Day, as_day
from features.store import KEYS, Store
from features.universe import TURNOVER_FACTOR, Universe, tradable

# What is read of the store at a time, as float32 and its keys; a few times that is resident meanwhile.
_BLOCK_BYTES: Final = 1 << 28
_KEY_BYTES: Final = 32


def factor_hashes(store: Store, known: Catalogue, names: Iterable[str]) -> dict[str, str]:
    """Hash of each factor's definition as the code computes it now; those that cannot be computed are left out."""
    return plan(known, [n for n in names if n in known], available(store, known.asset_class)).hashes


def matrix(
    store: Store,
    known: Catalogue,
    names: Iterable[str],
    start: Day | None = None,
    end: Day | None = None,
    universe: Universe | None = None,
    *,
    scratch: Scratch = IN_MEMORY,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Matrix, BoolArray, BuildReport]:
    """The factor matrix of the universe on the sessions from start to end; of products, all that traded are in it.

    scratch  how large the matrix may be in memory; a larger one lies in a file, which its values read from
    say      told of what is built, and the size of a large matrix before it is read
    Gives    the matrix (M, K) float32; the universe (T, N) on its axes; what was built on the way
    NaN      where a factor is not defined
    Errors   DataError where no session lies in the range, or no asset is in the universe; ConfigError for a full disk
    """
    names, asset_class = tuple(names), known.asset_class
    turnover = () if asset_class in DERIVED_CLASSES else (_turnover_factor(asset_class),)
    report = materialise(store, known, (*names, *turnover), end, say=say, progress=progress)
    columns = tuple(n for n in names if n not in report.absent)
    hashes = plan(known, columns, available(store, asset_class)).hashes
    for name, (digest, _) in reaches(store, asset_class).items():
        if name in hashes and digest != hashes[name]:
            raise DataError(f"factor {name}", f"the store must hold definition {hashes[name]}", digest)
    first, last = store.span(f"bars/{asset_class}")
    facts = read_inputs(
        store,
        asset_class,
        ("listed_sessions", "is_st") if turnover else (),
        first if start is None else max(as_day(start), as_day(first)),
        last if end is None else end,
        version=report.bars_version,
    )
    table = _table(store, known, columns)
    keep = facts["traded"] > 0
    for name in turnover:
        mean_turnover = np.full(facts.shape, np.nan)
        for session, asset, rows in _blocks(table, (name,), facts, _spans(len(facts.sessions), facts.shape[1], 1)):
            mean_turnover[session, asset] = rows[name].to_numpy()
        of_listing = (facts["listed_sessions"], mean_turnover, facts.get("is_st"))
        keep = tradable(facts["traded"], *of_listing, universe or Universe())
    if not keep.any():
        raise DataError(
            f"universe of {asset_class}",
            "it must hold an asset on some session",
            f"none on {len(facts.sessions)} sessions from {facts.sessions[0]} to {facts.sessions[-1]}",
            help="Lower data.universe.min_turnover or min_listed, or start later: windows need history.",
        )
    session, asset = np.nonzero(keep)
    spans = _spans(len(facts.sessions), facts.shape[1], len(columns))
    blocks = (_stacked(*block, columns, keep) for block in _blocks(table, columns, facts, spans))
    values = scratch.stack("matrix", len(session), len(columns), blocks, say)
    return Matrix(facts.sessions, facts.assets, session, asset, columns, values), keep, report


def _turnover_factor(asset_class: str) -> str:
    try:
        return TURNOVER_FACTOR[asset_class]
    except KeyError:
        raise DataError(
            f"universe of {asset_class}",
            "the class must have a turnover factor",
            f"one for {', '.join(TURNOVER_FACTOR)}",
        ) from None


def _table(store: Store, known: Catalogue, columns: tuple[str, ...]) -> pl.LazyFrame:
    """One version of the factor table, without the market's rows, however long it is read."""
    market = [c for c in columns if known[c].scope == "market"]
    if market:
        raise DataError(
            f"factor {market[0]}",
            "a column of the matrix must differ from asset to asset",
            "a market series",
            help="Market series stand in the store under their own id; the cross-sectional ranks would erase them.",
        )
    return store.scan(f"factors/{known.asset_class}").filter(pl.col("order_book_id") != MARKET)


def _spans(sessions: int, assets: int, columns: int) -> list[tuple[int, int]]:
    """(first, stop) of stretches of sessions whose rows take about _BLOCK_BYTES."""
    longest = max(1, int(_BLOCK_BYTES / (assets * (4 * columns + _KEY_BYTES))))
    return [(a, min(a + longest, sessions)) for a in range(0, sessions, longest)]


def _blocks(
    table: pl.LazyFrame, columns: tuple[str, ...], facts: Panels, spans: list[tuple[int, int]]
) -> Iterator[tuple[IntArray, IntArray, pl.DataFrame]]:
    """Positions of session and asset, and the columns, of the long rows of each span, by date, then asset."""
    wanted, assets = table.select(*KEYS, *dict.fromkeys(columns)), pl.Enum(facts.assets.tolist())
    for first, stop in spans:
        days = facts.sessions[first].astype(object), facts.sessions[stop - 1].astype(object)
        rows = wanted.filter(pl.col("date").is_between(*days)).sort(KEYS).collect()
        session = np.searchsorted(facts.sessions, rows["date"].to_numpy().astype("datetime64[D]"))
        yield session, rows["order_book_id"].cast(assets).to_physical().to_numpy(), rows


def _stacked(
    session: IntArray, asset: IntArray, rows: pl.DataFrame, columns: tuple[str, ...], keep: BoolArray
) -> Float32Array:
    """The universe's rows among these, (m, K) float32."""
    picked = rows.filter(pl.Series(keep[session, asset]))
    values = np.empty((len(picked), len(columns)), dtype=np.float32)
    for k, name in enumerate(columns):
        values[:, k] = picked[name].to_numpy()
    return values
