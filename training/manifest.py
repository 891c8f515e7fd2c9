"""What serving must know of a run, written beside its scorer: its settings, and its factors by their definitions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

from features.panel import DataError
from features.universe import Universe
from training.alpha_config import AlphaConfig
from training.config import Config, alpha_config, of_dump

_FILE: Final = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The facts that turn a scorer into predictions.

    factors   name -> hash of the definition that the model has learnt from, in the order of the matrix
    settings  the whole resolved config, in YAML
    target    what the score predicts
    data      table -> version that the model has learnt from
    trained   first and last session with a label that the model has learnt from
    """

    task: str
    asset_class: str
    factors: dict[str, str]
    settings: str
    target: str
    config_hash: str
    data: dict[str, int]
    trained: tuple[str, str]

    @cached_property
    def config(self) -> Config:
        """The config of the run."""
        return of_dump(self.settings)

    @property
    def alpha(self) -> AlphaConfig:
        """The config of a run of the alpha task; ConfigError for another's."""
        return alpha_config(self.config, "model")

    @property
    def horizon(self) -> int:
        """Sessions from entry to exit."""
        return self.alpha.label.horizon

    @property
    def store(self) -> str:
        """Folder of the store that it was trained on, relative to the home."""
        return self.config.data.store

    @property
    def expressions(self) -> dict[str, str]:
        """Name -> text of the factors that the config has written."""
        return self.alpha.features.expressions

    @property
    def factor_hash(self) -> str:
        """One digest of all factor definitions, in order."""
        return hashlib.sha256(json.dumps(self.factors).encode()).hexdigest()[:12]

    @property
    def tradable(self) -> Universe:
        """The universe that the model was trained on."""
        return Universe(**self.alpha.data.universe.model_dump())

    def require_same_factors(self, now: Mapping[str, str], who: str) -> None:
        """Refuse to serve where the code computes another number under the same name, or none."""
        changed = [n for n, h in self.factors.items() if now.get(n) != h]
        if changed:
            first = changed[0]
            raise DataError(
                who,
                "the code must compute its factors as they were when it was trained",
                f"{len(changed)} of {len(self.factors)} that differ",
                f"{first}: {self.factors[first]} then, {now.get(first, 'not computable')} now",
                "Train the model again, or serve it with the version of daybar that trained it.",
            )

    def save(self, folder: Path) -> None:
        """Write manifest.json into the folder."""
        (folder / _FILE).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; DataError where there is none."""
        path = folder / _FILE
        if not path.is_file():
            raise DataError(
                "model", f"its folder must hold {_FILE}", "none", str(folder), "Train it with daybar train."
            )
        told = json.loads(path.read_text(encoding="utf-8"))
        if "settings" not in told:
            raise DataError(
                "model", f"its {_FILE} must be of this version of daybar", "an older one", str(path), "Train it again."
            )
        return cls(**{**told, "trained": tuple(told["trained"])})
