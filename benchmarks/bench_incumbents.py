"""daybar's factor engine against qlib and KunQuant: seconds on one panel, and whether the numbers are the same.

    python benchmarks/bench_incumbents.py --qlib-python QLIB/bin/python --kunquant-python KUNQUANT/bin/python --values

Both run in environments of their own (benchmarks/README.md) as subprocesses that read the same simulated bars; what is
timed is their computation alone, not the start of Python nor the files. Without one of the two its rows are left out.

Seconds are taken on bars without a gap, which KunQuant needs. Values are compared on bars with suspensions, late
listings and the rest against qlib, and on the bars without a gap against KunQuant, where both have a number.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from incumbents import panel as market

from features.catalogue import catalogue
from features.operators.blocks import threads
from features.panel import BoolArray, Float32Array, Panels
from features.plan import compute, plan

RUNNERS = Path(__file__).resolve().parent / "incumbents"
SETS = ("alpha158", "alpha360")
CLOSE_ENOUGH = 1e-5
# KunQuant's fastest ways through: on buffers in its own layout, and end to end from panels (T, N).
KUNQUANT = {
    "float, STs": ["--layout", "STs"],
    "float, TS, exact": ["--layout", "TS", "--exact"],
    "double, TS, exact": ["--layout", "TS", "--dtype", "double", "--exact"],
}


@dataclass(frozen=True)
class Answer:
    """What one of the incumbents said: column in lower case -> (T, N), and its seconds by kind."""

    seconds: dict[str, float]
    columns: dict[str, Float32Array] = field(repr=False)


def daybar_columns(bars: market.MarketPanel, which: str) -> dict[str, Float32Array]:
    """The columns of a set as daybar computes them, under qlib's names in lower case."""
    fields = {name: values.astype(np.float64) for name, values in bars.fields.items()}
    bar = ~np.isnan(fields["close"])
    # No corporate actions: the close before is the last one there was.
    last = np.maximum.accumulate(np.where(bar, np.arange(len(bar))[:, None], -1), axis=0)
    before = np.vstack([np.full((1, bar.shape[1]), -1), last[:-1]])
    fields["prev_close"] = np.where(before >= 0, np.take_along_axis(fields["close"], np.maximum(before, 0), 0), np.nan)
    fields["prev_close"] = np.where(bar & (before < 0), fields["open"], np.where(bar, fields["prev_close"], np.nan))
    fields["total_turnover"] = fields.pop("vwap") * fields["volume"]
    known = catalogue("CS")
    wanted = plan(known, known.select(sets=[which]), fields)
    panels = Panels(bars.dates, np.array(bars.codes), {**fields, "traded": bar.astype(np.float64)})
    made = compute(wanted, panels, dtype=np.float32)[0]
    return {name.removeprefix(f"{which}_"): np.asarray(made[name]) for name in wanted.wanted}


