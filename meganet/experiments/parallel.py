"""Who makes the trials: this process, several processes of this machine, or the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import joblib
from threadpoolctl import threadpool_limits

from meganet import _validate

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """Processes that work on independent items.

    Attributes
    ----------
    jobs : int
        Processes on this machine, which share its cores: each has ``cores // jobs`` threads, at least one.
    cluster : str or None
        Address of the scheduler of a Dask cluster, ``tcp://host:port``, or "ray" for the Ray cluster that
        ``RAY_ADDRESS`` names; its workers, of one thread for each item, take the place of the local processes. They
        must see the same files. An item whose worker dies goes to another.

    Notes
    -----
    The number of threads changes results by round-off, which training amplifies; with the same number of threads they
    are the same to the bit, whoever makes them.
    """

    jobs: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        _validate.store(self, jobs=_validate.integer("jobs", self.jobs))
        if self.cluster is not None and self.jobs != 1:
            _validate.reject("jobs", "no number beside a cluster, whose workers do the work", str(self.jobs))
        if self.cluster is not None and self.cluster != "ray" and not self.cluster.startswith(("tcp://", "tls://")):
            _validate.reject("cluster", "an address tcp://host:port of a Dask scheduler, or 'ray'", repr(self.cluster))

    @property
    def local(self) -> bool:
        """Whether this process does everything."""
        return self.jobs == 1 and self.cluster is None

    @property
    def threads(self) -> int:
        """Threads for each item."""
        return 1 if self.cluster is not None else max((os.cpu_count() or 1) // self.jobs, 1)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterable[Result]:
        """Yield the results of the items, in the order in which they end."""
        if self.local:
            return map(function, items)
        return self._distributed(function, items)

    def _distributed(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        with self._backend():
            jobs = self.jobs if self.cluster is None else -1
            # Ray's backend hands the results out only when all have ended
            order = "list" if self.cluster == "ray" else "generator_unordered"
            parallel = joblib.Parallel(n_jobs=jobs, batch_size=1, pre_dispatch="all", return_as=order)
            yield from parallel(joblib.delayed(_limited)(function, self.threads, item) for item in items)

    def _backend(self) -> AbstractContextManager[Any]:
        if self.cluster is None:
            return nullcontext()
        if self.cluster == "ray":
            return _ray()
        return _dask(self.cluster)


def _limited(function: Callable[[Item], Result], threads: int, item: Item) -> Result:
    # for good: this process does nothing else, and another item beside this one must find the same limit
    threadpool_limits(threads)
    return function(item)


@contextmanager
def _dask(address: str) -> Iterator[None]:
    try:
        from distributed import Client
    except ImportError:
        _missing("distributed", "meganet[cluster]")
    from joblib._dask import DaskDistributedBackend

    class Remote(DaskDistributedBackend):
        """Joblib would do everything itself where the cluster has a single worker, or where only one is there yet."""

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(super().effective_n_jobs(n_jobs), 2)

    try:
        client = Client(address, timeout=10)
    except OSError as error:
        _validate.reject("cluster", "the address of a running scheduler", f"{address!r} ({error})")
    with client, joblib.parallel_config(backend=Remote()):
        yield


@contextmanager
def _ray() -> Iterator[None]:
    try:
        from ray.util.joblib import register_ray
    except ImportError:
        _missing("ray", "ray")
    register_ray()
    with joblib.parallel_config(backend="ray"):
        yield


def _missing(package: str, install: str) -> NoReturn:
    _validate.reject("cluster", f"the package {package}", f"none; pip install '{install}'")
