"""Winograd's products in compiled loops, against the explicit matrix and its definition in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet import ConvolutionLayer
from meganet.backend import get_backend, loops
from meganet.backend.layout import from_memory
from meganet.layers.activations import ReLU
from meganet.linop import CirculantConvolution
from meganet.linop._engines import choose_engine
from meganet.linop._engines.compiled_winograd import CompiledWinograd
from meganet.linop._engines.tiles import AT, BT, G

if loops.problem():
    pytest.skip(str(loops.problem()), allow_module_level=True)

NUMPY, COMPILED = get_backend("numpy"), CompiledWinograd()
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 19), st.integers(1, 19), st.integers(3, 15), st.integers(3, 15))


def problem(n, channels, out_channels, height, width, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((out_channels, channels, 3, 3), (n, channels, height, width), (n, out_channels, height, width))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def by_matrix(kernel, x):
    matrix = CirculantConvolution(kernel, x.shape[2:]).tosparse()
    return (matrix @ x.reshape(len(x), -1).T).T.reshape(len(x), len(kernel), *x.shape[2:])


def by_matrix_back(kernel, x, u):
    """Return both gradients of ``<u, K(kernel) x>``."""
    matrix = CirculantConvolution(kernel, x.shape[2:]).tosparse()
    in_kernel = CirculantConvolution(kernel, x.shape[2:], "sparse").kernel_adjoint(x, u)
    return in_kernel, (matrix.T @ u.reshape(len(u), -1).T).T.reshape(x.shape)


def assert_near(got, expected, dtype="float64"):
    size = np.abs(expected).max() + 1e-300
    np.testing.assert_allclose(got, expected, rtol=0, atol=200 * np.finfo(dtype).eps * size)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.sampled_from(["float32", "float64"]))
def test_products_are_those_of_the_matrix(shape, dtype):
    kernel, x, y = problem(*shape, dtype)
    double = [a.astype("float64") for a in (kernel, x, y)]
    result, record = COMPILED.recorded(NUMPY, x, kernel)
    in_kernel, in_x = COMPILED.gradients(NUMPY, record, y, True)
    expected = by_matrix_back(*double)
    for got, right in (
        (result, by_matrix(*double[:2])),
        (COMPILED.correlate(NUMPY, x, kernel), by_matrix(*double[:2])),
        (in_kernel, expected[0]),
        (COMPILED.kernel_gradient(NUMPY, x, y, kernel.shape), expected[0]),
        (in_x, expected[1]),
    ):
        assert got.dtype == dtype
        assert_near(got, right, dtype)


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_what_stands_beside_the_products_is_the_same(shape, relu, with_bias, seed):
    kernel, x, y = problem(*shape, seed=seed)
    bias = np.random.default_rng(seed).standard_normal(len(kernel)) if with_bias else None
    found = COMPILED.activated(NUMPY, x, kernel, bias, relu, True)
    z = by_matrix(kernel, x) + (0 if bias is None else bias[:, None, None])
    assert_near(found[0], np.maximum(z, 0) if relu else z)
    assert_near(COMPILED.activated(NUMPY, x, kernel, bias, relu, False)[0], found[0])
    slope = found[1]
    if relu:
        clear = np.abs(z) > 1e-9
        assert slope.dtype == bool and np.array_equal(slope[clear], (z >= 0)[clear])
    else:
        assert slope is None
    before = y.copy()
    got = COMPILED.sloped_gradients(NUMPY, found[2], y, slope, True)
    assert np.array_equal(y, before)
    expected = by_matrix_back(kernel, x, y if slope is None else y * slope)
    for one, right in zip(got, expected, strict=True):
        assert_near(one, right)
    kernel2, x2, _ = problem(*shape, seed=seed + 1)
    two = by_matrix(kernel, x) + by_matrix(kernel2, x2)
    assert_near(COMPILED.correlate_two(NUMPY, x, kernel, x2, kernel2, slope), two if slope is None else two * slope)


@pytest.mark.parametrize("order", ["channels first", "memory", "cut out", "read-only"])
def test_arrays_in_any_order_are_read_and_left_alone(order, dtype):
    kernel, x, y = problem(3, 9, 10, 7, 10, dtype)
    arrays = {
        "channels first": lambda a: a,
        "memory": lambda a: from_memory(np.ascontiguousarray(a.transpose(2, 3, 0, 1))),
        "cut out": lambda a: np.repeat(np.repeat(a, 2, axis=1), 2, axis=3)[:, ::2, :, ::2],
        "read-only": lambda a: np.broadcast_to(a[None], (1, *a.shape))[0],
    }[order]
    given_arrays = arrays(kernel), arrays(x), arrays(y)
    before = [a.copy() for a in given_arrays]
    result, record = COMPILED.recorded(NUMPY, given_arrays[1], given_arrays[0])
    found = result, *COMPILED.gradients(NUMPY, record, given_arrays[2], True)
    for a, copy in zip(given_arrays, before, strict=True):
        assert np.array_equal(a, copy)
    plain, record = COMPILED.recorded(NUMPY, x, kernel)
    for one, other in zip(found, (plain, *COMPILED.gradients(NUMPY, record, y, True)), strict=True):
        assert np.array_equal(one, other)


def test_no_call_changes_what_another_gave(dtype):
    kernel, x, y = problem(2, 16, 24, 9, 14, dtype)
    y_first, slope, record = COMPILED.activated(NUMPY, x, kernel, None, True, True)
    first = [y_first, slope, *COMPILED.sloped_gradients(NUMPY, record, y, slope, True)]
    copies = [a.copy() for a in first]
    for n in range(1, 4):
        other = problem(n, 16, 24, 9 + n, 14, dtype, seed=n)
        COMPILED.gradients(NUMPY, COMPILED.recorded(NUMPY, other[1], other[0])[1], other[2], True)
    again = COMPILED.sloped_gradients(NUMPY, record, y, slope, True)
    for one, copy in zip((*first, *again), (*copies, *copies[2:]), strict=True):
        assert np.array_equal(one, copy)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_in_its_windows_and_is_not_hidden(value):
    kernel, x, y = problem(2, 8, 8, 12, 12)
    x[1, 3, 5, 6] = value
    result, slope, record = COMPILED.activated(NUMPY, x, kernel, None, True, True)
    assert np.isfinite(result[0]).all() and np.isfinite(result[1, :, :3]).all()
    # max(nan, 0) is nan, and nothing is at least 0 then
    assert np.isnan(result[1, :, 4:8, 4:8]).any() and not slope[np.isnan(result)].any()
    y[0, 0, 0, 0] = np.nan
    in_x = COMPILED.sloped_gradients(NUMPY, record, y, np.zeros_like(slope), True)[1]
    assert np.isnan(in_x[0]).any()  # nan times 0


def test_tiles_of_all_sizes_share_the_points_of_the_kernel():
    """With ``y_i = sum_p A'_ip (G g)_p (B' d)_p``, B' of a smaller tile follows from the rows of A' and G it keeps."""
    for m in range(1, 5):
        points = [*range(m + 1), 5]
        at = np.hstack([AT[:m, : m + 1], np.eye(m)[:, -1:]])
        # y_i = sum_k g_k d_{i + k}, for every g
        terms = np.einsum("ip,pk->ikp", at, G[points]).reshape(3 * m, m + 2)
        shifts = np.eye(m + 2)[np.add.outer(np.arange(m), np.arange(3)).ravel()]
        bt, *_ = np.linalg.lstsq(terms, shifts, rcond=None)
        np.testing.assert_allclose(terms @ bt, shifts, atol=1e-12)
        if m == 4:
            np.testing.assert_allclose(bt, BT, atol=1e-12)


def test_a_layer_with_loops_is_the_layer_without(dtype):
    rng = np.random.default_rng(0)
    for bias, activation in ((False, "relu"), (True, "relu"), (True, "tanh"), (False, "identity")):
        layer = ConvolutionLayer((9, 10, 7), 12, activation=activation, bias=bias)
        theta = (rng.standard_normal(layer.parameters.size) / 9).astype(dtype)
        x, dx = rng.standard_normal((2, 3, 9, 10, 7)).astype(dtype)
        dtheta, dy = rng.standard_normal(theta.size).astype(dtype), rng.standard_normal((3, 12, 10, 7)).astype(dtype)
        results = []
        for wanted in (True, False):
            with loops.use_loops(wanted):
                y, tape = layer.forward(theta, x)
                results.append([y, layer(theta, x), layer.jvp(dtheta, dx, tape), *layer.vjp(dy, tape)])
        for one, other in zip(*results, strict=True):
            assert_near(one, other, dtype)


def test_a_record_goes_with_the_engine_that_made_it():
    kernel, x, y = problem(2, 9, 10, 8, 8)
    for engine in ("winograd", "auto"):
        operator = CirculantConvolution(kernel, (8, 8), engine)
        for first in (True, False):
            with loops.use_loops(first):
                _, record = operator.recorded_unchecked(x)
            with loops.use_loops(not first):
                in_x = operator.gradients_unchecked(record, y, np.empty_like(kernel), True)
            assert_near(in_x, operator.T @ y)


def test_an_activation_derived_from_relu_is_not_taken_for_it():
    class Leaky(ReLU):
        def value(self, backend, z):
            return np.where(z > 0, z, z / 2)

        def evaluate(self, backend, z):
            return self.value(backend, z), np.where(z > 0, 1, 0.5)

    layer = ConvolutionLayer((8, 6, 6), 8, activation=Leaky())
    theta, x = np.random.default_rng(0).standard_normal(layer.parameters.size), np.ones((1, 8, 6, 6))
    y, tape = layer.forward(theta, x)
    assert (y < 0).any() and (layer(theta, x) < 0).any() and set(np.unique(tape.record.slope)) == {0.5, 1.0}


def test_numpy_computes_where_loops_are_off():
    for name in ("auto", "winograd", "direct"):
        for wanted in (False, True):
            with loops.use_loops(wanted):
                assert choose_engine(name, NUMPY, (8, 8, 3, 3)).compiled is wanted


def test_round_off_of_the_kernels_gradient_does_not_grow_with_the_number_of_tiles():
    x, y = np.full((16000, 1, 32, 32), 1.1, "float32"), np.full((16000, 1, 32, 32), 0.7, "float32")
    operator = CirculantConvolution(np.zeros((1, 1, 3, 3), "float32"), (32, 32), "winograd")
    exact = y.size * np.float64(x[0, 0, 0, 0]) * y[0, 0, 0, 0]
    np.testing.assert_allclose(operator.kernel_adjoint(x, y), exact, rtol=2e-5)
