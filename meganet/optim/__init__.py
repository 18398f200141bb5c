"""Optimisers. They see functions of a vector and know nothing of networks."""

from meganet.optim.history import History
from meganet.optim.rules import Adam, Momentum
from meganet.optim.sgd import Run, SGDState, sgd, sgd_together

__all__ = ["Adam", "History", "Momentum", "Run", "SGDState", "sgd", "sgd_together"]
