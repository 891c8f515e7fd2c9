"""How daybar refuses: one form for every error that a user can act on. It imports nothing, so it costs nothing."""

from __future__ import annotations


class Refusal(Exception):
    """An error a user can act on: who complains, what must hold, what was found, where first, what would help."""

    def __init__(self, who: str, must: str, found: str, where: str = "", help: str = "") -> None:
        self.who, self.must, self.found, self.where, self.help = who, must, found, where, help
        super().__init__(who, must, found, where, help)

    def __str__(self) -> str:
        where = f", first at {self.where}" if self.where else ""
        cure = f"\n  {self.help}" if self.help else ""
        return f"{self.who}: {self.must}; found {self.found}{where}.{cure}"


class DataError(Refusal, ValueError):
    """What data did: a column that is missing, keys that repeat, a date outside the calendar."""


class ConfigError(Refusal, ValueError):
    """What a user asked for: a key or a value of a config, a name, an argument."""
