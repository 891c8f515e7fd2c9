"""A build that is killed, or that meets another one, leaves the store that an undisturbed build leaves."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.factor import select
from features.materialise import materialise
from features.store import KEYS, Store
from tests.small_market import small_store

ROOT = Path(__file__).resolve().parents[2]
# Chunks of twenty sessions: many commits for a kill to fall between.
BUILD = """
import sys
from features.factor import select
from features.materialise import materialise
from features.store import Store
print("ready", flush=True)
materialise(Store(sys.argv[1]), "CS", select("CS", sets=("stock_core",)), memory=1)
"""


def building(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", BUILD, str(root)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def rows(store: Store, table: str) -> pl.DataFrame:
    frame = store.scan(table).collect()
    return frame.select(sorted(frame.columns)).sort(KEYS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    store = small_store(tmp_path_factory.mktemp("undisturbed"))
    materialise(store, "CS", select("CS", sets=("stock_core",)))
    return rows(store, "factors/CS")


def test_a_build_killed_at_many_moments_ends_as_an_undisturbed_one(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    store = small_store(tmp_path)
    moments, killed = random.Random(3), 0
    for _ in range(12):
        with building(store.root) as process:
            time.sleep(moments.uniform(0.0, 0.5))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    assert killed >= 6, "the kills came too late to test anything"
    materialise(store, "CS", select("CS", sets=("stock_core",)))
    assert_frame_equal(rows(store, "factors/CS"), undisturbed, check_exact=True)


def test_two_builds_at_once_lose_nothing_and_repeat_nothing(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    store = small_store(tmp_path)
    with building(store.root) as one, building(store.root) as other:
        assert [process.wait(timeout=120) for process in (one, other)] == [0, 0]
    assert_frame_equal(rows(store, "factors/CS"), undisturbed, check_exact=True)
