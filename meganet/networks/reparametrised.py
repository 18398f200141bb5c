"""A layer whose weights are an affine function of fewer, or other, numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend import Array, Backend
from meganet.ground import validate
from meganet.layers.base import Layer
from meganet.layers.dense import DenseLayer
from meganet.layers.parameters import Parameter, Parameters
from meganet.linop import LinearOperator, Matrix


class Reparametrised(Layer):
    """``(c, x) -> F(Q c + q, x)``: the layer F with weights in a basis, for instance a convolution ``K(Q c)``.

    ``jvp`` is that of F at ``(Q dc, dx)``; ``vjp`` is ``(Q' dtheta, dx)``; `curvature` likewise.

    Parameters
    ----------
    layer : Layer
        F.
    basis : LinearOperator
        Q, from a vector of coefficients to the vector of the layer's weights. Repeated rows tie weights together;
        `stencils.derivative_basis` makes convolutions of differential operators.
    offset : array, optional
        q, on the layer's backend.
    parameters : Parameters, optional
        Names and roles of the coefficients; else they are one vector called "coefficients".

    Examples
    --------
    >>> import numpy as np
    >>> import meganet as mn
    >>> from meganet.linop import Matrix
    >>> from meganet.networks import Reparametrised
    >>> same = Matrix(np.kron(np.ones((4, 1)), np.eye(9)))
    >>> layer = Reparametrised(mn.ConvolutionLayer((1, 8, 8), 4), same)
    >>> layer
    Reparametrised(ConvolutionLayer((1, 8, 8) -> (4, 8, 8), relu), 9 coefficients)
    >>> layer(np.zeros(9), np.ones((5, 1, 8, 8))).shape, layer.weights(np.arange(9.0)).shape
    ((5, 4, 8, 8), (36,))
    """

    def __init__(
        self, layer: Layer, basis: LinearOperator, offset: Array | None = None, parameters: Parameters | None = None
    ) -> None:
        validate.instance("layer", layer, Layer, "a layer or network")
        validate.instance("basis", basis, LinearOperator, "a LinearOperator")
        size = layer.parameters.size
        if basis.range_shape != (size,) or len(basis.domain_shape) != 1 or basis.backend is not layer.backend:
            expected = f"an operator from a vector to {size} weights on {layer.backend.name}"
            validate.reject("basis", expected, repr(basis))
        if offset is not None:
            layer.backend.require_floats("offset", offset)
            validate.array_shape("offset", offset, (size,))
        if parameters is None:
            parameters = Parameters([Parameter("coefficients", basis.domain_shape, "coefficients", 1)])
        validate.instance("parameters", parameters, Parameters, "Parameters or None")
        if parameters.size != basis.shape[1]:
            validate.reject("parameters", f"names of {basis.shape[1]} coefficients", str(parameters.size))
        self.layer, self.basis, self.offset = layer, basis, offset
        self.couples_examples = layer.couples_examples
        super().__init__(layer.domain_shape, layer.range_shape, parameters, layer.backend)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layer!r}, {self.parameters.size} coefficients)"

    def resized(self, domain_shape: tuple[int, ...]) -> Reparametrised:
        """Return the layer for examples of another shape, which must have as many weights."""
        return self._around(self.layer.resized(domain_shape))

    def _around(self, layer: Layer) -> Reparametrised:
        """Return the same basis around another layer."""
        other = object.__new__(type(self))
        Reparametrised.__init__(other, layer, self.basis, self.offset, self.parameters)
        return other

    def in_time(self, *, finer: bool) -> tuple[Layer, list[LinearOperator]]:
        """Return the layer as it is; weights in a basis over several time steps cannot be refined or coarsened."""
        if self.layer.in_time(finer=finer)[0] is not self.layer:
            validate.reject("network", "time steps around weights in a basis, not within them", repr(self))
        return super().in_time(finer=finer)

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is defined for every part."""
        return self.layer.twice_differentiable

    @property
    def widest(self) -> int:
        """That of the layer."""
        return self.layer.widest

    def weights(self, coefficients: Array) -> Array:
        """Return the layer's weights ``Q c + q``."""
        direction = self._direction(coefficients)
        return direction if self.offset is None else direction + self.offset.astype(direction.dtype)

    def _direction(self, dc: Array) -> Array:
        return self.basis.apply_each_unchecked(dc[..., None, :])[..., 0, :]

    def _coefficients(self, dtheta: Array) -> Array:
        return self.basis.adjoint_each_unchecked(dtheta[..., None, :])[..., 0, :]

    def forward_unchecked(self, theta: Array, x: Array) -> tuple[Array, Any]:
        return self.layer.forward_unchecked(self.weights(theta), x)

    def frozen_on_unchecked(self, theta: Array, x: Array) -> tuple[Layer, Array]:
        layer, y = self.layer.frozen_on_unchecked(self.weights(theta), x)
        return self._around(layer), y

    def evaluate_unchecked(self, theta: Array, x: Array) -> Array:
        return self.layer.evaluate_unchecked(self.weights(theta), x)

    def jvp_unchecked(self, dtheta: Array, dx: Array, record: Any) -> Array:
        return self.layer.jvp_unchecked(self._direction(dtheta), dx, record)

    def vjp_unchecked(self, dy: Array, record: Any) -> tuple[Array, Array]:
        in_theta, in_x = self.layer.vjp_unchecked(dy, record)
        return self._coefficients(in_theta), in_x

    def vjp_theta_unchecked(self, dy: Array, record: Any) -> Array:
        return self._coefficients(self.layer.vjp_theta_unchecked(dy, record))

    def vjp_x_unchecked(self, dy: Array, record: Any) -> Array:
        return self.layer.vjp_x_unchecked(dy, record)

    def curvature_unchecked(self, dtheta: Array, dx: Array, dy: Array, record: Any) -> tuple[Array, Array]:
        in_theta, in_x = self.layer.curvature_unchecked(self._direction(dtheta), dx, dy, record)
        return self._coefficients(in_theta), in_x


def antisymmetric(n: int, *, damping: float = 1e-4, backend: str | Backend | None = None) -> Reparametrised:
    """Return the linear layer ``x -> (A - A' - damping I) x`` without bias, for stable residual networks.

    Parameters
    ----------
    n : int
        Length of the vectors.
    damping : float
        At least 0.

    Returns
    -------
    Reparametrised
        Of a `DenseLayer`; its n (n - 1) coefficients are the entries of A off the diagonal, column by column.

    Notes
    -----
    ``getDenseAntiSym`` of Meganet, which has the same coefficients in the same order.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.networks import antisymmetric
    >>> layer = antisymmetric(3, damping=0.1)
    >>> layer.parameters.size
    6
    >>> print(layer(np.arange(6.0), np.eye(3)).T)
    [[-0.1  2.   3. ]
     [-2.  -0.1  2. ]
     [-3.  -2.  -0.1]]
    """
    n = validate.integer("n", n, minimum=2)
    damping = validate.real("damping", damping, minimum=0)
    layer = DenseLayer((n,), n, bias=False, backend=backend)
    column, row = np.array([(j, i) for j in range(n) for i in range(n) if i != j]).T
    numbers, ones = np.arange(len(row)), np.ones(len(row))
    upper = scipy.sparse.coo_array((ones, (row * n + column, numbers)), shape=(n * n, len(row)))
    lower = scipy.sparse.coo_array((ones, (column * n + row, numbers)), shape=(n * n, len(row)))
    offset = layer.backend.asarray(-damping * np.eye(n).ravel())
    basis = Matrix((upper - lower).tocsr(), backend=layer.backend)
    weights = Parameters([Parameter("coefficients", (len(row),), "coefficients", n - 1)])
    return Reparametrised(layer, basis, offset, weights)
