"""What a tracking store answers with, as plain facts: runs, registered models, saved scorers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from features.panel import ConfigError


@dataclass(frozen=True)
class RunRecord:
    """A run as it stands in the store.

    status   RUNNING, FINISHED, FAILED or KILLED
    started  with its time zone, UTC
    metrics  the last value of each
    """

    run_id: str
    name: str
    status: str
    started: datetime
    tags: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)


@dataclass(frozen=True)
class ModelRef:
    """A saved scorer: its folder, the run it came from, and its registered name and version if it has one."""

    name: str | None
    version: int | None
    run_id: str
    folder: Path
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registered:
    """A name in the registry: its versions, oldest first, what its aliases point to, each version's run and tags."""

    name: str
    versions: tuple[int, ...]
    aliases: Mapping[str, int]
    runs: Mapping[int, str] = field(default_factory=dict)
    tags: Mapping[int, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        names = [f"{self.name}@{alias} (version {version})" for alias, version in sorted(self.aliases.items())]
        return ", ".join(names) or f"{self.name}/{max(self.versions, default=0)}"


def unknown_model(text: str, name: str, known: Sequence[Registered], where: str) -> ConfigError:
    """The refusal of a model that is not registered, with the nearest name and all that are."""
    close = difflib.get_close_matches(name, [one.name for one in known], n=1, cutoff=0.5)
    listed = "; ".join(str(one) for one in known) or "nothing is registered yet: daybar train registers"
    near = [f"did you mean {one}?" for one in known if one.name in close]
    must = "it must be a registered name@alias or name/version, or runs:<run id>"
    return ConfigError(f"model {text}", must, "no such model", where, "\n  ".join([*near, f"registered: {listed}"]))
