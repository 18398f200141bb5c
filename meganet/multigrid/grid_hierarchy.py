"""A linear system on several grids: the hierarchy that multigrid cycles go through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from meganet.ground import validate
from meganet.ground.columns import aligned
from meganet.linop import CirculantConvolution, LinearOperator, Matrix
from meganet.multigrid.poisson import Poisson
from meganet.multigrid.relaxation import RELAXATIONS, Jacobi, RedBlack, Relaxation, explicit
from meganet.multigrid.transfer import BOUNDARIES, INTERPOLATIONS, image_axes
from meganet.multigrid.transfer_operators import Prolongation, Restriction, as_grid

DIRECT = 1024
"""Most cells of the coarsest grid, whose equations are solved by a dense matrix."""

NULL = 16.0
"""What counts as zero, in units of the round-off of a sum or of a matrix."""


@dataclass(frozen=True)
class _Grid:
    A: Matrix

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


@dataclass(frozen=True)
class CoarsestLevel(_Grid):
    """The coarsest grid of a `GridHierarchy`.

    Attributes
    ----------
    A : Matrix
        The operator on this grid.
    inverse : Matrix
        Its pseudo-inverse.

    Examples
    --------
    >>> from meganet.multigrid import GridHierarchy, Poisson
    >>> level = GridHierarchy(Poisson((8, 8)))[0]
    >>> level.name, level.unknowns, level.nonzeros
    ('2x2', 4, 16)
    """

    inverse: Matrix


@dataclass(frozen=True)
class GridLevel(_Grid):
    """One grid of a `GridHierarchy` that has a coarser one.

    Attributes
    ----------
    A : Matrix
        The operator on this grid.
    relaxation : Relaxation
    R, P : Matrix
        To the next coarser grid and back from it.

    Examples
    --------
    >>> from meganet.multigrid import GridHierarchy, Poisson
    >>> level = GridHierarchy(Poisson((8, 8)))[-1]
    >>> level.name, level.R, level.relaxation
    ('8x8', Restriction((8, 8) -> (4, 4), float64, numpy), RedBlack((8, 8)))
    """

    relaxation: Relaxation
    R: Matrix
    P: Matrix


class GridHierarchy:
    """A linear system ``A u = f`` on a grid and on ever coarser ones, ``A_2h = R A_h P`` (Galerkin).

    Levels are numbered from 0, the coarsest; negative numbers count from the finest. `multigrid_cycle`,
    `full_multigrid` and `solve` go through them.

    Parameters
    ----------
    operator : LinearOperator
        A on the finest grid, square, of grid functions (L,), (H, W), (1, H, W), (T, H, W); such as `Poisson` or a
        `CirculantConvolution` of one channel.
    boundary : {"dirichlet", "neumann", "periodic"}, optional
        What P finds beyond the edges. If not given that of the operator: `Poisson` has one, convolutions are periodic.
    interpolation : {"linear", "constant"}
        The choice of P. With "constant" coarse operators of second order are twice as strong as they should be, see
        Notes.
    levels : int, optional
        Number of grids, 2 for a two-grid method; if not given as many as there are, until an axis is odd or has two
        cells.
    relaxation : {"red-black", "gauss-seidel", "jacobi"} or callable, optional
        Or ``lambda A: Jacobi(A, weight=0.7)``, a function of the operator on a grid. If not given red-black, in one
        dimension Jacobi's, see Notes.

    Attributes
    ----------
    boundary : str
    singular : bool
        Whether constants are in the null space of A.

    Raises
    ------
    InputError
        For an operator of several channels, one whose grid cannot be halved so often, a coarsest grid of more than 1024
        cells, no boundary where the operator tells none, or a relaxation of another kind.

    Notes
    -----
    Section 2.4 of the thesis; Trottenberg, Oosterlee and Schuller, Multigrid, 2001. If polynomials of degree below
    ``m_P`` are interpolated exactly by P, and below ``m_R`` by the transpose of R, then ``m_P + m_R`` must exceed the
    order of the operator (Hemker, 1990). R, the mean of cells, has 1, linear P 2 and constant P 1: for the Laplacian,
    of order 2, linear P suffices and constant P does not. It makes the operator on the coarse grid twice as strong, so
    that the correction from there is half of what it should be.

    After red-black relaxation the residual is zero on the black cells. In two dimensions the red cells of a block lie
    evenly about its centre, where R puts their mean; in one dimension there is one, beside the centre, and cycles
    converge slowly. Cells that are much longer than wide, which couple strongly in one direction alone, need another
    relaxation than those here.

    Examples
    --------
    >>> from meganet.multigrid import GridHierarchy, Poisson
    >>> hierarchy = GridHierarchy(Poisson((64, 64)))
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
        boundary: str | None = None,
        interpolation: str = "linear",
        levels: int | None = None,
        relaxation: str | Callable[[LinearOperator], Relaxation] | None = None,
    ) -> None:
        A = explicit(operator)
        if isinstance(operator, CirculantConvolution) and operator.domain_shape[0] > 1:
            validate.reject("operator", "a convolution of one channel", f"{operator.domain_shape[0]} channels")
        self.boundary = _boundary(operator, boundary)
        self.interpolation = validate.choice("interpolation", interpolation, INTERPOLATIONS)
        make = _relaxations(relaxation, A)
        halvings = _halvings(A.domain_shape, levels)
        home: dict[str, Any] = {"dtype": A.dtype, "backend": A.backend}
        finer: list[GridLevel] = []
        for _ in range(halvings):
            made = make(A)
            validate.instance("relaxation", made, Relaxation, "a function that returns a Relaxation")
            R = Restriction(A.domain_shape, **home)
            P = Prolongation(A.domain_shape, interpolation, boundary=self.boundary, **home)
            finer.append(GridLevel(A, made, R, P))
            A = Matrix(R.matrix @ A.matrix @ P.matrix, R.range_shape, R.range_shape, **home)
        if A.shape[0] > DIRECT:
            validate.reject("operator", f"a coarsest grid of {DIRECT:,} cells or less", validate.by(A.domain_shape))
        inverse = np.linalg.pinv(A.matrix.toarray(), rcond=NULL * A.shape[0] * np.finfo(A.dtype).eps)
        coarsest = CoarsestLevel(A, Matrix(inverse, A.range_shape, A.domain_shape, **home))
        self.levels: tuple[CoarsestLevel | GridLevel, ...] = (coarsest, *reversed(finer))
        self.singular = vanishes_on_constants(self[-1].A.matrix, A.dtype)

    @property
    def operator_complexity(self) -> float:
        """Nonzeros of the operators of all levels, in units of the finest's."""
        return sum(level.nonzeros for level in self) / self[-1].nonzeros

    @property
    def grid_complexity(self) -> float:
        """Unknowns of all levels, in units of the finest's."""
        return sum(level.unknowns for level in self) / self[-1].unknowns

    @property
    def finer(self) -> tuple[GridLevel, ...]:
        """The levels that have a coarser one, from coarse to fine."""
        return tuple(level for level in self if isinstance(level, GridLevel))

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, level: int) -> Any:
        """Return a `GridLevel`, or for number 0 the `CoarsestLevel`."""
        return self.levels[level]

    def __iter__(self) -> Iterator[CoarsestLevel | GridLevel]:
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
        complexity = f"operator complexity {self.operator_complexity:.2f}, grid complexity {self.grid_complexity:.2f}"
        relaxation = type(self[-1].relaxation).__name__
        return "\n".join([*aligned(rows), f"{self.interpolation} P, {relaxation} relaxation; {complexity}"])


