"""Products with the Hessian of an objective, by forward derivatives of the backpropagation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import add
from typing import Any, NamedTuple

import numpy as np

from meganet import _validate
from meganet.backend import Array, Backend, get_backend, recast
from meganet.linop.base import LinearOperator

KINDS = ("gauss-newton", "exact")


class Batch(NamedTuple):
    """What the products need of the forward pass of some examples."""

    network: Any
    classifier: Any
    images: Array
    features: Array
    outputs: Array
    targets: Array
    weight: float


class Hessian(LinearOperator):
    """``v -> H v`` for an `Objective` at a point, symmetric, in all weights ``[theta; W]`` together.

    With ``z(theta, W)`` the outputs of network and classifier, J their Jacobian in both, and L the loss:

    * "gauss-newton": ``J' L''(z) J v``, positive semidefinite for a convex loss, coupling of theta and W included;
    * "exact": that plus ``sum_i L'(z)_i z_i'' v``, by the `curvature` of the layers.

    Both plus the Hessians of the regularisers. The result does not depend on how the examples are split, up to
    round-off.

    Parameters
    ----------
    objective : Objective
    x : array, (parameters.size,)
        Copied.
    kind : {"gauss-newton", "exact"}
    indices, batch_size
        The first copied. See `Objective.hessian`.

    Notes
    -----
    A Gauss-Newton product takes one `jvp` and one `vjp` of the network, about as long as a gradient. Source:
    Pearlmutter, *Fast exact multiplication by the Hessian* (1994); Schraudolph, *Fast curvature matrix-vector products
    for second-order gradient descent* (2002).
    """

    stores_numbers = True

    def __init__(
        self, objective: Any, x: Array, kind: str = "gauss-newton", indices: Array | None = None, batch_size: Any = None
    ) -> None:
        self.kind = _validate.choice("kind", kind, KINDS)
        if kind == "exact" and not objective.network.twice_differentiable:
            _validate.reject(
                "network", "layers with second derivatives, or kind 'gauss-newton'", repr(objective.network)
            )
        self.objective, self.x = objective, x.copy()
        self.indices = None if indices is None else indices.copy()
        examples = objective.examples if indices is None else int(indices.shape[0])
        self._shares, self.batch_size = objective.shares(examples, batch_size), batch_size
        self._examples = examples
        super().__init__(x.shape, x.shape, x.dtype, objective.backend)
        self._kept = self.backend.run([partial(self._batch, s) for s in self._shares]) if batch_size is None else None

    def _batch(self, share: slice) -> Batch:
        objective = self.objective
        chosen = share if self.indices is None else self.indices[share]
        theta, w = objective.split(self.x)
        images, targets = objective.images[chosen], objective.labels[chosen]
        features, network = objective.network._forward(theta, images)
        outputs, classifier = objective.classifier._forward(w, features)
        return Batch(
            network, classifier, images, features, outputs, targets, (share.stop - share.start) / self._examples
        )

    def _apply(self, x: Array) -> Array:
        return self.backend.stack([self._one(x[k]) for k in range(x.shape[0])])

    def _adjoint(self, y: Array) -> Array:
        return self._apply(y)

    def _one(self, v: Array) -> Array:
        product = self._gauss_newton if self.kind == "gauss-newton" else self._exact
        if not self.objective.network.parameters.size:
            product = self._of_classifier
        tasks: list[Callable[[], Array]]
        if self._kept is None:
            tasks = [partial(lambda share: product(v, self._batch(share)), share) for share in self._shares]
        else:
            tasks = [partial(product, v, batch) for batch in self._kept]
        total = sum(self.backend.run(tasks))
        for regularizer, part in self.objective._regularizers():
            total[part] += regularizer.hessian_product(self.x[part], v[part])
        return total

    def _forward_derivative(self, v: Array, batch: Batch) -> tuple[Array, Array]:
        """Return the derivatives of features and outputs along `v`."""
        d_theta, d_w = self.objective.split(v)
        features = self.objective.network._jvp(d_theta, self.backend.xp.zeros_like(batch.images), batch.network)
        return features, self.objective.classifier._jvp(d_w, features, batch.classifier)

    def _gauss_newton(self, v: Array, batch: Batch) -> Array:
        network, classifier, loss = self.objective.network, self.objective.classifier, self.objective.loss
        _, d_outputs = self._forward_derivative(v, batch)
        u = loss._hessian_product(batch.outputs, batch.targets, d_outputs) * batch.weight
        in_w, in_features = classifier._vjp(u, batch.classifier)
        return self.backend.xp.concatenate([network._vjp_theta(in_features, batch.network), in_w])

    def _of_classifier(self, v: Array, batch: Batch) -> Array:
        """Return a product, of either kind, if the network has no weights: the outputs are affine in the classifier."""
        classifier, loss = self.objective.classifier, self.objective.loss
        d_outputs = classifier._forward(v, batch.features)[0]
        u = loss._hessian_product(batch.outputs, batch.targets, d_outputs) * batch.weight
        return classifier._vjp_theta(u, batch.classifier)

    def _exact(self, v: Array, batch: Batch) -> Array:
        """Differentiate the backpropagation along `v`: adjoints u and their derivatives du, from the loss backwards."""
        network, classifier, loss = self.objective.network, self.objective.classifier, self.objective.loss
        (d_theta, d_w), (d_features, d_outputs) = self.objective.split(v), self._forward_derivative(v, batch)
        u = loss._value_and_gradient(batch.outputs, batch.targets)[1] * batch.weight
        du = loss._hessian_product(batch.outputs, batch.targets, d_outputs) * batch.weight
        in_w, in_features = classifier._curvature(d_w, d_features, u, batch.classifier)
        through_w, through_features = classifier._vjp(du, batch.classifier)
        u = classifier._vjp_x(u, batch.classifier)
        no_images = self.backend.xp.zeros_like(batch.images)
        in_theta = network._curvature(d_theta, no_images, u, batch.network)[0]
        through_theta = network._vjp_theta(self.backend.elementwise(add, in_features, through_features), batch.network)
        return self.backend.xp.concatenate([in_theta + through_theta, in_w + through_w])

    def _astype(self, dtype: Any) -> Hessian:
        objective = recast(self.objective, dtype)
        return Hessian(objective, self.x.astype(dtype), self.kind, self.indices, self.batch_size)

    def to(self, backend: str | Backend) -> Hessian:
        """Return the Hessian itself on its own backend; elsewhere it needs an objective made there."""
        if get_backend(backend) is not self.backend:
            _validate.reject("backend", f"{self.backend.name}, where the objective is", get_backend(backend).name)
        return self

    def tosparse(self) -> Any:
        """Return the matrix, product by product; for small problems."""
        unit = self.backend.asarray(np.eye(self.shape[0]), self.dtype)
        return self.backend.csr(self.backend.to_host(self._apply(unit)))
