"""A network on several levels, from coarse to fine, and the ways between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from meganet.backend import Array, to_host
from meganet.ground import validate
from meganet.ground.columns import aligned
from meganet.linop import LinearOperator
from meganet.multilevel.level import Level


class Hierarchy(ABC):
    """Levels of one network, from the coarsest to the finest; made by `in_space` or `in_depth`.

    Levels are numbered from 0, the coarsest; negative numbers count from the finest. A new kind of hierarchy defines
    `images`, `prolongation`, `restriction` and `sharing`.

    Parameters
    ----------
    levels : sequence of Level

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.multilevel import in_space
    >>> net = mn.Chain([mn.ConvolutionLayer((1, 28, 28), 8), mn.ConvolutionLayer(..., 16)])
    >>> hierarchy = in_space(net, classes=10, grids=(7, 14, 28))
    >>> print(hierarchy)
    level   grid  unknowns  MFLOP   share
        0    7x7     9,074   0.40    6.2%
        1  14x14    32,594   1.60   25.0%
        2  28x28   126,674   6.40  100.0%
    a step on every level: 131.2% of the arithmetic of the finest
    >>> x = hierarchy[0].initial(np.random.default_rng(0), np.float32)
    >>> hierarchy.carry(x, 0, 2).shape, hierarchy.images(1, np.ones((5, 1, 28, 28))).shape
    ((126674,), (5, 1, 14, 14))
    """

    #: What a level is called in the table.
    kind = "level"

    def __init__(self, levels: Sequence[Level]) -> None:
        self.levels: tuple[Level, ...] = validate.items("levels", levels, Level, "one or more levels")

    @abstractmethod
    def images(self, level: int, images: Array) -> Array:
        """Return images of the finest level as another one sees them."""

    @abstractmethod
    def prolongation(self, level: int) -> LinearOperator:
        """Return the operator that carries weights ``[theta; W]`` of a level to the next finer one."""

    @abstractmethod
    def restriction(self, level: int) -> LinearOperator:
        """Return the operator that carries weights ``[theta; W]`` of a level to the next coarser one."""

    @abstractmethod
    def sharing(self, level: int) -> LinearOperator:
        """Return the operator that gives the next coarser level the weights it shares with this one in joint training.

        Through its adjoint the coarser level's gradient comes back.
        """

    def targets(self, level: int, labels: Any) -> Any:
        """Return what a level's outputs are compared with: labels as they are, or images as the level sees them.

        Images (N, C, H, W) become vectors, and may be given as such.
        """
        if self[level].outputs is not None:
            return labels
        finest = self[-1].network
        images = finest.backend.asarray(validate.read("labels", labels, "images")).reshape(-1, *finest.range_shape)
        return to_host(self.images(level, images)).reshape(len(images), -1)

    def number(self, level: int, argument: str = "level") -> int:
        """Return the number of a level, counted from the coarsest."""
        count = len(self.levels)
        found = validate.integer(argument, level, minimum=-count)
        if found >= count:
            validate.reject(argument, f"a level below {count}", str(level))
        return found % count

    def neighbours(self, level: int, way: int) -> tuple[Level, Level]:
        """Return a level and the next finer one, for a `way` of 1, or the next coarser one, for -1."""
        start = self.number(level)
        if not 0 <= start + way < len(self):
            validate.reject("level", f"one that has a {'finer' if way > 0 else 'coarser'} one", str(level))
        return self.levels[start], self.levels[start + way]

    def carry(self, x: Array, start: int, end: int) -> Array:
        """Return weights ``[theta; W]`` of one level on another, level by level.

        Parameters
        ----------
        x : array, (unknowns,)
            float32 or float64, on the network's backend; the result is alike. The products are in float64.
        start, end : int
        """
        here, there = self.number(start, "start"), self.number(end, "end")
        level = self.levels[here]
        level.network.backend.require_floats("x", x)
        validate.array_shape("x", x, (level.unknowns,))
        y = x.astype("float64")
        while here != there:
            y = (self.prolongation(here) if here < there else self.restriction(here)) @ y
            here += 1 if here < there else -1
        return y.astype(x.dtype)

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, level: int) -> Level:
        return self.levels[self.number(level)]

    def __iter__(self) -> Iterator[Level]:
        return iter(self.levels)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(level.name for level in self.levels)}>"

    def __str__(self) -> str:
        """Return a table of the levels: their unknowns, and the arithmetic of a gradient for one example."""
        finest = self.levels[-1].flop
        rows = [("level", self.kind, "unknowns", "MFLOP", "share")]
        for number, level in enumerate(self.levels):
            work = f"{level.flop / 1e6:,.2f}", f"{level.flop / finest:.1%}"
            rows.append((str(number), level.name, f"{level.unknowns:,}", *work))
        total = sum(level.flop for level in self.levels) / finest
        return "\n".join([*aligned(rows), f"a step on every level: {total:.1%} of the arithmetic of the finest"])
