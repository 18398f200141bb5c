"""The checks see small mistakes: broken operators, derivatives and layers fail."""

import numpy as np
import pytest
from registry import LAYER_CASES, LAYERS

from meganet import Chain, ConvolutionLayer, DenseLayer
from meganet.checks import CheckError, check_adjoint, check_derivative, check_layer
from meganet.ground.validate import InputError
from meganet.layers import ActivationLayer, Layer, NormalisationLayer, SmoothReLU, TVNormalisationLayer
from meganet.layers.activations import Tanh
from meganet.linop import CirculantConvolution, Dense
from meganet.networks import DoubleLayer, ResidualNetwork, SymmetricLayer


class BrokenAdjoint(Dense):
    factor = 1.0

    def adjoint_unchecked(self, y):
        return self.factor * super().adjoint_unchecked(y)


class FlippedAdjoint(CirculantConvolution):
    def adjoint_unchecked(self, y):
        return CirculantConvolution(self.kernel.transpose(1, 0, 2, 3), self.image_shape).apply_unchecked(y)


@pytest.mark.parametrize("seed", range(20))
def test_adjoint_sees_a_small_factor_and_passes_honest_ones(seed, dtype, rng):
    kernel = np.random.default_rng(seed).standard_normal((200, 300)).astype(dtype)
    assert check_adjoint(Dense(kernel), seed=seed) < 1
    broken = BrokenAdjoint(kernel)
    broken.factor = 1 + 20 * float(np.finfo(dtype).eps)
    v = np.random.default_rng(seed).standard_normal((3, 300)).astype(dtype)
    w = broken @ v  # no cancellation in the inner product, so that the factor is seen in every draw
    assert check_adjoint(Dense(kernel), v=v, w=w) < 1
    with pytest.raises(CheckError, match="the adjoint test fails"):
        check_adjoint(broken, v=v, w=w)


def test_adjoint_sees_a_missing_flip(rng):
    kernel = rng.standard_normal((2, 3, 3, 3))
    check_adjoint(CirculantConvolution(kernel, (5, 6)))
    with pytest.raises(CheckError):
        check_adjoint(FlippedAdjoint(kernel, (5, 6)))


def test_adjoint_sees_functions_that_are_not_linear(rng):
    A, v, w = rng.standard_normal((5, 4)), rng.standard_normal(4), rng.standard_normal(5)
    right = A.T @ w
    for wrong in (lambda y: 1.5 * right, lambda y: A.T @ y + 1, lambda y: np.ones(4)):
        with pytest.raises(CheckError, match="the adjoint is not linear"):
            check_adjoint(lambda x: A @ x, wrong, v=v, w=w)
    with pytest.raises(CheckError, match="the adjoint test fails"):
        check_adjoint(lambda x: x, lambda y: y, v=np.array([np.nan, 1, 1]), w=np.ones(3))
    with pytest.raises(CheckError, match="the operator is not linear: of zero it makes an array of norm"):
        check_adjoint(lambda x: A @ x + 1, lambda y: A.T @ y, v=v, w=w)


