"""Truth tables on disk, in a folder of their own; only tests and the simulator may import this."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from features.panel import DataError
from features.sources.simulator.simulation import Simulation

FOLDER = "truth"


def write_truth(simulation: Simulation, home: Path) -> Path:
    """Write every truth table as Parquet under home/truth and return that folder."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in simulation.truth.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return folder


def read_truth(home: Path) -> dict[str, pl.DataFrame]:
    """The truth tables that write_truth left under home/truth, by name; DataError where there are none."""
    paths = sorted((home / FOLDER).glob("truth_*.parquet"))
    if not paths:
        raise DataError("truth", f"tables must lie under {FOLDER}/", "none", str(home))
    return {path.stem: pl.read_parquet(path) for path in paths}
