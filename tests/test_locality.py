"""What one pixel does to others: nothing beyond its 3x3 neighbourhood, whatever its value, with the default engine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meganet import ConvolutionLayer
from meganet.backend import get_backend
from meganet.backend.layout import from_memory, to_memory
from meganet.linop import CirculantConvolution, DepthwiseConvolution, Transposed
from meganet.linop._engines import NAMES, choose_engine

NUMPY = get_backend("numpy")
SIZES = [(12, 12), (7, 9), (28, 28), (5, 6)]
OUTLIERS = [1e4, -1e8, 1e12, -1e30]


def problem(size, dtype="float32", channels=(8, 11), n=3, seed=0):
    """Ordinary images, kernel and upstream gradient."""
    rng = np.random.default_rng(seed)
    shapes = ((channels[1], channels[0], 3, 3), (n, channels[0], *size), (n, channels[1], *size))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def with_outliers(images, value, places):
    images = images.copy()
    for n, c, i, j in places:
        images[n, c, i, j] = value
    return images


def near(images, places):
    """Where the 3x3 neighbourhood of a place is, (N, H, W)."""
    n, _, *size = images.shape
    mask = np.zeros((n, *size), dtype=bool)
    for m, _, i, j in places:
        mask[m][np.ix_(np.arange(i - 1, i + 2) % size[0], np.arange(j - 1, j + 2) % size[1])] = True
    return mask


def products(kernel, x, y, engine="auto"):
    """All products of an operator, each as often as there are ways to it."""
    operator = CirculantConvolution(kernel, x.shape[2:], engine)
    in_kernel = np.empty_like(kernel)
    forward, record = operator.recorded_unchecked(x)
    in_x = operator.gradients_unchecked(record, y, in_kernel, True)
    return [operator @ x, forward], [operator.T @ y, in_x], [operator.kernel_adjoint(x, y), in_kernel]


FORWARD, ADJOINT, IN_KERNEL = 0, 1, 2


def assert_elementwise(kernel, x, y, numbers):
    """Every entry of some products is a sum with relative round-off of its own terms."""
    double = [a.astype("float64") for a in (kernel, x, y)]
    exact = products(*double, "direct")
    bounds = products(*(np.abs(a) for a in double), "direct")
    terms = 9 * x.shape[1], 9 * y.shape[1], y.size // y.shape[1]
    found = products(kernel, x, y)
    for number in numbers:
        for result in found[number]:
            assert result.dtype == x.dtype
            error = np.abs(result - exact[number][0])
            assert (error <= terms[number] * np.finfo(x.dtype).eps * bounds[number][0]).all()


@pytest.mark.parametrize("value", OUTLIERS)
@pytest.mark.parametrize("size", SIZES)
def test_outliers_in_images_and_in_gradients(size, value, dtype):
    kernel, x, y = problem(size, dtype)
    places = [(1, 2, 3, 4), (2, 7, 0, 0)]
    assert_elementwise(kernel, with_outliers(x, value, places), y, [FORWARD, IN_KERNEL])
    assert_elementwise(kernel, x, with_outliers(y, value, places), [ADJOINT, IN_KERNEL])
    # nothing of the upstream gradient meets the outlier, so that the kernel's gradient knows nothing of it
    silent = np.where(near(x, places)[:, None], 0, y).astype(dtype)
    assert_elementwise(kernel, with_outliers(x, value, places), silent, [FORWARD, IN_KERNEL])


@pytest.mark.parametrize("value", [1e5, -1e8, 1e20])
def test_outliers_in_a_kernel(value, dtype):
    kernel, x, y = problem((9, 8), dtype)
    kernel[3, 5, 0, 2] = value
    assert_elementwise(kernel, np.maximum(x, 0), np.maximum(y, 0), [FORWARD, ADJOINT])


@pytest.mark.parametrize("order", ["examples first", "pixels first"])
@pytest.mark.parametrize("value", OUTLIERS)
def test_zeros_far_from_an_outlier_stay_zero(value, order):
    kernel, x, _ = problem((14, 14))
    for background in (0 * x, np.where(np.arange(14) < 7, x, 0).astype("float32")):
        places = [(0, 3, 5, 9)]
        images = with_outliers(background, value, places)
        images = images if order == "examples first" else from_memory(to_memory(NUMPY, images))
        result = CirculantConvolution(kernel, (14, 14)) @ images
        zero = ~near(images, [(n, 0, i, j) for n, _, i, j in np.argwhere(images)])
        assert zero[0].any()
        assert (result.transpose(1, 0, 2, 3)[:, 0, zero[0]] == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("engine", ["auto", "direct", "sparse"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_non_finite_spreads_as_the_definition_says(engine, value):
    kernel, x, y = problem((10, 9))
    kernel[2, 3] = 0
    places = [(1, 3, 9, 0)]
    mask = near(x, places)[:, None]
    for dirty, clean, product in (
        (with_outliers(x, value, places), x, lambda k, z: k @ z),
        (with_outliers(y, value, places), y, lambda k, z: k.T @ z),
    ):
        result = product(CirculantConvolution(kernel, (10, 9), engine), dirty)
        usual = product(CirculantConvolution(kernel, (10, 9), "direct"), clean)
        assert np.array_equal(np.isfinite(result), np.broadcast_to(~mask, result.shape))
        np.testing.assert_allclose(np.where(mask, 0, result), np.where(mask, 0, usual), atol=3e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(3, 17), st.integers(3, 17)),
    st.tuples(st.integers(8, 12), st.integers(8, 12)),
    st.floats(4, 25),
)
def test_few_outliers_of_any_size(seed, size, channels, exponent):
    kernel, x, y = problem(size, channels=channels, seed=seed)
    rng = np.random.default_rng(seed)
    places = {tuple(rng.integers(0, (len(x), 8, *size))) for _ in range(max(1, x[0, 0].size // 12))}
    sizes = 10 ** rng.uniform(4, exponent, len(places)) * rng.choice([-1, 1], len(places))
    for place, value in zip(places, sizes, strict=True):
        x = with_outliers(x, value, [place])
    assert_elementwise(kernel, x, y, [FORWARD, IN_KERNEL])


def window_sums(x, kernel):
    """``sum_c max |d_c| |g_oc|_1`` with the maximum over the window of the tile that an output is in."""
    windows = np.empty(x.shape)
    height, width = x.shape[2:]
    for i in range(0, height, 4):
        for j in range(0, width, 4):
            rows, columns = np.arange(i - 1, i + 5) % height, np.arange(j - 1, j + 5) % width
            largest = np.abs(x)[:, :, rows][:, :, :, columns].max(axis=(2, 3), keepdims=True)
            windows[:, :, i : i + 4, j : j + 4] = largest
    return np.einsum("oc,nchw->nohw", np.abs(kernel).sum(axis=(2, 3)), windows)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(3, 13), st.integers(3, 13)), st.floats(0, 15))
def test_every_engine_keeps_its_bound_at_any_dynamic_range(seed, size, decades):
    kernel, x, _ = problem(size, seed=seed)
    x *= 10 ** np.random.default_rng(seed).uniform(-decades, decades, x.shape).astype("float32")
    double = kernel.astype("float64"), x.astype("float64")
    exact = CirculantConvolution(double[0], size, "direct") @ double[1]
    own = CirculantConvolution(np.abs(double[0]), size, "direct") @ np.abs(double[1])
    window = window_sums(double[1], double[0])
    u = np.finfo("float32").eps / 2
    for engine in ("auto", *NAMES):
        error = np.abs((CirculantConvolution(kernel, size, engine) @ x) - exact)
        bound = 200 * window if engine in ("auto", "winograd") else 9 * 8 * own
        assert (error <= u * bound).all()


@pytest.mark.parametrize("where", ["x", "dx", "dy", "direction"])
def test_outliers_in_the_products_of_a_layer(where):
    kernel, x, dy = problem((12, 12))
    direction, dx, _ = problem((12, 12), seed=1)
    arguments = {"kernel": kernel, "x": x, "dx": dx, "dy": dy, "direction": direction}
    if where == "direction":
        arguments[where] = with_outliers(direction, 1e8, [(4, 2, 0, 1)])
    else:
        arguments[where] = with_outliers(arguments[where], 1e8, [(1, 2, 3, 4)])

    def results(engine, dtype, change=np.asarray):
        a = {name: change(value.astype(dtype)) for name, value in arguments.items()}
        layer = ConvolutionLayer((8, 12, 12), 11, activation="identity", engine=engine)
        theta, dtheta = (a[name].reshape(-1) for name in ("kernel", "direction"))
        y, tape = layer.forward(theta, a["x"])
        return [y, layer.jvp(dtheta, a["dx"], tape), *layer.vjp(a["dy"], tape)]

    exact, bounds = results("direct", "float64"), results("direct", "float64", np.abs)
    for got, expected, bound in zip(results("auto", "float32"), exact, bounds, strict=True):
        # the second term is what the fast products of ordinary factors may differ by
        assert (np.abs(got - expected) <= 9 * 22 * np.finfo("float32").eps * bound + 1e-3).all()


def test_ordinary_images_keep_the_fast_products_to_the_bit():
    rng = np.random.default_rng(3)
    kernel, x, y = problem((28, 28), channels=(16, 16), n=8)
    digits = np.zeros_like(x)
    digits[:, :, 5:24, 10:16] = np.maximum(x[:, :, 5:24, 10:16], 0)
    scales = (10.0 ** rng.uniform(-12, 0, (8, 1, 1, 1))).astype("float32")
    background = digits + np.float32(1e-8) * np.abs(x)
    dead = x * (rng.random((1, 16, 1, 1)) < 0.3)
    for images in (x, np.maximum(x, 0), digits, digits * scales, background, dead, np.abs(x) + 100, 0 * x):
        both = [products(kernel, images, y * scales, engine) for engine in ("auto", "winograd")]
        for got, expected in zip(*both, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def test_a_stack_and_the_records_of_both_kinds():
    kernel, x, y = problem((8, 8))
    outlier = with_outliers(x, 1e8, [(0, 0, 1, 1)])
    kernels = np.stack([kernel, 2 * kernel])
    images, upstream = np.stack([x, outlier]), np.stack([y, y])
    operator = CirculantConvolution(kernel, (8, 8)).with_kernel_unchecked(kernels)
    in_kernel = np.empty_like(kernels)
    result, record = operator.recorded_unchecked(images)
    in_x = operator.gradients_unchecked(record, upstream, in_kernel, True)
    for t in range(2):
        alone = products(kernels[t], images[t], upstream[t], ["winograd", "direct"][t])
        for got, (_, expected) in zip((result[t], in_x[t], in_kernel[t]), alone, strict=True):
            assert np.array_equal(got, expected)


def test_other_stencils_are_local():
    rng = np.random.default_rng(0)
    kernel, x, _ = problem((8, 12), channels=(8, 8))
    places = [(1, 2, 3, 4)]
    mask = np.broadcast_to(near(x, places)[:, None], x.shape)
    depthwise = DepthwiseConvolution(rng.standard_normal((8, 3, 3)).astype("float32"), (8, 12))
    transposed = Transposed(CirculantConvolution(kernel, (8, 12)))
    strided = CirculantConvolution(kernel, (8, 12), stride=2)
    for operator, kept in ((depthwise, mask), (transposed, mask), (strided, mask[:, :, ::2, ::2])):
        usual, other = operator @ x, operator @ with_outliers(x, 1e8, places)
        np.testing.assert_allclose(other[~kept], usual[~kept], atol=2e-4)


def test_the_default_engine_is_guarded_on_the_cpu():
    assert choose_engine("auto", NUMPY, (8, 8, 3, 3)) is not choose_engine("winograd", NUMPY, (8, 8, 3, 3))
    assert choose_engine("auto", NUMPY, (8, 7, 3, 3)) is choose_engine("direct", NUMPY, (8, 7, 3, 3))
