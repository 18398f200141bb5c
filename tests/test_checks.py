"""The checks see small mistakes: broken operators, derivatives and layers fail."""

import numpy as np
import pytest

from meganet import DenseLayer
from meganet._validate import InputError
from meganet.checks import CheckError, check_adjoint, check_derivative, check_layer
from meganet.layers.activations import Tanh
from meganet.linop import CirculantConvolution, Dense


class BrokenAdjoint(Dense):
    factor = 1.0

    def _adjoint(self, y):
        return self.factor * super()._adjoint(y)


class FlippedAdjoint(CirculantConvolution):
    def _adjoint(self, y):
        return CirculantConvolution(self.kernel.transpose(1, 0, 2, 3), self.image_shape)._apply(y)


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


def test_the_table_is_readable(capsys):
    check_derivative(np.sin, lambda v: np.cos(1.0) * v, np.ones(1), np.ones(1), name="sine", verbose=True)
    text = capsys.readouterr().out
    assert text.startswith("sine\n") and "E1/E0" in text and "order 2.0" in text


class BrokenLayer(DenseLayer):
    broken = ""

    def _forward(self, theta, x):
        y, record = super()._forward(theta, x)
        if self.broken == "input":
            x *= 1
            x[0, 0] += 1
        if self.broken == "stack" and theta.ndim == 2:
            y[1] = y[0]
        return y, record

    def _jvp(self, dtheta, dx, record):
        dy = super()._jvp(dtheta, dx, record)
        if self.broken == "direction":
            dx += 1
        if self.broken == "wide":
            return dy.astype(np.float64)
        return 1.0001 * dy if self.broken == "jvp" else dy

    def _vjp(self, dy, record):
        dtheta, dx = super()._vjp(dy, record)
        if self.broken == "both":
            return dtheta, 1.0001 * dx
        return (1.0001 * dtheta if self.broken == "vjp" else dtheta), dx

    def _vjp_theta(self, dy, record):
        return self._vjp(dy, record)[0]

    def _curvature(self, dtheta, dx, dy, record):
        in_theta, in_x = super()._curvature(dtheta, dx, dy, record)
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
