"""A linear system on several grids: the hierarchy that multigrid cycles go through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.linop import LinearOperator, Matrix
from meganet.multigrid.relaxation import RELAXATIONS, Jacobi, RedBlack, Relaxation, explicit
from meganet.multigrid.transfer import BOUNDARIES, INTERPOLATIONS
from meganet.multigrid.transfer_operators import Prolongation, Restriction, along_axes

DIRECT = 1024
"""Most cells of the coarsest grid, whose equations are solved by a dense matrix."""

NULL = 1e-10
"""What counts as zero, relative to the largest number of its kind."""


@dataclass(frozen=True)
class GridLevel:
    """One grid of a `GridHierarchy`.

    Attributes
    ----------
    A : Matrix
        The operator on this grid.
    relaxation : Relaxation, optional
    R, P : LinearOperator, optional
        To the next coarser grid and back from it; none of the three on the coarsest grid.
    inverse : Matrix, optional
        The pseudo-inverse of A, on the coarsest grid alone.

    Examples
    --------
    >>> from meganet.multigrid import GridHierarchy, poisson
    >>> level = GridHierarchy(poisson((8, 8)))[-1]
    >>> level.name, level.R, level.relaxation
    ('8x8', Restriction((8, 8) -> (4, 4), float64, numpy), RedBlack((8, 8)))
    """

    A: Matrix
    relaxation: Relaxation | None = None
    R: LinearOperator | None = None
    P: LinearOperator | None = None
    inverse: Matrix | None = None

    @property
    def name(self) -> str:
        """The grid, such as "16x16"."""
        return validate.by(self.A.domain_shape)

    @property
    def unknowns(self) -> int:
        """Number of cells."""
        return self.A.shape[1]

    @property
    def nonzeros(self) -> int:
        """Number of entries of A."""
        return int(self.A.matrix.nnz)


class GridHierarchy:
    """A linear system ``A u = f`` on a grid and on ever coarser ones, ``A_2h = R A_h P`` (Galerkin).

    Levels are numbered from 0, the coarsest; negative numbers count from the finest. `multigrid_cycle`,
    `full_multigrid` and `solve` go through them.

    Parameters
    ----------
    operator : LinearOperator
        A on the finest grid, square, of grid functions (L,), (H, W), (1, H, W), (T, H, W); such as `poisson` or a
        `CirculantConvolution` of one channel.
    boundary : {"dirichlet", "neumann", "periodic"}
        What P finds beyond the edges; that of the operator.
    interpolation : {"linear", "constant"}
        The choice of P. With "constant" coarse operators of second order are twice too strong, see Notes.
    levels : int, optional
        Number of grids, 2 for a two-grid method; if not given as many as there are, until an axis is odd or has two
        cells.
    relaxation : {"red-black", "gauss-seidel", "jacobi"} or callable, optional
        Or ``lambda A: Jacobi(A, weight=0.7)``, a function of the operator on a grid. If not given red-black, in one
        dimension Jacobi's with weight 2/3, see Notes.

    Raises
    ------
    InputError
        For an operator whose grid cannot be halved, more levels than there are, or a coarsest grid of more than 1024
        cells.

    Notes
    -----
    Section 2.4 of the thesis; Trottenberg, Oosterlee and Schuller, Multigrid, 2001. If polynomials of degree below
    ``m_P`` are interpolated exactly by P, and below ``m_R`` by the transpose of R, then ``m_P + m_R`` must exceed the
    order of the operator (Hemker, 1990). R, the mean of cells, has 1, linear P 2 and constant P 1: for the Laplacian,
    of order 2, linear P suffices and constant P does not: it makes the operator on the coarse grid twice too strong, so
    that the correction from there is half of what it should be.

    After red-black relaxation the residual is left on the red cells alone. In two dimensions the red cells of a block
    lie evenly about its centre, where R puts their mean; in one dimension there is one, beside the centre, and cycles
    converge slowly.

    Examples
    --------
    >>> from meganet.multigrid import GridHierarchy, poisson
    >>> hierarchy = GridHierarchy(poisson((64, 64)))
    >>> print(hierarchy)
    level   grid  unknowns  nonzeros  share
        0    2x2         4        16   0.1%
        1    4x4        16       100   0.3%
        2    8x8        64       484   1.5%
        3  16x16       256     2,116   6.7%
        4  32x32     1,024     8,836  27.8%
        5  64x64     4,096    20,224  63.6%
    linear P, RedBlack relaxation; operator complexity 1.57, grid complexity 1.33
    >>> hierarchy[-1].A.shape, hierarchy[0].name
    ((4096, 4096), '2x2')
    """

    def __init__(
        self,
        operator: LinearOperator,
        boundary: str = "dirichlet",
        interpolation: str = "linear",
        levels: int | None = None,
        relaxation: str | Callable[[LinearOperator], Relaxation] | None = None,
    ) -> None:
        finest = explicit(operator)
        self.boundary = validate.choice("boundary", boundary, BOUNDARIES)
        self.interpolation = validate.choice("interpolation", interpolation, INTERPOLATIONS)
        make = self._relaxations(relaxation, finest)
        wanted = np.inf if levels is None else validate.integer("levels", levels, minimum=2)
        found: list[GridLevel] = []
        A = finest
        while _halves(A.domain_shape) and len(found) < wanted - 1:
            home: dict[str, Any] = {"dtype": A.dtype, "backend": A.backend}
            R = Restriction(A.domain_shape, **home)
            P = Prolongation(A.domain_shape, interpolation, boundary=boundary, **home)
            found.append(GridLevel(A, make(A), R, P))
            A = Matrix(R.matrix @ A.matrix @ P.matrix, R.range_shape, R.range_shape, **home)
        reached = len(found) + 1
        if reached == 1 or (levels is not None and reached < levels):
            expected = f"a grid that can be halved {1 if levels is None else levels - 1} times"
            validate.reject("operator", expected, f"{validate.by(finest.domain_shape)}")
        if A.shape[0] > DIRECT:
            validate.reject("operator", f"a coarsest grid of {DIRECT:,} cells or less", validate.by(A.domain_shape))
        found.append(GridLevel(A, inverse=_pseudo_inverse(A)))
        self.levels = tuple(reversed(found))
        rows = abs(finest.matrix @ np.ones(finest.shape[1])).max()
        #: Whether constants are in the null space of the operator.
        self.singular = bool(rows <= NULL * abs(finest.matrix.diagonal()).max())

    @staticmethod
    def _relaxations(
        relaxation: str | Callable[[LinearOperator], Relaxation] | None, finest: Matrix
    ) -> Callable[[LinearOperator], Relaxation]:
        """Return what makes the relaxation of an operator."""
        if callable(relaxation):
            return relaxation
        if relaxation is not None:
            return RELAXATIONS[validate.choice("relaxation", relaxation, RELAXATIONS)]
        return RedBlack if sum(n > 1 for n in finest.domain_shape) > 1 else partial(Jacobi, weight=2 / 3)

    @property
    def operator_complexity(self) -> float:
        """Nonzeros of the operators of all levels, in units of the finest's."""
        return sum(level.nonzeros for level in self) / self[-1].nonzeros

    @property
    def grid_complexity(self) -> float:
        """Unknowns of all levels, in units of the finest's."""
        return sum(level.unknowns for level in self) / self[-1].unknowns

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, level: int) -> GridLevel:
        return self.levels[level]

    def __iter__(self) -> Iterator[GridLevel]:
        return iter(self.levels)

    def __repr__(self) -> str:
        return f"<GridHierarchy: {', '.join(level.name for level in self)}>"

    def __str__(self) -> str:
        """Return a table of the levels, their unknowns and nonzeros, as pyamg prints it."""
        total = sum(level.nonzeros for level in self)
        rows = [("level", "grid", "unknowns", "nonzeros", "share")]
        for number, level in enumerate(self):
            share = f"{level.nonzeros / total:.1%}"
            rows.append((str(number), level.name, f"{level.unknowns:,}", f"{level.nonzeros:,}", share))
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
        complexity = f"operator complexity {self.operator_complexity:.2f}, grid complexity {self.grid_complexity:.2f}"
        relaxation = type(self[-1].relaxation).__name__
        return "\n".join([*lines, f"{self.interpolation} P, {relaxation} relaxation; {complexity}"])


def _halves(shape: tuple[int, ...]) -> bool:
    """Whether every axis of a transfer is even, and has more than two cells."""
    grid, along = along_axes(shape)
    return all(grid[k] % 2 == 0 and grid[k] > 2 for k in along)


def _pseudo_inverse(A: Matrix) -> Matrix:
    inverse = np.linalg.pinv(A.matrix.toarray(), rcond=NULL)
    return Matrix(inverse, A.range_shape, A.domain_shape, A.dtype, A.backend)
