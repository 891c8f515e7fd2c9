"""What the futures of a store look like: contracts, rolls and holes of every product, and each roll of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.continuous import Continuous
from features.futures import Listing, listing, read_continuous
from features.rolls import Rule
from features.store import Store

_COLUMNS: dict[str, type[pl.DataType]] = {
    "product": pl.String,
    "contracts": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
    "sessions": pl.Int64,
    "returns": pl.Int64,
    "rolls": pl.Int64,
    "by": pl.String,
    "held next": pl.String,
}


@dataclass(frozen=True)
class ChainsReport:
    """What `daybar check chains` prints.

    products  a row a product: contracts with bars (0 of a series alone), span, sessions, those with a return, rolls by
              reason, and what is held on the session after the last
    rolls     of the products that were asked for by name, a row a roll with what the rule saw
    notes     product -> what a reader must know: maturities, holes, sessions without open interest
    """

    products: pl.DataFrame
    rolls: dict[str, pl.DataFrame] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def check_chains(
    store: Store,
    names: tuple[str, ...] = (),
    rule: Rule = "oi",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ChainsReport:
    """The products of a store under a roll rule; with names only those, each with its rolls.

    Errors  DataError for a store without futures, or a product that it does not hold
    """
    known = listing(store)
    wanted = names or known.products
    rows, rolls, notes = [], {}, {}
    for done, product in enumerate(wanted):
        progress(done, len(wanted))
        series = read_continuous(store, product, rule=rule, known=known)
        rows.append(_row(series, product, known))
        notes[product] = series.notes
        if names:
            rolls[product] = series.rolls
    return ChainsReport(pl.DataFrame(rows, _COLUMNS, orient="row"), rolls, notes)


def _row(series: Continuous, product: str, known: Listing) -> tuple[object, ...]:
    own, spliced = known.of(product)
    reasons = series.rolls.group_by("reason").len().sort("len", descending=True)
    by = ", ".join(f"{reason} {count}" for reason, count in reasons.iter_rows())
    span = (series.sessions[0].astype(object), series.sessions[-1].astype(object))
    counts = (len(series), int(np.isfinite(series.ret).sum()), len(series.rolls))
    return product, 0 if spliced else int(own["first"].count()), *span, *counts, by, series.next_contract
