"""Compiled loops for pooling, evenness, penalties, the loss and the step, against NumPy's expressions."""

import numpy as np
import pytest

from meganet import Tikhonov
from meganet.backend import get_backend, loops
from meganet.backend.layout import from_memory
from meganet.linop import AveragePooling, Gradient
from meganet.linop._engines import guarded

pytestmark = pytest.mark.skipif(loops.problem() is not None, reason=str(loops.problem()))

BACKEND = get_backend("numpy")
DTYPES = ["float32", "float64"]
VALUES = [np.nan, np.inf, -np.inf]


def images(n, channels, height, width, dtype="float64", seed=0):
    memory = np.random.default_rng(seed).standard_normal((height, width, n, channels)).astype(dtype)
    memory.flags.writeable = False
    return from_memory(memory)


def both(function):
    """Return the result by loops and that by NumPy's expressions, which may warn of numbers that are not finite."""
    found = function()
    with loops.use_loops(False), np.errstate(all="ignore"):
        return found, function()


def same(a, b, dtype, units=8):
    bound = units * np.finfo(dtype).eps
    assert np.asarray(a).dtype == dtype == np.asarray(b).dtype and np.shape(a) == np.shape(b)
    np.testing.assert_allclose(a, b, rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [(1, 1), (2, 2), (3, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 32), (2, 24)])
def test_pooling_gives_the_same_bits(shape, factor, dtype):
    x = images(*shape, 6, 12, dtype)
    y, expected = both(lambda: BACKEND.pool(x, factor))
    assert np.array_equal(y, expected) and y.dtype == dtype and y.transpose(2, 3, 0, 1).flags.c_contiguous
    z, expected = both(lambda: BACKEND.pool_adjoint(y, factor))
    assert np.array_equal(z, expected) and z.dtype == dtype and z.transpose(2, 3, 0, 1).flags.c_contiguous
    assert y.flags.writeable and not np.shares_memory(x, y)


def test_pooling_is_the_explicit_matrix():
    operator = AveragePooling((3, 6, 4), (3, 2))
    x, y, matrix = images(5, 3, 6, 4), images(5, 3, 2, 2), operator.tosparse().toarray()
    np.testing.assert_allclose((operator @ x).reshape(5, -1), x.reshape(5, -1) @ matrix.T, atol=1e-15)
    np.testing.assert_allclose((operator.T @ y).reshape(5, -1), y.reshape(5, -1) @ matrix, atol=1e-15)


@pytest.mark.parametrize("value", VALUES)
def test_pooling_of_what_is_not_finite(value):
    x = images(2, 5, 4, 4).copy(order="K")
    x[0, 1, 2, 3] = value
    for function in (BACKEND.pool, BACKEND.pool_adjoint):
        np.testing.assert_array_equal(*both(lambda f=function: f(x, (2, 2))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1, 3, 5), (3, 7, 9, 4), (17, 32, 8, 8), (2, 65, 14, 14)])
def test_evenness_is_decided_as_by_the_expressions(shape, dtype):
    rng = np.random.default_rng(1)
    plain = images(*shape, dtype)
    spread = images(*shape, dtype, seed=1) ** 9
    sparse = np.where(rng.random(shape) < 0.02, plain, 0).astype(dtype)
    cases = [plain, spread, sparse, 0 * plain, np.full_like(plain, np.finfo(dtype).max / 4)]
    for value in (*VALUES, 1e8):
        cases.append(plain.copy(order="K"))
        cases[-1][-1, -1, -1, -1] = value
    for x in cases:
        found, expected = both(
            lambda x=x: guarded._image_size(from_memory(np.ascontiguousarray(x.transpose(2, 3, 0, 1))))
        )
        np.testing.assert_allclose(found, expected, rtol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 1, 5), (5, 1), (3, 2, 7, 9), (10, 3, 28, 28), (2, 33, 16), (1, 4, 17)])
@pytest.mark.parametrize("h", [1.0, (0.5, 2.0)])
def test_the_penalty_of_differences(shape, h, dtype):
    operator = Gradient(shape, h)
    penalty = Tikhonov(operator, 0.3)
    stack = np.random.default_rng(0).standard_normal((3, penalty.size)).astype(dtype)
    for x in (stack[0], stack[1].reshape(shape), stack[:, :], stack[::2]):
        before = x.copy()
        found, expected = both(lambda x=x: penalty.value_and_gradient(x))
        same(found[0], expected[0], dtype, 100)
        same(found[1], expected[1], dtype, 100)
        assert np.array_equal(x, before) and found[1].shape == x.shape
        assert all(np.array_equal(a, b) for a, b in zip(found, penalty.value_and_gradient(x), strict=True))
    matrix = operator.tosparse()
    np.testing.assert_allclose(
        penalty.value_and_gradient(stack[0])[1], 0.3 * matrix.T @ (matrix @ stack[0]), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("value", VALUES)
def test_the_penalty_of_what_is_not_finite(value):
    penalty = Tikhonov(Gradient((3, 5, 20)), 0.3)
    for place in [(0, 0, 0), (1, 2, 3), (2, 4, 19), (1, 4, 16), (1, 0, 15)]:
        x = np.random.default_rng(0).standard_normal((3, 5, 20))
        x[place] = value
        (found, slope), (expected, gradient) = both(lambda x=x: penalty.value_and_gradient(x))
        np.testing.assert_allclose(slope, gradient, atol=1e-12)
        assert np.isnan(found) == np.isnan(expected) and not np.isfinite(found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 10), (7, 100)])
def test_cross_entropy(shape, dtype):
    rng = np.random.default_rng(0)
    logits = (5 * rng.standard_normal(shape)).astype(dtype)
    labels = rng.integers(0, shape[1], shape[0])
    for z in (logits, np.repeat(logits, 2, axis=1)[:, ::2], logits + 1e4, -1e4 * logits):
        for labelled in (labels, labels.astype(np.int32)):
            (value, gradient), (expected, slope) = both(
                lambda z=z, c=labelled: BACKEND.cross_entropy_and_gradient(z, c)
            )
            same(value, expected, dtype, 20)
            same(gradient, slope, dtype, 20)
            assert both(lambda z=z, c=labelled: BACKEND.cross_entropy(z, c))[0] == value


@pytest.mark.parametrize("value", VALUES)
def test_cross_entropy_of_what_is_not_finite(value):
    labels = np.array([0, 1, 2, 0])
    for k in range(3):
        logits = np.random.default_rng(0).standard_normal((4, 3))
        logits[1, k] = value
        for found, expected in zip(*both(lambda z=logits: BACKEND.cross_entropy_and_gradient(z, labels)), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 16, 37, 1000])
def test_a_step_without_velocity(size, dtype):
    x, gradient = np.random.default_rng(0).standard_normal((2, size)).astype(dtype)
    for a, b in ((x, gradient), (x[::2], gradient[::2])):
        (found, none), (expected, _) = both(lambda a=a, b=b: BACKEND.momentum_step(a, b, None, 0.1, 0.0))
        same(found, expected, dtype)
        assert none is None and found.flags.owndata


@pytest.mark.parametrize("examples", [50000, 1000000])
def test_the_mean_loss_of_many_examples_is_as_exact_as_that_of_one(examples):
    logits, labels = np.zeros((examples, 10), "float32"), np.zeros(examples, np.int64)
    for value in (BACKEND.cross_entropy(logits, labels), BACKEND.cross_entropy_and_gradient(logits, labels)[0]):
        same(value, np.log(np.float32(10)), "float32", units=2)
