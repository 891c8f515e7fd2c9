"""Runs compiled kernels on plain threads: a rolling kernel over blocks of assets, a cross-sectional one over sessions.

Kernels release the interpreter lock, so blocks run side by side whatever thread layer numba has. A kernel takes whole
panels, the part of them that is its own, and numbers; it writes its part of the panel it is given last, and knows
nothing of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import numpy as np

from features.panel import Float64Array

# Assets a block: the rows of a window stay in a core's cache, and a row of the block still fills whole pages.
_ASSETS_A_BLOCK = 256
# Cells a block of sessions: enough to pay for handing it to a thread.
_CELLS_A_BLOCK = 65_536
# Whether this thread is one of several that share a piece of work.
_SPREAD: ContextVar[bool] = ContextVar("spread", default=False)


def threads() -> int:
    """How many threads kernels may use: DAYBAR_THREADS, else the cores this process may run on."""
    return int(os.environ.get("DAYBAR_THREADS", 0)) or len(os.sched_getaffinity(0))


def over_assets(
    kernel: Callable[..., None], panels: Sequence[Float64Array], *settings: float | Float64Array
) -> Float64Array:
    """The panel that kernel(*panels, start, stop, *settings, out) writes, called for blocks of assets start:stop.

    panels  each (T, N), or (T, 1) or (1, N), which then counts for every asset or session
    """
    shape = np.broadcast_shapes(*(np.shape(p) for p in panels))
    whole = [_readable(p, shape) for p in panels]
    out = np.empty(shape)

    def run(start: int, stop: int) -> None:
        kernel(*whole, start, stop, *settings, out)

    in_parts(run, shape[1], _ASSETS_A_BLOCK)
    return out


def over_sessions(kernel: Callable[..., None], panel: Float64Array, width: int) -> Float64Array:
    """The (T, width) array that kernel(panel, start, stop, out) writes, called for blocks of sessions start:stop."""
    whole = _readable(panel, np.shape(panel))
    out = np.empty((len(whole), width))

    def run(start: int, stop: int) -> None:
        kernel(whole, start, stop, out)

    in_parts(run, len(whole), max(1, _CELLS_A_BLOCK // max(whole.shape[1], 1)))
    return out


def _readable(panel: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """The panel row by row in memory, and read-only: for arrays that may be written numba would compile once more."""
    whole = np.ascontiguousarray(np.broadcast_to(panel, shape), dtype=np.float64).view()
    whole.flags.writeable = False
    return whole


def in_parts(run: Callable[[int, int], None], length: int, part: int) -> None:
    """Call run(start, stop) for parts of 0:length, side by side; what is run so does not spread out any further."""
    bounds = [(start, min(start + part, length)) for start in range(0, length, part)]
    workers = 1 if _SPREAD.get() else min(threads(), len(bounds))
    if workers <= 1:
        for start, stop in bounds:
            run(start, stop)
        return

    def alone(bound: tuple[int, int]) -> None:
        _SPREAD.set(True)
        run(*bound)

    with ThreadPoolExecutor(workers) as pool:
        # The list waits for every part, and raises what a part raised.
        list(pool.map(alone, bounds))
