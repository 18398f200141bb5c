"""The workers of a cluster, of Dask or of Ray, as those who work on independent items."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import joblib

from meganet.backend.threads import limit_for_good
from meganet.ground import validate
from meganet.workers.processes import WorkersError

Item = TypeVar("Item")
Result = TypeVar("Result")

RAY = "ray"
SECONDS = 10
"""To wait for a scheduler to answer."""


def check_address(address: str) -> None:
    """Check that `address` is "ray" or tcp://host:port."""
    try:
        parts = urlsplit(address)
        usable = address == RAY or (parts.scheme in ("tcp", "tls") and bool(parts.hostname) and bool(parts.port))
    except ValueError:
        usable = False
    if not usable:
        validate.reject("cluster", "an address tcp://host:port of a Dask scheduler, or 'ray'", repr(address))


def check_cluster(address: str) -> None:
    """Check that the package is installed and, for Dask, that the scheduler answers."""
    if address == RAY:
        _register_ray()
    else:
        _client(address).close()


def unordered(
    function: Callable[[Item], Result], items: Sequence[Item], address: str, threads: int
) -> Iterator[Result]:
    """Yield the results of the items in the order in which they end; an item whose worker dies goes to another.

    Raises
    ------
    WorkersError
        If the scheduler is lost, or one item loses worker after worker.
    """
    with _ray() if address == RAY else _dask(address):
        # Ray's backend hands the results out only when all have ended
        order = "list" if address == RAY else "generator_unordered"
        parallel = joblib.Parallel(n_jobs=-1, batch_size=1, pre_dispatch="all", return_as=order)
        yield from parallel(joblib.delayed(_limited)(function, threads, item) for item in items)


def _limited(function: Callable[[Item], Result], threads: int, item: Item) -> Result:
    # for good: this process does nothing else, and another item beside this one must find the same limit
    limit_for_good(threads)
    return function(item)


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        _missing("distributed", "meganet[cluster]")
    try:
        return Client(address, timeout=SECONDS)
    except (OSError, ValueError) as error:
        validate.reject("cluster", "the address of a running scheduler", f"{address!r} ({error})", WorkersError)


@contextmanager
def _dask(address: str) -> Iterator[None]:
    client = _client(address)
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError
    from joblib._dask import DaskDistributedBackend

    class Remote(DaskDistributedBackend):
        """Joblib would do everything itself where the cluster has a single worker, or where only one is there yet."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(super().effective_n_jobs(n_jobs), 2)

    try:
        with _quiet(), client, joblib.parallel_config(backend=Remote()):
            yield
    except (CancelledError, FutureCancelledError, CommClosedError, KilledWorker) as error:
        if isinstance(error, KilledWorker):
            got = "one trial that lost worker after worker (out of memory?)"
        else:
            got = f"no connection any more to {address!r}"
        validate.reject(
            "cluster",
            "a scheduler and workers that can be reached",
            f"{got}; nothing stored is lost, the same command continues",
            WorkersError,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of a lost connection out of the log: it is one line of ours."""
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _ray() -> AbstractContextManager[Any]:
    _register_ray()
    return joblib.parallel_config(backend=RAY)


def _register_ray() -> None:
    try:
        from ray.util.joblib import register_ray
    except ImportError:
        _missing("ray", "ray")
    register_ray()


def _missing(package: str, install: str) -> NoReturn:
    validate.reject("cluster", f"the package {package}", f"none; pip install '{install}'", WorkersError)
