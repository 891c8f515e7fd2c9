"""What a run of any task on futures records first: what it was told, and on which tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from features.panel import SessionArray
from features.sessions import Day
from features.store import Store
from training.manifest import Manifest
from training.spread_config import SpreadConfig
from training.term_config import TermConfig
from training.tracking import RunLog
from training.volatility_config import VolatilityConfig

BARS = "bars/Future"


def futures_manifest(
    config: SpreadConfig | TermConfig | VolatilityConfig,
    store: Store,
    read: Sequence[str],
    target: str,
    sessions: Iterable[SessionArray],
    last: Day,
) -> Manifest:
    """The facts that serving needs, with the versions of the tables that were read.

    read      tables that the task reads where the store has them
    sessions  of each series; last: the day up to which they were gathered
    """
    first = min(one[0] for one in sessions)
    return Manifest(
        task=config.task,
        asset_class=config.data.asset_class,
        factors={},
        settings=config.dump(),
        target=target,
        config_hash=config.hash,
        data=store.versions([table for table in store.tables() if table in read]),
        trained=(str(first), str(last)),
    )


def record_settings(
    config: SpreadConfig | TermConfig | VolatilityConfig, store: Store, manifest: Manifest, rows: int, run: RunLog
) -> None:
    """What the run was told, and on what; rows: of the bars, that it made something of."""
    run.params({k: v for k, v in config.settings().items() if k != "register"})
    run.text("config.yaml", config.dump())
    told = json.dumps(manifest.data, sort_keys=True)
    run.tags({"asset_class": manifest.asset_class, "config_hash": manifest.config_hash, "data_version": told})
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    for name, version in manifest.data.items():
        run.dataset(name, store.root / name, version, f"{digest}-v{version}", rows=rows if name == BARS else None)
    run.environment()
