"""Training on many levels: hierarchies of grids or of time steps, and schedules over them."""

from meganet.multilevel.depth import TimeSteps, in_depth
from meganet.multilevel.gradients import MultilevelGradient
from meganet.multilevel.hierarchy import Hierarchy
from meganet.multilevel.level import Level
from meganet.multilevel.phases import Phase
from meganet.multilevel.schedules import Schedule, cycle, fine_to_coarse, growing, in_turn, joint, nested
from meganet.multilevel.sizes import Sizes, in_sizes
from meganet.multilevel.space import Grids, Transfer, in_space
from meganet.multilevel.state import TrainingState
from meganet.multilevel.storage import load_state, save_state
from meganet.multilevel.training import train
from meganet.multilevel.variances import LevelVariances
from meganet.multilevel.video import in_video, long_cycle

__all__ = [
    "Grids",
    "Hierarchy",
    "Level",
    "LevelVariances",
    "MultilevelGradient",
    "Phase",
    "Schedule",
    "Sizes",
    "TimeSteps",
    "TrainingState",
    "Transfer",
    "cycle",
    "fine_to_coarse",
    "growing",
    "in_depth",
    "in_sizes",
    "in_space",
    "in_turn",
    "in_video",
    "joint",
    "load_state",
    "long_cycle",
    "nested",
    "save_state",
    "train",
]
