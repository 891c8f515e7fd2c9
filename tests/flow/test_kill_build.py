"""A build that is killed, or that meets another one, leaves the store that an undisturbed build leaves."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.catalogue import catalogue
from features.materialise import materialise
from features.store import KEYS, Store
from tests.flow.killed import ROOT, run_killed
from tests.small_market import small_store

# Chunks of twenty sessions: many commits for a kill to fall between.
BUILD = """
import sys
from features.catalogue import catalogue
from features.materialise import materialise
from features.store import Store
materialise(Store(sys.argv[1]), catalogue("CS"), catalogue("CS").select(sets=("stock_core",)), memory=1)
"""


def building(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUILD, str(root)], cwd=ROOT)


def rows(store: Store, table: str) -> pl.DataFrame:
    frame = store.scan(table).collect()
    return frame.select(sorted(frame.columns)).sort(KEYS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    store = small_store(tmp_path_factory.mktemp("undisturbed"))
    materialise(store, catalogue("CS"), catalogue("CS").select(sets=("stock_core",)))
    return rows(store, "factors/CS")


def test_a_build_killed_at_many_moments_ends_as_an_undisturbed_one(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    store = small_store(tmp_path)
    moments, killed = random.Random(3), 0
    for kill in range(12):
        killed += run_killed(BUILD, str(store.root), commit=1 + kill % 4, delay=moments.uniform(0.0, 0.01))
    assert killed >= 4, "the kills came too late to test anything"
    materialise(store, catalogue("CS"), catalogue("CS").select(sets=("stock_core",)))
    assert_frame_equal(rows(store, "factors/CS"), undisturbed, check_exact=True)


def test_two_builds_at_once_lose_nothing_and_repeat_nothing(tmp_path: Path, undisturbed: pl.DataFrame) -> None:
    store = small_store(tmp_path)
    with building(store.root) as one, building(store.root) as other:
        assert [process.wait(timeout=120) for process in (one, other)] == [0, 0]
    assert_frame_equal(rows(store, "factors/CS"), undisturbed, check_exact=True)
