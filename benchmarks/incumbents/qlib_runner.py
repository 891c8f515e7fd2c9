"""pyqlib's own values of its expressions on the panel of an .npz file, computed and timed by the pyqlib interpreter.

    python qlib_runner.py PANEL.npz RESULT.npz --expressions alpha158 --kernels 2 --repeats 3

The panel is written as a qlib store (float32, each stock from its first to its last bar) into a temporary folder, and
`D.features` is asked for expressions: `alpha158`, `alpha360`, or the path of a JSON object of names and expressions.
RESULT holds `names` and `expressions` (K,), `values` (K, T, N) float32 and `seconds`, a JSON text with the median time
of `D.features`. NaN stands where qlib gives NaN, and outside a stock's own dates, where qlib gives no row.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import panel as market
import qlib
from qlib.contrib.data.loader import Alpha158DL, Alpha360DL
from qlib.data import D
from qlib.data.cache import H


def expressions_of(which: str) -> tuple[list[str], list[str]]:
    """Names and expressions of one of qlib's sets, as its loaders configure them, or of a JSON file."""
    if which in ("alpha158", "alpha360"):
        loader = {"alpha158": Alpha158DL, "alpha360": Alpha360DL}[which]
        fields, names = loader.get_feature_config()
        return list(names), list(fields)
    named: dict[str, str] = json.loads(Path(which).read_text(encoding="utf-8"))
    return list(named), list(named.values())


def write_store(panel: market.MarketPanel, folder: Path) -> None:
    """A qlib store: calendar, instruments with their dates, one file per stock and field, led by its first index."""
    for part in ("calendars", "instruments", "features"):
        (folder / part).mkdir()
    days = [str(day) for day in panel.dates]
    (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n", encoding="utf-8")
    lines = []
    for stock, code in enumerate(panel.codes):
        first, last = panel.listed(stock)
        lines.append(f"{code}\t{days[first]}\t{days[last]}\n")
        (folder / "features" / code.lower()).mkdir()
        for name, values in panel.fields.items():
            series = np.concatenate([[first], values[first : last + 1, stock]]).astype("<f4")
            series.tofile(folder / "features" / code.lower() / f"{name}.day.bin")
    (folder / "instruments" / "all.txt").write_text("".join(lines), encoding="utf-8")


def timed_features(fields: list[str], repeats: int) -> tuple[pd.DataFrame, list[float]]:
    """The frame of D.features over the whole calendar and the seconds of each repetition."""
    seconds = []
    for _ in range(repeats):
        # qlib keeps series in memory between calls; every repetition starts without them.
        H.clear()
        start = time.perf_counter()
        frame = D.features(D.instruments("all"), fields, freq="day")
        seconds.append(time.perf_counter() - start)
    return frame, seconds


def to_panels(frame: pd.DataFrame, panel: market.MarketPanel) -> np.ndarray:
    """The long frame as (K, T, N) float32."""
    days, stocks = pd.DatetimeIndex(panel.dates), pd.Index(panel.codes)
    rows = days.get_indexer(frame.index.get_level_values("datetime"))
    columns = stocks.get_indexer(frame.index.get_level_values("instrument"))
    if (rows < 0).any() or (columns < 0).any():
        raise ValueError("qlib gave a session or a stock that the panel does not hold")
    values = np.full((frame.shape[1], len(days), len(stocks)), np.nan, dtype=np.float32)
    for k in range(frame.shape[1]):
        values[k, rows, columns] = frame.iloc[:, k].to_numpy(dtype=np.float32)
    return values


def main() -> None:
    """Run, and keep names, expressions, values and seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("panel", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--expressions", default="alpha158", help="alpha158, alpha360 or a JSON file")
    parser.add_argument("--kernels", type=int, default=2, help="qlib's worker processes")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seconds-only", action="store_true", help="keep no values")
    given = parser.parse_args()
    bars = market.read(given.panel)
    names, fields = expressions_of(given.expressions)
    with tempfile.TemporaryDirectory() as folder:
        write_store(bars, Path(folder))
        qlib.init(provider_uri=folder, region="cn", kernels=given.kernels, logging_level="ERROR")
        frame, seconds = timed_features(fields, given.repeats)
        values = np.empty((0, *bars.fields["close"].shape), dtype=np.float32)
        if not given.seconds_only:
            values = to_panels(frame, bars)
    told = json.dumps({"features": float(np.median(seconds))})
    np.savez(given.result, names=np.array(names), expressions=np.array(fields), values=values, seconds=np.array(told))
    print(told)


if __name__ == "__main__":
    main()
