"""The fault suite: damaged files, killed processes, full disks. Bounded by default, longer with ``--faults N``."""

from __future__ import annotations

import pytest
from stored_runs import execute


@pytest.fixture
def trials(request):
    """Return how many times to try: ``--faults N``, else what the test says fits into the test run."""
    asked = request.config.getoption("--faults")
    return lambda default: default if asked is None else asked


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A results folder with all its runs; it is only read or copied."""
    path = tmp_path_factory.mktemp("whole")
    execute(path)
    return path
