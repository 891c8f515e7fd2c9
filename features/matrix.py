"""The one road from the store to a model: materialise what is missing, pick the universe, stack.

Training and serving both call `matrix`, so the row of a session alone is the row of the whole: every cell is read from
the same table, which an increment fills just as a full build does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from features.catalogue import Catalogue
from features.chunk import MARKET
from features.inputs import available, read_inputs
from features.materialise import BuildReport, materialise, reaches
from features.panel import BoolArray, DataError, Matrix
from features.plan import plan
from features.sessions import Day, as_day
from features.store import KEYS, Store
from features.universe import Universe, tradable

# Factor that the universe's liquidity threshold is applied to.
_TURNOVER = {"CS": "cs_turnover20"}


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
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Matrix, BoolArray, BuildReport]:
    """The factor matrix of the universe on the sessions from start to end.

    Gives   the matrix (M, K) float32; the universe (T, N) on its axes; what was built on the way
    NaN     where a factor is not defined
    Errors  DataError where no session lies in the range, or no asset is in the universe
    """
    names, asset_class = tuple(names), known.asset_class
    turnover = _turnover_factor(asset_class)
    report = materialise(store, known, (*names, turnover), end, say=say, progress=progress)
    columns = tuple(n for n in names if n not in report.absent)
    hashes = plan(known, columns, available(store, asset_class)).hashes
    for name, (digest, _) in reaches(store, asset_class).items():
        if name in hashes and digest != hashes[name]:
            raise DataError(f"factor {name}", f"the store must hold definition {hashes[name]}", digest)
    first, last = store.span(f"bars/{asset_class}")
    facts = read_inputs(
        store,
        asset_class,
        ("listed_sessions", "is_st"),
        first if start is None else max(as_day(start), as_day(first)),
        last if end is None else end,
        version=report.bars_version,
    )
    rows = _rows(store, known, (*columns, turnover), facts.sessions)
    session = np.searchsorted(facts.sessions, rows["date"].to_numpy().astype("datetime64[D]"))
    asset = np.searchsorted(facts.assets, rows["order_book_id"].to_numpy())
    mean_turnover = np.full(facts.shape, np.nan)
    mean_turnover[session, asset] = rows[turnover].to_numpy()
    keep = tradable(
        facts["traded"],
        facts["listed_sessions"],
        mean_turnover,
        facts.get("is_st"),
        universe or Universe(),
    )
    chosen = keep[session, asset]
    if not chosen.any():
        raise DataError(
            f"universe of {asset_class}",
            "it must hold an asset on some session",
            f"none on {len(facts.sessions)} sessions from {facts.sessions[0]} to {facts.sessions[-1]}",
            help="Lower data.universe.min_turnover or min_listed, or start later: windows need history.",
        )
    picked = rows.filter(pl.Series(chosen))
    values = np.empty((len(picked), len(columns)), dtype=np.float32)
    for k, name in enumerate(columns):
        values[:, k] = picked[name].to_numpy()
    return Matrix(facts.sessions, facts.assets, session[chosen], asset[chosen], columns, values), keep, report


def _turnover_factor(asset_class: str) -> str:
    try:
        return _TURNOVER[asset_class]
    except KeyError:
        raise DataError(
            f"universe of {asset_class}", "the class must have a turnover factor", f"one for {', '.join(_TURNOVER)}"
        ) from None


def _rows(store: Store, known: Catalogue, columns: tuple[str, ...], sessions: np.ndarray) -> pl.DataFrame:
    """Long rows of the factor table, without the market's, by date, then asset."""
    market = [c for c in columns if known[c].scope == "market"]
    if market:
        raise DataError(
            f"factor {market[0]}",
            "a column of the matrix must differ from asset to asset",
            "a market series",
            help="Market series stand in the store under their own id; the cross-sectional ranks would erase them.",
        )
    days = pl.col("date").is_between(sessions[0].astype(object), sessions[-1].astype(object))
    table = store.scan(f"factors/{known.asset_class}").filter(days & (pl.col("order_book_id") != MARKET))
    return table.select(*KEYS, *dict.fromkeys(columns)).sort(KEYS).collect()
