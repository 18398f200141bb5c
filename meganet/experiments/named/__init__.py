"""Experiments beyond the thesis' tables, each small, named, and rerun by `meganet experiment NAME`."""

from meganet.experiments.named.base import Experiment, Findings, Lab
from meganet.experiments.named.calibration import Calibration
from meganet.experiments.named.collapse import CAUSES

EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in (Calibration(), *CAUSES)}

__all__ = ["EXPERIMENTS", "Experiment", "Findings", "Lab"]
