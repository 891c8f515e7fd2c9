"""Blocks of a long array: they cover what was asked for, cut no session, and let the pages of a file go."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.blocks import blocks, is_mapped, release


def mapped(array: np.ndarray) -> np.memmap:
    """The array as a read-only map of a file without a name."""
    with tempfile.TemporaryFile() as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        return np.memmap(file, dtype=array.dtype, mode="r", shape=array.shape)


def resident_of_files() -> int:
    """Bytes of mapped files that are resident."""
    told = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"RssFile:\s+(\d+) kB", told).group(1)) * 1024


SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=30)


@given(SIZES, st.integers(1, 40), st.data())
def test_blocks_cover_the_rows_of_the_mask_once_in_order_and_cut_no_session(sizes, longest, data):
    session = np.repeat(np.arange(len(sizes)), sizes)
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes))))
    array = np.zeros((len(session), 2), dtype=np.float32)
    parts = list(blocks(array, session, chosen[session], size=8 * longest))
    covered = np.concatenate([np.arange(p.start, p.stop) for p in parts]) if parts else np.zeros(0)
    assert np.array_equal(covered, np.flatnonzero(chosen[session]))
    for part in parts:
        assert part.start == 0 or session[part.start] != session[part.start - 1]
        assert part.stop == len(session) or session[part.stop] != session[part.stop - 1]
        # A block is no longer than it may be, but for one session that is longer alone.
        assert part.stop - part.start <= longest or session[part.start] == session[part.stop - 1]


@given(st.integers(0, 50), st.integers(1, 60))
def test_without_sessions_all_blocks_but_the_last_are_full(m, longest):
    parts = list(blocks(np.zeros((m, 1), dtype=np.float32), size=4 * longest))
    assert [p.stop - p.start for p in parts] == [longest] * (m // longest) + ([m % longest] if m % longest else [])


def test_a_mapped_file_is_known_through_its_views_and_an_array_in_memory_is_not():
    array = np.zeros((4, 3), dtype=np.float32)
    part = mapped(array)[1:3]
    assert is_mapped(part)
    assert is_mapped(np.ascontiguousarray(part))
    assert not is_mapped(array[1:3])
    assert not is_mapped(part + 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux tells of a process")
def test_used_blocks_leave_memory_and_come_back_as_they_were():
    array = np.random.default_rng(0).standard_normal((1_000_000, 16)).astype(np.float32)
    file = mapped(array)
    before = resident_of_files()
    held, total = [], 0.0
    for part in blocks(file, size=4 << 20):
        total += file[part].sum(dtype=np.float64)
        held.append(resident_of_files() - before)
    assert max(held) < 16 << 20
    assert total == pytest.approx(array.sum(dtype=np.float64))
    file.sum()
    assert resident_of_files() - before > 48 << 20  # the measure can tell: read as a whole it stays
    release(file)
    assert resident_of_files() - before < 4 << 20
    assert np.array_equal(file[-3:], array[-3:])


def test_memory_that_no_file_holds_is_not_released():
    array = np.arange(6.0)
    release(array)
    assert array.tolist() == [0, 1, 2, 3, 4, 5]
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(4096 * 4))
        file.flush()
        private = np.memmap(file.name, dtype=np.float32, mode="c")
        private[:] = 7
        release(private)
        assert (private == 7).all()