def vanishes_on_constants(matrix: Any, dtype: Any = np.float64) -> bool:
    """Whether a SciPy sparse matrix, of numbers that were rounded to a dtype, maps constants to zero.

    Examples
    --------
    >>> from meganet.multigrid import Poisson
    >>> from meganet.multigrid.grid_hierarchy import vanishes_on_constants
    >>> vanishes_on_constants(Poisson(8, "periodic").matrix), vanishes_on_constants(Poisson(8).matrix)
    (True, False)
    """
    ones = np.ones(matrix.shape[1])
    return bool((abs(matrix @ ones) <= NULL * np.finfo(dtype).eps * (abs(matrix) @ ones)).all())


def _boundary(operator: LinearOperator, boundary: str | None) -> str:
    if boundary is not None:
        return validate.choice("boundary", boundary, BOUNDARIES)
    if isinstance(operator, CirculantConvolution):
        return "periodic"
    if not isinstance(operator, Poisson):
        validate.reject("boundary", f"one of {', '.join(BOUNDARIES)} for an operator that has none", "None")
    return operator.boundary


def _relaxations(
    relaxation: str | Callable[[LinearOperator], Relaxation] | None, finest: Matrix
) -> Callable[[LinearOperator], Relaxation]:
    """Return what makes the relaxation of an operator."""
    if isinstance(relaxation, Relaxation):
        validate.reject("relaxation", "a name, or a function of the operator on a grid", repr(relaxation))
    if callable(relaxation):
        return relaxation
    if relaxation is not None:
        return RELAXATIONS[validate.choice("relaxation", relaxation, RELAXATIONS)]
    return RedBlack if sum(n > 1 for n in finest.domain_shape) > 1 else Jacobi


def _halvings(shape: tuple[int, ...], levels: int | None) -> int:
    """Return how often a grid is halved, at most until an axis is odd or has two cells."""
    if len(shape) > 3:
        validate.reject("operator", "one of grid functions (L,), (H, W) or (T, H, W)", f"shape {shape}")
    grid = as_grid(shape)
    cells = [grid[axis] for axis in image_axes(None, grid)]
    most = 0
    while all(n % 2 ** (most + 1) == 0 and n > 2 ** (most + 1) for n in cells):
        most += 1
    if not most:
        validate.reject("operator", "an even grid of more than two cells in each direction", validate.by(shape))
    wanted = most if levels is None else validate.integer("levels", levels, minimum=2) - 1
    if wanted > most:
        validate.reject("levels", f"at most {most + 1} for a grid of {validate.by(shape)}", str(levels))
    return wanted
