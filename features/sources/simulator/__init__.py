"""A market that is made up: demos and recovery tests, with the truth known. See simulate."""

from features.sources.simulator.simulation import Simulation, batches, simulate
from features.sources.simulator.world import NULL, PLANTED, World

__all__ = ["NULL", "PLANTED", "Simulation", "World", "batches", "simulate"]
