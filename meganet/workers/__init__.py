"""Who makes the trials: this process, several processes of this machine, or the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from meganet.ground import validate
from meganet.workers import clusters, processes

Item = TypeVar("Item")
Result = TypeVar("Result")
LARGEST_JOBS = 1000


@dataclass(frozen=True)
class Workers:
    """Processes that work on independent items.

    Attributes
    ----------
    jobs : int
        Processes on this machine, which share its cores: each has ``cores // jobs`` threads, at least one. No more are
        started than there are items; the threads go by the number given, so that a continued run, of fewer items,
        gives the same bits.
    cluster : str or None
        Address of the scheduler of a Dask cluster, ``tcp://host:port``, or "ray" for the Ray cluster that
        ``RAY_ADDRESS`` names; its workers, of one thread for each item, take the place of the local processes. They
        must see the same files.

    Notes
    -----
    The number of threads changes results by round-off, which training amplifies; with the same number of threads they
    are the same to the bit, whoever makes them.

    An item whose worker is killed is tried again, a few times; then the error is a `WorkersError`. Local processes end
    with the one that started them.

    Examples
    --------
    >>> from meganet.workers import Workers
    >>> list(Workers().map(abs, [-1, 2]))
    [1, 2]
    """

    jobs: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        validate.store(self, jobs=validate.integer("jobs", self.jobs))
        if self.jobs > LARGEST_JOBS:
            validate.reject("jobs", f"at most {LARGEST_JOBS} processes", str(self.jobs))
        if self.cluster is not None and self.jobs != 1:
            validate.reject("jobs", "no number beside a cluster, whose workers do the work", str(self.jobs))
        if self.cluster is not None:
            clusters.check_address(self.cluster)

    @property
    def local(self) -> bool:
        """Whether this process does everything."""
        return self.jobs == 1 and self.cluster is None

    @property
    def threads(self) -> int:
        """Threads for each item."""
        return 1 if self.cluster is not None else max((os.cpu_count() or 1) // self.jobs, 1)

    @property
    def side_by_side(self) -> int | None:
        """How many items go on at a time; None for a cluster, which has as many workers as it has just now."""
        return self.jobs if self.cluster is None else None

    def check(self) -> None:
        """Check, before there is anything to do, that the cluster can be reached.

        Raises
        ------
        WorkersError
            If it cannot, or its package is not installed.
        """
        if self.cluster is not None:
            clusters.check_cluster(self.cluster)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        note: Callable[[str], None] = lambda line: None,
    ) -> Iterable[Result]:
        """Yield the results of the items, in the order in which they end; `note` gets a line if a worker is killed."""
        if self.local:
            return map(function, items)
        if self.cluster is not None:
            return clusters.unordered(function, items, self.cluster, self.threads)
        return processes.unordered(function, items, self.jobs, self.threads, note)
