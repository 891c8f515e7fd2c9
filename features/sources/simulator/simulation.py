"""A simulated market, whole: bars, reference tables and the truth behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl
from numpy.random import SeedSequence

from features.sources.batch import Batch
from features.sources.simulator.frames import (
    SOURCE,
    bond_prices,
    bonds,
    dividends_index,
    future_bars,
    index_bars,
    instruments,
    stock_bars,
)
from features.sources.simulator.futures import simulate_futures
from features.sources.simulator.indices import simulate_indices
from features.sources.simulator.kernels import ANNOUNCED
from features.sources.simulator.market import simulate_market
from features.sources.simulator.states import truth_frames
from features.sources.simulator.stocks import simulate_stocks
from features.sources.simulator.treasuries import simulate_treasuries
from features.sources.simulator.world import World, resolve
from features.sources.simulator.yield_curve import published


@dataclass(frozen=True)
class Simulation:
    """What a simulated vendor delivers, and what only the simulator knows.

    bars       "CS", "INDX" and "Future" -> long rows: order_book_id, date, fields, source = "simulated"
    reference  "instruments", "calendar", "dividends_index", "rates", "bonds", "bond_prices"
    truth      "truth_params", "truth_states", "truth_events", "truth_claims", "truth_members", "truth_deliveries"
    origin     which simulation this is: size, world and seed
    """

    bars: dict[str, pl.DataFrame] = field(repr=False)
    reference: dict[str, pl.DataFrame] = field(repr=False)
    truth: dict[str, pl.DataFrame] = field(repr=False)
    origin: str


def simulate(size: str = "tiny", world: str | World = "null", seed: int = 0) -> Simulation:
    """A market of stocks, indices, government bonds and futures with known truth; the same twice for equal arguments.

    size    "tiny" (60 stocks, 400 sessions from 2020-06-01), "demo" (300, the last 1500), "full" (800, 1581)
    world   "null" (nothing planted), "planted", or a World with settings of one's own
    Errors  DataError for a size or world that is not known, or impossible counts
    Source  11 §1-§6, §8-§10
    """
    settings, calendar = resolve(size, world)
    sessions = calendar.sessions
    # One child for each block, so that a further block changes nothing about those before it.
    for_market, for_stocks, for_indices, for_futures, for_treasuries = SeedSequence(seed).spawn(5)
    market = simulate_market(settings, len(sessions), for_market)
    stocks = simulate_stocks(settings, sessions, market, for_stocks)
    indices = simulate_indices(settings, sessions, market, stocks, for_indices)
    treasuries = simulate_treasuries(settings, sessions, for_treasuries)
    futures = [*simulate_futures(settings, sessions, market, indices, for_futures), *treasuries.futures]
    return Simulation(
        bars={
            "CS": stock_bars(sessions, stocks),
            "INDX": index_bars(sessions, indices),
            "Future": future_bars(sessions, futures),
        },
        reference={
            "instruments": instruments(sessions, stocks, futures),
            "calendar": pl.DataFrame({"date": sessions}),
            "dividends_index": dividends_index(sessions, indices, ANNOUNCED),
            "rates": published(sessions, treasuries.curve),
            "bonds": bonds(treasuries),
            "bond_prices": bond_prices(sessions, treasuries),
        },
        truth=truth_frames(settings, seed, sessions, market, stocks, indices, futures, treasuries),
        origin=f"{SOURCE}: {size}, world {settings.name}, seed {seed}",
    )


def batches(simulation: Simulation) -> Iterator[Batch]:
    """The bars and reference tables, never the truth, as the ingest door takes them; reference tables first.

    The table reference/simulation says which simulation a store holds, so that reports can print it.
    """
    origin = pl.DataFrame({"source": [SOURCE], "origin": [simulation.origin]})
    yield Batch("reference/simulation", simulation.origin, origin)
    for name, frame in simulation.reference.items():
        yield Batch(f"reference/{name}", simulation.origin, frame)
    for asset_class, frame in simulation.bars.items():
        yield Batch(asset_class, simulation.origin, frame)
