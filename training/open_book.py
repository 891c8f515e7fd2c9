"""What is asked of a trained book: the models of many series, each with its walk so far.

A book is opened by its folder; its libraries are imported when one is opened, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl

from features.store import Store
from training.manifest import Manifest

# task -> (module, class)
_BOOKS: Final = {
    "spread": ("training.spread_book", "SpreadBook"),
    "term_structure": ("training.term_states", "TermStates"),
    "volatility": ("training.book", "Book"),
}


class Book(Protocol):
    """The models of a run, by product, with the forecasts of their walk."""

    @property
    def products(self) -> tuple[str, ...]:
        """Products that it was trained on, those without a forecast among them."""

    @property
    def horizons(self) -> tuple[int, ...]:
        """Sessions ahead that it forecasts, rising; 0 alone where it tells of the session itself."""

    def extend(self, store: Store, asof: np.datetime64, say: Callable[[str], None]) -> Book:
        """The walk carried on to a session, refitted on the grid of the training; itself where it reaches that far."""

    def forecast(self, asof: np.datetime64) -> pl.DataFrame:
        """What it says of a session that the walk has reached: a row a product and horizon.

        product, horizon, the values of its task's predictions (null where not known), reason (null where there is a
        main value). A task whose products have parts names them: `asset` is a product itself or one of its contracts.
        """


def open_book(folder: Path) -> Book:
    """The book that a training has written into a folder."""
    module, name = _BOOKS[Manifest.load(folder).task]
    book: type[_Loaded] = getattr(import_module(module), name)
    return book.load(folder)


class _Loaded(Book, Protocol):
    @classmethod
    def load(cls, folder: Path) -> Book: ...
