"""One training of the term-structure task, told once: config in, a tracked run and registered models out.

1. the config says what; the store holds the chains
2. the task makes curves, fits on the development span, filters on, judges (training/tasks/term_structure.py)
3. states, residuals, yields, basis and rolls are recorded as tables, with figures and the report; a product is a child
4. the fits are saved as JSON, logged as the model, and registered under the config's name
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from features.product_bars import INDICES, RATES
from features.store import Store
from training.environment import environment
from training.evaluate import spread_figures as figures
from training.evaluate.spread_evidence import ProductCurve, SpreadEvidence
from training.evaluate.term_page import term_html
from training.futures_page import futures_manifest, record_settings
from training.manifest import Manifest
from training.packaged import Packaged
from training.tasks import term_structure
from training.term_config import EXPERIMENT, TermConfig
from training.term_data import TermData
from training.term_fit import TermProduct
from training.term_tables import (
    basis_frame,
    residuals_frame,
    rolls_frame,
    rolls_text,
    snapshots_frame,
    states_frame,
    yields_frame,
    yields_text,
)
from training.tracking import RunLog, Tracking
from training.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READ: Final = ("bars/Future", INDICES, RATES, "reference/instruments", "reference/calendar")
_EXAMPLE: Final = 20  # dates of the example that the logged model is tried on
_REQUIRES: Final = ("mlflow", "numpy", "pandas", "polars", "scipy", "numba", "statsmodels")


def train_term(
    config: TermConfig,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    store: Store | None = None,
    replay_of: str | None = None,
) -> Trained:
    """Train what the config describes; `home` is where its store and mlruns live.

    say        called with a line at each step
    progress   called with products fitted and to fit
    store      other tables than those of the config's store
    replay_of  id of the run that this one repeats: it registers nothing
    """
    store = store or Store(home / config.data.store)
    data = term_structure.prepare(config, store, say)
    tracking = Tracking(home)
    with tracking.start(EXPERIMENT, config.name, {"replay_of": replay_of} if replay_of else None) as run:
        manifest = futures_manifest(
            config, store, _READ, "term_structure", (one.sessions for one in data.series.values()), data.last
        )
        record_settings(
            config, store, manifest, sum(int(np.isfinite(one.price).sum()) for one in data.series.values()), run
        )
        found = term_structure.fit(config, data, say, progress)
        evidence = term_structure.judge(config, data, found)
        numbers = term_structure.metrics(found, data)
        run.metrics(numbers)
        _record_products(found, run)
        _record_tables(found, run)
        _record_judgement(found, evidence, manifest, run)
        modelled = _record_model(data, found, manifest, run)
        run.note(term_structure.note(config, evidence, found))
        registered, version = config.registration, None
        if registered and modelled and not replay_of:
            version = tracking.register(run, registered.name, registered.alias)
    named = registered if version is not None else None
    return Trained(
        run.run_id,
        numbers,
        evidence.warnings,
        {},
        named.name if named else None,
        version,
        named.alias if named else None,
        term_structure.table(found),
        predicts=modelled,
    )


def _record_products(found: Mapping[str, TermProduct], run: RunLog) -> None:
    """A child run a product: its numbers, its fit."""
    for name, one in found.items():
        with run.child(name, {"product": name}) as child:
            dates = one.series.dates
            child.params({"dates": len(dates), "first": str(dates[0]), "last": str(dates[-1])})
            child.metrics(term_structure.numbers_of(one))
            if one.model is not None:
                child.json("fit.json", one.model.fitted.describe())
            if one.rolls is not None and one.rolls.choice is not None:
                child.json("roll.json", one.rolls.choice.describe())
            child.json("notes.json", {"notes": one.series.notes, "absent": dict(one.absent)})


def _record_tables(found: Mapping[str, TermProduct], run: RunLog) -> None:
    """States, residuals, yields, basis and rolls of all products."""
    for name, made in (
        ("states", states_frame),
        ("residuals", residuals_frame),
        ("yields", yields_frame),
        ("basis", basis_frame),
        ("rolls", rolls_frame),
    ):
        frames = [frame for one in found.values() if (frame := made(one)) is not None]
        if frames:
            run.frame(f"{name}.parquet", pl.concat(frames))


def _record_judgement(
    found: Mapping[str, TermProduct], evidence: SpreadEvidence, manifest: Manifest, run: RunLog
) -> None:
    """Tables of the page, figures, the report."""
    products, yields, rolls = term_structure.table(found), yields_text(found), rolls_text(found)
    for name, rows in (("products", products), ("yields", yields), ("rolls", rolls)):
        if len(rows) > 1:
            run.frame(f"{name}.json", pl.DataFrame(list(rows[1:]), schema=list(rows[0]), orient="row"))
    run.frame("snapshots.parquet", snapshots_frame(evidence.curves))
    for curve in evidence.curves:
        for name, figure in _drawn(curve).items():
            run.figure(f"figures/{curve.product}/{name}.png", figure)
    told = json.dumps({"data": manifest.data, **environment().to_dict()}, indent=1)
    absent = {f"{name}: {part}": why for name, one in found.items() for part, why in one.absent.items()}
    run.text("report.html", term_html(replace(evidence, environment=told), products, yields, rolls, absent))


def _drawn(curve: ProductCurve) -> dict[str, Figure]:
    # matplotlib's own fonts have no Chinese: the names of products stand in the report.
    drawn = {}
    if curve.snapshots:
        drawn["curves"] = figures.curve_snapshots(curve.snapshots, name=curve.product)
    if curve.basis is not None and np.isfinite(curve.basis.basis).any():
        drawn["basis"] = figures.basis_history(curve.basis, name=curve.product)
    if curve.term is not None:
        drawn["term"] = figures.term_fit(curve.term, name=curve.product)
    return drawn


def _record_model(data: TermData, found: Mapping[str, TermProduct], manifest: Manifest, run: RunLog) -> bool:
    """The fits, their manifest beside them; the example is the last curves of a product that has one. False: none."""
    book = term_structure.book(data, found)
    if not book.fits:
        return False
    product = next(iter(book.fits))
    series = data.series[product]
    last = np.arange(len(series.row)) >= len(series.row) - _EXAMPLE
    row, column = np.nonzero(np.isfinite(series.curve.price) & last[:, None])
    example = {
        "product": [product] * len(row),
        "session": [str(day) for day in series.dates[row]],
        "price": series.curve.price[row, column],
        "years": series.curve.years[row, column],
    }
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "book"
        saved.mkdir()
        book.save(saved)
        manifest.save(saved)
        run.model(packaged_term(saved, pl.DataFrame(example)))
    return True


def packaged_term(folder: Path, example: pl.DataFrame) -> Packaged:
    """A book of term-structure models: prices of contracts in, the models' prices and states out.

    folder   what the book wrote
    example  columns product, session, price, years
    """
    return Packaged(
        "term_structure",
        Path(__file__).with_name("pyfunc_term.py"),
        folder,
        example,
        {"product": "string", "session": "string", "price": "double", "years": "double"},
        dict.fromkeys(("model", "residual", "z", "chi", "xi"), "double"),
        requires=_REQUIRES,
    )
