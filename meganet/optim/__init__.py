"""Optimisers. They see functions of a vector and know nothing of networks."""

from meganet.optim.history import History
from meganet.optim.sgd import Adam, Momentum, SGDState, sgd

__all__ = ["Adam", "History", "Momentum", "SGDState", "sgd"]
