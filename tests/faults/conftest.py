"""The fault suite: damaged files, killed processes, full disks. Bounded by default, longer with ``--faults N``."""

from __future__ import annotations

import pytest


@pytest.fixture
def trials(request):
    """Return how many times to try: ``--faults N``, else what the test says fits into the test run."""
    asked = request.config.getoption("--faults")
    return lambda default: default if asked is None else asked
