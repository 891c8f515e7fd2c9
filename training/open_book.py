"""What is asked of a trained book: the volatility models of many series, each with its walk so far.

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
from models.volatility.base import Returns
from training.manifest import Manifest

# task -> (module, class)
_BOOKS: Final = {"spread": ("training.spread_book", "SpreadBook"), "volatility": ("training.book", "Book")}


class Book(Protocol):
    """The models of a run, by product, with the forecasts of their walk."""

    @property
    def products(self) -> tuple[str, ...]:
        """Products that it was trained on, those without a forecast among them."""

    @property
    def horizons(self) -> tuple[int, ...]:
        """Sessions ahead that it forecasts, rising."""

    def extend(self, store: Store, asof: np.datetime64, say: Callable[[str], None]) -> Book:
        """The walk carried on to a session, refitted on the grid of the training; itself where it reaches that far."""

    def forecast(self, asof: np.datetime64) -> pl.DataFrame:
        """What it forecasts of a session that the walk has reached: a row a product and horizon.

        product, horizon, model, status, reason (null where there is a forecast); sigma (a year), sigma_h and mu_h (of
        the horizon), var_* and es_* by level, persistence, dof, margin, leverage, contracts: null where not known
        """

    def project(self, product: str, returns: Returns) -> pl.DataFrame:
        """What the last fits of a product make of other returns: horizon, sigma (a year), sigma_h, model.

        Errors  DataError for a product that it does not know, or cannot forecast; FitError where the returns lack what
                the model needs
        """


def open_book(folder: Path) -> Book:
    """The book that a training has written into a folder."""
    module, name = _BOOKS[Manifest.load(folder).task]
    book: type[_Loaded] = getattr(import_module(module), name)
    return book.load(folder)


class _Loaded(Book, Protocol):
    @classmethod
    def load(cls, folder: Path) -> Book: ...
