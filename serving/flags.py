"""What watching a model raises: flags to look at, flags to act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = Literal["yellow", "red"]


@dataclass(frozen=True)
class Flag:
    """Something to look at (yellow) or to act on (red)."""

    colour: Colour
    what: str
    text: str
