"""Batch predictions: a registered model and sessions in, a row for every asset out, with a value or a reason.

The one door for models of any task; serving/alpha.py and serving/books.py make the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from features.panel import ConfigError, DataError
from features.sessions import Day, as_day
from features.store import Store
from serving.alpha import ServedAlpha
from serving.books import ServedBook
from serving.prediction import Prediction, Served, Span
from training.manifest import Manifest
from training.tracking import ModelRef, Tracking

_LOADED: Final[Mapping[str, Callable[[ModelRef, Manifest, Store, str], Served]]] = {
    "alpha": ServedAlpha.load,
    "spread": ServedBook.load,
    "term_structure": ServedBook.load,
    "volatility": ServedBook.load,
}


def predict(
    home: Path,
    store: Store | None,
    model: str,
    asof: Day | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """What a registered model says of a session: scores of a universe, volatilities or curves of products, spreads.

    store   whose bars to look at (None: the store that the model was trained on)
    model   name@alias, name/version or runs:<run id>
    asof    the session to decide on (default: the last one with bars)
    Errors  ConfigError where no such model or session is; DataError where bars are missing, or where the code
            computes a factor otherwise than when the model was trained
    """
    served = load_served(home, store, model)
    return predict_served(served, asof_session(served, asof), progress)


def predict_served(
    served: Served,
    session: np.datetime64,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """What a model says of one session."""
    return served.between(session, session, progress).predictions[0]


def predict_range(
    home: Path,
    store: Store | None,
    model: str,
    start: Day,
    end: Day,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Span:
    """What a model says of each session from start to end; each is what `predict` gives for that session alone.

    Errors  as `predict`; ConfigError where the range ends before it starts or holds no session
    """
    served = load_served(home, store, model)
    first, last = _day(start), _day(end)
    who = f"predictions from {first} to {last}"
    if first > last:
        raise ConfigError(who, "a range must not end before it starts", f"{first} after {last}", help="Swap them.")
    for day in (first, last):
        _require_bars(served, day, who)
    if not len(served.store.calendar().between(first, last)):
        raise ConfigError(who, "a range must hold a session", "days without trading alone", help="Widen it.")
    return served.between(first, last, progress)


def load_served(home: Path, store: Store | None, model: str) -> Served:
    """The model that the text means, with its store; refused where it cannot be served as it was trained."""
    ref = Tracking(home).resolve(model)
    manifest = Manifest.load(ref.folder)
    if manifest.task not in _LOADED:
        must, help = "its task must be one that predicts", "What it found stands in its run: daybar ui."
        raise ConfigError(f"model {model}", f"{must}: {', '.join(_LOADED)}", manifest.task, help=help)
    there = store or Store(home / manifest.store)
    there.version(f"bars/{manifest.asset_class}")
    return _LOADED[manifest.task](ref, manifest, there, model)


def asof_session(served: Served, asof: Day | None) -> np.datetime64:
    """The session that is asked for, the last one with bars where none is; refused where it is none or has no bars."""
    if asof is None:
        return as_day(served.store.span(_bars(served))[1])
    day, calendar = _day(asof), served.store.calendar()
    _require_bars(served, day, f"prediction as of {day}")
    if not calendar.contains(day):
        before, after = calendar.at_or_before(day), calendar.next_after(day)
        raise ConfigError(
            f"prediction as of {day}", "asof must be a session", "a day without trading",
            help=f"The sessions around it are {before} and {after}.",
        )  # fmt: skip
    return day


def _require_bars(served: Served, day: np.datetime64, who: str) -> None:
    first, last = served.store.span(_bars(served))
    if not as_day(first) <= day <= as_day(last):
        raise DataError(
            who, f"{_bars(served)} must hold that session", f"sessions from {first} to {last}",
            help="Ingest the bars of that day first: daybar ingest.",
        )  # fmt: skip


def _bars(served: Served) -> str:
    return f"bars/{served.manifest.asset_class}"


def _day(asof: Day) -> np.datetime64:
    try:
        return as_day(asof)
    except DataError as error:
        raise ConfigError(f"prediction as of {asof}", error.must, error.found) from None
