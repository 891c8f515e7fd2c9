"""A run repeated from what it recorded: its settings, on the tables as they were.

The tables of its data version are linked into a scratch store, factors are computed again from nothing, and every
number is compared with the one that was recorded.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from features.panel import DataError
from features.store import Store
from training.config import Config
from training.run import Trained, train
from training.tracking import Tracking

# What hangs on the runs that were there before, not on settings and data.
_OF_THE_LEDGER = "ledger/"


@dataclass(frozen=True)
class Replayed:
    """The new run, how many numbers it shares with the old one, and those that differ: name -> (then, now)."""

    trained: Trained
    compared: int
    differences: dict[str, tuple[float, float]]


def replay(
    run_id: str,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Replayed:
    """Train again what the run was told, on the data versions that it read; nothing is registered.

    Errors  ConfigError for an unknown run; DataError for one that recorded no data versions or whose tables are gone
    """
    tracking = Tracking(home)
    record = tracking.record(run_id)
    if "data_version" not in record.tags:
        raise DataError(f"run {run_id}", "it must have recorded its data versions", f"none, a run of {record.name}")
    with tempfile.TemporaryDirectory(prefix=".replay-", dir=home) as scratch:
        config = Config.of_dump(tracking.read_text(run_id, "config.yaml"))
        versions = json.loads(record.tags["data_version"])
        say("data: " + ", ".join(f"{table} version {version}" for table, version in versions.items()))
        store = Store(home / config.data.store).copy_as_of(Path(scratch) / "store", versions)
        trained = train(config, home, say, progress, store=store, replay_of=run_id)
    now = tracking.record(trained.run_id).metrics
    then = {k: v for k, v in record.metrics.items() if not k.startswith(_OF_THE_LEDGER)}
    both = {k: (v, now.get(k, math.nan)) for k, v in then.items()}
    both |= {k: (math.nan, v) for k, v in now.items() if k not in record.metrics and not k.startswith(_OF_THE_LEDGER)}
    return Replayed(trained, len(both), {k: pair for k, pair in both.items() if pair[0] != pair[1]})
