"""How long daily volatility forecasts of futures take daybar against a plain loop over arch, and whether they agree.

Both walk the same returns: a fit on the last 1,000 (at least 500) every 20 sessions, from the estimates of the fit
before, and daily filtered forecasts at 1, 5 and 20 sessions in between. arch is used as a careful user would: returns
in percent, `last_obs`, `starting_values`. daybar's fits that fail are made again by its chain of failure, and counted.
The forecasts of every session at which neither reports a failure are compared; where they differ, the log-likelihood
of the two estimates says which of them is nearer the top.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from arch import arch_model

from features.panel import BoolArray, Float64Array
from models.base import FitError
from models.volatility.base import Returns
from models.volatility.garch import FittedGarch, Garch
from models.volatility.walk import Plan, fit_window, walk

SERIES = Path(__file__).resolve().parents[2] / "shared" / "data" / "continuous" / "main_ohlcv_53_products.parquet"
PLAN = Plan(window=1000, min_window=500, refit=20, winsor=None, horizons=(1, 5, 20), levels=(0.99,))
SPECS = {"garch-normal": Garch("garch", innovation="normal"), "gjr-t": Garch("gjr", innovation="t")}
AGREE = 1e-4


@dataclass(frozen=True)
class Walked:
    """Variances (n, H) of one series; which stand on a sound fit; each fit's log-likelihood; processor seconds."""

    variance: Float64Array = field(repr=False)
    sound: BoolArray = field(repr=False)
    loglik: Float64Array = field(repr=False)  # by session, of the fit that it stands on
    estimates: dict[int, Float64Array] = field(repr=False)  # of percent, by origin
    fits: int
    failed: int
    seconds: float


def returns_of(path: Path) -> dict[str, Float64Array]:
    """Close-to-close log returns of every series that is long enough; roll jumps are inside."""
    bars = pl.read_parquet(path, columns=["order_book_id", "date", "close"]).sort("order_book_id", "date")
    found = {}
    for (name,), group in bars.group_by(["order_book_id"], maintain_order=True):
        close = group["close"].drop_nulls().to_numpy()
        close = close[close > 0]
        if len(close) > PLAN.min_window:
            found[str(name)] = np.diff(np.log(close))
    return found


def by_daybar(spec: Garch, value: Float64Array) -> Walked:
    """One series by daybar's own walk."""
    started = time.process_time()
    track = walk(spec, Returns(value), PLAN)
    seconds = time.process_time() - started
    sound, loglik, failed = np.ones(len(track), dtype=np.bool_), np.full(len(track), np.nan), 0
    estimates = {}
    for fit in track.fits:
        rows = slice(fit.origin - track.first, fit.origin - track.first + PLAN.refit)
        own = isinstance(fit.fitted, FittedGarch) and fit.fitted.spec == spec
        sound[rows] = own
        failed += fit.status != "ok"
        if own:
            loglik[rows] = fit.fitted.loglik
            estimates[fit.origin] = spec.shape.rescaled(np.array(fit.fitted.theta), 100.0)
    return Walked(track.variance, sound, loglik, estimates, len(track.fits), failed, seconds)


def by_arch(spec: Garch, value: Float64Array, begins: Mapping[int, Float64Array] | None = None) -> Walked:
    """The same by a loop over arch; from given starts by origin, where there are, and then as exactly as it can."""
    started, percent = time.process_time(), 100 * value
    first = PLAN.min_window - 1
    n = max(0, len(value) - first)
    variance, sound, loglik = np.full((n, 3), np.nan), np.zeros(n, dtype=np.bool_), np.full(n, np.nan)
    before, fits, failed = None, 0, 0
    for origin in range(first, len(value), PLAN.refit):
        low, stop = max(0, origin + 1 - PLAN.window), min(origin + PLAN.refit, len(value))
        model = arch_model(
            percent[low:stop],
            mean="Constant",
            vol="GARCH",
            p=1,
            o=1 if spec.variance == "gjr" else 0,
            q=1,
            dist=spec.innovation,
            rescale=False,
        )
        seen = origin + 1 - low
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = (
                {"starting_values": before} if begins is None else {"starting_values": begins.get(origin), "tol": 1e-12}
            )
            found = model.fit(last_obs=seen, disp="off", show_warning=False, **given)
            told = found.forecast(horizon=20, start=seen - 1, reindex=False).variance.to_numpy()
        rows = slice(origin - first, stop - first)
        variance[rows] = np.cumsum(told, axis=1)[:, [0, 4, 19]] / 1e4
        p = found.params
        # arch calls an estimate on the bound of the persistence converged; daybar does not.
        whole = p["alpha[1]"] + p["beta[1]"] + 0.5 * p.get("gamma[1]", 0.0)
        sound[rows] = found.convergence_flag == 0 and whole < 1 - 1e-6
        loglik[rows] = found.loglikelihood + seen * np.log(100)
        before = found.params.to_numpy()
        fits, failed = fits + 1, failed + (found.convergence_flag != 0)
    return Walked(variance, sound, loglik, {}, fits, failed, time.process_time() - started)


def cold(spec: Garch, value: Float64Array) -> Float64Array:
    """Log-likelihood by session of daybar's fits from a cold start: whether warm ones miss a higher top."""
    first = PLAN.min_window - 1
    out = np.full(len(value) - first, np.nan)
    for origin in range(first, len(value), PLAN.refit):
        try:
            found = spec.fit(fit_window(Returns(value), PLAN, origin)[0])
        except FitError:
            continue
        out[origin - first : origin - first + PLAN.refit] = found.loglik if found.converged else np.nan
    return out