def test_adjoint_sees_wrong_shapes(rng):
    with pytest.raises(CheckError, match="its adjoint"):
        check_adjoint(lambda v: v[:2], lambda w: w, v=rng.standard_normal(3), w=rng.standard_normal(2))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("error", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_derivative_sees_a_relative_error(seed, error):
    rng = np.random.default_rng(seed)
    b, x, d = rng.standard_normal((20, 20)), rng.standard_normal(20), rng.standard_normal(20)

    def slope(v):
        return (1 - np.tanh(b @ x) ** 2) * (b @ v)

    table = check_derivative(lambda z: np.tanh(b @ z), slope, x, d)
    assert 1.95 <= table.order <= 2.05 and table.floor < 1e-7
    with pytest.raises(CheckError, match="the derivative test fails"):
        check_derivative(lambda z: np.tanh(b @ z), lambda v: (1 + error) * slope(v), x, d)


def test_a_linear_function_is_exact_and_its_wrong_derivative_is_not(rng):
    b, x, d = rng.standard_normal((4, 5)), rng.standard_normal(5), rng.standard_normal(5)
    assert check_derivative(lambda z: b @ z, lambda v: b @ v, x, d).exact
    with pytest.raises(CheckError):
        check_derivative(lambda z: b @ z, lambda v: 1.00001 * (b @ v), x, d)


def test_derivative_refuses_what_it_cannot_judge():
    x = np.ones(3)
    for point, direction in ((x, 0 * x), (x.astype(np.float32), x)):
        with pytest.raises(InputError, match="x, direction: expected float64 and a direction that is not zero"):
            check_derivative(np.sin, lambda v: np.cos(x) * v, point, direction)
    with pytest.raises(InputError, match="adjoint, v, w: expected all three"):
        check_adjoint(lambda v: v)


def test_a_failing_check_has_its_table():
    with pytest.raises(CheckError) as failed:
        check_derivative(np.sin, lambda d: 0.9 * np.cos(1.0) * d, np.array([1.0]), np.array([1.0]))
    assert failed.value.table.floor > failed.value.table.tolerance and str(failed.value.table) in str(failed.value)


def test_the_table_is_readable(capsys):
    check_derivative(np.sin, lambda v: np.cos(1.0) * v, np.ones(1), np.ones(1), name="sine", verbose=True)
    text = capsys.readouterr().out
    assert text.startswith("sine\n") and "E1/E0" in text and "order 2.0" in text


class BrokenLayer(DenseLayer):
    broken = ""

    def forward_unchecked(self, theta, x):
        y, record = super().forward_unchecked(theta, x)
        if self.broken == "input":
            x *= 1
            x[0, 0] += 1
        if self.broken == "stack" and theta.ndim == 2:
            y[1] = y[0]
        return y, record

    def jvp_unchecked(self, dtheta, dx, record):
        dy = super().jvp_unchecked(dtheta, dx, record)
        if self.broken == "direction":
            dx += 1
        if self.broken == "wide":
            return dy.astype(np.float64)
        return 1.0001 * dy if self.broken == "jvp" else dy

    def vjp_unchecked(self, dy, record):
        dtheta, dx = super().vjp_unchecked(dy, record)
        if self.broken == "both":
            return dtheta, 1.0001 * dx
        return (1.0001 * dtheta if self.broken == "vjp" else dtheta), dx

    def vjp_theta_unchecked(self, dy, record):
        return self.vjp_unchecked(dy, record)[0]

    def curvature_unchecked(self, dtheta, dx, dy, record):
        in_theta, in_x = super().curvature_unchecked(dtheta, dx, dy, record)
        if self.broken == "upstream":
            dy *= 2
        return (1.0001 * in_theta if self.broken == "asymmetric" else in_theta), in_x


class BrokenActivation(Tanh):
    """Symmetric still, but not the derivative."""

    def second_derivative(self, backend, z):
        return 1.0001 * super().second_derivative(backend, z)


def test_layer_check_sees_a_broken_second_derivative():
    check_layer(DenseLayer((3,), 4, activation=Tanh()))
    with pytest.raises(CheckError, match="curvature of .*the derivative test fails"):
        check_layer(DenseLayer((3,), 4, activation=BrokenActivation()))


@pytest.mark.parametrize(
    "broken", ["jvp", "vjp", "both", "input", "direction", "wide", "stack", "upstream", "asymmetric"]
)
def test_layer_check_sees_broken_products(broken):
    layer = BrokenLayer((3,), 4, activation="tanh")
    check_layer(layer)
    layer.broken = broken
    with pytest.raises(CheckError):
        check_layer(layer)


def stencils(out, into, size):
    return CirculantConvolution(np.zeros((out, into, 3, 3)), (size, size))


RIGHT = {
    "tanh, 16 channels": (6, lambda: ConvolutionLayer((16, 6, 6), 16, activation="tanh", bias=True)),
    "tanh, 64 channels": (2, lambda: ConvolutionLayer((32, 14, 14), 64, activation="tanh")),
    "relu, 16 channels": (10, lambda: ConvolutionLayer((16, 6, 6), 16)),
    "relu, 64 channels": (2, lambda: ConvolutionLayer((32, 14, 14), 64)),
    "smooth relu": (5, lambda: ConvolutionLayer((16, 6, 6), 16, activation=SmoothReLU(0.01))),
    "dense": (2, lambda: DenseLayer((64, 7, 7), 64, activation="tanh")),
    "one neuron": (50, lambda: DenseLayer((2,), 1, activation="tanh")),
    "relu alone": (10, lambda: ActivationLayer((64, 7, 7), "relu")),
    "double": (3, lambda: DoubleLayer(stencils(24, 12, 8), stencils(12, 24, 8), "relu", "tanh", bias1=True)),
    "symmetric": (
        2,
        lambda: SymmetricLayer(stencils(32, 32, 7), "relu", normalisation1=NormalisationLayer((32, 7, 7), ("pixels",))),
    ),
    "residual": (2, lambda: ResidualNetwork(SymmetricLayer(stencils(8, 8, 6), "relu"), 3, 0.3)),
    "ill-conditioned normalisation": (40, lambda: NormalisationLayer((2, 2, 1), ("pixels",), eps=1e-8)),
    "normalisation of two examples": (40, lambda: NormalisationLayer((3, 2, 4), ("examples",), eps=1e-6)),
    "normalisation of one channel": (40, lambda: TVNormalisationLayer((1, 3, 3), eps=1e-6)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_layers_of_all_sizes_pass(name):
    seeds, make = RIGHT[name]
    for seed in range(seeds):
        check_layer(make(), seed=seed, examples=seed % 3 + 1)


class WrongLayer(Layer):
    """A layer with derivatives that are consistent with each other, but of other weights and inputs."""

    def __init__(self, inner, theta, x):
        super().__init__(inner.domain_shape, inner.range_shape, inner.parameters)
        self.inner, self.factors, self.couples_examples = inner, (theta, x), inner.couples_examples

    def resized(self, domain_shape):
        return WrongLayer(self.inner.resized(domain_shape), *self.factors)

    def forward_unchecked(self, theta, x):
        return self.inner.forward_unchecked(theta, x)

    def _scaled(self, in_theta, in_x):
        return np.asarray(self.factors[0], in_theta.dtype) * in_theta, self.factors[1] * in_x

    def jvp_unchecked(self, dtheta, dx, record):
        return self.inner.jvp_unchecked(*self._scaled(dtheta, dx), record)

    def vjp_unchecked(self, dy, record):
        return self._scaled(*self.inner.vjp_unchecked(dy, record))


class WronglyCurvedLayer(WrongLayer):
    """Wrong in the second derivatives alone."""

    def jvp_unchecked(self, dtheta, dx, record):
        return self.inner.jvp_unchecked(dtheta, dx, record)

    def vjp_unchecked(self, dy, record):
        return self.inner.vjp_unchecked(dy, record)

    def curvature_unchecked(self, dtheta, dx, dy, record):
        return self._scaled(*self.inner.curvature_unchecked(*self._scaled(dtheta, dx), dy, record))


def is_curved(layer):
    rng = np.random.default_rng(0)
    theta, x = rng.standard_normal(layer.parameters.size), rng.standard_normal((3, *layer.domain_shape))
    y, tape = layer.forward(theta, x)
    return any(abs(part).max(initial=0) > 0 for part in layer.curvature(theta, x, rng.standard_normal(y.shape), tape))


@pytest.mark.parametrize("case", LAYER_CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def test_a_millionth_is_seen_in_every_layer(case):
    """In the derivative in the weights or the examples alone, too, by nothing but the Taylor test."""
    layer = LAYERS[case[0]][case[1]]()
    kinds = [WrongLayer, WronglyCurvedLayer] if layer.twice_differentiable and is_curved(layer) else [WrongLayer]
    for kind in kinds:
        factors = [(1 + 1e-6, 1 + 1e-6), (1.0, 1 - 1e-6)] + [(1 + 1e-6, 1.0)] * (layer.parameters.size > 0)
        for seed, (theta, x) in enumerate(factors):
            with pytest.raises(CheckError, match="the derivative test fails"):
                check_layer(kind(layer, theta, x), seed=seed)
        check_layer(kind(layer, 1.0, 1.0))


def test_a_millionth_is_seen_in_one_array_of_a_network():
    network = Chain(
        [ConvolutionLayer((1, 6, 4), 8, bias=True), ConvolutionLayer((8, 6, 4), 8), DenseLayer((8, 6, 4), 3)]
    )
    start = 0
    for parameter in network.parameters:
        factors = np.ones(network.parameters.size)
        factors[start : start + parameter.size] += 1e-6
        start += parameter.size
        with pytest.raises(CheckError, match="the derivative test fails"):
            check_layer(WrongLayer(network, factors, 1.0))


SCALES = [1e-8, 1.0, 1e8]


@pytest.mark.parametrize("values", SCALES)
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize(
    ("function", "slope", "points"),
    [
        (lambda z: np.tanh(3 * z).sum(), lambda x, d: (3 / np.cosh(3 * x) ** 2 * d).sum(), 1.0),
        (lambda z: np.sin(z), lambda x, d: np.cos(x) * d, 1.0),
        (lambda z: z @ z, lambda x, d: 2 * x @ d, 1.0),
        (lambda z: z @ z, lambda x, d: 2 * x @ d, 1e8),
        (lambda z: np.exp(z), lambda x, d: np.exp(x) * d, 0.0),
        (lambda z: np.log(abs(z)), lambda x, d: d / x, 1e-8),
        (lambda z: np.sqrt(z * z + 1e-6).sum(), lambda x, d: (x / np.sqrt(x * x + 1e-6) * d).sum(), 1e-3),
        (lambda z: z + 1e-9 * np.sin(z), lambda x, d: d + 1e-9 * np.cos(x) * d, 1.0),
        (lambda z: np.maximum(z, 0), lambda x, d: (x >= 0) * d, 1.0),
        (lambda z: np.sin(2 * np.pi * 256 * z), lambda x, d: 512 * np.pi * np.cos(512 * np.pi * x) * d, 1.0),
    ],
    ids=[
        "tanh",
        "sine",
        "square",
        "large square",
        "exponential",
        "logarithm",
        "sharp",
        "nearly linear",
        "relu",
        "wave",
    ],
)
def test_derivatives_of_all_scales(values, length, function, slope, points):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, d = points * rng.standard_normal(7), length * rng.standard_normal(7)
        right = check_derivative(lambda z: values * function(z), lambda v, x=x: values * slope(x, v), x, d)
        assert right.floor <= right.tolerance < 1e-7
        assert right.exact or right.order > 1.9
        with pytest.raises(CheckError, match="the derivative test fails"):
            check_derivative(lambda z: values * function(z), lambda v, x=x: values * (1 + 1e-6) * slope(x, v), x, d)


@pytest.mark.parametrize("seed", range(10))
def test_slopes_of_zero(seed):
    rng = np.random.default_rng(seed)
    x, d = rng.standard_normal(6), rng.standard_normal(6)
    assert check_derivative(lambda z: 1e8 + 0 * z, lambda v: 0 * v, x, d).exact
    assert check_derivative(lambda z: z @ z, lambda v: 0 * v.sum(), 0 * x, d).order == pytest.approx(2, abs=0.05)
    a = rng.standard_normal((6, 6))
    minimiser = np.linalg.solve(a.T @ a, x)
    check_derivative(lambda z: z @ (a.T @ a) @ z / 2 - x @ z, lambda v: (a.T @ a @ minimiser - x) @ v, minimiser, d)
    with pytest.raises(CheckError):
        check_derivative(lambda z: z @ z, lambda v: 1e-6 * v.sum(), 0 * x, d)


def test_a_kink_at_the_point_allows_the_slopes_on_both_sides(rng):
    x, d = np.array([0.0, 0.0, 0.0, 1.0, -1.0, 0.5]), np.array([1.0, -1.0, 0.5, 1.0, 2.0, -3.0])
    for at_zero in (0.0, 0.5, 1.0):
        check_derivative(
            lambda z: np.maximum(z, 0), lambda v, s=at_zero: np.where(x == 0, s, x > 0) * v, x, d, name="relu"
        )
    for at_zero in (1.001, 2.0, -0.001, -1.0):
        with pytest.raises(CheckError, match="x lies on a kink"):
            check_derivative(lambda z: np.maximum(z, 0), lambda v, s=at_zero: np.where(x == 0, s, x > 0) * v, x, d)
    for wrong in (3, 5):
        factors = 1 + 1e-6 * (np.arange(6) == wrong)
        with pytest.raises(CheckError):
            check_derivative(lambda z: np.maximum(z, 0), lambda v, f=factors: f * (x >= 0) * v, x, d)


def test_entries_whose_sign_a_long_step_changes_are_not_excused(rng):
    x, d = 0.01 * rng.standard_normal(1000), rng.standard_normal(1000)
    crossed = (x > 0) & (x + d < 0)
    assert crossed.sum() > 100
    for factors in (1 + 1e-6 * crossed, 1 + 1e-4 * (np.cumsum(crossed) == 7)):
        with pytest.raises(CheckError):
            check_derivative(lambda z: np.maximum(z, 0), lambda v, f=factors: f * (x >= 0) * v, x, d)
    check_derivative(lambda z: np.maximum(z, 0), lambda v: (x >= 0) * v, x, d)


def test_a_single_wrong_entry_is_seen(rng):
    x, d = rng.standard_normal(10000), rng.standard_normal(10000)
    factors = 1 + 1e-6 * (np.arange(10000) == np.argmax(abs(d)))
    with pytest.raises(CheckError):
        check_derivative(np.sin, lambda v: factors * np.cos(x) * v, x, d)


def test_a_step_may_leave_the_domain():
    x = np.array([0.3, 2.0])
    table = check_derivative(lambda z: np.log(z) / np.sqrt(3 - z), lambda v: log_slope(x) * v, x, np.array([-4.0, 5.0]))
    assert table.floor < 1e-8 and not np.isfinite(table.error1[0])


def log_slope(x):
    return 1 / x / np.sqrt(3 - x) + 0.5 * np.log(x) * (3 - x) ** -1.5


def test_derivative_sees_results_that_do_not_fit(rng):
    x = rng.standard_normal(3)
    with pytest.raises(CheckError, match=r"value of shape \(3,\) .*derivative of shape \(3, 1\)"):
        check_derivative(np.sin, lambda v: (np.cos(x) * v)[:, None], x, x)
    for wrong in (np.nan, np.inf):
        with pytest.raises(CheckError):
            check_derivative(np.sin, lambda v, w=wrong: w * v, x, x)
    with pytest.raises(InputError, match=r"direction: expected an array of shape \(3,\), got shape \(2,\)"):
        check_derivative(np.sin, lambda v: v, x, x[:2])
    with pytest.raises(InputError, match="function: expected one that keeps to float64, got float32"):
        check_derivative(lambda z: np.sin(z).astype(np.float32), lambda v: np.cos(x) * v, x, x)


def test_derivatives_on_every_backend(backend, rng):
    x, d = (backend.asarray(rng.standard_normal((4, 3))) for _ in range(2))
    y = backend.xp.tanh(x)
    check_derivative(backend.xp.tanh, lambda v: (1 - y * y) * v, x, d)
    with pytest.raises(CheckError):
        check_derivative(backend.xp.tanh, lambda v: (1 + 1e-6) * (1 - y * y) * v, x, d)


def test_the_adjoint_of_what_cancels(rng):
    """Of the terms in a sum a billionth is left, so their round-off is far more than that of the result."""
    a, b = rng.standard_normal((2, 40))
    v, w = rng.standard_normal((2, 40))

    def product(u):
        return (a + 1e-9 * b) * u - a * u

    def other(u):
        return a * u * (1 + 1e-9 * b / a) - a * u

    check_adjoint(product, other, v=v, w=w)
    with pytest.raises(CheckError):
        check_adjoint(product, lambda u: 1.01 * other(u), v=v, w=w)
    with pytest.raises(CheckError):
        check_adjoint(lambda u: product(u) + 1e-9 * u * u, other, v=v, w=w)


class ImpreciseLayer(DenseLayer):
    def jvp_unchecked(self, dtheta, dx, record):
        dy = super().jvp_unchecked(dtheta, dx, record)
        return dy if dy.dtype == np.float64 else dy * np.float32(1.001)


def test_layer_check_sees_a_loss_of_precision_in_float32():
    with pytest.raises(CheckError, match="jvp in float32 differs from float64"):
        check_layer(ImpreciseLayer((5, 4), 6))


@pytest.mark.parametrize("inputs", [400, 4000])
def test_layers_whose_activations_would_all_be_saturated_pass(inputs):
    for seed in range(20):
        check_layer(DenseLayer((inputs,), 1, activation="tanh"), seed=seed)


POINT = np.linspace(0.1, 1.0, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: check_layer(np.tanh),
        lambda: check_layer(DenseLayer((2,), 1), seed=-1),
        lambda: check_layer(DenseLayer((2,), 1), examples=0),
        lambda: check_layer(DenseLayer((2,), 1), scale="small"),
        lambda: check_layer(DenseLayer((2,), 1), floor_maximum=np.nan),
        lambda: check_derivative("tanh", np.tanh, POINT, POINT),
        lambda: check_derivative(np.tanh, np.tanh, POINT, "up"),
        lambda: check_derivative(np.tanh, np.tanh, POINT, 1j * POINT),
        lambda: check_derivative(lambda x: "up", np.tanh, POINT, POINT),
        lambda: check_derivative(np.tanh, lambda d: None, POINT, POINT),
        lambda: check_derivative(np.tanh, np.tanh, POINT, POINT, floor_maximum=-1.0),
        lambda: check_adjoint(3, np.tanh, v=POINT, w=POINT),
        lambda: check_adjoint(np.tanh, np.tanh, v=np.ones(3, int), w=POINT),
        lambda: check_adjoint(lambda v: None, np.tanh, v=POINT, w=POINT),
        lambda: DenseLayer((2,), 1).vjp(np.ones((1, 1)), None),
        lambda: DenseLayer((2,), 1).jvp(np.ones(3), np.ones((1, 2)), "tape"),
    ],
)
def test_wrong_arguments_of_the_checks_are_one_line(call):
    with pytest.raises(InputError, match=r"^[^\n]*: expected [^\n]*$"):
        call()
