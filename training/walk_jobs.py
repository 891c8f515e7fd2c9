"""The walks of many products on all cores, resumable: each product is on disk, whole, as soon as it is walked."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from models.volatility.base import VolatilitySpec
from models.volatility.walk import Plan
from training.volatility_config import VolatilityConfig
from training.volatility_data import Series, plan_of
from training.walked import Walked, walked

_ROOT = Path(__file__).resolve().parents[1]
_OWN = ("models/volatility", "training/walked.py", "features/continuous.py")  # what the numbers of a walk hang on


def specs_of(config: VolatilityConfig) -> dict[str, VolatilitySpec]:
    """The specs of the config's models by name."""
    return {name: model.spec() for name, model in config.models.items()}


def walk_all(
    config: VolatilityConfig,
    series: Mapping[str, Series],
    scratch: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    jobs: int | None = None,
) -> dict[str, Walked]:
    """Walk every product; those that an earlier, interrupted call has walked under `scratch` are taken from there.

    scratch  a folder of these settings, these data and this code alone: see `scratch_of`
    jobs     processes (default: the cores that this one may use)
    """
    found: dict[str, Walked] = {}
    for product, wanted in series.items():
        known = scratch / f"{product}.json"
        if known.is_file():
            earlier = Walked.load(known)
            if np.array_equal(earlier.sessions, wanted.sessions) and np.array_equal(
                earlier.returns, wanted.returns.value
            ):
                found[product] = earlier
    if found:
        say(f"{len(found)} of {len(series)} products were walked before an interruption: {', '.join(found)}")
    todo = {product: wanted for product, wanted in series.items() if product not in found}
    specs, plan = specs_of(config), plan_of(config)
    fits = sum(max(0, len(wanted.returns) - plan.min_window) // plan.refit + 1 for wanted in todo.values())
    say(f"{len(todo)} products, {len(specs)} models, about {fits * len(specs):,} fits")
    for done, one in enumerate(_walked(specs, plan, todo, scratch, jobs or _cores()), 1):
        found[one.product] = one
        progress(done, len(todo))
        say(told(one))
    return {product: found[product] for product in series}


def scratch_of(config: VolatilityConfig, versions: Mapping[str, int], home: Path) -> Path:
    """Where the walks of an interrupted training lie: by its settings, its data and the code behind the numbers."""
    told = [config.hash, repr(sorted(versions.items()))]
    for place in _OWN:
        files = sorted((_ROOT / place).rglob("*.py")) if (_ROOT / place).is_dir() else [_ROOT / place]
        told += [file.read_text(encoding="utf-8") for file in files]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    return home / "scratch" / f"volatility-{digest}"


def forget(scratch: Path) -> None:
    """Remove what a finished training no longer needs."""
    shutil.rmtree(scratch, ignore_errors=True)


def told(one: Walked) -> str:
    """A product's walks in a line: forecasts, fits, and how many fits were not plainly well."""
    if one.empty:
        return f"{one.product}: {one.empty}"
    fits = [fit.status for track in one.tracks.values() for fit in track.fits]
    odd = sum(status != "ok" for status in fits)
    origins = len(next(iter(one.tracks.values())))
    without = f"; without {', '.join(one.left_out)}" if one.left_out else ""
    return f"{one.product}: {origins:,} sessions forecast, {len(fits):,} fits, {odd:,} by the chain of failure{without}"


def _walked(
    specs: Mapping[str, VolatilitySpec], plan: Plan, todo: Mapping[str, Series], scratch: Path, jobs: int
) -> Iterator[Walked]:
    """Each product as it is done; longest first, so that no core waits for the last."""
    ordered = sorted(todo.values(), key=lambda one: -len(one.returns))
    if min(jobs, len(ordered)) <= 1:
        for one in ordered:
            yield _one(specs, plan, one, scratch)
        return
    with ProcessPoolExecutor(min(jobs, len(ordered)), multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(_one, specs, plan, one, scratch) for one in ordered]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one(specs: Mapping[str, VolatilitySpec], plan: Plan, one: Series, scratch: Path) -> Walked:
    found = walked(one.product, specs, plan, one)
    found.save(scratch)
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
