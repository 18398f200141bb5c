"""Runs so small that their files can be damaged many times over, and what the tests of that have in common."""

import dataclasses
import shutil

from meganet.experiments.coarse_to_fine import ends_of
from meganet.experiments.plan import stages
from tiny import TINY, quadrants, results

from meganet.backend import get_backend
from meganet.experiments import ResultsFolder, run

PROTOCOL = dataclasses.replace(TINY, trials=2)
RUNS = ("coarse", "new", "transfer", "multigrid")


def data():
    return quadrants(size=8)


def execute(path, protocol=PROTOCOL, images=None):
    """Run what is missing of table 4.1."""
    images = data() if images is None else images
    with ResultsFolder(path, protocol, get_backend(), images) as folder:
        run(protocol, images, folder, ("4.1",), progress=False)
    return folder


def read(path, protocol=PROTOCOL, images=None):
    """Return everything that a report is made from, as plain data."""
    folder = ResultsFolder(path, protocol, get_backend(), data() if images is None else images)
    plan = stages(("4.1",), protocol)
    found = [ends_of(trial, plan, folder, folder) for trial in range(protocol.trials)]
    return [
        {name: (state.x.tobytes(), state.epoch, state.history.to_csv(), state.seconds) for name, state in ends.items()}
        for ends in found
    ] + [folder.environment]


def copied(folder, place):
    """Return a fresh copy of a results folder."""
    shutil.rmtree(place, ignore_errors=True)
    return shutil.copytree(folder, place)


def assert_continues(place, whole):
    """The same command leaves what a run without any fault does."""
    execute(place)
    assert results(place) == results(whole)
