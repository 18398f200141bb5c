"""Fixtures: every backend at hand, both dtypes; the option that lets the GPU tests run."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import nullcontext
from importlib.util import find_spec

import numpy as np
import pytest
from guard_array import GUARD
from hypothesis import settings

from meganet.backend import get_backend, loops, use_backend

# the same examples in every run: a tolerance that one in ten thousand draws misses must not fail somebody's build
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


BACKENDS = ["numpy", "guard", "cupy"]
WAYS = ["numpy", "numba"]
"""In which products on NumPy arrays are computed, and what tests marked `loops` are run with."""


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="run the tests on the CuPy backend too")
    parser.addoption("--faults", type=int, metavar="N", help="damage so many files in each test of tests/faults")


def pytest_configure(config):
    config.addinivalue_line("markers", "loops: run on NumPy with its own expressions, and with compiled loops")
    # what the loops are compiled to outlives the tests and their folders, also for the commands that they start
    if hasattr(config, "cache"):
        os.environ["NUMBA_CACHE_DIR"] = str(config.cache.mkdir("loops"))
    os.environ[loops.QUIET] = "1"
    # what a shell starts in the background ignores Ctrl-C, and so would the commands that tests start and interrupt
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc):
    marked = metafunc.definition.get_closest_marker("loops") is not None
    if "backend" in metafunc.fixturenames:
        names = [*WAYS, *BACKENDS[1:]] if marked else BACKENDS
        metafunc.parametrize("backend", [(name, marked) for name in names], ids=names, indirect=True)
    elif marked:
        metafunc.fixturenames.append("way")
        metafunc.parametrize("way", WAYS, indirect=True)


def computed(way):
    """Return a block in which loops compute, or NumPy's expressions."""
    if way == "numba" and find_spec("numba") is None:
        pytest.skip("needs numba")
    return loops.use_loops(way == "numba")


@pytest.fixture
def way(request):
    """Each way to compute products on NumPy arrays; for tests marked `loops` without a backend."""
    with computed(request.param):
        yield request.param


@pytest.fixture
def backend(request):
    """Each backend in turn, active; CuPy with --gpu only. In a test marked `loops` also NumPy with compiled loops."""
    name, marked = request.param
    if name == "cupy" and not request.config.getoption("--gpu"):
        pytest.skip("needs a GPU: run with --gpu")
    chosen = GUARD if name == "guard" else get_backend("numpy" if name in WAYS else name)
    with computed(name) if marked and name in WAYS else nullcontext(), use_backend(chosen) as active:
        yield active


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def rng():
    return np.random.default_rng(20190409)


@pytest.fixture(autouse=True)
def own_figures():
    """No test leaves a figure of pyplot to the next."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's cache, data folder or backend choice."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("MEGANET_DATA", "MEGANET_BACKEND"):
        monkeypatch.delenv(name, raising=False)
