"""Variable projection: the classifier's weights eliminated, so that only the network's remain."""

from __future__ import annotations

import math

import numpy as np

from meganet.backend import Array, is_finite
from meganet.ground import validate
from meganet.layers.linear import LinearLayer
from meganet.linop import Identity
from meganet.linop.base import LinearOperator
from meganet.objective.hessian import SymmetricOperator
from meganet.objective.objective import Objective
from meganet.optim import Control, steihaug, trust_region


class VariableProjection:
    """``f(theta) = min_W J(theta, W)`` for an `Objective` that is strictly convex in W.

    With the minimiser ``W(theta)`` the gradient is ``dJ/dtheta`` at ``(theta, W(theta))``, since ``dJ/dW`` is zero
    there. The Hessian is the Schur complement ``H_tt - H_tw H_ww^-1 H_wt`` of that of J.

    Parameters
    ----------
    objective : Objective
        J; its `W_regularizer` must act on all of W, bias included, so that the minimiser is unique.
    control : Control, optional
        Of the inner minimisation over W, by `trust_region`. If not given it ends where the gradient in W is
        ``sqrt(eps) / 100`` times that at ``W = 0``, with eps the unit of round-off.

    Notes
    -----
    Golub and Pereyra (1973); Newman, Ruthotto, Hart and van Bloemen Waanders, *Train like a (Var)Pro* (2021);
    ``dnnVarProObjFctn`` of Meganet. Optimisers call it as ``fun(theta) -> value, gradient`` and `hessian`. Each inner
    minimisation starts from the last one's result, which is kept as `W`.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective, Tikhonov, trust_region
    >>> from meganet.linop import Identity
    >>> from meganet.objective import VariableProjection
    >>> network, classifier, rng = DenseLayer((2,), 3), DenseLayer((3,), 2), np.random.default_rng(0)
    >>> penalty = Tikhonov(Identity(classifier.parameters.size), 0.1)
    >>> images, labels = rng.standard_normal((4, 2)), [0, 1, 0, 1]
    >>> reduced = VariableProjection(Objective(network, classifier, images, labels, W_regularizer=penalty))
    >>> theta = rng.standard_normal(network.parameters.size)
    >>> value, gradient = reduced(theta)
    >>> gradient.shape, reduced.W.shape, reduced.hessian(theta).shape
    ((9,), (8,), (9, 9))
    >>> bool(trust_region(reduced, theta, reduced.hessian).value < value)
    True
    """

    def __init__(self, objective: Objective, *, control: Control | None = None) -> None:
        validate.instance("objective", objective, Objective, "an Objective")
        penalty = objective.W_regularizer
        if penalty is None or penalty.size != objective.classifier.parameters.size:
            expected = f"a W_regularizer on all {objective.classifier.parameters.size} weights of the classifier"
            validate.reject("objective", expected, "none" if penalty is None else repr(penalty))
        self.objective, self.parameters = objective, objective.network.parameters
        self.control = control
        self.W = objective.backend.xp.zeros(objective.classifier.parameters.size, dtype=objective.dtype)

    def solve(self, theta: Array) -> Array:
        """Return the classifier's weights that minimise J for the network's weights `theta`."""
        inner = self._inner(theta)
        # where the features overflow W stays what it was: value and gradient are then not finite either
        if inner is not None:
            control = self._relative_to_zero(inner) if self.control is None else self.control
            found = trust_region(inner, self.W, inner.hessian, max_radius=1e6, radius=10.0, control=control)
            self.W = found.x if found.iterations else self.W
        return self.W

    def _relative_to_zero(self, inner: Objective) -> Control:
        """Return the default of `control`; relative to the gradient at a good start it could not be reached."""
        backend, (_, gradient) = inner.backend, inner(0 * self.W)
        size = math.sqrt(float(backend.to_host(backend.dot(gradient, gradient))))
        tolerance = 0.01 * math.sqrt(np.finfo(self.W.dtype).eps)
        return Control(rtol=tolerance, atol=tolerance * size)

    def _inner(self, theta: Array) -> Objective | None:
        """Return the objective of W alone, for features that do not change; None if they are not finite."""
        outer = self.objective
        features = outer.network(theta, outer.images)
        if not is_finite(features):
            return None
        fixed = LinearLayer(Identity(outer.network.range_shape, outer.dtype, outer.backend))
        return Objective(
            fixed, outer.classifier, features, outer.labels, loss=outer.loss, W_regularizer=outer.W_regularizer
        )

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Return ``f(theta)``, an array of shape (), and its gradient, (parameters.size,)."""
        value, gradient = self.objective(self._point(theta))
        return value, gradient[: self.parameters.size]

    def hessian(self, theta: Array, kind: str = "gauss-newton") -> ReducedHessian:
        """Return the Hessian at `theta`, from J's exact one or its Gauss-Newton approximation, as an operator."""
        point = self._point(theta)
        inner = self._inner(theta)
        if inner is None:
            validate.reject("theta", "weights at which the features are finite", "NaN or infinity among them")
        return ReducedHessian(self.objective.hessian(point, kind), inner.hessian(self.W))

    def _point(self, theta: Array) -> Array:
        self.objective.backend.require("theta", theta)
        validate.array_shape("theta", theta, (self.parameters.size,))
        return self.objective.backend.xp.concatenate([theta, self.solve(theta)])


class ReducedHessian(SymmetricOperator):
    """``v -> H_tt v - H_tw H_ww^-1 H_wt v``, the Schur complement of a Hessian in its first n unknowns; symmetric.

    The inner system is solved by conjugate gradients, to a residual of 1e-12 or what round-off allows.

    Parameters
    ----------
    hessian : LinearOperator
        H, on ``[theta; W]``.
    block : LinearOperator
        ``H_ww``, whose products need not go through the network.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.linop import Matrix
    >>> from meganet.objective import ReducedHessian
    >>> whole = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    >>> reduced = ReducedHessian(Matrix(whole), Matrix(whole[1:, 1:]))
    >>> reduced.shape, reduced @ np.ones(1)
    ((1, 1), array([3.5]))
    """

    def __init__(self, hessian: LinearOperator, block: LinearOperator) -> None:
        n = hessian.shape[0] - block.shape[0]
        super().__init__((n,), (n,), hessian.dtype, hessian.backend)
        self.whole, self.block, self.rest = hessian, block, block.shape[0]

    def _one(self, v: Array) -> Array:
        xp, n = self.backend.xp, self.shape[0]
        none, no_theta = xp.zeros(self.rest, dtype=v.dtype), xp.zeros(n, dtype=v.dtype)
        product = self.whole @ xp.concatenate([v, none])
        # the solution of H_ww w = -H_wt v
        rtol = max(1e-12, 10 * float(np.finfo(v.dtype).eps))
        solved = steihaug(self.block.__matmul__, product[n:], math.inf, rtol=rtol, max_iterations=2 * self.rest)
        return product[:n] + (self.whole @ xp.concatenate([no_theta, solved.step]))[:n]
