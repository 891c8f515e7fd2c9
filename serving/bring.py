"""Bars from a source into a store, never a simulated market and a real one into the same."""

from __future__ import annotations

from pathlib import Path

from features.ingest import IngestReport, ingest
from features.panel import ConfigError
from features.sources.files import files
from features.sources.simulator import batches, simulate
from features.store import Store

_MARK = "reference/simulation"


def simulated(store: Store) -> str | None:
    """Which simulation the store holds, None for a store of real bars or an empty one."""
    return str(store.scan(_MARK).collect()["origin"][0]) if store.exists(_MARK) else None


def bring_files(store_path: Path, path: Path, asset_class: str | None) -> IngestReport:
    """Ingest a folder or a file; refuses a store that holds a simulated market."""
    store = Store(store_path)
    origin = simulated(store)
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
    simulation = simulate(size, world, seed)
    held = simulated(store)
    if held is None and any(t.startswith("bars/") for t in store.tables()):
        held = "real bars"
    if held not in (None, simulation.origin):
        raise ConfigError(
            f"store {store_path}",
            f"it must be empty or hold the same simulation, {simulation.origin}",
            str(held),
            help="Choose another --home or --store, or delete that folder.",
        )
    return ingest(batches(simulation), store)
