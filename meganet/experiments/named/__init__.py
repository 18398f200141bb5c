"""Experiments beyond the thesis' tables, each small, named, and rerun by `meganet experiment NAME`."""

from meganet.experiments.named.all_causes import CANDIDATES, Causes
from meganet.experiments.named.amplification import Amplification
from meganet.experiments.named.base import Experiment, Findings, Lab
from meganet.experiments.named.calibration import CALIBRATIONS
from meganet.experiments.named.new_classifier import NewClassifier
from meganet.experiments.named.sharpness import Sharpness
from meganet.experiments.named.worth import Worth

_ALL: tuple[Experiment, ...] = (
    *CALIBRATIONS,
    Amplification(),
    *CANDIDATES,
    Causes(),
    Sharpness(),
    NewClassifier(),
    Worth(),
)
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _ALL}

__all__ = ["EXPERIMENTS", "Experiment", "Findings", "Lab"]
