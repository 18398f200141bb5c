"""Layers of one's own that are made from those of meganet."""

import numpy as np
import pytest

import meganet as mn
from meganet.checks import check_layer
from meganet.layers import AffineLayer
from meganet.linop import CirculantConvolution, Gradient


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (mn.ConvolutionLayer, (2,)),
        (mn.DenseLayer, (3,)),
        (mn.PoolingLayer, ()),
        (mn.NormalisationLayer, ()),
        (mn.layers.TVNormalisationLayer, ()),
        (mn.ActivationLayer, ("tanh",)),
    ],
)
def test_a_layer_on_another_grid_is_still_of_its_own_class(kind, arguments):
    own = type("Own", (kind,), {})
    layer = own((1, 4, 6), *arguments)
    other = layer.resized((1, 8, 12))
    assert type(other) is own and other.domain_shape == (1, 8, 12)


def test_a_model_with_a_layer_of_ones_own_computes_with_it_on_the_next_grid():
    class Doubled(mn.ConvolutionLayer):
        def forward_unchecked(self, theta, x):
            y, record = super().forward_unchecked(theta, x)
            return 2 * y, record

        def evaluate_unchecked(self, theta, x):
            return 2 * super().evaluate_unchecked(theta, x)

    fine = mn.Model([Doubled((1, 4, 4), 2)], 2, theta=np.ones(18), W=np.ones(66)).prolongate(kernels="copy")
    x = np.ones((1, 1, 8, 8))
    plain = mn.ConvolutionLayer((1, 8, 8), 2)
    np.testing.assert_allclose(fine.network(fine.theta, x), 2 * plain(fine.theta, x))


class Doubled(CirculantConvolution):
    """``2 K``, by the products that an operator has."""

    def apply_unchecked(self, x):
        return 2 * super().apply_unchecked(x)

    def adjoint_unchecked(self, y):
        return 2 * super().adjoint_unchecked(y)

    def kernel_adjoint_unchecked(self, x, y):
        return 2 * super().kernel_adjoint_unchecked(x, y)

    def recorded_unchecked(self, x):
        return self.apply_unchecked(x), x

    def gradients_unchecked(self, record, y, out, need_x):
        out[...] = self.kernel_adjoint_unchecked(record, y)
        return self.adjoint_unchecked(y) if need_x else None


@pytest.mark.parametrize("activation", ["identity", "relu"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("channels", [2, 8])
def test_a_layer_computes_what_an_operator_derived_from_the_convolution_defines(activation, bias, channels):
    operator = Doubled(np.zeros((channels, channels, 3, 3)), (5, 6))
    layer = AffineLayer(operator, activation=activation, bias=bias)
    check_layer(layer)
    rng = np.random.default_rng(0)
    theta, x = rng.standard_normal(layer.parameters.size), rng.standard_normal((3, *layer.domain_shape))
    kernel = theta[: operator.kernel.size].reshape(operator.kernel.shape)
    y = layer.operator(kernel) @ x
    if bias:
        y += theta[-channels:, None, None]
    expected = np.maximum(y, 0) if activation == "relu" else y
    np.testing.assert_allclose(layer.forward(theta, x)[0], expected, atol=1e-12)
    np.testing.assert_allclose(layer.evaluate_unchecked(theta, x), expected, atol=1e-12)


class Thirds(Gradient):
    """Differences of a third of their size."""

    def apply_unchecked(self, x):
        return super().apply_unchecked(x) / 3

    def adjoint_unchecked(self, y):
        return super().adjoint_unchecked(y) / 3

    def normal_unchecked(self, x):
        return super().normal_unchecked(x) / 9


def test_a_penalty_is_that_of_an_operator_derived_from_the_gradient():
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    operator = Thirds((2, 5, 4))
    value, gradient = mn.Tikhonov(operator, 0.5).value_and_gradient(x)
    np.testing.assert_allclose(value, 0.25 * np.sum((operator @ x) ** 2))
    np.testing.assert_allclose(gradient, 0.5 * (operator.T @ (operator @ x)))
