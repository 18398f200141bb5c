"""A network's weights between grids as a linear map: one walk over the network, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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

Change = Callable[[str, tuple[int, ...]], Any]
"""From what an array of weights is, its role and the shape of its stencils, to the matrix that changes these, or, for
other weights with the shape (), every number; None if they stay."""


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
    >>> from meganet.multigrid.theta import in_basis, pieces
    >>> layer = mn.ConvolutionLayer((1, 4, 4), 2, bias=True)
    >>> [piece.repeated for piece in pieces(layer, layer, lambda role, shape: None, in_basis)]
    [18, 2]
    """

    matrix: Any
    repeated: int


Basis = Callable[[Reparametrised, Reparametrised, Change], Iterator[Piece]]
"""From a layer with weights in a basis, on two grids, to what changes its coefficients."""


def blocks(
    before: Layer, after: Layer, change: Change, backend: Backend, basis: Basis | None = None
) -> list[LinearOperator]:
    """Return the operators on consecutive parts of a network's weights that change them array by array.

    Parameters
    ----------
    before, after : Layer
        The network on two grids.
    change : callable
        From the role of an array of weights and the shape of its stencils, () for other weights, to the matrix that
        changes each stencil, or each number; None if they stay.
    backend : Backend
    basis : callable, optional
        What changes coefficients of weights in a basis: `in_basis` if not given.

    Raises
    ------
    InputError
        For weights that are to stay and depend on the resolution, and for a basis that does not hold the new stencils.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.backend import get_backend
    >>> from meganet.multigrid.theta import blocks
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 4, 4), 2, bias=True), mn.ConvolutionLayer(..., 1)])
    >>> def change(role, shape):
    ...     return 2 * np.eye(9) if role == "stencil" else None
    >>> [block.shape for block in blocks(network, network, change, get_backend("numpy"))]
    [(18, 18), (2, 2), (18, 18)]
    """
    found = pieces(before, after, cache(change), in_basis if basis is None else basis)
    grouped = [(parts[0].matrix, sum(part.repeated for part in parts)) for parts in _alike(found)]
    return [_operator(matrix, repeated, backend) for matrix, repeated in grouped if repeated]


def pieces(before: Layer, after: Layer, change: Change, basis: Basis) -> Iterator[Piece]:
    """Yield what changes the weights, in their order; `change` gives one object for one role and shape.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multigrid.theta import in_basis, pieces
    >>> network = mn.Chain([mn.ConvolutionLayer((1, 4, 4), 2, bias=True), mn.ConvolutionLayer(..., 1)])
    >>> [piece.repeated for piece in pieces(network, network, lambda role, shape: None, in_basis)]
    [18, 2, 18]
    """
    if isinstance(before, Chain) and isinstance(after, Chain):
        for k in before.storage:
            yield from pieces(before.layers[k], after.layers[k], change, basis)
    elif isinstance(before, Reparametrised) and isinstance(after, Reparametrised):
        yield from basis(before, after, change)
    elif isinstance(before, Integrator) and isinstance(after, Integrator):
        # the change is linear: coefficients in time change as the weights at each time do
        column = list(_of_a_column(before, after, change, basis))
        for _ in range(before.parameters.size // before.width if before.width else 0):
            yield from column
    else:
        yield from of_arrays(before, after, change)


def of_arrays(before: Layer, after: Layer, change: Change) -> Iterator[Piece]:
    """Yield what changes the arrays of a layer's weights, whatever it is made of.

    Examples
    --------
    >>> import meganet as mn
    >>> from meganet.multigrid.theta import of_arrays
    >>> layer = mn.ConvolutionLayer((1, 4, 4), 2, bias=True)
    >>> [piece.repeated for piece in of_arrays(layer, layer, lambda role, shape: None)]
    [18, 2]
    """
    for old, new in zip(before.parameters, after.parameters, strict=True):
        matrix = change(old.role, old.shape[1 - len(before.domain_shape) :] if old.role == "stencil" else ())
        rows, columns = (1, 1) if matrix is None else matrix.shape
        if new.size * columns != old.size * rows:
            what = "layers whose weights do not depend on the resolution"
            validate.reject("network", what, f"{old.name} of {before!r}")
        yield Piece(matrix, old.size // columns)


def _of_a_column(before: Integrator, after: Integrator, change: Change, basis: Basis) -> Iterator[Piece]:
    """Yield what changes the weights at one time, of which several layers may share the same."""
    places = {(part.start, part.stop): k for k, part in enumerate(before.parts)}
    for _, k in sorted(places.items()):
        yield from pieces(before.layers[k], after.layers[k], change, basis)


def in_basis(before: Reparametrised, after: Reparametrised, change: Change) -> Iterator[Piece]:
    """Yield what changes coefficients as the weights in the basis are changed, which must then lie in the new one.

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.linop import Matrix
    >>> from meganet.multigrid.theta import in_basis
    >>> same = mn.networks.Reparametrised(mn.ConvolutionLayer((1, 4, 4), 2), Matrix(np.kron([[1], [1]], np.eye(9))))
    >>> (piece,) = in_basis(same, same, lambda role, shape: 2 * np.eye(9))
    >>> piece.matrix.shape, piece.matrix.diagonal()
    ((9, 9), array([2., 2., 2., 2., 2., 2., 2., 2., 2.]))
    """
    inner = list(pieces(before.layer, after.layer, change, in_basis))
    if all(piece.matrix is None for piece in inner):
        yield Piece(None, before.parameters.size)
        return
    if before.offset is not None:
        validate.reject("network", "weights in a basis without offset, or none at all", repr(before))
    new, target = host_matrix(after.basis), joined(inner) @ host_matrix(before.basis)
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
    yield Piece(coefficients, 1)


def host_matrix(operator: LinearOperator) -> Any:
    """Return an operator's matrix on the host, as a SciPy sparse array.

    Examples
    --------
    >>> from meganet.linop import Identity
    >>> from meganet.multigrid.theta import host_matrix
    >>> host_matrix(Identity((2, 3))).shape
    (6, 6)
    """
    return scipy.sparse.csr_array(operator.to("numpy").tosparse())


def joined(found: Iterable[Piece]) -> Any:
    """Return the block diagonal matrix of pieces, as a SciPy sparse array.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.multigrid.theta import Piece, joined
    >>> print(joined([Piece(np.array([[5.0, 6.0]]), 2), Piece(None, 1)]).toarray())
    [[5. 6. 0. 0. 0.]
     [0. 0. 5. 6. 0.]
     [0. 0. 0. 0. 1.]]
    """
    parts = [_matrix(piece) for piece in found if piece.repeated]
    return scipy.sparse.csr_array(scipy.sparse.block_diag(parts, format="csr"))


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
