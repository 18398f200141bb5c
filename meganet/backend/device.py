"""A GPU through CuPy, with hand-written kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from meganet.backend.base import Array, Backend
from meganet.backend.cuda import Csr, Kernels
from meganet.backend.cuda.graph import State, Step, iterate, usual_allocator
from meganet.backend.layout import from_memory, to_memory


class CupyBackend(Backend):
    """CuPy, or what stands in for it: transfers, memory, steps recorded as a graph, and the kernels of `cuda`."""

    @cached_property
    def kernels(self) -> Kernels:  # type: ignore[override]
        """The kernels, compiled when the first one is wanted."""
        return Kernels(self.xp)

    def to_host(self, x: Any) -> np.ndarray[Any, Any]:
        """Return an array of the device as a NumPy array."""
        return self.xp.asnumpy(x)

    def synchronize(self) -> None:
        """Wait until the work given to the device is done."""
        self.xp.cuda.get_current_stream().synchronize()

    def _uploaded(self, x: Any, dtype: Any) -> Array:
        # within a recorded step it is a constant that outlives it, and so must its memory
        with usual_allocator(self.xp):
            return self.xp.asarray(x, dtype=dtype)

    def free_bytes(self) -> int:
        """Return how much memory of the device arrays can still take."""
        pool, (free, _) = self.xp.get_default_memory_pool(), self.xp.cuda.Device().mem_info
        limit = pool.get_limit()
        free += pool.free_bytes()
        return int(min(free, limit - pool.used_bytes()) if limit else free)

    def iterate(self, step: Step, state: State, inputs: Array, advance: Callable[[], Any]) -> State:
        """Return the state after all steps, the second one recorded and then launched as a whole."""
        return iterate(self.xp, step, state, inputs, advance)

    def product(self, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
        """Return the products of matrices (..., M, K) and (..., K, N), either transposed before."""
        return self.kernels.product(a, b, transpose_a, transpose_b)

    def summed_product(self, a: Array, b: Array, transpose_a: bool = False, transpose_b: bool = False) -> Array:
        """Return the sums over s of the products of matrices (..., S, M, K) and (..., S, K, N), (..., M, N)."""
        return self.kernels.summed_product(a, b, transpose_a, transpose_b)

    def dot(self, a: Array, b: Array) -> Array:
        """Return ``<a, b>`` without CuPy's linear algebra library, which a recorded step cannot hold."""
        return (a * b).sum()

    def rows_matrix(self, matrix: Any) -> Csr:
        """Return a SciPy sparse matrix as the kernels take it."""
        csr = scipy.sparse.csr_array(matrix)
        csr.sum_duplicates()
        places = self.asarray(csr.indices, np.int32), self.asarray(csr.indptr, np.int64)
        return Csr(self.asarray(csr.data), *places, csr.shape)

    def rows_product(self, matrix: Csr, x: Array) -> Array:
        """Return ``A x`` for every row x of (N, n)."""
        return self.kernels.csr_product(matrix, x)

    def relu(self, z: Array) -> tuple[Array, Array]:
        """Return ``max(z, 0)``, which may be written over `z`, and ``z >= 0``."""
        return self.kernels.relu(z)

    def pool(self, x: Array, factor: tuple[int, int]) -> Array:
        """Return the means over blocks of images."""
        return from_memory(self.kernels.pool(to_memory(self, x), factor))

    def pool_adjoint(self, y: Array, factor: tuple[int, int]) -> Array:
        """Return the adjoint of `pool`."""
        return from_memory(self.kernels.pool_adjoint(to_memory(self, y), factor))

    def depthwise(self, x: Array, kernel: Array, sign: int) -> Array:
        """Return images with each channel correlated with its stencil."""
        return from_memory(self.kernels.depthwise(to_memory(self, x), kernel, sign))

    def depthwise_gradient(self, x: Array, y: Array, kernel: Array) -> Array:
        """Return the gradient in the stencils."""
        return self.kernels.depthwise_gradient(to_memory(self, x), to_memory(self, y), tuple(kernel.shape[-2:]))

    def cross_entropy_and_gradient(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean cross-entropy and its gradient in the logits."""
        losses, gradient = self.kernels.softmax(logits, labels)
        return losses.sum(axis=-1) * (1 / logits.shape[-2]), gradient

    def penalty(self, operator: Any, alpha: float, x: Array) -> tuple[Array, Array]:
        """Return ``alpha/2 ||B x||^2`` and its gradient: of differences between pixels by one kernel."""
        if operator.image_differences is None:
            return super().penalty(operator, alpha, x)
        f1, f2 = operator.image_differences
        stacked = x.ndim > len(operator.domain_shape)
        image = operator.domain_shape[-2], operator.domain_shape[-1]
        value, gradient = self.kernels.difference_penalty(x if stacked else x[None], image, (alpha * f1, alpha * f2))
        return (value, gradient) if stacked else (value[0], gradient[0])

    def momentum_step(
        self, x: Array, gradient: Array, velocity: Array | None, rate: float, momentum: float
    ) -> tuple[Array, Array | None]:
        """Return ``x - d`` and ``d = rate gradient + momentum velocity``; None for it without a velocity."""
        return self.kernels.momentum_step(x, gradient, velocity, rate, momentum if velocity is not None else 0.0)


def cupy_backend() -> Backend:
    """Return the backend of CuPy, which must be installed."""
    import cupy
    import cupyx.scipy.fft
    import cupyx.scipy.sparse
    import cupyx.scipy.sparse.linalg

    return CupyBackend("cupy", cupy, cupyx.scipy.sparse, cupyx.scipy.sparse.linalg, cupyx.scipy.fft, cupy.ndarray)