def asked(python: Path, runner: str, bars: Path, folder: Path, options: Iterable[str]) -> Answer:
    """Run one of the incumbents in its own interpreter."""
    result = folder / "result.npz"
    command = [str(python), "-W", "ignore", str(RUNNERS / runner), str(bars), str(result), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{runner} failed:\n{done.stderr}")
    with np.load(result) as kept:
        names = [str(name).lower() for name in kept["names"]]
        # A run for its seconds alone keeps no values.
        columns = dict(zip(names, kept["values"], strict=False))
        return Answer(json.loads(str(kept["seconds"])), columns)


def seconds(bars: market.MarketPanel, which: str, repeats: int) -> float:
    """Median seconds of daybar, after a first run that compiles."""
    daybar_columns(bars, which)
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        daybar_columns(bars, which)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def print_seconds(given: argparse.Namespace, folder: Path) -> None:
    """The table of seconds, on bars without a gap."""
    bars, path = market.simulated(given.sessions, given.stocks, given.seed, complete=True), folder / "complete.npz"
    market.write(bars, path)
    print("| set | engine | seconds | / daybar |\n|---|---|---|---|")
    for which in given.sets:
        ours = seconds(bars, which, given.repeats)
        rows = {"daybar": ours}
        if given.kunquant_python and which == "alpha158":
            for told, options in KUNQUANT.items():
                options = [*options, "--threads", str(threads()), "--repeats", str(given.repeats), "--seconds-only"]
                answer = asked(given.kunquant_python, "kunquant_runner.py", path, folder, options)
                rows[f"KunQuant, {told}: the graph alone"] = answer.seconds["run"]
                rows[f"KunQuant, {told}: from panels to panels"] = answer.seconds["whole"]
                rows[f"KunQuant, {told}: C++ compiler, once"] = answer.seconds["compile"]
        if given.qlib_python:
            options = [*qlib_options(which), "--repeats", str(given.qlib_repeats), "--seconds-only"]
            answer = asked(given.qlib_python, "qlib_runner.py", path, folder, options)
            rows["qlib, D.features"] = answer.seconds["features"]
        for engine, taken in rows.items():
            print(f"| {which} | {engine} | {taken:.2f} | {taken / ours:.1f} |", flush=True)


def qlib_options(which: str) -> list[str]:
    """qlib with as many worker processes as daybar has threads."""
    return ["--expressions", which, "--kernels", str(threads())]


@dataclass(frozen=True)
class Difference:
    """How far a column of daybar is from another engine's.

    largest   of |ours - theirs| over |theirs|, or over the median of |theirs| in the column where that is larger
    one_sided cells where one of the two has a number and the other has none
    """

    name: str
    largest: float
    one_sided: int


def differences(
    ours: Mapping[str, Float32Array], theirs: Mapping[str, Float32Array], where: BoolArray
) -> list[Difference]:
    """Every column of theirs against ours at the cells `where`, the farthest first."""
    if missing := sorted(set(theirs) - set(ours)):
        sys.exit(f"daybar has no {', '.join(missing)}")
    found = []
    for name, column in theirs.items():
        a, b = ours[name][where].astype(np.float64), column[where].astype(np.float64)
        both = np.isfinite(a) & np.isfinite(b)
        size = np.abs(b[both])
        scale = np.maximum(size, np.median(size) if size.size else 1.0)
        apart = np.divide(np.abs(a[both] - b[both]), scale, out=np.zeros_like(scale), where=scale > 0)
        found.append(Difference(name, float(apart.max(initial=0.0)), int((np.isfinite(a) ^ np.isfinite(b)).sum())))
    return sorted(found, key=lambda d: (-d.largest, -d.one_sided))


def print_differences(title: str, found: list[Difference], cells: int, worst: int) -> None:
    """How many columns are close enough, and the worst."""
    close = sum(d.largest <= CLOSE_ENOUGH for d in found)
    both = sum(d.largest <= CLOSE_ENOUGH and not d.one_sided for d in found)
    print(f"\n{title}: {close} of {len(found)} columns within {CLOSE_ENOUGH:g} on {cells} cells, {both} of them")
    print("with a number in the same cells.\n\n| column | largest relative difference | numbers in one only |")
    print("|---|---|---|")
    for d in found[:worst]:
        print(f"| {d.name} | {d.largest:.1e} | {d.one_sided} |")
    if alone := [d for d in found[worst:] if d.one_sided]:
        print(f"\nFurther columns with numbers in one only: {', '.join(f'{d.name} {d.one_sided}' for d in alone)}")


def print_values(given: argparse.Namespace, folder: Path) -> None:
    """The tables of differences, of qlib on bars with gaps and of KunQuant on bars without."""
    gapped = market.simulated(given.sessions, given.stocks, given.seed)
    complete = market.simulated(given.sessions, given.stocks, given.seed, complete=True)
    market.write(gapped, folder / "gapped.npz")
    market.write(complete, folder / "complete.npz")
    for which in given.sets:
        if given.qlib_python:
            told = asked(given.qlib_python, "qlib_runner.py", folder / "gapped.npz", folder, qlib_options(which))
            found = differences(daybar_columns(gapped, which), told.columns, gapped.traded)
            print_differences(f"{which}, daybar and qlib", found, int(gapped.traded.sum()), given.worst)
        if given.kunquant_python and which == "alpha158":
            options = ["--layout", "TS", "--dtype", "double", "--exact", "--repeats", "1"]
            told = asked(given.kunquant_python, "kunquant_runner.py", folder / "complete.npz", folder, options)
            # KunQuant has no rule for windows that are not full: they are left out.
            full = np.broadcast_to((np.arange(given.sessions) >= 60)[:, None], complete.traded.shape)
            found = differences(daybar_columns(complete, which), told.columns, full)
            print_differences(f"{which}, daybar and KunQuant", found, int(full.sum()), given.worst)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qlib-python", type=Path, help="the interpreter of an environment with pyqlib")
    parser.add_argument("--kunquant-python", type=Path, help="the interpreter of an environment with KunQuant")
    parser.add_argument("--sessions", type=int, default=2500)
    parser.add_argument("--stocks", type=int, default=500)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--qlib-repeats", type=int, default=1, help="qlib takes most of a minute for 500 stocks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", action="store_true", help="compare the numbers instead of timing")
    parser.add_argument("--worst", type=int, default=15, help="rows of the tables of differences")
    given = parser.parse_args()
    print(f"{given.stocks} stocks, {given.sessions} sessions, {threads()} threads, medians of {given.repeats}\n")
    with tempfile.TemporaryDirectory() as folder:
        (print_values if given.values else print_seconds)(given, Path(folder))


if __name__ == "__main__":
    main()
