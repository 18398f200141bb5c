"""Compiled loops for the dense matrix on images, against the explicit matrix and NumPy's expressions."""

import numpy as np
import pytest

from meganet.backend import get_backend, loops
from meganet.backend.compiled import DenseRecord
from meganet.layers import DenseLayer
from meganet.linop import Dense

pytestmark = pytest.mark.skipif(loops.problem() is not None, reason=str(loops.problem()))

SHAPES = [
    (1, 1, 16, 1, 5),
    (3, 7, 32, 9, 3),
    (16, 10, 64, 14, 14),
    (150, 3, 16, 6, 7),
    (5, 4, 20, 4, 4),
    (3, 11, 1, 5, 7),
]
"""Examples, outputs, channels, height and width."""


def problem(shape, dtype, seed=0):
    n, outputs, channels, height, width = shape
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((outputs, channels, height, width)).astype(dtype)
    x = rng.standard_normal((n, channels, height, width)).astype(dtype)
    return kernel, x, rng.standard_normal((n, outputs)).astype(dtype)


def orders(x):
    """Yield images with the same numbers in several orders of memory, one of which cannot be written."""
    memory = np.ascontiguousarray(x.transpose(2, 3, 0, 1))
    memory.flags.writeable = False
    yield memory.transpose(2, 3, 0, 1)
    yield x
    yield np.repeat(x, 2, axis=0)[::2]


def results(kernel, x, y, need_x=True):
    """Return all that the operator computes."""
    operator = Dense(kernel)
    z, record = operator.recorded_unchecked(x)
    in_kernel = np.full_like(kernel, np.nan)
    in_x = operator.gradients_unchecked(record, y, in_kernel, need_x)
    assert need_x or in_x is None
    return [z, in_kernel, *([in_x] if need_x else []), operator @ x, operator.T @ y, operator.kernel_adjoint(x, y)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_the_explicit_matrix(shape, dtype):
    kernel, x, y = problem(shape, dtype)
    matrix = Dense(kernel).tosparse().toarray().astype(np.float64)
    flat = x.reshape(len(x), -1).astype(np.float64)
    images, in_kernel = (y @ matrix).reshape(x.shape), (y.T.astype(np.float64) @ flat).reshape(kernel.shape)
    expected = [flat @ matrix.T, in_kernel, images, flat @ matrix.T, images, in_kernel]
    before = kernel.copy(), x.copy(), y.copy()
    for given in orders(x):
        found = results(kernel, given, y)
        for result, wanted in zip(found, expected, strict=True):
            assert result.dtype == dtype
            assert np.linalg.norm(result - wanted) <= 20 * np.finfo(dtype).eps * np.linalg.norm(wanted)
        again = results(kernel, given, y)
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
        assert not any(np.shares_memory(a, b) for a, b in zip(found, again, strict=True))
        assert np.array_equal(results(kernel, given, y, need_x=False)[1], found[1])
    assert all(np.array_equal(a, b) for a, b in zip(before, (kernel, x, y), strict=True))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["kernel", "x", "y"])
def test_the_non_finite_spreads_as_in_the_expressions(which, value):
    arrays = dict(zip(("kernel", "x", "y"), problem((3, 4, 16, 6, 3), "float64"), strict=True))
    arrays[which].flat[7] = value
    with np.errstate(invalid="ignore"):
        found = results(**arrays)
        with loops.use_loops(False):
            expected = results(**arrays)
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-12, atol=1e-12)


def test_a_gradient_is_written_into_any_memory():
    kernel, x, y = problem((4, 3, 16, 5, 6), "float64")
    expected = Dense(kernel).kernel_adjoint(x, y)
    scattered = np.zeros((5, 6, 3, 16)).transpose(2, 3, 0, 1)
    operator = Dense(kernel)
    operator.gradients_unchecked(operator.recorded_unchecked(x)[1], y, scattered, False)
    np.testing.assert_array_equal(scattered, expected)


def test_stacks_and_vectors_are_as_without_loops():
    rng = np.random.default_rng(0)
    stack, x = rng.standard_normal((2, 3, 8, 4, 4)), rng.standard_normal((2, 5, 8, 4, 4))
    operator = Dense(stack[0]).with_kernel(stack)
    for k in range(2):
        np.testing.assert_allclose((operator @ x)[k], Dense(stack[k]) @ x[k], atol=1e-12)
    layer = DenseLayer((12,), 4)
    theta, points = rng.standard_normal(layer.parameters.size), rng.standard_normal((5, 12))
    found = layer(theta, points)
    with loops.use_loops(False):
        np.testing.assert_array_equal(found, layer(theta, points))


def test_loops_are_used_unless_they_are_not_wanted():
    backend = get_backend("numpy")
    kernel, x, _ = problem((4, 3, 16, 5, 6), "float32")
    assert isinstance(backend.dense(x, kernel)[1], DenseRecord)
    with loops.use_loops(False):
        assert not isinstance(backend.dense(x, kernel)[1], DenseRecord)


def test_round_off_of_the_gradient_does_not_grow_with_the_number_of_examples():
    n = 50000
    x, y = np.full((n, 16, 2, 1), 1.1, "float32"), np.full((n, 2), 0.7, "float32")
    gradient = Dense(np.zeros((2, 16, 2, 1), "float32")).kernel_adjoint(x, y)
    np.testing.assert_allclose(gradient, n * np.float64(x[0, 0, 0, 0]) * y[0, 0], rtol=5e-5)
