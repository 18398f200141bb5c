"""Training on many levels: hierarchies of grids or of time steps, and schedules over them."""

from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.level import Level
from meganet.multilevel.space import Grids, Transfer, in_space

__all__ = ["Grids", "Hierarchy", "Level", "Transfer", "in_space"]
