"""Bars from a source into a store, never a simulated market and a real one into the same."""

from __future__ import annotations

from pathlib import Path

from features.check import simulation
from features.ingest import IngestReport, ingest
from features.panel import ConfigError
from features.sources.files import files
from features.sources.simulator import batches, simulate
from features.store import Store


def bring_files(store_path: Path, path: Path, asset_class: str | None) -> IngestReport:
    """Ingest a folder or a file; refuses a store that holds a simulated market."""
    store = Store(store_path)
    origin = simulation(store)
    if origin is not None:
        raise ConfigError(
            f"store {store_path}",
            "real bars and a simulated market must not share a store",
            origin,
            help="Choose another folder: --store market, and --set data.store=market when you train.",
        )
    return ingest(files(path, asset_class=asset_class), store)


def bring_simulation(store_path: Path, size: str, world: str, seed: int) -> IngestReport:
    """Ingest a simulated market; refuses a store that holds real bars or another simulation."""
    store = Store(store_path)
    made = simulate(size, world, seed)
    held = simulation(store)
    if held is None and any(t.startswith("bars/") for t in store.tables()):
        held = "real bars"
    if held not in (None, made.origin):
        raise ConfigError(
            f"store {store_path}",
            f"it must be empty or hold the same simulation, {made.origin}",
            str(held),
            help="Choose another --home or --store, or delete that folder.",
        )
    return ingest(batches(made), store)
