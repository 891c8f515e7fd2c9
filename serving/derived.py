"""Classes whose bars daybar makes of others' bars: brought up before anything reads them."""

from __future__ import annotations

from features.fields import DERIVED_CLASSES
from features.futures import BARS
from features.product_bars import refresh
from features.store import Store
from serving import show


def refreshed(store: Store, asset_class: str) -> Store:
    """The store, the bars of a derived class brought up to those that they are made of."""
    if asset_class in DERIVED_CLASSES:
        refresh(store, show.line)
    return store


def refreshed_if_there(store: Store, asset_class: str) -> Store:
    """As `refreshed`; a store without the bars that they would be made of is left as it is."""
    return refreshed(store, asset_class) if store.exists(BARS) else store
