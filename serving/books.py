"""What a registered book says of a session: a row a product (or pair) and horizon, with a forecast or a reason.

A task may tell of a product's contracts beside: these have rows where there is something to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import polars as pl

from features.panel import DataError
from features.sessions import following
from features.store import Store
from serving.prediction import KEYS, Prediction, Span, columns_of
from training.manifest import Manifest
from training.open_book import Book, open_book
from training.tracking import ModelRef

UNTOLD: Final = "the model has no forecast of it"


@dataclass(frozen=True)
class ServedBook:
    """A book that is ready to be carried on over a store."""

    ref: ModelRef
    manifest: Manifest
    book: Book = field(repr=False)
    store: Store

    @classmethod
    def load(cls, ref: ModelRef, manifest: Manifest, store: Store, model: str) -> Self:
        """The book as its training left it."""
        del model
        return cls(ref, manifest, open_book(ref.folder), store)

    def between(
        self,
        start: np.datetime64,
        end: np.datetime64,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Span:
        """Forecasts of each session, by what was known then: the walk is carried on to the end, once."""
        book = self.book.extend(self.store, end, lambda line: None)
        days = self.store.calendar().between(start, end)
        found = []
        for done, day in enumerate(days):
            found.append(_prediction(self, book, day))
            progress(done + 1, len(days))
        return Span(tuple(found))


def _prediction(served: ServedBook, book: Book, session: np.datetime64) -> Prediction:
    """The frame of a session: a row for each product of the book at each of its horizons, and those of contracts."""
    manifest, columns = served.manifest, columns_of(served.manifest)
    after = following(served.store.calendar(), session)
    values = [_stored_value(name, kind) for name, kind in columns.values.items()]
    frame = _asked(book, session).select(
        pl.lit(session.astype(object), pl.Date).alias("asof"),
        pl.lit(after.astype(object), pl.Date).alias("effective"),
        "asset",
        pl.lit(manifest.target).alias("target"),
        pl.col("horizon").cast(pl.Int64),
        pl.lit(served.ref.run_id).alias("run_id"),
        *values,
        reason="reason",
    )
    why = pl.when(pl.col(columns.main).is_null()).then(pl.col("reason").cast(pl.String).fill_null(UNTOLD))
    frame = frame.with_columns(reason=why).select(*KEYS, *columns.values, "reason").sort("asset", "horizon")
    without = frame.drop_nulls("reason").group_by("reason").agg(pl.col("asset").n_unique())
    left_out = dict(without.sort("asset", "reason", descending=[True, False]).rows())
    with_one = frame.filter(pl.col("asset").is_in(book.products)).drop_nulls(columns.main)["asset"].n_unique()
    return Prediction(served.ref, manifest, frame, left_out, with_one / max(len(book.products), 1), served.store)


def _asked(book: Book, session: np.datetime64) -> pl.DataFrame:
    """Of a session every product and horizon once, whether told or not; contracts of them where they are told."""
    told = book.forecast(session)
    if "asset" not in told.columns:
        told = told.with_columns(asset="product")
    asked = pl.DataFrame({"product": book.products}).join(pl.DataFrame({"horizon": book.horizons}), how="cross")
    strange = told.join(asked, on=["product", "horizon"], how="anti")
    if len(strange) or told.select("asset", "horizon").is_duplicated().any():
        raise DataError("book", "it must forecast each of its products and horizons once", f"{len(told)} rows")
    of_product = pl.col("asset") == pl.col("product")
    whole = asked.with_columns(asset="product").join(
        told.filter(of_product), on=["product", "asset", "horizon"], how="left", maintain_order="left"
    )
    return pl.concat([whole, told.filter(~of_product).select(whole.columns)])


def _stored_value(name: str, kind: type[pl.DataType]) -> pl.Expr:
    """A value as it is stored: what is no finite number is null (degrees of freedom of normal innovations)."""
    value = pl.col(name)
    if kind == pl.Float64:
        value = value.cast(pl.Float64)
        return pl.when(value.is_finite()).then(value).alias(name)
    return value.cast(kind)
