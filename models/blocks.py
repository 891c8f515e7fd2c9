"""Long arrays a block at a time: what lies in memory is only read in parts, what lies in a file leaves memory again.

An array that outgrows memory is a read-only map of a file. Each page of it that is touched stays resident until the
system wants it back; `blocks` lets the pages of a block go as soon as the next one is asked for.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features.panel import BoolArray, IntArray

BLOCK_BYTES: Final = 1 << 26


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether the array is a part of a mapped file."""
    return _map(array) is not None


def release(array: NDArray[Any]) -> None:
    """Let the pages of a read-only part of a mapped file leave memory; nothing happens to any other array.

    Read again they come back from the file, so that only time can be lost.
    """
    held = _map(array)
    if held is None or array.size == 0 or array.flags.writeable or not hasattr(held, "madvise"):
        return
    low, high = np.lib.array_utils.byte_bounds(array)
    start = low - np.frombuffer(held, dtype=np.uint8).__array_interface__["data"][0]
    aligned = start - start % mmap.PAGESIZE
    held.madvise(mmap.MADV_DONTNEED, aligned, high - low + start - aligned)


def blocks(
    array: NDArray[Any], session: IntArray | None = None, rows: BoolArray | None = None, size: int | None = None
) -> Iterator[slice]:
    """Slices that follow one another over an array (M, ...); a used one is released.

    size     bytes that each takes, about; None for BLOCK_BYTES
    session  (M,) non-decreasing: no session is cut, so that a block may be larger
    rows     (M,) mask: the slices cover its rows alone; with a session, it holds whole sessions
    """
    longest = block_rows(array, size)
    edges = None if session is None else _edges(session)
    for first, last in [(0, len(array))] if rows is None else _runs(rows):
        start = first
        while start < last:
            stop = start + longest if edges is None else _whole(edges, start, longest)
            part = slice(start, min(stop, last))
            yield part
            release(array[part])
            start = part.stop


def block_rows(array: NDArray[Any], size: int | None = None) -> int:
    """Rows of a block of an array (M, ...)."""
    return max(1, (size or BLOCK_BYTES) // max(1, array.itemsize * math.prod(array.shape[1:])))


def _whole(edges: IntArray, start: int, longest: int) -> int:
    """The last edge within reach of start; the next one where a session alone is longer."""
    at = int(np.searchsorted(edges, start + longest, side="right")) - 1
    return int(edges[at] if edges[at] > start else edges[at + 1])


def _edges(session: IntArray) -> IntArray:
    """First row of each session, then the number of rows."""
    return np.concatenate([[0], np.flatnonzero(np.diff(session)) + 1, [len(session)]])


def _runs(rows: BoolArray) -> list[tuple[int, int]]:
    """(first, stop) of each stretch of rows that the mask names."""
    turns = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]])))
    return [(int(a), int(b)) for a, b in zip(turns[::2], turns[1::2], strict=True)]


def _map(array: NDArray[Any]) -> mmap.mmap | None:
    """The map of a file that an array is a view of."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
