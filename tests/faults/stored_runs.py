"""Runs so small that their files can be damaged many times over, and what the tests of that have in common."""

import shutil

import tiny
from tiny import TINY, quadrants, results, study_of

RUNS = ("coarse", "new", "transfer", "multigrid")


def data():
    return quadrants(size=8)


def case_of(path, setup=TINY, images=None):
    """Return the case of table 4.1 in a folder."""
    (case,) = study_of(path, setup, data() if images is None else images).cases.values()
    return case


def execute(path, setup=TINY, images=None):
    """Run what is missing of table 4.1."""
    return tiny.execute(path, setup, data() if images is None else images).own


def read(path, setup=TINY, images=None):
    """Return everything that a report is made from, as plain data."""
    case = case_of(path, setup, images)
    found = [case.ends(trial, weights=True) for trial in range(setup.run.trials)]
    return [
        {name: (state.x.tobytes(), state.epoch, state.history.to_csv(), state.seconds) for name, state in ends.items()}
        for ends in found
    ] + [case.own.environment]


def copied(folder, place):
    """Return a fresh copy of a results folder."""
    shutil.rmtree(place, ignore_errors=True)
    return shutil.copytree(folder, place)


def assert_continues(place, whole):
    """The same command leaves what a run without any fault does."""
    execute(place)
    assert results(place) == results(whole)
