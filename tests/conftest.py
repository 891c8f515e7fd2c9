"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def market() -> Path:
    """The folder of real market data beside the checkout; tests that need it are skipped where it is not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "market"
    if not folder.is_dir():
        pytest.skip("no real market data beside this checkout")
    return folder
