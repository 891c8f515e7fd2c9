"""One door to training: the config's task says which story is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from features.panel import ConfigError
from features.store import Store
from training.alpha_config import AlphaConfig
from training.config import Config
from training.run_alpha import train_alpha
from training.run_spread import train_spread
from training.run_term import train_term
from training.run_volatility import train_volatility
from training.spread_config import SpreadConfig
from training.trained import Trained
from training.volatility_config import VolatilityConfig

__all__ = ["Trained", "train"]


def train(
    config: Config,
    home: Path,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    memory: float | None = None,
    store: Store | None = None,
    replay_of: str | None = None,
) -> Trained:
    """Train what the config describes; `home` is where its store and mlruns live.

    say        called with a line at each step
    progress   called with what is done and what there is to do: sessions built, series walked
    memory     bytes that the matrix of an alpha run may take, and its standardised copy; larger ones lie in files
    store      other tables than those of the config's store
    replay_of  id of the run that this one repeats: it registers nothing, and its look at the holdout is not a new one
    """
    if isinstance(config, AlphaConfig):
        return train_alpha(config, home, say, progress, memory=memory, store=store, replay_of=replay_of)
    if memory is not None:
        raise ConfigError("train", "--memory is for the matrix of an alpha run", f"task {config.task}", help="Omit it.")
    if isinstance(config, VolatilityConfig):
        return train_volatility(config, home, say, progress, store=store, replay_of=replay_of)
    if isinstance(config, SpreadConfig):
        return train_spread(config, home, say, progress, store=store, replay_of=replay_of)
    return train_term(config, home, say, progress, store=store, replay_of=replay_of)