def all_by(
    walker: Callable[[Garch, Float64Array], Walked], values: list[Float64Array], name: str, processes: int
) -> tuple[list[Walked], float]:
    """Every series, and the seconds on the wall; processes stand and have their kernels before the clock starts."""
    one = partial(walker, SPECS[name])
    short = values[0][: PLAN.min_window + 40]
    if processes == 1:
        one(short)
        started = time.perf_counter()
        return [one(value) for value in values], time.perf_counter() - started
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(one, [short] * processes))
        started = time.perf_counter()
        # The longest first, so that none is left to one process at the end.
        order = sorted(range(len(values)), key=lambda i: -len(values[i]))
        found = dict(zip(order, pool.map(one, [values[i] for i in order]), strict=True))
        return [found[i] for i in range(len(values))], time.perf_counter() - started


def compare(ours: list[Walked], theirs: list[Walked]) -> str:
    """How many forecasts agree, and what of the others."""
    pairs = list(zip(ours, theirs, strict=True))
    differ = np.concatenate([np.max(np.abs(a.variance / b.variance - 1), axis=1) for a, b in pairs])
    gain = np.concatenate([a.loglik - b.loglik for a, b in pairs])
    both = np.concatenate([a.sound & b.sound for a, b in pairs])
    near, far = both & (differ <= AGREE), both & (differ > AGREE)
    equal, all_of = np.count_nonzero(near), np.count_nonzero(both)
    lines = [
        f"  sessions where both converge: {all_of:,} of {len(both):,}",
        f"  equal within {AGREE:g} at 1, 5 and 20 sessions: {equal:,}, {100 * equal / all_of:.2f} %; "
        f"median difference {np.median(differ[both]):.1e}",
    ]
    if far.any():
        higher, lower = np.count_nonzero(gain[far] > 0), np.count_nonzero(gain[far] < 0)
        lines += [
            f"  of the others daybar's log-likelihood is higher in {higher:,}, lower in {lower:,}; "
            f"differences: median {np.median(differ[far]):.1e}, largest {np.max(differ[far]):.1e}",
        ]
    least, most = np.nanmin(gain[both]), np.nanmax(gain[both])
    return "\n".join([*lines, f"  daybar's log-likelihood less arch's: least {least:.1e}, largest {most:.1e}"])


def report(name: str, values: list[Float64Array], told: argparse.Namespace) -> None:
    """Walk every series both ways and print what came of it."""
    ours, alone = all_by(by_daybar, values, name, 1)
    theirs, loop = all_by(by_arch, values, name, 1)
    fits, failed = sum(walked.fits for walked in ours), sum(walked.failed for walked in ours)
    here, there = sum(walked.seconds for walked in ours), sum(walked.seconds for walked in theirs)
    print(f"\n{name}: {fits:,} fits")
    print(f"  {'':26}{'wall':>10}{'processor':>12}{'a fit':>12}")
    print(f"  {'a loop over arch':26}{loop:8.2f} s{there:10.2f} s{1e3 * there / fits:9.3f} ms")
    print(f"  {'daybar, one process':26}{alone:8.2f} s{here:10.2f} s{1e3 * here / fits:9.3f} ms")
    print(f"  arch / daybar: {there / here:.1f} by the processor, {loop / alone:.1f} on the wall", end="")
    if told.processes > 1:
        _, seconds = all_by(by_daybar, values, name, told.processes)
        print(f", {loop / seconds:.1f} with {told.processes} processes ({seconds:.2f} s)", end="")
    print(f"\n  fits that needed daybar's chain of failure: {failed:,} of {fits:,}, {100 * failed / fits:.2f} %")
    print(f"  fits that arch reports as failed: {sum(walked.failed for walked in theirs)}")
    print(compare(ours, theirs))
    if told.starts:
        print("  arch at a tolerance of 1e-12 from daybar's estimates:")
        again = [by_arch(SPECS[name], v, walked.estimates) for v, walked in zip(values, ours, strict=True)]
        print(compare(ours, again))
    if told.cold:
        gap = np.concatenate([cold(SPECS[name], v) - w.loglik for v, w in zip(values, ours, strict=True)])
        missed, most = 100 * np.nanmean(gap > 1e-6), np.nanmax(gap)
        print(f"  sessions whose warm start missed a higher top: {missed:.2f} %, by {most:.2g} at most")


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--path", type=Path, default=SERIES, help="Parquet of continuous series")
    asked.add_argument("--sample", type=int, default=5, help="series, evenly among those by name; 0: all")
    asked.add_argument("--processes", type=int, default=2, help="daybar's, beside one alone")
    asked.add_argument("--starts", action="store_true", help="let arch begin at daybar's estimates, too")
    asked.add_argument("--cold", action="store_true", help="compare warm starts with cold ones, too")
    told = asked.parse_args()
    if not told.path.is_file():
        print(f"no series at {told.path}")
        return
    found = returns_of(told.path)
    names = list(found)
    chosen = names if told.sample == 0 else names[:: max(1, len(names) // told.sample)][: told.sample]
    values = [found[name] for name in chosen]
    forecasts = sum(len(value) - PLAN.min_window + 1 for value in values)
    print(
        f"{len(values)} of {len(names)} series of {PLAN.min_window} returns or more: {forecasts:,} sessions to forecast"
    )
    for name in SPECS:
        report(name, values, told)


if __name__ == "__main__":
    main()
