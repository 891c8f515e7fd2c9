"""Runs a compiled kernel over blocks of assets: each block is laid out asset-major, so that a kernel walks memory.

A kernel takes arrays (b, T) and numbers, writes into the arrays (b, T) it is given last, and knows nothing of threads.
Kernels release the interpreter lock, so blocks run side by side on plain threads, whatever thread layer numba has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from features.panel import Float64Array

# A block of this many cells (1 MiB of float64 an array) stays in a core's cache while a kernel walks it.
_CELLS_A_BLOCK = 131_072


def threads() -> int:
    """How many threads kernels may use: DAYBAR_THREADS, else the cores this process may run on."""
    return int(os.environ.get("DAYBAR_THREADS", 0)) or len(os.sched_getaffinity(0))


def over_assets(
    kernel: Callable[..., None], panels: Sequence[Float64Array], *settings: float, outputs: int = 1
) -> list[Float64Array]:
    """The kernel applied to every block of assets of the panels.

    panels   each (T, N), or (T, 1) or (1, N), which then counts for every asset or session; ±inf becomes NaN
    returns  `outputs` arrays (T, N)
    """
    t, n = np.broadcast_shapes(*(np.shape(p) for p in panels))
    wide = [np.broadcast_to(np.asarray(p, dtype=np.float64), (t, n)) for p in panels]
    out = [np.empty((t, n)) for _ in range(outputs)]
    width = max(1, min(n, _CELLS_A_BLOCK // max(t, 1)))

    def run(start: int) -> None:
        cut = slice(start, min(start + width, n))
        given = [np.array(p[:, cut].T, order="C") for p in wide]
        for g in given:
            g[np.isinf(g)] = np.nan
        got = [np.empty((cut.stop - start, t)) for _ in range(outputs)]
        kernel(*given, *settings, *got)
        for o, g in zip(out, got, strict=True):
            o[:, cut] = g.T

    starts = range(0, n, width)
    if len(starts) == 1 or threads() == 1:
        for start in starts:
            run(start)
    else:
        with ThreadPoolExecutor(threads()) as pool:
            list(pool.map(run, starts))
    return out
