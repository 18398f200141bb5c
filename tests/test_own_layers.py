"""Layers of one's own that are made from those of meganet."""

import numpy as np
import pytest

import meganet as mn


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
