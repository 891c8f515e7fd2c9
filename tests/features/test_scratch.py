"""Arrays that outgrow memory: in a file what they are in memory, and nothing left behind."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from features.panel import ConfigError, DataError, Float32Array
from features.scratch import IN_MEMORY, Scratch

CELLS = np.random.default_rng(0).standard_normal((1000, 7)).astype(np.float32)
CELLS[3, 2] = np.nan
Disk = namedtuple("Disk", "total used free")


def thirds() -> Iterator[Float32Array]:
    yield CELLS[:300]
    yield CELLS[300:301]
    yield np.asfortranarray(CELLS[301:])


def held_under(folder: Path) -> int:
    """Files of the folder that this process has open or mapped, named or not."""
    opened = []
    for fd in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{fd}"):
            opened.append(os.readlink(f"/proc/self/fd/{fd}"))
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return sum(str(folder) in line for line in [*opened, *mapped])


def test_a_file_holds_what_memory_would_to_the_last_bit(tmp_path):
    inside = IN_MEMORY.stack("cells", 1000, 7, thirds())
    outside = Scratch(memory=0, folder=tmp_path).stack("cells", 1000, 7, thirds())
    assert not isinstance(inside, np.memmap)
    assert isinstance(outside, np.memmap)
    assert inside.tobytes() == outside.tobytes() == CELLS.tobytes()
    assert outside.flags.c_contiguous
    assert not outside.flags.writeable


def test_only_an_array_above_the_memory_goes_to_a_file(tmp_path):
    fits = Scratch(memory=CELLS.nbytes, folder=tmp_path).stack("cells", 1000, 7, thirds())
    assert not isinstance(fits, np.memmap)
    assert isinstance(Scratch(memory=CELLS.nbytes - 1, folder=tmp_path).stack("cells", 1000, 7, thirds()), np.memmap)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads what Linux tells of a process")
def test_the_file_has_no_name_and_goes_with_its_array(tmp_path):
    outside = Scratch(memory=0, folder=tmp_path).stack("cells", 1000, 7, thirds())
    assert list(tmp_path.iterdir()) == []
    part = outside[10:20]
    assert held_under(tmp_path) > 0
    del outside
    assert held_under(tmp_path) > 0  # a part of it keeps it
    assert np.array_equal(part, CELLS[10:20])
    del part
    assert held_under(tmp_path) == 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads what Linux tells of a process")
def test_nothing_is_left_after_an_error_on_the_way(tmp_path):
    def failing():
        yield CELLS[:300]
        raise KeyError("factor")

    with pytest.raises(KeyError):
        Scratch(memory=0, folder=tmp_path).stack("cells", 1000, 7, failing())
    assert list(tmp_path.iterdir()) == []
    assert held_under(tmp_path) == 0


def test_a_disk_that_is_too_small_is_refused_with_the_numbers_before_any_block_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(9e9, 6e9, 3.21e9))
    asked = []

    def blocks():
        asked.append(1)
        yield CELLS

    wanted = r"its disk must have 9\.5 GB free for the matrix; found 3\.2 GB\.\n.*than 2\.0 GB"
    with pytest.raises(ConfigError, match=wanted):
        Scratch(memory=2e9, folder=tmp_path).stack("matrix", 12_500_000, 190, blocks())
    assert asked == []


def test_blocks_that_do_not_make_up_the_rows_are_refused(tmp_path):
    for scratch in (IN_MEMORY, Scratch(memory=0, folder=tmp_path)):
        with pytest.raises(DataError, match="its blocks must have 1001 rows; found 1000"):
            scratch.stack("cells", 1001, 7, thirds())


def test_the_size_is_told_of_a_file_and_of_what_fills_memory(tmp_path):
    told: list[str] = []
    Scratch(memory=0, folder=tmp_path / "made").stack("cells", 1000, 7, thirds(), told.append)
    assert told[0].startswith("cells: 1,000 rows of 7 columns, 0 MB in a scratch file under ")
    rows = 15_000_000
    IN_MEMORY.stack("matrix", rows, 2, [np.zeros((rows, 2), dtype=np.float32)], told.append)
    assert told[1] == "matrix: 15,000,000 rows of 2 columns, 120 MB in memory"
    IN_MEMORY.stack("cells", 1000, 7, thirds(), told.append)
    assert len(told) == 2


def test_an_array_of_no_rows_needs_no_file(tmp_path):
    assert Scratch(memory=0, folder=tmp_path).stack("cells", 0, 7, []).shape == (0, 7)
