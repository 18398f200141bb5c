"""Products with the Hessian of an objective, by forward derivatives of the backpropagation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from meganet.backend import Array, Backend, get_backend, to_dtype
from meganet.ground import validate
from meganet.linop.base import LinearOperator
from meganet.objective.batch import Pass, Terms
from meganet.objective.selection import Selection

KINDS = ("gauss-newton", "exact")


class SymmetricOperator(LinearOperator):
    """A symmetric operator on flat vectors that is known by its product with one vector at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> hessian = fun.hessian(np.zeros(fun.parameters.size))
    >>> hessian.shape, (hessian @ np.ones((5, 17))).shape, hessian.tosparse().shape
    ((17, 17), (5, 17), (17, 17))
    >>> bool((hessian.T @ np.ones(17) == hessian @ np.ones(17)).all())
    True
    """

    stores_numbers = True

    @abstractmethod
    def _one(self, v: Array) -> Array:
        """Return the product with one vector (n,)."""

    def apply_unchecked(self, x: Array) -> Array:
        return self.backend.stack([self._one(x[k]) for k in range(x.shape[0])])

    def adjoint_unchecked(self, y: Array) -> Array:
        return self.apply_unchecked(y)

    def to(self, backend: str | Backend) -> Any:
        """Return the operator itself on its own backend; elsewhere it needs an objective made there."""
        if get_backend(backend) is not self.backend:
            validate.reject("backend", f"{self.backend.name}, where the objective is", get_backend(backend).name)
        return self

    def tosparse(self) -> Any:
        """Return the matrix, product by product; for small problems."""
        unit = self.backend.asarray(np.eye(self.shape[0]), self.dtype)
        return self.backend.csr(self.backend.to_host(self.apply_unchecked(unit)))


def bytes_of(record: Any, *shared: Array) -> int:
    """Return the memory of the arrays in a record of lists, tuples and dictionaries, such as a `Pass`.

    Memory that several of them share counts once, that of the `shared` arrays not at all.

    Examples
    --------
    >>> import numpy as np
    >>> from meganet.objective.hessian import bytes_of
    >>> x, y = np.ones((4, 8)), np.ones(100)
    >>> bytes_of(["layer", (x, {"mask": np.zeros(32, bool)}), x.ravel(), y[:2]], y)
    288
    """
    found = _owners(record)
    for array in shared:
        found.pop(id(_owner(array)), None)
    return sum(found.values())


def _owners(record: Any) -> dict[int, int]:
    """Return the bytes of what owns the memory of the arrays in a record."""
    if isinstance(record, dict):
        record = list(record.values())
    if isinstance(record, (list, tuple)):
        return {owner: size for part in record for owner, size in _owners(part).items()}
    owner = _owner(record)
    return {id(owner): int(getattr(owner, "nbytes", 0))}


def _owner(array: Any) -> Any:
    base = getattr(array, "base", None)
    return array if base is None else base


class Hessian(SymmetricOperator):
    """``v -> H v`` for an objective at a point, symmetric, in all weights ``[theta; W]`` together.

    With ``z(theta, W)`` the outputs of network and classifier, Z their Jacobian in both, and L the loss:

    * "gauss-newton": ``Z' L''(z) Z v``, positive semidefinite for a convex loss, coupling of theta and W included;
    * "exact": that plus ``sum_i L'(z)_i z_i'' v``, by the `curvature` of the layers.

    Both plus the Hessians of the regularisers. The result does not depend on how the examples are split, up to
    round-off. `Objective.hessian` makes it.

    Parameters
    ----------
    terms : Terms
    x : array, (n,)
        Copied.
    examples : Selection
    kind : {"gauss-newton", "exact"}
    keep_bytes : int, optional
        Memory for the forward passes of the batches, which are done once and kept between products as far as it goes;
        of the other batches each product does them again. Not bounded if not given.

    Notes
    -----
    A Gauss-Newton product takes one `jvp` and one `vjp` of the network, about as long as a gradient. Source:
    Pearlmutter, *Fast exact multiplication by the Hessian* (1994); Schraudolph, *Fast curvature matrix-vector products
    for second-order gradient descent* (2002).

    Examples
    --------
    >>> import numpy as np
    >>> from meganet import DenseLayer, Objective
    >>> fun = Objective(DenseLayer((2,), 3), DenseLayer((3,), 2), np.ones((4, 2)), [0, 1, 0, 1])
    >>> hessian = fun.hessian(np.zeros(fun.parameters.size), "exact")
    >>> hessian
    Hessian((17,) -> (17,), float64, numpy)
    >>> (hessian @ np.ones(17)).shape
    (17,)
    """

    def __init__(
        self,
        terms: Terms,
        x: Array,
        examples: Selection,
        kind: str = "gauss-newton",
        *,
        keep_bytes: int | None = None,
    ) -> None:
        self.kind = validate.choice("kind", kind, KINDS)
        if kind == "exact" and not terms.network.twice_differentiable:
            validate.reject("network", "layers with second derivatives, or kind 'gauss-newton'", repr(terms.network))
        self.terms, self.x, self.examples = terms, x.copy(), examples
        super().__init__(x.shape, x.shape, x.dtype, terms.backend)
        self._keep_bytes = keep_bytes
        self._kept = self._passes()

    def _passes(self) -> list[Pass]:
        """Return the forward passes of the first batches, as many as the memory is for."""
        shares, keep_bytes = self.examples.shares, self._keep_bytes
        if keep_bytes is None:
            return self.backend.run([partial(self._pass, share) for share in shares])
        if not keep_bytes:
            return []
        first = self._pass(shares[0])
        # of the largest: examples are not divided evenly among threads
        ratio = max(share.stop - share.start for share in shares) / (shares[0].stop - shares[0].start)
        one = bytes_of(first, self.x, self.examples.images, self.examples.labels) * ratio
        count = min(len(shares), int(keep_bytes // max(one, 1)))
        return [first, *self.backend.run([partial(self._pass, share) for share in shares[1:count]])][:count]

    def _pass(self, share: slice) -> Pass:
        return self.terms.forward(self.x, self.examples.batch(share))

    def _one(self, v: Array) -> Array:
        product = partial(self.terms.hessian_product, v, exact=self.kind == "exact")
        tasks: list[Callable[[], Array]] = [partial(product, at) for at in self._kept]
        left = self.examples.shares[len(self._kept) :]
        tasks += [partial(lambda share: product(self._pass(share)), share) for share in left]
        total = sum(self.backend.run(tasks))
        for regularizer, part in self.terms.penalties():
            total[part] += regularizer.hessian_product(self.x[part], v[part])
        return total

    def with_dtype(self, dtype: Any) -> Hessian:
        terms, examples = to_dtype(self.terms, dtype), to_dtype(self.examples, dtype)
        return Hessian(terms, self.x.astype(dtype), examples, self.kind, keep_bytes=self._keep_bytes)
