"""Simulated markets in a store, for tests of the whole road; with the planted signal, and with another future."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from features.ingest import ingest
from features.panel import Float64Array, Matrix, SessionArray
from features.sources.simulator import Simulation, World, batches, simulate
from features.store import Store
from training.alpha_config import AlphaConfig
from training.config import load

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
BOUNDS = ("high", "low", "limit_up", "limit_down")


def market(world: World, stocks: int, sessions: int, seed: int, size: str = "demo") -> Simulation:
    """A market of so many stocks; "demo" takes the last sessions of the default calendar, "tiny" those from 2020-06."""
    return simulate(size, replace(world, stocks=stocks, sessions=sessions), seed)


def stored(root: Path, simulation: Simulation) -> Store:
    """The market taken through the ingest door into a store; no row may be set aside."""
    store = Store(root)
    ingest(batches(simulation), store)
    assert not any(table.startswith("quarantine/") for table in store.tables())
    return store


def config(name: str, *overrides: str) -> AlphaConfig:
    """A config of configs/ for small universes."""
    return load(CONFIGS / f"{name}.yaml", ("evaluate.min_names=50", "evaluate.top_k=20", *overrides))


def planted_signal(simulation: Simulation, matrix: Matrix) -> Float64Array:
    """The true signal on the axes of a matrix, (T, N)."""
    states = simulation.truth["truth_states"].filter(pl.col("name") == "signal")
    day = states["date"].to_numpy().astype("datetime64[D]")
    asset = states["object"].to_numpy()
    here = np.isin(day, matrix.sessions) & np.isin(asset, matrix.assets)
    out = np.full((len(matrix.sessions), len(matrix.assets)), np.nan)
    cell = np.searchsorted(matrix.sessions, day[here]), np.searchsorted(matrix.assets, asset[here])
    out[cell] = states["value"].to_numpy()[here]
    return out


def sessions_of(simulation: Simulation) -> SessionArray:
    """The sessions of the calendar."""
    return simulation.reference["calendar"]["date"].to_numpy().astype("datetime64[D]")


def cut_after(simulation: Simulation, day: np.datetime64) -> Simulation:
    """The market as it was known on the evening of a day: no later bar, listing, delisting or session."""
    until = day.astype(object)
    instruments = simulation.reference["instruments"].filter(pl.col("listed_date") <= until)
    gone = pl.col("de_listed_date")
    reference = {
        **simulation.reference,
        "instruments": instruments.with_columns(pl.when(gone <= until).then(gone).alias("de_listed_date")),
        "calendar": simulation.reference["calendar"].filter(pl.col("date") <= until),
    }
    bars = {name: frame.filter(pl.col("date") <= until) for name, frame in simulation.bars.items()}
    return replace(simulation, bars=bars, reference=reference)


def noise_after(simulation: Simulation, day: np.datetime64, seed: int) -> Simulation:
    """The market with other bars after a day: prices, volumes, trades and flags drawn anew, a tenth of the rows gone.

    Rows stay ones that the validators pass: prices within the range, the range within the limits. Delistings to come
    are forgotten.
    """
    until = day.astype(object)
    gone = pl.col("de_listed_date")
    instruments = simulation.reference["instruments"].with_columns(
        pl.when(gone <= until).then(gone).alias("de_listed_date")
    )
    bars = {
        name: pl.concat([frame.filter(pl.col("date") <= until), _noisy(frame.filter(pl.col("date") > until), seed)])
        for name, frame in simulation.bars.items()
    }
    return replace(simulation, bars=bars, reference={**simulation.reference, "instruments": instruments})


def _noisy(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frame = frame.filter(pl.Series(rng.random(len(frame)) < 0.9))
    m = len(frame)
    scale, overnight = pl.Series(rng.lognormal(0.0, 0.5, m)), pl.Series(rng.lognormal(0.0, 0.03, m))
    volume = pl.Series(100.0 * rng.integers(1, 10**6, m))
    drawn = {name: pl.col(name) * scale for name in BOUNDS if name in frame.columns}
    for name in ("open", "close"):
        drawn[name] = (pl.col("low") + pl.Series(rng.random(m)) * (pl.col("high") - pl.col("low"))) * scale
    drawn["volume"] = volume
    if "settlement" in frame.columns:
        drawn |= {name: pl.col(name) * scale for name in ("settlement", "prev_settlement")}
        drawn["total_turnover"] = pl.col("total_turnover") / pl.col("volume") * volume * scale
    else:
        drawn["prev_close"] = pl.col("prev_close") * scale * overnight
        drawn["total_turnover"] = volume * frame["low"] * scale
    flags = {"num_trades": rng.integers(1, 10**4, m).astype(np.float64), "is_st": (rng.random(m) < 0.2) * 1.0}
    drawn |= {name: pl.Series(values) for name, values in flags.items() if name in frame.columns}
    return frame.with_columns(**drawn)
