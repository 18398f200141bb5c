"""A network's weights between grids as a linear map: one walk over the network, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from scipy.sparse.csgraph import connected_components

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.linop import Identity, Kronecker, LinearOperator, Matrix
from meganet.networks import Chain, Integrator, Reparametrised

OUTSIDE = 1e-4
"""Relative error above which transferred stencils are said not to lie in a layer's basis."""

Stencils = Callable[[tuple[int, ...]], Any]
"""From the shape of stencils to the matrix that changes them, None for stencils that stay."""


class InDouble(Matrix):
    """A `Matrix` whose products are formed in float64, also of numbers in float32, and then rounded.

    What inverts a Galerkin matrix adds and subtracts numbers twenty times as large as the results.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid.theta import InDouble
    >>> A = InDouble([[1.0, 1e8, -1e8], [0.0, 1.0, 0.0]])
    >>> A @ np.array([1.0, 1.0, 1.0], dtype=np.float32)
    array([1., 1.], dtype=float32)
    """

    def apply_unchecked(self, x: Array) -> Array:
        return super().apply_unchecked(x.astype(np.float64)).astype(x.dtype)

    def adjoint_unchecked(self, y: Array) -> Array:
        return super().adjoint_unchecked(y.astype(np.float64)).astype(y.dtype)


class Piece(NamedTuple):
    """A matrix that acts on so many consecutive parts of a vector, or None for so many numbers that stay.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multigrid.theta import pieces
    >>> layer = mn.ConvolutionLayer((1, 4, 4), 2, bias=True)
    >>> [piece.repeated for piece in pieces(layer, layer, lambda shape: None)]
    [18, 2]
    """

    matrix: Any
    repeated: int


def blocks(before: Layer, after: Layer, stencils: Stencils, backend: Backend) -> list[LinearOperator]:
    """Return the operators that take consecutive parts of a network's weights to those on another grid.

    Every stencil changes, whichever channels it belongs to. Biases and factors stay: there is no multigrid meaning for
    them, section 3.1.2 of the thesis. Stencils in a basis, `Reparametrised`, are changed as stencils and then put into
    the basis again.

    Parameters
    ----------
    before, after : Layer
        The network on both grids.
    stencils : callable
        From the shape of stencils to the matrix that changes them, or None.
    backend : Backend

    Raises
    ------
    InputError
        For weights other than stencils that depend on the resolution, and for a basis that does not hold the new
        stencils.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend import get_backend
    >>> from meganet.multigrid.theta import blocks
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 4, 4), 2, bias=True), mn.ConvolutionLayer(..., 1)])
    >>> [block.shape for block in blocks(network, network, lambda shape: 2 * np.eye(9), get_backend("numpy"))]
    [(18, 18), (2, 2), (18, 18)]
    """
    found = pieces(before, after, cache(stencils))
    grouped = [(parts[0].matrix, sum(part.repeated for part in parts)) for parts in _alike(found)]
    return [_operator(matrix, count, backend) for matrix, count in grouped if count]


def pieces(before: Layer, after: Layer, stencils: Stencils) -> Iterator[Piece]:
    """Yield what changes the weights, in their order; `stencils` gives one object for one shape."""
    if isinstance(before, Chain) and isinstance(after, Chain):
        for k in before.storage:
            yield from pieces(before.layers[k], after.layers[k], stencils)
    elif isinstance(before, Reparametrised) and isinstance(after, Reparametrised):
        yield _in_basis(before, after, stencils)
    elif isinstance(before, Integrator) and isinstance(after, Integrator):
        # the transfer is linear: coefficients in time change as the weights at each time do
        column = list(_of_a_column(before, after, stencils))
        for _ in range(before.parameters.size // before.width if before.width else 0):
            yield from column
    else:
        for old, new in zip(before.parameters, after.parameters, strict=True):
            matrix = stencils(old.shape[-2:]) if old.role == "stencil" else None
            rows, columns = (1, 1) if matrix is None else matrix.shape
            if new.size * columns != old.size * rows:
                what = "layers whose weights do not depend on the resolution"
                validate.reject("network", what, f"{old.name} of {before!r}")
            yield Piece(matrix, old.size // columns)


def _of_a_column(before: Integrator, after: Integrator, stencils: Stencils) -> Iterator[Piece]:
    """Yield what changes the weights at one time, of which several layers may share the same."""
    places = {(part.start, part.stop): k for k, part in enumerate(before.parts)}
    for _, k in sorted(places.items()):
        yield from pieces(before.layers[k], after.layers[k], stencils)


def _in_basis(before: Reparametrised, after: Reparametrised, stencils: Stencils) -> Piece:
    """Return what changes the coefficients of weights in a layer's basis, in which they must lie afterwards."""
    inner = list(pieces(before.layer, after.layer, stencils))
    if all(piece.matrix is None for piece in inner):
        return Piece(None, before.parameters.size)
    if before.offset is not None:
        validate.reject("network", "weights in a basis without offset, or none at all", repr(before))
    old, new = (scipy.sparse.csc_array(layer.basis.to("numpy").tosparse()) for layer in (before, after))
    parts = [_matrix(piece) for piece in inner if piece.repeated]
    target = scipy.sparse.csc_array(scipy.sparse.block_diag(parts, format="csc") @ old)
    square = new.shape[0] == new.shape[1]
    system, right = (new, target) if square else (new.T @ new, new.T @ target)
    try:
        coefficients = _inverse(system) @ right
    except np.linalg.LinAlgError:
        validate.reject("network", "a basis with independent columns", repr(before))
    error = float(scipy.sparse.linalg.norm(new @ coefficients - target))
    if not error <= OUTSIDE * float(scipy.sparse.linalg.norm(target)):
        validate.reject(
            "network", f"a basis that holds the transferred stencils of {before!r}", f"an error {error:.1e}"
        )
    return Piece(coefficients, 1)


def _inverse(matrix: Any) -> Any:
    """Return the inverse of a sparse matrix that, in some order, is block diagonal with small blocks."""
    matrix = scipy.sparse.csr_array(matrix)
    number, labels = connected_components(matrix, directed=False)
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=number)
    starts = np.cumsum(sizes) - sizes
    rows: list[Any] = []
    columns: list[Any] = []
    values: list[Any] = []
    for size in np.unique(sizes):
        members = order[starts[sizes == size][:, None] + np.arange(size)]
        row, column = (np.broadcast_to(m, (*members.shape, size)) for m in (members[:, :, None], members[:, None, :]))
        inverses = np.linalg.inv(matrix[row.ravel(), column.ravel()].reshape(row.shape))
        for found, new in ((rows, row), (columns, column), (values, inverses)):
            found.append(new.ravel())
    places = np.concatenate(rows), np.concatenate(columns)
    return scipy.sparse.coo_array((np.concatenate(values), places), shape=matrix.shape).tocsr()


def _matrix(piece: Piece) -> Any:
    unit = scipy.sparse.eye_array(piece.repeated)
    return unit if piece.matrix is None else scipy.sparse.kron(unit, piece.matrix)


def _alike(found: Iterator[Piece]) -> Iterator[list[Piece]]:
    """Yield neighbours with the same matrix together."""
    for _, group in groupby(found, key=lambda piece: id(piece.matrix)):
        yield list(group)


def _operator(matrix: Any, count: int, backend: Backend) -> LinearOperator:
    if matrix is None:
        return Identity(count, backend=backend)
    return Kronecker(Identity(count, backend=backend), InDouble(matrix, backend=backend))
