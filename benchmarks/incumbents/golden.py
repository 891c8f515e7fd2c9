"""Writes tests/golden/*_by_qlib.*: what pyqlib itself computes on a small simulated market with every kind of gap.

    python benchmarks/incumbents/golden.py --qlib-python QLIB_ENVIRONMENT/bin/python

Five stocks on 140 sessions: suspensions, a late listing, a delisting, a constant price, bars without a trade, thin
volume.

inputs_by_qlib.parquet       the bars, one row per session and asset; NaN where there is no bar
alpha158_by_qlib.parquet     the 158 columns under qlib's names, on every session
alpha360_by_qlib.parquet     the 360 columns under qlib's names, on every fifth session
operators_by_qlib.parquet    columns named by their expression: every operator of qlib, windows of 5, 20 and 0,
                             which expands
expressions_by_qlib.json     name -> expression as qlib's loaders give it, of the two sets

All panels are float32, simulated and made with pyqlib 0.9.7, pandas 2.2.3 and numpy 2.4.6. Where a stock had no row in
qlib's answer (before its first and after its last bar) there is NaN.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import panel as market
import polars as pl

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests" / "golden"
SESSIONS, STOCKS, SEED = 140, 5, 1
EVERY = 5

# One series, a window of 5 and one of 20, and 0: from the first bar on. Volumes are large, and zero for a while.
WINDOWED = (
    *("Ref", "Delta", "Mean", "Sum", "Std", "Var", "Skew", "Kurt", "Max", "Min", "Med", "Mad", "Rank", "Count"),
    *("IdxMax", "IdxMin", "Slope", "Rsquare", "Resi", "WMA", "EMA"),
)
OTHERS = (
    *("Quantile($close,5,0.8)", "Quantile($volume,20,0.2)", "Quantile($close,0,0.5)"),
    *("EMA($close,0.1)", "EMA($close,0.35)", "Mean($close,0.2)"),
    *("Corr($close,$volume,5)", "Corr($close,Log($volume+1),20)", "Corr($open,$close,5)"),
    *("Cov($close,$volume,5)", "Cov($open,$close,20)"),
    *("Abs($close-$open)", "Sign($close-$open)", "Log($close)", "Log($volume)", "Power($close,2)"),
    *("Power($close-$open,0.5)", "Power($close,-1)", "Power($close-$open,0)", "2**($close/$open)"),
    *("Add($open,$close)", "Sub($open,$close)", "Mul($open,$close)", "Div($open,$volume)", "1-$close/$open"),
    *("Greater($open,$close)", "Less($open,$close)", "Greater($close,20)", "Less(20,$close)"),
    *("Gt($close,$open)", "Ge($close,$open)", "Lt($close,$open)", "Le($close,$open)", "Eq($close,$open)"),
    *("Ne($close,$open)", "Ne($close,Ref($close,1))", "$close>Ref($close,1)"),
    *("And($close>$open,$volume>0)", "Or($close>$open,$high>Ref($high,1))", "Not($close>$open)"),
    *("($close>$open)&($volume>0)", "($close>$open)|($close<$open)"),
    *("If($close>$open,$high,$low)", "If($close>Ref($close,1),1,0)", "If($close-$open,$high,0)"),
    *("Mean($close>Ref($close,1),5)", "Sum($close<$open,20)", "Mean(Ref($close>$open,1),5)"),
    *("Mean(Log($volume),5)", "Count(Log($volume),5)", "Max(Log($volume),20)", "Slope(Log($volume),5)"),
    *("Mean(Ref($close,3),5)", "Std($close/Ref($close,1)-1,20)", "Ref(Mean($close,5),3)", "Rank(Mean($close,5),20)"),
    "Mask($close,'SH600001')",
)


def operators() -> dict[str, str]:
    """Name -> expression; the expression is the name."""
    texts = [
        f"{name}({field},{n})" for name in WINDOWED for field, n in (("$close", 5), ("$volume", 20), ("$close", 0))
    ]
    return {text: text for text in (*texts, *OTHERS)}


def asked(python: Path, bars: Path, folder: Path, expressions: str) -> dict[str, np.ndarray]:
    """What pyqlib answers: names, expressions, values (K, T, N)."""
    result = folder / "result.npz"
    command = [str(python), "-W", "ignore", str(HERE / "qlib_runner.py"), str(bars), str(result), "--kernels", "1"]
    subprocess.run([*command, "--expressions", expressions], check=True)
    with np.load(result) as kept:
        return {name: kept[name] for name in ("names", "expressions", "values")}


def long(bars: market.MarketPanel, columns: dict[str, np.ndarray], step: int = 1) -> pl.DataFrame:
    """One row per session and asset, in that order."""
    days, stocks = bars.dates[::step], len(bars.codes)
    keys = {"session": np.repeat(days, stocks), "asset": np.tile(np.array(bars.codes), len(days))}
    return pl.DataFrame({**keys, **{name: values[::step].ravel() for name, values in columns.items()}})


def kept(frame: pl.DataFrame, name: str) -> None:
    """Write a golden file."""
    path = GOLDEN / f"{name}_by_qlib.parquet"
    frame.write_parquet(path, compression="zstd", compression_level=19, statistics=False)
    print(f"{path.name}: {frame.height} rows, {frame.width - 2} columns, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Ask pyqlib and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qlib-python", type=Path, required=True)
    given = parser.parse_args()
    bars = market.simulated(SESSIONS, STOCKS, SEED)
    kept(long(bars, dict(bars.fields)), "inputs")
    texts: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        market.write(bars, folder / "bars.npz")
        (folder / "operators.json").write_text(json.dumps(operators()), encoding="utf-8")
        sets = {"alpha158": ("alpha158", 1), "alpha360": ("alpha360", EVERY)}
        for name, (which, step) in {**sets, "operators": (str(folder / "operators.json"), 1)}.items():
            told = asked(given.qlib_python, folder / "bars.npz", folder, which)
            names = [str(n) for n in told["names"]]
            kept(long(bars, dict(zip(names, told["values"], strict=True)), step), name)
            if name in sets:
                texts[name] = dict(zip(names, map(str, told["expressions"]), strict=True))
    (GOLDEN / "expressions_by_qlib.json").write_text(json.dumps(texts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
