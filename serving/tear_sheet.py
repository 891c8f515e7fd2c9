"""The tear sheet of one factor on the bars of a store: the labels that training would make, at several horizons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from features.catalogue import catalogue
from features.inputs import available
from features.panel import ConfigError, DataError
from features.plan import plan
from features.store import Store
from training.alpha_config import AlphaConfig
from training.evaluate.tearsheet_page import factor_tear_sheet_html
from training.market import gather, labels_of, warnings

HORIZONS: Final = (1, 5, 10, 20)


def write_tear_sheet(
    store: Store,
    asset_class: str,
    name: str,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Judge a stock factor on all of the store's bars, entered at the next open, and write the page.

    Errors  ConfigError for an unknown factor, one of another class or one of the market; DataError for one that the
            bars do not give, and for bars too short for a label
    """
    if asset_class != "CS":
        raise ConfigError(
            f"tear sheet of {name}",
            "the class must be CS, which has labels",
            asset_class,
            help="Leave out --asset-class.",
        )
    known = catalogue(asset_class)
    wanted = plan(known, [name], available(store, asset_class))
    if known[name].scope == "market":
        raise ConfigError(
            f"tear sheet of {name}", "it must differ from asset to asset", "a market series", help="Choose another."
        )
    if name in wanted.absent:
        raise DataError(
            f"tear sheet of {name}",
            "the bars must give it",
            f"it {wanted.absent[name]}",
            help="daybar check shows them.",
        )
    config = AlphaConfig.model_validate(
        {
            "name": name,
            "data": {"asset_class": asset_class},
            "features": {"sets": (), "names": (name,)},
            "label": {"horizon": HORIZONS[0]},
            "model": {"kind": "linear"},
        }
    )
    market = gather(config, store, None, None, progress=progress)
    days = market.matrix.sessions
    labels = {h: labels_of(config, market, h) for h in HORIZONS if h + 1 < len(days)}
    if not labels:
        raise DataError(
            f"tear sheet of {name}", "a label must end inside the bars", f"{len(days)} sessions", help="Ingest more."
        )
    page = factor_tear_sheet_html(
        market.matrix.unstack(market.matrix.values[:, 0]),
        {h: made.value for h, made in labels.items()},
        days,
        title=name,
        zh=known[name].zh,
        subtitle=f"{days[0]} to {days[-1]}, {len(market.matrix.assets):,} assets; entry at the next open",
        warnings=tuple(warnings(store, asset_class)),
        universe=market.universe,
        lost={h: made.lost for h, made in labels.items()},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
