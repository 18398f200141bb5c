"""Fixtures: every backend at hand, both dtypes; the option that lets the GPU tests run."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from guard_array import GUARD
from hypothesis import settings

from meganet.backend import get_backend, use_backend

# the same examples in every run: a tolerance that one in ten thousand draws misses must not fail somebody's build
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_addoption(parser):
    parser.addoption("--gpu", action="store_true", help="run the tests on the CuPy backend too")
    parser.addoption("--faults", type=int, metavar="N", help="damage so many files in each test of tests/faults")


@pytest.fixture(params=["numpy", "guard", "cupy"])
def backend(request):
    """Each backend in turn, active; CuPy with --gpu only."""
    if request.param == "cupy" and not request.config.getoption("--gpu"):
        pytest.skip("needs a GPU: run with --gpu")
    with use_backend(GUARD if request.param == "guard" else get_backend(request.param)) as active:
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
