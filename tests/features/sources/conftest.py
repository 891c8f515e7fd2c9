"""A simulated market that is long enough for statistics, drawn once."""

from dataclasses import replace

import pytest

from features.sources.simulator import NULL, Simulation, simulate


@pytest.fixture(scope="session")
def long() -> Simulation:
    """Fifteen hundred sessions with few stocks, nothing planted."""
    return simulate("demo", replace(NULL, stocks=90), seed=3)
