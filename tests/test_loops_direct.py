"""The direct convolution in compiled loops, with strides, against the explicit matrix and its definition in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet import ConvolutionLayer
from meganet.backend import get_backend, loops
from meganet.backend.layout import from_memory
from meganet.linop import CirculantConvolution
from meganet.linop._engines import choose_engine
from meganet.linop._engines.base import Sampled
from meganet.linop._engines.circulant import circulant_matrix
from meganet.linop._engines.compiled_direct import CompiledDirect

if loops.problem():
    pytest.skip(str(loops.problem()), allow_module_level=True)

NUMPY = get_backend("numpy")
KERNELS = [(1, 1), (1, 3), (3, 1), (3, 3), (5, 3), (5, 5), (7, 7)]


def problem(n, channels, out_channels, kernel_size, image, stride=(1, 1), dtype="float64", seed=0):
    """An engine, a kernel, images and an upstream gradient."""
    rng = np.random.default_rng(seed)
    coarse = tuple(-(-size // step) for size, step in zip(image, stride, strict=True))
    shapes = ((out_channels, channels, *kernel_size), (n, channels, *image), (n, out_channels, *coarse))
    engine = CompiledDirect().at_stride(stride, image)
    return engine, *(rng.standard_normal(shape).astype(dtype) for shape in shapes)


@st.composite
def problems(draw):
    k1, k2 = draw(st.sampled_from(KERNELS))
    image = draw(st.integers(k1, 13)), draw(st.integers(k2, 13))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3), (3, 2), (8, 1)]))
    channels = st.one_of(st.integers(1, 5), st.integers(1, 40))
    dtype, seed = draw(st.sampled_from(["float32", "float64"])), draw(st.integers(0, 2**31))
    return problem(draw(st.integers(1, 4)), draw(channels), draw(channels), (k1, k2), image, stride, dtype, seed)


def by_matrix(engine, kernel, x):
    """Return ``K(kernel) x``, what is kept of it."""
    full = (circulant_matrix(NUMPY, kernel, x.shape[2:]) @ x.reshape(len(x), -1).T).T
    s1, s2 = engine.stride
    return full.reshape(len(x), len(kernel), *x.shape[2:])[:, :, ::s1, ::s2]


def by_matrix_back(engine, kernel, x, y):
    """Return both gradients of ``<y, K(kernel) x>``."""
    full = np.zeros((len(x), len(kernel), *x.shape[2:]))
    full[:, :, :: engine.stride[0], :: engine.stride[1]] = y
    in_kernel = choose_engine("sparse", NUMPY, kernel.shape).kernel_gradient(NUMPY, x, full, kernel.shape)
    matrix = circulant_matrix(NUMPY, kernel, x.shape[2:])
    return in_kernel, (matrix.T @ full.reshape(len(x), -1).T).T.reshape(x.shape)


def assert_within(got, exact, magnitude, terms):
    """Every entry is a sum of so many terms with relative round-off, given the sum of their magnitudes."""
    assert got.shape == exact.shape and got.dtype in ("float32", "float64")
    assert (np.abs(got - exact) <= (terms + 2) * np.finfo(got.dtype).eps * magnitude).all()


def double(*arrays):
    return [a.astype("float64") for a in arrays]


@settings(max_examples=120, deadline=None)
@given(problems())
def test_every_entry_is_a_sum_with_relative_round_off(drawn):
    engine, kernel, x, y = drawn
    result, record = engine.recorded(NUMPY, x, kernel)
    in_kernel, in_x = engine.gradients(NUMPY, record, y, True)
    exact = by_matrix(engine, *double(kernel, x)), *by_matrix_back(engine, *double(kernel, x, y))
    sizes = [np.abs(a) for a in double(kernel, x, y)]
    bounds = by_matrix(engine, *sizes[:2]), *by_matrix_back(engine, *sizes)
    terms = kernel[0].size, y.size // len(kernel), kernel.size // kernel.shape[1]
    for number, found in enumerate(
        (
            (result, engine.correlate(NUMPY, x, kernel)),
            (in_kernel, engine.kernel_gradient(NUMPY, x, y, kernel.shape)),
            (in_x, engine.adjoint(NUMPY, y, kernel)),
        )
    ):
        for got in found:
            assert got.dtype == x.dtype
            assert_within(got, exact[number], bounds[number], terms[number])


@settings(max_examples=80, deadline=None)
@given(problems(), st.booleans(), st.booleans())
def test_what_stands_beside_the_products_is_the_same(drawn, relu, with_bias):
    engine, kernel, x, y = drawn
    rng = np.random.default_rng(1)
    bias = rng.standard_normal(len(kernel)).astype(x.dtype) if with_bias else None
    found = engine.activated(NUMPY, x, kernel, bias, relu, True)
    z, size = by_matrix(engine, *double(kernel, x)), by_matrix(engine, *(np.abs(a) for a in double(kernel, x)))
    if with_bias:
        z, size = z + bias[:, None, None], size + np.abs(bias)[:, None, None]
    terms = kernel[0].size + 1
    assert_within(found[0], np.maximum(z, 0) if relu else z, size, terms)
    assert np.array_equal(engine.activated(NUMPY, x, kernel, bias, relu, False)[0], found[0])
    slope = found[1]
    if relu:
        clear = np.abs(z) > terms * np.finfo(x.dtype).eps * size
        assert slope.dtype == bool and np.array_equal(slope[clear], (z >= 0)[clear])
        assert (found[0][~slope] == 0).all()
    else:
        assert slope is None
    before = y.copy()
    got = engine.sloped_gradients(NUMPY, found[2], y, slope, True)
    assert np.array_equal(y, before)
    for one, other in zip(got, engine.gradients(NUMPY, found[2], y if slope is None else y * slope, True), strict=True):
        assert np.array_equal(one, other)
    kernel2, x2 = (rng.standard_normal(a.shape).astype(a.dtype) for a in (kernel, x))
    pairs = double(kernel, x), double(kernel2, x2)
    factor = 1 if slope is None else slope
    exact, size = (sum(by_matrix(engine, *map(f, pair)) for pair in pairs) for f in (np.asarray, np.abs))
    two = engine.correlate_two(NUMPY, x, kernel, x2, kernel2, slope)
    assert_within(two, factor * exact, factor * size, 2 * kernel[0].size)


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize(
    ("n", "channels", "out_channels", "kernel_size", "image"),
    [
        (16, 1, 32, (3, 3), (28, 28)),  # tables and windows of several blocks
        (2, 33, 65, (5, 5), (14, 14)),  # more terms and columns than one product has
        (37, 16, 3, (3, 3), (9, 40)),
        (1, 1, 1, (1, 1), (1, 1)),
        (1, 1, 1, (9, 11), (9, 11)),
    ],
)
def test_shapes_of_many_blocks_and_of_one_pixel(n, channels, out_channels, kernel_size, image, stride, dtype):
    engine, kernel, x, y = problem(n, channels, out_channels, kernel_size, image, stride, dtype)
    result, slope, record = engine.activated(NUMPY, x, kernel, None, True, True)
    defined = Sampled(choose_engine("sparse", NUMPY, kernel.shape), stride, image)
    z = defined.correlate(NUMPY, *double(x, kernel))
    tolerance = 30 * np.finfo(dtype).eps
    np.testing.assert_allclose(result, np.maximum(z, 0), rtol=0, atol=tolerance * kernel[0].size)
    in_kernel, in_x = engine.sloped_gradients(NUMPY, record, y, slope, True)
    upstream = y.astype("float64") * slope
    expected = defined.kernel_gradient(NUMPY, x.astype("float64"), upstream, kernel.shape)
    np.testing.assert_allclose(in_kernel, expected, rtol=0, atol=tolerance * (y.size / out_channels) ** 0.75)
    expected = defined.adjoint(NUMPY, upstream, kernel.astype("float64"))
    np.testing.assert_allclose(in_x, expected, rtol=0, atol=tolerance * kernel[:, 0].size)


@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_no_examples(stride):
    engine, kernel, x, y = problem(0, 2, 3, (3, 3), (5, 5), stride)
    result, record = engine.recorded(NUMPY, x, kernel)
    in_kernel, in_x = engine.gradients(NUMPY, record, y, True)
    assert result.shape == y.shape and in_x.shape == x.shape and not in_kernel.any()


@pytest.mark.parametrize("order", ["channels first", "memory", "cut out", "read-only"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_arrays_in_any_order_are_read_and_left_alone(order, stride, dtype):
    engine, kernel, x, y = problem(3, 2, 5, (3, 5), (7, 10), stride, dtype)

    def read_only(a):
        a = a.copy()
        a.flags.writeable = False
        return a

    arrays = {
        "channels first": lambda a: a,
        "memory": lambda a: from_memory(np.ascontiguousarray(a.transpose(2, 3, 0, 1))),
        "cut out": lambda a: np.repeat(np.repeat(a, 2, axis=1), 2, axis=3)[:, ::2, :, ::2],
        "read-only": read_only,
    }[order]

    def products(kernel, x, y, slope):
        result, record = engine.recorded(NUMPY, x, kernel)
        two = engine.correlate_two(NUMPY, x, kernel, x, kernel, slope)
        return result, two, *engine.sloped_gradients(NUMPY, record, y, slope, True)

    slope = y > 0
    given_arrays = [arrays(a) for a in (kernel, x, y, slope)]
    before = [a.copy() for a in given_arrays]
    found = products(*given_arrays)
    for a, copy in zip(given_arrays, before, strict=True):
        assert np.array_equal(a, copy)
    for one, other in zip(found, products(kernel, x, y, slope), strict=True):
        assert np.array_equal(one, other)


def test_no_call_changes_what_another_gave_and_all_repeat_to_the_bit(dtype):
    def products(n, stride, seed):
        engine, kernel, x, y = problem(n, 5, 20, (3, 3), (9 + n, 11), stride, dtype, seed)
        result, slope, record = engine.activated(NUMPY, x, kernel, kernel[:, 0, 0, 0], True, True)
        return [result, slope, *engine.sloped_gradients(NUMPY, record, y, slope, True)]

    cases = [(2, (1, 1), 0), (3, (2, 2), 1), (1, (1, 1), 2), (2, (1, 2), 3)]
    first = [a for case in cases for a in products(*case)]
    copies = [a.copy() for a in first]
    again = [a for case in cases for a in products(*case)]
    for one, copy, other in zip(first, copies, again, strict=True):
        assert np.array_equal(one, copy) and np.array_equal(copy, other)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_a_pixel_changes_nothing_outside_its_neighbourhood(value, stride):
    engine, kernel, x, y = problem(3, 4, 19, (3, 5), (10, 12), stride, "float32")
    dirty, upstream = x.copy(), y.copy()
    dirty[1, 3, 4, 0] = value
    upstream[1, 7, 1, 0] = value

    def reached(function, array):
        """Where a result is not what it is without the pixel."""
        return function(array[0]) != function(array[1])

    forward = reached(lambda a: engine.correlate(NUMPY, a, kernel), (x, dirty))
    rows, columns = np.isin(np.arange(10), [3, 4, 5]), np.isin(np.arange(12), [0, 1, 2, 10, 11])
    expected = np.outer(rows, columns)[:: stride[0], :: stride[1]]
    assert np.array_equal(forward[1], np.broadcast_to(expected, forward[1].shape)) and not forward[[0, 2]].any()
    back = reached(lambda a: engine.adjoint(NUMPY, a, kernel), (y, upstream))
    rows = np.isin(np.arange(10), stride[0] + np.arange(-1, 2))
    assert np.array_equal(back[1], np.broadcast_to(np.outer(rows, columns), back[1].shape)) and not back[[0, 2]].any()
    in_kernel = reached(lambda a: engine.kernel_gradient(NUMPY, x, a, kernel.shape), (y, upstream))
    assert in_kernel[7].all() and not np.delete(in_kernel, 7, axis=0).any()
    in_kernel = reached(lambda a: engine.kernel_gradient(NUMPY, a, y, kernel.shape), (x, dirty))
    assert not in_kernel[:, :3].any()


def test_what_is_no_number_is_not_hidden():
    engine, kernel, x, y = problem(2, 2, 8, (3, 3), (6, 6))
    x[1, 1, 2, 3] = np.nan
    result, slope, record = engine.activated(NUMPY, x, kernel, None, True, True)
    # max(nan, 0) is nan, and nothing is at least 0 then
    assert np.isnan(result).any() and not slope[np.isnan(result)].any()
    y[0, 0, 0, 0] = np.nan
    assert np.isnan(engine.sloped_gradients(NUMPY, record, y, np.zeros_like(slope), True)[1][0]).any()  # nan times 0


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("channels", "kernel_shape"), [(1, (3, 3)), (3, (5, 5)), (9, (3, 3))])
def test_a_layer_with_loops_is_the_layer_without(channels, kernel_shape, stride, dtype):
    rng = np.random.default_rng(0)
    for bias, activation in ((False, "relu"), (True, "relu"), (True, "tanh"), (False, "identity")):
        layer = ConvolutionLayer((channels, 10, 7), 12, kernel_shape, stride=stride, activation=activation, bias=bias)
        theta = (rng.standard_normal(layer.parameters.size) / 9).astype(dtype)
        x, dx = rng.standard_normal((2, 3, channels, 10, 7)).astype(dtype)
        dtheta = rng.standard_normal(theta.size).astype(dtype)
        dy = rng.standard_normal((3, *layer.range_shape)).astype(dtype)
        results = []
        for wanted in (True, False):
            with loops.use_loops(wanted):
                y, tape = layer.forward(theta, x)
                results.append([y, layer(theta, x), layer.jvp(dtheta, dx, tape), *layer.vjp(dy.copy(), tape)])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=500 * np.finfo(dtype).eps * np.abs(other).max())


def test_only_what_is_kept_is_computed_where_an_engine_can():
    shape = (8, 8, 3, 3)
    for name in ("auto", "direct"):
        with loops.use_loops(True):
            assert isinstance(choose_engine(name, NUMPY, shape).at_stride((2, 2), (8, 8)), CompiledDirect)
        with loops.use_loops(False):
            assert isinstance(choose_engine(name, NUMPY, shape).at_stride((2, 2), (8, 8)), Sampled)


def test_a_stack_of_kernels_with_a_stride(dtype):
    engine, kernel, x, y = problem(2, 3, 4, (3, 3), (7, 6), (2, 2), dtype)
    operator = CirculantConvolution(kernel, (7, 6), stride=2).with_kernel_unchecked(np.stack([kernel, 2 * kernel]))
    images, upstream = np.stack([x, x + 1]), np.stack([y, -y])
    result, back = operator.apply_unchecked(images), operator.adjoint_unchecked(upstream)
    for t in range(2):
        assert np.array_equal(result[t], engine.correlate(NUMPY, images[t], operator.kernel[t]))
        assert np.array_equal(back[t], engine.adjoint(NUMPY, upstream[t], operator.kernel[t]))


@pytest.mark.parametrize("stride", [1, 2])
def test_round_off_of_the_kernels_gradient_does_not_grow_with_the_number_of_pixels(stride):
    x = np.full((4000, 1, 32 * stride, 32), 1.1, "float32")
    y = np.full((4000, 1, 32, 32), 0.7, "float32")
    operator = CirculantConvolution(np.zeros((1, 1, 1, 3), "float32"), x.shape[2:], "direct", stride=(stride, 1))
    exact = y.size * np.float64(x[0, 0, 0, 0]) * y[0, 0, 0, 0]
    np.testing.assert_allclose(operator.kernel_adjoint(x, y), exact, rtol=2e-5)
