"""A run repeated from what it recorded: its settings, on the tables as they were.

The tables of its data version are linked into a scratch store, factors are computed again from nothing, and every
number is compared with the one that was recorded.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.panel import DataError
from features.store import Store
from training.config import of_dump
from training.page import HEADLINE
from training.run import Trained, train
from training.tracking import Tracking

_LEDGER = "ledger/"  # what hangs on the runs that were there before, not on settings and data


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
        config = of_dump(tracking.read_text(run_id, "config.yaml"))
        versions = json.loads(record.tags["data_version"])
        say("data: " + ", ".join(f"{table} version {version}" for table, version in versions.items()))
        store = Store(home / config.data.store).copy_as_of(Path(scratch) / "store", versions)
        trained = train(config, home, say, progress, store=store, replay_of=run_id)
    then, now = _own(record.metrics), _own(tracking.record(trained.run_id).metrics)
    both = {k: (then.get(k, math.nan), now.get(k, math.nan)) for k in sorted(then.keys() | now.keys())}
    return Replayed(trained, len(both), {k: pair for k, pair in both.items() if pair[0] != pair[1]})


def _own(metrics: Mapping[str, float]) -> dict[str, float]:
    """The numbers that settings and data make, without the ledger's and the short names of these."""
    short = {name for _, key, _, name in HEADLINE if key.startswith(_LEDGER)}
    return {k: v for k, v in metrics.items() if not k.startswith(_LEDGER) and k not in short}
