"""KunQuant's Alpha158 on the panel of an .npz file: compiled, run and timed by the KunQuant interpreter.

    python kunquant_runner.py PANEL.npz RESULT.npz --layout STs --dtype float --threads 2 --repeats 5

RESULT holds `names` (K,), `values` (K, T, N) float32 and `seconds`, a JSON text. Three times are taken: `compile`,
once; `run`, the graph alone on buffers already in KunQuant's layout; `whole`, from panels (T, N) to panels (T, N).
KunQuant knows no missing values: give it a complete panel. A C++ compiler must be on the path.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import panel as market
from KunQuant.Driver import KunCompilerConfig
from KunQuant.jit import cfake
from KunQuant.Op import Builder, Input, Output
from KunQuant.predefined.Alpha158 import AllData
from KunQuant.runner import KunRunner
from KunQuant.Stage import Function

INPUTS = ("open", "high", "low", "close", "volume", "amount")
WINDOWS = [5, 10, 20, 30, 60]


def graph() -> Function:
    """The 158 columns of qlib's default configuration, as KunQuant predefines them."""
    builder = Builder()
    with builder:
        data = AllData(**{name: Input(name) for name in INPUTS})
        prices = [("OPEN", data.open), ("HIGH", data.high), ("LOW", data.low), ("VWAP", data.vwap)]
        parts = {"kbar": {}, "price": {"windows": [0], "feature": prices}, "rolling": {"windows": WINDOWS}}
        for expression, name in zip(*data.build(parts), strict=True):
            Output(expression, name)
    return Function(builder.ops)


def compiled(layout: str, dtype: str, blocking: int, partition: int, aligned: bool, fast: bool) -> KunRunner.Library:
    """The library of that graph; a blocking of 512 bits asks the C++ compiler for AVX-512."""
    wide = blocking * {"float": 32, "double": 64}[dtype] == 512
    flags = cfake.X64CPUFlags(avx512=True, avx512dq=True, avx512vl=True) if wide else cfake.NativeCPUFlags()
    # The options of KunQuant's own test of Alpha158; "no_warn" computes windowed statistics from running sums.
    options: dict[str, Any] = {"opt_reduce": True, "fast_log": True, "no_fast_stat": "no_warn" if fast else True}
    config = KunCompilerConfig(
        partition_factor=partition,
        dtype=dtype,
        blocking_len=blocking,
        input_layout=layout,
        output_layout=layout,
        allow_unaligned=not aligned,
        options=options,
    )
    return cfake.compileit([("alpha158", graph(), config)], "alpha158", cfake.CppCompilerConfig(machine=flags))


def arranged(panel: np.ndarray, layout: str, blocking: int, dtype: str) -> np.ndarray:
    """A panel (T, N) in KunQuant's layout: TS is itself, STs is (N / blocking, T, blocking), padded at the end."""
    if layout == "TS":
        return np.ascontiguousarray(panel, dtype=dtype)
    sessions, stocks = panel.shape
    padded = np.pad(panel, ((0, 0), (0, -stocks % blocking)), mode="edge")
    return np.ascontiguousarray(padded.reshape(sessions, -1, blocking).transpose(1, 0, 2), dtype=dtype)


def restored(values: np.ndarray, layout: str, stocks: int) -> np.ndarray:
    """The way back, of (K, ...) in KunQuant's layout to (K, T, N)."""
    if layout == "TS":
        return values[..., :stocks]
    outputs, _, sessions, _ = values.shape
    return np.ascontiguousarray(values.transpose(0, 2, 1, 3)).reshape(outputs, sessions, -1)[..., :stocks]


def measured(
    fields: dict[str, np.ndarray], given: argparse.Namespace
) -> tuple[list[str], np.ndarray, dict[str, float]]:
    """Names, values (K, T, N) and median seconds."""
    start = time.perf_counter()
    library = compiled(given.layout, given.dtype, given.blocking, given.partition, given.aligned, not given.exact)
    seconds = {"compile": time.perf_counter() - start}
    # The calling thread computes too: a pool of one makes two.
    pool = KunRunner.createMultiThreadExecutor(given.threads - 1) if given.threads > 1 else None
    module, executor = library.getModule("alpha158"), pool or KunRunner.createSingleThreadExecutor()
    names = list(module.getOutputNames())
    sessions, stocks = fields["close"].shape
    dtype = {"float": "float32", "double": "float64"}[given.dtype]

    def inputs() -> dict[str, np.ndarray]:
        return {name: arranged(fields[name], given.layout, given.blocking, dtype) for name in INPUTS}

    held = inputs()
    shape = next(iter(held.values())).shape
    out = np.empty((len(names), *shape), dtype=dtype)
    outputs = {name: out[k] for k, name in enumerate(names)}
    run, whole = [], []
    for _ in range(given.repeats + 1):
        begin = time.perf_counter()
        held = inputs()
        ready = time.perf_counter()
        KunRunner.runGraph(executor, module, held, 0, sessions, outputs)
        done = time.perf_counter()
        values = restored(out, given.layout, stocks)
        whole.append(time.perf_counter() - begin)
        run.append(done - ready)
    # The first repetition touches the pages of the buffers and is left out.
    seconds |= {"run": float(np.median(run[1:])), "whole": float(np.median(whole[1:]))}
    return names, values, seconds


def main() -> None:
    """Run, and keep names, values and seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panel", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--layout", choices=("STs", "TS"), default="STs")
    parser.add_argument("--dtype", choices=("float", "double"), default="float")
    parser.add_argument("--blocking", type=int, default=0, help="stocks per vector; default: 256 bits")
    parser.add_argument("--partition", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--aligned", action="store_true", help="promise that the stocks fill whole vectors")
    parser.add_argument("--exact", action="store_true", help="windowed statistics in two passes, not from running sums")
    parser.add_argument("--seconds-only", action="store_true", help="keep no values")
    given = parser.parse_args()
    given.blocking = given.blocking or {"float": 8, "double": 4}[given.dtype]
    bars = market.read(given.panel)
    fields: dict[str, np.ndarray] = dict(bars.fields)
    # KunQuant divides the amount by volume + 1e-6; the two together give the panel's own average price back.
    fields["amount"] = bars.fields["vwap"].astype(np.float64) * bars.fields["volume"]
    names, values, seconds = measured(fields, given)
    kept = values[:0] if given.seconds_only else values.astype(np.float32)
    np.savez(given.result, names=np.array(names), values=kept, seconds=np.array(json.dumps(seconds)))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
