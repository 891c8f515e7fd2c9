"""The seam between sources and ingest: what every source yields."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Batch:
    """Long rows for one table, under the contract's names and units, not yet checked.

    table   the asset class ("CS", "ETF", "INDX", "Future", "Option") or "reference/<name>"
    origin  where the rows came from, as a user would look for it: a file, a folder, a call
    frame   long rows; bars have order_book_id, date and the class's fields
    """

    table: str
    origin: str
    frame: pl.DataFrame
